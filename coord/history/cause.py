"""What explains an entry of the journal: another entry, told before it, or an operation. Pure.

Terms order what happened between nodes, whose clocks may differ; within one node its own times do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from coord.election.reasons import Cause
from coord.history.operated import asked_for, forces, operations_of
from coord.history.told import text
from coord.operations import AuditEntry
from coord.records import AuditRecord
from coord.telemetry import (
    BecameLeader,
    ChildRestarted,
    ElectionStarted,
    LeaderChanged,
    LeaderDown,
    LostLeadership,
    Resumed,
    StepDownRequested,
    Suspended,
    TakeoverAttempted,
)
from coord.telemetry.journal import JournalEntry

_BEGINS = frozenset({LeaderChanged.EVENT, BecameLeader.EVENT, TakeoverAttempted.EVENT})
"""They follow from the end of the term before."""

_ENDS = (LostLeadership.EVENT, LeaderDown.EVENT, StepDownRequested.EVENT)
"""They tell of the end of a term, who knows best first: the leader itself, others, who asked it."""

_WHY_LOST = (StepDownRequested.EVENT, Suspended.EVENT, ChildRestarted.EVENT)
"""They explain why a leader stopped leading, the weightiest first."""


def cause_of(entry: JournalEntry, entries: Sequence[JournalEntry]) -> JournalEntry | None:
    """The entry that explains this one; None: none of those does.

    entries: the whole journal, as it is read.
    """
    others = [each for each in entries if each.key != entry.key and not each.problem]
    if entry.event in _BEGINS:
        return _end_before(entry, others)
    if entry.event == ElectionStarted.EVENT:
        return _vacancy(entry, others)
    if entry.event == LeaderDown.EVENT:
        return _end_told_by_itself(entry, others)
    if entry.event == LostLeadership.EVENT:
        return _first_kind(_WHY_LOST, _same_tenure(entry, others))
    if entry.event == Resumed.EVENT:
        return _first_kind((Suspended.EVENT,), _same_tenure(entry, others))
    return None


def explained(
    entry: JournalEntry, entries: Sequence[JournalEntry], audit: Sequence[AuditEntry]
) -> JournalEntry | str:
    """The entry that explains this one, or the request id of the operation that does; "": nothing.

    entries, audit: see `request_of`.
    """
    cause, request = cause_of(entry, entries), request_of(entry, entries, audit)
    # Who was forced off may have been suspended at some time before.
    asked = cause is not None and cause.event == StepDownRequested.EVENT
    if entry.event == LostLeadership.EVENT and request and not asked:
        return request
    return cause or request


def request_of(
    entry: JournalEntry,
    entries: Sequence[JournalEntry] = (),
    audit: Sequence[AuditEntry] = (),
) -> str:
    """The operation by which it came, by its request id; "" if by none that is known.

    entries: the whole journal, as it is read. audit: what operators did: of a leadership that was
    ended by force no node tells by whom.
    """
    if entry.event == StepDownRequested.EVENT:
        return text(entry, "request_id")
    if entry.term is None or entry.problem:
        return ""
    records = operations_of(audit)
    record: AuditRecord | None = None
    if entry.event == LeaderChanged.EVENT:
        before = (entry.term - 1, text(entry, "previous_leader"))
        cause = Cause.parse(text(entry, "cause"))
        record = asked_for(records, entry.term, before=before, cause=cause)
    elif entry.event in (LostLeadership.EVENT, LeaderDown.EVENT):
        node, cause = _whose(entry), _how_it_looked(entry, entries)
        forced = (each for each in records if forces(each, entry.term, node, cause))
        record = next(forced, None)
    return "" if record is None else record.request_id


def _how_it_looked(entry: JournalEntry, entries: Iterable[JournalEntry]) -> Cause | None:
    """How the end of that term looked to others; None: nobody tells, or in a word not known."""
    node, every = _whose(entry), (entry, *entries)
    down = [each for each in every if each.event == LeaderDown.EVENT and each.term == entry.term]
    after = [
        each
        for each in every
        if each.event == LeaderChanged.EVENT and (each.term or 0) > (entry.term or 0)
    ]
    first = min((each.term or 0 for each in after), default=0)
    follows = [
        each for each in after if each.term == first and text(each, "previous_leader") == node
    ]
    seen = [Cause.parse(text(each, "cause")) for each in (*follows, *down)]
    return next((cause for cause in seen if cause not in (None, Cause.UNKNOWN)), None)


def _end_before(entry: JournalEntry, others: Iterable[JournalEntry]) -> JournalEntry | None:
    """How the latest term before it ended; of a change of leader, that of the leader it names."""
    if entry.term is None:
        return None
    previous = text(entry, "previous_leader")
    ended = [
        each
        for each in others
        if each.event in _ENDS and each.term is not None and each.term < entry.term
    ]
    latest = max((each.term or 0 for each in ended), default=0)
    of_it = [each for each in ended if each.term == latest]
    if previous:
        of_it = [each for each in of_it if previous in (_whose(each), "")] or of_it
    return _first_kind(_ENDS, of_it)


def _whose(entry: JournalEntry) -> str:
    """Whose leadership it says has ended, or is to."""
    return text(entry, "former_leader") if entry.event == LeaderDown.EVENT else entry.node


def _vacancy(entry: JournalEntry, others: Iterable[JournalEntry]) -> JournalEntry | None:
    """The latest end of a leadership that its node told of, else that anybody did, before it."""
    before = [
        each
        for each in others
        if each.event in (LeaderDown.EVENT, LostLeadership.EVENT) and _time(each) <= _time(entry)
    ]
    own = [each for each in before if each.node == entry.node]
    return max(own or before, key=_time, default=None)


def _end_told_by_itself(entry: JournalEntry, others: Iterable[JournalEntry]) -> JournalEntry | None:
    """What the leader itself told of the end of that term."""
    former = text(entry, "former_leader")
    same = [
        each
        for each in others
        if each.term is not None and each.term == entry.term and each.node == (former or each.node)
    ]
    return _first_kind((LostLeadership.EVENT, StepDownRequested.EVENT, Suspended.EVENT), same)


def _same_tenure(entry: JournalEntry, others: Iterable[JournalEntry]) -> list[JournalEntry]:
    """What the same node told before it under the same term; it names times that never go back."""
    return [
        each
        for each in others
        if each.node == entry.node
        and entry.term is not None
        and each.term == entry.term
        and each.key < entry.key
    ]


def _first_kind(kinds: Iterable[str], found: Iterable[JournalEntry]) -> JournalEntry | None:
    """The latest entry of the first kind of which there is one."""
    every = list(found)
    for kind in kinds:
        if of_kind := [each for each in every if each.event == kind]:
            return max(of_kind, key=_time)
    return None


def _time(entry: JournalEntry) -> tuple[int, str]:
    return (entry.at_ms or 0, entry.key)
