"""Who may follow the leader, in which order, and why the others may not. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from coord.controls import Controls
from coord.election.reasons import WhyNot
from coord.election.state import State
from coord.members import Member, best_by_node
from coord.operations.model import Successor
from coord.records import DEFAULT_PRIORITY

HINDERS = frozenset(
    {
        WhyNot.NOT_ELIGIBLE,
        WhyNot.CHECK_CRITICAL,
        WhyNot.NO_SESSION,
        WhyNot.CONSUL_UNREACHABLE,
        WhyNot.NO_CONSUL_LEADER,
        WhyNot.NOT_PERMITTED,
        WhyNot.COOLING_DOWN,
    }
)
"""What keeps a candidate from leading, besides what operators ask, which `Controls` tells better
than a node that tells it seconds later. The others only say that it is not its turn."""


def successors(
    candidates: Iterable[Member], controls: Controls, leader: str, heir: str = ""
) -> list[Successor]:
    """The candidates but the leader: those that can lead first, by priority, then by name.

    heir: whom a transfer names.
    """
    found = [
        candidate_of(member, controls, named=node == heir)
        for node, member in best_by_node(candidates).items()
        if node != leader
    ]
    return sorted(found, key=lambda s: (not s.ready, -s.priority, s.node))


def followers(found: Iterable[Successor]) -> list[Successor]:
    """Those that a drained leader makes way for: they are there and not drained, whatever else
    may keep them from leading just now."""
    absent = (WhyNot.NOT_ELIGIBLE, WhyNot.CHECK_CRITICAL, WhyNot.DRAINED)
    return [each for each in found if WhyNot.parse(each.why_not) not in absent]


def candidate_of(member: Member, controls: Controls, *, named: bool = False) -> Successor:
    """One candidate: whether it could take over now.

    named: a transfer names it; then it need not stay back to let others go first.
    """
    why_not = _why_not(member, controls)
    return Successor(
        node=member.node,
        priority=DEFAULT_PRIORITY if member.priority is None else member.priority,
        why_not="" if named and why_not == WhyNot.COOLING_DOWN else why_not,
        address=member.address,
    )


def _why_not(member: Member, controls: Controls) -> str:
    if member.eligible is False:
        return WhyNot.NOT_ELIGIBLE.value
    if not member.passing:
        return WhyNot.CHECK_CRITICAL.value
    if member.node in controls.drained:
        return WhyNot.DRAINED.value
    if controls.pause is not None:
        return WhyNot.PAUSED.value
    reason = member.reason
    if reason is WhyNot.CONSUL_UNREACHABLE and member.state == State.JOINING.value:
        # What it was registered with as it started: it tells another state seconds after it has
        # come to it.
        return ""
    return reason.value if reason in HINDERS and reason is not None else ""
