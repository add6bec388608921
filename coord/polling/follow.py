"""Following something in Consul; what was known last stays in force while it does not answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

from coord.consul import Reply, WatchError, watch
from coord.telemetry.lasting_fault import LastingFault

T = TypeVar("T")

WATCH_WAIT_S = 60.0
"""How long one blocking query may hang before it is asked anew, in seconds."""

_PAUSE_S = 0.1  # a prefix without keys wakes on every write nearby


async def follow(
    query: Callable[[int | None], Awaitable[Reply[T]]],
    take: Callable[[T], Awaitable[None]],
    faults: LastingFault,
    fault: str,
) -> None:
    """Hand every answer that is new to `take`, until cancelled; failures go to `faults`."""
    # Jitter only spreads retries: no need of a seed, and nothing depends on it.
    async with aclosing(watch(query, jitter=random.random)) as replies:
        async for reply in replies:
            if isinstance(reply, WatchError):
                faults.happened(fault, str(reply.error))
                continue
            faults.over(fault)
            await take(reply.value)
            await asyncio.sleep(_PAUSE_S)
