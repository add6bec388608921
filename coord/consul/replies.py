"""From Consul's answers to our values and errors: the one place that reads them.

Nothing about a reply is taken for granted. A body of another shape than Consul's is no answer:
`ShapeError`, which `refusal` and the client turn into ConsulUnavailable.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from coord.consul.errors import (
    ConsulError,
    ConsulNotFound,
    ConsulNotPermitted,
    ConsulRefused,
    ConsulUnavailable,
    Denied,
)
from coord.consul.transport import Answer, Request
from coord.consul.types import (
    AgentInfo,
    CheckStatus,
    HealthCheck,
    KVEntry,
    NodeInfo,
    ServiceInstance,
    Session,
    TxnError,
)

T = TypeVar("T")

_NO_SUCH_TOKEN = "ACL not found"
NOT_PERMITTED = ("Permission denied", _NO_SUCH_TOKEN, "ACL support disabled", "lacks permission")
# Consul says these with a 500, although asking again changes nothing.
_REFUSED_AS_500 = (
    "Missing check",
    "is in critical state",
    "Missing node registration",
    "Invalid Session TTL",
    "failed session lookup",
    "invalid session",
    "nknown check",
    "nknown service",
    "does not have associated TTL",
    "Invalid Behavior setting",
    "ServiceID ",
)
# The request was never handed to a server: it had none to be handed to.
_NEVER_FORWARDED = ("No cluster leader", "No known Consul servers")
_LEADERLESS = (*_NEVER_FORWARDED, "not the leader", "leadership lost", "leadership transfer")


class ShapeError(ValueError):
    """A body that is not what Consul answers; the text says which field."""


def refusal(request: Request, answer: Answer) -> ConsulError:
    """The error that an answer other than success stands for."""
    operation, text, status = request.operation, answer.text, answer.status
    if status in (401, 403) or (status == 500 and _has(text, NOT_PERMITTED)):
        return not_permitted(request, answer, text or f"status {status}")
    if status == 404:
        return ConsulNotFound(operation, text or "not found")
    if (400 <= status < 500 and status not in (408, 429)) or (
        status == 500 and _has(text, _REFUSED_AS_500)
    ):
        return ConsulRefused(operation, text or f"status {status}", status=status)
    return ConsulUnavailable(
        operation,
        f"status {status}: {text}" if text else f"status {status}",
        no_leader=_has(text, _LEADERLESS),
        outcome_unknown=not request.read and not _has(text, _NEVER_FORWARDED),
        status=status,
    )


def not_permitted(request: Request, answer: Answer, text: str) -> ConsulNotPermitted:
    """The error that a denial stands for; `text` is what Consul said."""
    denied = Denied.LACKS_RIGHTS
    if not answer.secret:
        denied = Denied.NO_TOKEN
    elif _NO_SUCH_TOKEN in text:
        denied = Denied.UNKNOWN_TOKEN
    return ConsulNotPermitted(request.operation, text, status=answer.status, denied=denied)


def broken(request: Request, answer: Answer, error: ShapeError) -> ConsulUnavailable:
    """The error that an unreadable reply stands for."""
    return ConsulUnavailable(
        request.operation,
        f"unreadable reply: {error}",
        outcome_unknown=not request.read,
        status=answer.status,
    )


def _has(text: str, parts: tuple[str, ...]) -> bool:
    return any(part in text for part in parts)


# --- reading shapes ---


def loads(body: bytes) -> object:
    """The JSON of a body; ShapeError when it is none."""
    try:
        return cast("object", json.loads(body))
    except (ValueError, RecursionError) as e:
        raise ShapeError("not JSON") from e


def _mapping(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ShapeError(f"{what} is not an object")
    return value


def _text(obj: Mapping[str, object], name: str) -> str:
    """A string; "" where it is missing or null."""
    value = obj.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ShapeError(f"{name} is not a string")
    return value


def _needed_text(obj: Mapping[str, object], name: str) -> str:
    value = _text(obj, name)
    if not value:
        raise ShapeError(f"{name} is missing")
    return value


def _number(obj: Mapping[str, object], name: str) -> int:
    """An unsigned 64-bit integer; 0 where it is missing or null."""
    value = obj.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**64:
        raise ShapeError(f"{name} is not an unsigned 64-bit integer")
    return value


def _texts(value: object, what: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise ShapeError(f"{what} is not a list of strings")
    return tuple(value)


def _meta(obj: Mapping[str, object], name: str) -> Mapping[str, str]:
    value = obj.get(name)
    if value is None:
        return {}
    meta = _mapping(value, name)
    if not all(isinstance(v, str) for v in meta.values()):
        raise ShapeError(f"{name} has a value that is not a string")
    return cast("Mapping[str, str]", meta)


def listed(value: object, one: Callable[[object], T], what: str) -> tuple[T, ...]:
    """A list of things; null counts as an empty one."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ShapeError(f"{what} is not a list")
    return tuple(one(v) for v in value)


def named(value: object, one: Callable[[object], T], what: str) -> dict[str, T]:
    """An object of things by name."""
    return {name: one(v) for name, v in _mapping(value, what).items()}


# --- values ---


def boolean(value: object) -> bool:
    """true or false, and nothing else."""
    if not isinstance(value, bool):
        raise ShapeError("neither true nor false")
    return value


def text(value: object) -> str:
    """A bare string."""
    if not isinstance(value, str):
        raise ShapeError("not a string")
    return value


def texts(value: object) -> tuple[str, ...]:
    """A bare list of strings."""
    return _texts(value, "the body")


def kv_entry(value: object) -> KVEntry:
    """One key of ``/v1/kv`` or of a transaction's results."""
    obj = _mapping(value, "a key")
    try:
        raw = base64.b64decode(_text(obj, "Value"), validate=True)
    except (binascii.Error, ValueError) as e:
        raise ShapeError("Value is not base64") from e
    return KVEntry(
        key=_needed_text(obj, "Key"),
        value=raw,
        flags=_number(obj, "Flags"),
        session=_text(obj, "Session") or None,
        lock_index=_number(obj, "LockIndex"),
        create_index=_number(obj, "CreateIndex"),
        modify_index=_number(obj, "ModifyIndex"),
    )


def txn_parts(value: object) -> tuple[tuple[KVEntry, ...], tuple[TxnError, ...]]:
    """The entries and the errors of a transaction's reply."""
    obj = _mapping(value, "the body")
    if "Results" not in obj or "Errors" not in obj:
        raise ShapeError("Results or Errors is missing")
    results = listed(obj.get("Results"), lambda v: _mapping(v, "a result"), "Results")
    entries = tuple(kv_entry(r["KV"]) for r in results if r.get("KV") is not None)
    return entries, listed(obj.get("Errors"), _txn_error, "Errors")


def _txn_error(value: object) -> TxnError:
    obj = _mapping(value, "an error")
    return TxnError(_number(obj, "OpIndex"), _text(obj, "What"))


def session_id(value: object) -> str:
    """The id in the reply to a session's creation."""
    return _needed_text(_mapping(value, "the body"), "ID")


def session(value: object) -> Session:
    """A session. Its checks come in up to three lists; the servers treat them as one."""
    obj = _mapping(value, "a session")
    services = listed(
        obj.get("ServiceChecks"),
        lambda v: _needed_text(_mapping(v, "a service check"), "ID"),
        "ServiceChecks",
    )
    checks = (*_texts(obj.get("NodeChecks"), "NodeChecks"), *services)
    checks = (*checks, *_texts(obj.get("Checks"), "Checks"))
    return Session(
        id=_needed_text(obj, "ID"),
        name=_text(obj, "Name"),
        node=_needed_text(obj, "Node"),
        checks=tuple(dict.fromkeys(checks)),
        lock_delay_s=_number(obj, "LockDelay") / 1e9,
        ttl_s=_seconds(_text(obj, "TTL")),
        behavior=_text(obj, "Behavior"),
        create_index=_number(obj, "CreateIndex"),
    )


_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,12})?(?:h|ms|m|s|us|µs|ns))+")
_DURATION_PART = re.compile(r"([0-9.]+)(h|ms|m|s|us|µs|ns)")


def _seconds(duration: str) -> float | None:
    """Go's notation (``15s``, ``1m30s``) in seconds; None for the empty string."""
    if not duration:
        return None
    if len(duration) > 60 or not _DURATION.fullmatch(duration):
        raise ShapeError("TTL is not a duration")
    return sum(float(n) * _UNIT_S[unit] for n, unit in _DURATION_PART.findall(duration))


def check(value: object) -> HealthCheck:
    """A check of the catalog or of the agent."""
    obj = _mapping(value, "a check")
    return HealthCheck(
        node=_text(obj, "Node"),
        check_id=_needed_text(obj, "CheckID"),
        name=_text(obj, "Name"),
        status=CheckStatus.parse(obj.get("Status")),
        output=_text(obj, "Output"),
        notes=_text(obj, "Notes"),
        service_id=_text(obj, "ServiceID"),
        service_name=_text(obj, "ServiceName"),
    )


def health_instance(value: object) -> ServiceInstance:
    """One entry of ``/v1/health/service``."""
    obj = _mapping(value, "an entry")
    node = node_info(obj.get("Node"))
    checks = listed(obj.get("Checks"), check, "Checks")
    return _instance(_mapping(obj.get("Service"), "Service"), node, checks)


def agent_service(value: object) -> ServiceInstance:
    """One entry of ``/v1/agent/services``, which knows neither node nor checks."""
    return _instance(_mapping(value, "a service"), NodeInfo("", ""), ())


def _instance(
    obj: Mapping[str, object], node: NodeInfo, checks: tuple[HealthCheck, ...]
) -> ServiceInstance:
    return ServiceInstance(
        node=node.name,
        node_address=node.address,
        id=_needed_text(obj, "ID"),
        name=_needed_text(obj, "Service"),
        address=_text(obj, "Address"),
        port=_number(obj, "Port"),
        tags=_texts(obj.get("Tags"), "Tags"),
        meta=_meta(obj, "Meta"),
        checks=checks,
    )


def node_info(value: object) -> NodeInfo:
    """One entry of ``/v1/catalog/nodes``."""
    obj = _mapping(value, "a node")
    return NodeInfo(_needed_text(obj, "Node"), _text(obj, "Address"), _meta(obj, "Meta"))


def tags(value: object) -> tuple[str, ...]:
    """A service's tags in ``/v1/catalog/services``."""
    return _texts(value, "tags")


def agent_info(value: object) -> AgentInfo:
    """``/v1/agent/self``."""
    obj = _mapping(value, "the body")
    config = _mapping(obj.get("Config"), "Config")
    return AgentInfo(
        node_name=_needed_text(config, "NodeName"),
        address=_text(_mapping(obj.get("Member") or {}, "Member"), "Addr"),
        datacenter=_text(config, "Datacenter"),
        version=_text(config, "Version"),
        server=config.get("Server") is True,
        raft_election_s=_raft_election_s(obj),
    )


def _raft_election_s(obj: Mapping[str, object]) -> float | None:
    """Out of a part of the reply whose shape Consul does not promise."""
    debug = obj.get("DebugConfig")
    told = debug.get("ConsulRaftElectionTimeout") if isinstance(debug, dict) else None
    try:
        return _seconds(told) if isinstance(told, str) else None
    except ShapeError:
        return None
