"""What the design relies on about Consul, one fact a test: checks and agents (its section 3).

See test_locks.py for locks and transactions.
"""

from __future__ import annotations

import asyncio

import pytest
from conformance_bench import Bench, Node, now
from consul_agents import (
    entry_of,
    eventually,
    new_session,
    session_with_check,
    take,
)

from coord.consul import (
    CheckStatus,
    ConsulApi,
    ConsulRefused,
    ConsulUnavailable,
    ServiceRegistration,
    TtlCheck,
)

# --- checks ---


async def test_a_ttl_check_ends_the_session_soon_after_its_ttl(
    consul: ConsulApi, name: str
) -> None:
    session = await session_with_check(consul, name, check_ttl_s=1.0)
    await consul.check_pass(name)
    passed = now()
    await eventually(lambda: consul.session_info(session), until=lambda s: s is None)
    # A little less than the TTL: the two clocks were not read at the same moment.
    assert now() - passed > 0.9
    checks = (await consul.health_service(name)).value[0].checks
    assert {c.check_id: c.status for c in checks}[name] is CheckStatus.CRITICAL
    await consul.service_deregister(name)


async def test_a_check_below_a_second_works(consul: ConsulApi, name: str) -> None:
    check = TtlCheck(name, name, 0.3, status=CheckStatus.PASSING)
    await consul.service_register(ServiceRegistration(name, name, checks=(check,)))
    await eventually(
        lambda: consul.health_service(name),
        until=lambda r: r.value and r.value[0].status is CheckStatus.CRITICAL,
    )
    await consul.service_deregister(name)


async def test_a_session_ttl_below_ten_seconds_is_refused(consul: ConsulApi, name: str) -> None:
    with pytest.raises(ConsulRefused):
        await consul.session_create(name=name, checks=[], lock_delay_s=1, ttl_s=9)


async def test_a_session_lists_exactly_the_checks_it_was_given(
    consul: ConsulApi, name: str
) -> None:
    """Checks of services and of the node alike, in one list."""
    await consul.check_register(TtlCheck(f"{name}:node", "n", 60, status=CheckStatus.PASSING))
    first = await session_with_check(consul, name)
    checks = ["serfHealth", f"{name}:node", name]
    await eventually(
        lambda: consul.health_node("shared"),
        until=lambda r: {f"{name}:node", name} <= {c.check_id for c in r.value},
    )
    session = await consul.session_create(name=name, checks=checks, lock_delay_s=1)
    info = await consul.session_info(session)
    assert info is not None
    assert info.checks == tuple(checks)
    await consul.check_fail(f"{name}:node")
    await eventually(lambda: consul.session_info(session), until=lambda s: s is None)
    assert await consul.session_info(first) is not None
    await consul.check_deregister(f"{name}:node")
    await consul.service_deregister(name)


async def test_no_session_on_a_critical_check(consul: ConsulApi, name: str) -> None:
    session = await session_with_check(consul, name)
    await consul.check_fail(name)
    await eventually(lambda: consul.session_info(session), until=lambda s: s is None)
    with pytest.raises(ConsulRefused):
        await consul.session_create(name=name, checks=[name], lock_delay_s=1)
    await consul.service_deregister(name)


async def test_registering_again_leaves_a_check_as_it_is(consul: ConsulApi, name: str) -> None:
    """Why a node passes its check first and then creates the session."""
    await session_with_check(consul, name)
    for asked, kept in (
        (CheckStatus.CRITICAL, CheckStatus.PASSING),
        (CheckStatus.PASSING, CheckStatus.CRITICAL),
    ):
        check = TtlCheck(name, name, 60.0, status=asked)
        await consul.service_register(ServiceRegistration(name, name, checks=(check,)))
        assert (await consul.agent_checks())[name].status is kept
        await consul.check_fail(name)
    await consul.service_deregister(name)


async def test_passing_an_unknown_check_says_so(consul: ConsulApi, name: str) -> None:
    assert await consul.check_pass(name) is False
    assert await consul.check_fail(name) is False


async def test_passing_the_check_of_a_predecessor_keeps_its_session(
    consul: ConsulApi, bench: Bench, name: str
) -> None:
    """Why each process start has a check of its own."""
    session = await session_with_check(consul, name, check_ttl_s=3.0)
    successor = bench.shared.client()
    end = now() + 4.5
    while now() < end:
        assert await successor.check_pass(name)
        await asyncio.sleep(0.3)
    assert await consul.session_info(session) is not None
    await consul.service_deregister(name)


# --- agents that come back ---


async def lock_through(agent: Node, name: str, *, ttl_s: float | None = None) -> str:
    """A session on that agent's node with a passed check, holding the key `name`."""
    consul = agent.client()
    await consul.session_destroy(await session_with_check(consul, name))
    # Only a state that was reported is kept: one registered as passing comes back critical.
    assert await consul.check_pass(name)
    session = await consul.session_create(
        name=name, checks=["serfHealth", name], lock_delay_s=1, ttl_s=ttl_s
    )
    assert await take(consul, name, session)
    return session


@pytest.mark.parametrize("by_kill", [True, False])
async def test_a_client_agent_that_kept_its_data_keeps_sessions_and_checks(
    bench: Bench, name: str, by_kill: bool
) -> None:
    """SIGTERM too, as consul-dev tells agents not to leave by it."""
    server, agent = await bench.fleet()
    session = await lock_through(agent, name)
    await (agent.kill() if by_kill else agent.stop())
    await agent.start()
    local, consul = agent.client(), server.client()
    assert await local.check_pass(name)
    # What the agent does not know would be gone from the catalog by the time that this is in.
    await local.service_register(ServiceRegistration(f"{name}-2", f"{name}-2"))
    await eventually(lambda: consul.health_service(f"{name}-2"), until=lambda r: r.value)
    assert (await entry_of(consul, name)).session == session


async def test_a_check_that_ran_out_while_its_agent_was_down_comes_back_critical(
    bench: Bench, name: str
) -> None:
    server, agent = await bench.fleet()
    local, consul = agent.client(), server.client()
    session = await session_with_check(local, name, check_ttl_s=1.0)
    assert await local.check_pass(name)
    await agent.kill()
    await asyncio.sleep(2.5)
    # Nobody tells the servers of a TTL that ran out while the agent was away.
    assert await consul.session_info(session) is not None
    await agent.start()
    await eventually(lambda: consul.session_info(session), until=lambda s: s is None)
    assert (await local.agent_checks())[name].status is CheckStatus.CRITICAL


async def test_a_client_agent_that_leaves_takes_its_sessions_along(bench: Bench, name: str) -> None:
    """Consul's own default for client agents on SIGTERM."""
    server, agent = await bench.fleet()
    session = await lock_through(agent, name)
    await agent.leave()
    consul = server.client()
    await eventually(lambda: consul.session_info(session), until=lambda s: s is None)
    assert (await entry_of(consul, name)).session is None


async def test_a_wiped_agent_with_its_node_id_removes_what_it_forgot(
    bench: Bench, name: str
) -> None:
    server, agent = await bench.fleet()
    session = await lock_through(agent, name)
    await agent.kill()
    await agent.start(wipe=True)
    local, consul = agent.client(), server.client()
    assert await local.check_pass(name) is False
    await eventually(lambda: consul.session_info(session), until=lambda s: s is None)
    assert (await entry_of(consul, name)).session is None


async def test_an_agent_restarted_without_its_data_forgets_checks(bench: Bench, name: str) -> None:
    agent = await bench.dev()
    await session_with_check(agent.client(), name)
    await agent.kill()
    await agent.start()
    assert await agent.client().check_pass(name) is False


async def test_a_killed_server_that_kept_its_data_keeps_sessions_and_checks(
    bench: Bench, name: str
) -> None:
    agent = await bench.server()
    consul = agent.client()
    session = await session_with_check(consul, name)
    assert await take(consul, name, session)
    # Only a state that was reported is kept: one registered as passing comes back critical.
    assert await consul.check_pass(name)
    await agent.kill()
    await agent.start()
    assert await consul.session_info(session) is not None
    assert (await entry_of(consul, name)).session == session
    assert await consul.check_pass(name)


async def test_a_server_that_starts_again_starts_every_lock_delay_anew(
    bench: Bench, name: str
) -> None:
    """It carries out its log again, and with it the end of each session."""
    agent = await bench.server()
    consul = agent.client()
    session = await new_session(consul, name, lock_delay_s=3)
    assert await take(consul, name, session)
    await consul.session_destroy(session)
    await asyncio.sleep(3.1)
    await agent.kill()
    await agent.start()
    other = await new_session(consul, name)
    assert not await take(consul, name, other)
    await eventually(lambda: take(consul, name, other))


async def test_a_stopped_agent_costs_no_more_than_the_deadline(bench: Bench, name: str) -> None:
    agent = await bench.dev()
    consul = agent.client()
    await consul.kv_put(name, b"x")
    await agent.freeze()
    with pytest.raises(ConsulUnavailable) as caught:
        await consul.kv_put(name, b"y", deadline_s=0.5)
    assert caught.value.outcome_unknown
    with pytest.raises(ConsulUnavailable) as caught:
        await consul.kv_get(name, deadline_s=0.5)
    assert not caught.value.outcome_unknown
    await agent.thaw()
    # It was only late: the write that got no answer is carried out all the same.
    await eventually(lambda: entry_of(consul, name), until=lambda e: e.value == b"y")
