"""Blocking queries as an async iterator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from coord.consul.errors import ConsulError
from coord.consul.types import Reply

T = TypeVar("T")

BACKOFF_MIN_S = 0.1
BACKOFF_MAX_S = 2.0
SOON_S = 1.0
"""A blocking query that tells of nothing new sooner than this was not held back, in seconds."""


@dataclass(frozen=True, slots=True)
class WatchError:
    """The query failed; the watch goes on by itself. `attempt` counts failures in a row from 1."""

    error: ConsulError
    attempt: int


async def watch(
    query: Callable[[int | None], Awaitable[Reply[T]]],
    *,
    jitter: Callable[[], float],
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    now: Callable[[], float] | None = None,
    backoff_min_s: float = BACKOFF_MIN_S,
    backoff_max_s: float = BACKOFF_MAX_S,
) -> AsyncGenerator[Reply[T] | WatchError, None]:
    """Yield what `query` answers at once, then again whenever its index changes.

    query: called with None for an answer at once, else with the index to wait on.
    jitter: a number from 0 to 1 each time it is called, to spread retries.
    now: monotonic seconds, to tell how long an answer was held back; the event loop's by default.

    A failure is yielded as a `WatchError`, and after it the query starts over, so that the first
    answer once contact is back is always yielded. It also starts over when the index goes back:
    Consul was restored. A reply without an index cannot be waited on: polled, with a pause.
    Nor can one that somebody in between answers at once although nothing is new: after the first
    such answer in a row, each is followed by a pause, as a failure is.

    Close it (``contextlib.aclosing``) to end the query that it hangs in.
    """
    now = now or asyncio.get_running_loop().time
    index: int | None = None
    failures = idle = 0

    async def pause(times: int) -> None:
        pause_s = min(backoff_max_s, backoff_min_s * 2 ** min(times - 1, 30))
        await sleep(pause_s * (0.5 + jitter() / 2))

    while True:
        asked_at = now()
        try:
            reply = await query(index)
        except ConsulError as error:
            failures += 1
            index = None
            yield WatchError(error, failures)
            await pause(failures)
            continue
        failures = 0
        if reply.index == 0:
            index = None
            yield reply
            await sleep(backoff_max_s)
            continue
        if index is None:
            index = reply.index
            yield reply
            continue
        # The same index again, or one that went back: nothing that was waited for.
        nothing_new = reply.index <= index
        idle = idle + 1 if nothing_new and now() - asked_at < SOON_S else 0
        if reply.index != index:
            index = None if nothing_new else reply.index
            yield reply
        if idle > 1:
            await pause(idle - 1)
