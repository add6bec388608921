"""Each kind of check against real servers on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest
from pydantic import TypeAdapter

from coord.clock import SystemClock
from coord.polling.checks import CheckRunner
from coord.polling.records import Check, CheckError, CheckResult


class Serve(Protocol):
    """Starts a server that gives `answer`, and notes what it `heard`; gives its port."""

    async def __call__(self, answer: bytes | None, heard: list[bytes] | None = None) -> int: ...


CHECK: TypeAdapter[Check] = TypeAdapter(Check)


@pytest.fixture
async def runner() -> AsyncIterator[CheckRunner]:
    made = CheckRunner(SystemClock())
    yield made
    await made.aclose()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts servers that give a fixed answer to each connection; None: never any."""
    servers: list[asyncio.Server] = []
    over = asyncio.Event()

    async def start(answer: bytes | None, heard: list[bytes] | None = None) -> int:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                if answer is None:
                    await over.wait()
                else:
                    request = await reader.read(65_536)
                    if heard is not None:
                        heard.append(request)
                    writer.write(answer)
                    await writer.drain()
            except ConnectionError:
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    yield start
    over.set()
    for server in servers:
        server.close()
        await server.wait_closed()


def http(status: str, body: bytes = b"", extra: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body


def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


async def run(runner: CheckRunner, kind: str, target: str, **fields: Any) -> CheckResult:
    return await runner.run(
        CHECK.validate_python({"kind": kind, "target": target, "timeout": "5s", **fields})
    )


@pytest.mark.parametrize(
    ("answer", "fields", "ok", "status"),
    [
        ("200 OK", {}, True, 200),
        ("204 No Content", {}, True, 204),
        ("302 Found", {}, True, 302),
        ("404 Not Found", {}, False, 404),
        ("503 Busy", {}, False, 503),
        ("404 Not Found", {"status": [404]}, True, 404),
        ("200 OK", {"status": [204, 201]}, False, 200),
    ],
)
async def test_http_judges_by_the_status(
    runner: CheckRunner,
    serve: Serve,
    answer: str,
    fields: dict[str, Any],
    ok: bool,
    status: int,
) -> None:
    # The redirect leads to a closed port: followed, it would not be up.
    port = await serve(http(answer, b"hello", f"Location: http://127.0.0.1:{closed_port()}/\r\n"))
    result = await run(runner, "http", f"http://127.0.0.1:{port}/x", **fields)
    assert (result.ok, result.status) == (ok, status)
    assert result.error is (None if ok else CheckError.STATUS)
    assert result.latency_ms > 0


@pytest.mark.parametrize(
    "location", ["http://xn--a/", "http://[", "http://u:p@h:99999/", "", "//", "\xff"]
)
async def test_wherever_a_redirect_leads_it_is_an_answer(
    runner: CheckRunner, serve: Serve, location: str
) -> None:
    port = await serve(http("302 Found", extra=f"Location: {location}\r\n"))
    result = await run(runner, "http", f"http://127.0.0.1:{port}/")
    assert (result.ok, result.status) == (True, 302)


async def test_no_cookie_goes_from_one_check_to_another(runner: CheckRunner, serve: Serve) -> None:
    heard: list[bytes] = []
    port = await serve(http("200 OK", extra="Set-Cookie: a=b; Path=/\r\n"), heard)
    for _ in range(2):
        assert (await run(runner, "http", f"http://127.0.0.1:{port}/")).ok
    assert len(heard) == 2
    assert not [request for request in heard if b"cookie" in request.lower()]


async def test_http_does_not_read_a_body_without_end(runner: CheckRunner, serve: Serve) -> None:
    port = await serve(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nabc")
    assert (await run(runner, "http", f"http://127.0.0.1:{port}/")).ok


@pytest.mark.parametrize("kind", ["http", "tcp"])
async def test_nobody_listens(runner: CheckRunner, kind: str) -> None:
    where = f"127.0.0.1:{closed_port()}"
    result = await run(runner, kind, f"http://{where}/" if kind == "http" else where)
    assert (result.ok, result.error) == (False, CheckError.REFUSED)


@pytest.mark.parametrize("kind", ["http", "tcp"])
async def test_a_name_without_an_address(runner: CheckRunner, kind: str) -> None:
    where = "no-such-host.invalid:80"
    result = await run(runner, kind, f"http://{where}/" if kind == "http" else where)
    assert (result.ok, result.error) == (False, CheckError.DNS)


@pytest.mark.parametrize(
    "target",
    [
        "http://xn--n3h.invalid/",  # the registries know such names, the idna package does not
        "http://\u2603.invalid/",
    ],
)
async def test_a_name_that_cannot_be_encoded(runner: CheckRunner, target: str) -> None:
    result = await run(runner, "http", target)
    assert (result.ok, result.error) == (False, CheckError.DNS)


async def test_http_that_never_answers_is_cut_at_its_timeout(
    runner: CheckRunner, serve: Serve
) -> None:
    port = await serve(None)
    result = await run(runner, "http", f"http://127.0.0.1:{port}/", timeout="150ms")
    assert (result.ok, result.error) == (False, CheckError.TIMEOUT)
    assert result.latency_ms >= 140


async def test_the_request_s_time_is_shorter_than_the_check_s(
    runner: CheckRunner, serve: Serve
) -> None:
    port = await serve(None)
    check = CHECK.validate_python({"kind": "http", "target": f"http://127.0.0.1:{port}/"})
    (result,) = await runner.run_all([check], 0.1)
    assert result.error is CheckError.TIMEOUT


@pytest.mark.parametrize(
    ("answer", "error"),
    [(b"", CheckError.CLOSED), (b"SSH-2.0-x\r\n\r\n", CheckError.PROTOCOL)],
)
async def test_http_answered_with_something_else(
    runner: CheckRunner, serve: Serve, answer: bytes, error: CheckError
) -> None:
    port = await serve(answer)
    result = await run(runner, "http", f"http://127.0.0.1:{port}/")
    assert (result.ok, result.error) == (False, error)


async def test_https_on_a_plain_port(runner: CheckRunner, serve: Serve) -> None:
    port = await serve(http("400 Bad Request"))
    result = await run(runner, "http", f"https://127.0.0.1:{port}/")
    assert (result.ok, result.error) == (False, CheckError.TLS)


async def test_tcp_connects(runner: CheckRunner, serve: Serve) -> None:
    port = await serve(b"")
    result = await run(runner, "tcp", f"127.0.0.1:{port}")
    assert (result.ok, result.error, result.status) == (True, None, None)


async def test_tcp_that_nobody_takes_up_times_out(runner: CheckRunner) -> None:
    # A full backlog drops further SYNs: the connection neither comes about nor is refused.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(8)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            result = await run(runner, "tcp", f"127.0.0.1:{port}", timeout="200ms")
        finally:
            for filler in fillers:
                filler.close()
    assert (result.ok, result.error) == (False, CheckError.TIMEOUT)


async def test_checks_run_at_the_same_time_and_answer_in_their_order(
    runner: CheckRunner, serve: Serve
) -> None:
    silent, quick = await serve(None), await serve(http("200 OK"))
    checks = [
        CHECK.validate_python(
            {"kind": "http", "target": f"http://127.0.0.1:{port}/", "timeout": "1s"}
        )
        for port in (silent, quick, silent, silent)
    ]
    async with asyncio.timeout(3):  # one after the other they would take three seconds
        results = await runner.run_all(checks, 1.0)
    assert [r.ok for r in results] == [False, True, False, False]


async def test_a_cancelled_check_ends(runner: CheckRunner, serve: Serve) -> None:
    port = await serve(None)
    task = asyncio.create_task(run(runner, "http", f"http://127.0.0.1:{port}/", timeout="60s"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
