"""The transport on real sockets, with a server that does what it likes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from coord.consul import CheckStatus, ConsulAddress, ConsulClient, ConsulUnavailable
from coord.consul.types import HealthCheck, ServiceInstance

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[ConsulClient]:
    """A client of a server on a port of its own."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server, ConsulClient(ConsulAddress(f"http://{host}:{port}")) as client:
        yield client


async def test_a_cancelled_blocking_query_closes_its_connection() -> None:
    asked, closed = asyncio.Event(), asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        assert await reader.read() == b""
        closed.set()

    async with serving(handler) as consul, asyncio.timeout(30):
        task = asyncio.create_task(consul.kv_get("a", index=1, wait_s=600))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await closed.wait()


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"rubbish\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000,
    ],
)
async def test_a_broken_reply_is_unavailable(reply: bytes) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()

    async with serving(handler) as consul:
        with pytest.raises(ConsulUnavailable) as caught:
            await consul.kv_put("a", b"x")
        assert caught.value.outcome_unknown


async def test_a_reply_that_trickles_in_ends_at_the_deadline() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(handler) as consul, asyncio.timeout(30):
        with pytest.raises(ConsulUnavailable):
            await consul.kv_get("a", deadline_s=0.3)


async def test_no_cookie_is_kept() -> None:
    heads: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(
            b"HTTP/1.1 404 Not Found\r\nSet-Cookie: pinned=1; Path=/\r\n"
            b"Connection: close\r\nContent-Length: 0\r\n\r\n"
        )
        await writer.drain()

    async with serving(handler) as consul:
        for _ in range(2):
            assert (await consul.kv_get("a", deadline_s=30)).value is None
    assert len(heads) == 2
    assert not [head for head in heads if b"cookie" in head.lower()]


def test_importing_warns_of_nothing() -> None:
    code = "import coord.consul; coord.consul.ConsulClient(coord.consul.ConsulAddress())"
    # A cache of its own: the invalid escapes of python-consul2 warn only when first compiled.
    command = [sys.executable, "-W", "error", "-X", "pycache_prefix=/nonexistent", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_service_is_as_well_as_its_worst_check() -> None:
    def instance(*states: str) -> ServiceInstance:
        checks = tuple(HealthCheck("n", s, s, CheckStatus.parse(s)) for s in states)
        return ServiceInstance("n", "", "i", "s", "", 0, checks=checks)

    assert instance().status is CheckStatus.PASSING
    assert instance("passing", "warning").status is CheckStatus.WARNING
    assert instance("warning", "critical", "passing").status is CheckStatus.CRITICAL
    assert instance("passing", "maintenance").status is CheckStatus.CRITICAL
