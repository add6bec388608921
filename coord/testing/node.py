"""A whole node in a simulated world: the real node's code, and a process to run it in.

`SimulatedNode` runs `coord.application.Application` itself. What is not the real thing is what the
node stands on: its Consul, its clock, the watchdog that ends its process, and its HTTP server,
which nobody can reach.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random
from typing import Any, Final, NoReturn, Self

import httpx
from starlette.types import ASGIApp

from coord.application import EXIT_FATAL, Application, Host
from coord.clock import Clock
from coord.config import Settings
from coord.consul import ConsulApi
from coord.supervisor import ChildSpec
from coord.telemetry import Event as Told
from coord.testing.consul.cluster import SimulatedConsul
from coord.testing.inline import Inline
from coord.testing.world import Event, ProcessEnded, ProcessLoop, World
from coord.watchdog import Watchdog
from coord.workloads import WorkContext, load_workloads, specs_of

EPOCH_MS: Final = 1_700_000_000_000
"""What wall clocks show at the beginning of the world."""

EXIT_WATCHDOG: Final = 1
"""The exit status of a process that its watchdog ended."""

EXIT_KILLED: Final = -9


class SimulatedClock:
    """The clocks of one simulated process. `skew_ms`: how far its wall clock is off."""

    def __init__(self, loop: ProcessLoop, world: World, *, skew_ms: int = 0) -> None:
        self._loop = loop
        self._world = world
        self._skew_ms = skew_ms

    def now(self) -> float:
        """Seconds on the process's own monotonic clock."""
        return self._loop.time()

    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return EPOCH_MS + self._skew_ms + round(self._world.time * 1000)


class SimulatedWatchdog(Watchdog):
    """Ends the simulated process past its earliest deadline, as the real one ends the real.

    It needs nothing of the process but that it is not stopped: a blocked event loop does not keep
    it from firing, a frozen process does until it goes on.
    """

    def __init__(
        self, clock: Clock, loop: ProcessLoop, world: World, fire: Callable[[], None]
    ) -> None:
        super().__init__(clock)
        self._loop = loop
        self._world = world
        self._fire = fire
        self._armed: dict[str, float] = {}
        self._event: Event | None = None

    def arm(self, key: str, deadline: float) -> None:
        """End the process at `deadline` (seconds of its clock) unless armed anew."""
        self._armed[key] = deadline
        self._set()

    def disarm(self, key: str) -> None:
        """Forget the key's deadline."""
        if self._armed.pop(key, None) is not None:
            self._set()

    @property
    def overdue(self) -> bool:
        """Whether a deadline has passed."""
        return any(deadline <= self._clock.now() for deadline in self._armed.values())

    def _set(self) -> None:
        if self._event is not None:
            self._event.cancel()
            self._event = None
        if self._armed:
            after_s = (min(self._armed.values()) - self._clock.now()) / self._loop.rate
            self._event = self._world.at(self._world.time + max(0.0, after_s), self._fire)


class SimulatedNode:
    """One node of a simulated fleet: a process that can be started, harmed, and started again.

    Args:
        world: where it lives.
        settings: of this node; its `workloads` run, and what `extra_work` gives besides.
        connect: a client of the node's Consul agent for one process of it, and what is to be
            called when that process dies; called at each start.
        random: drawn from at each start, and by the processes.
        rate: how fast its clocks go; 1.05 is 5 % too fast.
        wall_skew_ms: how far its wall clock is off.
        http: what carries the work's HTTP requests.
        extra_work: called at each start of a process; gives further children of its supervisor.
        on_event: told of every telemetry event of its processes.
        on_exit: told the exit status when a process of it has ended: 0 after a graceful end.
        on_error: told of every exception that nobody handled.

    Attributes:
        boots: how many processes of it were started.
        application: of the present process, once it runs; None while there is none.
    """

    def __init__(
        self,
        world: World,
        settings: Settings,
        connect: Callable[[ProcessLoop], tuple[ConsulApi, Callable[[], None]]],
        *,
        random: Random,
        rate: float = 1.0,
        wall_skew_ms: int = 0,
        http: httpx.AsyncBaseTransport | None = None,
        extra_work: Callable[[WorkContext], Sequence[ChildSpec]] = lambda context: (),
        on_event: Callable[[Told], None] = lambda event: None,
        on_exit: Callable[[int], None] = lambda status: None,
        on_error: Callable[[dict[str, Any]], None] = lambda context: None,
    ) -> None:
        self.name = settings.node
        self.settings = settings
        self.rate = rate
        self.boots = 0
        self.application: Application | None = None
        self._world = world
        self._connect = connect
        self._random = random
        self._wall_skew_ms = wall_skew_ms
        self._http = http
        self._extra_work = extra_work
        self._on_event = on_event
        self._on_exit = on_exit
        self._on_error = on_error
        self._loop: ProcessLoop | None = None
        self._watchdog: SimulatedWatchdog | None = None
        self._hung = False
        self._disconnect: Callable[[], None] = lambda: None

    @classmethod
    def on(
        cls,
        consul: SimulatedConsul,
        name: str,
        *,
        work: Callable[[WorkContext], object] | None = None,
        seed: int = 0,
        rate: float = 1.0,
        http: httpx.AsyncBaseTransport | None = None,
        on_event: Callable[[Told], None] = lambda event: None,
        on_exit: Callable[[int], None] = lambda status: None,
        on_error: Callable[[dict[str, Any]], None] = lambda context: None,
        **settings: Any,
    ) -> Self:
        """A node of that name, with an agent of its own: both on a host that is called so as well.

        On the network its process is ``NAME/process`` and its agent ``NAME``.

        work: the class of your work, or whatever gives it: as an entry point would name it. It
            runs besides what the setting `workloads` names, which is none here.
        seed: for what the node draws by lot. settings: of the node, by name, as ``lease="3s"``.
        rate, http, on_event, on_exit, on_error: as in the class.

        Raises:
            TypeError: `consul` was not made in a `World`.
            SettingsError: the settings are refused.
        """
        world = consul.scheduler
        if not isinstance(world, World):
            raise TypeError("a node needs a Consul in a World: SimulatedConsul(world, rng=…)")
        agent = consul.agent(name)

        def connect(loop: ProcessLoop) -> tuple[ConsulApi, Callable[[], None]]:
            client = consul.client(agent, clock_rate=loop.rate)
            return client, client.kill

        def extra_work(context: WorkContext) -> Sequence[ChildSpec]:
            return specs_of("work", work, context) if work is not None else ()

        return cls(
            world,
            Settings(**{"environ": {}, "node": name, "workloads": ""} | settings),
            connect,
            random=Random(f"{seed} {name}"),
            rate=rate,
            http=http,
            extra_work=extra_work,
            on_event=on_event,
            on_exit=on_exit,
            on_error=on_error,
        )

    # -- its process -----------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether there is a process; a frozen one is."""
        return self._loop is not None

    @property
    def frozen(self) -> bool:
        """Whether its process stands still."""
        return self._loop is not None and self._loop.frozen

    @property
    def term(self) -> int | None:
        """The term that it leads in by its own account; None if it does not lead.

        A frozen process has the one that it led in when it was frozen.
        """
        return self.application.election_view().term if self.application is not None else None

    @property
    def boot_id(self) -> str:
        """Of its present process; "" if there is none."""
        return self.application.identity.boot_id if self.application is not None else ""

    @property
    def pending(self) -> tuple[str, ...]:
        """The names of the tasks of its process that have not ended."""
        return self._loop.pending if self._loop is not None else ()

    def start(self) -> None:
        """Start a process. Nothing happens if there is one."""
        if self._loop is not None:
            return
        self.boots += 1
        name = f"{self.name}/{self.boots}"
        # Where a monotonic clock starts tells nothing, and differs from process to process.
        loop = self._world.process(name, rate=self.rate, offset=self._random.uniform(0, 1e5))
        loop.on_error = self._on_error
        self._loop = loop
        self._hung = False
        clock = SimulatedClock(loop, self._world, skew_ms=self._wall_skew_ms)
        self._watchdog = SimulatedWatchdog(clock, loop, self._world, lambda: self._bitten(loop))
        consul, self._disconnect = self._connect(loop)
        host = Host(
            consul=consul,
            clock=clock,
            watchdog=self._watchdog,
            bound=self.settings.listen,
            serve=_serve_nobody,
            end_process=lambda term: self._end(loop),
            random=Random(self._random.getrandbits(64)),
            http=self._http,
            load_work=self._load_work,
            apart=Inline,
        )
        loop.create_task(self._main(host, loop), name="main")

    def _load_work(self, names: Sequence[str], context: WorkContext) -> tuple[ChildSpec, ...]:
        return (*load_workloads(names, context), *self._extra_work(context))

    async def _main(self, host: Host, loop: ProcessLoop) -> None:
        application = Application(self.settings, host)
        self.application = application
        application.telemetry.attach_inline(lambda event: self._told(loop, event))
        status = await application.run()
        # Only afterwards can be told what is left behind.
        loop.call_soon(self._gone, loop, status)

    def _told(self, loop: ProcessLoop, event: Told) -> None:
        if not loop.dead:
            self._on_event(event)

    def stop(self) -> None:
        """Ask it to end gracefully, as SIGTERM does; a frozen process hears it when it goes on."""
        if self._loop is not None:
            self._loop.call_soon(self._stop)

    def _stop(self) -> None:
        if self.application is not None:
            self.application.stop()

    def kill(self) -> None:
        """End its process at once, as SIGKILL does."""
        if self._loop is not None:
            self._gone(self._loop, EXIT_KILLED)

    def freeze(self) -> None:
        """Let its process stand still, as SIGSTOP does."""
        if self._loop is not None:
            self._loop.freeze()
            self._hung = False

    def hang(self) -> None:
        """Let its event loop block: the watchdog goes on."""
        if self._loop is not None:
            self._loop.freeze()
            self._hung = True
            if self._watchdog is not None and self._watchdog.overdue:
                self._gone(self._loop, EXIT_WATCHDOG)

    def thaw(self) -> None:
        """Let its process go on.

        If its watchdog is overdue, it is ended soon, though it may get to do a few things before.
        """
        loop = self._loop
        if loop is None or not loop.frozen:
            return
        steps = None
        if self._watchdog is not None and self._watchdog.overdue:
            steps = self._random.choice((0, 3, 30, 300))
        loop.thaw(
            timers_first=self._random.random() < 0.5,
            steps=steps,
            end=lambda: self._gone(loop, EXIT_WATCHDOG),
        )

    def _bitten(self, loop: ProcessLoop) -> None:
        if self._loop is loop and (not loop.frozen or self._hung):
            self._gone(loop, EXIT_WATCHDOG)

    def _end(self, loop: ProcessLoop) -> NoReturn:
        self._gone(loop, EXIT_FATAL)
        raise ProcessEnded

    def _gone(self, loop: ProcessLoop, status: int) -> None:
        if self._loop is not loop:
            return
        if status == 0 and loop.pending:
            self._on_error({"message": f"tasks are left behind: {', '.join(loop.pending)}"})
        self._loop = self._watchdog = self.application = None
        loop.kill()
        self._disconnect()
        self._on_exit(status)


@contextlib.asynccontextmanager
async def _serve_nobody(app: ASGIApp) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(_for_ever(), name="http server")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _for_ever() -> None:
    await asyncio.Event().wait()
