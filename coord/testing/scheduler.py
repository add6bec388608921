"""What makes things happen at their moment: virtual time in a simulation, or an event loop's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol


class Scheduled(Protocol):
    """Something that will happen."""

    def cancel(self) -> None:
        """Let it not happen; fine if it has."""
        ...


class Scheduler(Protocol):
    """True time, in seconds, and what is to happen when. No clock here is ever off."""

    def now(self) -> float:
        """True time in seconds, from an arbitrary start."""
        ...

    def at(self, when: float, call: Callable[[], None]) -> Scheduled:
        """Call `call` at `when`; what is due at the same moment is called in the order asked."""
        ...


class LoopScheduler:
    """The time of an event loop, real or virtual."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        """The loop's time in seconds."""
        return self._loop.time()

    def at(self, when: float, call: Callable[[], None]) -> Scheduled:
        """Call `call` on the loop at `when`."""
        return self._loop.call_at(when, call)
