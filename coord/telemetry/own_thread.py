"""A handler, of events or the like, on a thread of its own: however slow it is, nobody waits for
it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import queue
import threading
from collections.abc import Awaitable, Callable
from typing import Any

QUEUE_LENGTH = 1000
"""How many events wait for one handler; of what comes then, nothing reaches it."""

_log = logging.getLogger("coord.telemetry")


class OwnThread:
    """Hands what comes to `handler`, one after the other, in the order in which it comes.

    handler: a function, or a coroutine function, which runs on an event loop of its own.
    dropped: events that did not reach it, as too many waited.
    failures: calls of it that raised.
    """

    def __init__(self, handler: Callable[[Any], Awaitable[object] | None]) -> None:
        self._handler = handler
        self._queue: queue.Queue[Any] = queue.Queue(QUEUE_LENGTH)
        self._told: set[type[BaseException]] = set()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self.dropped = 0
        self.failures = 0

    def __call__(self, event: Any) -> None:
        """Have the handler called with it; never waits."""
        if self._closed.is_set():
            return
        if self._thread is None:
            # A daemon: one that hangs must not keep the process from ending.
            self._thread = threading.Thread(target=self._run, name="event handler", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Take no more; what waits is still handed over. Waits for nothing."""
        if self._thread is None or self._closed.is_set():
            return
        self._closed.set()
        with contextlib.suppress(queue.Full):  # then it is awake, and sees it in the end
            self._queue.put_nowait(None)

    async def drained(self, timeout_s: float) -> None:
        """After `close`: wait until all that waits is handed over, for so many seconds at most."""
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, timeout_s)

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            while True:
                if self._closed.is_set() and self._queue.empty():
                    return
                event = self._queue.get()
                if event is not None:
                    self._hand_over(runner, event)

    def _hand_over(self, runner: asyncio.Runner, event: Any) -> None:
        try:
            given = self._handler(event)
            if inspect.isawaitable(given):
                runner.run(_awaited(given))
        except BaseException as error:
            self.failures += 1
            if type(error) not in self._told:
                self._told.add(type(error))
                _log.exception(
                    "the handler %s failed at %s; told once for each kind of failure",
                    _name_of(self._handler),
                    getattr(event, "EVENT", type(event).__name__),
                )


def _name_of(handler: object) -> str:
    """Where the handler was defined, for people."""
    of = handler if hasattr(handler, "__qualname__") else type(handler)
    return f"{of.__module__}:{of.__qualname__}"


async def _awaited(given: Awaitable[object]) -> None:
    await given
