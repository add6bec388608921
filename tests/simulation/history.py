"""What happened in a simulated world, in order: written while it runs, judged afterwards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import fields
from enum import StrEnum
from typing import Any, Final, NamedTuple

from coord.telemetry import CATALOGUE, Event


class What(StrEnum):
    """What an entry tells of."""

    STARTED = "started"
    """A process starts."""
    EXITED = "exited"
    """A process has ended; its status: 0 after a graceful end."""
    FROZEN = "frozen"
    """A process stands still."""
    HUNG = "hung"
    """Its event loop is blocked."""
    THAWED = "thawed"
    """It goes on."""
    STOPPING = "stopping"
    """A process was asked to end gracefully."""
    BEGUN = "begun"
    """Work begins: term, process."""
    ENDED = "ended"
    """All of that work has ended: term, process."""
    ACTED = "acted"
    """Work did something that others see, having asked its guard: term."""
    RECEIVED = "received"
    """The fenced receiver took, or refused, a message: term, sender, taken."""
    WROTE = "wrote"
    """A fenced write landed in Consul: term, key."""
    ACQUIRED = "acquired"
    """The lock was taken: node, term, session."""
    RELEASED = "released"
    """The lock was given back: node, term, session, and what the term key says by then."""
    INVALIDATED = "invalidated"
    """A session ended in Consul."""
    RESTORED = "restored"
    """Consul went back to an earlier state."""
    TOLD = "told"
    """A telemetry event: its name, its term, its own fields."""
    FAULT = "fault"
    """Something was done to the world: a kind of fault, and of an operator's act what it did."""
    HIT = "hit"
    """What that fault hit, and for how long: a process, an agent, a server, or the network and its
    ways, FROM>TO and ONE<>OTHER. What is done once to the node of the `fault` is not told again."""
    UNDONE = "undone"
    """That is over."""
    FAILED = "failed"
    """An exception that nobody handled."""
    LISTED = "listed"
    """Several instances of the leader's service passed in the catalog: for so many seconds, in so
    many of which Consul had no leader, and nothing could be corrected."""
    JOB = "job"
    """Of a poll: an attempt is written down before it is made (asked: job, attempt, term), a
    result is (result: schedule, when it was due), a job is taken off without one (lost), or all of
    it was deleted (forgotten)."""
    ORDERED = "ordered"
    """An operator's request of a leader landed in Consul: its id, of which term, what."""
    PHASE = "phase"
    """A part of the history begins."""


FIELDS: Final[dict[What, tuple[str, ...]]] = {
    What.STARTED: ("boot", "excused"),
    What.EXITED: ("status",),
    What.BEGUN: ("term",),
    What.ENDED: ("term",),
    What.ACTED: ("term",),
    What.RECEIVED: ("term", "taken"),
    What.WROTE: ("term", "key"),
    What.ACQUIRED: ("term", "session"),
    What.RELEASED: ("term", "session", "term_key"),
    What.INVALIDATED: ("why",),
    What.RESTORED: ("to_index",),
    What.TOLD: ("event", "term"),
    What.FAULT: ("kind", "said"),
    What.HIT: ("kind", "for_s", "ways"),
    What.UNDONE: ("kind", "ways"),
    What.FAILED: ("message", "error"),
    What.LISTED: ("for_s", "leaderless_s"),
    What.JOB: ("state", "job"),
    What.ORDERED: ("request", "of_term", "asked"),
    What.PHASE: ("name",),
}
"""What the details of each kind of entry are called."""


def own_fields(kind: type[Event]) -> tuple[str, ...]:
    """The fields of a telemetry event that not all events have; a new leader's name is the first.

    They are the details of its entry, after its name and its term.
    """
    common = {field.name for field in fields(Event)}
    own = [field.name for field in fields(kind) if field.name not in common]
    return tuple(sorted(own, key=lambda name: name != "new_leader"))


TOLD_FIELDS: Final = {kind.NAME: own_fields(kind) for kind in CATALOGUE}

JOB_FIELDS: Final = {
    "asked": ("state", "job", "attempt", "term"),
    "result": ("state", "schedule", "due_ms"),
}


class Entry(NamedTuple):
    """One thing that happened. at: true time, in seconds."""

    at: float
    what: What
    who: str
    details: tuple[Any, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What its details are called."""
        names = FIELDS.get(self.what, ())
        if self.what is What.TOLD:
            return names + TOLD_FIELDS.get(self.details[0], ())
        if self.what is What.JOB:
            return JOB_FIELDS.get(self.details[0], names)
        return names

    def __str__(self) -> str:
        """``AT  WHAT  WHO  name=value …``; what is not known is left out."""
        named = zip(self.names, self.details, strict=False)
        told = " ".join(f"{name}={_shown(value)}" for name, value in named if value not in _UNKNOWN)
        return f"{self.at:12.6f}  {self.what:<11} {self.who:<10} {told}".rstrip()


_UNKNOWN = (None, "")


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if " " in text else text


class History:
    """All that happened."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def add(self, at: float, what: What, who: str, *details: Any) -> None:
        """One more thing happened."""
        self.entries.append(Entry(at, what, who, details))

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def lines(self) -> Iterator[str]:
        """The history as text, a line each."""
        return map(str, self.entries)

    def digest(self) -> str:
        """A hash of every byte of it."""
        digest = hashlib.sha256()
        for line in self.lines():
            digest.update(line.encode())
            digest.update(b"\n")
        return digest.hexdigest()
