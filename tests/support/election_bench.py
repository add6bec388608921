"""One `Election` on a bench: its clock is set by hand, Consul's answers are spoken by hand."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any, TypeVar

from coord.election import commands as cmd
from coord.election import events as ev
from coord.election.machine import Election
from coord.election.reasons import StepDownReason, TakeoverOutcome, WhyNot
from coord.election.states import State
from coord.election.timing import Timing

C = TypeVar("C", bound=cmd.Command)

ME = "me"
OTHER = "other"
MINE = "s1"
"""The first session that a bench is given."""

TERM = 5
"""The term that was held last, where `vacant` and `held` are not told otherwise."""


def held(index: int = 50, **changes: Any) -> ev.KeyView:
    """Another node leads."""
    view = ev.KeyView(
        leader_index=index,
        lock_index=3,
        session="theirs",
        readable=True,
        record_term=TERM,
        record_node=OTHER,
        record_fenced_within=2.5,
        term=TERM,
        term_index=40,
        term_fenced_within=2.5,
    )
    return replace(view, **changes)


def vacant(index: int = 60, **changes: Any) -> ev.KeyView:
    """The other node's session went: nothing is said, the record is as it left it."""
    return replace(held(index, session=None), **changes)


def handed_over(index: int = 60, **changes: Any) -> ev.KeyView:
    """The other node gave the lock back after its work had stopped."""
    return vacant(index, **{"record_vacant": True, "record_why": "stepped_down", **changes})


class Bench:
    """An election, what it was told and what it asked for."""

    def __init__(
        self,
        timing: Timing | None = None,
        *,
        eligible: bool = True,
        jitter: float = 0.0,
        own_sessions: Collection[str] = (),
        election: type[Election] = Election,
    ) -> None:
        self.timing = timing or Timing()
        self.election = election(
            ME, self.timing, eligible=eligible, jitter=jitter, own_sessions=own_sessions
        )
        self.now = 1000.0
        self.out: list[cmd.Command] = []
        """What the last event led to."""
        self.said: list[cmd.Command] = []
        """All that was ever asked for or told."""
        self.sent_at = self.now
        """When the read that is under way was sent."""

    @property
    def state(self) -> State:
        return self.election.state

    def tell(self, event: ev.Event) -> list[cmd.Command]:
        self.out = self.election.handle(event, self.now)
        self.said += self.out
        if any(isinstance(each, cmd.Observe | cmd.CreateLeaderKey) for each in self.out):
            self.sent_at = self.now
        return self.out

    def get(self, kind: type[C]) -> list[C]:
        """The commands of that kind that the last event led to."""
        return [command for command in self.out if isinstance(command, kind)]

    def one(self, kind: type[C]) -> C:
        found = self.get(kind)
        assert len(found) == 1, f"{len(found)} of {kind.__name__} in {self.out}"
        return found[0]

    def ever(self, kind: type[C]) -> list[C]:
        return [command for command in self.said if isinstance(command, kind)]

    # -- time ------------------------------------------------------------------------------

    def wait(self, seconds: float) -> list[cmd.Command]:
        """Time passes and nothing else; ticks whenever it wants to be woken. Returns what all of
        the ticks led to."""
        return self.wait_until(self.now + seconds)

    def wait_until(self, time: float) -> list[cmd.Command]:
        led_to: list[cmd.Command] = []
        for _ in range(10_000):
            wake_at = self.election.wake_at
            if wake_at is None or wake_at > time:
                break
            self.now = max(self.now, wake_at)
            led_to += self.tell(ev.Tick())
            if any(isinstance(command, cmd.EndProcess) for command in self.out):
                return led_to
        else:
            raise AssertionError(f"it spins in {self.state}")
        self.now = time
        self.out = led_to
        return led_to

    # -- what Consul answers ---------------------------------------------------------------

    def observe(self, view: ev.KeyView, sent_at: float | None = None) -> list[cmd.Command]:
        """The read that is under way is answered."""
        return self.tell(ev.Observed(view, self.sent_at if sent_at is None else sent_at))

    def look(self, view: ev.KeyView) -> list[cmd.Command]:
        """Whatever read is under way fails; the next one is answered at once."""
        if self.election._reads.under_way:
            self.tell(ev.ObserveFailed(WhyNot.CONSUL_UNREACHABLE))
        while not self.election._reads.under_way:
            wake_at = self.election.wake_at
            assert wake_at is not None
            self.wait_until(max(wake_at, self.now))
        return self.observe(view)

    def fail_read(self, why: WhyNot = WhyNot.CONSUL_UNREACHABLE) -> list[cmd.Command]:
        return self.tell(ev.ObserveFailed(why))

    # -- the way to each state -------------------------------------------------------------

    def join(self, session: str = MINE) -> Bench:
        """Started, with a session; the first read is under way."""
        self.tell(ev.Started())
        if self.state is State.JOINING:
            self.tell(ev.SessionCreated(self.one(cmd.CreateSession).attempt, session))
        return self

    def standby(self) -> Bench:
        self.join().observe(held())
        return self

    def waiting(self, view: ev.KeyView | None = None) -> Bench:
        """Standing before a vacancy of which nothing is said."""
        self.standby().tell(ev.Watched(view or vacant()))
        return self

    def acquiring(self) -> Bench:
        """An attempt is under way; it takes term 6."""
        self.standby().tell(ev.Watched(handed_over()))
        return self

    def won(self, index: int = 70) -> ev.KeyView:
        """What the attempt that is under way leaves if it is applied."""
        asked = self.ever(cmd.Acquire)[-1]
        return ev.KeyView(
            leader_index=index,
            lock_index=4,
            session=asked.session,
            readable=True,
            record_term=asked.term,
            record_node=ME,
            record_fenced_within=self.timing.fenced_within,
            successors=asked.successors,
            term=asked.term,
            term_index=index,
            term_fenced_within=self.timing.fenced_within,
        )

    def leading(self) -> Bench:
        """Leads term 6 under `MINE`; `self.mine` is what a read sees of it."""
        self.acquiring()
        self.mine = self.won()
        asked = self.ever(cmd.Acquire)[-1]
        self.fail_read()
        self.tell(ev.Acquired(asked.attempt, self.mine, self.now))
        assert self.state is State.LEADING
        self.term = asked.term
        return self

    @property
    def run(self) -> int:
        """The number of the last run of the work."""
        return self.ever(cmd.StartWork)[-1].run

    def suspended(self, *, stopped: bool = True) -> Bench:
        """Past its lease; the work has stopped, or is stopping."""
        self.leading()
        self.wait(self.timing.lease)
        assert self.state is State.SUSPENDED
        if stopped:
            self.tell(ev.WorkStopped(self.run))
        return self

    def stepping_down(self) -> Bench:
        """Asked to stop; the work is stopping."""
        self.leading().tell(ev.StepDown(StepDownReason.REQUESTED))
        return self

    def cooling(self, *, session: str | None = "s2") -> Bench:
        """Has stepped down; its vacancy is seen, another candidate is there."""
        self.stepping_down()
        self.tell(ev.WorkStopped(self.run))
        self.tell(ev.Released(MINE))
        self.tell(ev.SessionDestroyed(MINE))
        self.wait(0.5)  # sessions are not asked for as fast as that
        if session is not None:
            self.tell(ev.SessionCreated(self.ever(cmd.CreateSession)[-1].attempt, session))
        assert self.state is State.COOLING
        return self

    def given_back(self, index: int = 80, **changes: Any) -> ev.KeyView:
        """What the release of our own term leaves."""
        left = {"session": None, "record_vacant": True, "record_why": "stepped_down"}
        return replace(self.mine, leader_index=index, **{**left, **changes})

    def observer(self) -> Bench:
        self.tell(ev.Started())
        return self

    def stopped(self) -> Bench:
        self.tell(ev.Shutdown())
        return self


def in_state(state: State) -> Bench:
    """A bench whose election is in that state, by the shortest way."""
    bench = Bench(eligible=state is not State.OBSERVER)
    if state is State.JOINING:
        bench.tell(ev.Started())
        return bench
    getattr(bench, state.value)()
    assert bench.state is state
    return bench


REFUSALS = tuple(
    outcome
    for outcome in TakeoverOutcome
    if outcome
    not in (
        TakeoverOutcome.WON,
        TakeoverOutcome.ADOPTED,
        TakeoverOutcome.ABANDONED,
        TakeoverOutcome.UNKNOWN,
    )
)
"""What an attempt can be refused for."""
