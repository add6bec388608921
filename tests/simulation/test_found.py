"""What the simulation found, each as a small world of its own that shows it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest

from coord.election.timing import Timing
from coord.testing import be_quiet
from tests.simulation.fleet import Fleet, Member
from tests.simulation.plan import SERVERS, Plan


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    """Three nodes, of which one leads; nothing is done to them but by the test."""
    with fleet_of(Timing()) as made:
        yield made


@contextlib.contextmanager
def fleet_of(timing: Timing) -> Iterator[Fleet]:
    """As `fleet`, with those settings."""
    be_quiet()
    plan = Plan(
        seed=1,
        seconds=0.0,
        nodes=3,
        rates=(1.0,) * 3,
        agent_rates=(1.0,) * 3,
        server_rates=(1.0,) * SERVERS,
        timings=(timing,) * 3,
        every_s=1.0,
        weights={},
        on_leader=0.0,
        stop_s=(0.0,) * 3,
        consul_lease_s=(0.5, 2.5),
    )
    made = Fleet(plan)
    made.run_operator(made.prepare())
    for member in made.members:
        member.start()
    made.run_for(20.0)
    try:
        yield made
    finally:
        made.world.close()


def leader_of(fleet: Fleet) -> Member:
    assert fleet.at_work is not None
    return fleet.at_work


def successors_of(fleet: Fleet) -> list[str]:
    """Whom the leader's record names."""

    async def read() -> list[str]:
        entry = (await fleet.operator_client.kv_get(fleet.paths.leader)).value
        assert entry is not None
        named: list[str] = json.loads(entry.value)["successors"]
        return named

    return fleet.world.run(read())


def test_an_answer_about_the_candidates_that_is_lost_is_missed_for_a_minute_at_most(
    fleet: Fleet,
) -> None:
    """It was five, and all that time the leader named a successor who was gone."""
    leader = leader_of(fleet)
    gone, left = (each for each in fleet.members if each is not leader)
    assert set(successors_of(fleet)) == {gone.name, left.name}
    # Consul tells of it while nothing that the agent answers reaches the leader.
    gone.node.kill()
    fleet.run_for(Timing().check_ttl - Timing().heartbeat_interval - 0.1)
    fleet.network.cut(*leader.node_ways[1])
    fleet.run_for(Timing().heartbeat_interval + 0.3)
    fleet.network.heal(*leader.node_ways[1])
    fleet.run_for(1.0)
    assert gone.name in successors_of(fleet), "the answer was not lost: this shows nothing"
    fleet.run_for(70.0)
    assert successors_of(fleet) == [left.name]
