"""The election: one candidate's decisions, and nothing but decisions.

`Election.handle(event, now)` takes what happened and returns what to do next. It reads no clock,
does no I/O and draws no random numbers; `states` has the theory and the table that it keeps to,
`lookout` what is known of the keys, `tenure` what a leader does.
"""

from __future__ import annotations

from collections.abc import Collection

from coord.election import commands as cmd
from coord.election import events as ev
from coord.election.campaign import Attempt, Campaign
from coord.election.lookout import Lookout
from coord.election.reads import Reads
from coord.election.reasons import Cause, LostReason, StepDownReason, TakeoverOutcome, WhyNot
from coord.election.sessions import Sessions
from coord.election.states import TABLE, Ignored, State
from coord.election.tenure import Tenure
from coord.election.timing import Timing

_VACANCY_SAYS = {
    StepDownReason.REQUESTED: Cause.STEPPED_DOWN,
    StepDownReason.DRAINED: Cause.STEPPED_DOWN,
    StepDownReason.SHUTDOWN: Cause.HANDED_OVER,
    StepDownReason.TRANSFER: Cause.TRANSFERRED,
}
"""What the vacancy will give as its cause; any other reason is a failure of our own."""


def _handler_of(kind: type[ev.Event]) -> str:
    """`SessionCreated` is handled by `_on_session_created`."""
    return "_on" + "".join(f"_{c.lower()}" if c.isupper() else c for c in kind.__name__)


class Election:
    """The state machine of one candidate (or observer) in one election.

    Args:
        node: this node's name, as records name it.
        timing: every duration it keeps to.
        eligible: whether it may lead; an observer only follows who does.
        jitter: from 0 to 1, this candidate's place among those that no leader named.
        own_sessions: sessions that this process had before; found on the key they are destroyed.
    """

    def __init__(
        self,
        node: str,
        timing: Timing,
        *,
        eligible: bool = True,
        jitter: float = 0.0,
        own_sessions: Collection[str] = (),
    ) -> None:
        self.node = node
        self.timing = timing
        self.state = State.JOINING if eligible else State.OBSERVER
        self.lookout = Lookout(timing)
        self.campaign = Campaign(node, timing, jitter, self.lookout)
        self.sessions = Sessions(own_sessions)
        self.tenure: Tenure | None = None
        self.contact: WhyNot | None = WhyNot.CONSUL_UNREACHABLE
        """Why the last consistent read failed; None if it did not."""
        self._reads = Reads()
        self._runs = 0
        self._leaving: str | None = None
        self._shutting_down = False
        self._out: list[cmd.Command] = []
        self._told: tuple[State, WhyNot | None] | None = None

    # -- what can be seen of it ------------------------------------------------------------

    @property
    def term(self) -> int | None:
        """The term that is held, or is being given back."""
        return self.tenure.term if self.tenure else None

    @property
    def lease_until(self) -> float | None:
        """Until when the work may go on; None where nothing is led."""
        return self.tenure.lease_until if self.tenure and self.state is State.LEADING else None

    def why_not(self, now: float) -> WhyNot | None:
        """Why this candidate does not lead at the moment; None if it does."""
        if self.state is State.LEADING:
            return None
        if self.state is State.OBSERVER:
            return WhyNot.NOT_ELIGIBLE
        if self.contact is not None:
            return self.contact
        if self.state in (State.COOLING, State.STEPPING_DOWN, State.STOPPED, State.SUSPENDED):
            return WhyNot.COOLING_DOWN
        if self.sessions.current is None:
            return self.sessions.refused or WhyNot.NO_SESSION
        vacancy = self.lookout.vacancy
        if vacancy is None:
            return WhyNot.HELD_BY_OTHER
        return self.campaign.why_not(vacancy, now)

    @property
    def waits_until(self) -> float | None:
        """Until when what `why_not` names lasts, where that is known."""
        if self.state is State.COOLING:
            return self.campaign.cool_until
        if self.state is State.WAITING:
            return self.campaign.due_at
        return self.sessions.wake_at if self.state is State.JOINING else None

    @property
    def wake_at(self) -> float | None:
        """When to send the next `Tick`; None if there is nothing to wait for."""
        if self.state is State.STOPPED:
            return None
        times = [self._reads.wake_at, self.tenure.wake_at if self.tenure else None]
        if self.state in (State.JOINING, State.COOLING):
            times.append(self.sessions.wake_at)
        if self.state is State.WAITING and self._may_acquire():
            times.append(self.campaign.due_at)
        if self.state is State.COOLING:
            times.append(self.campaign.cooled_at)
        return min((time for time in times if time is not None), default=None)

    # -- the one way in --------------------------------------------------------------------

    def handle(self, event: ev.Event, now: float) -> list[cmd.Command]:
        """Take in one event; returns the commands to start, in order.

        Args:
            now: seconds on the node's monotonic clock, never less than before.
        """
        row = TABLE[self.state][type(event)]
        if isinstance(row, Ignored):
            return []
        self._out = []
        getattr(self, _handler_of(type(event)))(event, now)
        if self.tenure is not None:
            self._follow_tenure(self.tenure)
        self._read(now)
        if self.state not in row.states:
            raise AssertionError(f"{type(event).__name__} must not lead to {self.state}")
        self._tell_state(now)
        return self._out

    def _tell_state(self, now: float) -> None:
        new = (self.state, self.why_not(now))
        if self._told != new:
            previous = self._told[0] if self._told else self.state
            self._out.append(cmd.StateChanged(previous, *new))
            self._told = new

    def _follow_tenure(self, tenure: Tenure) -> None:
        """Be in the state that the tenure is in, and destroy its session when it is over."""
        self.state = tenure.state
        if tenure.over and self._leaving is None:
            self._leave()

    def _leave(self) -> None:
        """Destroy our session, as the last step of giving back."""
        self.state = State.STEPPING_DOWN
        self._leaving = self.sessions.drop()
        if self._leaving is not None:
            self._out.append(cmd.DestroySession(self._leaving))

    # -- looking ---------------------------------------------------------------------------

    def _read(self, now: float) -> None:
        """Ask for the next read if its time has come."""
        if self.state is State.STOPPED:
            return
        urgent = self.tenure is not None or self.state is State.ACQUIRING
        timing = self.timing
        every = timing.confirm_interval if urgent else timing.election_interval
        deadline = max(every, timing.lease / 2) if urgent else every
        if not self._reads.start(now, every):
            return
        vacancy = self.lookout.vacancy
        if vacancy is not None and vacancy.index == 0 and self.state is State.WAITING:
            self._out.append(cmd.CreateLeaderKey(vacancy.cause, deadline))
        else:
            self._out.append(cmd.Observe(deadline))

    def _on_started(self, event: ev.Started, now: float) -> None:
        self._reads.now()
        if self.state is State.JOINING:
            self._out.append(cmd.CreateSession(self.sessions.ask()))

    def _on_observed(self, event: ev.Observed, now: float) -> None:
        self._reads.done()
        if event.sent_at < self._reads.valid_from:
            self._reads.now()
            return
        self.contact = None
        self.campaign.look_first = False
        vacant_before = self.lookout.vacancy is not None
        self._out += self.lookout.observed(event.view, now)
        self._out.append(cmd.Checked(self.lookout.leader, self.state))
        self._destroy_stray(event.view)
        if self.state is State.ACQUIRING:
            self._settle(event, now)
        elif self.tenure is not None:
            self._confirm(self.tenure, event, now)
        else:
            self._go_on(now)
            self._tell_vacancy(vacant_before, now)

    def _on_watched(self, event: ev.Watched, now: float) -> None:
        if self.tenure is not None or self.state is State.ACQUIRING:
            self._reads.now()
            return
        vacant_before = self.lookout.vacancy is not None
        believed, notices = self.lookout.watched(event.view, now)
        self._out += notices
        if believed:
            self._reads.valid_from = now
        if not believed or event.view.session is not None:
            self._reads.now()
        self._go_on(now)
        self._tell_vacancy(vacant_before, now)

    def _on_observe_failed(self, event: ev.ObserveFailed, now: float) -> None:
        self._reads.done()
        self.contact = event.why
        if self.tenure is None:
            timing = self.timing
            self._reads.by(now + min(timing.election_interval, 2 * timing.confirm_interval))

    def _tell_vacancy(self, vacant_before: bool, now: float) -> None:
        vacant = self.lookout.vacancy is not None
        if vacant and not vacant_before and self.state is not State.OBSERVER:
            self._out.append(cmd.ElectionBegun(max(0.0, self.campaign.due_at - now)))

    def _destroy_stray(self, view: ev.KeyView) -> None:
        """A session of ours on the key, outside the leadership we know of, must never lead."""
        if view.session is None or view.session not in self.sessions.own:
            return
        if self.tenure is not None and view.session == self.tenure.session:
            return
        if view.session != self.sessions.current:
            self._out.append(cmd.DestroySession(view.session))
        elif self.state is not State.ACQUIRING:
            self._give_up_session()

    # -- the session -----------------------------------------------------------------------

    def _give_up_session(self) -> None:
        """Destroy our session; then stop, if that is what we are about, or ask for another."""
        self.campaign.attempt = None
        if self._shutting_down:
            self._leave()
            return
        session = self.sessions.drop()
        if session is not None:
            self._out.append(cmd.DestroySession(session))
        self._out.append(cmd.CreateSession(self.sessions.ask()))
        if self.state is not State.COOLING:
            self.state = State.JOINING

    def _on_session_created(self, event: ev.SessionCreated, now: float) -> None:
        if self.sessions.created(event.attempt, event.session):
            self._go_on(now)
        else:
            self._out.append(cmd.DestroySession(event.session))

    def _on_session_failed(self, event: ev.SessionFailed, now: float) -> None:
        self.sessions.failed(event.attempt, event.why, now)

    def _on_session_lost(self, event: ev.SessionLost, now: float) -> None:
        if event.session != self.sessions.current:
            return
        if self.tenure is not None:
            self._out += self.tenure.lose(event.reason, now, release_why=Cause.FAILED)
        else:
            self._give_up_session()

    # -- campaigning -----------------------------------------------------------------------

    def _may_acquire(self) -> bool:
        """Whether only time stands between us and an attempt."""
        return self.contact is None and not self._shutting_down and self.campaign.open

    def _go_on(self, now: float) -> None:
        """Look at what is known and go where that leads."""
        if self.state in (State.OBSERVER, State.STEPPING_DOWN):
            return
        if self.state is State.COOLING and now < self.campaign.cooled_at:
            return
        if self.sessions.current is None:
            self.state = State.JOINING
            return
        vacancy = self.lookout.vacancy
        if vacancy is None:
            self.state = State.STANDBY
            self.campaign.over()
            return
        self.state = State.WAITING
        if vacancy.index == 0:
            self._reads.by(now)
        elif self._may_acquire() and now >= self.campaign.due_at:
            assert self.lookout.view is not None
            self.state = State.ACQUIRING
            self._out.append(
                self.campaign.try_now(self.sessions.current, self.lookout.view, vacancy, now)
            )

    def _on_acquired(self, event: ev.Acquired, now: float) -> None:
        attempt = self.campaign.under_way(event.attempt)
        if attempt is None:
            return
        if now < event.sent_at + self.timing.lease:
            self._win(attempt, event.view, event.sent_at, TakeoverOutcome.WON, now)
        else:
            self._doubt(attempt, now)

    def _on_acquire_refused(self, event: ev.AcquireRefused, now: float) -> None:
        attempt = self.campaign.under_way(event.attempt)
        if attempt is None:
            return
        self.campaign.refused(event.outcome, now)
        self._out.append(cmd.Attempted(attempt.term, event.outcome))
        if event.outcome is TakeoverOutcome.NO_SESSION or self._shutting_down:
            self._give_up_session()
            return
        self._reads.now()
        self._go_on(now)

    def _on_acquire_unknown(self, event: ev.AcquireUnknown, now: float) -> None:
        attempt = self.campaign.under_way(event.attempt)
        if attempt is not None:
            self._doubt(attempt, now)

    def _doubt(self, attempt: Attempt, now: float) -> None:
        attempt.unknown_since = now
        self._out.append(cmd.Attempted(attempt.term, TakeoverOutcome.UNKNOWN))
        self._reads.now()

    def _settle(self, event: ev.Observed, now: float) -> None:
        """Find out, by a read sent later, what became of an attempt of unknown outcome."""
        attempt = self.campaign.attempt
        if attempt is None or attempt.unknown_since is None:
            return
        if event.sent_at < attempt.unknown_since:
            return
        if not attempt.is_on(event.view):
            self._give_up_session()
        elif now < event.sent_at + self.timing.lease:
            self._win(attempt, event.view, event.sent_at, TakeoverOutcome.ADOPTED, now)

    def _win(
        self, attempt: Attempt, view: ev.KeyView, sent_at: float, how: TakeoverOutcome, now: float
    ) -> None:
        self.campaign.attempt = None
        self._reads.valid_from = now
        self._reads.by(sent_at + self.timing.confirm_interval)
        self.tenure = Tenure(
            self.timing,
            self.node,
            session=attempt.session,
            term=attempt.term,
            term_index=view.term_index,
            sent_at=sent_at,
            now=now,
        )
        if self._shutting_down:
            self._out.append(cmd.Attempted(attempt.term, TakeoverOutcome.ABANDONED))
            self._out += self.tenure.step_down(LostReason.SHUTDOWN, Cause.HANDED_OVER, now)
            return
        self._out.append(cmd.Attempted(attempt.term, how))
        self._out += self.tenure.begin(self._next_run(), attempt.taken(now))
        self._out += self.lookout.observed(view, now)

    # -- leading ---------------------------------------------------------------------------

    def _next_run(self) -> int:
        self._runs += 1
        return self._runs

    def _confirm(self, tenure: Tenure, event: ev.Observed, now: float) -> None:
        self._out += tenure.confirm(
            event.view,
            event.sent_at,
            now,
            restored=self.lookout.restored,
            successors=self.campaign.successors,
            run=self._next_run(),
        )

    def _on_work_stopped(self, event: ev.WorkStopped, now: float) -> None:
        if self.tenure is not None:
            self._out += self.tenure.work_stopped(event.run, now, self._next_run())

    def _on_work_failed(self, event: ev.WorkFailed, now: float) -> None:
        if self.tenure is not None and event.run == self.tenure.run:
            self._out += self.tenure.step_down(event.reason, Cause.FAILED, now)

    def _on_released(self, event: ev.Released, now: float) -> None:
        if self.tenure is not None and event.session == self.tenure.session:
            self.tenure.released()

    def _on_session_destroyed(self, event: ev.SessionDestroyed, now: float) -> None:
        if self._leaving is None or event.session != self._leaving:
            return
        self._leaving = self.tenure = None
        if self._shutting_down:
            self._stop()
            return
        self.state = State.COOLING
        self.campaign.cool(now)
        self._reads.now()
        self._out.append(cmd.CreateSession(self.sessions.ask()))

    def _on_step_down(self, event: ev.StepDown, now: float) -> None:
        if self.tenure is not None:
            self._out.append(cmd.SteppingDown(self.tenure.term, event.reason))
            why = _VACANCY_SAYS.get(event.reason, Cause.FAILED)
            self._out += self.tenure.step_down(LostReason.STEPPED_DOWN, why, now)

    # -- the rest --------------------------------------------------------------------------

    def _stop(self) -> None:
        self.state = State.STOPPED
        self._out.append(cmd.Finished())

    def _on_shutdown(self, event: ev.Shutdown, now: float) -> None:
        self._shutting_down = True
        if self.state in (State.ACQUIRING, State.STEPPING_DOWN):
            return
        if self.tenure is not None:
            self._out.append(cmd.SteppingDown(self.tenure.term, StepDownReason.SHUTDOWN))
            self._out += self.tenure.step_down(LostReason.SHUTDOWN, Cause.HANDED_OVER, now)
        elif self.sessions.current is not None:
            self._leave()
        else:
            self._stop()

    def _on_others_seen(self, event: ev.OthersSeen, now: float) -> None:
        changed = event.names != self.campaign.others
        self.campaign.others = event.names
        self.lookout.catalog_fenced_within = event.fenced_within
        if self.tenure is None and self.state is not State.ACQUIRING:
            self._go_on(now)
        elif changed and self.tenure is not None and self.state is State.LEADING:
            self._out.append(self.tenure.update(self.campaign.successors))

    def _on_tick(self, event: ev.Tick, now: float) -> None:
        if self.tenure is not None:
            self._out += self.tenure.tick(now, self.contact)
            return
        retry_at = self.sessions.wake_at
        joining = self.state in (State.JOINING, State.COOLING)
        if joining and retry_at is not None and now >= retry_at:
            self._out.append(cmd.CreateSession(self.sessions.ask()))
        if self.state in (State.STANDBY, State.WAITING, State.COOLING):
            self._go_on(now)
