"""The flags of `coord schedule add` as the fields of a schedule."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from coord.cli.errors import BadUsage
from coord.config import Source, SourceKind
from coord.polling.drafts import Where

HTTP_FLAGS = ("method", "status", "contains", "redirects")
"""What goes with --http alone."""

_CHECK_FLAGS = ("timeout", *HTTP_FLAGS)
_CHECK = "--check"
_FLAGS = {"timeout": "--poll-timeout"}
"""Flags that are not called like their field: --timeout is that of each check."""


def fields_of(params: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields, and which flag each check came from.

    Raises:
        BadUsage: flags that do not go together, or a --check that is no JSON.
    """
    shared = {"timeout": params["timeout"]} if params["timeout"] is not None else {}
    of_http = {name: _number_or_text(name, params[name]) for name in HTTP_FLAGS if params[name]}
    if of_http and not params["http"]:
        raise BadUsage(f"--{next(iter(of_http))} goes with --http: name a URL by that")
    if shared and not params["http"] and not params["tcp"]:
        raise BadUsage("--timeout goes with --http and --tcp; a --check has its own inside")
    checks: list[Any] = [
        *({"kind": "http", "target": url, **shared, **of_http} for url in params["http"]),
        *({"kind": "tcp", "target": where, **shared} for where in params["tcp"]),
        *(_parsed(text) for text in params["check"]),
    ]
    if not checks:
        raise BadUsage("there is nothing to check: name it by --http, --tcp or --check")
    origins = (
        *("--http" for _ in params["http"]),
        *("--tcp" for _ in params["tcp"]),
        *(_CHECK for _ in params["check"]),
    )
    fields: dict[str, Any] = {"checks": checks, "enabled": not params["disabled"]}
    words = ("interval", "name", "assignment")
    given = {name: params[name] for name in words if params[name] is not None}
    numbers = ("max_retries", "priority")
    given |= {name: _number(params[name]) for name in numbers if params[name] is not None}
    if params["poll_timeout"] is not None:
        given["timeout"] = params["poll_timeout"]
    if params["assigned_to"] is not None:
        given["assigned_to"] = [part.strip() for part in params["assigned_to"].split(",")]
    return fields | given, origins


def source_of(where: Where, origins: Sequence[str]) -> Source:
    """The flag that said it."""
    field = str(where[0]) if where else ""
    flag = _FLAGS.get(field, f"--{field.replace('_', '-')}") if field else ""
    match where:
        case ("checks", int(number), *rest):
            flag = origins[number]
            if flag != _CHECK and rest and rest[0] in _CHECK_FLAGS:
                flag = f"--{rest[0]}"
        case ("checks",):
            flag = "--http, --tcp and --check"
        case ("id",):
            flag = "ID"
    return Source(SourceKind.FLAG, flag)


def _number_or_text(name: str, text: str) -> Any:
    """What cannot be read stays as it is: the schedule's own check says what is wrong with it."""
    if name == "status":
        return [_number(part.strip()) for part in text.split(",")]
    return _number(text) if name == "redirects" else text


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadUsage(
            f"--check is no JSON: {error}; write it like "
            '\'{"kind": "http", "target": "http://host/"}\''
        ) from None
