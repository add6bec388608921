"""One node out of a snapshot: what it is, and why it leads or does not. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from coord.election.reasons import WhyNot
from coord.election.state import State
from coord.members import GONE, Member, Role, Seen, best_by_node
from coord.records import DrainRecord, PauseRecord, RequestRecord
from coord.status.denial import denial
from coord.status.model import ClusterStatus, ControlStatus, LeaderStatus
from coord.status.reasons import TIMED, Explanation, explanation
from coord.status.rows import leading_member, namesakes
from coord.status.words import ms_of


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """What one node is, and why it leads or does not.

    found: Consul shows it; False with `seen` other than KNOWN means that it may be there.
    leads: the leader key is locked in its name and, where the record has one, at its address.
    why_not: None if it leads, or says nothing that this version knows: then `told` has its word.
    why: what `why_not` means, what it waits for and what can be done; None if it leads, or is not
        found.
    since_ms: since when it is so, in wall-clock milliseconds since 1970: by the node's own clock,
        or the record's; None where nothing says. Likewise
    until_ms: about until when, where time alone ends it.
    held_by: who leads instead, where somebody does.
    instances: everything it registered, old process starts included.
    leader_address: of whoever leads, "" if nobody does or it is not told.
    addresses: of all passing nodes that have this name; more than one is a mistake.
    leadership: what the leader key says, where this node leads.
    main: of its instances, the one that all this is about.
    controls: how far it is known what operators ask; of that what concerns this node:
    pause, drain, request: None if it is not asked, or not to be seen; a request concerns the leader
        alone.
    denied: why the token may not see all, in words; None if nothing was denied.
    now_ms: when it was read, by the reader's wall clock.
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
    why: Explanation | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    leadership: LeaderStatus | None = None
    main: Member | None = None
    controls: Seen = Seen.UNKNOWN
    pause: PauseRecord | None = None
    drain: DrainRecord | None = None
    request: RequestRecord | None = None
    denied: str | None = None
    now_ms: int = field(default=0, compare=False)

    @property
    def left_ms(self) -> int | None:
        """About how long it still waits, in milliseconds; None where nothing says, or it has
        passed: a node does not tell a new end as long as it gives the same reason."""
        left = None if self.until_ms is None else self.until_ms - self.now_ms
        return left if left is not None and left >= 0 else None


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
    found = main is not None or leads
    why_not = None if leads else why_not_of(main)
    leadership = status.leader if leads else None
    asked = status.controls.asked
    return NodeStatus(
        node=name,
        found=found,
        seen=_worst_seen(status),
        leads=leads,
        roles=tuple(role for role, member in by_role.items() if member is not None),
        state=state_of(main, leading) if main else "",
        why_not=why_not,
        told=main.why_not if main else "",
        held_by=None if leads else status.leader_node,
        instances=instances,
        leader_address=status.leader.address if status.leader.locked else "",
        addresses=namesakes(status).get(name, ()),
        why=explanation(why_not, name) if found and not leads else None,
        since_ms=_leads_since(leadership) if leadership else _told_since(main),
        until_ms=None if leads or main is None else until_ms(main, status.controls),
        leadership=leadership,
        main=main,
        controls=status.controls.seen,
        pause=asked.pause,
        drain=asked.drained.get(name),
        request=asked.request if leads else None,
        denied=denial(status),
        now_ms=status.now_ms,
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


def why_not_of(member: Member | None) -> WhyNot | None:
    """Why a member does not lead, given that it does not; None where that is not known."""
    if member is None:
        return None
    if member.role is not Role.CANDIDATE or member.eligible is False:
        return WhyNot.NOT_ELIGIBLE
    return member.reason


def since_ms(member: Member) -> int | None:
    """Since when a member does not lead for the reason that it gives; None where nothing says.

    A check that fails is Consul's word, and Consul does not say since when.
    """
    return None if member.reason is WhyNot.CHECK_CRITICAL else member.since_ms


def until_ms(member: Member, controls: ControlStatus) -> int | None:
    """About until when a member does not lead for the reason that it gives, where time ends it."""
    reason = why_not_of(member)
    pause = controls.asked.pause
    if reason is WhyNot.PAUSED and pause is not None:
        return ms_of(pause.at) + pause.for_ms
    return member.until_ms if reason in TIMED else None


def _leads_since(leader: LeaderStatus) -> int | None:
    return None if leader.since is None else ms_of(leader.since)


def _told_since(main: Member | None) -> int | None:
    return None if main is None else since_ms(main)


def _worst_seen(status: ClusterStatus) -> Seen:
    seen = [listing.seen for listing in (status.candidates, status.observers, status.pollers)]
    order = (Seen.NOT_PERMITTED, Seen.UNAVAILABLE, Seen.UNKNOWN)
    return next((one for one in order if one in seen), Seen.KNOWN)
