"""Virtual time for many processes at once: one heap of what is to happen, and nothing in between.

A `World` is the one true clock. Each simulated process has an event loop of its own (`ProcessLoop`)
whose clock may go faster or slower, which can stand still while time passes, and which can end at
any moment. The world jumps from one thing that happens to the next, in one thread, always in the
same order: what happened follows from the seed alone.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from coord.testing.no_system import OfNoSystem

T = TypeVar("T")

AT_ONCE_LIMIT: Final = 200_000
"""How many callbacks may follow on one another without time passing before that is an error."""


class ProcessEnded(BaseException):
    """Raised through the code of a process that ends itself: nothing of it must go on."""


class Spinning(Exception):  # noqa: N818 - says what a process does
    """A process does one thing after another and lets no time pass."""


class Event:
    """Something that will happen in the world; made by `World.at`."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Let it not happen; fine if it has."""
        self.call = None


class SimulatedTask(asyncio.Task[T]):
    """A task that hashes by a number of its loop's: sets of tasks have the same order in each run.

    asyncio keeps tasks in sets and goes through them, for one when a task group is cancelled; by
    address, the order would be another in each run.
    """

    def __init__(self, coro: Coroutine[Any, Any, T], *, number: int, **options: Any) -> None:
        self._number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class ProcessLoop(OfNoSystem):
    """The event loop of one simulated process; `World.process` makes it.

    Attributes:
        rate: how fast its clock goes; 1.05 is 5 % too fast.
        frozen: it stands still: nothing of it runs, its clock goes on.
        dead: it has ended; nothing of it will ever run again.
        on_error: told of each exception that nobody handled, as asyncio tells it.
    """

    def __init__(self, world: World, name: str, rate: float, offset: float) -> None:
        self.name = name
        self.rate = rate
        self.frozen = False
        self.dead = False
        self.on_error: Callable[[dict[str, Any]], None] | None = None
        self._world = world
        self._offset = offset
        self._ready: deque[asyncio.Handle] = deque()
        self._queued = False
        # From its clock to true time and back a moment may be rounded down: who waits for it would
        # wait again, and again, for no time at all.
        self._fired = offset
        self._due: list[asyncio.Handle] = []
        self._tasks: dict[int, SimulatedTask[Any]] = {}
        self._numbers = itertools.count(1)
        self._left_to_run: int | None = None
        self._on_end: Callable[[], None] | None = None

    # -- what the world does with it -------------------------------------------------------

    def freeze(self) -> None:
        """Let it stand still, as SIGSTOP does, or a host that is suspended."""
        self.frozen = True

    def thaw(self, *, timers_first: bool, steps: int | None = None, end: object = None) -> None:
        """Let it go on. What came and what fell due meanwhile is there at once.

        timers_first: whether what fell due is run before what came.
        steps, end: it ends (`end` is called) after so many callbacks, as a process does that is
            killed just as it wakes.
        """
        self.frozen = False
        due, self._due = self._due, []
        if timers_first:
            self._ready.extendleft(reversed(due))
        else:
            self._ready.extend(due)
        if steps is not None and callable(end):
            self._left_to_run, self._on_end = steps, end
        self._queued = False
        self._wake()

    def kill(self) -> None:
        """End it here and now. Whatever its code was about to do, it will not."""
        self.dead = True
        self._ready.clear()
        self._due.clear()

    def close_abandoned(self) -> None:
        """Close the coroutines of an ended process, so that nothing complains of them later."""
        asyncio.events._set_running_loop(self)
        try:
            while self._tasks:
                _, task = self._tasks.popitem()
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own
                _close(task.get_coro())
        finally:
            asyncio.events._set_running_loop(None)

    @property
    def pending(self) -> tuple[str, ...]:
        """The names of its tasks that have not ended."""
        return tuple(task.get_name() for task in self._tasks.values() if not task.done())

    def _wake(self) -> None:
        if not self._queued and not self.frozen:
            self._queued = True
            self._world._ready.append(self)

    def _run_ready(self) -> None:
        """Run what is ready, and what becomes ready by that, until nothing is."""
        self._queued = False
        ready = self._ready
        left = AT_ONCE_LIMIT
        asyncio.events._set_running_loop(self)
        try:
            while ready and not self.frozen and not self.dead:
                if self._left_to_run is not None:
                    if self._left_to_run <= 0:
                        break
                    self._left_to_run -= 1
                handle = ready.popleft()
                if not handle._cancelled:
                    self._run(handle)
                left -= 1
                if left == 0:
                    raise Spinning(f"{self.name} at {self._world.now():.6f}")
        finally:
            asyncio.events._set_running_loop(None)
        if self._on_end is not None and not self.dead:
            end, self._on_end = self._on_end, None
            end()

    def _run(self, handle: asyncio.Handle) -> None:
        try:
            handle._context.run(handle._callback, *handle._args)  # type: ignore[attr-defined]
        except ProcessEnded:
            pass
        except Exception as error:
            context = {"message": "a callback failed", "exception": error, "handle": handle}
            self.call_exception_handler(context)

    # -- what asyncio wants of a loop ------------------------------------------------------

    def time(self) -> float:
        """Seconds on this process's clock; never less than what a timer that has fired was for."""
        now = self._offset + self._world.time * self.rate
        return now if now > self._fired else self._fired

    def call_soon(  # type: ignore[override]  # typeshed has variadic generics here
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self.dead:
            self._ready.append(handle)
            self._wake()
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if not self.dead:
            self._world._push((when - self._offset) / self.rate, handle)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """The world leaves out what is cancelled when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], **options: Any
    ) -> asyncio.Task[T]:
        number = next(self._numbers)
        task = SimulatedTask(coro, number=number, loop=self, **options)
        self._tasks[number] = task
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: SimulatedTask[Any]) -> None:
        self._tasks.pop(task._number, None)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self.on_error is not None and not self.dead:
            self.on_error(context)


def _close(coro: Any) -> None:
    """End a coroutine by force, and again where it waits for something while it ends.

    Not by its `close`: that leaves behind, with a complaint, whatever waits in a ``finally``.
    """
    for _ in range(AT_ONCE_LIMIT):
        try:
            coro.throw(ProcessEnded())
        except BaseException:
            return


class World:
    """True time, and all that happens in it. A `coord.testing.scheduler.Scheduler`.

    Use it as a context: what lives in it must be closed, also when a test fails.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __init__(self) -> None:
        self.time = 0.0
        """True time, in seconds from the world's beginning."""
        self.happened = 0
        """How many things have happened."""
        self._heap: list[tuple[float, int, Event | asyncio.TimerHandle]] = []
        self._numbers = itertools.count()
        self._ready: deque[ProcessLoop] = deque()
        self._loops: list[ProcessLoop] = []

    def now(self) -> float:
        """True time, in seconds from the world's beginning."""
        return self.time

    def at(self, when: float, call: Callable[[], None]) -> Event:
        """Call `call` at `when`; what is due at the same moment is called in the order asked."""
        event = Event(call)
        self._push(when, event)
        return event

    def process(self, name: str, *, rate: float = 1.0, offset: float = 0.0) -> ProcessLoop:
        """A new process. `offset` is what its clock showed at the world's beginning."""
        # It has what is needed without sockets, threads and processes; typeshed wants all.
        loop = ProcessLoop(self, name, rate, offset)  # type: ignore[abstract]
        self._loops.append(loop)
        return loop

    def run_until(self, end: float, *, stop: Callable[[], bool] | None = None) -> bool:
        """Let everything happen that happens until then; whether `stop` ended it before.

        stop: asked after each thing that happened.
        """
        heap, ready = self._heap, self._ready
        at_once = 0
        while True:
            while ready:
                ready.popleft()._run_ready()
            if stop is not None and stop():
                return True
            if not heap or heap[0][0] > end:
                self.time = max(self.time, end)
                return False
            when, _, what = heapq.heappop(heap)
            at_once += 1
            if when > self.time:
                self.time, at_once = when, 0
            elif at_once > AT_ONCE_LIMIT:
                raise Spinning(f"the world at {self.time:.6f}")
            self.happened += 1
            if isinstance(what, Event):
                call, what.call = what.call, None
                if call is not None:
                    call()
            else:
                self._timer(what)

    def run_for(self, seconds: float, *, stop: Callable[[], bool] | None = None) -> bool:
        """`run_until` so many seconds from now; whether `stop` ended it before."""
        return self.run_until(self.time + seconds, stop=stop)

    def _timer(self, handle: asyncio.TimerHandle) -> None:
        loop: ProcessLoop = handle._loop  # type: ignore[attr-defined]
        if handle._cancelled or loop.dead:
            return
        loop._fired = max(loop._fired, handle.when())
        if loop.frozen:
            loop._due.append(handle)
        else:
            loop._ready.append(handle)
            loop._wake()

    def run(self, main: Coroutine[Any, Any, T], *, within_s: float = 3600.0) -> T:
        """Run a coroutine in a process of its own, for tests; what it raises is raised.

        Raises:
            TimeoutError: it has not ended in so much true time.
        """
        loop = self.process("test")
        task = loop.create_task(main)
        self.run_until(self.time + within_s, stop=task.done)
        if not task.done():
            raise TimeoutError(f"not ended within {within_s:g} simulated seconds")
        return task.result()

    def close(self) -> None:
        """The end of the world: close all that was left open."""
        self._heap.clear()
        for loop in self._loops:
            loop.kill()
            loop.close_abandoned()
        self._loops.clear()

    def _push(self, when: float, what: Event | asyncio.TimerHandle) -> None:
        heapq.heappush(self._heap, (when, next(self._numbers), what))
