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
from coord.polling.dialling import Dialler
from coord.polling.http_check import MAX_BODY_BYTES
from coord.polling.networks import Networks
from coord.polling.records import Check, CheckError, CheckResult


class Serve(Protocol):
    """Starts a server that gives `answer`, and notes what it `heard`; gives its port."""

    async def __call__(
        self, answer: bytes | None, heard: list[bytes] | None = None, host: str = "127.0.0.1"
    ) -> int: ...


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

    async def start(
        answer: bytes | None, heard: list[bytes] | None = None, host: str = "127.0.0.1"
    ) -> int:
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

        server = await asyncio.start_server(handle, host, 0)
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


async def test_a_body_is_searched_for_what_it_must_hold(runner: CheckRunner, serve: Serve) -> None:
    port = await serve(http("200 OK", "Grüße aus Köln".encode()))
    url = f"http://127.0.0.1:{port}/"
    assert (await run(runner, "http", url, contains="Köln")).ok
    result = await run(runner, "http", url, contains="Bonn")
    assert (result.ok, result.error, result.status) == (False, CheckError.CONTENT, 200)


async def test_the_status_is_judged_before_the_body(runner: CheckRunner, serve: Serve) -> None:
    port = await serve(http("500 Oops", b"fine"))
    result = await run(runner, "http", f"http://127.0.0.1:{port}/", contains="fine")
    assert result.error is CheckError.STATUS


@pytest.mark.parametrize(("before", "ok"), [(MAX_BODY_BYTES - 4, True), (MAX_BODY_BYTES, False)])
async def test_only_the_beginning_of_a_body_is_searched(
    runner: CheckRunner, serve: Serve, before: int, ok: bool
) -> None:
    # What is announced never comes: who reads on would wait for it.
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
    port = await serve(head + b" " * before + b"fine" + b" " * MAX_BODY_BYTES)
    result = await run(runner, "http", f"http://127.0.0.1:{port}/", contains="fine")
    assert (result.ok, result.error) == (ok, None if ok else CheckError.CONTENT)


async def test_a_text_that_comes_in_pieces_is_found(runner: CheckRunner, serve: Serve) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in b"all fine") + b"0\r\n\r\n"
    port = await serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    url = f"http://127.0.0.1:{port}/"
    assert (await run(runner, "http", url, contains="l fi")).ok
    assert (await run(runner, "http", url, contains="l  fi")).error is CheckError.CONTENT


async def test_a_body_that_breaks_off_is_closed(runner: CheckRunner, serve: Serve) -> None:
    port = await serve(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
    result = await run(runner, "http", f"http://127.0.0.1:{port}/", contains="fine")
    assert result.error is CheckError.CLOSED


async def test_redirects_are_followed_as_far_as_it_says(runner: CheckRunner, serve: Serve) -> None:
    end = await serve(http("200 OK", b"fine"))
    middle = await serve(http("307 On", extra=f"Location: http://127.0.0.1:{end}/b\r\n"))
    start = await serve(http("302 Found", extra=f"Location: //127.0.0.1:{middle}/a\r\n"))
    url = f"http://127.0.0.1:{start}/"
    result = await run(runner, "http", url, redirects=2, contains="fine", status=[200])
    assert (result.ok, result.status) == (True, 200)
    result = await run(runner, "http", url, redirects=1)
    assert (result.ok, result.error, result.status) == (False, CheckError.REDIRECT, 307)
    result = await run(runner, "http", url, redirects=0)
    assert (result.error, result.status) == (CheckError.REDIRECT, 302)


async def test_a_circle_of_redirects_ends(runner: CheckRunner, serve: Serve) -> None:
    heard: list[bytes] = []
    port = await serve(http("301 Moved", extra="Location: /again\r\n"), heard)
    result = await run(runner, "http", f"http://127.0.0.1:{port}/", redirects=10)
    assert (result.error, len(heard)) == (CheckError.REDIRECT, 11)


@pytest.mark.parametrize(
    ("method", "status", "then"),
    [
        ("POST", "302 Found", b"GET"),
        ("POST", "303 See", b"GET"),
        ("POST", "307 On", b"POST"),
        ("HEAD", "303 See", b"HEAD"),
        ("OPTIONS", "301 Moved", b"OPTIONS"),
    ],
)
async def test_how_a_redirect_is_asked_for(
    runner: CheckRunner, serve: Serve, method: str, status: str, then: bytes
) -> None:
    heard: list[bytes] = []
    end = await serve(http("200 OK"), heard)
    # Credentials in a redirect are not used.
    where = f"Location: http://user:secret@127.0.0.1:{end}/x\r\n"
    start = await serve(http(status, extra=where))
    result = await run(runner, "http", f"http://127.0.0.1:{start}/", method=method, redirects=1)
    assert result.ok
    assert heard[0].startswith(then + b" /x HTTP/1.1")
    assert b"authorization" not in heard[0].lower()


@pytest.mark.parametrize(
    "location", ["http://h:port/", "ftp://127.0.0.1/", "http://", "//", "mailto:x"]
)
async def test_a_redirect_that_leads_nowhere(
    runner: CheckRunner, serve: Serve, location: str
) -> None:
    port = await serve(http("302 Found", extra=f"Location: {location}\r\n"))
    result = await run(runner, "http", f"http://127.0.0.1:{port}/", redirects=3)
    assert (result.ok, result.error) == (False, CheckError.REDIRECT)


async def test_a_redirect_without_end_is_not_read(runner: CheckRunner, serve: Serve) -> None:
    end = await serve(http("200 OK"))
    start = await serve(
        b"HTTP/1.1 302 Found\r\nContent-Length: 99999999999\r\n"
        b"Location: http://127.0.0.1:%d/\r\n\r\nabc" % end
    )
    assert (await run(runner, "http", f"http://127.0.0.1:{start}/", redirects=1)).ok


@pytest.mark.parametrize("kind", ["http", "tcp"])
async def test_a_forbidden_target_is_not_connected_to(serve: Serve, kind: str) -> None:
    heard: list[bytes] = []
    port = await serve(http("200 OK"), heard)
    guarded = CheckRunner(SystemClock(), dialler=Dialler(Networks.of(["127.0.0.0/8"])))
    where = f"localhost:{port}"
    result = await run(guarded, kind, f"http://{where}/" if kind == "http" else where)
    assert (result.ok, result.error) == (False, CheckError.FORBIDDEN)
    assert "127.0.0.0/8" in result.detail
    assert heard == []
    await guarded.aclose()


async def test_a_redirect_to_a_forbidden_address_is_not_followed(serve: Serve) -> None:
    heard: list[bytes] = []
    secret = await serve(http("200 OK"), heard, "127.0.0.2")
    public = await serve(http("302 Found", extra=f"Location: http://127.0.0.2:{secret}/\r\n"))
    url = f"http://127.0.0.1:{public}/"
    for forbidden, ok in (["127.0.0.2/32"], False), ([], True):
        guarded = CheckRunner(SystemClock(), dialler=Dialler(Networks.of(forbidden)))
        result = await run(guarded, "http", url, redirects=1)
        assert (result.ok, result.error) == (ok, None if ok else CheckError.FORBIDDEN)
        assert len(heard) == ok
        await guarded.aclose()


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
