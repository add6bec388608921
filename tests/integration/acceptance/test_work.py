"""The work under its supervisor: children that crash, and leaders whose work cannot go on."""

from __future__ import annotations

import asyncio

import pytest
from acceptance import PULSE, MakeBench, hand_over_once, running_here
from consul_agents import ConsulAgent, eventually

from coord.application import Application
from coord.consul import ConsulClient
from coord.leadership import Leadership
from coord.records import Paths
from coord.supervisor import ChildSpec, ChildState
from demo.misbehaviour import CRASH_FILE


async def test_a_child_that_crashes_is_restarted_alone(make_bench: MakeBench) -> None:
    bench = await make_bench(workloads=f"{PULSE},acceptance_work:Sibling")
    bench.fleet.add("core-1", env={CRASH_FILE: str(bench.file("crash"))})
    (node,) = await bench.fleet.start("core-1")
    _, term = await bench.working_leader()
    pid = node.pid
    bench.file("crash").touch()
    restarted = await bench.event(node, "child_restarted")
    assert (restarted["child"], restarted["restarts"], restarted["term"]) == ("pulse", 1, term)
    await bench.witness.work(node=node.name, term=term)
    children = {child["id"]: child for child in (await node.health())["work"]}
    assert children["pulse"] == {"id": "pulse", "state": "running", "restarts": 1}
    assert children["sibling"] == {"id": "sibling", "state": "running", "restarts": 0}
    starts = [line for line in node.log() if line["event"] == "work starts"]
    assert [(start["term"], start["pid"]) for start in starts] == [(term, pid)]
    assert (await bench.record()).term == term
    assert node.events("lost_leadership") == []


async def test_over_the_restart_limit_the_leader_steps_down_and_stays_back_while_others_are_there(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench()
    for name in ("core-1", "core-2", "web-1"):
        bench.fleet.add(name, env={CRASH_FILE: str(bench.file(f"{name}.crash"))})
    nodes = await bench.fleet.start("core-1", "core-2", "web-1")
    first, term = await bench.working_leader()
    for node in nodes:
        await node.state("leading" if node is first else "standby")

    bench.file(f"{first.name}.crash").write_text("4")  # 3 in 5 s are restarted
    second, second_term = await bench.working_leader(after_term=term)
    lost = await bench.event(first, "lost_leadership")
    assert (lost["reason"], lost["term"]) == ("work_failed", term)
    assert len(first.events("child_restarted")) == 3
    changed = await bench.event(second, "leader_changed", new_leader=second.name)
    assert (changed["cause"], changed["previous_leader"]) == ("failed", first.name)
    gap = (await bench.report()).gap_to(second_term)
    assert gap is not None
    assert gap.gap_s < 1.5, "its work had stopped: nobody needs to wait"

    second.terminate()
    third, _ = await bench.working_leader(after_term=second_term)
    assert third is not first
    assert await first.state() == "cooling", "the test took longer than the cool-down"
    assert [e["term"] for e in first.events("takeover_attempted")] == [term]
    health = await first.health()
    assert (health["why_not_leader"], health["leader_node"]) == ("cooling_down", third.name)


async def test_children_are_started_and_stopped_while_leading(
    consul: ConsulClient, consul_agent: ConsulAgent, name: str
) -> None:
    """By a program that runs a node; only while it leads, and under its term."""
    key = f"{Paths(name).root}work/dynamic"
    ended = asyncio.Event()

    async def work(leadership: Leadership) -> None:
        try:
            await leadership.put(key, str(leadership.term))
            await asyncio.Event().wait()
        finally:
            ended.set()

    await hand_over_once(consul, Paths(name))
    async with running_here(consul, consul_agent, name) as node:
        supervisor = node.supervisor
        assert supervisor is not None
        with pytest.raises(RuntimeError):
            await supervisor.start_child(ChildSpec("dynamic", work))

        async def children() -> dict[str, ChildState]:
            return {child.id: child.state for child in supervisor.status()}

        await eventually(lambda: _leads(node))
        await supervisor.start_child(ChildSpec("other", _waits))
        await supervisor.start_child(ChildSpec("dynamic", work))
        written = await eventually(lambda: consul.kv_get(key), until=lambda r: r.value is not None)
        assert written.value is not None
        assert int(written.value.value) == node.election_view().term
        assert await children() == {"other": ChildState.RUNNING, "dynamic": ChildState.RUNNING}
        assert await supervisor.stop_child("dynamic")
        assert ended.is_set()
        assert await children() == {"other": ChildState.RUNNING}
    assert await children() == {"other": ChildState.ENDED}


async def _waits(leadership: Leadership) -> None:
    await asyncio.Event().wait()


async def _leads(node: Application) -> bool:
    return node.supervisor is not None and node.supervisor.running
