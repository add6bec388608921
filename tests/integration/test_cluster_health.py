"""ClusterHealth under a real leadership on a real Consul."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from consul_agents import ROOT_TOKEN, ConsulAgent, Mode, acl_settings, client_of, eventually
from hand_made import Tenure, lead, make_token, register, release

from coord.clock import SystemClock
from coord.config import Settings
from coord.consul import ConsulClient, ConsulNotPermitted, ConsulUnavailable
from coord.identity import make_identity
from coord.leadership import LeadershipLost
from coord.records import POLLER_SERVICE, Paths
from coord.records.health import ClusterHealthRecord, HealthReason, Verdict
from coord.telemetry import ClusterHealthCheck, Event, NodeDown, NodeUp, Telemetry
from coord.workloads import WorkContext, load_workloads

GENEROUS_S = 60.0


class Bench:
    """One node's ClusterHealth, and everything it tells."""

    def __init__(self, consul: ConsulClient, paths: Paths, **settings: Any) -> None:
        self.consul, self.paths = consul, paths
        values = {"node": "core-1", "election": paths.election, "health_interval": "600s"}
        self.settings = Settings(environ={}, **(values | settings))
        identity = make_identity(self.settings)
        clock = SystemClock()
        telemetry = Telemetry(identity, clock)
        self.events: list[Event] = []
        self._told = asyncio.Event()
        telemetry.attach_inline(self._note)
        self.context = WorkContext(
            settings=self.settings,
            identity=identity,
            consul=consul,
            telemetry=telemetry,
            clock=clock,
            paths=paths,
        )

    def _note(self, event: Event) -> None:
        self.events.append(event)
        self._told.set()

    @property
    def nodes(self) -> list[tuple[str, str]]:
        """Every node_up and node_down so far, as (event, node)."""
        return [(e.NAME, e.name) for e in self.events if isinstance(e, NodeUp | NodeDown)]

    @property
    def checks(self) -> list[ClusterHealthCheck]:
        return [event for event in self.events if isinstance(event, ClusterHealthCheck)]

    async def until(self, is_so: Callable[[], object]) -> None:
        """Wait until what was told makes it so."""
        async with asyncio.timeout(GENEROUS_S):
            while not is_so():
                self._told.clear()
                await self._told.wait()

    async def record(self) -> ClusterHealthRecord | None:
        entry = (await self.consul.kv_get(self.paths.cluster_health)).value
        return None if entry is None else ClusterHealthRecord.decode(entry.value)

    @asynccontextmanager
    async def running(self, tenure: Tenure) -> AsyncIterator[asyncio.Task[None]]:
        """Run the workload, loaded as a node loads it, until the block ends."""
        (spec,) = load_workloads(["cluster-health"], self.context)
        task = asyncio.ensure_future(spec.run(tenure.leadership))
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, LeadershipLost):
                await task


@pytest.fixture
def paths(name: str) -> Paths:
    return Paths(name)


async def candidate(consul: ConsulClient, paths: Paths, node: str) -> str:
    return await register(consul, paths.candidate_service, node)


async def listed(consul: ConsulClient, paths: Paths, node: str, term: int) -> str:
    return await register(consul, paths.leader_service, node, term=str(term))


async def test_it_looks_at_once_and_publishes_what_it_found(
    consul: ConsulClient, paths: Paths
) -> None:
    bench = Bench(consul, paths)
    tenure = await lead(consul, paths, "core-1", 7)
    await candidate(consul, paths, "core-1")
    await candidate(consul, paths, "core-2")
    await register(consul, paths.observer_service, "web-9")
    await register(consul, POLLER_SERVICE, "poller-1", election=paths.election)
    async with bench.running(tenure):
        await bench.until(lambda: len(bench.nodes) == 4)
        record = await bench.record()
    assert record is not None
    assert (record.verdict, record.reasons, record.term) == (Verdict.HEALTHY, (), 7)
    assert (record.nodes.up, record.candidates.up, record.pollers.up) == (4, 2, 1)
    assert record.up == ("core-1", "core-2", "poller-1", "web-9")
    assert {name for name, _ in bench.nodes} == {"node_up"}
    check = bench.checks[0]
    assert (check.term, check.nodes_up, check.nodes_down) == (7, 4, 0)


async def test_it_sees_who_comes_fails_and_goes_without_waiting_for_its_interval(
    consul: ConsulClient, paths: Paths
) -> None:
    bench = Bench(consul, paths)
    tenure = await lead(consul, paths, "core-1", 7)
    await candidate(consul, paths, "core-1")
    async with bench.running(tenure):
        await bench.until(lambda: bench.nodes == [("node_up", "core-1")])
        id_ = await candidate(consul, paths, "core-2")
        await bench.until(lambda: bench.nodes[-1] == ("node_up", "core-2"))
        await consul.check_fail(id_, "TTL expired")
        await bench.until(lambda: bench.nodes[-1] == ("node_down", "core-2"))
        await consul.check_pass(id_, "standby")
        await bench.until(lambda: bench.nodes[-1] == ("node_up", "core-2"))
        await consul.service_deregister(id_)
        await bench.until(lambda: bench.nodes[-1] == ("node_down", "core-2"))
        record = await bench.record()
    assert len(bench.nodes) == 5
    assert record is not None
    assert (record.up, record.down, record.verdict) == (("core-1",), (), Verdict.HEALTHY)


async def test_the_next_leader_tells_only_what_changed(consul: ConsulClient, paths: Paths) -> None:
    first = Bench(consul, paths)
    tenure = await lead(consul, paths, "core-1", 7)
    await candidate(consul, paths, "core-1")
    ids = {node: await candidate(consul, paths, node) for node in ("core-2", "core-3")}
    async with first.running(tenure):
        await first.until(lambda: len(first.nodes) == 3)
    await release(consul, paths, tenure, why="handed_over")
    await consul.service_deregister(ids["core-3"])
    await candidate(consul, paths, "core-4")

    second = Bench(consul, paths, node="core-2")
    async with second.running(await lead(consul, paths, "core-2", 8)):
        await second.until(lambda: second.checks and len(second.nodes) >= 2)
        record = await second.record()
    assert second.nodes == [("node_down", "core-3"), ("node_up", "core-4")]
    assert record is not None
    assert (record.term, record.leader) == (8, "core-2")


async def test_too_few_nodes_degrade_it(consul: ConsulClient, paths: Paths) -> None:
    bench = Bench(consul, paths, min_nodes="2")
    tenure = await lead(consul, paths, "core-1", 7)
    await candidate(consul, paths, "core-1")
    id_ = await candidate(consul, paths, "core-2")
    async with bench.running(tenure):
        await bench.until(lambda: bench.checks and bench.checks[-1].verdict == "healthy")
        await consul.check_fail(id_, "TTL expired")
        await bench.until(lambda: bench.checks[-1].verdict == "degraded")
        record = await bench.record()
    assert record is not None
    assert record.reasons == (HealthReason.TOO_FEW_NODES,)


async def test_a_leader_that_discovery_does_not_show_degrades_it(
    consul: ConsulClient, paths: Paths
) -> None:
    bench = Bench(consul, paths)
    tenure = await lead(consul, paths, "core-1", 7)
    await candidate(consul, paths, "core-1")
    async with bench.running(tenure):
        await bench.until(lambda: bench.checks and bench.checks[-1].verdict == "degraded")
        assert bench.checks[-1].reasons == (HealthReason.LEADER_NOT_LISTED.value,)
        await listed(consul, paths, "core-1", 7)
        await bench.until(lambda: bench.checks[-1].verdict == "healthy")


async def test_nothing_is_published_under_a_term_that_is_over(
    consul: ConsulClient, paths: Paths
) -> None:
    bench = Bench(consul, paths)
    old = await lead(consul, paths, "core-1", 7)
    await candidate(consul, paths, "core-1")
    await release(consul, paths, old, why="handed_over")
    await lead(consul, paths, "core-2", 8)
    # The old lease runs on: a process that was frozen and has not looked yet.
    async with bench.running(old) as task:
        async with asyncio.timeout(GENEROUS_S):
            with pytest.raises(LeadershipLost):
                await asyncio.shield(task)
    assert await bench.record() is None
    assert bench.events == []


async def test_it_ends_when_its_lease_does(consul: ConsulClient, paths: Paths) -> None:
    bench = Bench(consul, paths, health_interval="100ms")
    tenure = await lead(consul, paths, "core-1", 7)
    await candidate(consul, paths, "core-1")
    async with bench.running(tenure) as task:
        await bench.until(lambda: bench.checks)
        tenure.lease.suspend()
        async with asyncio.timeout(GENEROUS_S):
            with pytest.raises(LeadershipLost):
                await asyncio.shield(task)


async def test_it_publishes_at_every_interval_and_reports_progress(
    consul: ConsulClient, paths: Paths
) -> None:
    bench = Bench(consul, paths, health_interval="100ms")
    tenure = await lead(consul, paths, "core-1", 7)
    await candidate(consul, paths, "core-1")
    before = tenure.leadership.progress_at
    async with bench.running(tenure):
        await bench.until(lambda: len(bench.checks) >= 5)
    assert tenure.leadership.progress_at > before
    assert bench.nodes == [("node_up", "core-1")]


async def test_a_record_of_nonsense_is_overwritten(consul: ConsulClient, paths: Paths) -> None:
    bench = Bench(consul, paths)
    await consul.kv_put(paths.cluster_health, b"\xff[]")
    tenure = await lead(consul, paths, "core-1", 7)
    await candidate(consul, paths, "core-1")
    async with bench.running(tenure):
        await bench.until(lambda: bench.nodes)
        assert await bench.record() is not None


async def test_consul_away_is_ridden_out_and_nobody_is_told_to_be_down(
    make_agent: Callable[..., ConsulAgent], paths: Paths
) -> None:
    agent = await asyncio.to_thread(make_agent, mode=Mode.SERVER)
    async with client_of(agent, request_timeout_s=2.0) as consul:
        bench = Bench(consul, paths, health_interval="200ms")
        tenure = await lead(consul, paths, "core-1", 7)
        await candidate(consul, paths, "core-1")
        await candidate(consul, paths, "core-2")
        async with bench.running(tenure) as task:
            await bench.until(lambda: len(bench.nodes) == 2)
            await asyncio.to_thread(agent.stop, signal.SIGKILL)
            with pytest.raises(ConsulUnavailable):
                await consul.kv_get(paths.leader)
            told = len(bench.checks)
            await asyncio.to_thread(agent.start)
            await bench.until(lambda: len(bench.checks) > told + 1)
            assert not task.done()
    assert [name for name, _ in bench.nodes] == ["node_up", "node_up"]


async def test_a_token_that_may_not_see_the_members_is_no_loss_of_nodes(
    make_agent: Callable[..., ConsulAgent], paths: Paths
) -> None:
    agent = await asyncio.to_thread(make_agent, token=ROOT_TOKEN, extra=acl_settings())
    rules = 'key_prefix "service/" { policy = "write" }'
    async with client_of(agent, token=ROOT_TOKEN) as root:

        async def allowed() -> bool:
            try:
                return await root.kv_put(paths.root + "probe", b"")
            except (ConsulNotPermitted, ConsulUnavailable):
                return False

        await eventually(allowed)
        tenure = await lead(root, paths, "core-1", 7)
        await candidate(root, paths, "core-1")
        bench = Bench(root, paths)
        async with bench.running(tenure):
            await bench.until(lambda: bench.nodes)
        token = await asyncio.to_thread(make_token, agent, rules)
        async with client_of(agent, token=token) as narrow:
            blind = Bench(narrow, paths)
            async with blind.running(tenure):
                await blind.until(lambda: blind.checks)
                record = await blind.record()
    assert record is not None
    assert (record.verdict, record.reasons) == (Verdict.DEGRADED, (HealthReason.NOT_PERMITTED,))
    assert record.up == ("core-1",)
    assert blind.nodes == []
