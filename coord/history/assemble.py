"""From what the nodes and the operators wrote down to the history. Pure.

Terms order the tenures, as all nodes agree on them; no time of one node is compared with that of
another but to say that they contradict each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from coord.election.reasons import Cause, LostReason
from coord.history.model import (
    FORCED,
    Asked,
    Gap,
    Note,
    Pause,
    PauseEnd,
    Suspension,
    Tenure,
    Until,
    Vacant,
)
from coord.history.operated import FORCED_ENDS, concerns, forces, operations_of
from coord.history.pauses import during
from coord.history.told import Sorted, Told, sorted_out, text, whole
from coord.operations import AuditEntry
from coord.records import AuditRecord
from coord.status import Condition, LeaderStatus
from coord.status.words import ms_of
from coord.telemetry.journal import JournalEntry

_CLEAN = (
    LostReason.SHUTDOWN,
    LostReason.STEPPED_DOWN,
    LostReason.WORK_FAILED,
    LostReason.NO_PROGRESS,
)
"""Ends at which a leader gives the lock back, and tells of that a moment later."""

_STOPPED_BEFORE = (
    Cause.HANDED_OVER,
    Cause.STEPPED_DOWN,
    Cause.TRANSFERRED,
    Cause.FAILED,
    Cause.FIRST_START,
    Cause.DELETED,
    Cause.RELEASED_BY_HAND,
)
"""Where the vacancy is seen as soon as the work stops, or before; or nobody worked before."""

HAND_OVER_MS = 1_000
"""So much later than its successor's beginning a clean end may be told without being odd."""


def tenures(
    entries: Sequence[JournalEntry],
    audit: Sequence[AuditEntry],
    leader: LeaderStatus | None = None,
    paused: Sequence[Pause] = (),
) -> tuple[Tenure, ...]:
    """Who led when, the latest first.

    entries, audit: in any order, with whatever cannot be read; each may be there twice.
    leader: what the leader key says; None where it may not be read.
    paused: when the election was paused.
    """
    told = sorted_out(entries)
    records = operations_of(audit)
    made: list[Tenure] = []
    for i, each in enumerate(told.tenures):
        before = told.tenures[i - 1] if i else None
        after = told.tenures[i + 1] if i + 1 < len(told.tenures) else None
        tenure = _tenure(each, before, after, told, records)
        made.append(replace(tenure, paused=_paused(each, before, told, paused)))
    present = _with_the_present(made, leader)
    return tuple(replace(each, ended=_ended(each, records)) for each in reversed(present))


def _tenure(
    told: Told, before: Told | None, after: Told | None, all_: Sorted, audit: list[AuditRecord]
) -> Tenure:
    follows = after if after is not None and _follows(told, after, all_) else None
    reason_told = text(told.lost, "reason") if told.lost else ""
    cause_told = _cause(told, follows, all_)
    stops = tuple(_stop(told, *each) for each in told.stopped)
    made = Tenure(
        term=told.term,
        node=told.node,
        from_ms=told.from_ms,
        cause=Cause.parse(cause_told),
        cause_told=cause_told,
        reason=LostReason.parse(reason_told),
        reason_told=reason_told,
        asked=_asked(told, audit),
        suspensions=len(told.stopped),
        suspended_ms=told.suspended_ms,
        stops=stops,
        unresumed=stops[-1] if stops and told.stopped[-1][1] is None else None,
        restarts=told.restarts,
        gap=_gap(told, before, audit),
        previous=text(told.changed, "previous_leader") if told.changed else "",
        missing_before=_missing(before, told, all_),
    )
    made = _until(made, told, follows, after, all_)
    notes = list(made.notes)
    if told.from_ms is None:
        notes.append(Note.BEGIN_NOT_TOLD)
    if before is not None and before.era != told.era:
        notes.append(Note.TERM_REPEATED)
    if made.until is Until.UNKNOWN and after is not None:
        notes.append(Note.END_NOT_TOLD)
    return replace(made, notes=tuple(notes))


def _missing(before: Told | None, told: Told, all_: Sorted) -> int:
    """How many terms between the two nobody told of."""
    if before is None or before.era != told.era:
        return 0
    between = sum(before.term < term < told.term for term in all_.abandoned)
    return max(0, told.term - before.term - 1 - between)


def _follows(told: Told, after: Told, all_: Sorted) -> bool:
    """Whether `after` took the very vacancy that `told` left."""
    if after.era == told.era and after.term != told.term + 1:
        return False
    said = text(after.changed, "previous_leader") if after.changed else ""
    return said in ("", told.node) if after.era == told.era else said == told.node


def _cause(told: Told, follows: Told | None, all_: Sorted) -> str:
    """How the vacancy after it came about: the word of who took it, else of who saw it first."""
    if follows is not None and follows.changed is not None:
        return text(follows.changed, "cause")
    seen = [text(entry, "cause") for entry in _seen_gone(told, all_)]
    return next((cause for cause in seen if cause != Cause.UNKNOWN), seen[0] if seen else "")


def _seen_gone(told: Told, all_: Sorted) -> list[JournalEntry]:
    """What others told of its end. One that does not say of which term it is could be of any."""
    return [
        entry
        for entry in all_.gone
        if entry.term == told.term and text(entry, "former_leader") == told.node
    ]


def _until(
    made: Tenure, told: Told, follows: Told | None, after: Told | None, all_: Sorted
) -> Tenure:
    next_ms = after.from_ms if after is not None and after.era == told.era else None
    told_ms = told.lost.at_ms if told.lost is not None else None
    late_ms = 0 if told_ms is None or next_ms is None else told_ms - next_ms
    if told_ms is not None and (late_ms <= 0 or made.reason in _CLEAN):
        odd = (Note.CLOCKS_DIFFER,) if late_ms > HAND_OVER_MS else ()
        return replace(made, until_ms=told_ms, until=Until.TOLD, notes=(*made.notes, *odd))
    notes = made.notes if told_ms is None else (*made.notes, Note.NOTICED_LATE)
    seen_ms = _vacancy_seen_ms(follows)
    if seen_ms is None:
        seen = [entry.at_ms for entry in _seen_gone(told, all_) if entry.at_ms is not None]
        seen_ms = min(seen, default=None)
    if seen_ms is None:
        return replace(made, notes=notes)
    return replace(made, until_ms=seen_ms, until=Until.SEEN, notes=notes)


def _vacancy_seen_ms(follows: Told | None) -> int | None:
    """When the next leader saw the vacancy, by its clock."""
    if follows is None or follows.changed is None or follows.changed.at_ms is None:
        return None
    gap_ms = whole(follows.changed, "gap_ms")
    detect_ms = whole(follows.changed, "detect_ms") or 0
    return None if gap_ms is None else follows.changed.at_ms - gap_ms + detect_ms


def _gap(told: Told, before: Told | None, audit: list[AuditRecord]) -> Gap | None:
    changed = told.changed
    if changed is not None:
        gap = Gap(
            total_ms=whole(changed, "gap_ms"),
            detect_ms=whole(changed, "detect_ms"),
            quarantine_ms=whole(changed, "quarantine_ms"),
            acquire_ms=whole(changed, "acquire_ms"),
            start_ms=whole(changed, "start_ms"),
        )
        if gap == Gap(total_ms=None):
            return None
        unseen = gap.detect_ms is None and text(changed, "cause") not in _STOPPED_BEFORE
        return replace(gap, at_least=unseen)
    if before is None or before.era != told.era:
        return None
    said = [
        record.gap_ms
        for record in audit
        if (record.new_term, record.new_leader) == (told.term, told.node)
        and record.expected_term == before.term
        and record.gap_ms is not None
    ]
    return Gap(total_ms=said[-1]) if said else None


def _paused(
    told: Told, before: Told | None, all_: Sorted, paused: Sequence[Pause]
) -> tuple[Pause, ...]:
    """The pauses in the gap before it. A node that started in it counts the gap from its start."""
    seen_ms = _vacancy_seen_ms(told)
    left = before.lost if before is not None and _follows(before, told, all_) else None
    since = [ms for ms in (seen_ms, left.at_ms if left else None) if ms is not None]
    if not since or told.from_ms is None:
        return ()
    return during(paused, min(since), told.from_ms)


def _stop(told: Told, stopped: JournalEntry, resumed: JournalEntry | None) -> Suspension:
    """A stop of the work, as long as the leader itself says it lasted."""
    since_ms, end = stopped.at_ms, resumed or told.lost
    lasted_ms = whole(resumed, "suspended_ms") if resumed is not None else None
    if lasted_ms is not None:
        return Suspension(since_ms=since_ms, lasted_ms=lasted_ms)
    until_ms = None if end is None else end.at_ms
    if since_ms is None or until_ms is None:
        return Suspension(since_ms=since_ms)
    return Suspension(since_ms=since_ms, lasted_ms=max(0, until_ms - since_ms))


def _ended(made: Tenure, audit: Sequence[AuditRecord]) -> str:
    """How it ended; that an operator forced it the audit says for certain."""
    if made.until is Until.GOES_ON or made.cause not in (*FORCED_ENDS, None):
        return made.cause_told
    forced = any(forces(record, made.term, made.node, made.cause) for record in audit)
    return FORCED if forced else made.cause_told


# --- who asked -----------------------------------------------------------------------------------


def _asked(told: Told, audit: list[AuditRecord]) -> tuple[Asked, ...]:
    """What the leader tells, each with its audit entry; then what only the audit tells."""
    found: dict[str, Asked] = {}
    for entry in told.asked:
        request_id = text(entry, "request_id")
        record = _record_of(entry, request_id, told, audit)
        one = Asked(
            why=text(entry, "reason"),
            actor=text(entry, "actor"),
            reason=text(entry, "detail"),
            request_id=request_id,
            at_ms=entry.at_ms,
            obeyed=True,
        )
        if record is not None:
            one = _joined(one, record)
        found.setdefault(one.request_id or entry.key, one)
    for record in audit:
        if concerns(record, told.term, told.node):
            found.setdefault(record.request_id, _joined(Asked(), record))
    return tuple(found.values())


def _record_of(
    entry: JournalEntry, request_id: str, told: Told, audit: list[AuditRecord]
) -> AuditRecord | None:
    """What the operator wrote down of what the leader tells; one that tells no id (an older
    version) tells at least who asked."""
    actor = text(entry, "actor")
    for record in reversed(audit):
        if request_id and record.request_id == request_id:
            return record
        if (
            not request_id
            and actor
            and record.actor == actor
            and concerns(record, told.term, told.node)
        ):
            return record
    return None


def _joined(one: Asked, record: AuditRecord) -> Asked:
    """What the operator wrote down says more than what the leader was told."""
    return replace(
        one,
        operation=record.operation,
        actor=record.actor,
        reason=record.reason,
        request_id=record.request_id,
        at_ms=ms_of(record.at) if one.at_ms is None else one.at_ms,
        outcome=record.outcome,
    )


# --- the present ---------------------------------------------------------------------------------


def _with_the_present(made: list[Tenure], leader: LeaderStatus | None) -> list[Tenure]:
    """What the leader key says of the last tenure, or of one that the journal has nothing of."""
    if leader is None or not leader.node or leader.term is None:
        return made
    at = next((i for i in reversed(range(len(made))) if _is_of(made[i], leader)), None)
    last = made[at] if at is not None else None
    since_ms = ms_of(leader.since) if leader.since is not None else None
    if leader.locked:
        if last is None:
            if made and made[-1].until is Until.UNKNOWN:
                made = [*made[:-1], _end_not_told(made[-1])]
            new = Tenure(
                term=leader.term,
                node=leader.node,
                from_ms=since_ms,
                until=Until.GOES_ON,
                missing_before=0 if not made else max(0, leader.term - made[-1].term - 1),
                notes=(Note.NOT_IN_JOURNAL,),
            )
            return [*made, new]
        goes_on = replace(last, until=Until.GOES_ON, until_ms=None, cause=None, cause_told="")
        return [*made[:at], goes_on, *made[at + 1 :]] if at is not None else made
    if last is None or at != len(made) - 1:
        return made
    return [*made[:-1], _left_vacant(last, leader, since_ms)]


def _is_of(made: Tenure, leader: LeaderStatus) -> bool:
    return (made.term, made.node) == (leader.term, leader.node)


def _left_vacant(last: Tenure, leader: LeaderStatus, since_ms: int | None) -> Tenure:
    """The end of the last tenure, as the record of the vacancy has it."""
    if leader.vanished:
        cause = last.cause_told or Cause.SESSION_INVALIDATED.value
        last = replace(last, cause_told=cause, cause=Cause.parse(cause))
    elif leader.why:
        last = replace(last, cause_told=leader.why, cause=Cause.parse(leader.why))
        if last.until is Until.UNKNOWN and since_ms is not None:
            last = replace(last, until=Until.SEEN, until_ms=since_ms)
    return _end_not_told(last) if last.until is Until.UNKNOWN else last


def vacant(
    made: Sequence[Tenure], leader: LeaderStatus, paused: Sequence[Pause], now_ms: int
) -> Vacant | None:
    """That nobody leads now, after the tenures `made`, the latest first."""
    if not made or leader.condition not in (Condition.VACANT, Condition.MISSING):
        return None
    since_ms = made[0].until_ms
    if since_ms is None and leader.since is not None and not leader.vanished:
        since_ms = ms_of(leader.since)
    begin_ms = now_ms if since_ms is None else min(since_ms, now_ms)
    # What stands, stands now: to the clock of its operator it may begin in a moment.
    stands = tuple(each for each in paused if each.end is PauseEnd.STANDS)
    before = tuple(each for each in during(paused, begin_ms, now_ms) if each not in stands)
    return Vacant(since_ms=since_ms, paused=(*before, *stands))


def _end_not_told(last: Tenure) -> Tenure:
    return replace(last, notes=(*last.notes, Note.END_NOT_TOLD))
