"""What others see of an election: discovery, DNS, the health endpoints, metrics and logs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from acceptance import FAST, PULSE, Bench, MakeBench
from acceptance_work import CLOSING_S
from consul_agents import ConsulAgent, eventually
from prometheus_client.parser import text_string_to_metric_families

from demo.fleet import Node, NodeError

PROBES = ("/api/health/live", "/api/health/ready", "/api/health/leader", "/api/health")
LEADER = (200, 200, 200, 200)
FOLLOWER = (200, 200, 503, 200)
NOT_READY = (200, 503, 503, 503)


# -- discovery ------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def watched(bench: Bench) -> AsyncIterator[list[set[str]]]:
    """Looks at discovery again and again: whoever is passing, or found by name, at each look."""
    by_port = {node.address.rpartition(":")[2]: name for name, node in bench.fleet.nodes.items()}
    looks: list[set[str]] = []
    seen = asyncio.Event()

    # It is not cancelled: what waits for DNS may lose that, when the answer comes just then.
    async def look() -> None:
        while not seen.is_set():
            looks.append(await bench.passing())
            looks.append({by_port[str(port)] for port in await bench.dns()})
            await asyncio.sleep(0.02)

    task = asyncio.create_task(look())
    try:
        yield looks
    finally:
        seen.set()
        await task


async def found(bench: Bench, node: Node) -> None:
    """Comes back when that node, and nobody else, passes and is what the name gives."""
    await eventually(bench.passing, until=lambda names: names == {node.name})
    port = int(node.address.rpartition(":")[2])
    await eventually(bench.dns, until=lambda ports: ports == {port})


async def noticed(looks: list[set[str]], node: Node) -> None:
    """Comes back when whoever watches has seen that node too; it may hang in a slow look."""
    await eventually(lambda: asyncio.sleep(0, looks[-1:]), until=lambda last: last == [{node.name}])


@pytest.mark.also_with_acls
async def test_the_passing_coordinator_and_its_dns_name_are_the_working_leader_and_only_it(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench(env=FAST)
    await bench.fleet.start("core-1", "core-2", "web-1", "poller-1")
    terms = []
    async with watched(bench) as looks:
        first, term = await bench.working_leader()
        await found(bench, first)
        await noticed(looks, first)
        (instance,) = (each for each in await bench.instances() if each.meta["node"] == first.name)
        assert (instance.meta["term"], instance.meta["node_type"]) == (str(term), _kind(first))
        assert instance.meta["address"] == first.address == f"{instance.address}:{instance.port}"
        terms.append((first.name, term))

        first.terminate()  # a clean end
        second, term = await bench.working_leader(after_term=term)
        await found(bench, second)
        await noticed(looks, second)
        terms.append((second.name, term))

        second.kill()  # it stays listed, and passing, until its check has run out
        third, term = await bench.working_leader(after_term=term)
        assert await bench.passing() <= {third.name}, "the check ran out before the lock was free"
        await found(bench, third)
        await noticed(looks, third)
        terms.append((third.name, term))

        await first.start()
        await first.state("standby")
        third.freeze()
        fourth, term = await bench.working_leader(after_term=term)
        assert await bench.passing() <= {fourth.name}
        third.wake()
        await found(bench, fourth)
        terms.append((fourth.name, term))
        await eventually(lambda: _gave_way(third))
        await found(bench, fourth)
        await noticed(looks, fourth)

    assert all(len(look) <= 1 for look in looks), "never two"
    seen = [next(iter(look)) for look in looks if look]
    changes = [name for name, before in zip(seen, ["", *seen], strict=False) if name != before]
    assert changes == [name for name, _ in terms], "each in turn, and none comes back"


def _kind(node: Node) -> str:
    return node.name.rpartition("-")[0]


async def _gave_way(node: Node) -> bool:
    with contextlib.suppress(NodeError):  # it may end while it is asked
        return await node.state() in ("cooling", "joining", "standby")
    return not node.running


# -- the health endpoints -------------------------------------------------------------------------


async def answers(node: Node) -> tuple[int, ...]:
    """What the four endpoints answer."""
    return tuple([(await node.get(path)).status_code for path in PROBES])


@pytest.mark.also_with_acls
async def test_the_health_endpoints_answer_by_state(make_bench: MakeBench) -> None:
    env = {CLOSING_S: "2"}
    bench = await make_bench(
        env=env, workloads=f"{PULSE},acceptance_work:Closing", led_before=False
    )
    bench.fleet.add("core-8", env={"CONSUL_HTTP_ADDR": "127.0.0.1:1"})
    joining, poller, core = await bench.fleet.start("core-8", "poller-1", "core-1")
    await core.state("waiting")
    assert await answers(core) == FOLLOWER
    health = await core.health()
    assert (health["why_not_leader"], health["leader_node"]) == ("lock_delay", None)
    assert await joining.state() == "joining"
    assert await answers(joining) == NOT_READY
    health = await joining.health()
    assert (health["consul"], health["status"]) == ("consul_unreachable", "unavailable")
    await poller.state("observer")
    assert await answers(poller) == FOLLOWER

    leader, term = await bench.working_leader()
    assert leader is core
    (standby,) = await bench.fleet.start("web-1")
    await standby.state("standby")
    assert await answers(standby) == FOLLOWER
    assert await answers(core) == LEADER
    health = await core.health()
    assert (health["state"], health["why_not_leader"]) == ("leading", None)
    assert health["term"] == health["leader_term"] == term
    assert 0 < health["lease_remaining_s"] <= 2.0
    assert {child["state"] for child in health["work"]} == {"running"}
    assert (health["node"], health["node_type"], health["eligible"]) == ("core-1", "core", True)
    assert health["cluster"]["leader_node"] == "core-1"
    health = await standby.health()
    assert (health["why_not_leader"], health["leader_node"]) == ("held_by_other", "core-1")

    core.terminate()
    await core.state("stepping_down")
    assert await answers(core) == NOT_READY
    assert await core.wait_exit() == 0


async def test_a_leader_that_cannot_confirm_its_lease_answers_as_suspended(
    make_bench: MakeBench, make_agent: Callable[..., ConsulAgent]
) -> None:
    agent = make_agent()
    bench = await make_bench(agent=agent, env=FAST)
    (node,) = await bench.fleet.start("core-1")
    _, term = await bench.working_leader()
    agent.freeze()
    try:
        await node.state("suspended")
        assert await answers(node) == NOT_READY
        health = await node.health()
        assert (health["consul"], health["term"]) == ("consul_unreachable", None)
        assert health["why_not_leader"] == "consul_unreachable"
        assert {child["state"] for child in health["work"]} == {"ended"}
    finally:
        agent.wake()
    await bench.event(node, "suspended", term=term, reason="consul_unreachable")


@pytest.mark.also_with_acls
async def test_metrics_tell_who_leads_and_what_it_took(bench: Bench) -> None:
    await bench.fleet.start("core-1", "core-2")
    leader, term = await bench.working_leader()
    (other,) = (node for node in bench.fleet.nodes.values() if node is not leader)
    await other.state("standby")
    of_leader, of_other = await metrics(leader), await metrics(other)
    assert of_leader["coordinator_is_leader"] == of_leader["coordinator_working"] == 1
    assert of_other["coordinator_is_leader"] == of_other["coordinator_working"] == 0
    assert of_leader["coordinator_term"] == of_other["coordinator_term"] == term
    assert of_leader["coordinator_eligible"] == of_other["coordinator_eligible"] == 1
    assert of_leader["coordinator_state{state=leading}"] == 1
    assert of_other["coordinator_state{state=standby}"] == 1
    assert 0 < of_leader["coordinator_lease_remaining_seconds"] <= 2.0
    assert of_leader["coordinator_leader_changes_total{cause=handed_over}"] == 1
    assert of_leader["coordinator_takeover_attempts_total{outcome=won}"] == 1
    assert of_leader["coordinator_leadership_gap_seconds_count{phase=total}"] == 1
    assert of_leader["coordinator_confirmation_latency_seconds_count"] >= 1
    led = f"{{cause=handed_over,leader={leader.name},previous_leader=core-0}}"
    assert {k: v for k, v in of_leader.items() if k.startswith("coordinator_leader_info")} == {
        f"coordinator_leader_info{led}": term
    }
    assert not any(name.startswith("coordinator_leader_info") for name in of_other)
    assert of_other["coordinator_why_not{reason=held_by_other}"] == 1
    for kind in ("agent", "read", "write"):
        name = f"coordinator_consul_request_latency_seconds_count{{kind={kind}}}"
        assert of_leader[name] >= 1
    assert 0 <= of_leader["coordinator_watch_age_seconds"] < 90


async def metrics(node: Node) -> dict[str, float]:
    """All samples by name and labels."""
    text = (await node.get("/metrics")).text
    samples = (s for family in text_string_to_metric_families(text) for s in family.samples)
    return {_sample_name(s.name, s.labels): s.value for s in samples}


def _sample_name(name: str, labels: dict[str, str]) -> str:
    said = ",".join(f"{key}={value}" for key, value in labels.items())
    return f"{name}{{{said}}}" if said else name


# -- logs and old settings ------------------------------------------------------------------------


@pytest.mark.also_with_acls
async def test_logs_name_the_leader_on_each_change_on_every_node(bench: Bench) -> None:
    nodes = await bench.fleet.start("core-1", "core-2", "poller-1")
    first, term = await bench.working_leader()
    for node in nodes:
        await bench.event(node, "leader_changed", new_leader=first.name, term=term)
    first.terminate()
    second, second_term = await bench.working_leader(after_term=term)
    for node in nodes:
        if node is first:
            continue
        down = await bench.event(node, "leader_down", former_leader=first.name)
        changed = await bench.event(
            node,
            "leader_changed",
            new_leader=second.name,
            previous_leader=first.name,
            term=second_term,
            cause="handed_over",
        )
        assert (down["level"], changed["level"]) == ("info", "info")
        assert down["timestamp"] < changed["timestamp"]
    for node in (first, second):
        (tried,) = node.events("takeover_attempted")
        assert tried["outcome"] == "won"


async def test_a_static_coordinator_setting_warns_once_and_decides_nothing(bench: Bench) -> None:
    bench.fleet.add("poller-1", env={"CLUSTER_COORDINATOR": "true"})
    bench.fleet.add("core-1", env={"SERVICERADAR_CLUSTER_COORDINATOR": "false"})
    bench.fleet.add("core-2")
    poller, core, plain = await bench.fleet.start("poller-1", "core-1", "core-2")
    leader, term = await bench.working_leader()
    await poller.state("observer")
    if leader is not core:  # what says that it may not lead does not keep it from leading
        leader.terminate()
        assert await leader.wait_exit() == 0
        leader, _ = await bench.working_leader(after_term=term)
    assert leader is core
    for node, variable in ((poller, "CLUSTER_COORDINATOR"), (core, "SERVICERADAR_CLUSTER_COO")):
        (warning,) = (line for line in node.log() if "deprecated" in line["event"])
        assert warning["level"] == "warning"
        assert variable in warning["advice"]
    assert not [line for line in plain.log() if "deprecated" in line["event"]]
