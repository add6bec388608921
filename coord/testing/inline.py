"""Handlers of events in virtual time, where there are no threads."""

from __future__ import annotations

import asyncio
import inspect

from coord.telemetry import Event, Handler


class Inline:
    """Calls a handler at once, in the process of its node; a coroutine becomes a task of it."""

    dropped = 0
    failures = 0

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._tasks: set[asyncio.Future[object]] = set()

    def __call__(self, event: Event) -> None:
        """Have it called."""
        given = self._handler(event)
        if inspect.isawaitable(given):
            task = asyncio.ensure_future(given)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """There is nothing to close."""

    async def drained(self, timeout_s: float) -> None:
        """Nothing waits."""
