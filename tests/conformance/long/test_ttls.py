"""What takes Consul long on a real clock; part of the long suite."""

from __future__ import annotations

import asyncio

import pytest
from conformance_bench import Bench, now
from consul_agents import entry_of, eventually, new_session, session_with_check, take

from coord.consul import CheckStatus, ConsulApi, ServiceRegistration, TtlCheck

pytestmark = pytest.mark.timeout(600)


async def test_a_wiped_agent_with_a_new_node_id_leaves_the_lock_to_the_session_ttl(
    bench: Bench, name: str
) -> None:
    """Why the session has a TTL: its name is reserved, so nothing it reports is taken."""
    server, agent = await bench.fleet()
    local = agent.client()
    await local.session_destroy(await session_with_check(local, name))
    assert await local.check_pass(name)
    session = await local.session_create(
        name=name, checks=["serfHealth", name], lock_delay_s=1, ttl_s=10
    )
    assert await take(local, name, session)
    renewed = now()
    await agent.kill()
    await agent.become_another()
    consul = server.client()
    assert (await entry_of(consul, name)).session == session
    checks = {c.check_id: c.status for c in (await consul.health_node(agent.name)).value}
    assert checks == {"serfHealth": CheckStatus.PASSING, name: CheckStatus.PASSING}
    await eventually(lambda: consul.session_info(session), until=lambda s: s is None, within_s=90)
    # Consul promises one TTL, and gives two.
    assert now() - renewed > 10
    assert (await entry_of(consul, name)).session is None


async def test_a_session_dies_at_twice_its_ttl_and_starts_the_lock_delay(
    consul: ConsulApi, name: str
) -> None:
    before = now()
    session = await consul.session_create(name=name, checks=[], lock_delay_s=30, ttl_s=10)
    created = now()
    assert await take(consul, name, session)
    await asyncio.sleep(created + 19.5 - now())
    assert await consul.session_info(session) is not None
    await eventually(lambda: consul.session_info(session), until=lambda s: s is None)
    assert now() - before >= 20
    assert (await entry_of(consul, name)).session is None
    other = await consul.session_create(name=name, checks=["serfHealth"], lock_delay_s=1)
    assert not await take(consul, name, other)


async def test_a_renewed_session_outlives_its_ttl(consul: ConsulApi, name: str) -> None:
    session = await consul.session_create(name=name, checks=[], lock_delay_s=1, ttl_s=10)
    started = now()
    while now() - started < 22:
        assert await consul.session_renew(session) is not None
        await asyncio.sleep(2)
    assert await consul.session_info(session) is not None
    await consul.session_destroy(session)


async def test_a_lock_delay_above_a_minute_counts_as_a_minute(consul: ConsulApi, name: str) -> None:
    session = await new_session(consul, name, lock_delay_s=90)
    other = await new_session(consul, name)
    assert await take(consul, name, session)
    await consul.session_destroy(session)
    await asyncio.sleep(58)
    assert not await take(consul, name, other)
    await asyncio.sleep(4)
    assert await take(consul, name, other)


async def test_a_service_that_is_critical_for_long_is_removed(consul: ConsulApi, name: str) -> None:
    """Asked for one second, Consul gives a minute, and looks every half one."""
    check = TtlCheck(name, name, 1.0, deregister_critical_after_s=1)
    await consul.service_register(ServiceRegistration(name, name, checks=(check,)))
    started = now()
    await asyncio.sleep(55)
    assert name in await consul.agent_services()
    await eventually(consul.agent_services, until=lambda s: name not in s, within_s=90)
    assert now() - started > 60
    await eventually(lambda: consul.health_service(name), until=lambda r: not r.value)


async def test_what_was_removed_from_the_catalog_comes_back(bench: Bench, name: str) -> None:
    """The agent compares all it knows with the catalog every minute or two."""
    server, agent = await bench.fleet()
    local, consul = agent.client(), server.client()
    session = await session_with_check(local, name)
    assert await take(consul, name, session)
    await consul.catalog_deregister(agent.name)
    assert (await consul.health_node(agent.name)).value == ()
    assert await consul.session_info(session) is None
    assert (await entry_of(consul, name)).session is None
    other = await new_session(consul, name)
    assert not await take(consul, name, other)
    await eventually(
        lambda: consul.health_node(agent.name),
        until=lambda r: {"serfHealth", name} <= {c.check_id for c in r.value},
        within_s=150,
    )
    assert [i.node for i in (await consul.health_service(name)).value] == [agent.name]


async def test_a_note_comes_through_in_the_end(consul: ConsulApi, name: str) -> None:
    check = TtlCheck(name, name, 3600.0, status=CheckStatus.PASSING)
    await consul.service_register(ServiceRegistration(name, name, checks=(check,)))
    # Else it goes along with the registration.
    await eventually(lambda: consul.health_service(name), until=lambda r: r.value)
    await consul.check_pass(name, "first")
    before = now()

    async def said() -> list[str]:
        reply = await consul.health_service(name)
        return [c.output for i in reply.value for c in i.checks if c.check_id == name]

    await eventually(said, until=lambda outputs: outputs == ["first"], within_s=480)
    assert now() - before > 60
