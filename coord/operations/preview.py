"""What an operation would do, and what speaks against it: decided on one snapshot. Pure."""

from __future__ import annotations

from dataclasses import replace

from coord.controls import Controls
from coord.election.timing import Timing
from coord.members import Member, Seen, best_by_node
from coord.operations.asks import Ask, Operation
from coord.operations.cautions import cautions
from coord.operations.gap import (
    FALL_BACK_MS,
    Told,
    come_back_ms,
    forced,
    handed_over,
    waits,
)
from coord.operations.model import Basis, Gap, Leading, Preview, Refused, Successor
from coord.operations.refusals import refusal
from coord.operations.successors import followers, successors
from coord.records import Paths
from coord.status.model import ClusterStatus
from coord.status.rows import leading_member


def preview(
    status: ClusterStatus,
    controls: Controls,
    ask: Ask,
    timing: Timing,
    *,
    polls_running: int | None = None,
) -> Preview | Refused:
    """What `ask` would do to the cluster as the snapshot shows it, or why it is not to be done.

    controls: read about when the snapshot was.
    timing: the operator's own settings, for what the fleet does not tell.
    polls_running: how many polls are open; None where that is not known.
    """
    leader = leading(status)
    refused = refusal(status, controls, ask, leader)
    if refused is not None:
        return refused
    member = leading_member(status.candidates.items, status.leader)
    following = _following(status, controls, ask, leader)
    members_seen = status.candidates.seen is Seen.KNOWN
    interrupts = leader is not None and _interrupts(ask, leader, controls, following, members_seen)
    told = Told(
        leader=member,
        successor=_likely(status, following, ask),
        fenced_within_ms=status.leader.fenced_within_ms or status.term.fenced_within_ms,
    )
    found = Preview(
        election=status.election,
        ask=ask,
        basis=basis(status, controls, ask),
        waits=waits(told, timing),
        leader=leader,
        interrupts=interrupts,
        workloads=_workloads(member) if interrupts else (),
        polls_running=polls_running if interrupts else None,
        successors=tuple(following),
        members_seen=members_seen,
        gap=_gap(ask, told, timing, following, _pause_left_ms(status, controls))
        if interrupts
        else None,
    )
    return replace(found, cautions=cautions(status, controls, found, member))


def _workloads(leader: Member | None) -> tuple[str, ...] | None:
    return None if leader is None else leader.workloads


def leading(status: ClusterStatus) -> Leading | None:
    """Who leads, as far as the record says; None if nobody does."""
    leader = status.leader
    if not leader.locked:
        return None
    return Leading(
        node=leader.node,
        node_type=leader.node_type,
        address=leader.address,
        term=leader.term or status.term.value or 0,
        since=leader.since,
    )


def basis(status: ClusterStatus, controls: Controls, ask: Ask) -> Basis:
    """The versions of all that is decided on."""
    leader = leading(status)
    term = leader.term if leader else status.term.value or 0
    return Basis(
        term=term,
        session=status.leader.session,
        leader_index=status.leader.modify_index,
        term_index=status.term.modify_index,
        control_index=controls.indices.get(control_key(Paths(status.election), ask), 0),
    )


def control_key(paths: Paths, ask: Ask) -> str:
    """The key that the operation writes, or takes away."""
    if ask.operation.of_leader:
        return paths.request
    if ask.operation in (Operation.PAUSE, Operation.RESUME):
        return paths.pause
    return paths.drain(ask.node)


def _following(
    status: ClusterStatus, controls: Controls, ask: Ask, leader: Leading | None
) -> list[Successor]:
    """Who may follow once it is done: whoever is drained by it may not, whoever no longer may."""
    undrained = ask.node if ask.operation is Operation.UNDRAIN else ""
    still = {node: drain for node, drain in controls.drained.items() if node != undrained}
    found = successors(
        status.candidates.items,
        replace(controls, drained=still),
        leader.node if leader else "",
        ask.node if ask.operation is Operation.TRANSFER else "",
    )
    drained = ask.node if ask.operation is Operation.DRAIN else ""
    return [each for each in found if each.node != drained]


def _interrupts(
    ask: Ask,
    leader: Leading,
    controls: Controls,
    following: list[Successor],
    members_seen: bool,
) -> bool:
    """Whether the leader's work ends by it. One that is drained leads on while nobody else is
    there to follow; where that cannot be seen, somebody may be."""
    if ask.operation.of_leader:
        return True
    if ask.operation is Operation.DRAIN:
        return ask.node == leader.node and (bool(followers(following)) or not members_seen)
    if ask.operation is not Operation.UNDRAIN or leader.node not in controls.drained:
        return False
    comes = any(each.node == ask.node for each in followers(following))
    return ask.node != leader.node and (comes or not members_seen)


def _likely(status: ClusterStatus, following: list[Successor], ask: Ask) -> Member | None:
    ready = [s.node for s in following if s.ready]
    named = ask.operation is Operation.TRANSFER and ask.node in ready
    name = ask.node if named else next(iter(ready), None)
    return best_by_node(status.candidates.items).get(name) if name is not None else None


def _gap(
    ask: Ask, told: Told, timing: Timing, following: list[Successor], pause_left_ms: int
) -> Gap:
    """The expected gap, and how long it may last at the worst that is foreseen."""
    gap = forced(told, timing) if ask.operation is Operation.FORCE_RELEASE else handed_over(timing)
    if pause_left_ms:
        return replace(gap, until_ms=pause_left_ms + gap.expected_ms)
    if any(s.ready for s in following):
        fall_back = ask.operation is Operation.TRANSFER
        return replace(gap, until_ms=gap.expected_ms + FALL_BACK_MS) if fall_back else gap
    if ask.operation is Operation.FORCE_RELEASE:
        # Whoever is left comes when the vacancy is that old, if not before.
        return replace(gap, until_ms=round(timing.last_resort * 1000) + gap.expected_ms)
    back_ms = come_back_ms(timing, alone=not followers(following))
    return replace(gap, until_ms=back_ms + gap.expected_ms)


def _pause_left_ms(status: ClusterStatus, controls: Controls) -> int:
    """How long a pause lasts yet, by the clocks on the walls; 0 without one."""
    pause = controls.pause
    if pause is None:
        return 0
    left = round(pause.at.timestamp() * 1000) + pause.for_ms - status.at_ms
    return min(max(1, left), pause.for_ms)
