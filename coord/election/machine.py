"""The election: one candidate's decisions, and nothing but decisions.

`Election.handle(event, now)` takes what happened and returns what to do next. It reads no clock,
does no I/O and draws no random numbers; `states` has the theory and the table that it keeps to,
`candidacy` what it keeps, `lookout` what is known of the keys, `tenure` what a leader does.
"""

from __future__ import annotations

from collections.abc import Collection

from coord.election import commands as cmd
from coord.election import events as ev
from coord.election.campaign import Attempt
from coord.election.candidacy import Candidacy
from coord.election.reasons import Cause, StepDownReason, TakeoverOutcome, WhyNot
from coord.election.states import TABLE, Ignored, State
from coord.election.tenure import Tenure
from coord.election.timing import Timing


def _handler_of(kind: type[ev.Event]) -> str:
    """`SessionCreated` is handled by `_on_session_created`."""
    return "_on" + "".join(f"_{c.lower()}" if c.isupper() else c for c in kind.__name__)


class Election(Candidacy):
    """The state machine of one candidate (or observer) in one election.

    Its arguments, and what can be seen of it, are its `Candidacy`'s.
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
        super().__init__(node, timing, eligible=eligible, jitter=jitter, own_sessions=own_sessions)
        self._leaving: str | None = None
        self._out: list[cmd.Command] = []
        self._told: tuple[State, WhyNot | None] | None = None

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
        assert self._leaving is not None
        self._out.append(cmd.DestroySession(self._leaving))

    # -- looking ---------------------------------------------------------------------------

    def _read(self, now: float) -> None:
        """Ask for the next read if its time has come."""
        if self.state is State.STOPPED:
            return
        urgent = self.tenure is not None or self.state is State.ACQUIRING
        vacancy = self.lookout.vacancy if self.state is State.WAITING else None
        create = vacancy.cause if vacancy is not None and vacancy.index == 0 else None
        self._out += self._reads.start(now, urgent=urgent, create=create)

    def _on_started(self, event: ev.Started, now: float) -> None:
        self._reads.now()
        if event.orders_follow:
            self.orders.expect()
        if self.state is State.JOINING:
            self._ask_for_session(now)

    def _on_observed(self, event: ev.Observed, now: float) -> None:
        self._reads.done()
        if event.sent_at < self._reads.valid_from:
            self._reads.now()
            return
        self.contact = None
        self.orders.patience_ends(now + self.timing.election_interval)
        self.campaign.look_first = False
        vacant_before = self.lookout.vacancy is not None
        self._out += self.lookout.observed(event.view, now)
        self._out.append(cmd.Checked(self.lookout.leader, self.state))
        self._destroy_stray(event.view, now)
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
        vacancy = self.lookout.vacancy
        if not believed or vacancy is None or not vacancy.handed_over:
            self._reads.now()
        self._go_on(now)
        self._tell_vacancy(vacant_before, now)

    def _on_observe_failed(self, event: ev.ObserveFailed, now: float) -> None:
        self._reads.done()
        self.contact = event.why
        if self.tenure is not None:
            return
        self._reads.by(now + self._reads.retry)
        attempt = self.campaign.attempt
        if self._shutting_down and attempt is not None and attempt.unknown_since is not None:
            self._give_up_session(now)

    def _tell_vacancy(self, vacant_before: bool, now: float) -> None:
        vacant = self.lookout.vacancy is not None
        if vacant and not vacant_before and self.state is not State.OBSERVER:
            self._out.append(cmd.ElectionBegun(max(0.0, self.campaign.due_at - now)))

    def _destroy_stray(self, view: ev.KeyView, now: float) -> None:
        """A session of ours on the key, outside the leadership we know of, must never lead."""
        if view.session is None or view.session not in self.sessions.own:
            return
        if self.tenure is not None and view.session == self.tenure.session:
            return
        if view.session != self.sessions.current:
            self._out.append(cmd.DestroySession(view.session))
        elif self.state is not State.ACQUIRING:
            self._give_up_session(now)

    # -- the session -----------------------------------------------------------------------

    def _ask_for_session(self, now: float) -> None:
        """Ask for a session, now or when it is time to."""
        self.sessions.want(now)
        self._ask_if_due(now)

    def _ask_if_due(self, now: float) -> None:
        attempt = self.sessions.ask(now)
        if attempt is not None:
            self._out.append(cmd.CreateSession(attempt))

    def _give_up_session(self, now: float) -> None:
        """Destroy our session; then stop, if that is what we are about, or ask for another."""
        self.campaign.attempt = None
        if self._shutting_down:
            self._leave()
            return
        session = self.sessions.drop()
        assert session is not None
        self._out.append(cmd.DestroySession(session))
        self._ask_for_session(now)
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
            self._give_up_session(now)

    # -- campaigning -----------------------------------------------------------------------

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
            self._reads.create(now)
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
            self._give_up_session(now)
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
        assert attempt is not None
        won = attempt.settled_by(event.view, event.sent_at)
        if won is False:
            self._give_up_session(now)
        elif won and now < event.sent_at + self.timing.lease:
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
            successors=self.campaign.successors,
            tolerated=attempt.tolerated,
        )
        if self._shutting_down:
            self._out.append(cmd.Attempted(attempt.term, TakeoverOutcome.ABANDONED))
            self._out += self.tenure.abandon(now)
            return
        self._out.append(cmd.Attempted(attempt.term, how))
        self._out += self.tenure.begin(self._next_run(), attempt.taken(now))
        self._out += self.lookout.observed(view, now)

    # -- leading ---------------------------------------------------------------------------

    def _confirm(self, tenure: Tenure, event: ev.Observed, now: float) -> None:
        self._out += tenure.confirm(
            event.view,
            event.sent_at,
            now,
            restored=self.lookout.restored,
            run=self._next_run(),
        )
        self._obey(tenure, now)

    def _obey(self, tenure: Tenure, now: float) -> None:
        """Do what operators ask of a leader: step down, or make way for others that are not
        drained as we are."""
        if tenure.state not in (State.LEADING, State.SUSPENDED):
            return
        request = self.orders.asked_of(tenure.term)
        if request is not None:
            self.campaign.heir = request.to
            tenure.successors = self.campaign.successors
            self._out += tenure.asked_down(request.reason, now, request)
        elif self.orders.drains_us and set(self.campaign.followers or ()) - tenure.tolerated:
            self._out += tenure.asked_down(StepDownReason.DRAINED, now)

    def _on_work_stopped(self, event: ev.WorkStopped, now: float) -> None:
        if self.tenure is not None:
            self._out += self.tenure.work_stopped(event.run, now, self._next_run())

    def _on_work_failed(self, event: ev.WorkFailed, now: float) -> None:
        if self.tenure is not None and event.run == self.tenure.run:
            self._out += self.tenure.step_down(event.reason, Cause.FAILED, now, event.child)

    def _on_released(self, event: ev.Released, now: float) -> None:
        if self.tenure is not None and event.session == self.tenure.session:
            self._out += self.tenure.released()
            self.lookout.gave_back(self.tenure.release_why)

    def _on_session_destroyed(self, event: ev.SessionDestroyed, now: float) -> None:
        if self._leaving is None or event.session != self._leaving:
            return
        self._leaving = self.tenure = None
        self.campaign.heir = ""
        if self._shutting_down:
            self._stop()
            return
        self.state = State.COOLING
        self.campaign.cool(now)
        self._reads.now()
        self._ask_for_session(now)

    def _on_step_down(self, event: ev.StepDown, now: float) -> None:
        assert self.tenure is not None
        self._out += self.tenure.asked_down(event.reason, now)

    # -- the rest --------------------------------------------------------------------------

    def _stop(self) -> None:
        self.state = State.STOPPED
        self._out.append(cmd.Finished())

    def _on_shutdown(self, event: ev.Shutdown, now: float) -> None:
        self._shutting_down = True
        if self.state in (State.ACQUIRING, State.STEPPING_DOWN):
            return
        if self.tenure is not None:
            self._out += self.tenure.asked_down(StepDownReason.SHUTDOWN, now)
        elif self.sessions.current is not None:
            self._leave()
        else:
            self._stop()

    def _on_others_seen(self, event: ev.OthersSeen, now: float) -> None:
        self.campaign.others = event.names
        self.lookout.catalog_says(event.fenced_within)
        self._look_anew(now)

    def _on_orders_seen(self, event: ev.OrdersSeen, now: float) -> None:
        self.orders.seen(event, now)
        self.lookout.forced(self.orders.forced_term)
        self._look_anew(now)

    def _look_anew(self, now: float) -> None:
        """What is known of the others, or asked of us, has changed."""
        if self.tenure is not None:
            self._out += self.tenure.name(self.campaign.successors)
            self._obey(self.tenure, now)
        elif self.state is not State.ACQUIRING:
            self._go_on(now)

    def _on_tick(self, event: ev.Tick, now: float) -> None:
        self._out += self.orders.ended(now)
        if self.tenure is not None:
            self._out += self.tenure.tick(now, self.contact)
            return
        if self.state in (State.JOINING, State.COOLING):
            self._ask_if_due(now)
        if self.state in (State.STANDBY, State.WAITING, State.COOLING):
            self._go_on(now)
