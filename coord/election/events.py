"""What happened: everything that the election is ever told.

Times are seconds on the node's monotonic clock. An answer says when its request was *sent*, which
is what tells a late answer from a fresh one, and is all that a lease may be counted from.
"""

from __future__ import annotations

from dataclasses import dataclass

from coord.election.reasons import LostReason, StepDownReason, TakeoverOutcome, WhyNot


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyView:
    """What one read saw of the leader key and the term key.

    `leader_index` and `term_index` are the keys' ModifyIndex, 0 for a missing key. `session` is
    the holder. The `record_…` fields are what the leader record says, all None or "" if there is
    none or it cannot be read (`readable` False). `term` is None if the term key is missing or
    unreadable. `fenced_within` values are seconds.
    """

    leader_index: int
    lock_index: int = 0
    session: str | None = None
    readable: bool = False
    record_vacant: bool = False
    record_term: int | None = None
    record_node: str = ""
    record_why: str = ""
    record_by: str = ""
    record_fenced_within: float | None = None
    successors: tuple[str, ...] = ()
    term: int | None = None
    term_index: int = 0
    term_fenced_within: float | None = None

    @property
    def missing(self) -> bool:
        return self.leader_index == 0

    @property
    def handed_over(self) -> bool:
        """Given back after the work had stopped, and untouched since: no wait is needed.

        Any foreign edit of the key zeroes its LockIndex; a deletion, or a term taken since, shows
        in the term key.
        """
        return (
            self.session is None
            and self.readable
            and self.record_vacant
            and self.lock_index > 0
            and self.record_term is not None
            and self.record_term == self.term
        )


@dataclass(frozen=True, slots=True)
class Pause:
    """Nobody is to campaign for `lasts` seconds from when this `id` was first seen."""

    id: str
    lasts: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An operator wants the leader of that term, and no other, gone.

    reason: REQUESTED; TRANSFER: `to` is to follow; FORCED: nothing is asked of the leader, the
    operator destroys its session. `actor`, `id` and `said`, why they want it, are for people.
    """

    term: int
    reason: StepDownReason
    to: str = ""
    actor: str = ""
    id: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened."""


@dataclass(frozen=True, slots=True)
class Started(Event):
    """The node has registered with its agent and its check passes.

    `orders_follow`: what operators ask will be told by `OrdersSeen`, and is to be waited for.
    """

    orders_follow: bool = False


@dataclass(frozen=True, slots=True)
class SessionCreated(Event):
    """The session that was asked for by that number exists."""

    attempt: int
    session: str


@dataclass(frozen=True, slots=True)
class SessionFailed(Event):
    """The session that was asked for by that number was not created, or nobody knows."""

    attempt: int
    why: WhyNot


@dataclass(frozen=True, slots=True)
class SessionLost(Event):
    """Consul does not know the session any more, or the agent has forgotten the check under it."""

    session: str
    reason: LostReason


@dataclass(frozen=True, slots=True)
class Observed(Event):
    """A consistent read of both keys was answered."""

    view: KeyView
    sent_at: float


@dataclass(frozen=True, slots=True)
class Watched(Event):
    """The watch on the leader key woke. Not a consistent read: it can tell, never prove."""

    view: KeyView


@dataclass(frozen=True, slots=True)
class ObserveFailed(Event):
    """A consistent read was not answered."""

    why: WhyNot


@dataclass(frozen=True, slots=True)
class Acquired(Event):
    """The acquiring transaction of that attempt was applied."""

    attempt: int
    view: KeyView
    sent_at: float


@dataclass(frozen=True, slots=True)
class AcquireRefused(Event):
    """The acquiring transaction of that attempt was certainly not applied and never will be."""

    attempt: int
    outcome: TakeoverOutcome


@dataclass(frozen=True, slots=True)
class AcquireUnknown(Event):
    """No answer to that attempt: it may have been applied, or may yet be."""

    attempt: int


@dataclass(frozen=True, slots=True)
class WorkStopped(Event):
    """Every task, thread and process of that run of the work has ended."""

    run: int


@dataclass(frozen=True, slots=True)
class WorkFailed(Event):
    """The supervisor gave up on that run of the work; `child`: because of which part of it."""

    run: int
    reason: LostReason
    child: str = ""


@dataclass(frozen=True, slots=True)
class Released(Event):
    """The releasing transaction was answered, or given up on: in both cases go on."""

    session: str


@dataclass(frozen=True, slots=True)
class SessionDestroyed(Event):
    """The session is destroyed, or destroying it goes on in the background."""

    session: str


@dataclass(frozen=True, slots=True)
class OthersSeen(Event):
    """The other candidates whose checks pass, best successor first.

    `fenced_within` is the largest that any candidate in the catalog says of itself, failing ones
    too; None if none says anything.
    """

    names: tuple[str, ...]
    fenced_within: float | None = None


@dataclass(frozen=True, slots=True)
class OrdersSeen(Event):
    """All that operators ask at present; `drained` are the nodes that are to lead only if nobody
    else does. All empty too where that cannot be read."""

    pause: Pause | None = None
    drained: frozenset[str] = frozenset()
    request: Request | None = None


@dataclass(frozen=True, slots=True)
class StepDown(Event):
    """Somebody asks the leader to step down."""

    reason: StepDownReason


@dataclass(frozen=True, slots=True)
class Shutdown(Event):
    """The node is to stop."""


@dataclass(frozen=True, slots=True)
class Tick(Event):
    """Time has passed: `Election.wake_at` has come."""


EVENTS: tuple[type[Event], ...] = (
    Started,
    SessionCreated,
    SessionFailed,
    SessionLost,
    Observed,
    Watched,
    ObserveFailed,
    Acquired,
    AcquireRefused,
    AcquireUnknown,
    WorkStopped,
    WorkFailed,
    Released,
    SessionDestroyed,
    OthersSeen,
    OrdersSeen,
    StepDown,
    Shutdown,
    Tick,
)
"""Every kind of event, in the order in which the table names them."""
