"""What the endpoints answer, as types: `docs/openapi.py` makes `openapi.json` of them.

For whoever checks types and writes documentation: the node does not import them. The cluster and
each event have types of their own, in `coord.status` and `coord.telemetry`.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from coord.child import ChildState
from coord.election.reasons import WhyNot
from coord.members import Seen
from coord.node_type import EligibleWhy, NodeType
from coord.status import Condition


class Index(TypedDict):
    """The node, and where it says more.

    node: its name.
    urls: the paths that it answers, without parameters.
    """

    node: str
    urls: list[str]


class Probe(TypedDict):
    """What every health endpoint says.

    status: ok with 200, unavailable with 503.
    state: the state of this node's election.
    why_not_leader: why this node does not lead; null if it does, or before it knows.
    why_not_detail: for how many seconds still, or what Consul said; empty where there is no more
        to say.
    """

    status: Literal["ok", "unavailable"]
    state: str
    why_not_leader: WhyNot | None
    why_not_detail: str


class Child(TypedDict):
    """One part of the coordination work.

    id: its name.
    state: where it is.
    restarts: how often it was restarted since this node leads.
    """

    id: str
    state: ChildState
    restarts: int


class Counted(TypedDict):
    """How many nodes of one kind there are; each counts once.

    seen: how far that is known: rely on the numbers only where it is known.
    passing: nodes all of whose checks pass.
    registered: nodes that Consul lists, whether their checks pass or not.
    """

    seen: Seen
    passing: int
    registered: int


class Summary(TypedDict):
    """The cluster in short, from Consul.

    leader_node: who leads; null while nobody does, or it cannot be read.
    election_state: what the leader key is like.
    term: what the term key says; null where it says nothing that can be read.
    verdict: what the leader last found of the cluster, as it stands in Consul; null if nothing, or
        if who found it leads no longer.
    age_ms: how long ago Consul was asked, in milliseconds.
    candidates: those that may lead.
    observers: those that may not.
    pollers: those that run polls.
    """

    leader_node: str | None
    election_state: Condition
    term: int | None
    verdict: str | None
    age_ms: int
    candidates: Counted
    observers: Counted
    pollers: Counted


class Health(Probe):
    """The node as it sees itself.

    node: its name.
    node_type: its kind.
    eligible: whether it may lead.
    eligible_why: why, or why not.
    election: the election that it takes part in.
    leader_node: who leads as far as it knows; null if it does not know of anybody.
    leader_term: the term of that leader; null if it does not know one.
    term: its own term; null unless it leads.
    lease_remaining_s: what is left of its lease, in seconds; null unless it leads.
    consul: ok, or what keeps it from reading Consul.
    work: the parts of its coordination work; empty unless it leads.
    cluster: null where Consul cannot be read, does not answer at once, or it is not asked for.
    """

    node: str
    node_type: NodeType
    eligible: bool
    eligible_why: EligibleWhy
    election: str
    leader_node: str | None
    leader_term: int | None
    term: int | None
    lease_remaining_s: float | None
    consul: Literal["ok"] | WhyNot
    work: list[Child]
    cluster: Summary | None


class Events(TypedDict):
    """The events that this node told last.

    events: the oldest first.
    """

    events: list[dict[str, Any]]


class Error(TypedDict):
    """Why there is no other answer.

    error: a code; it stays the same from version to version.
    field: the parameter that is wrong, where one is.
    fix: what to do, for people.
    """

    error: str
    field: NotRequired[str]
    fix: NotRequired[str]
