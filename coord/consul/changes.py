"""Waiting for several things in Consul at once: whichever changes first ends the wait."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self

from coord.consul import ConsulApi, KVEntry, Reply, WatchError, watch

Query = Callable[[int | None], Awaitable[Reply[Any]]]
"""Answers at once when given None, else when the index passes the one given."""

WAIT_S = 60.0
"""How long one blocking query may hang before it is asked anew, in seconds."""

IDLE_S = 1.0
"""How long a query that was woken for nothing rests before it is asked anew, in seconds."""


def key_query(consul: ConsulApi, key: str) -> Query:
    """Changes of one key."""

    def query(index: int | None) -> Awaitable[Reply[Any]]:
        return consul.kv_get(key, index=index, wait_s=None if index is None else WAIT_S)

    return query


def service_query(consul: ConsulApi, name: str) -> Query:
    """Changes of the instances of a service, of their checks and of what their checks say."""

    def query(index: int | None) -> Awaitable[Reply[Any]]:
        return consul.health_service(name, index=index, wait_s=None if index is None else WAIT_S)

    return query


def prefix_query(consul: ConsulApi, prefix: str) -> PrefixQuery:
    """Changes of the keys below a prefix, and of nothing else."""
    return PrefixQuery(consul, prefix)


class PrefixQuery:
    """Answers with everything below a prefix: at once, or when something below it has changed.

    A query on a prefix without any key is woken by every write of the whole store. Such an answer,
    which tells of nothing new, is kept back, and Consul is asked again after `IDLE_S` at the
    earliest; after one that does, at once, so that nothing can come and go unseen meanwhile.
    """

    def __init__(self, consul: ConsulApi, prefix: str) -> None:
        self._consul = consul
        self._prefix = prefix
        self._last: tuple[tuple[str, int], ...] | None = None

    async def __call__(self, index: int | None) -> Reply[tuple[KVEntry, ...]]:
        """See `Query`."""
        while True:
            wait_s = None if index is None else WAIT_S
            reply = await self._consul.kv_list(self._prefix, index=index, wait_s=wait_s)
            said = tuple((entry.key, entry.modify_index) for entry in reply.value)
            if index is None or reply.index <= index or said != self._last:
                self._last = said
                return reply
            index = reply.index
            await asyncio.sleep(IDLE_S)


class Changes:
    """Watches several queries while it is entered.

    The first answer of each query counts as a change, and so does each failure: an error of
    Consul never leaves `wait`, whoever reads next meets it.
    """

    def __init__(self, queries: Sequence[Query]) -> None:
        self._queries = tuple(queries)
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._tasks = tuple(asyncio.create_task(self._follow(query)) for query in self._queries)
        for task in self._tasks:
            task.add_done_callback(self._wake)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def wait(self, timeout_s: float) -> bool:
        """Wait for a change since the last `wait` ended, at most `timeout_s`; whether one came.

        Raises what a query raised that is no error of Consul.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        for task in self._tasks:
            if task.done():
                task.result()
        return True

    async def settle(self, quiet_s: float) -> None:
        """Wait `quiet_s` and take what changes meanwhile as one change with what came before."""
        await asyncio.sleep(quiet_s)
        self._changed.clear()

    async def _follow(self, query: Query) -> None:
        # Jitter only spreads retries: no need of a seed, and nothing depends on it.
        async with aclosing(watch(query, jitter=random.random)) as replies:
            lasting: type[Exception] | None = None
            async for reply in replies:
                if isinstance(reply, WatchError):
                    if type(reply.error) is lasting:
                        continue
                    lasting = type(reply.error)
                else:
                    lasting = None
                self._changed.set()

    def _wake(self, task: asyncio.Task[None]) -> None:
        self._changed.set()
