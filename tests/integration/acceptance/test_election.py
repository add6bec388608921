"""Who leads: the acceptance list of the election, with real nodes on a real Consul."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from acceptance import FAST, FORMER, Bench, MakeBench
from consul_agents import eventually

from demo.fleet import Node

pytestmark = pytest.mark.also_with_acls

DEBUG = {"COORDINATOR_LOG_LEVEL": "debug"}


def seconds_between(events: list[dict[str, Any]]) -> list[float]:
    """The times from one log line to the next."""
    at = [datetime.fromisoformat(event["timestamp"]) for event in events]
    return [(later - earlier).total_seconds() for earlier, later in pairwise(at)]


def told(nodes: list[Node], event: str) -> list[str]:
    """The names of the nodes that told of the event, once for each time."""
    return [node.name for node in nodes for _ in node.events(event)]


# -- candidates and others ------------------------------------------------------------------------


async def test_an_eligible_node_starts_a_candidate_which_tries_and_wins_where_nobody_leads(
    make_bench: MakeBench,
) -> None:
    """The very first start, which cannot be told from a deleted prefix: it waits its time."""
    bench = await make_bench(led_before=False)
    (node,) = await bench.fleet.start("core-1")
    leader, term = await bench.working_leader()
    assert leader is node
    assert await bench.passing(bench.paths.candidate_service) == {"core-1"}
    assert len(await bench.sessions_of(node)) == 1
    begun = await bench.event(node, "election_started")
    assert begun["wait_ms"] >= 3000
    tried = await bench.event(node, "takeover_attempted", outcome="won", term=term)
    became = await bench.event(node, "became_leader", term=term)
    assert begun["timestamp"] < tried["timestamp"] <= became["timestamp"]
    assert seconds_between([begun, tried])[0] >= 2.9


async def test_of_several_candidates_the_one_with_the_highest_priority_follows(
    make_bench: MakeBench,
) -> None:
    """Of two that are wanted alike, the first by name; and nobody who is wanted less."""
    bench = await make_bench(env=FAST)
    for name, priority in (("core-2", "50"), ("core-3", "200"), ("core-4", "200")):
        bench.fleet.add(name, env={"COORDINATOR_PRIORITY": priority})
    (first,) = await bench.fleet.start("core-1")
    await bench.working_leader()
    await bench.fleet.start("core-2", "core-3", "core-4")

    async def successors() -> tuple[str, ...]:
        return (await bench.record()).successors

    await eventually(successors, until=lambda named: named == ("core-3", "core-4", "core-2"))
    await first.stop()
    leader, _ = await bench.working_leader()
    assert leader.name == "core-3"


async def test_a_node_that_may_not_lead_starts_no_candidate_and_makes_no_attempt(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench(env=FAST)
    bench.fleet.add("core-9", env={"COORDINATOR_ELIGIBLE": "false"})
    others = await bench.fleet.start("poller-1", "core-9", env=DEBUG)
    for node in others:
        await node.state("observer")
        await bench.event(node, "election_check")
        assert await bench.held_by() is None, "it may not take what nobody holds"
    (core,) = await bench.fleet.start("core-1")
    _, term = await bench.working_leader()
    assert await bench.held_by() == "core-1"
    for node in others:
        await bench.event(node, "leader_changed", new_leader="core-1", term=term)
        health = await node.health()
        assert (health["leader_node"], health["leader_term"]) == ("core-1", term)
        assert (health["eligible"], health["why_not_leader"]) == (False, "not_eligible")
        assert await bench.sessions_of(node) == []
    core.kill()
    await bench.vacant()
    for node in others:
        await bench.event(node, "leader_down", former_leader="core-1")
        assert node.events("takeover_attempted") == node.events("election_started") == []
    assert await bench.passing(bench.paths.observer_service) == {"core-9", "poller-1"}
    candidates = await bench.instances(bench.paths.candidate_service)
    assert {each.meta["node"] for each in candidates} == {"core-1"}


async def test_while_somebody_leads_the_others_watch_and_check_periodically(
    make_bench: MakeBench,
) -> None:
    env = {"COORDINATOR_ELECTION_INTERVAL": "700ms", "COORDINATOR_LOG_LEVEL": "debug"}
    bench = await make_bench(env=env)
    (leader,) = await bench.fleet.start("core-1")
    _, term = await bench.working_leader()
    others = await bench.fleet.start("core-2", "web-1")

    def checks(node: Node) -> list[dict[str, Any]]:
        return [e for e in node.events("election_check") if e["state"] == "standby"]

    async def fewest() -> int:
        return min(len(checks(node)) for node in others)

    await eventually(fewest, until=lambda n: n >= 5)
    for node in others:
        found = checks(node)[-4:]
        assert all(e["leader"] == "core-1" and e["level"] == "debug" for e in found)
        assert all(e["why_not"] == "held_by_other" for e in found)
        spans = seconds_between(found)
        assert 0.35 <= sum(spans) / len(spans) <= 1.4, spans
        assert node.events("takeover_attempted") == []
    assert (await bench.record()).term == term
    assert leader.events("lost_leadership") == []


async def test_three_at_once_and_exactly_one_leads(bench: Bench) -> None:
    nodes = await bench.fleet.start("core-1", "core-2", "web-1")
    leader, term = await bench.working_leader()
    for node in nodes:
        await node.state("leading" if node is leader else "standby")
    changed = await bench.event(leader, "leader_changed", new_leader=leader.name)
    assert (changed["previous_leader"], changed["cause"]) == (FORMER, "handed_over")
    assert told(nodes, "became_leader") == [leader.name]
    seen = await bench.report()
    assert [(each.node, each.term) for each in seen.terms] == [(leader.name, term)]


# -- the leader goes ------------------------------------------------------------------------------


async def test_after_a_clean_end_another_leads_within_5_s_and_without_the_takeover_delay(
    make_bench: MakeBench,
) -> None:
    env = {"ACCEPTANCE_CLOSING_S": "1"}
    bench = await make_bench(env=env, workloads="demo.work:Pulse,acceptance_work:Closing")
    await bench.fleet.start("core-1", "core-2")
    old, term = await bench.working_leader()
    (other,) = (node for node in bench.fleet.nodes.values() if node is not old)
    await other.state("standby")
    asked_at = old.terminate()
    assert await old.wait_exit() == 0
    new, new_term = await bench.working_leader(after_term=term)
    assert new is other

    changed = await bench.event(new, "leader_changed", new_leader=new.name)
    assert (changed["cause"], changed["previous_leader"]) == ("handed_over", old.name)
    seen = await bench.report()
    gap = seen.gap_to(new_term)
    assert gap is not None
    assert gap.gap_s < 1.5, "far less than lock-delay and takeover delay, 3 s"
    first_work = seen.term(new_term)
    assert first_work is not None
    assert first_work.first_at - asked_at < 1 + 5
    closed = await bench.index_of(f"{bench.paths.root}work/closed/{term}")
    assert closed < await bench.index_of(bench.paths.term), "the next one came while it worked"


async def test_after_sigkill_another_leads_and_works_within_10_s_and_the_old_one_stands_by(
    make_bench: MakeBench,
) -> None:
    """With the default timing; the ex-leader returns at once and finds the vacancy."""
    bench = await make_bench(env={"COORDINATOR_ELECTION_INTERVAL": "500ms"})
    await bench.fleet.start("core-1", "core-2", "web-1")
    old, term = await bench.working_leader()
    killed_at = old.kill()
    await old.wait_exit()
    new, new_term = await bench.working_leader(after_term=term)
    assert new is not old
    working = (await bench.report()).term(new_term)
    assert working is not None
    assert working.first_at - killed_at <= 10.0
    changed = await bench.event(new, "leader_changed", new_leader=new.name)
    assert (changed["cause"], changed["previous_leader"]) == ("session_invalidated", old.name)

    await old.start(env=DEBUG)
    await bench.event(old, "leader_changed", new_leader=new.name)
    await old.state("standby")
    checked = len(old.events("election_check"))
    await eventually(lambda: _count(old, "election_check"), until=lambda n: n >= checked + 4)
    assert (await bench.record()).node == new.name
    assert (await bench.record()).term == new_term
    assert new.events("lost_leadership") == []
    await bench.witness.work(node=new.name, term=new_term)


async def _count(node: Node, event: str) -> int:
    return len(node.events(event))


async def test_the_takeover_delay_that_is_set_is_waited_for(make_bench: MakeBench) -> None:
    env = {**FAST, "COORDINATOR_TAKEOVER_DELAY": "2000"}
    bench = await make_bench(env=env)
    await bench.fleet.start("core-1", "core-2")
    old, term = await bench.working_leader()
    old.kill()
    new, new_term = await bench.working_leader(after_term=term)
    begun = await bench.event(new, "election_started", former_leader=old.name)
    assert 3500 <= begun["wait_ms"] < 4500, "lock-delay 1500 and takeover delay 2000"
    changed = await bench.event(new, "leader_changed", new_leader=new.name)
    assert changed["quarantine_ms"] >= 3500
    gap = (await bench.report()).gap_to(new_term)
    assert gap is not None
    assert gap.gap_s >= 3.5


async def test_a_rolling_restart_and_the_work_goes_on(bench: Bench) -> None:
    nodes = await bench.fleet.start("core-1", "core-2", "web-1")
    _, term = await bench.working_leader()
    for node in nodes:
        was_leader = (await bench.record()).node == node.name
        await node.restart()
        if was_leader:
            _, term = await bench.working_leader(after_term=term)
        await node.state("standby", "leading")
        await bench.witness.work(term=term)
    assert len(told(nodes, "became_leader")) >= 2
    assert all(node.events("suspended") == [] for node in nodes)
    report = await bench.report()
    assert max(gap.gap_s for gap in report.gaps) < 5.0
    assert {gap.from_node for gap in report.gaps} <= {node.name for node in nodes}


async def test_a_single_node_leads_and_after_a_restart_leads_again(bench: Bench) -> None:
    (node,) = await bench.fleet.start("core-1")
    _, term = await bench.working_leader()
    await node.restart()
    leader, new_term = await bench.working_leader(after_term=term)
    assert leader is node
    assert new_term > term
    gap = (await bench.report()).gap_to(new_term)
    assert gap is not None
    assert gap.gap_s < 5.0
