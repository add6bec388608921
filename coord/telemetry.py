"""The event catalogue, and the bus that hands each event to its subscribers.

One typed event feeds the log, the metrics, the journal and ``/api/events``. Whoever has something
to tell writes

    telemetry.emit(BecameLeader, term=7)

and the rest (node, node type, election, wall-clock time) is filled in. Type checkers check the
fields. `CATALOGUE` names every class there is; the documentation is generated from it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any, ClassVar, ParamSpec, Protocol, overload

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

RECENT_EVENTS = 200
"""How many events `Telemetry.recent` keeps."""

_MAX_NESTED = 100
"""How many events the handlers of one event may emit in turn: a loop among them ends here."""

_log = logging.getLogger("coord.telemetry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, as one node saw it.

    Fields that are left out are filled in by `Telemetry.emit`.

    node: the name of the node that tells.
    node_type: its type.
    election: the election it takes part in.
    term: the term it concerns; None where there is none, or it is not known.
    at_ms: when, in milliseconds of wall-clock time since 1970. For people: nothing is decided
        by it.
    """

    NAME: ClassVar[str] = ""
    """Short and unique, e.g. ``became_leader``."""
    EVENT: ClassVar[str] = ""
    """The full name, e.g. ``serviceradar.coordinator.became_leader``."""
    LEVEL: ClassVar[str] = "info"
    """The level at which it is logged: debug, info or warning."""
    PERIODIC: ClassVar[bool] = False
    """It comes again and again while nothing changes: logged, but not kept."""
    JOURNALED: ClassVar[bool] = False
    """It is a transition of the election, which the journal in Consul keeps."""

    node: str = ""
    node_type: str = ""
    election: str = ""
    term: int | None = None
    at_ms: int = 0


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
    """This node led under `term` and leads no longer.

    reason: why, as it knows itself.
    """

    NAME: ClassVar[str] = "lost_leadership"
    EVENT: ClassVar[str] = COORDINATOR + NAME
    LEVEL: ClassVar[str] = "warning"
    JOURNALED: ClassVar[bool] = True

    reason: LostReason


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderChanged(Event):
    """The leader is another than before. Every node tells; the new leader alone knows the phases.

    previous_leader: who led before; None if that is not known.
    new_leader: who leads now.
    cause: how the vacancy in between came about.
    gap_ms: from the vacancy (or the last known work) to the start of the new leader's work, in
        milliseconds; the sum of the phases that are known. Likewise in milliseconds:
    detect_ms: until the vacancy was seen.
    quarantine_ms: while the vacancy had to be left alone, turns included.
    acquire_ms: to take the lock.
    start_ms: to start the work.
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

    former_leader: who led; None if that is not known.
    cause: how it ended.
    """

    NAME: ClassVar[str] = "leader_down"
    EVENT: ClassVar[str] = COORDINATOR + NAME
    LEVEL: ClassVar[str] = "warning"
    JOURNALED: ClassVar[bool] = True

    former_leader: str | None = None
    cause: Cause = Cause.UNKNOWN


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
    detail: what they say, or which work failed.
    """

    NAME: ClassVar[str] = "step_down_requested"
    EVENT: ClassVar[str] = COORDINATOR + NAME
    JOURNALED: ClassVar[bool] = True

    reason: StepDownReason
    actor: str | None = None
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
    EVENT: ClassVar[str] = COORDINATOR + NAME
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
    nodes_up: how many nodes are up; likewise
    nodes_down: how many are down, and how many of these are passing (up) or not (down):
    candidates_up: candidates.
    candidates_down: candidates.
    pollers_up: pollers.
    pollers_down: pollers.
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
"""Every class of event there is."""


def to_dict(event: Event) -> dict[str, Any]:
    """The event as JSON has it: its full name under ``event``, then its fields; enums by value."""
    result: dict[str, Any] = {"event": event.EVENT}
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, Enum):
            value = value.value
        elif isinstance(value, tuple):
            value = list(value)
        result[field.name] = value
    return result


class TellsWho(Protocol):
    """What telemetry needs of a node's identity."""

    @property
    def node(self) -> str: ...
    @property
    def node_type(self) -> str: ...
    @property
    def election(self) -> str: ...


class WallClock(Protocol):
    """What telemetry needs of a clock."""

    def wall_ms(self) -> int: ...


Handler = Callable[[Event], None]
P = ParamSpec("P")


class Telemetry:
    """Hands each event to every handler, in the order of attaching, at once.

    To be used on the event loop's thread. Handlers must not block: one that has to wait for
    something keeps a bounded queue of its own. `recent` holds the last events that are not
    periodic, oldest first; `handler_failures` counts the calls of handlers that raised, and
    `events_dropped` the events lost to handlers that emit without end.
    """

    def __init__(self, identity: TellsWho, clock: WallClock) -> None:
        node_type = identity.node_type
        self._common: Mapping[str, str] = {
            "node": identity.node,
            "node_type": str(node_type.value) if isinstance(node_type, Enum) else node_type,
            "election": identity.election,
        }
        self._clock = clock
        self._handlers: tuple[tuple[object, Handler], ...] = ()
        self._waiting: deque[Event] = deque()
        self._emitting = False
        self._failures_told: set[tuple[object, type[Exception]]] = set()
        self.recent: deque[Event] = deque(maxlen=RECENT_EVENTS)
        self.handler_failures = 0
        self.events_dropped = 0

    def attach(self, handler: Handler) -> Callable[[], None]:
        """Hand every later event to `handler`; the returned callable ends that."""
        token = object()
        self._handlers = (*self._handlers, (token, handler))

        def detach() -> None:
            self._handlers = tuple(entry for entry in self._handlers if entry[0] is not token)

        return detach

    @overload
    def emit(self, event: Event, /) -> None: ...
    @overload
    def emit(self, event: Callable[P, Event], /, *args: P.args, **kwargs: P.kwargs) -> None: ...

    def emit(self, event: Event | Callable[..., Event], /, *args: Any, **kwargs: Any) -> None:
        """Tell: ``emit(BecameLeader, term=7)``, or an event that is made already.

        Never raises and never blocks. What a handler emits in turn is handed out after the event
        at hand, so that all handlers see all events in the same order.
        """
        try:
            complete = self._complete(event if isinstance(event, Event) else event(*args, **kwargs))
        except Exception:
            self.events_dropped += 1
            _log.exception("an event could not be made")
            return
        if not complete.PERIODIC:
            self.recent.append(complete)
        if self._emitting and len(self._waiting) >= _MAX_NESTED:
            self.events_dropped += 1
            return
        self._waiting.append(complete)
        if not self._emitting:
            self._hand_out()

    def _complete(self, event: Event) -> Event:
        missing: dict[str, Any] = {k: v for k, v in self._common.items() if not getattr(event, k)}
        if not event.at_ms:
            missing["at_ms"] = self._clock.wall_ms()
        return replace(event, **missing) if missing else event

    def _hand_out(self) -> None:
        self._emitting = True
        budget = _MAX_NESTED
        try:
            while self._waiting and budget:
                budget -= 1
                event = self._waiting.popleft()
                for token, handler in self._handlers:
                    self._call(token, handler, event)
        finally:
            self.events_dropped += len(self._waiting)
            self._waiting.clear()
            self._emitting = False

    def _call(self, token: object, handler: Handler, event: Event) -> None:
        try:
            handler(event)
        except Exception as error:
            self.handler_failures += 1
            kind = (token, type(error))
            if kind not in self._failures_told:
                self._failures_told.add(kind)
                _log.exception("a telemetry handler failed; told once for each kind of failure")
