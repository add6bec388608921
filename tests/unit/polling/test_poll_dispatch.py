"""What the leader makes of a poller's answers, good and hostile ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from pydantic import SecretStr

from coord.consul import KVEntry
from coord.polling.counting import counted
from coord.polling.dispatch import MAX_REPLY_BYTES, PollFailed, PollSender
from coord.polling.pollers import PollerTarget
from coord.polling.records import MAX_COUNT, JobRecord, JobState, PollError, PollRequest
from coord.polling.store import load_results

Answering = Callable[[bytes | None], Awaitable[PollerTarget]]

REQUEST = PollRequest.model_validate(
    {
        "term": 4,
        "election": "e",
        "job": "web.1",
        "attempt": 2,
        "timeout_ms": 1000,
        "checks": [{"kind": "tcp", "target": "h:1"}],
    }
)
RESULT = {"kind": "tcp", "target": "h:1", "ok": True, "latency_ms": 1}
GOOD = {
    "job": "web.1",
    "attempt": 2,
    "term": 4,
    "poller": "p",
    "took_ms": 1.5,
    "results": [RESULT],
}


def http(status: int, body: object, headers: str = "") -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status} X\r\nContent-Length: {len(raw)}\r\nConnection: close\r\n{headers}\r\n"
    )
    return head.encode() + raw


class Heard:
    """What the fake end of the line heard."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def answering(heard: Heard) -> AsyncIterator[Answering]:
    servers: list[asyncio.Server] = []
    over = asyncio.Event()

    async def start(answer: bytes | None) -> PollerTarget:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.requests.append(await reader.readuntil(b"\r\n\r\n"))
            if answer is None:
                await over.wait()
            else:
                writer.write(answer)
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        return PollerTarget("p", "p", f"http://127.0.0.1:{port}", 1)

    yield start
    over.set()
    for server in servers:
        server.close()
        await server.wait_closed()


@pytest.fixture
async def sender() -> AsyncIterator[PollSender]:
    made = PollSender(SecretStr("sesame"), max_connections=4)
    yield made
    await made.aclose()


async def test_a_good_answer_is_taken_and_the_token_was_sent(
    sender: PollSender, answering: Answering, heard: Heard
) -> None:
    reply = await sender.send(await answering(http(200, GOOD)), REQUEST)
    assert (reply.job, reply.results[0].ok) == ("web.1", True)
    assert b"authorization: bearer sesame" in heard.requests[0].lower()


async def test_no_cookie_of_a_poller_is_kept(
    sender: PollSender, answering: Answering, heard: Heard
) -> None:
    target = await answering(http(200, GOOD, "Set-Cookie: a=b; Path=/\r\n"))
    for _ in range(2):
        await sender.send(target, REQUEST)
    assert len(heard.requests) == 2
    assert not [request for request in heard.requests if b"cookie" in request.lower()]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (http(401, {}), PollError.NOT_PERMITTED),
        (http(409, {"code": "older_term"}), PollError.OLDER_TERM),
        (http(429, {}), PollError.BUSY),
        (http(503, {}), PollError.BUSY),
        (http(500, b"\xff\x00"), PollError.REFUSED),
        (http(302, b"", "Location: http://127.0.0.1:9/\r\n"), PollError.REFUSED),
        (http(200, b"{"), PollError.BAD_REPLY),
        (http(200, []), PollError.BAD_REPLY),
        (http(200, {**GOOD, "job": "web.2"}), PollError.BAD_REPLY),
        (http(200, {**GOOD, "attempt": 1}), PollError.BAD_REPLY),
        (http(200, {**GOOD, "results": []}), PollError.BAD_REPLY),
        (http(200, {**GOOD, "results": [RESULT, RESULT]}), PollError.BAD_REPLY),
        (http(200, {**GOOD, "results": [{**RESULT, "target": "h:2"}]}), PollError.BAD_REPLY),
        (http(200, {**GOOD, "results": [{**RESULT, "kind": "http"}]}), PollError.BAD_REPLY),
        (http(200, {**GOOD, "took_ms": "NaN"}), PollError.BAD_REPLY),
        (http(200, b" " * (MAX_REPLY_BYTES + 1)), PollError.BAD_REPLY),
        (b"", PollError.UNREACHABLE),
        (b"garbage\r\n\r\n", PollError.UNREACHABLE),
        (http(200, GOOD)[:-5], PollError.UNREACHABLE),
    ],
)
async def test_any_other_answer_is_a_typed_failure(
    sender: PollSender, answering: Answering, answer: bytes, error: PollError
) -> None:
    target = await answering(answer)
    with pytest.raises(PollFailed) as caught:
        await sender.send(target, REQUEST)
    assert caught.value.error is error
    assert caught.value.try_again is (error is not PollError.OLDER_TERM)


async def test_whatever_a_poller_says_can_be_kept_and_read_back(
    sender: PollSender, answering: Answering
) -> None:
    number = 20
    checks = [{"kind": "own", "target": '"' * 300}] * number
    asked = PollRequest.model_validate({**REQUEST.model_dump(), "checks": checks})
    said = {
        "kind": "own",
        "target": '"' * 200,
        "ok": False,
        "latency_ms": 1.1111111111111112e-300,
        "error": "e" * 32,
        "status": 10**4000,
        "detail": "\x00" * 200,
    }
    answer = http(200, {**GOOD, "results": [said] * number})
    reply = await sender.send(await answering(answer), asked)
    job = JobRecord(
        id="web.1", schedule="web", state=JobState.COMPLETED, attempt=2, term=4, due_ms=1, missed=5
    )
    last = counted(job, None, None, wall_ms=2, due_ms=1).model_copy(
        update={name: MAX_COUNT for name in ("runs", "missed", "retried", "failed")}
    )
    result = counted(job, reply, last, wall_ms=3, due_ms=1)
    entry = KVEntry("p/web", result.encode())
    assert load_results([entry], "p/").records == {"web": result}


async def test_a_poller_that_never_answers(answering: Answering) -> None:
    sender = PollSender(None, max_connections=1, margin_s=0.1)
    quick = REQUEST.model_copy(update={"timeout_ms": 100})
    with pytest.raises(PollFailed) as caught:
        await sender.send(await answering(None), quick)
    assert caught.value.error is PollError.DEADLINE
    assert caught.value.try_again
    await sender.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1",
        "http://nowhere.invalid:80",
        "http://[::",
        "http://xn--a:80",  # an idna.InvalidCodepoint, from deep within httpx
        "http://\ud800:80",
        "http://127.0.0.1:99999",
    ],
)
async def test_a_poller_that_is_not_there(sender: PollSender, url: str) -> None:
    with pytest.raises(PollFailed) as caught:
        await sender.send(PollerTarget("p", "p", url, 1), REQUEST)
    assert caught.value.error is PollError.UNREACHABLE
    assert caught.value.try_again
