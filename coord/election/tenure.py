"""One leadership, from the lock that was won to the session that is destroyed.

A tenure has one session and one term. It leads, may be suspended and resumed, and steps down; each
of its methods returns the commands that follow. All that it believes rests on `confirmed_sent_at`:
when the last read was sent that saw its session and its term in Consul.
"""

from __future__ import annotations

from enum import Enum, auto

from coord.election import commands as cmd
from coord.election.events import KeyView, Request
from coord.election.reasons import Cause, LostReason, StepDownReason, SuspendReason, WhyNot
from coord.election.state import State
from coord.election.timing import Timing

_SUSPENDED_BY = {
    WhyNot.CONSUL_UNREACHABLE: SuspendReason.CONSUL_UNREACHABLE,
    WhyNot.NO_CONSUL_LEADER: SuspendReason.NO_CONSUL_LEADER,
    WhyNot.NOT_PERMITTED: SuspendReason.NOT_PERMITTED,
}


_VACANCY_SAYS = {
    StepDownReason.REQUESTED: Cause.STEPPED_DOWN,
    StepDownReason.DRAINED: Cause.STEPPED_DOWN,
    StepDownReason.SHUTDOWN: Cause.HANDED_OVER,
    StepDownReason.TRANSFER: Cause.TRANSFERRED,
    StepDownReason.FORCED: Cause.STEPPED_DOWN,
}
"""What the vacancy will give as its cause."""


class Work(Enum):
    """What the work is doing. NONE means ended: every task, thread and process of it."""

    NONE = auto()
    RUNNING = auto()
    STOPPING = auto()


class Tenure:
    """The leadership that is held, or is being given back.

    Args:
        node: our name in the record.
        session, term, term_index: what the acquiring transaction put into Consul.
        sent_at: when the request was sent that proved it ours, in seconds.
        now: when that is learnt. A read sent before may show what was before: not for `confirm`.
        successors: whom the record names as those to follow.
        tolerated: who need not be made way for, though we are drained.
    """

    def __init__(
        self,
        timing: Timing,
        node: str,
        *,
        session: str,
        term: int,
        term_index: int,
        sent_at: float,
        now: float,
        successors: tuple[str, ...] = (),
        tolerated: frozenset[str] = frozenset(),
    ) -> None:
        self.timing = timing
        self.node = node
        self.session = session
        self.term = term
        self.term_index = term_index
        self.state = State.LEADING
        self.work = Work.NONE
        self.run = 0
        self.confirmed_sent_at = sent_at
        self.successors = successors
        self.tolerated = tolerated
        self.over = False
        """The work has ended and the release is answered, or there is nothing to release."""
        self._suspended_at = now
        self._stop_asked_at = now
        self._stop_told = now
        """By when the work was last told to have stopped."""
        self._closed = False
        """No confirmation counts any more."""
        self._told_lost = False
        self._lost_by_giving_back: LostReason | None = None
        self._failed_child = ""
        self.release_why: Cause | None = None
        self._release_asked = False
        self._asked_by = ""

    # -- the lease -------------------------------------------------------------------------

    @property
    def lease_until(self) -> float:
        return self.confirmed_sent_at + self.timing.lease

    @property
    def fenced_at(self) -> float:
        """By then the work has ended, or the process has."""
        return self.confirmed_sent_at + self.timing.fenced_within

    @property
    def _stop_by(self) -> float:
        """A stop may take its time while the lease is confirmed, and never longer than that."""
        return min(self._stop_asked_at + self.timing.shutdown_timeout, self.fenced_at)

    @property
    def _give_up_at(self) -> float:
        return self._suspended_at + self.timing.suspend_limit

    @property
    def wake_at(self) -> float | None:
        """When `tick` has something to do."""
        if self.work is Work.STOPPING:
            return self.lease_until if self._stop_told > self._stop_by else self._stop_by
        if self.state is State.LEADING:
            return self.lease_until
        return self._give_up_at if self.state is State.SUSPENDED else None

    def _extension(self) -> cmd.Command:
        return cmd.ExtendLease(self.lease_until, self.fenced_at)

    # -- leading ---------------------------------------------------------------------------

    def begin(self, run: int, vacancy: cmd.VacancyTaken) -> list[cmd.Command]:
        """Start the work of a new leader."""
        return [cmd.Won(self.term), self._extension(), self._start(run, vacancy)]

    def _start(self, run: int, vacancy: cmd.VacancyTaken | None) -> cmd.Command:
        self.run, self.work = run, Work.RUNNING
        return cmd.StartWork(run, self.session, self.term, self.term_index, vacancy)

    def confirm(
        self,
        view: KeyView,
        sent_at: float,
        now: float,
        *,
        restored: bool,
        run: int,
    ) -> list[cmd.Command]:
        """Take in a consistent read: it confirms the lease, or shows that all is lost.

        `run` is the number that the work gets if it resumes.
        """
        if self._closed or self._release_asked:
            return []
        reason = self._lost_by(view, restored)
        if reason is not None:
            return self.lose(reason, now)
        self.confirmed_sent_at = sent_at
        if self.state is State.SUSPENDED and self.work is Work.NONE:
            return self._resume(now, run)
        out = [self._extension()]
        if self.state is State.LEADING and not self._is_ours(view):
            out.append(self._update())
        return out

    def _lost_by(self, view: KeyView, restored: bool) -> LostReason | None:
        """Why what that read saw is not our leadership; None if it is.

        The record does not count: our session on the key with our term is ours, whatever
        somebody wrote beside it.
        """
        if view.missing:
            return LostReason.KEY_DELETED
        if view.session is None:
            return LostReason.VACANT
        if view.session != self.session:
            return LostReason.ANOTHER_HOLDER
        if restored:
            return LostReason.RESTORED
        if view.term != self.term or view.term_index != self.term_index:
            return LostReason.TERM_CHANGED
        return None

    def _is_ours(self, view: KeyView) -> bool:
        written = (view.readable, view.record_vacant, view.record_node, view.record_term)
        ours = written == (True, False, self.node, self.term)
        return ours and view.successors == self.successors

    def _update(self) -> cmd.Command:
        """Write our record anew."""
        return cmd.UpdateRecord(self.session, self.term, self.successors)

    def name(self, successors: tuple[str, ...]) -> list[cmd.Command]:
        """Others are to follow us."""
        if successors == self.successors:
            return []
        self.successors = successors
        return [self._update()] if self.state is State.LEADING else []

    def tick(self, now: float, contact: WhyNot | None) -> list[cmd.Command]:
        """Time has passed. `contact` says why the last read failed, if it did."""
        out: list[cmd.Command] = []
        if self.state is State.LEADING and now >= self.lease_until:
            out += self._suspend(now, contact)
        if self.work is Work.STOPPING and now >= self._stop_by:
            out.append(cmd.EndProcess(self.term))
        elif self._stopping_without_lease(now):
            out += [cmd.EndLease(suspended=True), *self._stop(now)]
        elif self.state is State.SUSPENDED and now >= self._give_up_at:
            out += self.lose(LostReason.SUSPENDED_TOO_LONG, now)
        return out

    def _stopping_without_lease(self, now: float) -> bool:
        """Whether work that was given its time to stop has lost the lease meanwhile."""
        stopping = self.state is State.STEPPING_DOWN and self.work is Work.STOPPING
        return stopping and now >= self.lease_until and self._stop_told > self._stop_by

    # -- suspended -------------------------------------------------------------------------

    def _suspend(self, now: float, contact: WhyNot | None) -> list[cmd.Command]:
        reason = SuspendReason.LEASE_EXPIRED
        if contact is not None:
            reason = _SUSPENDED_BY.get(contact, reason)
        self.state = State.SUSPENDED
        self._suspended_at = now
        return [
            cmd.EndLease(suspended=True),
            cmd.LeadershipSuspended(self.term, reason),
            *self._stop(now),
        ]

    def _resume(self, now: float, run: int) -> list[cmd.Command]:
        """Go on under the same term, if the lease is good again. The work has ended."""
        if now >= self.lease_until:
            return []
        self.state = State.LEADING
        return [
            cmd.LeadershipResumed(self.term, now - self._suspended_at),
            self._extension(),
            self._start(run, None),
        ]

    # -- giving back -----------------------------------------------------------------------

    def _stop(self, now: float, *, lease_goes_on: bool = False) -> list[cmd.Command]:
        """Stop the work, or hasten it if it is being stopped and has been given longer."""
        if self.work is Work.NONE:
            return []
        if self.work is Work.RUNNING:
            self.work = Work.STOPPING
            self._stop_asked_at = now
        elif lease_goes_on or self._stop_told <= self._stop_by:
            return []
        at_leisure = self._stop_asked_at + self.timing.shutdown_timeout
        self._stop_told = at_leisure if lease_goes_on else self._stop_by
        return [cmd.StopWork(self.run, self._stop_told)]

    def step_down(
        self, reason: LostReason, why: Cause, now: float, child: str = ""
    ) -> list[cmd.Command]:
        """Give the leadership back cleanly. The work may take its time to stop; the lease is
        confirmed meanwhile, so that it can still write. It is lost when it is released.

        child: which part of the work failed, if that is why.
        """
        self.release_why = why
        self._failed_child = child
        self._lost_by_giving_back = reason
        self.state = State.STEPPING_DOWN
        return [*self._stop(now, lease_goes_on=True), *self._go_on()]

    def asked_down(
        self, reason: StepDownReason, now: float, request: Request | None = None
    ) -> list[cmd.Command]:
        """Step down because somebody asks for it, perhaps by a request."""
        lost = LostReason.STEPPED_DOWN
        if reason is StepDownReason.SHUTDOWN:
            lost = LostReason.SHUTDOWN
        why = _VACANCY_SAYS[reason]
        told = cmd.SteppingDown(self.term, reason)
        if request is not None:
            told = cmd.SteppingDown(self.term, reason, request.actor, request.id, request.said)
            self._asked_by = request.actor
        return [told, *self.step_down(lost, why, now)]

    def abandon(self, now: float) -> list[cmd.Command]:
        """Give back at once what was won and is not wanted any more; it never began."""
        self._told_lost = True
        return self.step_down(LostReason.SHUTDOWN, Cause.HANDED_OVER, now)

    def lose(
        self, reason: LostReason, now: float, release_why: Cause | None = None
    ) -> list[cmd.Command]:
        """The leadership is over: stop at once.

        `release_why`: the key may still be ours, so try to hand it over, once the work has ended.
        """
        self._closed = True
        self.release_why = release_why
        self.state = State.STEPPING_DOWN
        return [
            cmd.EndLease(suspended=False),
            *self._tell_lost(reason),
            *self._stop(now),
            *self._go_on(),
        ]

    def _tell_lost(self, reason: LostReason, child: str = "") -> list[cmd.Command]:
        told, self._told_lost = self._told_lost, True
        return [] if told else [cmd.Lost(self.term, reason, child)]

    def _go_on(self) -> list[cmd.Command]:
        """The next step of giving back. Nothing is released before the work has ended."""
        if self.work is not Work.NONE:
            return []
        if self.release_why is None:
            self.over = True
            return []
        self._release_asked = True
        return [
            cmd.EndLease(suspended=False),
            cmd.Release(
                self.session,
                self.term,
                self.term_index,
                self.release_why,
                self.successors,
                self._asked_by,
            ),
        ]

    def work_stopped(self, ended_run: int, now: float, run: int) -> list[cmd.Command]:
        """All of the work has ended. `run` is the number that it gets if it resumes."""
        if ended_run != self.run or self.work is not Work.STOPPING:
            return []
        self.work = Work.NONE
        after = self._resume(now, run) if self.state is State.SUSPENDED else self._go_on()
        return [cmd.LiftFence(), *after]

    def released(self) -> list[cmd.Command]:
        """The release was answered or given up on."""
        self.over = self.over or self._release_asked
        reason = self._lost_by_giving_back if self._release_asked else None
        return [] if reason is None else self._tell_lost(reason, self._failed_child)
