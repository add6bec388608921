"""Events as a stream, on a real socket: what comes, what was missed, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from consul_agents import eventually
from openapi_checks import check
from starlette.applications import Starlette

from coord.api import create_api
from coord.api.event_stream import QUEUE_LENGTH, STREAMS_MOST, EventStreams
from coord.api.server import bind, serving
from coord.config.values import HostPort
from coord.identity import Identity
from coord.node_type import EligibleWhy, NodeType
from coord.telemetry import BecameLeader, ElectionCheck, Telemetry

IDENTITY = Identity(
    node="core-1",
    node_type=NodeType.CORE,
    election="coordinator",
    eligible=True,
    eligible_why=EligibleWhy.NODE_TYPE_MAY_LEAD,
    boot_id="b" * 32,
    advertise="127.0.0.1:8610",
)
WITHIN_S = 30.0
STREAM = {"accept": "text/event-stream"}


class StandingClock:
    def now(self) -> float:
        return 0.0

    def wall_ms(self) -> int:
        return 1_700_000_000_000


@dataclass
class Node:
    """What of a node the events need."""

    identity: Identity = IDENTITY
    telemetry: Telemetry = field(default_factory=lambda: Telemetry(IDENTITY, StandingClock()))

    async def cluster_status(self) -> None:
        raise AssertionError("nobody asks for it here")

    def tell(self, *terms: int) -> None:
        for term in terms:
            self.telemetry.emit(BecameLeader, term=term)


@dataclass
class Bench:
    node: Node
    app: Starlette
    client: httpx.AsyncClient
    server: asyncio.Task[None]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    node = Node()
    app = create_api(node)  # type: ignore[arg-type]
    sock = bind(HostPort("127.0.0.1", 0))
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    limits = httpx.Limits(max_connections=None)
    with contextlib.closing(sock):
        async with (
            serving(app, sock) as server,
            httpx.AsyncClient(base_url=url, limits=limits, timeout=WITHIN_S) as client,
        ):
            yield Bench(node, app, client, server)
            app.state.close_streams()


@dataclass
class Stream:
    """What comes, message by message."""

    reply: httpx.Response
    lines: AsyncIterator[str]

    async def next(self) -> dict[str, str]:
        """The next message's fields; a comment is the field ""."""
        found: dict[str, str] = {}
        async with asyncio.timeout(WITHIN_S):
            async for line in self.lines:
                if not line:
                    return found
                name, _, value = line.partition(": ")
                found[name.removesuffix(":")] = value
        raise EOFError

    async def terms(self, count: int) -> list[int]:
        return [json.loads((await self.next())["data"])["term"] for _ in range(count)]


@contextlib.asynccontextmanager
async def streaming(bench: Bench, **how: Any) -> AsyncIterator[Stream]:
    headers = STREAM | how.pop("headers", {})
    async with bench.client.stream("GET", "/api/events", headers=headers, **how) as reply:
        assert reply.status_code == 200, reply.status_code
        stream = Stream(reply, reply.aiter_lines())
        assert "retry" in await stream.next()
        yield stream


async def test_events_come_as_they_are_told(bench: Bench) -> None:
    bench.node.tell(1)
    async with streaming(bench) as stream:
        assert stream.reply.headers["content-type"] == "text/event-stream"
        bench.node.telemetry.emit(ElectionCheck, leader=None, state="standby")
        bench.node.tell(2)
        message = await stream.next()
        assert message["event"] == "serviceradar.coordinator.became_leader"
        assert message["id"] == "bbbbbbbb-2"
        assert json.loads(message["data"]) | {"term": 2, "node": "core-1"} == json.loads(
            message["data"]
        )


async def test_what_was_missed_comes_first(bench: Bench) -> None:
    bench.node.tell(1, 2, 3, 4)
    async with streaming(bench, headers={"last-event-id": "bbbbbbbb-2"}) as stream:
        bench.node.tell(5)
        assert await stream.terms(3) == [3, 4, 5]


@pytest.mark.parametrize("last", ["aaaaaaaa-2", "bbbbbbbb-", "bbbbbbbb-x", "-1", "²", "b" * 5000])
async def test_an_id_of_another_start_or_none_misses_nothing(bench: Bench, last: str) -> None:
    bench.node.tell(1, 2, 3)
    headers = [(b"accept", b"text/event-stream"), (b"last-event-id", last.encode())]
    async with bench.client.stream(
        "GET", "/api/events", headers=headers, params={"limit": "1"}
    ) as reply:
        stream = Stream(reply, reply.aiter_lines())
        await stream.next()
        bench.node.tell(4)
        assert await stream.terms(2) == [3, 4]


async def test_a_silent_stream_is_kept_alive() -> None:
    node = Node()
    streams = EventStreams(node.telemetry, IDENTITY.boot_id, keep_alive_s=0.01)
    messages = streams.messages(streams.join())
    assert (await anext(messages)).startswith("retry")
    assert (await anext(messages)).startswith(":")
    await messages.aclose()


async def test_one_that_is_too_slow_is_ended_and_harms_no_other(bench: Bench) -> None:
    streams = EventStreams(bench.node.telemetry, IDENTITY.boot_id)
    slow = streams.messages(streams.join())
    await anext(slow)
    async with streaming(bench) as stream:
        for term in range(QUEUE_LENGTH + 3):
            bench.node.tell(term)
            assert await stream.terms(1) == [term]
    came = [message async for message in slow]
    assert len(came) == QUEUE_LENGTH - 1  # and then its end


async def test_there_are_only_so_many_and_one_that_ends_makes_room(bench: Bench) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(STREAMS_MOST - 1):
            await stack.enter_async_context(streaming(bench))
        async with streaming(bench):
            reply = await bench.client.get("/api/events", headers=STREAM)
            assert reply.status_code == 503
            check(reply)
            assert reply.json()["error"] == "too_many_streams"
            assert (await bench.client.get("/api/events")).status_code == 200
        reply = await eventually(
            lambda: bench.client.head("/api/events", headers=STREAM),
            until=lambda reply: reply.status_code == 200,
        )
        assert reply.headers["content-type"] == "text/event-stream"


async def test_there_are_no_more_of_them_when_all_ask_at_once(bench: Bench) -> None:
    async def ask() -> httpx.Response:
        request = bench.client.build_request("GET", "/api/events", headers=STREAM)
        return await bench.client.send(request, stream=True)

    replies = await asyncio.gather(*(ask() for _ in range(3 * STREAMS_MOST)))
    try:
        streaming = [reply for reply in replies if reply.status_code == 200]
        assert len(streaming) == STREAMS_MOST
        assert {reply.status_code for reply in replies} == {200, 503}
    finally:
        await asyncio.gather(*(reply.aclose() for reply in replies))
    await eventually(
        lambda: bench.client.head("/api/events", headers=STREAM),
        until=lambda reply: reply.status_code == 200,
    )


async def test_what_is_told_before_the_first_message_is_sent_comes_too() -> None:
    node = Node()
    streams = EventStreams(node.telemetry, IDENTITY.boot_id)
    messages = streams.messages(streams.join())
    node.tell(7)
    assert (await anext(messages)).startswith("retry")
    assert '"term": 7' in await anext(messages)
    await messages.aclose()


async def test_the_end_of_the_node_ends_them(bench: Bench) -> None:
    async with streaming(bench) as stream:
        bench.app.state.close_streams()
        with pytest.raises(EOFError):
            await stream.next()


@pytest.mark.parametrize("limit", ["-1", "x", "1e3", "9" * 50])
async def test_a_bad_limit_is_said(bench: Bench, limit: str) -> None:
    reply = await bench.client.get("/api/events", headers=STREAM, params={"limit": limit})
    assert (reply.status_code, reply.json()["field"]) == (400, "limit")
