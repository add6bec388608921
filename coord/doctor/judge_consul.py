"""Judges Consul itself, the token's rights, and the timing of the nodes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from coord.consul import Denied
from coord.doctor.codes import Code, Severity
from coord.doctor.facts import Contact, Facts
from coord.doctor.findings import Finding, found
from coord.election.timing import CLOCK_TOLERANCE
from coord.members import Member
from coord.rights import Role
from coord.status.denial import WORDS
from coord.status.rows import leading_member

TESTED_VERSIONS = ("1.8",)
"""The versions of Consul that coord is tested with: major and minor."""

LEAST_VERSION = (1, 7)
"""Since then sessions name their checks as coord does."""

SLOW_ELECTION_S = 3.0
"""Consul's servers that wait this long for each other elect a leader in over 10 s."""

_RELATION = ("lease", "fence_grace", "lock_delay", "takeover_delay")


def contact(facts: Facts) -> Iterator[Finding]:
    """Whether Consul can be reached, and has a leader."""
    if facts.contact is Contact.UNREACHABLE:
        yield found(Code.CONSUL_UNREACHABLE, f"Consul cannot be reached: {facts.detail}.")
    elif facts.contact is Contact.NO_LEADER:
        yield found(Code.CONSUL_NO_LEADER, "Consul's servers have no leader.")


def consul(facts: Facts) -> Iterator[Finding]:
    """Its version, its pace, and where its servers run."""
    for version in sorted(facts.versions):
        told = re.match(r"([0-9]{1,4})\.([0-9]{1,4})", version)
        number = (int(told[1]), int(told[2])) if told else None
        if number is not None and number < LEAST_VERSION:
            said = f"Consul is version {version}; coord needs 1.7."
            yield found(Code.CONSUL_VERSION, said, version, severity=Severity.CRITICAL)
        elif number is None or f"{number[0]}.{number[1]}" not in TESTED_VERSIONS:
            tested = ", ".join(TESTED_VERSIONS)
            said = f"Consul is version {version}; coord is tested with {tested}."
            yield found(Code.CONSUL_VERSION, said, version)
    slow_ms = facts.here.timing.read_deadline * 500
    if facts.read_ms > slow_ms:
        said = f"A read of the leader key took {facts.read_ms} ms; {slow_ms:.0f} ms would be much."
        yield found(Code.CONSUL_SLOW, said)
    agent = facts.agent
    if agent is not None and agent.server and (agent.raft_election_s or 0) >= SLOW_ELECTION_S:
        said = f"The server {agent.node_name} waits {agent.raft_election_s:g} s for its leader."
        yield found(Code.CONSUL_ELECTS_SLOWLY, said, agent.node_name)
    beside = sorted({m.node for m in passing(facts) if m.consul_node in facts.servers})
    if beside:
        said = f"{', '.join(beside)}: the agent there is one of Consul's servers."
        yield found(Code.AGENT_IS_SERVER, said, *beside)


def passing(facts: Facts) -> tuple[Member, ...]:
    """The candidates that are there."""
    if facts.status is None:
        return ()
    return tuple(member for member in facts.status.candidates.items if member.passing)


# --- rights ---


def rights(facts: Facts) -> Iterator[Finding]:
    """Whether the token may do what one of its roles must; the role asked for, if one was."""
    tried = facts.rights
    if tried is None:
        return
    denied = None if facts.status is None else facts.status.denied
    if denied is not None and denied is not Denied.LACKS_RIGHTS:
        said = WORDS[denied]
        yield found(
            Code.RIGHTS_MISSING,
            f"{said[0].upper()}{said[1:]}.",
            denied.value,
            severity=_severe(tried.role),
            advice="Give a token that Consul knows, in CONSUL_HTTP_TOKEN_FILE; `coord doctor "
            "--policy ROLE` prints what it must allow.",
        )
        return
    for trouble in tried.broken:
        yield found(Code.RIGHTS_MISSING, f"It is allowed and does not work: {trouble}.", trouble)
    role = tried.role
    if role is None:
        if tried.roles:
            return
        role = min(tried.needs, key=lambda each: len(tried.lacks(each)))
    lacking = tried.lacks(role)
    if lacking:
        rules = ", ".join(f'{rule.kind} "{rule.name}" {rule.access}' for rule in lacking)
        said = f"This token may not do what that of a {role} must: it lacks {rules}."
        yield found(
            Code.RIGHTS_MISSING,
            said,
            role.value,
            *(str(rule) for rule in lacking),
            severity=_severe(tried.role),
        )


def _severe(role: Role | None) -> Severity:
    """How bad it is that a token which is to have that role has not its rights."""
    return Severity.CRITICAL if role is Role.CANDIDATE else Severity.WARNING


# --- timing ---


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """The timing of one node, in milliseconds."""

    name: str
    ms: Mapping[str, int]
    fenced_ms: int
    lock_delay_ms: int
    leads: bool = False
    fence_told: bool = True


def timing(facts: Facts) -> Iterator[Finding]:
    """Whether what the nodes tell of their timing holds together, and is the same."""
    nodes = _nodes(facts)
    for leader in nodes:
        yield from _own_relation(leader)
        yield from _with_others(leader, nodes)
    names = sorted({name for node in nodes for name in node.ms})
    differing = [n for n in names if len({node.ms[n] for node in nodes if n in node.ms}) > 1]
    if differing:
        said = "; ".join(
            f"{name}: " + ", ".join(f"{node.name} {node.ms[name]} ms" for node in nodes)
            for name in differing
            if all(name in node.ms for node in nodes)
        )
        yield found(Code.TIMING_DIFFERS, f"Nodes differ in their timing. {said}", *differing)


def _nodes(facts: Facts) -> list[_Node]:
    assert facts.status is not None
    status = facts.status
    leading = leading_member(status.candidates.items, status.leader)
    nodes: dict[str, _Node] = {}
    for member in passing(facts):
        told = member.timing_ms
        if not all(name in told for name in _RELATION):
            continue
        leads = member == leading
        holder = facts.sessions.holder
        lock_delay_ms = told["lock_delay"]
        fence_told = True
        if leads:
            lock_delay_ms = lock_delay_ms if holder is None else round(holder.lock_delay_s * 1000)
            fenced = (status.leader.fenced_within_ms, status.term.fenced_within_ms)
            fence_told = any(each is not None for each in fenced)
        nodes[member.node] = _Node(
            name=member.node,
            ms=told,
            fenced_ms=told["lease"] + told["fence_grace"],
            lock_delay_ms=lock_delay_ms,
            leads=leads,
            fence_told=fence_told,
        )
    here = facts.here
    if here.takes_part and here.node not in nodes:
        own = {name: round(getattr(here.timing, name) * 1000) for name in _RELATION}
        nodes[here.node] = _Node(
            name=f"{here.node} (here)",
            ms=own,
            fenced_ms=own["lease"] + own["fence_grace"],
            lock_delay_ms=own["lock_delay"],
        )
    return list(nodes.values())


def _own_relation(node: _Node) -> Iterator[Finding]:
    waited_ms = node.ms["lock_delay"] + node.ms["takeover_delay"]
    if node.fenced_ms * CLOCK_TOLERANCE > waited_ms:
        said = (
            f"{node.name}: (lease + fence_grace) * {CLOCK_TOLERANCE} = "
            f"{node.fenced_ms * CLOCK_TOLERANCE:.0f} ms is more than lock_delay + takeover_delay = "
            f"{waited_ms} ms."
        )
        yield found(Code.TIMING_UNSAFE, said, node.name)


def _with_others(leader: _Node, nodes: list[_Node]) -> Iterator[Finding]:
    """If `leader` leads and vanishes: who would come too soon, were it not told when it stops?"""
    stopped_ms = leader.fenced_ms * CLOCK_TOLERANCE
    soon = [
        node
        for node in nodes
        if node is not leader and leader.lock_delay_ms + node.ms["takeover_delay"] < stopped_ms
    ]
    if not soon:
        return
    names = ", ".join(node.name for node in soon)
    kept = "only that the record tells of it keeps them apart"
    if not leader.fence_told:
        kept = "and neither the record nor the term key tells of it"
    said = (
        f"If {leader.name} vanishes it has stopped after {stopped_ms:.0f} ms, but its lock-delay "
        f"of {leader.lock_delay_ms} ms and the takeover_delay of {names} are shorter: {kept}."
    )
    severity = Severity.WARNING if leader.fence_told else Severity.CRITICAL
    yield found(
        Code.TIMING_UNSAFE,
        said,
        f"leader {leader.name}",
        *(node.name for node in soon),
        severity=severity,
    )
