"""The one loop: event -> handle -> run commands -> events.

`ElectionLoop` drives an `Election`: it reads the clock, watches the leader key, runs the reads
that the election asks for, and tells the telemetry what there is to tell. An observer needs no
more; the candidate adds what has to do with sessions, the lock and the work.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import Any

from coord.clock import Clock
from coord.consul import (
    ConsulApi,
    ConsulError,
    ConsulNotPermitted,
    ConsulRefused,
    ConsulUnavailable,
    KVEntry,
    Reply,
    WatchError,
    no_leader,
    watch,
)
from coord.election import commands as cmd
from coord.election import events as ev
from coord.election.machine import Election
from coord.election.reasons import WhyNot
from coord.election.state import State
from coord.leader_key import LeaderKey, view_of
from coord.notices import Notices
from coord.records import Paths
from coord.registration import CandidateService
from coord.telemetry.lasting_fault import LastingFault
from coord.telemetry.metrics import Metrics

WATCH_WAIT_S = 60.0
"""How long a blocking query hangs before Consul answers that nothing changed.

So long, too, may its answer have been lost before anybody notices: who the candidates are is known
no other way. Each asking anew is a request to the servers.
"""

TICK_LEAST_S = 0.001

EVENTS_BEFORE_TICK = 16
"""How many events may go before a tick that is due."""


class Fault(StrEnum):
    """What cannot be done, as it is told: each is over when that very thing succeeds."""

    CONSUL = "consul"
    """Nothing can: there is no answer, or none that helps."""
    KEYS = "keys_not_read"
    WATCH = "leader_key_not_watched"
    LOCK = "lock_not_written"
    SESSION = "no_session"
    RENEWAL = "session_not_renewed"
    LEFTOVER = "session_not_destroyed"
    CHECK = "check_not_passed"
    CANDIDATES = "candidates_not_followed"
    ORDERS = "orders_not_followed"
    """What operators ask cannot be read, or not be kept in order."""
    ORDERS_UNREADABLE = "orders_unreadable"
    DISCOVERY = "leader_not_announced"
    NAMESAKE = "name_taken_twice"
    """Another living node has our name: nobody can tell the two apart."""


def why_of(error: ConsulError) -> WhyNot:
    """What an error of Consul means for an election."""
    if isinstance(error, ConsulNotPermitted):
        return WhyNot.NOT_PERMITTED
    if isinstance(error, ConsulUnavailable) and error.no_leader:
        return WhyNot.NO_CONSUL_LEADER
    return WhyNot.CONSUL_UNREACHABLE


class ElectionLoop:
    """Drives an election until it has stopped.

    Args:
        service: what makes the node visible.
        random: from 0 to 1, for spreading retries.
    """

    def __init__(
        self,
        election: Election,
        *,
        consul: ConsulApi,
        paths: Paths,
        key: LeaderKey,
        clock: Clock,
        notices: Notices,
        metrics: Metrics,
        faults: LastingFault,
        service: CandidateService,
        random: Callable[[], float],
    ) -> None:
        self.election = election
        self._consul = consul
        self._paths = paths
        self._key = key
        self._clock = clock
        self._notices = notices
        self._metrics = metrics
        self._faults = faults
        self._service = service
        self._random = random
        self._events: deque[ev.Event] = deque()
        self._woken = asyncio.Event()
        self._scopes: dict[str, asyncio.Timeout] = {}
        self._since_tick = 0
        self._finished = False
        self._watched_at = clock.now()
        self._tasks: asyncio.TaskGroup | None = None

    def watch_age_s(self) -> float:
        """How long ago Consul last answered the watch on the leader key, in seconds."""
        return self._clock.now() - self._watched_at

    # -- the way in ------------------------------------------------------------------------

    def post(self, event: ev.Event) -> None:
        """Hand an event to the election; on the loop's thread only."""
        self._events.append(event)
        self._woken.set()

    def shut_down(self) -> None:
        """Give everything back and stop; `run` returns when that is done."""
        self.post(ev.Shutdown())

    # -- the loop --------------------------------------------------------------------------

    async def run(self) -> None:
        """Take part in the election until `shut_down`; a crash of any part comes out of here."""
        background: list[asyncio.Task[None]] = []
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            background += [tasks.create_task(each) for each in self._background()]
            self.post(self._started())
            while not self._finished:
                event = await self._next()
                for command in self.election.handle(event, self._clock.now()):
                    self._do(command)
                if isinstance(event, ev.Observed) and self.election.lookout.restored:
                    self._watch_anew()
                self._say()
            for task in background:
                task.cancel()
            self._wind_up()

    def _started(self) -> ev.Started:
        return ev.Started()

    def _background(self) -> list[Coroutine[Any, Any, None]]:
        """What runs beside the loop, for as long as it does."""
        keep_alive = self._service.keep_alive(
            on_forgotten=self._forgotten,
            on_passed=lambda: self._faults.over(Fault.CHECK),
            on_error=lambda error: self._met(error, Fault.CHECK),
            on_lag=self._metrics.loop_lag,
            clock=self._clock,
        )
        return [self._watching(self._watch_leader), keep_alive]

    def _say(self) -> None:
        """Let the catalog tell what this node is and why it does not lead."""
        now = self._clock.now()
        why_not = self.election.why_not(now)
        self._service.say(
            self.election.state.value,
            why_not.value if why_not else "",
            now,
            wall_ms=self._clock.wall_ms(),
            until=self.election.waits_until,
            pause=self.election.orders.pause_kept,
        )
        self._metrics.paused(now < self.election.orders.paused_until)
        self._metrics.drained(self.election.orders.drains_us)

    def _forgotten(self) -> None:
        """The agent had lost the check of our service; it is registered again."""

    def _wind_up(self) -> None:
        """Called when the election has stopped: end every task that would not end by itself."""

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        assert self._tasks is not None
        return self._tasks.create_task(work)

    async def _next(self) -> ev.Event:
        """The next event; a `Tick` when the election wants to be woken.

        Answers that are already there come before a tick that is due, so that a confirmation is
        not overtaken by the end of the lease that it extends; but only so many of them.
        """
        while True:
            wake_at = self.election.wake_at
            wait_s = None if wake_at is None else wake_at - self._clock.now()
            due = wait_s is not None and wait_s <= 0
            if due and not self._events:
                await asyncio.sleep(0)
            if due and (not self._events or self._since_tick >= EVENTS_BEFORE_TICK):
                self._since_tick = 0
                return ev.Tick()
            if self._events:
                self._since_tick += 1
                return self._events.popleft()
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if wait_s is None else max(wait_s, TICK_LEAST_S)):
                    await self._woken.wait()

    # -- commands --------------------------------------------------------------------------

    def _do(self, command: cmd.Command) -> None:
        match command:
            case cmd.Observe():
                self._spawn(self._observe(command.deadline))
            case cmd.Notice():
                self._notices.tell(command)
            case cmd.Finished():
                self._finished = True
            case _:
                raise AssertionError(f"nothing carries out {command}")

    async def _observe(self, deadline: float) -> None:
        sent_at = self._clock.now()
        try:
            view = await self._key.observe(deadline)
        except ConsulError as error:
            self._met(error, Fault.KEYS)
            self.post(ev.ObserveFailed(await self._why(error)))
            return
        self._faults.over(Fault.CONSUL)
        self._faults.over(Fault.KEYS)
        self._service.heard_at = sent_at
        if self.election.tenure is not None:
            self._metrics.confirmed(self._clock.now() - sent_at, self._clock.wall_ms() / 1000)
        self.post(ev.Observed(view, sent_at))

    async def _why(self, error: ConsulError) -> WhyNot:
        """What the error means; asks whose fault it is where that costs a leader no time."""
        why = why_of(error)
        hurry = self.election.tenure is not None and self.election.state is not State.SUSPENDED
        if why is WhyNot.CONSUL_UNREACHABLE and not hurry and await no_leader(self._consul):
            return WhyNot.NO_CONSUL_LEADER
        return why

    async def _watching(self, follow: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Follow something in Consul for ever; from the start again after `_watch_anew`."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None) as scope:
                    self._scopes[follow.__name__] = scope
                    await follow()

    def _watch_anew(self) -> None:
        """Consul went back: a query that waits for an index of before would wait to its end."""
        for scope in self._scopes.values():
            scope.reschedule(asyncio.get_running_loop().time())
        self._scopes.clear()

    async def _watch_leader(self) -> None:
        async def query(index: int | None) -> Reply[KVEntry | None]:
            wait_s = None if index is None else WATCH_WAIT_S
            reply = await self._consul.kv_get(self._paths.leader, index=index, wait_s=wait_s)
            self._watched_at = self._clock.now()
            return reply

        async with contextlib.aclosing(watch(query, jitter=self._random)) as replies:
            async for reply in replies:
                if isinstance(reply, WatchError):
                    self._met(reply.error, Fault.WATCH)
                else:
                    self._faults.over(Fault.WATCH)
                    self.post(ev.Watched(view_of(reply.value)))

    def _met(self, error: ConsulError, fault: Fault) -> None:
        """Tell of a fault of Consul's: once, and every 30 s while it lasts."""
        self._metrics.consul_error(error)
        if isinstance(error, ConsulUnavailable):
            fault = Fault.CONSUL  # whatever was being done: it is one fault, and told as one
        why = "refused" if isinstance(error, ConsulRefused) else why_of(error).value
        self._faults.happened(fault.value, f"{why}: {error}")
