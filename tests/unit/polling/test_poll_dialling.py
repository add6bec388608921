"""Connecting where it is allowed: on real sockets, and in which order."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from coord.polling.check_failed import CheckFailed
from coord.polling.dialling import Dialler, first_to_connect, mixed
from coord.polling.lookups import MAX_LOOKUPS, Lookups
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


class Resolver:
    """Answers nothing until it is let go; then that each name is 127.0.0.1."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = threading.Event()

    def __call__(self, host: str, *args: Any, **flags: Any) -> list[Any]:
        self.asked.append(host)
        self.go.wait()
        if host.startswith("gone"):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    made = Resolver()
    yield made
    made.go.set()


async def test_a_resolver_that_hangs_holds_up_only_names(
    listener: Listener, resolver: Resolver
) -> None:
    dialler = Dialler(Networks(), Lookups(resolver, room_s=0.01))
    async with asyncio.timeout(GENEROUS_S):
        names = [
            asyncio.create_task(dialler.open(f"host-{n}", listener.port))
            for n in range(MAX_LOOKUPS)
        ]
        await asyncio.sleep(0)
        for address in ("127.0.0.1", "127.1", "::ffff:127.0.0.1"):
            _, writer = await dialler.open(address, listener.port)
            writer.close()
        assert await asyncio.to_thread(lambda: "ours") == "ours"
        with pytest.raises(CheckFailed) as caught:
            await dialler.open("one-too-many", listener.port)
        assert caught.value.error is CheckError.DNS
        assert "one-too-many" not in resolver.asked
        resolver.go.set()
        for _, writer in await asyncio.gather(*names):
            writer.close()
        # There is room again.
        _, writer = await dialler.open("one-too-many", listener.port)
        writer.close()


async def test_a_name_is_looked_up_once_for_all_who_ask(resolver: Resolver) -> None:
    lookups = Lookups(resolver)
    async with asyncio.timeout(GENEROUS_S):
        asking = [asyncio.create_task(lookups.addresses("host")) for _ in range(3)]
        await asyncio.sleep(0)
        asking[0].cancel()  # the others still get their answer
        resolver.go.set()
        given = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(given[0], asyncio.CancelledError)
        assert given[1:] == [["127.0.0.1"]] * 2
        assert resolver.asked == ["host"]
        # No answer is kept.
        assert await lookups.addresses("host") == ["127.0.0.1"]
    assert resolver.asked == ["host", "host"]


async def test_a_name_that_waits_for_room_gets_it(resolver: Resolver) -> None:
    lookups = Lookups(resolver, room_s=GENEROUS_S)
    async with asyncio.timeout(GENEROUS_S):
        names = [f"host-{n}" for n in range(2 * MAX_LOOKUPS)]
        asking = [asyncio.create_task(lookups.addresses(name)) for name in [*names, names[-1]]]
        await asyncio.sleep(0)
        resolver.go.set()
        assert await asyncio.gather(*asking) == [["127.0.0.1"]] * (2 * MAX_LOOKUPS + 1)
    assert sorted(resolver.asked) == sorted(names)


async def test_a_name_without_an_address_is_told_as_dns(resolver: Resolver) -> None:
    resolver.go.set()
    with pytest.raises(CheckFailed) as caught:
        await Dialler(Networks(), Lookups(resolver)).open("gone", 80)
    assert caught.value.error is CheckError.DNS


HANGS = """
import asyncio, threading
from coord.polling.dialling import Dialler
from coord.polling.lookups import Lookups
from coord.polling.networks import Networks

async def main():
    never = threading.Event()
    dialler = Dialler(Networks(), Lookups(lambda *_, **__: never.wait()))
    asking = asyncio.create_task(dialler.open("host", 80))
    await asyncio.sleep(0)
    asking.cancel()

asyncio.run(main())
print("over")
"""


def test_a_lookup_that_hangs_does_not_keep_a_process_from_ending() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "over\n", "")


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
