"""`coord doctor` beside fleets of real nodes: what it finds in them, and that it leaves them be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from acceptance import Bench
from consul_agents import eventually
from doctor_bench import Ward, codes
from operator_bench import Operator

from coord.clock import SystemClock
from coord.consul import CheckStatus
from coord.doctor import Code, Report, Subject
from coord.history import History, read_history
from coord.operations import Operation

pytestmark = pytest.mark.long


async def settled(bench: Bench, *names: str) -> tuple[str, int]:
    """Start these nodes; who leads and in which term, once all told what they are."""
    await bench.fleet.start(*names)
    leader, term = await bench.working_leader()
    for name in names:
        await bench.fleet[name].state("leading" if name == leader.name else "standby")

    async def told() -> set[str]:
        found = await bench.instances(bench.paths.candidate_service)
        return {i.meta["node"] for i in found if i.meta.get("state", "joining") != "joining"}

    await eventually(told, until=lambda seen: seen == set(names))
    return leader.name, term


async def examined(bench: Bench, **asked: Any) -> Report:
    """An examination with the second look as late as people have it."""
    return await Ward(bench.consul, bench.paths).examine(again_s=None, **asked)


async def test_a_fleet_in_order_has_nothing_and_notices_nothing(bench: Bench) -> None:
    name, term = await settled(bench, "core-1", "core-2")
    before = await bench.index_of(bench.paths.leader)
    # All of it: rights to write are tried, and what could be mended would be.
    for asked in ({"read_only": False}, {"fix": True}, {"read_only": True}):
        report = await examined(bench, **asked)
        assert codes(report) == set()
        assert set(report.fine) >= set(Subject) - {Subject.RIGHTS}
    record = await bench.record()
    assert (record.node, record.term) == (name, term)
    assert await bench.index_of(bench.paths.leader) == before
    assert not bench.fleet[name].events("suspended")


async def test_a_node_that_was_killed_and_came_back(bench: Bench) -> None:
    name, term = await settled(bench, "core-1", "core-2", "core-3")
    other = bench.fleet[next(n for n in ("core-2", "core-3", "core-1") if n != name)]
    other.kill()
    await other.wait_exit()
    await _failing(bench, other.name)
    assert await _found(bench) == {Code.CANDIDATE_CRITICAL}
    await other.restart()
    await other.state("standby")

    async def found() -> set[Code]:
        return await _found(bench)

    assert await eventually(found, until=lambda seen: seen == {Code.STALE_SERVICE})
    report = await examined(bench, fix=True)
    assert [fixed.done for fixed in report.fixed] == [True]
    assert await eventually(found, until=lambda seen: seen == set()) == set()
    record = await bench.record()
    assert (record.node, record.term) == (name, term)
    assert other.running


async def _found(bench: Bench) -> set[Code]:
    return codes(await examined(bench))


async def _failing(bench: Bench, name: str) -> None:
    async def failing() -> bool:
        found = await bench.instances(bench.paths.candidate_service)
        return any(i.meta["node"] == name and i.status is CheckStatus.CRITICAL for i in found)

    await eventually(failing)


async def test_a_leader_that_goes_while_the_election_is_paused(bench: Bench) -> None:
    name, _ = await settled(bench, "core-1", "core-2")
    ann = Operator(bench.consul, bench.paths)
    await ann.act(Operation.PAUSE, for_s=600.0, reason="the network")

    async def known() -> bool:
        pages = [(await node.get("/metrics")).text for node in bench.fleet.nodes.values()]
        return all("coordinator_paused 1.0" in page.splitlines() for page in pages)

    await eventually(known)
    assert await _found(bench) == {Code.PAUSED}
    await bench.fleet[name].stop()
    await bench.vacant()
    report = await examined(bench)
    assert codes(report) == {Code.PAUSED, Code.NOBODY_LEADS, Code.SINGLE_CANDIDATE}
    (nobody,) = [finding for finding in report.findings if finding.code is Code.NOBODY_LEADS]
    assert "ann@ops" in nobody.said
    assert "the network" in nobody.said
    assert "`coord resume`" in nobody.do

    history = await read_history(bench.consul, bench.paths, clock=SystemClock())
    assert history.vacant is not None
    assert [pause.actor for pause in history.vacant.paused] == ["ann@ops"]
    await Operator(bench.consul, bench.paths, actor="bob@ops").act(Operation.RESUME)
    await bench.working_leader()

    async def past() -> History:
        return await read_history(bench.consul, bench.paths, clock=SystemClock())

    history = await eventually(past, until=lambda told: told.vacant is None and told.tenures[0].gap)
    (pause,) = history.tenures[0].paused
    assert (pause.actor, pause.ended_by) == ("ann@ops", "bob@ops")


async def test_leaders_that_operators_force_off_are_told_of_as_that(bench: Bench) -> None:
    """Three times in a row, which would be flapping had nobody asked for it."""
    await settled(bench, "core-1", "core-2")
    ann = Operator(bench.consul, bench.paths)
    for _ in range(3):
        done = await ann.act(Operation.FORCE_RELEASE, reason="it hangs")
        assert (await done.outcome()).ok, await done.outcome()
        await bench.working_leader()
    assert Code.LEADER_FLAPS not in await _found(bench)
    history = await read_history(bench.consul, bench.paths, clock=SystemClock())
    assert [tenure.ended for tenure in history.tenures] == ["", *["force_released"] * 3]
    assert {tenure.asked[0].reason for tenure in history.tenures[1:]} == {"it hangs"}


async def test_several_doctors_at_once_do_not_meet(bench: Bench) -> None:
    name, term = await settled(bench, "core-1", "core-2")
    reports = await asyncio.gather(*(examined(bench, read_only=False) for _ in range(3)))
    assert [codes(report) for report in reports] == [set()] * 3
    assert (await bench.record()).term == term
    assert bench.fleet[name].running
