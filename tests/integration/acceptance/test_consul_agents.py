"""What a leader stands on in Consul is restarted, wiped, cut off or put back from a snapshot."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from consul_agents import AgentConfig, ConsulAgent, eventually
from fault_bench import Bench, Pair, bench_on, said
from tcp_proxy import TcpProxy

from agents import Mode as AgentMode
from cluster import loopback
from demo.judge import TermSeen

pytestmark = pytest.mark.long

SHORT_TTL = {"COORDINATOR_SESSION_TTL": "10s"}
"""The shortest that Consul takes; the session goes after twice that at the latest."""

FAR = "127.0.0.9"
"""Where the clients find their server: its gossip, and a proxy before its RPC port."""


@dataclass
class Site:
    """A server, two client agents, and what lies between them and the server's RPC port."""

    server: ConsulAgent
    hurt: ConsulAgent
    other: ConsulAgent
    rpc: TcpProxy

    async def pair(self, bench: Bench) -> Pair:
        """core-1 leads on the agent that will be hurt, core-2 stands by on the other."""
        return await bench.pair({"consul": self.hurt.http_addr}, {"consul": self.other.http_addr})


@pytest.fixture
async def site(consul_binary: Path, tmp_path: Path) -> AsyncIterator[Site]:
    if loopback(8) != FAR and "CI" not in os.environ:
        pytest.skip(f"this machine has no loopback address {FAR}")
    agents: list[ConsulAgent] = []

    def make(name: str, mode: AgentMode, address: str, **settings: Any) -> ConsulAgent:
        config = AgentConfig(
            name=name,
            directory=tmp_path / name,
            binary=consul_binary,
            mode=mode,
            address=address,
            fast_gossip=True,
            **settings,
        )
        agents.append(ConsulAgent(config))
        return agents[-1]

    # The server says that it is found at FAR: there it gossips, but its RPC port is the proxy's.
    extra = {"advertise_addr": FAR, "serf_lan": FAR, "ports": {"serf_wan": -1}}
    server = make("server-1", AgentMode.SERVER, "127.0.0.2", extra=extra)
    join = (f"{FAR}:{server.ports.serf_lan}",)
    hurt = make("client-1", AgentMode.CLIENT, "127.0.0.3", retry_join=join)
    other = make("client-2", AgentMode.CLIENT, "127.0.0.4", retry_join=join)
    port = server.ports.server
    async with TcpProxy("127.0.0.2", port, listen_host=FAR, listen_port=port) as rpc:
        try:
            for agent in agents:
                await asyncio.to_thread(agent.start)
            for agent in agents:
                await asyncio.to_thread(agent.wait_ready)
            yield Site(server, hurt, other, rpc)
        finally:
            for agent in agents:
                await asyncio.to_thread(agent.kill)


@pytest.fixture
async def bench(site: Site, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(site.server, tmp_path, env=SHORT_TTL) as bench:
        yield bench


def _terminated(agent: ConsulAgent) -> None:
    """It is told not to leave, as consul-dev's agents are, so that it keeps its sessions."""
    agent.stop()
    agent.start()


def _killed(agent: ConsulAgent) -> None:
    agent.kill()
    agent.start()


def _wiped(agent: ConsulAgent) -> None:
    """It comes back under its name and its node id, and knows nothing of its checks."""
    agent.kill()
    agent.start(wipe=True)


def _replaced(agent: ConsulAgent) -> None:
    """Another machine takes over the name."""
    agent.kill()
    extra = dict(agent.config.extra) | {"node_id": str(uuid.uuid4())}
    agent.reconfigure(extra=extra)
    agent.start(wipe=True)


@pytest.mark.parametrize("how", [_terminated, _killed, _wiped, _replaced])
async def test_one_leader_after_the_leaders_agent_was_restarted(
    site: Site, bench: Bench, how: Callable[[ConsulAgent], None]
) -> None:
    """The same or another, by what was left of its session; and both take part again."""
    pair = await site.pair(bench)

    await asyncio.to_thread(how, site.hurt)
    await asyncio.to_thread(site.hurt.wait_ready)
    await _is_known_to_its_agent(bench, site.hurt, "core-1")

    seen = await _leader_for_good(bench)
    assert pair.leader.running
    assert pair.standby.running
    await bench.settled(seen)
    await _both_take_part(bench)


async def _is_known_to_its_agent(bench: Bench, agent: ConsulAgent, node: str) -> None:
    """Wait until the node has seen to it that the agent has its check, and the catalog too."""

    async def both() -> bool:
        services = await asyncio.to_thread(agent.get_json, "/v1/agent/services")
        catalog = (await bench.consul.health_service(bench.paths.candidate_service)).value
        return any(
            each.id in services and each.node == agent.name
            for each in catalog
            if each.meta["node"] == node
        )

    await eventually(both, within_s=60.0)


async def _leader_for_good(bench: Bench, steady_s: float = 3.0) -> TermSeen:
    """The newest term once it has worked for that long from now on, or since it began later."""
    since = time.monotonic()

    async def newest() -> TermSeen | None:
        report = await bench.witness.report()
        term = max(report.terms, key=lambda term: term.term)
        paused = [pause.ended_at for pause in report.pauses if pause.term == term.term]
        steady = term.last_at - max([since, term.first_at, *paused]) >= steady_s
        return term if steady and report.at - term.last_at < 0.5 else None

    term = await eventually(newest, within_s=60.0)
    assert term is not None
    return term


async def _both_take_part(bench: Bench) -> None:
    async def candidates() -> set[str]:
        found = await bench.consul.health_service(bench.paths.candidate_service, passing=True)
        return {each.meta["node"] for each in found.value}

    await eventually(candidates, until=lambda names: names == {"core-1", "core-2"})


async def test_agent_cut_off_from_the_servers_but_not_from_gossip(site: Site, bench: Bench) -> None:
    """Everything of it stays passing in the catalog: only the session's own TTL frees the lock."""
    pair = await site.pair(bench)

    site.rpc.cut_off(site.hurt.config.address)
    await said(pair.leader, "suspended", term=pair.seen.term)
    serf = [
        check
        for check in (await bench.consul.health_node(site.hurt.name)).value
        if check.check_id == "serfHealth"
    ]
    after = await bench.next_leader(pair.seen, within_s=60.0)
    assert after.node == "core-2"
    await bench.found("core-2")
    site.rpc.cut_off()

    await said(pair.leader, "lost_leadership", within_s=45.0, term=pair.seen.term)
    # What stood in the catalog of the one cut off could not be taken back before core-2 began.
    await bench.settled(after, stale_s=60.0)
    assert [check.status.value for check in serf] == ["passing"], "gossip went on"
    await _both_take_part(bench)


async def test_restored_snapshot_is_loss_and_terms_go_on(
    consul_binary: Path, tmp_path: Path
) -> None:
    """The former leader's session is back on the key, under a term that was long over."""
    config = AgentConfig(
        name="server-1",
        directory=tmp_path / "server-1",
        binary=consul_binary,
        mode=AgentMode.SERVER,
    )
    with contextlib.closing(_Running(config)) as running:
        await asyncio.to_thread(running.agent.wait_ready)
        async with bench_on(running.agent, tmp_path) as bench:
            pair = await bench.pair({}, {})
            snapshot = await bench.consul.snapshot_save()
            session = await bench.holder()
            assert session is not None
            await bench.consul.session_destroy(session)
            second = await bench.next_leader(pair.seen)
            assert second.node == "core-2"
            await bench.found("core-2")

            await bench.consul.snapshot_restore(snapshot)

            lost = await said(pair.standby, "lost_leadership", term=second.term)
            assert lost["reason"] in {"another_holder", "vacant", "restored", "session_gone"}
            third = await bench.next_leader(second, within_s=40.0)
            change = await said(bench.fleet[third.node], "leader_changed", term=third.term)
            assert change["cause"] != "handed_over"
            assert change["quarantine_ms"] >= 2500, "nothing that was restored is trusted"
            report = await bench.settled(third, stale_s=60.0)
            assert [term.term for term in report.terms] == sorted(
                {pair.seen.term, second.term, third.term}
            )


class _Running:
    """An agent that is killed in the end."""

    def __init__(self, config: AgentConfig) -> None:
        self.agent = ConsulAgent(config).start()

    def close(self) -> None:
        self.agent.kill()
