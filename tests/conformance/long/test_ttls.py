"""What takes Consul long on a real clock; part of the long suite."""

from __future__ import annotations

import asyncio

from conformance_bench import Bench, now
from consul_agents import entry_of, eventually, session_with_check, take

from coord.consul import CheckStatus, ConsulApi


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
