"""A whole node in a simulated world: it leads, is harmed, and ends as the real one does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest

from coord.config import Settings
from coord.leadership import Leadership
from coord.supervisor import ChildSpec
from coord.telemetry import BecameLeader, Event, LostLeadership
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
