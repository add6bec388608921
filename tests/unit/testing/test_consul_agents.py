"""Simulated agents: who is held to be alive, and how the catalog follows what they know."""

from __future__ import annotations

import pytest
from simulated import Room

from coord.consul import CheckStatus, ConsulUnavailable, ServiceRegistration
from coord.testing.consul.agent import SimulatedAgent

PASSING, CRITICAL = CheckStatus.PASSING, CheckStatus.CRITICAL


async def statuses(room: Room, node: str) -> dict[str, CheckStatus]:
    """The checks of a node, as the servers have them."""
    reply = await room.do(room.at_server(room.leader()).health_node(node))
    return {check.check_id: check.status for check in reply.value}


def cut_off(room: Room, agent: SimulatedAgent, count: int = 3) -> None:
    """Cut an agent off from that many servers."""
    for server in room.consul.servers[:count]:
        room.network.cut_both(agent.name, server.name)


@pytest.mark.parametrize("how", ["kill", "freeze", "cut", "cut one way"])
async def test_an_agent_that_is_gone_is_marked_and_comes_back(how: str) -> None:
    room = Room()
    agent = room.consul.agent("node")
    if how == "kill":
        agent.kill()
    elif how == "freeze":
        agent.freeze()
    elif how == "cut":
        cut_off(room, agent)
    else:
        for server in room.consul.servers:
            room.network.cut(server.name, agent.name)
    await room.wait(5.6)
    assert await statuses(room, "node") == {"serfHealth": PASSING}
    await room.wait(1.8)
    assert await statuses(room, "node") == {"serfHealth": CRITICAL}
    agent.start()
    agent.thaw()
    room.network.heal_all()
    await room.wait(1.1)
    assert await statuses(room, "node") == {"serfHealth": PASSING}


async def test_an_agent_that_is_soon_back_was_never_gone() -> None:
    room = Room()
    agent = room.consul.agent("node")
    for _ in range(5):
        agent.kill()
        await room.wait(5.0)
        agent.start()
        await room.wait(2.0)
        assert await statuses(room, "node") == {"serfHealth": PASSING}


async def test_an_agent_in_reach_of_a_majority_is_there() -> None:
    room = Room()
    cut_off(room, room.consul.agent("node"), 1)
    await room.wait(20.0)
    assert await statuses(room, "node") == {"serfHealth": PASSING}


async def test_its_sessions_end_when_it_is_marked() -> None:
    room = Room()
    agent = room.consul.agent("node")
    session = await room.with_check(room.consul.client(agent), "x")
    agent.kill()
    watcher = room.at_server(room.leader())
    await room.wait(5.6)
    assert await room.do(watcher.session_info(session)) is not None
    await room.wait(1.8)
    assert await room.do(watcher.session_info(session)) is None
    # The check itself stays as it was: nobody is there to say otherwise.
    assert await statuses(room, "node") == {"serfHealth": CRITICAL, "x": PASSING}


async def test_a_failure_without_a_leader_is_written_by_the_next_one() -> None:
    room = Room()
    agent = room.consul.agent("node")
    first, second = room.followers()
    first.kill()
    second.kill()
    agent.kill()
    await room.wait(20.0)
    first.start()
    second.start()
    await room.wait(6.0)
    assert (await statuses(room, "node"))["serfHealth"] is CRITICAL


async def test_what_changed_while_the_servers_were_away_is_written_afterwards() -> None:
    room = Room()
    agent = room.consul.agent("node")
    consul = room.consul.client(agent)
    await room.with_check(consul, "x", ttl_s=1.0)
    cut_off(room, agent)
    await room.wait(3.0)
    assert agent.checks["x"].health.status is CRITICAL
    assert (await statuses(room, "node"))["x"] is PASSING
    room.network.heal_all()
    await room.wait(6.0)
    assert (await statuses(room, "node"))["x"] is CRITICAL


async def test_asked_without_servers_it_hangs_and_later_says_so_at_once() -> None:
    room = Room(stuck_s=(40.0, 40.0), lonely_s=(6.0, 7.0))
    agent = room.consul.agent("node")
    consul = room.consul.client(agent)
    cut_off(room, agent)
    with pytest.raises(ConsulUnavailable) as caught:
        await room.do(consul.kv_put("k", b"v"))
    assert (caught.value.outcome_unknown, caught.value.status) == (True, None)
    await room.wait(6.0)
    started = room.now()
    with pytest.raises(ConsulUnavailable) as caught:
        await room.do(consul.kv_put("k", b"v"))
    assert room.now() - started < 0.1
    assert (caught.value.outcome_unknown, caught.value.no_leader) == (False, True)
    # What it knows itself it still answers, and nothing hangs that fails at once.
    await room.do(consul.service_register(ServiceRegistration("y", "y")))
    assert "y" in await room.do(consul.agent_services())
    room.network.heal_all()
    await room.wait(5.0)
    assert await room.do(consul.kv_put("k", b"v"))
    assert (await room.do(consul.health_service("y"))).value


async def test_while_something_new_cannot_be_written_the_agent_is_slow() -> None:
    """It holds the lock on what it keeps for as long as it tries."""
    room = Room()
    agent = room.consul.agent("node")
    consul = room.consul.client(agent)
    await room.with_check(consul, "x")
    agent.chosen = room.leader()
    for server in room.followers():
        server.kill()
    await room.wait(5.0)
    started = room.now()
    assert await room.do(consul.check_pass("x"))
    assert room.now() - started < 0.1, "nothing is new"
    for call in (
        consul.check_fail("x", deadline_s=1.0),
        consul.check_pass("x", deadline_s=1.0),
        consul.service_register(ServiceRegistration("y", "y"), deadline_s=1.0),
    ):
        with pytest.raises(ConsulUnavailable) as caught:
            await room.do(call)
        assert caught.value.outcome_unknown
    with pytest.raises(ConsulUnavailable) as caught:
        await room.do(consul.agent_checks(deadline_s=1.0))
    assert not caught.value.outcome_unknown
    for server in room.consul.servers:
        server.start()
    await room.wait(40.0)
    # All of it was carried out, in its order.
    assert (await room.do(consul.agent_checks()))["x"].status is PASSING
    assert (await statuses(room, "node"))["x"] is PASSING
    assert (await room.do(consul.health_service("y"))).value


async def test_what_it_sent_into_a_cut_lands_when_that_is_healed() -> None:
    """TCP sends it again; who asked has long given up."""
    room = Room()
    agent = room.consul.agent("node")
    consul = room.consul.client(agent)
    cut_off(room, agent)
    with pytest.raises(ConsulUnavailable):
        await room.do(consul.kv_put("k", b"v"))
    await room.wait(1.0)
    watcher = room.at_server(room.leader())
    assert (await room.do(watcher.kv_get("k"))).value is None
    room.network.heal_all()
    await room.wait(0.1)
    assert (await room.do(watcher.kv_get("k"))).value is not None


async def test_asked_without_a_leader_it_says_so_after_seven_seconds() -> None:
    room = Room()
    agent = room.consul.agent("node")
    consul = room.consul.client(agent)
    agent.chosen = room.leader()
    for server in room.followers():
        server.freeze()
    await room.wait(5.0)
    started = room.now()
    with pytest.raises(ConsulUnavailable) as caught:
        await room.do(consul.kv_put("k", b"v", deadline_s=60))
    assert (caught.value.no_leader, caught.value.outcome_unknown) == (True, False)
    assert room.now() - started == pytest.approx(7.0, abs=0.1)


async def test_a_dead_server_is_left_for_another() -> None:
    room = Room()
    agent = room.consul.agent("node")
    consul = room.consul.client(agent)
    # Not the leader, which everybody would miss.
    agent.chosen = chosen = room.followers()[0]
    await room.do(consul.kv_put("k", b"v"))
    index = (await room.do(consul.kv_get("k"))).index
    waiting = await room.start(consul.kv_get("k", index=index, wait_s=60))
    await room.wait(0.1)
    chosen.kill()
    await room.wait(1.0)
    assert agent.chosen is not chosen
    assert await room.do(consul.kv_put("k", b"w"))
    # The read was asked again, of a server that lives.
    entry = (await room.result(waiting)).value
    assert entry is not None
    assert entry.value == b"w"


async def test_a_fast_clock_lets_checks_run_out_sooner() -> None:
    room = Room()
    agent = room.consul.agent("node")
    agent.clock_rate = 2.0
    consul = room.consul.client(agent)
    await room.with_check(consul, "x", ttl_s=4.0)
    await room.wait(1.7)
    assert (await room.do(consul.agent_checks()))["x"].status is PASSING
    await room.wait(0.4)
    assert (await room.do(consul.agent_checks()))["x"].status is CRITICAL


async def test_a_frozen_agents_checks_run_out_when_it_goes_on() -> None:
    room = Room()
    agent = room.consul.agent("node")
    consul = room.consul.client(agent)
    await room.with_check(consul, "x", ttl_s=1.0)
    agent.freeze()
    await room.wait(4.0)
    assert (await statuses(room, "node"))["x"] is PASSING
    agent.thaw()
    await room.wait(0.2)
    assert (await statuses(room, "node"))["x"] is CRITICAL


async def test_nothing_is_written_while_nothing_changes() -> None:
    room = Room()
    consul = room.consul.client(room.consul.agent("node"))
    await room.with_check(consul, "x", ttl_s=4.0)
    before = room.consul.log.index
    for number in range(400):
        await room.wait(0.5)
        await room.do(consul.check_pass("x", f"note {number % 2}"))
    assert room.consul.log.index <= before + 1
