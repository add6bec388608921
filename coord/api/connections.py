"""How many connections the HTTP server keeps, for how long, and how often it complains.

A connection waits while no request is under way on it. Waiting ones are closed after a while, and
sooner when a new connection would be one too many: the one that has waited longest makes room.
So a flood of connections that say nothing does not keep out who has something to ask.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S: Final = 10.0
"""How long a connection may wait, in seconds."""

SELDOM_S: Final = 60.0
"""How long a complaint that anybody outside can cause is not repeated, in seconds."""

_CAUSED_OUTSIDE: Final = (
    "socket.accept() out of system resource",
    "Invalid HTTP request received.",
    "Unsupported upgrade request.",
    "No supported WebSocket library detected.",
)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What a server puts up with.

    most: connections at a time.
    head_s: how long one may take to send the whole head of a request, and to take the answer
        before, from when it was made or that answer was written, in seconds.
    """

    most: int
    head_s: float = HEAD_S


class ConnectionBook:
    """The connections of one server: which there are, which of them wait, longest first."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._open: set[Connection] = set()
        self._waiting: dict[Connection, asyncio.TimerHandle] = {}

    def opened(self, connection: Connection) -> None:
        """Take it in; too many, and the one that has waited longest is closed."""
        self._open.add(connection)
        self.waits(connection)
        if len(self._open) > self._limits.most:
            # The new one waits too: it goes if all the others are at work.
            self._close(next(iter(self._waiting)))

    def waits(self, connection: Connection) -> None:
        """No request is under way on it, from now on."""
        if connection not in self._open:
            return
        self.works(connection)
        loop = asyncio.get_running_loop()
        self._waiting[connection] = loop.call_later(self._limits.head_s, self._close, connection)

    def works(self, connection: Connection) -> None:
        """A request is under way on it."""
        timer = self._waiting.pop(connection, None)
        if timer is not None:
            timer.cancel()

    def closed(self, connection: Connection) -> None:
        """Forget it."""
        self.works(connection)
        self._open.discard(connection)

    def _close(self, connection: Connection) -> None:
        self.closed(connection)
        # Not gracefully: who does not read would keep it open.
        connection.transport.abort()


class Connection(H11Protocol):
    """Uvicorn's connection, kept in a book. A subclass names the `book`."""

    book: ClassVar[ConnectionBook]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Part of asyncio's protocol."""
        super().connection_made(transport)
        self.book.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of asyncio's protocol."""
        self.book.closed(self)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Uvicorn calls it when bytes have come, and after an answer."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self.book.works(self)

    def on_response_complete(self) -> None:
        """Uvicorn calls it when the last byte of an answer was handed to the transport."""
        # One that closes is no exception: it would never, if its answer is not taken.
        self.book.waits(self)
        super().on_response_complete()


class _Seldom(logging.Filter):
    """Lets each complaint that others cause pass once in a while."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self._now = now
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        text = str(record.msg)
        what = next((known for known in _CAUSED_OUTSIDE if text.startswith(known)), None)
        if what is None:
            return True
        now = self._now()
        if now - self._said.get(what, -SELDOM_S) < SELDOM_S:
            return False
        self._said[what] = now
        return True


@contextlib.contextmanager
def seldom_in_the_log(now: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Keep whoever floods the server from flooding the log, too. Meanwhile a complaint of asyncio's
    or uvicorn's that others can cause is told once in `SELDOM_S`."""
    seldom = _Seldom(now)
    loggers = [logging.getLogger(name) for name in ("asyncio", "uvicorn.error")]
    for logger in loggers:
        logger.addFilter(seldom)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(seldom)
