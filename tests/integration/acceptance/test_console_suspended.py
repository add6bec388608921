"""The console before a leader whose work was suspended: it is not shown as led throughout."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from consul_agents import ConsulAgent, client_of
from fault_bench import Bench, bench_on, said
from tcp_proxy import Mode, TcpProxy

from console.source import Source
from console.view import timeline
from console.view.line import text_of
from coord.clock import SystemClock

PATIENT = {"COORDINATOR_CHECK_TTL": "30s"}
"""The agent does not miss it for that long."""


@pytest.fixture
async def bench(consul_agent: ConsulAgent, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(consul_agent, tmp_path) as bench:
        yield bench


async def test_work_that_was_suspended_and_resumed_is_seen_on_the_line(
    bench: Bench, consul_agent: ConsulAgent
) -> None:
    async with TcpProxy(consul_agent.config.address, consul_agent.ports.http) as proxy:
        pair = await bench.pair({"consul": proxy.address, "env": PATIENT}, {})
        await proxy.set(Mode.BLACKHOLE)
        await said(pair.leader, "suspended", term=pair.seen.term)
        await proxy.set(Mode.PASS)
        await bench.works(pair.seen)
        clock = SystemClock()
        async with client_of(consul_agent) as consul:
            source = Source(consul, bench.paths, clock=clock)
            async with asyncio.timeout(30.0):
                while True:
                    shown = await source.read_once()
                    assert shown.past is not None
                    tenure = shown.past.history.tenures[0]
                    if tenure.stops and tenure.stops[-1].lasted_ms is not None:
                        break
                    await asyncio.sleep(0.2)
    bar, marks, _ = timeline.timeline(shown, clock.now(), 120, 60)
    assert tenure.node == pair.leader.name
    assert tenure.unresumed is None
    assert timeline.SUSPENDED in text_of(marks)
    assert "work suspended" in text_of(timeline.legend(bar, marks))
