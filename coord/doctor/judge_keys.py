"""Judges the leader key, the term key, the session on it, and who is found as leader. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from coord.doctor.codes import Code, Severity
from coord.doctor.facts import SERF_CHECK, Facts
from coord.doctor.findings import Finding, Fix, FixKind, found
from coord.doctor.judge_consul import passing
from coord.doctor.judge_nobody import nobody
from coord.election.timing import LOCK_DELAY_RANGE_S
from coord.members import LeaderInstance, Seen
from coord.status import ClusterStatus, Condition, Oddity, TermCondition
from coord.status.rows import leading_member
from coord.status.sessions import on_candidate


def keys(facts: Facts) -> Iterator[Finding]:
    """The leader key and the term key."""
    assert facts.status is not None
    status = facts.status
    leader, oddities = status.leader, status.leader.oddities
    if leader.condition is Condition.MISSING and _has_begun(facts, status):
        yield found(Code.LEADER_KEY_MISSING, "The leader key does not exist.")
    if leader.condition is Condition.UNREADABLE:
        said = f"The record in the leader key cannot be read: {leader.detail}."
        yield found(Code.LEADER_RECORD_UNREADABLE, said, str(leader.modify_index))
    elif Oddity.EDITED in oddities or Oddity.RECORD_SAYS_VACANT in oddities:
        says = ""
        if Oddity.RECORD_SAYS_VACANT in oddities:
            says = " It says that nobody leads, while a session holds it."
        said = f"The leader key was written to by hand.{says}"
        yield found(Code.LEADER_KEY_EDITED, said, str(leader.modify_index))
    if Oddity.TERM_MISSING in oddities:
        yield found(Code.TERM_KEY_MISSING, "The term key does not exist.")
    if status.term.condition is TermCondition.UNREADABLE:
        yield found(Code.TERM_KEY_UNREADABLE, "The term key holds no term.")
    yield from _terms(facts, status)


def _has_begun(facts: Facts, status: ClusterStatus) -> bool:
    """Whether there ever was an election here: its first candidate is just about to make the key,
    and where none is there is nothing amiss."""
    term_there = status.term.condition in (TermCondition.KNOWN, TermCondition.UNREADABLE)
    return term_there or facts.journal.count > 0 or bool(passing(facts))


def _terms(facts: Facts, status: ClusterStatus) -> Iterator[Finding]:
    now, said_in_record = status.term.value, status.leader.term or 0
    if now is None:
        return
    journal = max((key.entry.term or 0 for key in facts.journal.entries), default=0)
    audit = max((max(e.new_term, e.expected_term) for e in facts.audit.entries), default=0)
    seen = {"the record": said_in_record, "the journal": journal, "the audit": audit}
    where, highest = max(seen.items(), key=lambda item: item[1])
    if now < highest:
        said = f"The term key says {now}, but {where} tells of term {highest}."
        yield found(Code.TERM_WENT_BACK, said, str(now), str(highest))
    elif 0 < said_in_record < now:
        said = f"The term key says {now}, the record term {said_in_record}."
        yield found(Code.TERM_MISMATCH, said, str(now), str(said_in_record))


# --- who leads ---


def leading(facts: Facts) -> Iterator[Finding]:
    """Whether somebody leads, is there, and is found as the leader, alone."""
    assert facts.status is not None
    status = facts.status
    there = passing(facts)
    if status.leader.condition is Condition.NOT_PERMITTED:
        return
    if not status.leader.locked and there:
        yield nobody(facts)
    node = status.leader_node
    known = status.candidates.seen is Seen.KNOWN
    if node and known and leading_member(status.candidates.items, status.leader) is None:
        said = f"{node} holds the leader key, and no candidate of that name passes its check."
        yield found(Code.LEADER_NOT_REGISTERED, said, node)
    yield from _discovery(status)


def _discovery(status: ClusterStatus) -> Iterator[Finding]:
    listed = [item for item in status.leader_service.items if item.passing]
    if len(listed) > 1:
        who = ", ".join(f"{item.node} (term {item.term})" for item in listed)
        said = f"{len(listed)} nodes are found as the leader: {who}."
        yield found(Code.TWO_LEADERS, said, *(item.service_id for item in listed))
    wrong = [item for item in listed if not _is_the_leader(item, status)]
    if wrong and len(listed) == 1:
        item, leader = wrong[0], status.leader
        held = f"{leader.node} in term {leader.term}" if leader.locked else "nobody"
        said = f"Discovery names {item.node} in term {item.term}; the leader key says {held}."
        yield found(Code.LEADER_SERVICE_MISMATCH, said, item.service_id)
    if status.leader.locked and not listed and status.leader_service.seen is Seen.KNOWN:
        said = f"{status.leader.node or 'Somebody'} holds the leader key, and discovery names none."
        yield found(Code.LEADER_SERVICE_MISSING, said, status.leader.session)


def _is_the_leader(item: LeaderInstance, status: ClusterStatus) -> bool:
    leader = status.leader
    if leader.condition is Condition.UNREADABLE:
        return leader.locked
    return leader.locked and (item.node, item.term) == (leader.node, leader.term)


# --- sessions ---


def sessions(facts: Facts) -> Iterator[Finding]:
    """The session on the leader key, and those that nobody has any more."""
    assert facts.status is not None
    if facts.status.leader.locked:
        yield from _holder(facts, facts.status)
    yield from _orphans(facts)


def _holder(facts: Facts, status: ClusterStatus) -> Iterator[Finding]:
    session = facts.sessions.holder
    if session is None:
        return
    leading = leading_member(status.candidates.items, status.leader)
    least_s, most_s = LOCK_DELAY_RANGE_S
    told_ms = leading.timing_ms.get("lock_delay") if leading else None
    least_s = max(least_s, (told_ms or 0) / 1000)
    if session.behavior != "release":
        said = f"The leader's session has the behavior {session.behavior}, not release."
        yield found(Code.SESSION_SETTINGS_WRONG, said, session.id, "behavior")
    if session.ttl_s is None:
        said = "The leader's session has no TTL."
        severe = Severity.WARNING
        yield found(Code.SESSION_SETTINGS_WRONG, said, session.id, "ttl", severity=severe)
    if not least_s - 0.001 <= session.lock_delay_s <= most_s:
        said = (
            f"The leader's session has a lock-delay of {session.lock_delay_s:g} s; it is to be "
            f"from {least_s:g} s to {most_s:g} s."
        )
        yield found(Code.SESSION_SETTINGS_WRONG, said, session.id, "lock_delay")
    if SERF_CHECK not in session.checks:
        said = "The leader's session does not hang on serfHealth."
        yield found(Code.SESSION_WITHOUT_SERF_HEALTH, said, session.id)
    own = _own_checks(facts, leading.service_id if leading else "")
    others = set(session.checks) - {SERF_CHECK}
    if (own and not own & others) or not others:
        said = "The leader's session does not hang on its candidate's check."
        yield found(Code.SESSION_WITHOUT_CHECK, said, session.id)


def _own_checks(facts: Facts, service_id: str) -> frozenset[str]:
    return facts.check_ids.get(service_id, frozenset())


def _orphans(facts: Facts) -> Iterator[Finding]:
    """A session that hangs on a candidate's check ends with it, by Consul itself: it is no orphan,
    whether or not that candidate is seen from here."""
    assert facts.status is not None
    for session in facts.sessions.named:
        if session.id == facts.status.leader.session or on_candidate(session, facts.election):
            continue
        holds = session.id in facts.sessions.holding
        fix = Fix(kind=FixKind.DESTROY_SESSION, target=session.id, name=session.name)
        said = f"Session {session.id}, {session.name}, belongs to no candidate that lives"
        said += " and holds a key of the election." if holds else "."
        yield found(Code.ORPHANED_SESSION, said, session.id, fixes=() if holds else (fix,))
