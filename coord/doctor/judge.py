"""From facts to findings. Pure: every rule is in one of the `judge_…` rooms beside this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from coord.doctor import judge_consul, judge_keys, judge_members, judge_told
from coord.doctor.codes import Subject
from coord.doctor.facts import Contact, Facts
from coord.doctor.findings import Finding, Skipped, worst_first
from coord.members import Seen
from coord.status import Condition, TermCondition

_RULES: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    judge_consul.consul,
    judge_consul.rights,
    judge_consul.timing,
    judge_keys.keys,
    judge_keys.leading,
    judge_keys.sessions,
    judge_members.candidates,
    judge_members.services,
    judge_told.controls,
    judge_told.audit,
    judge_told.journal,
    judge_told.clocks,
)

_WHY_SKIPPED = {
    Seen.NOT_PERMITTED: "the token may not see it",
    Seen.UNKNOWN: "none was seen, which may be for lack of rights",
    Seen.UNAVAILABLE: "Consul did not answer this",
}


def judge(facts: Facts) -> tuple[Finding, ...]:
    """Everything that these facts show, worst first. What may be of any age is not judged."""
    findings = [*judge_consul.contact(facts)]
    if facts.contact is Contact.GOOD:
        for rule in _RULES:
            findings += rule(facts)
    return worst_first(findings)


def skipped(facts: Facts) -> tuple[Skipped, ...]:
    """What these facts do not allow to judge, and why."""
    if facts.status is None or facts.contact is not Contact.GOOD:
        why = "without Consul, or its leader, nothing that is seen can be relied on"
        return tuple(Skipped(s, why) for s in Subject if s is not Subject.CONSUL)
    status = facts.status
    denied = (
        status.leader.condition is Condition.NOT_PERMITTED
        or status.term.condition is TermCondition.NOT_PERMITTED
    )
    keys = Seen.NOT_PERMITTED if denied else Seen.KNOWN
    seen = {
        Subject.KEYS: keys,
        Subject.LEADER: _worst(keys, status.candidates.seen, status.leader_service.seen),
        Subject.SESSIONS: _worst(facts.sessions.seen, keys, status.candidates.seen),
        Subject.CANDIDATES: status.candidates.seen,
        Subject.TIMING: status.candidates.seen,
        Subject.SERVICES: _worst(status.candidates.seen, status.leader_service.seen),
        Subject.CONTROLS: facts.controls_seen,
        Subject.JOURNAL: facts.journal.seen,
        Subject.CLOCKS: facts.journal.seen,
        Subject.AUDIT: facts.audit.seen,
    }
    found = [Skipped(s, _WHY_SKIPPED[how]) for s, how in seen.items() if how is not Seen.KNOWN]
    if facts.rights is not None and not facts.rights.tried:
        found.append(Skipped(Subject.RIGHTS, facts.rights.why_not))
    return tuple(found)


def fine(facts: Facts, findings: tuple[Finding, ...]) -> tuple[Subject, ...]:
    """What was looked at, all of it, and gives no cause for concern."""
    concerned = {f.subject for f in findings if f.severity.rank > 0}
    concerned |= {item.subject for item in skipped(facts)}
    if facts.rights is None:
        concerned.add(Subject.RIGHTS)
    if facts.status is None or not facts.status.leader.locked:
        concerned.add(Subject.LEADER)
    return tuple(subject for subject in Subject if subject not in concerned)


def _worst(*seen: Seen) -> Seen:
    order = (Seen.NOT_PERMITTED, Seen.UNAVAILABLE, Seen.UNKNOWN)
    return next((one for one in order if one in seen), Seen.KNOWN)
