"""The node's HTTP API as an OpenAPI 3.1 document, from its types and its table of states.

PURE: text out, nothing read or written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

from coord.api import PROBES, answers
from coord.api.app import LIMIT_DIGITS
from coord.api.event_stream import MEDIA_TYPE, STREAMS_MOST
from coord.api.replies import HEADERS
from coord.election.reasons import WhyNot
from coord.election.state import State
from coord.polling.overview import MAX_SCHEDULES
from coord.telemetry import RECENT_EVENTS
from docs.openapi_schemas import Schema, ref, schemas

JSON: Final = "application/json"
DEFAULT_URL: Final = "http://127.0.0.1:8610"

ABOUT: Final = (
    "What a node tells over HTTP. All of it reads only, and asks for no authentication. Every path "
    "here answers HEAD as it answers GET, without the body. Another method is answered with 405 "
    "and an Allow header, another path with 404, both with an Error."
)

CONSUL_ERRORS: Final = (
    WhyNot.NOT_PERMITTED,
    WhyNot.NO_CONSUL_LEADER,
    WhyNot.CONSUL_UNREACHABLE,
)


def openapi_text() -> str:
    """The document as the node serves it."""
    return json.dumps(document(), indent=1, ensure_ascii=True) + "\n"


def document() -> Schema:
    """The document."""
    kinds = (answers.Index, answers.Probe, answers.Health, answers.Events, answers.Error)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "coord: the HTTP API of a node",
            "version": "1",
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": DEFAULT_URL, "description": "COORDINATOR_LISTEN, as it is by default"}],
        "paths": {path: _both(path, operation) for path, operation in _operations().items()},
        "components": {
            "schemas": schemas(kinds),
            "headers": {
                name: {"description": "Always the same.", "required": True, "schema": _is(value)}
                for name, value in HEADERS.items()
            },
        },
    }


def _operations() -> Mapping[str, Schema]:
    return {
        "/": _operation("The node's name, and the paths that it answers.", {200: _ok("Index")}),
        "/api/health": _health(),
        "/api/health/live": _operation(
            "Whether the process is alive. Restart it where this fails.", _probe("live", "Probe")
        ),
        "/api/health/ready": _operation(
            "Whether the node does its part in the election.", _probe("ready", "Probe")
        ),
        "/api/health/leader": _operation(
            "Whether the node leads and works.", _probe("leader", "Probe")
        ),
        "/api/cluster": _operation(
            "The election and its nodes as Consul shows them, at most about a second old.",
            {
                200: _ok("ClusterStatus"),
                503: _error("The cluster cannot be read from Consul.", CONSUL_ERRORS),
            },
        ),
        "/api/polls": _operation(
            "What the election polls as Consul shows it, at most about a second old: "
            f"{MAX_SCHEDULES} schedules at most, those that do not fare well before the others.",
            {
                200: _ok("PollOverview"),
                503: _error("It cannot be read from Consul.", CONSUL_ERRORS),
            },
        ),
        "/api/events": _events(),
        "/api/openapi.json": _operation(
            "This document.",
            {200: _answer("OpenAPI 3.1.", {JSON: {"schema": {"type": "object"}}})},
        ),
        "/metrics": _operation(
            "The metrics for Prometheus.",
            {200: _answer("Prometheus's text format.", {"text/plain": _text("All of them.")})},
        ),
    }


def _health() -> Schema:
    operation = _operation(
        "The node as it sees itself, and the cluster in short. Needs no Consul.",
        {
            **_probe("health", "Health"),
            400: _error("`cluster` is neither true nor false.", ("bad_request",)),
        },
    )
    cluster = {
        "name": "cluster",
        "in": "query",
        "description": "false leaves `cluster` null, for which the node would read Consul.",
        "schema": {"type": "string", "enum": ["true", "false"]},
    }
    return {**operation, "parameters": [cluster]}


def _events() -> Schema:
    stream = _text(
        "Server-sent events: each message has an id, the event's full name, and as its data the "
        "event as JSON, as it is in the list. It goes on until either side ends it."
    )
    operation = _operation(
        f"What the node told last, at most {RECENT_EVENTS} events, without those that come again "
        f"and again. Whoever accepts `{MEDIA_TYPE}` gets them as they are told.",
        {
            200: _answer("The events.", {JSON: {"schema": ref("Events")}, MEDIA_TYPE: stream}),
            400: _error("The limit makes no sense.", ("bad_request",)),
            503: _error(
                f"There are {STREAMS_MOST} streams already; told to who asks for one.",
                ("too_many_streams",),
            ),
        },
    )
    limit = {
        "name": "limit",
        "in": "query",
        "description": "How many events at most, the latest; a stream begins with them, with none "
        f"if it is not given. The node keeps {RECENT_EVENTS}.",
        "schema": {
            "type": "integer",
            "minimum": 1,
            "maximum": 10**LIMIT_DIGITS - 1,
        },
    }
    last_id = {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "For a stream: the id of the last message that was received. It begins with "
        "what was missed since, as far as the node keeps it.",
        "schema": {"type": "string"},
    }
    return {**operation, "parameters": [limit, last_id]}


# --- the parts of an operation -------------------------------------------------------------------


def _both(path: str, get: Schema) -> Schema:
    """GET, and HEAD with the same statuses and no bodies."""
    name = path.strip("/").removesuffix(".json").replace("/", "_") or "index"
    responses = {
        status: {key: value for key, value in response.items() if key != "content"}
        for status, response in get["responses"].items()
    }
    head = {**get, "operationId": f"head_{name}", "responses": responses}
    return {"get": {"operationId": f"get_{name}", **get}, "head": head}


def _operation(summary: str, responses: Mapping[int, Schema]) -> Schema:
    return {
        "summary": summary,
        "responses": {str(status): response for status, response in responses.items()},
    }


def _answer(description: str, content: Schema) -> Schema:
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in HEADERS}
    return {"description": description, "headers": headers, "content": content}


def _ok(schema: str) -> Schema:
    return _answer("As asked.", {JSON: {"schema": ref(schema)}})


def _error(description: str, codes: Iterable[str]) -> Schema:
    narrowed = {"properties": {"error": {"enum": list(codes)}}}
    return _answer(description, {JSON: {"schema": {"allOf": [ref("Error"), narrowed]}}})


def _text(description: str) -> Schema:
    return {"schema": {"type": "string", "description": description}}


def _probe(probe: str, schema: str) -> Mapping[int, Schema]:
    """What one column of the table says: with which status it answers in which rows."""
    rows: dict[int, list[str]] = {}
    for row, probes in PROBES.items():
        rows.setdefault(probes.status(probe), []).append(row)
    states = [state.value for state in State]
    return {
        status: _answer(
            f"In: {', '.join(rows[status])}.",
            {
                JSON: {
                    "schema": {
                        "allOf": [
                            ref(schema),
                            {
                                "properties": {
                                    "status": _is("ok" if status == 200 else "unavailable"),
                                    # What says no may be a row that is no state.
                                    "state": {
                                        "enum": [s for s in rows[200] if s in states]
                                        if status == 200
                                        else states
                                    },
                                }
                            },
                        ]
                    }
                }
            },
        )
        for status in sorted(rows)
    }


def _is(value: str) -> Schema:
    return {"const": value}
