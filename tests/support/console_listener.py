"""Listens to the console's source."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from console.snapshot import Snapshot

GENEROUS_S = 60.0


class Listener:
    """Keeps what is posted, and waits for what a test is about."""

    def __init__(self) -> None:
        self.posted: list[Snapshot] = []
        self._news = asyncio.Event()

    def post(self, snapshot: Snapshot) -> None:
        self.posted.append(snapshot)
        self._news.set()

    async def until(self, right: Callable[[Snapshot], object]) -> Snapshot:
        async with asyncio.timeout(GENEROUS_S):
            while not (self.posted and right(self.posted[-1])):
                self._news.clear()
                await self._news.wait()
        return self.posted[-1]
