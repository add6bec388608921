"""What the nodes told of each tenure: journal entries, sorted out by term and node. Pure.

Every node may write there, and whoever has a token for the store: nothing is taken for granted.
Within one node the keys of its entries are in the order of what happened, as it names them by a
time that never goes back; between nodes no time can be compared but roughly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from coord.election.reasons import TakeoverOutcome
from coord.telemetry import (
    BecameLeader,
    ChildRestarted,
    LeaderChanged,
    LeaderDown,
    LostLeadership,
    Resumed,
    StepDownRequested,
    Suspended,
    TakeoverAttempted,
)
from coord.telemetry.journal import JournalEntry

_MAX_SPAN_MS = 10**10
_TOOK = (TakeoverOutcome.WON.value, TakeoverOutcome.ADOPTED.value)
_OWN = frozenset(
    kind.EVENT
    for kind in (
        BecameLeader,
        LeaderChanged,
        LostLeadership,
        StepDownRequested,
        Suspended,
        Resumed,
        ChildRestarted,
        TakeoverAttempted,
    )
)


@dataclass(slots=True)
class Told:
    """What one node told of one tenure of its own.

    took, began, changed, lost: the entry that says it took the lock, leads, works, leads no more.
    stopped: those that say its work was suspended, each with the one that says it was resumed.
    """

    term: int
    node: str
    took: JournalEntry | None = None
    began: JournalEntry | None = None
    changed: JournalEntry | None = None
    lost: JournalEntry | None = None
    asked: list[JournalEntry] = field(default_factory=list)
    stopped: list[tuple[JournalEntry, JournalEntry | None]] = field(default_factory=list)
    suspended_ms: int = 0
    restarts: int = 0
    first_ms: int = 0
    era: int = 0
    """How often the terms had begun anew before it."""

    @property
    def from_ms(self) -> int | None:
        """When it began to lead; the start of its work where only that is told."""
        entry = self.began or self.took
        if entry is not None:
            return entry.at_ms
        if self.changed is None or self.changed.at_ms is None:
            return None
        return self.changed.at_ms - (whole(self.changed, "start_ms") or 0)


@dataclass(frozen=True, slots=True)
class Sorted:
    """What the journal tells.

    tenures: in the order in which they followed each other, as far as that can be told.
    abandoned: terms that were taken and given back at once, by era-less number.
    gone: what others told of the end of a leader, in the order of their clocks.
    """

    tenures: tuple[Told, ...]
    abandoned: frozenset[int]
    gone: tuple[JournalEntry, ...]


def sorted_out(entries: Iterable[JournalEntry]) -> Sorted:
    """Sort out whatever can be read; in any order, and each as often as one likes."""
    once = {entry.key: entry for entry in entries if not entry.problem}
    ordered = sorted(once.values(), key=_order)
    groups: dict[tuple[int, str], list[JournalEntry]] = {}
    abandoned: set[int] = set()
    for entry in ordered:
        if entry.term is None or not entry.node or not _is_own(entry):
            continue
        if text(entry, "outcome") == TakeoverOutcome.ABANDONED.value:
            abandoned.add(entry.term)
            continue
        groups.setdefault((entry.term, entry.node), []).append(entry)
    found = [told for key, group in groups.items() for told in _tenures_of(*key, group)]
    gone = tuple(entry for entry in ordered if entry.event == LeaderDown.EVENT)
    return Sorted(_in_order(found), frozenset(abandoned), gone)


def _order(entry: JournalEntry) -> tuple[int, str]:
    return (entry.at_ms or 0, entry.key)


def _is_own(entry: JournalEntry) -> bool:
    """Whether it tells of the leadership of who wrote it."""
    if entry.event == LeaderChanged.EVENT:
        return text(entry, "new_leader") == entry.node
    if entry.event == TakeoverAttempted.EVENT:
        outcome = text(entry, "outcome")
        return outcome in _TOOK or outcome == TakeoverOutcome.ABANDONED.value
    return entry.event in _OWN


def _tenures_of(term: int, node: str, entries: Sequence[JournalEntry]) -> list[Told]:
    """The tenures of one node under one term: more than one if Consul was put back meanwhile."""
    found: list[Told] = []
    for entry in entries:
        begins = entry.event in (BecameLeader.EVENT, TakeoverAttempted.EVENT)
        over = bool(found) and (
            (begins and found[-1].lost is not None)
            or (entry.event == BecameLeader.EVENT and found[-1].began is not None)
        )
        if not found or over:
            found.append(Told(term, node, first_ms=entry.at_ms or 0))
        _take_in(found[-1], entry)
    return found


def _take_in(told: Told, entry: JournalEntry) -> None:
    match entry.event:
        case TakeoverAttempted.EVENT:
            told.took = told.took or entry
        case BecameLeader.EVENT:
            told.began = entry
        case LeaderChanged.EVENT:
            told.changed = told.changed or entry
        case LostLeadership.EVENT:
            told.lost = told.lost or entry
        case StepDownRequested.EVENT:
            told.asked.append(entry)
        case Suspended.EVENT:
            told.stopped.append((entry, None))
        case Resumed.EVENT:
            if told.stopped:
                told.stopped[-1] = (told.stopped[-1][0], entry)
            told.suspended_ms += whole(entry, "suspended_ms") or 0
        case ChildRestarted.EVENT:
            told.restarts += 1


def _in_order(found: Iterable[Told]) -> tuple[Told, ...]:
    """By term, which all nodes agree on, unlike their clocks; a term that comes again begins a new
    era, as after a restore of Consul."""
    era, terms = 0, set[int]()
    by_time = sorted(found, key=lambda told: (told.first_ms, told.term, told.node))
    for told in by_time:
        if told.term in terms:
            era, terms = era + 1, set()
        terms.add(told.term)
        told.era = era
    return tuple(sorted(by_time, key=lambda told: (told.era, told.term)))


def text(entry: JournalEntry, name: str) -> str:
    """One of its details, if it is a text; else ""."""
    value = entry.details.get(name)
    return value if isinstance(value, str) else ""


def whole(entry: JournalEntry, name: str) -> int | None:
    """One of its details, if it is a number of milliseconds that makes sense."""
    value = entry.details.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_SPAN_MS:
        return value
    return None
