"""The HTTP server under those who open connections and say nothing; the election goes on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from acceptance import hand_over_once
from consul_agents import ConsulAgent, eventually
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from coord.api.connections import SELDOM_S, ConnectionLimits, seldom_in_the_log
from coord.api.server import bind, raise_file_limit, serving
from coord.config.values import HostPort
from coord.consul import ConsulClient
from coord.records import Paths
from processes import Guard

FILES = 256
FLOOD = 400
FLOOD_S = 6.0
"""More than two leases of the default timing."""

LOG_BYTES = 64 * 1024
PATIENCE_S = 30.0


# --- a real node with few files -------------------------------------------------------------------


class Flood:
    """Connections that say nothing; those that are closed are made anew in each wave."""

    def __init__(self, port: int) -> None:
        self._where = ("127.0.0.1", port)
        self._socks: list[socket.socket] = []

    async def wave(self) -> None:
        """See that there are `FLOOD` of them again."""
        self._socks = [sock for sock in self._socks if self._stands(sock)]
        while len(self._socks) < FLOOD:
            made = await asyncio.gather(*(self._connect() for _ in range(10)))
            self._socks += [sock for sock in made if sock is not None]
            if None in made:
                return  # it takes no more for now: as good as a flood

    def close(self) -> None:
        """All of them go."""
        for sock in self._socks:
            sock.close()
        self._socks.clear()

    async def _connect(self) -> socket.socket | None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            async with asyncio.timeout(2.0):
                await asyncio.get_running_loop().sock_connect(sock, self._where)
        except OSError:  # TimeoutError is one
            sock.close()
            return None
        return sock

    @staticmethod
    def _stands(sock: socket.socket) -> bool:
        try:
            gone = sock.recv(1) == b""
        except BlockingIOError:
            return True
        except OSError:
            gone = True
        if gone:
            sock.close()
        return not gone


@pytest.fixture
def node_port(
    consul_agent: ConsulAgent, name: str, tmp_path: Path
) -> Iterator[Callable[[], tuple[subprocess.Popen[bytes], int]]]:
    """Starts a node that may open `FILES` files; gives it and its port. Its log: ``node.log``."""
    with socket.socket() as held, contextlib.ExitStack() as stack:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]

        def start() -> tuple[subprocess.Popen[bytes], int]:
            guard = Guard.mine()
            log = stack.enter_context((tmp_path / "node.log").open("ab"))
            kept = {k: v for k, v in os.environ.items() if not k.startswith(("CONSUL", "COORD"))}
            own = {
                "CONSUL_HTTP_ADDR": consul_agent.http_addr,
                "COORDINATOR_ELECTION": name,
                "COORDINATOR_LISTEN": f"127.0.0.1:{port}",
                "COORDINATOR_WORKLOADS": "none",
            }
            process = subprocess.Popen(
                [sys.executable, "-m", "coord", "node", "--node", "core-1"],
                env=kept | own,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES)),
            )
            guard.add(process.pid)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process, port

        yield start


async def _health(port: int) -> dict[str, Any]:
    """What `/api/health` says on a connection of its own; empty where it does not answer."""
    async with httpx.AsyncClient(trust_env=False, timeout=10.0) as client:
        try:
            body: dict[str, Any] = (await client.get(f"http://127.0.0.1:{port}/api/health")).json()
        except httpx.HTTPError:
            return {}
        return body


async def test_a_leader_leads_on_under_a_flood_of_idle_connections(
    consul: ConsulClient,
    name: str,
    tmp_path: Path,
    node_port: Callable[[], tuple[subprocess.Popen[bytes], int]],
) -> None:
    await hand_over_once(consul, Paths(name))
    process, port = node_port()
    before = await eventually(lambda: _health(port), until=lambda h: h.get("state") == "leading")

    flood = Flood(port)
    answers: list[dict[str, Any]] = []
    end = time.monotonic() + FLOOD_S
    try:
        while time.monotonic() < end:
            await flood.wave()
            answers.append(await _health(port))
    finally:
        flood.close()
    after = await eventually(lambda: _health(port), until=lambda h: h.get("status") == "ok")

    seen = [(each.get("state"), each.get("term")) for each in (*answers, after)]
    assert set(seen) == {("leading", before["term"])}, "it leads, and answers even meanwhile"
    log = (tmp_path / "node.log").read_bytes()
    assert len(log) < LOG_BYTES, log[-2000:]
    assert b"out of system resource" not in log
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, PATIENCE_S) == 0


# --- the limits, one by one -----------------------------------------------------------------------


class Served:
    """A server in this process; ``/slow`` answers when `go` is set."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def fast(self, request: Request) -> Response:
        return PlainTextResponse("fast")

    async def slow(self, request: Request) -> Response:
        self.asked.set()
        await self.go.wait()
        return PlainTextResponse("slow")

    async def open(self, said: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which that was said."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(said)
        return reader, writer


@contextlib.asynccontextmanager
async def served(limits: ConnectionLimits) -> AsyncIterator[Served]:
    with bind(HostPort("127.0.0.1", 0)) as sock:
        made = Served(sock.getsockname()[1])
        app = Starlette(
            routes=[Route("/fast", made.fast), Route("/slow", made.slow, methods=["GET", "POST"])]
        )
        async with serving(app, sock, limits=limits), asyncio.timeout(PATIENCE_S):
            yield made


async def _is_closed(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    return await reader.readexactly(4)


async def test_the_connection_that_waits_longest_makes_room() -> None:
    async with served(ConnectionLimits(most=3, head_s=600)) as server:
        idle = [await server.open() for _ in range(2)]
        busy = await server.open(_get("/slow"))
        await server.asked.wait()
        reader, writer = await server.open(_get("/fast"))
        assert await _answer(reader) == b"fast"
        await _is_closed(idle[0][0])
        writer.write(_get("/fast"))
        assert await _answer(reader) == b"fast", "it is kept for another request"
        await server.open(_get("/fast"))
        await _is_closed(idle[1][0])
        server.go.set()
        assert await _answer(busy[0]) == b"slow", "one at work is left alone"


async def test_where_all_are_at_work_the_new_one_goes() -> None:
    async with served(ConnectionLimits(most=1, head_s=600)) as server:
        busy = await server.open(_get("/slow"))
        await server.asked.wait()
        await _is_closed((await server.open())[0])
        server.go.set()
        assert await _answer(busy[0]) == b"slow"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET /fast HTTP/1.1\r\nHost: h",
        _get("/fast") + b"GET /fa",
        # Answered before its body has come; it never comes.
        b"POST /fast HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx",
    ],
)
async def test_who_sends_no_whole_head_is_cut_off(said: bytes) -> None:
    async with served(ConnectionLimits(most=9, head_s=0.3)) as server:
        reader, writer = await server.open(said)
        trickle = asyncio.create_task(_trickle(writer))
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        trickle.cancel()


async def _trickle(writer: asyncio.StreamWriter) -> None:
    """A byte now and then: uvicorn's own timer would start anew each time."""
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.05)


async def test_a_request_may_take_longer_than_its_head() -> None:
    async with served(ConnectionLimits(most=9, head_s=0.3)) as server:
        idle = await server.open()
        reader, _ = await server.open(_get("/slow"))
        await server.asked.wait()
        await _is_closed(idle[0])
        await _is_closed((await server.open())[0])  # made later: the time is over for sure
        server.go.set()
        assert await _answer(reader) == b"slow"


# --- files and the log ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "given"),
    [(100, 300, 200, 200), (100, 150, 200, 150), (250, 300, 200, 250)],
)
def test_the_limit_of_files_is_raised_as_far_as_allowed(
    soft: int, hard: int, wanted: int, given: int
) -> None:
    code = (
        "import json, resource; from coord.api.server import raise_file_limit; "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard})); "
        f"print(json.dumps([raise_file_limit({wanted}), "
        "*resource.getrlimit(resource.RLIMIT_NOFILE)]))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert json.loads(out) == [given, given, hard]


def test_a_limit_of_files_that_is_high_enough_stays() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert raise_file_limit(10) >= 10
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_complaints_that_others_cause_are_logged_seldom(caplog: pytest.LogCaptureFixture) -> None:
    time_now = 5.0
    complaints = {
        "asyncio": "socket.accept() out of system resource\nsocket: <socket>",
        "uvicorn.error": "Invalid HTTP request received.",
    }

    def complain(times: int) -> int:
        caplog.clear()
        for _ in range(times):
            for logger, text in complaints.items():
                logging.getLogger(logger).error(text)
        return len(caplog.records)

    with seldom_in_the_log(lambda: time_now):
        assert complain(100) == 2
        assert complain(100) == 0
        time_now += SELDOM_S
        assert complain(100) == 2
        logging.getLogger("asyncio").error("something else")
        logging.getLogger("asyncio").error("something else")
        assert [record.message for record in caplog.records].count("something else") == 2
    assert complain(3) == 6
