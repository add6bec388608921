"""One node out of a snapshot: what it is, and why it does not lead. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from coord.election.reasons import WhyNot
from coord.election.states import State
from coord.members import GONE, Member, Role, Seen, best_by_node
from coord.status.model import ClusterStatus
from coord.status.rows import leading_member, namesakes


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """What one node is, and why it does not lead.

    found: Consul shows it; False with `seen` other than KNOWN means that it may be there.
    leads: the leader key is locked in its name and, where the record has one, at its address.
    why_not: None if it leads, or says nothing that this version knows: then `told` has its word.
    held_by: who leads instead, where somebody does.
    instances: everything it registered, old process starts included.
    leader_address: of whoever leads, "" if nobody does or it is not told.
    addresses: of all passing nodes that have this name; more than one is a mistake.
    """

    node: str
    found: bool
    seen: Seen
    leads: bool
    roles: tuple[Role, ...]
    state: str
    why_not: WhyNot | None
    told: str
    held_by: str | None
    instances: tuple[Member, ...]
    leader_address: str = ""
    addresses: tuple[str, ...] = ()


def node_status(status: ClusterStatus, node: str) -> NodeStatus:
    """One node, out of a snapshot: by its name, or by its address, which no name can look like."""
    by_name = tuple(member for member in status.members if member.node == node)
    instances = by_name or tuple(m for m in status.members if ":" in node and m.address == node)
    name = instances[0].node if instances else node
    leading = leading_member(instances, status.leader)
    # A name that leads is told so even where its candidate is not to be seen.
    unseen = status.leader_node == node and not any(member.passing for member in instances)
    leads = leading is not None or unseen
    # As a candidate if it is one, else whatever it is: that is what answers "why not".
    by_role = {
        role: best_by_node(m for m in instances if m.role is role).get(name) for role in Role
    }
    main = leading or next((member for member in by_role.values() if member is not None), None)
    return NodeStatus(
        node=name,
        found=main is not None or leads,
        seen=_worst_seen(status),
        leads=leads,
        roles=tuple(role for role, member in by_role.items() if member is not None),
        state=state_of(main, leading) if main else "",
        why_not=None if leads else _why_not(main),
        told=main.why_not if main else "",
        held_by=None if leads else status.leader_node,
        instances=instances,
        leader_address=status.leader.address if status.leader.locked else "",
        addresses=namesakes(status).get(name, ()),
    )


def state_of(member: Member, leading: Member | None) -> str:
    """The member's state, given who leads: `GONE` if its check fails, else as it told.

    A node tells a state only once it has lasted some seconds, so what the leader told may still be
    that it waits: then the lock on the leader key says it better.
    """
    if member.gone:
        return GONE
    before = (State.JOINING, State.STANDBY, State.WAITING, State.ACQUIRING, State.COOLING)
    leads = member == leading
    return State.LEADING.value if leads and member.state in before else member.state


def _why_not(main: Member | None) -> WhyNot | None:
    if main is None:
        return None
    if main.role is not Role.CANDIDATE or main.eligible is False:
        return WhyNot.NOT_ELIGIBLE
    return main.reason


def _worst_seen(status: ClusterStatus) -> Seen:
    seen = [listing.seen for listing in (status.candidates, status.observers, status.pollers)]
    order = (Seen.NOT_PERMITTED, Seen.UNAVAILABLE, Seen.UNKNOWN)
    return next((one for one in order if one in seen), Seen.KNOWN)
