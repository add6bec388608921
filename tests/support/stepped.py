"""Virtual time that passes only while somebody is being waited for, one thing at a time.

So a simulated Consul stands still between two calls, whatever loop the test runs on.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Entry:
    __slots__ = ("call", "over")

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.over = False

    def cancel(self) -> None:
        self.over = True


class SteppedScheduler:
    """A `Scheduler` whose owner lets time pass."""

    def __init__(self) -> None:
        self._now = 0.0
        self._entries: list[tuple[float, int, _Entry]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        return self._now

    def at(self, when: float, call: Callable[[], None]) -> _Entry:
        entry = _Entry(call)
        heapq.heappush(self._entries, (when, next(self._numbers), entry))
        return entry

    def step(self) -> None:
        """Let the next thing happen."""
        while True:
            when, _, entry = heapq.heappop(self._entries)
            if not entry.over:
                self._now = max(self._now, when)
                entry.call()
                return

    async def pass_time(self, seconds: float) -> None:
        """Let everything happen that is due within so many seconds, and what it wakes."""
        end = self._now + seconds
        while True:
            for _ in range(3):
                await asyncio.sleep(0)
            while self._entries and self._entries[0][2].over:
                heapq.heappop(self._entries)
            if not self._entries or self._entries[0][0] > end:
                break
            self.step()
        self._now = end

    async def until_done(self, call: Coroutine[Any, Any, T]) -> T:
        """What `call` returns, letting time pass for as long as it takes."""
        task = asyncio.ensure_future(call)
        while True:
            # The task, and what its own steps have woken, go first.
            for _ in range(3):
                await asyncio.sleep(0)
            if task.done():
                return task.result()
            self.step()
