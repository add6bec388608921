"""Judges what operators asked, the audit, the journal, and the clocks that both tell of. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from coord.controls import PAUSE_MARGIN_S
from coord.doctor.codes import Code, Severity
from coord.doctor.facts import Facts
from coord.doctor.findings import Finding, Fix, FixKind, found
from coord.doctor.judge_consul import passing
from coord.election.reasons import Cause, WhyNot
from coord.election.state import State
from coord.history.operated import asked_for
from coord.history.told import text
from coord.members import Seen, cut
from coord.records import Paths, PauseRecord, RequestRecord
from coord.status.rows import leading_member
from coord.telemetry import BecameLeader, LeaderChanged
from coord.telemetry.journal import KEPT_ENTRIES, JournalEntry

LONG_PAUSE_S = 3600.0
"""A pause that stands for longer than this is a warning, in seconds."""

UNFINISHED_S = 600.0
"""An operation that was begun so long ago, by the wall clocks, is not going on any more."""

TOO_FULL = 2 * KEPT_ENTRIES
"""More entries of the journal than this, and nobody prunes it."""

FLAPPING_S = 600.0
FLAPPING = 3
"""So many changes of leader that nobody wanted, within `FLAPPING_S` seconds, are too many."""

SKEW_AHEAD_S = 2.0
"""An entry that is younger than now by more than this, in seconds: its clock is ahead of ours."""

SKEW_ORDER_S = 5.0
"""An entry that came later and says it is older by more than this, in seconds, was told by
another clock, or was held back that long."""

_HELD = (BecameLeader.EVENT, LeaderChanged.EVENT)
"""What tells that a term was held."""

_WANTED = (Cause.HANDED_OVER, Cause.STEPPED_DOWN, Cause.TRANSFERRED)


def _ahead_s(facts: Facts, moment: datetime) -> float:
    """How far it is ahead of now, in seconds; without a zone it is taken for UTC, as it is meant.

    Anybody may have written it: the years 1 and 9999 are moments too.
    """
    at = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return at.timestamp() - facts.at_ms / 1000


def controls(facts: Facts) -> Iterator[Finding]:
    """What operators ask, and what stands there that nobody asks any more."""
    paths = Paths(facts.election)
    asked = facts.controls
    for key, problem in asked.unreadable.items():
        yield found(Code.CONTROL_UNREADABLE, f"{cut(key)} cannot be read: {cut(problem)}.", key)
    if asked.pause is not None:
        yield _pause(facts, asked.pause, asked.indices.get(paths.pause, 0))
    if asked.request is not None:
        yield from _request(facts, asked.request, asked.indices.get(paths.request, 0))
    there = {member.node for member in passing(facts)}
    if there and there <= set(asked.drained):
        said = f"Every candidate is drained: {', '.join(sorted(there))}."
        yield found(Code.ALL_DRAINED, said, *there)
    leader = facts.status.leader_node if facts.status else None
    others = there - set(asked.drained)
    if leader is not None and leader in asked.drained and others and not _obeys(facts):
        said = f"{leader} is drained, and leads although others could."
        yield found(Code.DRAINED_LEADER, said, leader)


def _obeys(facts: Facts) -> bool:
    """Whether the leader is stepping down just now: its work may take its time to stop."""
    if facts.status is None:
        return False
    leading = leading_member(facts.status.candidates.items, facts.status.leader)
    return leading is not None and leading.state == State.STEPPING_DOWN


def _pause(facts: Facts, pause: PauseRecord, index: int) -> Finding:
    age_s = -_ahead_s(facts, pause.at)
    over_s = age_s - pause.for_ms / 1000
    who = f"by {cut(pause.actor)}: {cut(pause.reason)}"
    if over_s > PAUSE_MARGIN_S and not _anybody_paused(facts):
        said = f"The pause {who} was over {over_s:.0f} s ago and still stands."
        key = Paths(facts.election).pause
        fix = Fix(kind=FixKind.DELETE_RECORD, target=key, index=index)
        fixes = (fix,) if _all_candidates_seen(facts) else ()
        return found(Code.PAUSE_EXPIRED, said, pause.request_id, fixes=fixes)
    long = age_s > LONG_PAUSE_S
    left = f"it has {-over_s:.0f} s to go"
    if over_s > 0:
        left = f"by the clocks it was to end {over_s:.0f} s ago, but each node counts by its own"
    said = f"The election is paused {who}; {left}."
    severity = Severity.WARNING if long else Severity.INFO
    return found(Code.PAUSED, said, pause.request_id, severity=severity)


def _anybody_paused(facts: Facts) -> bool:
    """Whether a candidate says that it keeps to a pause."""
    listed = facts.status.candidates.items if facts.status is not None else ()
    return any(item.reason is WhyNot.PAUSED for item in listed)


def _all_candidates_seen(facts: Facts) -> bool:
    """Whether what no candidate says, none does."""
    return facts.status is not None and facts.status.candidates.seen is Seen.KNOWN


def _request(facts: Facts, request: RequestRecord, index: int) -> Iterator[Finding]:
    assert facts.status is not None
    if facts.status.term.value is None:
        return
    term, who = request.expected_term, f"by {cut(request.actor)}: {cut(request.reason)}"
    if _obeys(facts):
        return
    if term == facts.status.term.value and facts.status.leader.locked:
        said = f"The leader of term {term} was asked to {request.kind} {who}, and does not."
        yield found(Code.REQUEST_UNANSWERED, said, request.request_id)
    elif term <= facts.status.term.value:
        said = f"The leader of term {term}, which is over, was asked to {request.kind} {who}."
        key = Paths(facts.election).request
        fix = Fix(kind=FixKind.DELETE_RECORD, target=key, index=index)
        yield found(Code.REQUEST_LEFT_OVER, said, request.request_id, fixes=(fix,))


def audit(facts: Facts) -> Iterator[Finding]:
    """Operations whose outcome was never told, and entries that are none."""
    for entry in facts.audit.entries:
        age_s = -_ahead_s(facts, entry.at)
        if entry.outcome == "begun" and age_s > UNFINISHED_S:
            what = f"{cut(entry.operation)} by {cut(entry.actor)}"
            said = f"{what} was begun {age_s:.0f} s ago; its outcome was never written."
            yield found(Code.AUDIT_UNFINISHED, said, entry.request_id)
    for key, problem in facts.audit.unreadable.items():
        yield found(Code.AUDIT_UNREADABLE, f"{key} cannot be read: {problem}.", key)


def journal(facts: Facts) -> Iterator[Finding]:
    """Whether it is pruned and readable, and whether it tells of a leader that does not stay."""
    if facts.journal.count > TOO_FULL:
        said = f"The journal has {facts.journal.count} entries; {KEPT_ENTRIES} are kept."
        yield found(Code.JOURNAL_TOO_FULL, said)
    unreadable = [key.entry.key for key in facts.journal.entries if key.entry.problem]
    if unreadable:
        said = f"{len(unreadable)} entries of the journal cannot be read, as {unreadable[0]}."
        yield found(Code.JOURNAL_UNREADABLE, said)
    yield from _flaps(facts)


def _flaps(facts: Facts) -> Iterator[Finding]:
    """Whether the leader changed again and again, without anybody having asked for it."""
    changes = [
        key.entry
        for key in facts.journal.entries
        if key.entry.event == LeaderChanged.EVENT
        and key.entry.details.get("cause") not in _WANTED
        and key.entry.at_ms is not None
        and key.entry.at_ms > facts.at_ms - FLAPPING_S * 1000
    ]
    asked = [entry for entry in changes if _operator_asked(facts, entry)]
    unasked = [entry for entry in changes if entry not in asked]
    if len(unasked) >= FLAPPING:
        causes = sorted({str(entry.details.get("cause")) for entry in unasked})
        minutes = f"{FLAPPING_S / 60:.0f} minutes"
        said = f"{len(unasked)} leaders in {minutes} came after a vacancy: {', '.join(causes)}."
        if asked:
            said += f" Not counted: {len(asked)} that operators asked for, by the audit."
        yield found(Code.LEADER_FLAPS, said)


def _operator_asked(facts: Facts, change: JournalEntry) -> bool:
    """Whether the audit tells that an operator ended the leadership before this change."""
    if change.term is None:
        return False
    held = (key.entry.term for key in facts.journal.entries if key.entry.event in _HELD)
    before = max((t for t in held if t is not None and t < change.term), default=change.term - 1)
    node = text(change, "previous_leader")
    cause = Cause.parse(change.details.get("cause"))
    found_in = asked_for(facts.audit.entries, change.term, before=(before, node), cause=cause)
    return found_in is not None


def clocks(facts: Facts) -> Iterator[Finding]:
    """Whether wall clocks differ, by what the journal and the leader's record tell."""
    ahead: dict[str, float] = {}
    for key in facts.journal.entries:
        if key.entry.at_ms is not None and not key.entry.problem:
            by_s = (key.entry.at_ms - facts.at_ms) / 1000
            ahead[key.entry.node] = max(by_s, ahead.get(key.entry.node, by_s))
    leader = facts.status.leader if facts.status else None
    if leader is not None and leader.since is not None and leader.node:
        by_s = _ahead_s(facts, leader.since)
        ahead[leader.node] = max(by_s, ahead.get(leader.node, by_s))
    for node, by_s in sorted(ahead.items()):
        if by_s > SKEW_AHEAD_S:
            said = f"The clock of {node or 'some node'} is ahead of the one here by {by_s:.0f} s."
            yield found(Code.CLOCK_SKEW, said, node)
    yield from _out_of_order(facts, {n for n, by_s in ahead.items() if by_s > SKEW_AHEAD_S})


def _out_of_order(facts: Facts, told: set[str]) -> Iterator[Finding]:
    """The newest that one node told, and what another told after that."""
    latest_ms, latest_node = 0, ""
    behind: dict[str, tuple[float, str]] = {}
    for key in facts.journal.entries:
        at_ms, node = key.entry.at_ms, key.entry.node
        if at_ms is None or key.entry.problem or node in told:
            continue
        by_s = (latest_ms - at_ms) / 1000
        if node != latest_node and by_s > SKEW_ORDER_S:
            behind[node] = max((by_s, latest_node), behind.get(node, (0.0, "")))
        if at_ms > latest_ms:
            latest_ms, latest_node = at_ms, node
    for node, (by_s, other) in sorted(behind.items()):
        said = f"The clock of {node} is {by_s:.0f} s behind that of {other}, or it told that late."
        yield found(Code.CLOCK_SKEW, said, node, other)
