"""That a node feeds its metrics: a whole one, simulated, with a slow Consul if need be."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from coord.election_loop import WATCH_WAIT_S
from coord.leadership import Leadership
from coord.polling.events import RunsMissed
from coord.polling.orchestrator import PollOrchestrator
from coord.testing import SimulatedConsul, World
from coord.testing.node import SimulatedNode
from coord.workloads import WorkContext

TO_AGENT = "core-1/process", "core-1"


class Pulse:
    """Work that does nothing."""

    name = "pulse"

    def __init__(self, context: WorkContext) -> None:
        pass

    async def run(self, leadership: Leadership) -> None:
        """Until cancelled."""
        await asyncio.Event().wait()


class Bench:
    """One node that leads, on a simulated Consul of one server."""

    def __init__(self, work: Callable[[WorkContext], object] = Pulse) -> None:
        self.world = World()
        self.consul = SimulatedConsul(self.world, rng=random.Random(1), servers=1)
        self.node = SimulatedNode.on(self.consul, "core-1", work=work)
        self.node.start()
        self.run_for(20.0)

    def run_for(self, seconds: float) -> None:
        self.world.run_until(self.world.time + seconds)

    def value(self, name: str, **labels: str) -> float:
        """What the node serves now."""
        assert self.node.application is not None
        text = self.node.application.metrics.render()[0].decode()
        (value,) = (
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == f"coordinator_{name}" and sample.labels == labels
        )
        return float(value)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.world.close()


def test_what_a_leader_serves(bench: Bench) -> None:
    assert bench.value("working") == 1
    info = {"leader": "core-1", "previous_leader": "", "cause": "first_start"}
    assert bench.value("leader_info", **info) == bench.value("term") > 0
    assert bench.value("lease_seconds") == bench.node.settings.timing.lease
    assert 0 < bench.value("lease_remaining_seconds") <= bench.value("lease_seconds")
    assert bench.value("child_restarts_total", child="pulse") == 0
    assert bench.value("journal_entries_written_total") > 0
    assert bench.value("journal_entries_lost_total") == 0


def test_the_age_of_the_watch_is_since_its_last_answer_also_of_nothing_new(bench: Bench) -> None:
    ages = []
    for _ in range(200):
        bench.run_for(1.0)
        ages.append(bench.value("watch_age_seconds"))
    assert WATCH_WAIT_S * 0.9 < max(ages) < WATCH_WAIT_S * 1.1
    bench.consul.network.cut_both(*TO_AGENT)
    bench.run_for(WATCH_WAIT_S)
    assert bench.value("watch_age_seconds") >= WATCH_WAIT_S


def test_confirmations_that_come_late_are_close_calls(bench: Bench) -> None:
    bench.run_for(60.0)
    assert bench.value("lease_close_calls_total") == 0
    # Each answer takes 0.9 s, and the next question is asked when it is there.
    for link in (TO_AGENT, TO_AGENT[::-1]):
        bench.consul.network.set(*link, delay_s=(0.45, 0.45))
    bench.run_for(20.0)
    assert bench.value("lease_close_calls_total") > 1
    assert bench.value("is_leader") == 1


def test_a_node_serves_the_metrics_of_its_work() -> None:
    bench = Bench(PollOrchestrator)
    try:
        assert bench.value("polls_total", outcome="no_poller") == 0
        # It leads: there are jobs, and how many.
        assert bench.value("poll_jobs", state="running") == 0
        assert bench.node.application is not None
        bench.node.application.telemetry.emit(RunsMissed, schedule="a", runs=4)
        assert bench.value("poll_runs_missed_total") == 4
    finally:
        bench.world.close()
