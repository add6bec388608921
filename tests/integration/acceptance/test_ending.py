"""How a node ends: gracefully, at once, or because its work does not stop."""

from __future__ import annotations

import os
import signal
import time
from functools import partial

import pytest
from acceptance import FAST, PULSE, Bench, MakeBench
from acceptance_work import CLOSING_S
from consul_agents import eventually

from coord.application import EXIT_FATAL
from coord.records import LeaderState
from coord.telemetry.journal import read


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_nodes_gracefully(bench: Bench, number: signal.Signals) -> None:
    await bench.fleet.start("core-1", "core-2", "poller-1")
    leader, term = await bench.working_leader()
    (standby,) = (bench.fleet[n] for n in ("core-1", "core-2") if n != leader.name)
    for node in (standby, bench.fleet["poller-1"]):
        await node.state("standby", "observer")
        os.kill(node.pid, number)
        assert await node.wait_exit() == 0
    assert (await bench.record()).term == term
    assert leader.events("lost_leadership") == []
    os.kill(leader.pid, number)
    assert await leader.wait_exit() == 0

    record = await bench.record()
    assert await bench.held_by() is None
    assert (record.state, record.term) == (LeaderState.VACANT, term)
    assert (record.why, record.by, record.node) == ("handed_over", leader.name, leader.name)
    for service in (
        bench.paths.leader_service,
        bench.paths.candidate_service,
        bench.paths.observer_service,
    ):
        await eventually(partial(bench.instances, service), until=lambda found: not found)
    for node in (leader, standby):
        assert await bench.sessions_of(node) == []


async def test_a_clean_end_is_work_stopped_then_released_then_told(make_bench: MakeBench) -> None:
    """In the order of Consul's index, and of the node's own log."""
    env = {CLOSING_S: "1"}
    bench = await make_bench(env=env, workloads=f"{PULSE},acceptance_work:Closing")
    (node,) = await bench.fleet.start("core-1")
    _, term = await bench.working_leader()
    node.terminate()
    assert await node.wait_exit() == 0
    stopped = await bench.index_of(f"{bench.paths.root}work/closed/{term}")
    released = await bench.index_of(bench.paths.leader)
    entries = await read(bench.consul, bench.paths)
    (entry,) = (each for each in entries if each.event.endswith(".lost_leadership"))
    assert (entry.term, entry.details["reason"]) == (term, "shutdown")
    assert stopped < released < await bench.index_of(entry.key)
    (asked,) = node.events("step_down_requested")
    (closed,) = (line for line in node.log() if line["event"] == "work has closed")
    (lost,) = node.events("lost_leadership")
    assert asked["timestamp"] < closed["timestamp"] < lost["timestamp"]


async def test_a_second_signal_ends_at_once(make_bench: MakeBench) -> None:
    bench = await make_bench(env={CLOSING_S: "50"}, workloads=f"{PULSE},acceptance_work:Closing")
    (node,) = await bench.fleet.start("core-1")
    await bench.working_leader()
    node.terminate()
    await node.state("stepping_down")
    second_at = node.terminate()
    assert await node.wait_exit() == -signal.SIGTERM
    assert time.monotonic() - second_at < 10
    assert (await bench.record()).state is LeaderState.HELD, "nothing was handed over"


async def test_work_that_stops_slowly_keeps_its_lease_and_is_handed_over(
    make_bench: MakeBench,
) -> None:
    """It takes longer than lease and fence grace, and less than the shutdown timeout."""
    env = {**FAST, CLOSING_S: "3"}
    bench = await make_bench(env=env, workloads=f"{PULSE},acceptance_work:Closing")
    await bench.fleet.start("core-1", "core-2")
    old, term = await bench.working_leader()
    (other,) = (node for node in bench.fleet.nodes.values() if node is not old)
    await other.state("standby")
    asked_at = old.terminate()
    assert await old.state("stepping_down") == "stepping_down"
    assert await old.wait_exit() == 0
    new, new_term = await bench.working_leader(after_term=term)
    assert new is other
    report = await bench.report()
    closed, gap = report.term(term), report.gap_to(new_term)
    assert closed is not None
    assert closed.last_at - asked_at >= 2.9, "it worked to its end"
    assert gap is not None
    assert gap.gap_s < 1.4, "nobody needed to wait for what was handed over"
    assert await bench.index_of(f"{bench.paths.root}work/closed/{term}"), "its last write came in"
    changed = await bench.event(new, "leader_changed", new_leader=new.name)
    assert changed["cause"] == "handed_over"


async def test_work_that_never_stops_ends_with_the_process_and_nothing_is_handed_over(
    make_bench: MakeBench,
) -> None:
    env = {**FAST, "COORDINATOR_SHUTDOWN_TIMEOUT": "2s"}
    bench = await make_bench(env=env, workloads=f"{PULSE},acceptance_work:Stubborn")
    await bench.fleet.start("core-1", "core-2")
    old, term = await bench.working_leader()
    (other,) = (node for node in bench.fleet.nodes.values() if node is not old)
    await other.state("standby")
    old.terminate()
    assert await old.wait_exit() == EXIT_FATAL
    left = await bench.vacant()
    assert left.state is LeaderState.HELD, "the session ended; nobody wrote that it is handed over"
    new, new_term = await bench.working_leader(after_term=term)
    assert new is other
    changed = await bench.event(new, "leader_changed", new_leader=new.name)
    assert changed["cause"] == "session_invalidated"
    gap = (await bench.report()).gap_to(new_term)
    assert gap is not None
    assert gap.gap_s >= 1.5, "the lock-delay is waited for"
