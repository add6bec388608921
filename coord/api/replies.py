"""How the API answers: JSON in plain ASCII, errors of one kind, modest headers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from coord.api.answers import Error

HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""What every answer has among its headers."""


class _AsciiJSON(JSONResponse):
    """Plain ASCII: what others wrote may not even be encodable, or upset a terminal."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=True, allow_nan=False).encode("ascii")


def json_response(data: Mapping[str, Any], status: int = HTTPStatus.OK) -> Response:
    """An answer that is no error."""
    return _AsciiJSON(data, status)


def error_response(
    status: int,
    error: str,
    *,
    field: str | None = None,
    fix: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error as every endpoint says it: a code, the field that is wrong, what to do."""
    body: Error = {"error": error}
    if field is not None:
        body["field"] = field
    if fix is not None:
        body["fix"] = fix
    return _AsciiJSON(body, status, headers)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what Starlette refuses."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    fixes = {404: "GET / names the URLs", 405: "the Allow header names the methods"}
    code = HTTPStatus(status).phrase.lower().replace(" ", "_")
    return error_response(status, code, fix=fixes.get(status), headers=headers)


async def on_crash(request: Request, error: Exception) -> Response:
    """Answer where an endpoint crashed."""
    # The server logs it; whoever asked has no use for it.
    # Made outside of the middleware, hence its headers here.
    return error_response(500, "internal_error", fix="see the node's log", headers=HEADERS)


class Plain:
    """Middleware: headers that keep browsers and caches modest, and no body to a HEAD."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_plain(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            elif scope["method"] == "HEAD" and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app(scope, receive, send_plain)
