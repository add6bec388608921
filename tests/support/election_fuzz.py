"""Any events in any order, as far as the contract of `coord.election.commands` goes.

Unlike `election_model` there is no Consul behind it: answers say anything, also what no Consul
would. Whatever comes, an election must stay within its table, must not spin, and must always have
something under way or a time to wake at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from election_bench import REFUSALS, Bench, handed_over, held, vacant

from coord.election import commands as cmd
from coord.election import events as ev
from coord.election.machine import Election
from coord.election.reasons import LostReason, StepDownReason, WhyNot
from coord.election.states import State
from coord.election.timing import Timing

ANSWERED = (
    cmd.Observe
    | cmd.CreateLeaderKey
    | cmd.CreateSession
    | cmd.DestroySession
    | cmd.Acquire
    | cmd.Release
)


class Fuzz:
    """One election under random events."""

    def __init__(self, seed: int, election: type[Election] = Election) -> None:
        self.rnd = Random(seed)
        eligible = self.rnd.random() < 0.9
        self.election = election("me", Timing(), eligible=eligible, jitter=0.5)
        self.now = 0.0
        self.ordered = self.rnd.random() < 0.15
        """Whether operators ask anything."""
        self.flights: list[tuple[cmd.Command, float]] = []
        self.stopping: set[int] = set()
        self.asked: list[cmd.Command] = []
        self.index = 100
        self.sessions = 0
        self.ended = False
        self.tell(ev.Started(self.rnd.random() < 0.5))

    def tell(self, event: ev.Event) -> None:
        for command in self.election.handle(event, self.now):
            self.asked.append(command)
            if isinstance(command, ANSWERED):
                self.flights.append((command, self.now))
            elif isinstance(command, cmd.StopWork):
                self.stopping.add(command.run)
            elif isinstance(command, cmd.EndProcess):
                self.ended = True
        if self.ended or self.election.state is State.STOPPED:
            self.ended = True
            return
        alive = self.flights or self.stopping or self.election.wake_at is not None
        assert alive, f"stuck in {self.election.state} after {event}"

    def step(self) -> None:
        """One event: an answer, time, or anything else."""
        pick = self.rnd.random()
        if pick < 0.45 and self.flights:
            command, sent_at = self.flights.pop(self.rnd.randrange(len(self.flights)))
            self.tell(self.answer(command, sent_at))
        elif pick < 0.5 and self.stopping:
            self.tell(ev.WorkStopped(self.stopping.pop()))
        elif pick < 0.75:
            self.pass_time()
        else:
            self.tell(self.anything())

    def pass_time(self) -> None:
        """Half of the time what is due comes at once, else some time later."""
        wake_at = self.election.wake_at
        self.now += self.rnd.choice((0.0, 0.01, 0.3, 1.0, 2.6, 12.0))
        if wake_at is not None and self.rnd.random() < 0.5:
            self.now = max(self.now, wake_at)
        if self.rnd.random() < 0.3:
            return  # something else comes before the tick
        for _ in range(5):
            due = self.election.wake_at
            if self.ended or due is None or due > self.now:
                return
            self.tell(ev.Tick())
        raise AssertionError(f"spins in {self.election.state}")

    def answer(self, command: cmd.Command, sent_at: float) -> ev.Event:
        good = self.rnd.random() < 0.75
        why = self.rnd.choice((WhyNot.CONSUL_UNREACHABLE, WhyNot.NOT_PERMITTED))
        match command:
            case cmd.Observe() | cmd.CreateLeaderKey():
                return ev.Observed(self.view(), sent_at) if good else ev.ObserveFailed(why)
            case cmd.CreateSession(attempt):
                self.sessions += 1
                name = f"s{self.sessions}"
                return ev.SessionCreated(attempt, name) if good else ev.SessionFailed(attempt, why)
            case cmd.DestroySession(session):
                return ev.SessionDestroyed(session)
            case cmd.Release(session):
                return ev.Released(session)
            case cmd.Acquire(attempt):
                if good:
                    return ev.Acquired(attempt, self.ours(), sent_at)
                if self.rnd.random() < 0.5:
                    return ev.AcquireUnknown(attempt)
                return ev.AcquireRefused(attempt, self.rnd.choice(REFUSALS))
        raise AssertionError(command)

    def ours(self) -> ev.KeyView:
        """What our last attempt left, or would have."""
        tried = [each for each in self.asked if isinstance(each, cmd.Acquire)]
        if not tried:
            return held(self.index)
        last = tried[-1]
        tenure = self.election.tenure
        self.index += tenure is None
        at = tenure.term_index if tenure is not None else self.index
        mine = Bench.won(_AsBench(tried, self.election), self.index)
        return replace(mine, term=last.term, term_index=at)

    def view(self) -> ev.KeyView:
        kind = self.rnd.random()
        if kind < 0.5 and self.election.state not in (State.STANDBY, State.JOINING):
            return self.ours()
        self.index += self.rnd.choice((0, 0, 1, 2, -3))
        current = self.election.sessions.current
        choices = (
            held(self.index),
            vacant(self.index),
            vacant(self.index),
            handed_over(self.index),
            ev.KeyView(leader_index=0),
            replace(held(self.index), session=current) if current else held(self.index),
            replace(held(self.index), readable=False, record_node="", record_term=None),
        )
        return self.rnd.choice(choices)

    def orders(self) -> ev.OrdersSeen:
        """Whatever operators may ask: nothing, half of the time."""
        tenure = self.election.tenure
        term = tenure.term if tenure is not None else self.index
        pause = ev.Pause(self.rnd.choice(("p1", "p2")), self.rnd.choice((1.0, 20.0)))
        request = ev.Request(term=term, reason=self.rnd.choice(list(StepDownReason)), to="a")
        return ev.OrdersSeen(
            pause if self.rnd.random() < 0.1 else None,
            frozenset(("me",) if self.rnd.random() < 0.3 else ("a",) * self.rnd.randrange(2)),
            request if self.rnd.random() < 0.08 else None,
        )

    def anything(self) -> ev.Event:
        """What may come at any moment, answers of long ago among it."""
        old = self.rnd.randrange(4)
        session = self.rnd.choice((self.election.sessions.current or "gone", "gone"))
        run = self.rnd.choice((self.election.tenure.run if self.election.tenure else 0, old))
        events: tuple[ev.Event, ...] = (
            ev.Started(),
            ev.Watched(replace(self.view(), term=None, term_index=0)),
            ev.SessionLost(session, LostReason.SESSION_GONE),
            ev.WorkFailed(run, LostReason.WORK_FAILED),
            ev.OthersSeen(self.rnd.choice(((), ("a",), ("b", "a")))),
            self.orders() if self.ordered else ev.Tick(),
            ev.SessionCreated(old - 5, "unasked"),
            ev.SessionFailed(old - 5, WhyNot.NO_SESSION),
            ev.Acquired(old - 5, self.ours(), self.now),
            ev.AcquireRefused(old - 5, self.rnd.choice(REFUSALS)),
            ev.AcquireUnknown(old - 5),
            ev.WorkStopped(old - 5),
            ev.Released("gone"),
            ev.SessionDestroyed("gone"),
            ev.Tick(),
        )
        if self.rnd.random() < 0.15:
            events = (ev.StepDown(self.rnd.choice(list(StepDownReason))), ev.Shutdown())
        return self.rnd.choice(events)


class _AsBench(Bench):
    """As much of a bench as it takes to tell what an attempt left."""

    def __init__(self, said: Sequence[cmd.Command], election: Election) -> None:
        self.said = list(said)
        self.timing = election.timing
