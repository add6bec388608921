"""A whole node in a simulated world: it leads, is harmed, and ends as the real one does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest

from coord.config import Settings
from coord.leadership import Leadership, to_thread
from coord.supervisor import ChildSpec
from coord.telemetry import BecameLeader, ChildRestarted, Event, LostLeadership
from coord.testing import SimulatedConsul, World
from coord.testing.node import EXIT_KILLED, EXIT_WATCHDOG, SimulatedNode
from coord.workloads import WorkContext


class Bench:
    """One node on a Consul of one server, and what is heard of it."""

    def __init__(self, *, stop_s: float = 0.0) -> None:
        self.world = World()
        self.consul = SimulatedConsul(self.world, rng=random.Random(1), servers=1)
        self.told: list[Event] = []
        self.exits: list[int] = []
        self.errors: list[dict[str, Any]] = []
        self.work: list[int] = []
        self.stop_s = stop_s
        settings = Settings(environ={}, node="core-1", workloads="")
        self.node = SimulatedNode(
            self.world,
            settings,
            lambda loop: (client := self.consul.client(), client.kill),
            random=random.Random(1),
            extra_work=self._specs,
            on_event=self.told.append,
            on_exit=self.exits.append,
            on_error=self.errors.append,
        )

    def _specs(self, context: WorkContext) -> tuple[ChildSpec, ...]:
        return (ChildSpec("work", self._run, stop_timeout_s=60.0),)

    async def _run(self, leadership: Leadership) -> None:
        try:
            while True:
                leadership.guard()
                self.work.append(leadership.term)
                await asyncio.sleep(0.1)
        finally:
            await asyncio.sleep(self.stop_s)

    def run_for(self, seconds: float) -> None:
        self.world.run_until(self.world.time + seconds)

    def lead(self) -> None:
        self.node.start()
        self.run_for(10.0)
        assert any(isinstance(event, BecameLeader) for event in self.told)
        assert self.work


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.world.close()


def test_it_leads_works_and_ends_cleanly_when_asked(bench: Bench) -> None:
    bench.lead()
    bench.node.stop()
    bench.run_for(5.0)
    assert bench.exits == [0]
    assert any(isinstance(event, LostLeadership) for event in bench.told)
    assert bench.errors == []
    assert not bench.node.running
    sessions = bench.world.run(bench.consul.client().session_list())
    assert sessions == ()


def test_killed_it_does_nothing_more_and_can_be_started_again(bench: Bench) -> None:
    bench.lead()
    bench.node.kill()
    before = len(bench.work)
    bench.run_for(60.0)
    assert bench.exits == [EXIT_KILLED]
    assert len(bench.work) == before
    bench.node.start()
    bench.run_for(10.0)
    assert bench.node.boots == 2
    assert max(bench.work) > bench.work[0]


def test_a_blocked_event_loop_is_ended_by_the_watchdog_in_its_time(bench: Bench) -> None:
    bench.lead()
    began = bench.world.time
    bench.node.hang()
    bench.world.run_until(began + 30.0, stop=lambda: bool(bench.exits))
    assert bench.exits == [EXIT_WATCHDOG]
    fenced_within = bench.node.settings.timing.fenced_within
    assert bench.world.time - began <= fenced_within


def test_a_frozen_process_is_ended_only_when_it_goes_on(bench: Bench) -> None:
    bench.lead()
    bench.node.freeze()
    before = len(bench.work)
    bench.run_for(60.0)
    assert bench.exits == []
    bench.node.thaw()
    bench.run_for(1.0)
    assert bench.exits == [EXIT_WATCHDOG]
    assert len(bench.work) == before, "its guard had let it do nothing more"


def test_a_process_that_was_frozen_briefly_goes_on(bench: Bench) -> None:
    bench.lead()
    bench.node.freeze()
    before = len(bench.work)
    bench.run_for(1.0)
    bench.node.thaw()
    bench.run_for(5.0)
    assert bench.exits == []
    assert len(bench.work) > before


def test_work_that_does_not_stop_ends_with_its_process() -> None:
    bench = Bench(stop_s=30.0)
    bench.lead()
    bench.consul.network.cut_both("server-1/process", "server-1")
    bench.run_for(10.0)
    (status,) = bench.exits
    assert status > 0
    bench.world.close()


class Counting:
    """Work as a user writes it."""

    name = "counting"

    def __init__(self, context: WorkContext) -> None:
        self._node = context.identity.node

    async def run(self, leadership: Leadership) -> None:
        while True:
            await leadership.put("count", self._node)
            await asyncio.sleep(0.1)


def test_a_fleet_is_made_in_a_line_and_each_node_has_a_host_of_its_own() -> None:
    with World() as world:
        consul = SimulatedConsul(world, rng=random.Random(1), servers=1)
        nodes = [
            SimulatedNode.on(consul, f"core-{n}", work=Counting, lease="1500ms") for n in (1, 2)
        ]
        for node in nodes:
            assert node.settings.lease == 1.5
            assert node.term is None
            node.start()
        assert world.run_for(30.0, stop=lambda: any(node.term for node in nodes))
        leader, other = sorted(nodes, key=lambda node: node.term is None)
        world.run_for(5.0)
        first = leader.term
        assert first is not None

        consul.network.cut_both(leader.name, "server-1")
        assert world.run_for(60.0, stop=lambda: other.term is not None)
        assert leader.term is None
        assert (other.term or 0) > first
        world.run_for(1.0)
        entry = world.run(consul.client().kv_get("count")).value
        assert entry is not None
        assert entry.value.decode() == other.name


async def test_a_node_on_a_consul_of_real_time_is_refused() -> None:
    with pytest.raises(TypeError):
        SimulatedNode.on(SimulatedConsul.on_loop(), "core-1")


class Threads(Counting):
    """Work that waits for a thread."""

    async def run(self, leadership: Leadership) -> None:
        await to_thread(leadership.guard)


def test_work_with_threads_is_told_that_there_are_none() -> None:
    crashed: list[ChildRestarted] = []

    def hear(event: Event) -> None:
        if isinstance(event, ChildRestarted):
            crashed.append(event)

    with World() as world:
        consul = SimulatedConsul(world, rng=random.Random(1), servers=1)
        SimulatedNode.on(consul, "core-1", work=Threads, on_event=hear).start()
        assert world.run_for(30.0, stop=lambda: bool(crashed))
        assert "there are no threads in virtual time" in crashed[0].error
