"""What operators ask, in small worlds: obeyed, taken back, and over."""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest

from coord.consul import ConsulNotPermitted
from coord.controls import PAUSE_MARGIN_S
from coord.election.timing import Timing
from coord.orders import FORGET_SPREAD_S
from coord.polling.asking import answer, ask
from coord.polling.records import AskedRecord, JobState
from coord.polling.store import load_results
from coord.records import PauseRecord
from coord.testing.consul.client import SimulatedClient
from coord.testing.node import EPOCH_MS
from tests.simulation.checker import Checker
from tests.simulation.fleet import Fleet
from tests.simulation.history import What
from tests.simulation.test_found import fleet_of, leader_of


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    """Three nodes, of which one leads."""
    with fleet_of(Timing()) as made:
        yield made


def do(fleet: Fleet, asking: Coroutine[Any, Any, Any]) -> Any:
    """Let the operator do that, and no more time pass than it takes."""
    return fleet.world.run(asking)


def pause_stands(fleet: Fleet) -> bool:
    return do(fleet, fleet.operator_client.kv_get(fleet.paths.pause)).value is not None


def put_pause(fleet: Fleet, *, lasts_s: float, ended_ago_s: float) -> None:
    now = datetime.fromtimestamp(EPOCH_MS / 1000 + fleet.world.time, tz=UTC)
    record = PauseRecord(
        actor="ann",
        reason="to see",
        request_id="0123456789abcdef",
        at=now - timedelta(seconds=lasts_s + ended_ago_s),
        for_ms=round(lasts_s * 1000),
    )
    do(fleet, fleet.operator_client.kv_put(fleet.paths.pause, record.encode()))


def restart_all(fleet: Fleet) -> None:
    for member in fleet.members:
        member.node.kill()
    fleet.run_for(10.0)
    for member in fleet.members:
        member.start()


def test_a_request_that_was_taken_back_while_its_leader_stood_still_is_not_obeyed(
    fleet: Fleet,
) -> None:
    leader = leader_of(fleet)
    term = fleet.working[leader.name]
    leader.freeze()
    do(fleet, fleet.operator.ask_step_down(0))
    fleet.run_for(0.5)
    do(fleet, fleet.operator.withdraw())
    fleet.run_for(0.3)
    leader.thaw()
    fleet.run_for(20.0)
    assert fleet.working == {leader.name: term}


def test_one_that_stands_is_obeyed_by_a_leader_that_stood_still(fleet: Fleet) -> None:
    leader = leader_of(fleet)
    leader.freeze()
    do(fleet, fleet.operator.ask_step_down(0))
    fleet.run_for(0.5)
    leader.thaw()
    fleet.run_for(5.0)
    assert fleet.at_work is not leader
    assert fleet.at_work is not None


@contextlib.contextmanager
def denied(fleet: Fleet) -> Iterator[None]:
    """What operators ask may not be read by anybody."""

    async def refused(*_: Any, **__: Any) -> Any:
        raise ConsulNotPermitted("GET /v1/kv", "ACL not found", status=403)

    with patch.object(SimulatedClient, "kv_list", refused):
        yield


def test_rights_that_are_lost_for_a_while_end_no_pause(fleet: Fleet) -> None:
    do(fleet, fleet.operator.pause(300.0))
    fleet.run_for(2.0)
    with denied(fleet):
        do(fleet, fleet.operator.drain("somebody"))  # so that everybody looks
        fleet.run_for(5.0)
        leader_of(fleet).node.kill()
        fleet.run_for(30.0)
        assert fleet.working == {}
    fleet.run_for(60.0)
    assert fleet.working == {}
    do(fleet, fleet.operator.resume())
    fleet.run_for(10.0)
    assert len(fleet.working) == 1


def test_a_pause_that_is_over_is_taken_away_also_where_nobody_leads(fleet: Fleet) -> None:
    do(fleet, fleet.operator.pause(30.0))
    fleet.run_for(1.0)
    for member in fleet.members:
        member.node.kill()
    fleet.run_for(5.0)
    fleet.members[0].start()
    fleet.run_for(40.0)
    assert not pause_stands(fleet)
    assert len(fleet.working) == 1


def test_a_standby_takes_it_away_if_the_leader_does_not(fleet: Fleet) -> None:
    do(fleet, fleet.operator.pause(30.0))
    fleet.run_for(1.0)
    leader_of(fleet).node.kill()
    fleet.run_for(27.0)
    assert pause_stands(fleet)
    fleet.run_for(4.0 + 2 * FORGET_SPREAD_S)
    assert not pause_stands(fleet)


def test_a_pause_that_was_over_long_ago_stops_nobody_who_starts(fleet: Fleet) -> None:
    restart_all(fleet)
    put_pause(fleet, lasts_s=1800.0, ended_ago_s=PAUSE_MARGIN_S + 60.0)
    fleet.run_for(30.0)
    assert len(fleet.working) == 1
    assert not pause_stands(fleet)


def test_one_that_may_not_be_over_by_another_clock_does(fleet: Fleet) -> None:
    for member in fleet.members:
        member.node.kill()
    fleet.run_for(10.0)
    put_pause(fleet, lasts_s=1800.0, ended_ago_s=PAUSE_MARGIN_S - 60.0)
    for member in fleet.members:
        member.start()
    fleet.run_for(60.0)
    assert fleet.working == {}


def test_polls_find_something(fleet: Fleet) -> None:
    paths = fleet.poll_paths
    entries = do(fleet, fleet.operator_client.kv_list(paths.results)).value
    results = load_results(entries, paths.results).records
    assert set(results) == set(fleet.schedules)
    assert [each.ok for each in results.values() if each.state is JobState.COMPLETED]


@pytest.mark.parametrize("killed_after_s", [0.0, 0.02, 0.05, 0.3])
def test_a_run_that_was_asked_for_is_made_whoever_leads(
    fleet: Fleet, killed_after_s: float
) -> None:
    """By the leader that was asked, or the one that follows it; the checker sees to the rest."""
    keys = fleet.poll_paths
    now_ms = EPOCH_MS + round(fleet.world.time * 1000)
    asked = AskedRecord(schedule="s1", actor="ann", request_id="0123456789abcdef", at_ms=now_ms)
    do(fleet, ask(fleet.operator_client, keys, asked))
    fleet.run_for(killed_after_s)
    leader_of(fleet).node.kill()
    result = fleet.world.run(answer(fleet.operator_client, keys, asked), within_s=60.0)
    assert result is not None
    assert (result.asked, result.asked_runs) == (asked.request_id, 1)
    fleet.run_for(20.0)
    counts = [
        e for e in fleet.history if e.what is What.JOB and e.details[:2] == ("asked", asked.job)
    ]
    attempts = [e.details[2] for e in counts]
    assert attempts == list(range(1, len(attempts) + 1))
    assert Checker().take(fleet.history) == []
