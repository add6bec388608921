"""What came of an operation, and the steps on the way there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any

from coord.operations.asks import Operation
from coord.operations.model import Preview, Refused


class StepKind(StrEnum):
    """What has been seen to happen."""

    REQUESTED = "requested"
    """What is asked stands in Consul."""
    SESSION_DESTROYED = "session_destroyed"
    """The leader's session is gone, by a forced release."""
    ANSWERED = "answered"
    """The leader has read it, and its work is stopping."""
    RELEASED = "released"
    """Nobody holds the lock any more; detail: why, as the record says."""
    ACQUIRED = "acquired"
    """Somebody holds it, under a newer term."""
    WORKS = "works"
    """The new leader works: its service passes."""
    TOLD = "told"
    """A node says that it has seen what is asked."""
    TAKEN_AWAY = "taken_away"
    """What was asked stands no longer."""
    LOST_CONTACT = "lost_contact"
    """Consul does not answer; it is tried on."""
    CONTACT_AGAIN = "contact_again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was seen, `at_ms` milliseconds after what was asked was sent."""

    kind: StepKind
    at_ms: int
    node: str = ""
    term: int = 0
    detail: str = ""


class OutcomeWord(StrEnum):
    """What came of it; the words stand in the audit, where "begun" means: not known (yet)."""

    DONE = "done"
    FELL_BACK = "fell_back"
    """Of a transfer: another than the one that was named took over."""
    CAME_BACK = "came_back"
    """The same node leads again."""
    NOT_ANSWERED = "not_answered"
    """Who was asked did nothing in time."""
    STILL_STOPPING = "still_stopping"
    """The leader answered, but its work has not stopped in time."""
    NO_SUCCESSOR = "no_successor"
    """The leader is gone, and nobody took over in time."""
    NOT_WORKING = "not_working"
    """Somebody took over, but was not seen to work in time."""
    SUPERSEDED = "superseded"
    """Another operator's request took the place of this one, or somebody took it away."""
    REFUSED = "refused"
    """Nothing was changed: what it was decided on is so no longer."""
    NOT_PERMITTED = "not_permitted"
    """The token does not allow it."""
    UNREACHABLE = "unreachable"
    """Consul was not reached, and nothing was changed."""
    UNKNOWN = "unknown"
    """Consul was lost meanwhile: it may have been done."""
    INTERRUPTED = "interrupted"
    """The operator did not wait for what came of it."""


class GapSource(StrEnum):
    """Who measured a gap."""

    JOURNAL = "journal"
    """The new leader, which knows its parts."""
    WATCHED = "watched"
    """Whoever watched: from the release of the lock to the new leader's passing service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of an operation.

    stands: what was asked stands in Consul: a drain or a pause, or a request that could not be
        taken back.
    new_leader, new_term: who leads since, where somebody new does.
    gap_ms: how long nobody worked, None where not known; phases: its parts, in milliseconds by
        name, where the new leader told them.
    waiting: why each candidate does not lead, by node, where nobody took over; or who has not said
        that it has seen what was asked.
    refusal: where it is `REFUSED`.
    recorded: the audit has the outcome.
    """

    operation: Operation
    request_id: str
    word: OutcomeWord
    detail: str
    hint: str = ""
    stands: bool = False
    took_ms: int = 0
    new_leader: str = ""
    new_term: int = 0
    gap_ms: int | None = None
    gap_source: GapSource | None = None
    phases: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    waiting: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    refusal: Refused | None = None
    recorded: bool = False

    @property
    def ok(self) -> bool:
        """Whether it came out as asked."""
        return self.word is OutcomeWord.DONE


def to_dict(item: Preview | Refused | Step | Outcome) -> dict[str, Any]:
    """As JSON has it: fields by name under their `kind`, enums by value, times as ISO 8601."""
    kinds = {Preview: "preview", Refused: "refused", Step: "step", Outcome: "outcome"}
    data: dict[str, Any] = {"kind": kinds[type(item)]}
    plain = {each.name: _plain(getattr(item, each.name)) for each in fields(item)}
    if isinstance(item, Step):
        plain["step"] = plain.pop("kind")
    if isinstance(item, Preview):
        plain["successor"] = item.successor.node if item.successor else None
        if item.gap is not None:
            plain["gap"]["expected_ms"] = item.gap.expected_ms
    if isinstance(item, Outcome):
        plain["outcome"] = plain.pop("word")
    return data | plain


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
