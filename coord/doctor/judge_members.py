"""Judges the candidates, and what is registered of processes that are gone. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher

from coord.consul import CheckStatus
from coord.doctor.codes import Code
from coord.doctor.facts import Facts
from coord.doctor.findings import Finding, Fix, FixKind, found
from coord.doctor.judge_consul import passing
from coord.election.state import State
from coord.members import LeaderInstance, Member, Seen
from coord.records import Paths
from coord.status import ClusterStatus, Condition

_NAMED = 20
"""So many other elections are named."""

_WITHOUT = (State.JOINING.value, State.STOPPED.value)
"""States in which a candidate has no session yet, or no more."""


def candidates(facts: Facts) -> Iterator[Finding]:
    """Whether there are candidates, enough of them, each by its own name, and fit to take over."""
    assert facts.status is not None
    there = passing(facts)
    names = sorted({member.node for member in there})
    if facts.status.candidates.seen is not Seen.KNOWN:
        return
    if not names:
        yield _none(facts)
    elif len(names) == 1:
        yield found(Code.SINGLE_CANDIDATE, f"{names[0]} is the only candidate.", names[0])
    gone = {member.node for member in facts.status.candidates.items} - set(names)
    for node in sorted(gone):
        yield found(Code.CANDIDATE_CRITICAL, f"The check of candidate {node} fails.", node)
    yield from _namesakes(facts)
    if facts.sessions.seen is Seen.KNOWN:
        yield from _without_session(facts, there)


def _none(facts: Facts) -> Finding:
    """No candidate is there; where nothing at all is, it may be that another election is meant."""
    if not facts.never_was:
        return found(Code.NO_CANDIDATES, "No candidate passes its check.")
    root = Paths(facts.election).root
    others = sorted(facts.elections, key=lambda name: (-_alike(name, facts.election), name))
    said = f"Nothing stands below {root}, and no candidate passes its check: no such election was."
    advice = "Name the election that you mean with --election (COORDINATOR_ELECTION); to begin "
    if others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        said += f" Those that your token sees: {', '.join(others[:_NAMED])}{more}."
    advice += "this one, start a node that may lead: `coord node`."
    return found(Code.NO_CANDIDATES, said, advice=advice)


def _alike(one: str, other: str) -> float:
    """How much one name is like the other: what was mistyped is to come first."""
    return SequenceMatcher(None, one, other).ratio()


def _namesakes(facts: Facts) -> Iterator[Finding]:
    assert facts.status is not None
    by_name: dict[str, dict[tuple[str, str], Member]] = {}
    for member in (*facts.status.candidates.items, *facts.status.observers.items):
        if member.passing:
            process = (member.consul_node, member.boot_id or member.service_id)
            by_name.setdefault(member.node, {})[process] = member
    for name, processes in sorted(by_name.items()):
        if len(processes) > 1:
            where = ", ".join(f"{m.address} on {m.consul_node}" for m in processes.values())
            said = f"{len(processes)} running nodes are called {name}: {where}."
            yield found(Code.DUPLICATE_NODE_NAME, said, name)


def _without_session(facts: Facts, there: tuple[Member, ...]) -> Iterator[Finding]:
    for member in there:
        own = facts.check_ids.get(member.service_id, frozenset())
        if own and not own & facts.sessions.hung_on and member.state not in _WITHOUT:
            told = f" It says: {member.state} {member.why_not}".rstrip()
            said = f"Candidate {member.node} has no session.{told}."
            yield found(Code.CANDIDATE_WITHOUT_SESSION, said, member.node, member.service_id)


# --- what is left of those that are gone ---


def services(facts: Facts) -> Iterator[Finding]:
    """Failing entries of processes whose node runs again, and of leaders that lead no more."""
    assert facts.status is not None
    status, paths = facts.status, Paths(facts.election)
    running = {member.node for member in passing(facts)}
    # The largest fenced_within in the catalog is the last that tells how long to wait for a leader
    # that vanished, where the record and the term key are gone: so nothing goes while that may be.
    sound = status.leader.locked and status.leader.fenced_within_ms is not None
    for member in status.candidates.items:
        if member.gone and member.node in running:
            said = f"Candidate {member.node}: an earlier process of it is still registered."
            yield _stale(facts, said, member, paths.candidate_service, fix=sound)
    if status.leader.condition is Condition.NOT_PERMITTED:
        return
    for item in status.leader_service.items:
        gone = item.status is CheckStatus.CRITICAL
        if gone and not (status.leader.locked and _is_of(item, status)):
            said = f"{item.node} is still registered as the leader of term {item.term}."
            yield _stale(facts, said, item, paths.leader_service, fix=True)


def _is_of(item: LeaderInstance, status: ClusterStatus) -> bool:
    return (item.node, item.term) == (status.leader.node, status.leader.term)


def _stale(
    facts: Facts, said: str, item: Member | LeaderInstance, service: str, *, fix: bool
) -> Finding:
    # An agent that lives writes back what is taken from the catalog: it must be told itself.
    reached = item.service_id in facts.local_services or item.consul_node in facts.lost_nodes
    made = Fix(
        kind=FixKind.DEREGISTER_SERVICE,
        target=item.service_id,
        name=service,
        node=item.consul_node,
    )
    return found(
        Code.STALE_SERVICE, said, item.service_id, fixes=(made,) if fix and reached else ()
    )
