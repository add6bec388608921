"""The node's HTTP server: uvicorn on a socket that is bound before anything else starts.

Whoever can reach it can open connections, and a process has only so many files: the server keeps
to a part of them, so that the election never lacks one. See `connections` for how.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp

from coord.api.connections import Connection, ConnectionBook, ConnectionLimits, seldom_in_the_log
from coord.config.values import HostPort

BACKLOG = 16
"""How many connections wait to be accepted, and how many asyncio accepts in one go, before those
beyond the limit are closed. It also tries and complains as often when it has no file left."""

STOP_S = 2

FILES_WANTED = 8192
"""Open files that a node asks for: far more than it needs."""

CONNECTIONS_MOST = 512
FILES_PER_CONNECTION = 2
"""Of every two files one is left to the election and its work."""


class _Server(uvicorn.Server):
    """Leaves the signals to the application."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def raise_file_limit(wanted: int = FILES_WANTED) -> int:
    """Raise this process's soft limit of open files to `wanted`, or as far as allowed.

    Returns:
        The limit that holds now; never less than before.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted if soft == resource.RLIM_INFINITY else soft
    more = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if more > soft:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            return more
    return soft


def bind(where: HostPort) -> socket.socket:
    """A listening socket.

    Raises:
        OSError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((where.host, where.port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp, sock: socket.socket, *, limits: ConnectionLimits | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    """Serve `app` while the body runs; the task ends early only if the server fails.

    limits: by default what the limit of open files allows, which is raised first.
    """
    if limits is None:
        most = raise_file_limit() // FILES_PER_CONNECTION
        limits = ConnectionLimits(most=min(most, CONNECTIONS_MOST))

    its_book = ConnectionBook(limits)

    class LimitedConnection(Connection):
        # Uvicorn makes them, and knows no arguments of ours.
        book = its_book

    config = uvicorn.Config(
        app,
        http=LimitedConnection,
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=STOP_S,
        ws="none",
    )
    server = _Server(config)
    with seldom_in_the_log():
        task = asyncio.create_task(server.serve(sockets=[sock]), name="http server")
        try:
            yield task
        finally:
            server.should_exit = True
            await asyncio.gather(task, return_exceptions=True)
