"""What `coord status`, `history` and `events` show of real nodes on a real Consul."""

from __future__ import annotations

import json
from typing import Any

import pytest
from acceptance import FAST, Bench, MakeBench
from consul_agents import ConsulAgent, eventually
from coord_command import coord, running

from coord.cli.errors import ExitCode
from coord.clock import SystemClock

OWN = ("quarantine_ms", "acquire_ms", "start_ms")


async def shown(agent: ConsulAgent, bench: Bench, *arguments: str) -> tuple[int, Any]:
    """What a command prints as JSON, and its exit code."""
    given = (*arguments, "--json", "--election", bench.paths.election)
    code, out, err = await coord(agent.http_addr, *given)
    assert err == ""
    return code, json.loads(out)


async def history(agent: ConsulAgent, bench: Bench) -> list[dict[str, Any]]:
    code, data = await shown(agent, bench, "history")
    assert code == ExitCode.OK
    assert (data["journal"], data["audit"], data["unreadable"]) == ("known", "known", 0)
    return list(data["tenures"])


async def act(agent: ConsulAgent, bench: Bench, *arguments: str) -> None:
    """Do an operation as alice would, without being asked."""
    given = (*arguments, "--yes", "--actor", "alice", "--reason", "a test of looking", "--json")
    code, out, err = await coord(agent.http_addr, *given, "--election", bench.paths.election)
    assert code == ExitCode.OK, (out, err)


@pytest.mark.long
async def test_the_history_tells_of_a_request_a_kill_and_a_clean_end(
    make_bench: MakeBench, consul_agent: ConsulAgent
) -> None:
    bench = await make_bench(env=FAST)
    await bench.fleet.start("core-1", "core-2")
    first, first_term = await bench.working_leader()

    await act(consul_agent, bench, "step-down", "--term", str(first_term))
    second, second_term = await bench.working_leader(after_term=first_term)

    # The next is killed, once it has written down that it works; the one after ends cleanly.
    await eventually(
        lambda: history(consul_agent, bench),
        until=lambda told: told[0]["term"] == second_term and told[0]["gap"],
    )
    second.kill()
    await second.wait_exit()
    third, third_term = await bench.working_leader(after_term=second_term)
    assert third is first
    third.terminate()
    await third.wait_exit()
    vacancy = await bench.vacant()
    assert vacancy.term == third_term

    tenures = await history(consul_agent, bench)
    assert [(each["term"], each["node"]) for each in tenures] == [
        (third_term, third.name),
        (second_term, second.name),
        (first_term, first.name),
    ]
    clean, killed, stepped = tenures
    assert (stepped["cause"], stepped["reason"]) == ("stepped_down", "stepped_down")
    (one,) = stepped["asked"]
    assert (one["actor"], one["operation"], one["outcome"]) == ("alice", "step_down", "done")
    assert one["reason"] == "a test of looking"
    assert one["obeyed"] is True
    assert (stepped["until"], killed["until"], clean["until"]) == ("told", "seen", "told")
    assert (killed["cause"], killed["reason"]) == ("session_invalidated", None)
    assert (clean["cause"], clean["reason"]) == ("handed_over", "shutdown")
    assert clean["asked"][0]["why"] == "shutdown"
    for tenure in (killed, clean):
        gap = tenure["gap"]
        assert gap["total_ms"] == sum(gap[name] for name in OWN) + (gap["detect_ms"] or 0)
    # Whoever was killed was waited out; whoever stepped down need not be.
    assert clean["gap"]["quarantine_ms"] >= 1500 > killed["gap"]["quarantine_ms"]
    # Its check ran out, so its last sign of life was one TTL before.
    assert clean["gap"]["detect_ms"] >= int(FAST["COORDINATOR_CHECK_TTL"])
    assert killed["gap"]["detect_ms"] is None
    for tenure in tenures:
        assert tenure["from_ms"] <= tenure["until_ms"]
        assert tenure["lasted_ms"] == tenure["until_ms"] - tenure["from_ms"]
        assert tenure["notes"] == []

    code, data = await shown(consul_agent, bench, "history", "--audit")
    assert code == ExitCode.OK
    (entry,) = data["entries"]
    assert (entry["record"]["request_id"], entry["finished"]) == (one["request_id"], True)
    assert entry["record"]["new_term"] == second_term
    for arguments in (("history",), ("history", "--audit"), ("events",)):
        code, out, err = await coord(
            consul_agent.http_addr, *arguments, "--election", bench.paths.election
        )
        assert (code, err) == (ExitCode.OK, "")
        assert "alice" in out


async def test_a_node_says_why_it_does_not_lead_and_the_leader_what_it_does(
    bench: Bench, consul_agent: ConsulAgent
) -> None:
    await bench.fleet.start("core-1", "core-2")
    leader, term = await bench.working_leader()
    other = next(node for node in bench.fleet.nodes.values() if node is not leader)
    now_ms = SystemClock().wall_ms()

    async def told() -> Any:
        return (await shown(consul_agent, bench, "status", other.name))[1]

    view = await eventually(told, until=lambda view: view["why_not"] == "held_by_other")
    assert (view["leads"], view["held_by"]) == (False, leader.name)
    assert abs(view["since_ms"] - now_ms) < 60_000
    assert all(view["why"].values())
    assert view["left_ms"] is None

    async def leads() -> Any:
        return (await shown(consul_agent, bench, "status", leader.name))[1]

    # Its successors are named as soon as it has seen the other.
    view = await eventually(
        leads, until=lambda view: view["leadership"]["successors"] == [other.name]
    )
    assert (view["leads"], view["why"], view["leadership"]["term"]) == (True, None, term)
    assert view["main"]["timing_ms"]["lease"] == 2000
    assert view["main"]["workloads"] != []


@pytest.mark.long
async def test_a_pause_and_a_drain_are_shouted(bench: Bench, consul_agent: ConsulAgent) -> None:
    await bench.fleet.start("core-1", "core-2")
    leader, _ = await bench.working_leader()
    (other,) = (node for node in bench.fleet.nodes.values() if node is not leader)
    address = consul_agent.http_addr
    where = ("--election", bench.paths.election)
    async with running(address, "status", "--json", "--watch", *where) as watched:
        assert json.loads(await watched.line())["paused"] is False
        await act(consul_agent, bench, "drain", other.name)
        await act(consul_agent, bench, "pause", "--for", "10m")
        while True:
            data = json.loads(await watched.line())
            if data["paused"] and data["drained"] == [other.name]:
                break
        assert 0 < data["pause_left_ms"] <= 600_000
        assert (await watched.interrupt())[0] == ExitCode.OK
    code, out, _ = await coord(address, "status", *where)
    assert code == ExitCode.OK
    view = (await shown(consul_agent, bench, "status", other.name))[1]
    assert view["drain"]["actor"] == "alice"
    assert view["pause"]["reason"] == "a test of looking"
    for word in ("PAUSED", "alice", other.name, "DRAINED"):
        assert word in out


async def test_events_are_followed_through_a_change_of_leader(
    make_bench: MakeBench, consul_agent: ConsulAgent
) -> None:
    bench = await make_bench(env=FAST)
    await bench.fleet.start("core-1", "core-2")
    leader, term = await bench.working_leader()
    where = ("--election", bench.paths.election)
    follow = ("events", "-f", "--json", "--limit", "1", "--kind", "became_leader", *where)
    async with running(consul_agent.http_addr, *follow) as events:
        assert json.loads(await events.line())["term"] == term
        leader.terminate()
        _, next_term = await bench.working_leader(after_term=term)
        told = json.loads(await events.line())
        assert (told["kind"], told["term"]) == ("became_leader", next_term)
        assert (await events.interrupt())[0] == ExitCode.OK
