"""What to do next: everything that the election ever asks for.

The election asks and goes on; whoever carries a command out reports back with events. Commands
are to be started in the order given. Times are seconds on the node's monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from coord.election.reasons import (
    Cause,
    LostReason,
    StepDownReason,
    SuspendReason,
    TakeoverOutcome,
    WhyNot,
)
from coord.election.state import State


@dataclass(frozen=True, slots=True)
class Command:
    """Something to be done."""


@dataclass(frozen=True, slots=True)
class CreateSession(Command):
    """See that the check is registered and passes, then create a session tied to it.

    Answered by `SessionCreated` or `SessionFailed` with the same attempt. A session that comes
    into being after its attempt was given up must be destroyed.
    """

    attempt: int


@dataclass(frozen=True, slots=True)
class DestroySession(Command):
    """Destroy a session and keep trying until it is gone. Answered by `SessionDestroyed`, after
    the first try whatever came of it."""

    session: str


@dataclass(frozen=True, slots=True)
class Observe(Command):
    """Read the leader key and the term key consistently. Answered by `Observed` or
    `ObserveFailed` within `deadline` seconds."""

    deadline: float


@dataclass(frozen=True, slots=True)
class CreateLeaderKey(Command):
    """Create the missing leader key, vacant, only if it is still missing; then do `Observe`."""

    why: Cause
    deadline: float


@dataclass(frozen=True, slots=True)
class Acquire(Command):
    """Run the acquiring transaction. Answered by `Acquired`, `AcquireRefused` or
    `AcquireUnknown` with the same attempt, within `deadline` seconds."""

    attempt: int
    session: str
    leader_index: int
    term_index: int
    term: int
    successors: tuple[str, ...]
    deadline: float


@dataclass(frozen=True, slots=True)
class UpdateRecord(Command):
    """Write our own record anew: the successors changed, or somebody edited it. Not answered."""

    session: str
    term: int
    successors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Release(Command):
    """Run the releasing transaction. Answered by `Released` whatever came of it.

    `successors`: who is to follow, in this order. `by`: who asked for it; "": we ourselves.
    """

    session: str
    term: int
    term_index: int
    why: Cause
    successors: tuple[str, ...] = ()
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VacancyTaken:
    """How a lock was won, for the time line: whose, why, and when what happened."""

    previous: str
    cause: Cause
    seen_at: float
    due_at: float
    acquire_sent_at: float
    acquired_at: float


@dataclass(frozen=True, slots=True)
class StartWork(Command):
    """Start the work under this term. `run` numbers the runs of the work of this process.

    `vacancy` is None where the work resumes after a suspension.
    """

    run: int
    session: str
    term: int
    term_index: int
    vacancy: VacancyTaken | None


@dataclass(frozen=True, slots=True)
class StopWork(Command):
    """Stop the work, in any case by `deadline`. Answered by `WorkStopped` once it has ended, and
    by nothing else: what does not stop is ended with the process. Asked again for the same run
    with an earlier deadline where the lease is lost while the work takes its time to stop."""

    run: int
    deadline: float


@dataclass(frozen=True, slots=True)
class ExtendLease(Command):
    """The lease now lasts until `until`; by `fenced_at` the work has ended, or the process has."""

    until: float
    fenced_at: float


@dataclass(frozen=True, slots=True)
class EndLease(Command):
    """The lease is over: refuse every further write under it. `suspended` if it may come back."""

    suspended: bool


@dataclass(frozen=True, slots=True)
class LiftFence(Command):
    """All of the work has ended: the process need not end by the `fenced_at` told last."""


@dataclass(frozen=True, slots=True)
class ForgetPause(Command):
    """That pause is over: take its record away, so that nobody who starts later waits for it. Not
    answered; others do so too."""

    id: str


@dataclass(frozen=True, slots=True)
class EndProcess(Command):
    """Work has not ended in time: end the process now, hand nothing over."""

    term: int


@dataclass(frozen=True, slots=True)
class Finished(Command):
    """Everything is given back: the candidate's loop may end."""


@dataclass(frozen=True, slots=True)
class Notice(Command):
    """Something to tell: what the telemetry is made of."""


@dataclass(frozen=True, slots=True)
class StateChanged(Notice):
    previous: State
    state: State
    why_not: WhyNot | None


@dataclass(frozen=True, slots=True)
class LeaderSeen(Notice):
    """Somebody (perhaps ourselves) leads whom we did not see leading before."""

    previous: str
    leader: str
    term: int | None
    cause: Cause


@dataclass(frozen=True, slots=True)
class LeaderGone(Notice):
    """The leader key became vacant; `term` is the one that ended, if the record said it."""

    former: str
    cause: Cause
    term: int | None = None


@dataclass(frozen=True, slots=True)
class ElectionBegun(Notice):
    """A vacancy is seen that we may take."""

    wait: float


@dataclass(frozen=True, slots=True)
class Attempted(Notice):
    term: int
    outcome: TakeoverOutcome


@dataclass(frozen=True, slots=True)
class Won(Notice):
    term: int


@dataclass(frozen=True, slots=True)
class Lost(Notice):
    """`child`: which part of the work failed, if that is why."""

    term: int
    reason: LostReason
    child: str = ""


@dataclass(frozen=True, slots=True)
class SteppingDown(Notice):
    """`actor`, `request` and `said`: who asked, the id of what they asked and why they did; "" if
    nobody did."""

    term: int
    reason: StepDownReason
    actor: str = ""
    request: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class LeadershipSuspended(Notice):
    term: int
    reason: SuspendReason


@dataclass(frozen=True, slots=True)
class LeadershipResumed(Notice):
    term: int
    suspended_for: float


@dataclass(frozen=True, slots=True)
class Checked(Notice):
    """The periodic look at the leader key."""

    leader: str
    state: State
