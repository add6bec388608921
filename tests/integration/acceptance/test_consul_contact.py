"""Consul is away for a while: for one node, or for all, shorter and longer than a lease."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from consul_agents import ConsulAgent, eventually
from fault_bench import QUICK, Bench, bench_on, said
from tcp_proxy import Mode, TcpProxy

from cluster import Cluster, ClusterConfig
from coord.config.values import parse_duration

LEASE_S = parse_duration(QUICK["COORDINATOR_LEASE"])

PATIENT = {"COORDINATOR_CHECK_TTL": "30s"}
"""The agent does not miss a node for that long: what is tested is the node."""


@pytest.fixture
async def bench(consul_agent: ConsulAgent, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(consul_agent, tmp_path) as bench:
        yield bench


@pytest.fixture
async def proxy(consul_agent: ConsulAgent) -> AsyncIterator[TcpProxy]:
    """Between core-1 and the agent."""
    async with TcpProxy(consul_agent.config.address, consul_agent.ports.http) as proxy:
        yield proxy


async def test_short_outage_is_not_even_noticed(bench: Bench, proxy: TcpProxy) -> None:
    """Away for less than a lease: the work goes on and nobody takes over."""
    pair = await bench.pair({"consul": proxy.address}, {})

    await proxy.set(Mode.BLACKHOLE)
    await asyncio.sleep(LEASE_S / 3)  # this long is what is tested
    await proxy.set(Mode.PASS)

    await bench.works(pair.seen)
    report = await bench.settled(pair.seen)
    assert not report.pauses
    assert not pair.leader.events("suspended")
    assert not pair.standby.events("takeover_attempted")


@pytest.mark.parametrize("how", [Mode.BLACKHOLE, Mode.UP, Mode.REFUSE])
async def test_outage_longer_than_the_lease_suspends_and_resumes(
    bench: Bench, proxy: TcpProxy, how: Mode
) -> None:
    """The work stops, the claim stays; the same process goes on under the same term."""
    pair = await bench.pair({"consul": proxy.address, "env": PATIENT}, {})
    pid = pair.leader.pid

    await proxy.set(how)
    await said(pair.leader, "suspended", term=pair.seen.term)
    await pair.leader.state("suspended")
    for path in ("/ready", "/leader"):
        assert (await pair.leader.get(f"/api/health{path}")).status_code == 503
    assert (await pair.leader.get("/api/health/live")).status_code == 200
    stopped = await bench.witness.report()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await bench.works(pair.seen)
    await proxy.set(Mode.PASS)

    await said(pair.leader, "resumed", term=pair.seen.term)
    assert pair.leader.running
    assert pair.leader.pid == pid
    report = await bench.settled(pair.seen)
    assert len(report.terms) == len(stopped.terms) == 1
    assert not pair.standby.events("takeover_attempted")


async def test_fenced_writes_go_on_after_an_outage(
    bench: Bench, proxy: TcpProxy, consul_agent: ConsulAgent
) -> None:
    """Nothing is lost: what is in Consul stays, and the same term goes on writing it."""
    key = f"{bench.paths.root}written"
    leader, seen = await bench.lead(
        "core-1", consul=proxy.address, env=PATIENT | {"COORD_PULSE_WRITE": key}
    )

    async def value() -> bytes:
        entry = (await bench.consul.kv_get(key)).value
        return entry.value if entry is not None else b""

    await eventually(value)
    await proxy.set(Mode.BLACKHOLE)
    await said(leader, "suspended", term=seen.term)
    await proxy.set(Mode.PASS)
    await said(leader, "resumed", term=seen.term)

    before = await value()
    after = await eventually(value, until=lambda new: new != before)
    assert after.startswith(f"term {seen.term},".encode())
    report = await bench.settled(seen)
    assert not [w for w in report.unwritten if w.kind == "refused" and "fenced" in w.why]


async def test_longer_than_the_suspend_limit_gives_up_the_session(
    bench: Bench, proxy: TcpProxy
) -> None:
    """It loses, destroys its session as soon as it can, and another leads."""
    env = PATIENT | {"COORDINATOR_SUSPEND_LIMIT": "1s"}
    pair = await bench.pair({"consul": proxy.address, "env": env}, {})

    await proxy.set(Mode.BLACKHOLE)
    await said(pair.leader, "lost_leadership", term=pair.seen.term, reason="suspended_too_long")
    await proxy.set(Mode.PASS)

    after = await bench.next_leader(pair.seen)
    assert after.node == "core-2"
    # Its entry has a check of 30 s here, so that it goes on passing until the agent hears more.
    await bench.settled(after, stale_s=30.0)


async def test_leader_cut_off_from_its_agent_is_followed(bench: Bench, proxy: TcpProxy) -> None:
    """Its check runs out; it has stopped its work before anybody else begins."""
    pair = await bench.pair({"consul": proxy.address}, {})

    await proxy.set(Mode.BLACKHOLE)
    after = await bench.next_leader(pair.seen)
    assert after.node == "core-2"
    assert pair.leader.running, "it stopped its work without the watchdog's help"
    await proxy.set(Mode.PASS)

    await said(pair.leader, "lost_leadership", term=pair.seen.term)
    report = await bench.settled(after)
    gap = report.gap_to(after.term)
    assert gap is not None
    assert gap.gap_s > 0


async def test_slow_answers_do_not_cost_the_leadership(bench: Bench, proxy: TcpProxy) -> None:
    """Each piece takes 100 ms either way: slower, and that is all."""
    proxy.delay_s = 0.1
    pair = await bench.pair({"consul": proxy.address}, {})

    await bench.works(pair.seen)
    await said(pair.leader, "leader_changed", term=pair.seen.term)
    report = await bench.settled(pair.seen)
    assert not report.pauses


async def test_node_waits_for_a_consul_that_is_not_there_and_joins_later(
    bench: Bench, proxy: TcpProxy
) -> None:
    """It says so meanwhile, and not over and over."""
    await proxy.set(Mode.REFUSE)
    node = await bench.start("core-1", consul=proxy.address)

    response = await _health_of(node.url, until=lambda body: body["consul"] != "ok")
    assert response.status_code == 503
    body = response.json()
    assert body["state"] == "joining"
    assert body["why_not_leader"] == "consul_unreachable"
    assert (await node.get("/api/health/live")).status_code == 200
    assert (await node.get("/api/health/ready")).status_code == 503
    loud = [line for line in node.log() if line.get("level") in ("warning", "error")]
    assert len(loud) <= 3, loud

    await proxy.set(Mode.PASS)
    seen = await bench.witness.next_leader(None)
    await bench.settled(seen)
    assert (await node.get("/api/health")).status_code == 200


async def test_servers_without_a_leader_suspend_the_work_and_it_resumes(
    consul_binary: Path, tmp_path: Path
) -> None:
    """Nobody can lead meanwhile, so nobody has to be let in: the same term goes on."""
    async with _cluster(consul_binary, tmp_path) as cluster:
        here, *others = cluster.servers
        async with bench_on(here, tmp_path, env=PATIENT) as bench:
            pair = await bench.pair({}, {})

            for server in others:
                await asyncio.to_thread(server.kill)
            await said(pair.leader, "suspended", term=pair.seen.term)
            # Though the agent holds requests back while there is no leader.
            response = await _health_of(
                pair.standby.url, until=lambda body: body["why_not_leader"] == "no_consul_leader"
            )
            assert response.status_code == 503
            for server in others:
                await asyncio.to_thread(server.start)

            await said(pair.leader, "resumed", within_s=60.0, term=pair.seen.term)
            await asyncio.to_thread(cluster.wait_ready)
            report = await bench.settled(pair.seen, stale_s=60.0)
            assert len(report.terms) == 1


@contextlib.asynccontextmanager
async def _cluster(binary: Path, directory: Path) -> AsyncIterator[Cluster]:
    config = ClusterConfig(directory=directory / "cluster", binary=binary)
    cluster = Cluster(config)
    try:
        await asyncio.to_thread(lambda: cluster.start().wait_ready())
        yield cluster
    finally:
        for agent in cluster.agents:
            await asyncio.to_thread(agent.kill)


async def _health_of(url: str, until: Callable[[dict[str, Any]], bool]) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:

        async def ask() -> httpx.Response:
            return await client.get(f"{url}/api/health")

        return await eventually(ask, until=lambda response: until(response.json()))
