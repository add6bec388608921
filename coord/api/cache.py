"""Reads Consul once for all who ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, Generic, TypeVar

from coord.clock import Clock
from coord.status import ClusterStatus

CACHE_S: Final = 1.0
"""How long one reading serves, good or failed, in seconds."""

T = TypeVar("T")


class ReadCache(Generic[T]):
    """Calls `read` at most once in `CACHE_S`, however many ask; an error is kept as long."""

    def __init__(self, read: Callable[[], Awaitable[T]], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._task: asyncio.Task[T] | None = None
        self._began = 0.0

    async def read(self, wait_s: float) -> tuple[T, int]:
        """What was read, and how long ago that began, in milliseconds.

        Raises:
            ConsulError: it could not be read.
            TimeoutError: not read within `wait_s`; the reading goes on for whoever asks next.
        """
        task = self._current()
        # Shielded: who asked and went away does not end the reading that others wait for.
        async with asyncio.timeout(wait_s):
            found = await asyncio.shield(task)
        return found, max(0, round((self._clock.now() - self._began) * 1000))

    async def aclose(self) -> None:
        """End a reading that is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _current(self) -> asyncio.Task[T]:
        now = self._clock.now()
        task = self._task
        if task is None or (task.done() and now - self._began >= CACHE_S):
            self._began = now
            task = self._task = asyncio.ensure_future(self._read_once())
            task.add_done_callback(_seen)
        return task

    async def _read_once(self) -> T:
        return await self._read()


class ClusterCache(ReadCache[ClusterStatus]):
    """The cluster, which says itself how old it is."""

    async def get(self, wait_s: float) -> ClusterStatus:
        """The snapshot, with its age; raises as `read`."""
        status, age_ms = await self.read(wait_s)
        return replace(status, age_ms=age_ms)


def _seen(task: asyncio.Task[T]) -> None:
    """Whoever waited may be gone: a failure nobody took is no news for the loop's log."""
    if not task.cancelled():
        task.exception()
