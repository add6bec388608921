"""Looking up names, so that a resolver which does not answer holds up nothing but those names.

A lookup cannot be ended: it has its thread for as long as the system's resolver takes. So lookups
have threads of their own, daemons, which nobody joins at the end of the process. There is one at a
time for a name, whoever asks, and `MAX_LOOKUPS` in all. What is an address already needs none.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

from coord.polling.check_failed import CheckFailed
from coord.polling.records import CheckError

MAX_LOOKUPS = 64
"""How many names are looked up at a time."""

ROOM_S = 1.0
"""How long a name waits for room among them, in seconds; a resolver that answers soon has some."""


class Lookups:
    """Looks up names; for one event loop.

    resolve: as `socket.getaddrinfo`; called on a thread.
    """

    def __init__(
        self, resolve: Callable[..., Iterable[Any]] = socket.getaddrinfo, *, room_s: float = ROOM_S
    ) -> None:
        self._resolve = resolve
        self._room_s = room_s
        self._room = asyncio.Semaphore(MAX_LOOKUPS)
        self._under_way: dict[str, asyncio.Future[list[str]]] = {}

    async def addresses(self, host: str) -> list[str]:
        """The addresses of a host, each once, as numbers; those of an address at once.

        Raises:
            CheckFailed: with DNS, if too many lookups are under way.
            UnicodeError, OSError: the name has no address.
        """
        # No address is no answer yet: then it is a name.
        with contextlib.suppress(socket.gaierror):
            return _found(_look_up(socket.getaddrinfo, host, socket.AI_NUMERICHOST))
        under_way = self._under_way.get(host)
        if under_way is None:
            await self._find_room()
            under_way = self._under_way.get(host)
            if under_way is None:
                under_way = self._begin(host)
            else:
                self._room.release()
        # Others may wait for it too.
        return await asyncio.shield(under_way)

    async def _find_room(self) -> None:
        try:
            async with asyncio.timeout(self._room_s):
                await self._room.acquire()
        except TimeoutError:
            busy = f"the resolver is busy: {MAX_LOOKUPS} names wait for its answer"
            raise CheckFailed(CheckError.DNS, busy) from None

    def _begin(self, host: str) -> asyncio.Future[list[str]]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[str]] = loop.create_future()

        def look_up() -> None:
            found: list[str] | Exception
            try:
                found = _found(_look_up(self._resolve, host))
            except Exception as error:
                found = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._end, host, future, found)

        try:
            threading.Thread(target=look_up, name="lookup", daemon=True).start()
        except RuntimeError as error:
            self._room.release()
            raise CheckFailed(CheckError.DNS, f"nothing can be looked up: {error}") from error
        self._under_way[host] = future
        return future

    def _end(
        self, host: str, future: asyncio.Future[list[str]], found: list[str] | Exception
    ) -> None:
        del self._under_way[host]
        self._room.release()
        if isinstance(found, Exception):
            future.set_exception(found)
            future.exception()  # asyncio need not complain if nobody waits any more
        else:
            future.set_result(found)


def _look_up(resolve: Callable[..., Iterable[Any]], host: str, flags: int = 0) -> Iterable[Any]:
    return resolve(host, None, type=socket.SOCK_STREAM, flags=flags)


def _found(infos: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(_numeric(*info[4]) for info in infos))


def _numeric(address: str | int, _port: int | bytes, _flow: int = 0, scope: int = 0) -> str:
    """A socket address's own part, with the interface where it means something on that alone."""
    return f"{address}%{scope}" if scope else str(address)
