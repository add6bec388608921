"""What the witness concludes from the messages that arrive. PURE: arrival times are arguments.

Two nodes worked at once if a message of an older term arrives after one of a newer term, or if a
term has messages of two processes. One thing is told apart: a message whose sender stood still
between its last look at its lease and the sending. No timing can keep that message back, only
whoever receives it can refuse it, so it is refused, and counted as late.

All times are CLOCK_MONOTONIC, in seconds: one clock for all processes of a machine.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Self, TypeVar

T = TypeVar("T")

PAUSE_S = 0.25
"""Silence in the middle of a term that is worth mentioning."""

KEEP = 100
"""So many of each kind of finding are kept one by one; all are counted."""

KEEP_PAUSES = 5000

STOOD_STILL_S = 0.5
"""A sender that took this long from its look at the lease to the arrival has stood still. Much
more than a busy machine takes, and less than what lies between two leaders."""

WORK = "work"
STEP = "step"
HEARD = "heard"
WRITE_KINDS = ("wrote", "refused", "failed")
KINDS = (WORK, STEP, HEARD, *WRITE_KINDS)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the work.

    kind: ``work``; ``step``, a part of a longer write, which is answered; ``heard``: its sender has
        heard that a step was refused; or what became of a write in Consul: ``wrote``, ``refused``,
        ``failed``.
    sent: by the sender's clock, just before its last look at the lease: from then on it may have
        stood still.
    """

    kind: str
    node: str
    term: int
    pid: int
    seq: int
    sent: float
    why: str = ""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a datagram. Raises ValueError: it is not a message."""
        data = json.loads(raw)
        if not isinstance(data, dict):
            raise ValueError("not an object")
        try:
            message = cls(**data)
        except TypeError as error:
            raise ValueError(str(error)) from None
        numbers = (message.term, message.pid, message.seq)
        if message.kind not in KINDS or not all(type(n) is int for n in numbers):
            raise ValueError("unknown kind, or a number that is none")
        return message


@dataclass(frozen=True, slots=True)
class TermSeen:
    """One term's work: by whom, and when its first and last message arrived."""

    term: int
    node: str
    pid: int
    first_at: float
    last_at: float
    messages: int


@dataclass(frozen=True, slots=True)
class Stale:
    """A message of an older term that arrived while a newer one worked.

    held_s: for how long its sender had not looked at its lease.
    """

    term: int
    node: str
    pid: int
    at: float
    newer_term: int
    newer_node: str
    kind: str
    held_s: float


@dataclass(frozen=True, slots=True)
class Double:
    """A second process that worked in a term that another had already worked in."""

    term: int
    node: str
    pid: int
    at: float
    first_node: str
    first_pid: int


@dataclass(frozen=True, slots=True)
class Gap:
    """From the last message of a term to the first of the next that worked; negative: overlap."""

    from_term: int
    from_node: str
    to_term: int
    to_node: str
    gap_s: float


@dataclass(frozen=True, slots=True)
class Pause:
    """A silence of at least `PAUSE_S` within one term, and when it ended."""

    term: int
    node: str
    ended_at: float
    pause_s: float


@dataclass(frozen=True, slots=True)
class Write:
    """What became of a write that did not go through."""

    kind: str
    term: int
    node: str
    at: float
    why: str


@dataclass(frozen=True, slots=True)
class WitnessReport:
    """What was seen, up to `at`.

    stale_count, late_count, double_count, unwritten_count: of all; the tuples hold the first
        `KEEP`.
    late: stale messages of senders that had stood still; no overlap.
    refused: stale messages, of either kind, that asked for an answer and were told no.
    refusals_heard: so many of these answers were heard, as far as their senders could still tell.
    lost: messages that never arrived, by the holes in each process's numbers.
    unreadable: datagrams that were no messages.
    slowest_s: the longest that a message took from being made to being judged.
    """

    at: float
    terms: tuple[TermSeen, ...]
    gaps: tuple[Gap, ...]
    stale: tuple[Stale, ...]
    stale_count: int
    late: tuple[Stale, ...]
    late_count: int
    refused: int
    refusals_heard: int
    doubles: tuple[Double, ...]
    double_count: int
    pauses: tuple[Pause, ...]
    wrote: int
    unwritten: tuple[Write, ...]
    unwritten_count: int
    messages: int
    lost: int
    unreadable: int
    slowest_s: float

    @property
    def overlapped(self) -> bool:
        """Whether two ever worked at once."""
        return self.stale_count > 0 or self.double_count > 0

    def term(self, term: int) -> TermSeen | None:
        """What was seen of that term."""
        return next((seen for seen in self.terms if seen.term == term), None)

    def gap_to(self, term: int) -> Gap | None:
        """The gap that ended when that term began to work."""
        return next((gap for gap in self.gaps if gap.to_term == term), None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"overlapped": self.overlapped}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The other way round."""
        kinds: dict[str, Any] = {
            "terms": TermSeen,
            "gaps": Gap,
            "stale": Stale,
            "late": Stale,
            "doubles": Double,
            "pauses": Pause,
            "unwritten": Write,
        }
        plain = {key: value for key, value in data.items() if key != "overlapped"}
        for name, kind in kinds.items():
            plain[name] = tuple(kind(**item) for item in plain[name])
        return cls(**plain)


@dataclass(slots=True)
class _Numbers:
    """The numbers that arrived from one process."""

    first: int
    last: int
    count: int = 0

    def take(self, seq: int) -> None:
        self.first, self.last = min(self.first, seq), max(self.last, seq)
        self.count += 1

    @property
    def lost(self) -> int:
        return self.last - self.first + 1 - self.count


@dataclass(slots=True)
class _Findings:
    stale: list[Stale] = field(default_factory=list)
    late: list[Stale] = field(default_factory=list)
    doubles: list[Double] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    unwritten: list[Write] = field(default_factory=list)


class Judge:
    """Hears every message in the order of arrival; `report` can be asked at any time."""

    def __init__(self) -> None:
        self._terms: dict[int, TermSeen] = {}
        self._begun_by: dict[int, float] = {}
        self._order: list[int] = []
        self._numbers: dict[tuple[str, int], _Numbers] = {}
        self._found = _Findings()
        self._stale = self._late = self._doubles = self._unwritten = self._wrote = 0
        self._refused = self._refusals_heard = 0
        self._messages = self._unreadable = 0
        self._slowest = 0.0

    @property
    def newest(self) -> TermSeen | None:
        """The term with the highest number that has worked."""
        return self._terms[max(self._terms)] if self._terms else None

    def hear_raw(self, raw: bytes, at: float) -> Message | None:
        """Hear a datagram that arrived at `at`; None if it was no message."""
        try:
            message = Message.parse(raw)
        except ValueError:
            self._unreadable += 1
            return None
        self.hear(message, at)
        return message

    def hear(self, message: Message, at: float) -> bool:
        """Hear a message that arrived at `at`; False: it is refused, a newer term has worked."""
        self._messages += 1
        if message.kind == STEP:
            taken = self._hear_work(message, at)
            self._refused += not taken
            return taken
        self._slowest = max(self._slowest, at - message.sent)
        process = (message.node, message.pid)
        numbers = self._numbers.setdefault(process, _Numbers(message.seq, message.seq))
        numbers.take(message.seq)
        if message.kind == WORK:
            return self._hear_work(message, at)
        if message.kind == HEARD:
            self._refusals_heard += 1
        else:
            self._hear_write(message, at)
        return True

    def _hear_work(self, message: Message, at: float) -> bool:
        newest = self.newest
        stale = newest is not None and message.term < newest.term
        if stale and self._is_late(message, at):
            return False
        seen = self._terms.get(message.term)
        if seen is None:
            self._order.append(message.term)
            self._begun_by[message.term] = message.sent
            self._terms[message.term] = TermSeen(message.term, message.node, message.pid, at, at, 1)
            return not stale
        if (seen.node, seen.pid) != (message.node, message.pid):
            self._doubles += 1
            _keep(
                self._found.doubles,
                Double(message.term, message.node, message.pid, at, seen.node, seen.pid),
            )
        if at - seen.last_at >= PAUSE_S:
            pause = Pause(message.term, message.node, at, at - seen.last_at)
            _keep(self._found.pauses, pause, KEEP_PAUSES)
        self._terms[message.term] = TermSeen(
            seen.term, seen.node, seen.pid, seen.first_at, at, seen.messages + 1
        )
        return not stale

    def _is_late(self, message: Message, at: float) -> bool:
        """Note a stale message; whether its sender stood still before it and explains it so.

        One that has looked at its lease since the newer term began has no such excuse.
        """
        newest = self.newest
        assert newest is not None
        found = Stale(
            message.term,
            message.node,
            message.pid,
            at,
            newest.term,
            newest.node,
            message.kind,
            at - message.sent,
        )
        late = found.held_s >= STOOD_STILL_S and message.sent < self._begun_by[newest.term]
        self._late += late
        self._stale += not late
        _keep(self._found.late if late else self._found.stale, found)
        return late

    def _hear_write(self, message: Message, at: float) -> None:
        # Not judged: a node may be frozen between a write that went through and telling of it.
        # Whether a write landed too late, the key in Consul says.
        if message.kind == "wrote":
            self._wrote += 1
            return
        self._unwritten += 1
        _keep(
            self._found.unwritten,
            Write(message.kind, message.term, message.node, at, message.why),
        )

    def report(self, at: float) -> WitnessReport:
        """Everything up to now."""
        return WitnessReport(
            at=at,
            terms=tuple(self._terms[term] for term in self._order),
            gaps=self._gaps(),
            stale=tuple(self._found.stale),
            stale_count=self._stale,
            late=tuple(self._found.late),
            late_count=self._late,
            refused=self._refused,
            refusals_heard=self._refusals_heard,
            doubles=tuple(self._found.doubles),
            double_count=self._doubles,
            pauses=tuple(self._found.pauses),
            wrote=self._wrote,
            unwritten=tuple(self._found.unwritten),
            unwritten_count=self._unwritten,
            messages=self._messages,
            lost=sum(numbers.lost for numbers in self._numbers.values()),
            unreadable=self._unreadable,
            slowest_s=self._slowest,
        )

    def _gaps(self) -> tuple[Gap, ...]:
        terms = [self._terms[term] for term in sorted(self._terms)]
        return tuple(
            Gap(old.term, old.node, new.term, new.node, new.first_at - old.last_at)
            for old, new in itertools.pairwise(terms)
        )


def _keep(kept: list[T], item: T, most: int = KEEP) -> None:
    if len(kept) < most:
        kept.append(item)
