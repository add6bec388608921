"""The console before a real fleet: while nobody leads it says of each node what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from acceptance import FAST, Bench, MakeBench
from console_listener import Listener

from console.snapshot import Answer, Snapshot
from console.source import Source
from console.view import failover, nodes, said
from console.view.line import text_of
from coord.clock import SystemClock
from coord.election.reasons import WhyNot
from coord.members import Member
from coord.records import PauseRecord, utc
from coord.status import Condition

PAUSED_S = 600


@asynccontextmanager
async def listening(bench: Bench) -> AsyncIterator[Listener]:
    listener = Listener()
    source = Source(bench.consul, bench.paths, clock=SystemClock(), ask_s=0.5)
    running = asyncio.create_task(source.run(listener.post))
    try:
        yield listener
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def able(snapshot: Snapshot) -> list[nodes.NodeRow]:
    """Those that may lead, and do not."""
    return [row for row in nodes.node_rows(snapshot) if row.rank == 1]


def vacant(snapshot: Snapshot) -> bool:
    return snapshot.status is not None and snapshot.status.leader.condition is Condition.VACANT


def told_paused(member: Member) -> bool:
    """Whether it says so itself, and since when."""
    return member.reason is WhyNot.PAUSED and member.since_ms is not None


async def test_while_nobody_leads_nobody_is_said_to_wait_for_that(make_bench: MakeBench) -> None:
    """What a node tells of itself in the catalog is some seconds late."""
    bench = await make_bench(env=FAST)
    await bench.fleet.start("core-1", "core-2", "core-3")
    leader, term = await bench.working_leader()
    async with listening(bench) as listener:
        told = await listener.until(
            lambda s: s.past and [row.why for row in able(s)] == ["held_by_other"] * 2
        )
        assert {row.state for row in able(told)} == {"standby"}
        asked = await listener.until(
            lambda s: s.said and [each.answer for each in s.said.nodes] == [Answer.ANSWERED] * 3
        )
        assert asked.said is not None
        assert [each.node for each in asked.said.nodes if each.state == "leading"] == [leader.name]
        assert said.differences(asked, SystemClock().now()) == ()

        leader.freeze()
        await bench.working_leader(after_term=term)
        await listener.until(lambda s: s.status and s.status.leader.locked and able(s))
    meanwhile = [able(each) for each in listener.posted if vacant(each) and able(each)]
    assert meanwhile
    assert {row.why for rows in meanwhile for row in rows} <= {"lock_delay", "waiting_turn", ""}
    assert any(row.until_ms is not None for rows in meanwhile for row in rows), "it counts down"


async def test_while_it_is_paused_that_is_what_they_wait_for(make_bench: MakeBench) -> None:
    bench = await make_bench(env=FAST)
    await bench.fleet.start("core-1", "core-2", "core-3")
    leader, _ = await bench.working_leader()
    async with listening(bench) as listener:
        await listener.until(lambda s: [row.why for row in able(s)] == ["held_by_other"] * 2)
        pause = PauseRecord(
            actor="ann@desk",
            reason="the network is changed",
            request_id="0" * 16,
            at=utc(SystemClock().wall_ms()),
            for_ms=PAUSED_S * 1000,
        )
        assert await bench.consul.kv_put(bench.paths.pause, pause.encode())
        await listener.until(lambda s: s.status and s.status.controls.asked.pause)
        leader.freeze()
        await listener.until(lambda s: vacant(s) and s.past and s.past.history.vacant)
        # At last each tells so itself, in the catalog.
        await listener.until(
            lambda s: (
                s.status and [told_paused(m) for m in s.status.candidates.items].count(True) == 2
            )
        )
    meanwhile = [each for each in listener.posted if vacant(each) and able(each)]
    assert {row.why for each in meanwhile for row in able(each)} == {"paused"}
    first = {text_of(failover.progress(each, SystemClock().now())[0]) for each in meanwhile}
    assert first == {"! no candidate tries: paused"}
