"""Snapshots as JSON has them, and back. Pure.

The runbooks are left out: they are those of the installation that shows the recording.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from console.snapshot import Contact, Examination, Failing, Said, Snapshot
from coord.consul import (
    ConsulError,
    ConsulNotFound,
    ConsulNotPermitted,
    ConsulRefused,
    ConsulUnavailable,
)
from coord.doctor import Progress, Report
from coord.history import Past
from coord.polling.board import PollBoard
from coord.polling.summary import PollSummary
from coord.status import ClusterStatus
from coord.status.as_json import plain_value
from coord.status.sessions import SessionListing

Tree = dict[str, Any]
"""A snapshot as JSON has it: its fields by name."""

LEFT_OUT = frozenset({"runbooks"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An error of Consul's: its kind, and its fields as far as that kind has them."""

    kind: Literal["refused", "unavailable", "not_permitted", "not_found", "other"]
    operation: str
    detail: str
    status: int | None = None
    no_leader: bool = False
    outcome_unknown: bool = False

    @classmethod
    def of(cls, error: ConsulError) -> Fault:
        """Everything that an error says."""
        told: dict[str, Any] = {"operation": error.operation, "detail": error.detail}
        match error:
            case ConsulRefused():
                return cls(kind="refused", status=error.status, **told)
            case ConsulUnavailable():
                told |= {"no_leader": error.no_leader, "outcome_unknown": error.outcome_unknown}
                return cls(kind="unavailable", status=error.status, **told)
            case ConsulNotPermitted():
                return cls(kind="not_permitted", status=error.status, **told)
            case ConsulNotFound():
                return cls(kind="not_found", **told)
        return cls(kind="other", **told)

    def error(self) -> ConsulError:
        """The error again."""
        said = (self.operation, self.detail)
        match self.kind:
            case "refused":
                return ConsulRefused(*said, status=self.status or 0)
            case "not_permitted":
                return ConsulNotPermitted(*said, status=self.status or 0)
            case "not_found":
                return ConsulNotFound(*said)
            case "unavailable":
                return ConsulUnavailable(
                    *said,
                    no_leader=self.no_leader,
                    outcome_unknown=self.outcome_unknown,
                    status=self.status,
                )
        return ConsulError(*said)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failing:
    since: float
    error: Fault

    def whole(self) -> Failing:
        return Failing(self.since, self.error.error())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Examination:
    began_at: float
    stage_at: float
    progress: Progress | None = None
    report: Report | None = None
    reported_at: float = 0.0
    error: Fault | None = None
    called_off: bool = False

    def whole(self) -> Examination:
        told = {each.name: getattr(self, each.name) for each in fields(self)}
        return Examination(**told | {"error": None if self.error is None else self.error.error()})


_SHAPES: dict[str, TypeAdapter[Any]] = {
    "election": TypeAdapter(str),
    "address": TypeAdapter(str),
    "status": TypeAdapter(ClusterStatus | None),
    "read_at": TypeAdapter(float),
    "failing": TypeAdapter(_Failing | None),
    "past": TypeAdapter(Past | None),
    "past_error": TypeAdapter(Fault | None),
    "contact": TypeAdapter(Contact),
    "sessions": TypeAdapter(SessionListing | None),
    "sessions_at": TypeAdapter(float),
    "sessions_error": TypeAdapter(Fault | None),
    "polls": TypeAdapter(PollSummary | None),
    "poll_board": TypeAdapter(PollBoard | None),
    "polls_error": TypeAdapter(Fault | None),
    "said": TypeAdapter(Said | None),
    "examination": TypeAdapter(_Examination | None),
}

_NOT_IN_ALL = frozenset({"polls", "polls_error", "poll_board", "said"})
"""What recordings of older formats do not have."""


def plain(value: object) -> Any:
    """One field as JSON has it."""
    match value:
        case ConsulError():
            return plain_value(Fault.of(value))
        case Failing():
            return {"since": value.since, "error": plain(value.error)}
        case Examination():
            return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    return plain_value(value)


class Encoder:
    """Makes trees of snapshots. What one shares with the one before is not made anew."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[object, Any]] = {}

    def tree(self, snapshot: Snapshot) -> Tree:
        """The snapshot as JSON has it."""
        for each in fields(snapshot):
            if each.name in LEFT_OUT:
                continue
            value = getattr(snapshot, each.name)
            if each.name not in self._last or self._last[each.name][0] is not value:
                self._last[each.name] = (value, plain(value))
        return {name: tree for name, (_, tree) in self._last.items()}


class Decoder:
    """Makes snapshots of trees. What one shares with the one before is not made anew."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[Any, Any]] = {}

    def snapshot(self, tree: Tree) -> Snapshot:
        """The snapshot.

        Raises:
            ValueError: the tree is none of one; names the field.
        """
        unknown = tree.keys() - _SHAPES.keys()
        missing = _SHAPES.keys() - tree.keys() - _NOT_IN_ALL
        if unknown or missing:
            name = sorted(unknown or missing)[0][:40]
            raise ValueError(f"{name}: {'no such field is known' if unknown else 'is missing'}")
        made = {name: self._field(name, value) for name, value in tree.items()}
        return Snapshot(**made)

    def _field(self, name: str, tree: Any) -> Any:
        last = self._last.get(name)
        if last is not None and last[0] is tree:
            return last[1]
        made = None if last is None else _read_again(*last, tree)
        made = _made(name, tree) if made is None else made
        self._last[name] = (tree, made)
        return made


def _read_again(old: Any, known: Any, new: Any) -> ClusterStatus | None:
    """The status that was read again and says the same: most are. None: it is not one."""
    if not (isinstance(known, ClusterStatus) and isinstance(old, dict) and isinstance(new, dict)):
        return None
    if old.keys() != new.keys() or any(old[k] is not new[k] for k in new if k != "at_ms"):
        return None
    at_ms = new["at_ms"]
    return replace(known, at_ms=at_ms) if type(at_ms) is int else None


def _made(name: str, tree: Any) -> Any:
    try:
        # As JSON, where a text may be a moment or a word of a list, and nothing else may.
        found = _SHAPES[name].validate_json(json.dumps(tree, allow_nan=False))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:40] for part in (name, *first["loc"]))
        raise ValueError(f"{where}: {first['msg']}") from None
    except ValueError:
        raise ValueError(f"{name}: a number that is none") from None
    if isinstance(found, float) and not math.isfinite(found):
        raise ValueError(f"{name}: a number that is none")
    match found:
        case Fault():
            return found.error()
        case _Failing() | _Examination():
            return found.whole()
    return found
