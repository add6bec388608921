"""Whether answers are what `coord/api/openapi.json` promises."""

from __future__ import annotations

import json
from typing import Any

import httpx
import jsonschema_rs

from coord.api.app import DOCUMENT
from docs.openapi_schemas import OTHER_EVENT

OPENAPI: dict[str, Any] = json.loads(DOCUMENT.read_bytes())
for _name, _schema in OPENAPI["components"]["schemas"].items():
    if "properties" in _schema and _name != OTHER_EVENT:
        # Readers are told to expect more; what is answered now has no more.
        _schema["additionalProperties"] = False


def validator(*pointer: str) -> jsonschema_rs.Draft202012Validator:
    """For what is promised at that place of the document."""
    path = "/".join(part.replace("~", "~0").replace("/", "~1") for part in pointer)
    schema = {"$ref": f"#/{path}", **OPENAPI}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def check(reply: httpx.Response) -> None:
    """The status, the headers, the content type and the body are promised."""
    path, method = reply.request.url.path, reply.request.method.lower()
    responses = OPENAPI["paths"][path][method]["responses"]
    status = str(reply.status_code)
    assert status in responses, f"{method} {path} answers {status}"
    for name in responses[status]["headers"]:
        validator("components", "headers", name, "schema").validate(reply.headers[name])
    if method == "head":
        assert reply.content == b""
        return
    media_type = reply.headers["content-type"].partition(";")[0]
    assert media_type in responses[status]["content"], f"{method} {path} answers {media_type}"
    body = reply.json() if media_type == "application/json" else reply.text
    where = ("paths", path, method, "responses", status, "content", media_type, "schema")
    validator(*where).validate(body)
