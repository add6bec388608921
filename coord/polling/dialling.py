"""Connecting to a host, but never to an address in a forbidden network.

The name is looked up here, and the connection is made to one of the addresses found, by its
number: nothing is looked up again after it was judged. Whom it really reached is judged once more
before a byte is sent, as a system may take one address for another.

With several addresses it is as usual: one family, then the other; the next is tried when one has
failed, or has not answered for a moment; the first connection wins.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from itertools import chain, zip_longest
from typing import Any, Generic, Protocol, TypeVar

from coord.polling.check_failed import CheckFailed, failure_of
from coord.polling.lookups import Lookups
from coord.polling.networks import Networks
from coord.polling.records import CheckError

T = TypeVar("T")

STAGGER_S = 0.25
"""How long one address is waited for before the next is tried beside it, in seconds."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Way(Protocol, Generic[T]):
    """A way to make connections of some kind."""

    async def connect(self, address: str, port: int) -> T:
        """Connect to an address, which is no name."""
        ...

    def peer(self, connection: T) -> Any:
        """Whom it has reached: a socket address; None: not to be told."""
        ...

    async def close(self, connection: T) -> None:
        """Close it; raises nothing of its own."""
        ...


class Dialler:
    """Connects to all but what is forbidden. lookups: looks up the names."""

    def __init__(self, forbidden: Networks, lookups: Lookups | None = None) -> None:
        self._forbidden = forbidden
        self._lookups = lookups or Lookups()

    async def open(self, host: str, port: int) -> Streams:
        """A TCP connection; close the writer.

        Raises:
            CheckFailed: there is none; with FORBIDDEN, if the host has only forbidden addresses.
        """
        try:
            return await self.dial(host, port, _StreamWay())
        except (OSError, UnicodeError) as error:
            raise failure_of(error) from error

    async def dial(self, host: str, port: int, way: Way[T]) -> T:
        """A connection by that way.

        Raises:
            CheckFailed: with FORBIDDEN, if the host has only forbidden addresses; with DNS, if too
                many names are looked up already.
            UnicodeError, socket.gaierror: the name has no address.
            Exception: whatever the way raises, of the first address that was tried.
        """
        addresses = await self._lookups.addresses(host)
        allowed = [address for address in addresses if self._forbidden.holding(address) is None]
        if not allowed:
            raise self._refusal(host, addresses[0])
        connection = await first_to_connect(mixed(allowed), port, way)
        peer = way.peer(connection)
        if peer is not None and self._forbidden.holding(str(peer[0])) is not None:
            await way.close(connection)
            raise self._refusal(host, str(peer[0]))
        return connection

    def _refusal(self, host: str, address: str) -> CheckFailed:
        what = address if address == host else f"{host} is {address}, which"
        net = self._forbidden.holding(address)
        return CheckFailed(
            CheckError.FORBIDDEN, f"{what} lies in {net}: poller_forbidden_networks has it"
        )


def mixed(addresses: Iterable[str]) -> list[str]:
    """The families in turn, the one that came first before the other."""
    families: dict[bool, list[str]] = {}
    for address in addresses:
        families.setdefault(":" in address, []).append(address)
    turns = chain.from_iterable(zip_longest(*families.values()))
    return [address for address in turns if address is not None]


async def first_to_connect(addresses: Iterable[str], port: int, way: Way[T]) -> T:
    """The first connection that comes about; all others are ended.

    Raises:
        Exception: what the first of the addresses raised, if there is no way to any.
    """
    waiting = deque(addresses)
    tried: list[asyncio.Task[T]] = []
    try:
        while True:
            if waiting:
                tried.append(asyncio.create_task(way.connect(waiting.popleft(), port)))
            open_ones = [task for task in tried if not task.done()]
            if not open_ones:
                break
            await asyncio.wait(
                open_ones,
                timeout=STAGGER_S if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            won = next((task for task in tried if _has_won(task)), None)
            if won is not None:
                tried.remove(won)
                return won.result()
        return tried[0].result()  # raises: none has won
    finally:
        await _give_up(tried, way)


def _has_won(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


async def _give_up(tasks: Iterable[asyncio.Task[T]], way: Way[T]) -> None:
    """End what is under way, and close what has come about and is not wanted."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(result, BaseException):
            await way.close(result)


class _StreamWay:
    """Plain asyncio streams."""

    async def connect(self, address: str, port: int) -> Streams:
        return await asyncio.open_connection(address, port)

    def peer(self, connection: Streams) -> Any:
        return connection[1].get_extra_info("peername")

    async def close(self, connection: Streams) -> None:
        connection[1].transport.abort()
