"""What the design relies on about Consul, one fact a test: checks, agents, rights (its section 3).

See test_facts.py for locks and transactions.
"""

from __future__ import annotations

import asyncio
import signal
import time
import uuid
from collections.abc import Callable

import pytest
from consul_agents import (
    ROOT_TOKEN,
    ConsulAgent,
    Mode,
    acl_settings,
    client_of,
    entry_of,
    eventually,
    session_with_check,
    take,
)

from coord.consul import (
    CheckStatus,
    Consistency,
    ConsulApi,
    ConsulClient,
    ConsulNotPermitted,
    ConsulRefused,
    ConsulUnavailable,
    ServiceRegistration,
    TtlCheck,
    TxnOp,
)

# --- checks ---


async def test_a_ttl_check_ends_the_session_soon_after_its_ttl(
    consul: ConsulApi, name: str
) -> None:
    session = await session_with_check(consul, name, check_ttl_s=1.0)
    await consul.check_pass(name)
    passed = time.monotonic()
    await eventually(lambda: consul.session_info(session), until=lambda s: s is None)
    # A little less than the TTL: the two clocks were not read at the same moment.
    assert time.monotonic() - passed > 0.9
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
    consul: ConsulApi, consul_agent: ConsulAgent, name: str
) -> None:
    """Why each process start has a check of its own."""
    session = await session_with_check(consul, name, check_ttl_s=3.0)
    async with client_of(consul_agent) as successor:
        end = time.monotonic() + 4.5
        while time.monotonic() < end:
            assert await successor.check_pass(name)
            await asyncio.sleep(0.3)
    assert await consul.session_info(session) is not None
    await consul.service_deregister(name)


# --- agents that come back ---


@pytest.fixture
async def fleet(make_agent: Callable[..., ConsulAgent]) -> tuple[ConsulAgent, ConsulAgent]:
    """A server, and a client agent that is a node of its own."""
    server = await asyncio.to_thread(make_agent, mode=Mode.SERVER)
    join = (server.serf_addr,)
    return server, await asyncio.to_thread(make_agent, mode=Mode.CLIENT, retry_join=join)


async def lock_through(agent: ConsulAgent, name: str, *, ttl_s: float | None = None) -> str:
    """A session on that agent's node with a passed check, holding the key `name`."""
    async with client_of(agent) as consul:
        await consul.session_destroy(await session_with_check(consul, name))
        # Only a state that was reported is kept: one registered as passing comes back critical.
        assert await consul.check_pass(name)
        session = await consul.session_create(
            name=name, checks=["serfHealth", name], lock_delay_s=1, ttl_s=ttl_s
        )
        assert await take(consul, name, session)
    return session


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_client_agent_that_kept_its_data_keeps_sessions_and_checks(
    fleet: tuple[ConsulAgent, ConsulAgent], name: str, number: signal.Signals
) -> None:
    """SIGTERM too, as consul-dev tells agents not to leave by it."""
    server, agent = fleet
    session = await lock_through(agent, name)
    await asyncio.to_thread(agent.stop, number)
    await asyncio.to_thread(lambda: agent.start().wait_ready())
    async with client_of(agent) as local, client_of(server) as consul:
        assert await local.check_pass(name)
        # What the agent does not know would be gone from the catalog by the time that this is in.
        await local.service_register(ServiceRegistration(f"{name}-2", f"{name}-2"))
        await eventually(lambda: consul.health_service(f"{name}-2"), until=lambda r: r.value)
        assert (await entry_of(consul, name)).session == session


async def test_a_client_agent_that_leaves_takes_its_sessions_along(
    fleet: tuple[ConsulAgent, ConsulAgent], name: str
) -> None:
    """Consul's own default for client agents on SIGTERM."""
    server, agent = fleet
    agent.reconfigure(extra={"leave_on_terminate": True})
    await asyncio.to_thread(agent.kill)
    await asyncio.to_thread(lambda: agent.start().wait_ready())
    session = await lock_through(agent, name)
    await asyncio.to_thread(agent.stop)
    async with client_of(server) as consul:
        await eventually(lambda: consul.session_info(session), until=lambda s: s is None)
        assert (await entry_of(consul, name)).session is None


async def test_a_wiped_agent_with_its_node_id_removes_what_it_forgot(
    fleet: tuple[ConsulAgent, ConsulAgent], name: str
) -> None:
    server, agent = fleet
    session = await lock_through(agent, name)
    await asyncio.to_thread(agent.kill)
    await asyncio.to_thread(lambda: agent.start(wipe=True).wait_ready())
    async with client_of(agent) as local, client_of(server) as consul:
        assert await local.check_pass(name) is False
        await eventually(lambda: consul.session_info(session), until=lambda s: s is None)
        assert (await entry_of(consul, name)).session is None


async def test_a_wiped_agent_with_a_new_node_id_leaves_the_lock_to_the_session_ttl(
    fleet: tuple[ConsulAgent, ConsulAgent], name: str
) -> None:
    """Why the session has a TTL: its name is reserved, so nothing it reports is taken."""
    server, agent = fleet
    session = await lock_through(agent, name, ttl_s=10)
    renewed = time.monotonic()
    await asyncio.to_thread(agent.kill)
    agent.node_id = str(uuid.uuid4())
    agent.reconfigure()
    await asyncio.to_thread(agent.start, wipe=True)
    async with client_of(server) as consul:
        await eventually(lambda: _tried_to_report(agent))
        assert (await entry_of(consul, name)).session == session
        checks = {c.check_id: c.status for c in (await consul.health_node(agent.name)).value}
        assert checks == {"serfHealth": CheckStatus.PASSING, name: CheckStatus.PASSING}
        await eventually(
            lambda: consul.session_info(session), until=lambda s: s is None, within_s=90
        )
        # Consul promises one TTL, and gives two.
        assert time.monotonic() - renewed > 10
        assert (await entry_of(consul, name)).session is None


async def _tried_to_report(agent: ConsulAgent) -> bool:
    return "is reserved by node" in await asyncio.to_thread(agent.log_tail, 50)


async def test_a_renewed_session_outlives_its_ttl(consul: ConsulApi, name: str) -> None:
    session = await consul.session_create(name=name, checks=[], lock_delay_s=1, ttl_s=10)
    started = time.monotonic()
    while time.monotonic() - started < 22:
        assert await consul.session_renew(session) is not None
        await asyncio.sleep(2)
    assert await consul.session_info(session) is not None
    await consul.session_destroy(session)


async def test_an_agent_restarted_without_its_data_forgets_checks(
    make_agent: Callable[..., ConsulAgent], name: str
) -> None:
    agent = await asyncio.to_thread(make_agent)
    async with client_of(agent) as consul:
        await session_with_check(consul, name)
        await asyncio.to_thread(agent.kill)
        await asyncio.to_thread(lambda: agent.start().wait_ready())
        assert await consul.check_pass(name) is False


async def test_a_killed_server_that_kept_its_data_keeps_sessions_and_checks(
    make_agent: Callable[..., ConsulAgent], name: str
) -> None:
    agent = await asyncio.to_thread(make_agent, mode=Mode.SERVER)
    async with client_of(agent) as consul:
        session = await session_with_check(consul, name)
        assert await take(consul, name, session)
        # Only a state that was reported is kept: one registered as passing comes back critical.
        assert await consul.check_pass(name)
        await asyncio.to_thread(agent.kill)
        await asyncio.to_thread(lambda: agent.start().wait_ready())
        assert await consul.session_info(session) is not None
        assert (await entry_of(consul, name)).session == session
        assert await consul.check_pass(name)


# --- no rights, no leader ---


@pytest.fixture
async def locked_down(make_agent: Callable[..., ConsulAgent]) -> ConsulAgent:
    """An agent that allows nothing without a token."""
    return await asyncio.to_thread(make_agent, token=ROOT_TOKEN, extra=acl_settings())


async def test_without_rights(locked_down: ConsulAgent, name: str) -> None:
    """Lists come back empty, and only some calls say that they were denied."""
    async with client_of(locked_down, token=ROOT_TOKEN) as root:
        await eventually(lambda: _can_write(root, name))
        await session_with_check(root, name)
    async with client_of(locked_down) as consul:
        assert (await consul.kv_list(name)).value == ()
        assert (await consul.health_service(name)).value == ()
        assert (await consul.catalog_nodes()).value == ()
        assert await consul.session_list() == ()
        with pytest.raises(ConsulNotPermitted):
            await consul.kv_get(name)
        with pytest.raises(ConsulNotPermitted):
            await consul.kv_put(name, b"")
        with pytest.raises(ConsulNotPermitted):
            await consul.txn([TxnOp.kv_set(name, b"")])
        with pytest.raises(ConsulNotPermitted):
            await consul.txn([TxnOp.kv_get(name)])
        with pytest.raises(ConsulNotPermitted):
            await consul.session_create(name=name, checks=["serfHealth"], lock_delay_s=1)
        with pytest.raises(ConsulNotPermitted):
            await consul.service_register(ServiceRegistration(name, name))
        with pytest.raises(ConsulNotPermitted):
            await consul.check_pass(name)
        with pytest.raises(ConsulNotPermitted):
            await consul.agent_self()


async def _can_write(consul: ConsulClient, name: str) -> bool:
    try:
        return await consul.kv_put(name, b"")
    except (ConsulNotPermitted, ConsulUnavailable):
        return False


async def test_an_unknown_token_is_not_permitted(locked_down: ConsulAgent, name: str) -> None:
    secret = "99999999-8888-7777-6666-555555555555"
    async with client_of(locked_down, token=secret) as consul:
        with pytest.raises(ConsulNotPermitted) as caught:
            await consul.kv_get(name)
        assert secret not in str(caught.value)
        assert secret not in repr(caught.value)


async def test_without_a_consul_leader_only_stale_reads_answer(
    make_agent: Callable[..., ConsulAgent], name: str
) -> None:
    """One of two servers is gone: writes and consistent reads fail, within our own deadline."""
    one = await asyncio.to_thread(make_agent, mode=Mode.SERVER, bootstrap_expect=2, start=False)
    two = await asyncio.to_thread(
        make_agent,
        mode=Mode.SERVER,
        bootstrap_expect=2,
        retry_join=(one.serf_addr,),
        start=False,
    )
    for agent in (one, two):
        await asyncio.to_thread(agent.start)
    for agent in (one, two):
        await asyncio.to_thread(agent.wait_ready)
    async with client_of(one) as consul:
        await consul.kv_put(name, b"x")
        await eventually(
            lambda: consul.kv_get(name, consistency=Consistency.STALE), until=lambda r: r.value
        )
        await asyncio.to_thread(two.kill)
        await eventually(lambda: _leaderless(consul), within_s=60)
        stale = await consul.kv_get(name, consistency=Consistency.STALE)
        assert stale.value is not None
        assert stale.known_leader is False
        for call in (
            consul.kv_get(name, consistency=Consistency.CONSISTENT, deadline_s=0.5),
            consul.txn([TxnOp.kv_set(name, b"y")], deadline_s=0.5),
            consul.kv_put(name, b"y", deadline_s=0.5),
        ):
            with pytest.raises(ConsulUnavailable):
                await call
        # Given the time, Consul says why: then it is known that nothing was written.
        with pytest.raises(ConsulUnavailable) as caught:
            await consul.kv_put(name, b"y", deadline_s=40)
        assert caught.value.no_leader
        assert not caught.value.outcome_unknown


async def _leaderless(consul: ConsulClient) -> bool:
    return await consul.status_leader() == ""


async def test_a_stopped_agent_costs_no_more_than_the_deadline(
    make_agent: Callable[..., ConsulAgent], name: str
) -> None:
    agent = await asyncio.to_thread(make_agent)
    async with client_of(agent) as consul:
        await consul.kv_put(name, b"x")
        agent.send(signal.SIGSTOP)
        with pytest.raises(ConsulUnavailable) as caught:
            await consul.kv_put(name, b"y", deadline_s=0.5)
        assert caught.value.outcome_unknown
        with pytest.raises(ConsulUnavailable) as caught:
            await consul.kv_get(name, deadline_s=0.5)
        assert not caught.value.outcome_unknown
        agent.send(signal.SIGCONT)
        # It was only late: the write that got no answer is carried out all the same.
        await eventually(lambda: entry_of(consul, name), until=lambda e: e.value == b"y")
