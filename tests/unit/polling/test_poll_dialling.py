"""Connecting where it is allowed: on real sockets, and in which order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from coord.polling.check_failed import CheckFailed
from coord.polling.dialling import Dialler, first_to_connect, mixed
from coord.polling.networks import Networks
from coord.polling.records import CheckError

LOOPBACK = Networks.of(["127.0.0.0/8"])
GENEROUS_S = 30.0


@dataclass
class Listener:
    """Listens on all addresses of loopback, and counts who comes."""

    port: int = 0
    connections: int = 0


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    made = Listener()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.connections += 1
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "localhost", "0.0.0.0", "::ffff:127.0.0.1"],
)
async def test_a_forbidden_address_gets_no_connection_however_it_is_written(
    listener: Listener, host: str
) -> None:
    with pytest.raises(CheckFailed) as caught:
        await Dialler(LOOPBACK).open(host, listener.port)
    assert caught.value.error is CheckError.FORBIDDEN
    assert "127.0.0.0/8" in caught.value.detail
    # The same place is reached where it is allowed, so that the count means something.
    _, writer = await Dialler(Networks()).open("127.0.0.1", listener.port)
    writer.close()
    await writer.wait_closed()
    assert listener.connections == 1


async def test_nobody_listening_is_refused_as_ever() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(CheckFailed) as caught:
        await Dialler(Networks()).open("127.0.0.1", port)
    assert caught.value.error is CheckError.REFUSED


@dataclass
class Ways:
    """Connects nowhere: notes what it is asked for, and answers as it is told to.

    fails, hangs: addresses that do. peers: whom else one really reaches.
    """

    fails: frozenset[str] = frozenset()
    hangs: frozenset[str] = frozenset()
    peers: dict[str, str] = field(default_factory=dict)
    tried: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    both_tried: asyncio.Event = field(default_factory=asyncio.Event)

    async def connect(self, address: str, port: int) -> str:
        self.tried.append(address)
        if len(self.tried) == 2:
            self.both_tried.set()
        if address in self.hangs:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.append(address)
                raise
        if address in self.fails:
            raise ConnectionRefusedError(address)
        return address

    def peer(self, connection: str) -> tuple[str, int]:
        return self.peers.get(connection, connection), 80

    async def close(self, connection: str) -> None:
        self.closed.append(connection)


async def test_the_connection_is_made_to_the_number_that_was_judged() -> None:
    ways = Ways()
    assert await Dialler(Networks()).dial("localhost", 80, ways) in ("127.0.0.1", "::1")
    assert "localhost" not in ways.tried


async def test_who_was_really_reached_is_judged_too() -> None:
    ways = Ways(peers={"192.0.2.1": "169.254.169.254"})
    with pytest.raises(CheckFailed) as caught:
        await Dialler(Networks.of(["169.254.0.0/16"])).dial("192.0.2.1", 80, ways)
    assert caught.value.error is CheckError.FORBIDDEN
    assert ways.closed == ["192.0.2.1"]


async def test_an_address_that_fails_gives_way_to_the_next() -> None:
    ways = Ways(fails=frozenset("ab"))
    assert await first_to_connect("abc", 80, ways) == "c"
    assert ways.tried == ["a", "b", "c"]


async def test_an_address_that_says_nothing_is_not_waited_for() -> None:
    ways = Ways(hangs=frozenset("a"))
    async with asyncio.timeout(GENEROUS_S):
        assert await first_to_connect("ab", 80, ways) == "b"
    assert (ways.cancelled, ways.closed) == (["a"], [])


async def test_with_no_way_anywhere_the_first_failure_is_told() -> None:
    ways = Ways(fails=frozenset("abc"))
    with pytest.raises(ConnectionRefusedError, match="a"):
        await first_to_connect("abc", 80, ways)


async def test_who_gives_up_leaves_nothing_behind() -> None:
    ways = Ways(hangs=frozenset("ab"))
    task = asyncio.create_task(first_to_connect("ab", 80, ways))
    async with asyncio.timeout(GENEROUS_S):
        await ways.both_tried.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ways.cancelled) == ["a", "b"]


def test_the_families_take_turns() -> None:
    assert mixed(["::1", "::2", "::3", "1.1.1.1"]) == ["::1", "1.1.1.1", "::2", "::3"]
    assert mixed(["1.1.1.1", "::1", "2.2.2.2"]) == ["1.1.1.1", "::1", "2.2.2.2"]
