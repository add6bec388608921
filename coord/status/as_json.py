"""A snapshot, or one node out of it, as JSON has it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from pydantic import BaseModel
from typing_extensions import TypedDict

from coord.members import Seen
from coord.status.denial import lacks
from coord.status.model import ClusterStatus, Condition
from coord.status.node import NodeStatus
from coord.status.rows import namesakes
from coord.status.words import pause_left_ms


class Derived(TypedDict):
    """What is said of a cluster before its own fields, and follows from them.

    leader_node: who leads; null while nobody does, or it cannot be read.
    election_state: what the leader key is like.
    namesakes: the names that several passing nodes have, each with their addresses.
    paused: whether the election is paused; null where that is not to be seen.
    pause_left_ms: for about how many milliseconds more; below zero: it was to be over by now. null
        unless it is paused.
    drained: the nodes that are drained; null where that is not to be seen.
    lacks: the rights that the token lacks to see all, as Consul's policies name them.
    health_is_current: whether who found what `health` says leads still, in the same term.
    """

    leader_node: str | None
    election_state: Condition
    namesakes: Mapping[str, list[str]]
    paused: bool | None
    pause_left_ms: int | None
    drained: list[str] | None
    lacks: list[str]
    health_is_current: bool


def to_dict(status: ClusterStatus | NodeStatus) -> dict[str, Any]:
    """As JSON has it: fields by name, enums by value, times as ISO 8601.

    A cluster's begins with who leads, whether anybody does, which names several passing nodes
    have (name -> addresses), whether the election is paused and for about how many milliseconds
    more, and which nodes are drained: null where that is not to be seen; and which rights the
    token lacks to see all. A node's says for about how many milliseconds more it waits. A list's
    `seen` says whether it can be relied on.
    """
    if isinstance(status, ClusterStatus):
        return {**_of_cluster(status), **dict(_fields(status))}
    return dict(_fields(status)) | {"left_ms": status.left_ms}


def _of_cluster(status: ClusterStatus) -> Derived:
    asked, known = status.controls.asked, status.controls.seen is Seen.KNOWN
    pause = asked.pause
    return {
        "leader_node": status.leader_node,
        "election_state": status.leader.condition,
        "namesakes": plain_value(namesakes(status)),
        "paused": pause is not None if known or pause else None,
        "pause_left_ms": pause_left_ms(pause, status.now_ms) if pause else None,
        "drained": sorted(asked.drained) if known else None,
        "lacks": list(lacks(status)),
        "health_is_current": status.health_is_current,
    }


def to_json(status: ClusterStatus | NodeStatus, *, indent: int | None = 2) -> str:
    """The same as text: plain ASCII, so that no name in it can reach a terminal's controls."""
    return encoded(to_dict(status), indent=indent)


def encoded(value: Any, *, indent: int | None = 2) -> str:
    """What `plain_value` makes of it, as text in plain ASCII."""
    return json.dumps(plain_value(value), indent=indent, ensure_ascii=True)


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    for field in fields(value):
        yield field.name, plain_value(getattr(value, field.name))


def plain_value(value: Any) -> Any:
    """A value, dataclasses and records in it, as JSON has it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return dict(_fields(value))
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain_value(item) for item in value]
    return value
