"""What Consul answers to who may not ask, as the design relies on it (its section 3).

On a real Consul only: the simulated one has no rights.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from consul_agents import (
    ROOT_TOKEN,
    ConsulAgent,
    acl_settings,
    client_of,
    eventually,
    session_with_check,
)

from coord.consul import (
    ConsulClient,
    ConsulNotPermitted,
    ConsulUnavailable,
    ServiceRegistration,
    TxnOp,
)


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
        assert not await consul.service_writable("nobody", name)
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
