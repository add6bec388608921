"""The console's source on a real Consul: what it posts when something changes, or Consul goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from consul_agents import ConsulAgent
from hand_made import lead, register, release
from tcp_proxy import Mode, TcpProxy

from console.snapshot import Snapshot
from console.source import Source
from coord.clock import SystemClock
from coord.config import Settings
from coord.consul import ConsulApi, ConsulClient, ConsulUnavailable
from coord.records import Paths
from coord.telemetry import BecameLeader
from coord.telemetry.journal import Journal

GENEROUS_S = 60.0


class Listener:
    """Keeps what is posted, and waits for what a test is about."""

    def __init__(self) -> None:
        self.posted: list[Snapshot] = []
        self._news = asyncio.Event()

    def post(self, snapshot: Snapshot) -> None:
        self.posted.append(snapshot)
        self._news.set()

    async def until(self, right: Callable[[Snapshot], object]) -> Snapshot:
        async with asyncio.timeout(GENEROUS_S):
            while not (self.posted and right(self.posted[-1])):
                self._news.clear()
                await self._news.wait()
        return self.posted[-1]


@asynccontextmanager
async def listening(consul: ConsulApi, paths: Paths) -> AsyncIterator[Listener]:
    listener = Listener()
    source = Source(consul, paths, clock=SystemClock(), address="here")
    running = asyncio.create_task(source.run(listener.post))
    try:
        yield listener
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def paths(name: str) -> Paths:
    return Paths(name)


def leader_of(snapshot: Snapshot) -> str | None:
    return None if snapshot.status is None else snapshot.status.leader_node


async def test_each_change_of_the_leader_is_posted(consul: ConsulClient, paths: Paths) -> None:
    async with listening(consul, paths) as listener:
        none_yet = await listener.until(lambda s: s.status and s.past and s.contact.latency_ms)
        tenure = await lead(consul, paths, "core-1", 1)
        led = await listener.until(leader_of)
        await release(consul, paths, tenure, why="handed_over")
        await listener.until(lambda s: leader_of(s) is None)

    assert (none_yet.address, none_yet.election) == ("here", paths.election)
    assert leader_of(none_yet) is None
    assert leader_of(led) == "core-1"


async def test_members_are_posted_as_they_come(consul: ConsulClient, paths: Paths) -> None:
    async with listening(consul, paths) as listener:
        await listener.until(lambda s: s.status)
        await register(consul, paths.candidate_service, "core-1")
        found = await listener.until(lambda s: s.status and s.status.candidates.items)

    assert found.status is not None
    assert [member.node for member in found.status.candidates.items] == ["core-1"]


async def test_the_journal_and_the_history_follow(consul: ConsulClient, paths: Paths) -> None:
    at_ms = SystemClock().wall_ms()
    journal = Journal(paths, "core-1")
    writing = asyncio.create_task(journal.run(consul))
    try:
        async with listening(consul, paths) as listener:
            before = await listener.until(lambda s: s.past)
            journal.handle(
                BecameLeader(
                    node="core-1", node_type="core", election=paths.election, term=3, at_ms=at_ms
                )
            )
            told = await listener.until(lambda s: s.past and s.past.entries)
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)

    assert before.past is not None
    assert before.past.entries == ()
    assert told.past is not None
    assert [entry.event for entry in told.past.entries] == [BecameLeader.EVENT]
    assert [(t.node, t.term) for t in told.past.history.tenures] == [("core-1", 3)]


async def test_what_was_read_stays_while_consul_is_away(
    consul: ConsulClient, consul_agent: ConsulAgent, paths: Paths
) -> None:
    await lead(consul, paths, "core-1", 1)
    async with TcpProxy("127.0.0.1", consul_agent.ports.http) as proxy:
        address = Settings(environ={}, consul_addr=proxy.address, node="x").consul_address
        async with ConsulClient(address) as through, listening(through, paths) as listener:
            read = await listener.until(lambda s: s.status and s.past)
            await proxy.set(Mode.REFUSE)
            lost = await listener.until(lambda s: s.failing and s.past_error)
            await proxy.set(Mode.PASS)
            back = await listener.until(lambda s: not s.failing and not s.past_error)

    assert lost.failing is not None
    assert isinstance(lost.failing.error, ConsulUnavailable)
    assert leader_of(lost) == "core-1"
    assert lost.past is not None
    assert lost.failing.since >= read.read_at
    assert lost.failing.since == lost.read_at
    assert back.read_at > lost.read_at


async def test_without_consul_from_the_start(consul_agent: ConsulAgent, paths: Paths) -> None:
    async with TcpProxy("127.0.0.1", consul_agent.ports.http) as proxy:
        await proxy.set(Mode.REFUSE)
        address = Settings(environ={}, consul_addr=proxy.address, node="x").consul_address
        clock = SystemClock()
        before = clock.now()
        async with ConsulClient(address) as through, listening(through, paths) as listener:
            lost = await listener.until(lambda s: s.failing)
            with pytest.raises(ConsulUnavailable):
                await Source(through, paths, clock=clock).read_once()

    assert lost.status is None
    assert lost.failing is not None
    assert before <= lost.failing.since <= clock.now()


async def test_once_reads_everything(consul: ConsulClient, paths: Paths) -> None:
    await lead(consul, paths, "core-1", 1)
    clock = SystemClock()
    snapshot = await Source(consul, paths, clock=clock).read_once()

    assert leader_of(snapshot) == "core-1"
    assert snapshot.past is not None
    assert [tenure.node for tenure in snapshot.past.history.tenures] == ["core-1"]
    assert snapshot.contact.latency_ms is not None
    assert snapshot.contact.servers
    assert snapshot.wall_ms(clock.now()) >= (snapshot.status.at_ms if snapshot.status else 0)


async def test_a_busy_fleet_costs_few_readings(consul: ConsulClient, paths: Paths) -> None:
    """However often something changes, the status is read a bounded number of times."""
    loop = asyncio.get_running_loop()
    async with listening(consul, paths) as listener:
        await listener.until(lambda s: s.status and s.past)
        seen, began = len({s.read_at for s in listener.posted}), loop.time()
        for i in range(100):
            await consul.kv_put(paths.leader, str(i).encode())
        took = loop.time() - began
        await listener.until(lambda s: s.status and s.status.leader.detail)
        read = len({s.read_at for s in listener.posted}) - seen

    assert read <= 2 + took / 0.2
