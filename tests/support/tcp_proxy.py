"""A small TCP proxy between a node and its agent, to hurt what lies between the two.

It moves bytes and knows nothing of HTTP. What it does with them can be changed at any time, also
at the very request that a test is about:

    async with TcpProxy("127.0.0.1", agent.ports.http) as proxy:
        ...                          # a node is started with CONSUL_HTTP_ADDR=proxy.address
        trap = proxy.hold(b'"unlock"')   # the next release stays on the way
        await trap.caught()
        ...
        trap.let_go()                    # and arrives now
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass
from enum import Enum, auto
from types import TracebackType
from typing import Self

_CHUNK = 64 * 1024


class Mode(Enum):
    """What becomes of the bytes."""

    PASS = auto()
    BLACKHOLE = auto()
    """Nothing goes either way and nothing is refused. What waits is delivered when that ends, as
    TCP would deliver it."""
    UP = auto()
    """Requests reach the agent; answers wait."""
    REFUSE = auto()
    """Connections are refused, those that there were are reset."""


class Trap:
    """Waits for the first bytes on the way up that hold all of its marks.

    `then` is the mode from then on, those bytes having been passed on; None: it holds them back,
    them alone, until `let_go`.
    """

    def __init__(self, marks: tuple[bytes, ...], then: Mode | None) -> None:
        self._marks = marks
        self.then = then
        self._caught = asyncio.Event()
        self._gone = asyncio.Event()
        self._sent = asyncio.Event()

    def wants(self, data: bytes) -> bool:
        """Whether these are the bytes it waits for."""
        return not self._caught.is_set() and all(mark in data for mark in self._marks)

    def spring(self) -> None:
        """It has caught what it waited for."""
        self._caught.set()

    async def caught(self, within_s: float = 30.0) -> None:
        """Wait until it has caught something."""
        async with asyncio.timeout(within_s):
            await self._caught.wait()

    def let_go(self) -> None:
        """Let the bytes that are held go on."""
        self._gone.set()

    async def released(self) -> None:
        """Wait until `let_go`."""
        await self._gone.wait()

    def arrived(self) -> None:
        """What was held has been written to the agent."""
        self._sent.set()

    async def delivered(self, within_s: float = 10.0) -> None:
        """Wait until what was held is written to the agent."""
        async with asyncio.timeout(within_s):
            await self._sent.wait()


@dataclass(eq=False)
class _Connection:
    client: asyncio.StreamWriter
    agent: asyncio.StreamWriter | None = None

    def close(self) -> None:
        """End it; what was written still arrives."""
        self.client.close()
        if self.agent is not None:
            self.agent.close()

    def reset(self) -> None:
        """Drop it, with a reset rather than an end."""
        for writer in (self.client, self.agent):
            if writer is None:
                continue
            sock = writer.get_extra_info("socket")
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class TcpProxy:
    """Listens on a free port of `listen_host` and passes everything to `host`:`port`.

    Args:
        listen_port: 0 for a free one.
        delay_s: how long each piece takes on its way, either way. May be changed at any time.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        listen_host: str = "127.0.0.1",
        listen_port: int = 0,
        delay_s: float = 0.0,
    ) -> None:
        self.host = host
        self.port = port
        self.delay_s = delay_s
        self.listen_host = listen_host
        self.listen_port = listen_port
        self._mode = Mode.PASS
        self._cut_off: frozenset[str] = frozenset()
        self._changed = asyncio.Event()
        self._traps: list[Trap] = []
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], _Connection] = {}

    @property
    def address(self) -> str:
        """``host:port`` to give to the node as CONSUL_HTTP_ADDR."""
        return f"{self.listen_host}:{self.listen_port}"

    @property
    def mode(self) -> Mode:
        """What it does at the moment."""
        return self._mode

    async def set(self, mode: Mode) -> None:
        """Do this from now on, with the connections that there are as well."""
        self._switch(mode)
        if mode is Mode.REFUSE:
            await self._stop_listening()
            for connection in list(self._connections.values()):
                connection.reset()
        elif self._server is None:
            await self._listen()

    def cut_off(self, *hosts: str) -> None:
        """Reset and refuse the connections that come from these addresses; none: from nobody."""
        self._cut_off = frozenset(hosts)
        for connection in list(self._connections.values()):
            if _peer(connection.client) in self._cut_off:
                connection.reset()

    def hold(self, *marks: bytes) -> Trap:
        """Hold back the next bytes on the way up that have all these marks in them."""
        return self._set_trap(Trap(marks, None))

    def at(self, *marks: bytes, then: Mode) -> Trap:
        """Change the mode as soon as bytes with all these marks have gone up, before any answer
        to them. Not to REFUSE."""
        return self._set_trap(Trap(marks, then))

    # -- the rest is how -------------------------------------------------------------------

    def _set_trap(self, trap: Trap) -> Trap:
        self._traps.append(trap)
        return trap

    def _switch(self, mode: Mode) -> None:
        self._mode = mode
        self._changed.set()
        self._changed = asyncio.Event()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._accept, self.listen_host, self.listen_port, backlog=256
        )
        self.listen_port = self._server.sockets[0].getsockname()[1]

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(writer)
        task = asyncio.create_task(self._serve(connection, reader))
        self._connections[task] = connection
        task.add_done_callback(lambda done: self._connections.pop(done, None))

    async def _serve(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        try:
            if _peer(connection.client) not in self._cut_off:
                await self._join(connection, reader)
        except OSError:
            connection.reset()  # the agent refuses, so we do
        except ExceptionGroup:
            connection.reset()  # one side went away: reset or torn down in the middle
        finally:
            connection.close()

    async def _join(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        up_reader, connection.agent = await asyncio.open_connection(self.host, self.port)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pump(reader, connection.agent, up=True))
            tasks.create_task(self._pump(up_reader, connection.client, up=False))

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool
    ) -> None:
        while data := await reader.read(_CHUNK):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            trap = next((t for t in self._traps if up and t.wants(data)), None)
            await self._may_pass(up)
            if trap is not None:
                self._traps.remove(trap)
                trap.spring()
                if trap.then is None:
                    await trap.released()
                else:
                    self._switch(trap.then)  # for what comes after these bytes
            writer.write(data)
            await writer.drain()
            if trap is not None:
                trap.arrived()
        await self._may_pass(up)
        if writer.can_write_eof():
            writer.write_eof()

    async def _may_pass(self, up: bool) -> None:
        while self._mode is Mode.BLACKHOLE or (self._mode is Mode.UP and not up):
            await self._changed.wait()

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop_listening()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _peer(writer: asyncio.StreamWriter) -> str:
    name = writer.get_extra_info("peername")
    return str(name[0]) if name else ""
