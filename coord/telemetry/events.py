"""The events: what the telemetry says, as frozen dataclasses.

A workload may bring further classes of `Event`. `CATALOGUE` names every class of this module; the
documentation is generated from it. Use them through `coord.telemetry`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, ClassVar

from coord.election.reasons import (
    Cause,
    LostReason,
    StepDownReason,
    SuspendReason,
    TakeoverOutcome,
    WhyNot,
)

COORDINATOR = "serviceradar.coordinator."
CLUSTER = "serviceradar.cluster."
POLLS = "serviceradar.polls."


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, as one node saw it.

    Fields that are left out are filled in by `Telemetry.emit`.

    node: the name of the node that tells.
    node_type: its type.
    election: the election it takes part in.
    term: the term it concerns; None where there is none, or it is not known.
    at_ms: when, in milliseconds of wall-clock time since 1970, for people alone.
    """

    NAME: ClassVar[str] = ""
    """Short and unique, e.g. ``became_leader``."""
    EVENT: ClassVar[str] = ""
    """The full name, e.g. ``serviceradar.coordinator.became_leader``."""
    LEVEL: ClassVar[str] = "info"
    """The level at which it is logged unless `log_level` says better: debug, info or warning."""
    PERIODIC: ClassVar[bool] = False
    """It comes again and again while nothing changes: logged, but not kept."""
    JOURNALED: ClassVar[bool] = False
    """It is a transition of the election, which the journal in Consul keeps."""

    node: str = ""
    node_type: str = ""
    election: str = ""
    term: int | None = None
    at_ms: int = 0

    @property
    def log_level(self) -> str:
        """The level at which this very event is logged."""
        return self.LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectionStarted(Event):
    """A candidate saw the leader key vacant and sets out to take it.

    former_leader: who held it last, as far as the record says.
    cause: how it came to be vacant.
    wait_ms: how long it must leave the vacancy alone, in milliseconds.
    """

    NAME: ClassVar[str] = "election_started"
    EVENT: ClassVar[str] = COORDINATOR + NAME
    JOURNALED: ClassVar[bool] = True

    former_leader: str | None = None
    cause: Cause = Cause.UNKNOWN
    wait_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BecameLeader(Event):
    """This node took the lock and leads, under `term`."""

    NAME: ClassVar[str] = "became_leader"
    EVENT: ClassVar[str] = COORDINATOR + NAME
    JOURNALED: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LostLeadership(Event):
    """This node led under `term` and leads no longer. A clean end is logged at info.

    reason: why, as it knows itself.
    child: which part of the work failed, where that is why.
    """

    NAME: ClassVar[str] = "lost_leadership"
    EVENT: ClassVar[str] = COORDINATOR + NAME
    LEVEL: ClassVar[str] = "warning"
    JOURNALED: ClassVar[bool] = True

    reason: LostReason
    child: str | None = None

    @property
    def log_level(self) -> str:
        """A clean end is nothing to warn of."""
        clean = self.reason in (LostReason.SHUTDOWN, LostReason.STEPPED_DOWN)
        return "info" if clean else self.LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderChanged(Event):
    """The leader is another than before; or a node that has just started learns of one, and knows
    no `previous_leader`. Every node tells; the new leader alone knows the phases.

    previous_leader: who led before; None if that is not known.
    new_leader: who leads now.
    cause: how the vacancy in between came about.
    gap_ms: the sum of the phases that are known, in milliseconds; it ends as the work starts.
    detect_ms: from the former leader's last sign of life until the vacancy was seen, in
        milliseconds; known only where its check ran out, not where it was lost with its host.
    quarantine_ms: while the vacancy had to be left alone, turns included, in milliseconds.
    acquire_ms: to take the lock, in milliseconds.
    start_ms: to start the work, in milliseconds.
    """

    NAME: ClassVar[str] = "leader_changed"
    EVENT: ClassVar[str] = COORDINATOR + NAME
    JOURNALED: ClassVar[bool] = True

    previous_leader: str | None = None
    new_leader: str
    cause: Cause = Cause.UNKNOWN
    gap_ms: int | None = None
    detect_ms: int | None = None
    quarantine_ms: int | None = None
    acquire_ms: int | None = None
    start_ms: int | None = None

    @property
    def told_by_new_leader(self) -> bool:
        """The node that tells is the new leader: the telling that is counted and journaled."""
        return self.new_leader == self.node


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderDown(Event):
    """The leader is gone and nobody leads; `term` is the one that ended.

    Logged at info where the leader ended cleanly.

    former_leader: who led; None if that is not known.
    cause: how it ended.
    """

    NAME: ClassVar[str] = "leader_down"
    EVENT: ClassVar[str] = COORDINATOR + NAME
    LEVEL: ClassVar[str] = "warning"
    JOURNALED: ClassVar[bool] = True

    former_leader: str | None = None
    cause: Cause = Cause.UNKNOWN

    @property
    def log_level(self) -> str:
        """A clean end is nothing to warn of."""
        clean = self.cause in (Cause.HANDED_OVER, Cause.STEPPED_DOWN, Cause.TRANSFERRED)
        return "info" if clean else self.LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectionCheck(Event):
    """The periodic look at the leader key, whatever the watch says.

    leader: who leads; None while nobody does.
    state: the state of this node's election.
    why_not: why this node does not lead; None if it does.
    """

    NAME: ClassVar[str] = "election_check"
    EVENT: ClassVar[str] = COORDINATOR + NAME
    LEVEL: ClassVar[str] = "debug"
    PERIODIC: ClassVar[bool] = True

    leader: str | None
    state: str
    why_not: WhyNot | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeoverAttempted(Event):
    """This node tried to take the lock.

    outcome: what came of it.
    took_ms: how long the attempt took, in milliseconds.
    """

    NAME: ClassVar[str] = "takeover_attempted"
    EVENT: ClassVar[str] = COORDINATOR + NAME
    JOURNALED: ClassVar[bool] = True

    outcome: TakeoverOutcome
    took_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDownRequested(Event):
    """This node leads and is asked to step down.

    reason: why.
    actor: who asks, where a person does.
    detail: why, in their words.
    request_id: of the operation by which they ask; the audit has it too.
    """

    NAME: ClassVar[str] = "step_down_requested"
    EVENT: ClassVar[str] = COORDINATOR + NAME
    JOURNALED: ClassVar[bool] = True

    reason: StepDownReason
    actor: str | None = None
    request_id: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspended(Event):
    """This leader could not confirm its lease and stopped its work; it may hold the lock still.

    reason: what keeps it from confirming.
    """

    NAME: ClassVar[str] = "suspended"
    EVENT: ClassVar[str] = COORDINATOR + NAME
    LEVEL: ClassVar[str] = "warning"
    JOURNALED: ClassVar[bool] = True

    reason: SuspendReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Event):
    """This leader confirmed its lease again and goes on working under the same term.

    suspended_ms: how long its work was stopped, in milliseconds.
    """

    NAME: ClassVar[str] = "resumed"
    EVENT: ClassVar[str] = COORDINATOR + NAME
    JOURNALED: ClassVar[bool] = True

    suspended_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged(Event):
    """The state of this node's election changed.

    previous: the state before.
    state: the state now.
    why_not: why this node does not lead; None if it does.
    """

    NAME: ClassVar[str] = "state_changed"
    EVENT: ClassVar[str] = COORDINATOR + NAME
    LEVEL: ClassVar[str] = "debug"

    previous: str
    state: str
    why_not: WhyNot | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRestarted(Event):
    """The supervisor restarted one child of the work after it ended.

    child: its id.
    error: what it ended with; "" if it ended by itself.
    restarts: how often it was restarted under this term.
    """

    NAME: ClassVar[str] = "child_restarted"
    EVENT: ClassVar[str] = COORDINATOR + NAME
    LEVEL: ClassVar[str] = "warning"
    JOURNALED: ClassVar[bool] = True

    child: str
    error: str = ""
    restarts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PollFinished(Event):
    """One poll came back, or was given up.

    schedule: the schedule that it belongs to.
    poller: the poller that it was sent to; None if there was none.
    outcome: what came of it.
    took_ms: from sending it to its result, in milliseconds.
    """

    NAME: ClassVar[str] = "poll_finished"
    EVENT: ClassVar[str] = POLLS + "finished"
    LEVEL: ClassVar[str] = "debug"
    PERIODIC: ClassVar[bool] = True

    schedule: str
    poller: str | None = None
    outcome: str
    took_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterHealthCheck(Event):
    """The leader's periodic verdict on the cluster.

    verdict: healthy or degraded.
    reasons: why it is degraded.
    nodes_up: how many nodes are up.
    nodes_down: how many nodes are down.
    candidates_up: how many candidates pass their check.
    candidates_down: how many candidates fail it.
    pollers_up: how many pollers pass their check.
    pollers_down: how many pollers fail it.
    """

    NAME: ClassVar[str] = "health_check"
    EVENT: ClassVar[str] = CLUSTER + NAME
    LEVEL: ClassVar[str] = "debug"
    PERIODIC: ClassVar[bool] = True

    verdict: str
    reasons: tuple[str, ...] = ()
    nodes_up: int
    nodes_down: int
    candidates_up: int = 0
    candidates_down: int = 0
    pollers_up: int = 0
    pollers_down: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUp(Event):
    """A node of the cluster came, or came back.

    name: that node (`node` is the one that tells).
    """

    NAME: ClassVar[str] = "node_up"
    EVENT: ClassVar[str] = CLUSTER + NAME

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDown(Event):
    """A node of the cluster is failing, or gone.

    name: that node (`node` is the one that tells).
    """

    NAME: ClassVar[str] = "node_down"
    EVENT: ClassVar[str] = CLUSTER + NAME
    LEVEL: ClassVar[str] = "warning"

    name: str


CATALOGUE: tuple[type[Event], ...] = (
    ElectionStarted,
    BecameLeader,
    LostLeadership,
    LeaderChanged,
    LeaderDown,
    ElectionCheck,
    TakeoverAttempted,
    StepDownRequested,
    Suspended,
    Resumed,
    StateChanged,
    ChildRestarted,
    PollFinished,
    ClusterHealthCheck,
    NodeUp,
    NodeDown,
)
"""Every class of event that is defined here."""


def to_dict(event: Event) -> dict[str, Any]:
    """The event as JSON has it: its full name under ``event``, then its fields; enums by value."""
    result: dict[str, Any] = {"event": event.EVENT}
    for field in fields(event):
        value = getattr(event, field.name)
        plain = value.value if isinstance(value, Enum) else value
        result[field.name] = list(plain) if isinstance(plain, tuple) else plain
    return result
