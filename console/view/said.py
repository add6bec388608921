"""What the nodes say of themselves, and where that is not what Consul has."""

from __future__ import annotations

from collections.abc import Iterator

from console.snapshot import Answer, NodeSaid, Said, Snapshot
from console.view.detail import Part, told
from console.view.headline import is_old
from console.view.line import LONG, Line, Span, Tone, foreign, joined, line
from coord.consul import CheckStatus
from coord.status import ClusterStatus, Member, state_of
from coord.status.rows import leading_member
from coord.status.words import ago, duration, plain

SETTLED_S = 2.0
"""So long after the leader changed, in seconds, its node and the others know of it."""

TOLD_S = 12.0
"""So long after its state changed, in seconds, a node has told Consul: it does so once that has
lasted some seconds, and is asked every few."""

SILENT_S = 8.0
"""So long after a node answered last, in seconds, that it does not is no mere hiccup."""

OUTDATED_S = 30.0
"""What was said so long before, in seconds, is not compared any more."""

_LEADS = "leading"
_HAS_LOCK = frozenset({_LEADS, "suspended", "stepping_down", "acquiring"})
"""What a node says of itself that has the lock."""

_LABEL = "Says itself".ljust(13)
"""As wide as the labels above it."""

_WORDS = {
    Answer.UNREACHABLE: "not reachable",
    Answer.UNREADABLE: "unreadable",
    Answer.ANOTHER: "another node",
}


def differences(snapshot: Snapshot, now: float) -> tuple[Line, ...]:
    """A line for each node that says of itself what Consul does not; both are named."""
    said = snapshot.said
    found = () if said is None else said.nodes
    return tuple(each for node in found if (each := difference(snapshot, node, now)))


def difference(snapshot: Snapshot, node: NodeSaid, now: float) -> Line:
    """The same for one node; empty where both agree, or one may just not know yet."""
    said, status = snapshot.said, snapshot.status
    if said is None or status is None or is_old(snapshot, now) or now - said.at > OUTDATED_S:
        return ()
    if (said.leader_node, said.term) != (status.leader_node, status.leader.term):
        return ()  # it was asked before that changed
    member = _member(status, node)
    both = None if member is None else _both(status, member, node, said)
    if both is None:
        return ()
    consul, itself, tone = both
    return line(
        Span("! ", tone),
        foreign(node.node, tone, 28),
        Span(f": Consul shows {consul}; the node itself {itself}", tone),
        Span(f", {ago(now - said.at)}", Tone.DIM),
    )


def _member(status: ClusterStatus, node: NodeSaid) -> Member | None:
    """What Consul has at that address: of several boots, the one that does best."""
    every = (*status.candidates.items, *status.observers.items)
    fitting = [m for m in every if (m.node, m.address) == (node.node, node.address)]
    return min(fitting, key=lambda member: member.status.severity, default=None)


def _both(
    status: ClusterStatus, member: Member, node: NodeSaid, said: Said
) -> tuple[str, str, Tone] | None:
    """What the one has, and the other says; None: they agree, as far as can be told."""
    if node.answer is not Answer.ANSWERED:
        silent = node.answered_before and said.at - node.since >= SILENT_S
        if silent and member.passing and node.answer is not Answer.ANOTHER:
            lasting = duration(said.at - node.since)
            word = "answers no more" if node.answer is Answer.UNREACHABLE else "is unreadable"
            return "its check passing", f"{word} for {lasting}", Tone.WARN
        return None
    itself = _says(node)
    if (of_the_lead := _of_the_lead(status, node)) is not None:
        settled = said.at - said.since >= SETTLED_S
        return (of_the_lead, itself, Tone.BAD) if settled else None
    if member.status is CheckStatus.CRITICAL:
        return "its check critical", f"answers, and {itself}", Tone.WARN
    state = state_of(member, leading_member((member,), status.leader))
    told = state not in ("", "unknown") and said.at - node.since >= TOLD_S
    if told and node.state != state:
        return plain(state, 24), itself, Tone.WARN
    return None


def _of_the_lead(status: ClusterStatus, node: NodeSaid) -> str | None:
    """Who leads as Consul has it, where the node says otherwise of itself."""
    leader = status.leader
    leads = leader.locked and (leader.node, leader.address or node.address) == (
        node.node,
        node.address,
    )
    if leads and node.state not in _HAS_LOCK:
        return f"it as the leader, in term {leader.term}"
    if leads and node.state == _LEADS and None not in (node.term, leader.term):
        return None if node.term == leader.term else f"it as the leader, in term {leader.term}"
    if leads or node.state != _LEADS:
        return None
    if not leader.locked:
        return "that nobody leads"
    return f"{plain(leader.node, 28)} as the leader, in term {leader.term}"


def _says(node: NodeSaid) -> str:
    term = "" if node.term is None else f", in term {node.term}"
    return f"says {plain(node.state, 24)}{term}"


# --- one node in full ----------------------------------------------------------------------------


def detail(snapshot: Snapshot, name: str, address: str, now: float) -> Iterator[Part]:
    """What the node at that address says of itself, and how old that is."""
    said = snapshot.said
    if said is None:
        return
    node = next((n for n in said.nodes if (n.node, n.address) == (name, address)), None)
    if node is None:
        if said.left_out:
            yield told(_LABEL, f"not asked: {said.left_out} are left out", Tone.DIM)
        return
    age = Span(f", asked {ago(now - said.at)}", Tone.DIM)
    if node.answer is Answer.ANSWERED:
        yield _LABEL, (*joined(_parts(node)), age)
    else:
        what = line(Span(_WORDS[node.answer], Tone.DIM), ": ", foreign(node.detail, Tone.DIM, LONG))
        yield _LABEL, (*what, age)
    if differs := difference(snapshot, node, now):
        yield "", differs


def _parts(node: NodeSaid) -> Iterator[Line]:
    term = "" if node.term is None else f" in term {node.term}"
    yield line(foreign(node.state, Tone.STRONG, 24), term)
    if node.why_not:
        more = f" ({plain(node.detail, LONG)})" if node.detail else ""
        yield line(foreign(node.why_not, limit=24), more)
    leader = foreign(node.leader_node, limit=28) if node.leader_node else Span("nobody it knows of")
    yield line("leader ", leader)
    yield line("Consul ", foreign(node.consul, limit=24))
