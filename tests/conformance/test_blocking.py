"""Blocking queries: what wakes them, what does not, and the index that they are answered with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from conformance_bench import Bench, now
from consul_agents import eventually, new_session, session_with_check, take

from coord.consul import (
    CheckStatus,
    Consistency,
    ConsulApi,
    Reply,
    ServiceRegistration,
    TtlCheck,
    TxnOp,
)

SOON_S = 20.0
"""Far less than any wait here, far more than waking takes."""
each_consistency = pytest.mark.parametrize("consistency", list(Consistency))


@asynccontextmanager
async def woken(query: Awaitable[Reply[Any]]) -> AsyncIterator[None]:
    """Whether what is done within wakes the query."""
    waiting = asyncio.ensure_future(query)
    # Sent before what is to wake it, and answered at once if it does not block.
    await asyncio.sleep(0.05)
    assert not waiting.done()
    started = now()
    yield
    await waiting
    assert now() - started < SOON_S


async def test_it_ends_after_its_wait_with_what_there_is(consul: ConsulApi, name: str) -> None:
    await consul.kv_put(name, b"1")
    before = await consul.kv_get(name)
    started = now()
    reply = await consul.kv_get(name, index=before.index, wait_s=0.5)
    assert reply == before
    assert 0.5 <= now() - started < SOON_S


async def test_an_older_index_is_answered_at_once(consul: ConsulApi, name: str) -> None:
    await consul.kv_put(name, b"1")
    before = await consul.kv_get(name)
    started = now()
    assert await consul.kv_get(name, index=before.index - 1, wait_s=60) == before
    assert now() - started < SOON_S


@each_consistency
async def test_a_key_wakes_with_each_kind_of_write(
    consul: ConsulApi, name: str, consistency: Consistency
) -> None:
    session = await new_session(consul, name)
    await consul.kv_put(name, b"1")

    async def asks() -> Awaitable[Reply[Any]]:
        index = (await consul.kv_get(name)).index
        return consul.kv_get(name, index=index, wait_s=60, consistency=consistency)

    async with woken(await asks()):
        await consul.kv_put(name, b"2")
    async with woken(await asks()):
        assert await take(consul, name, session)
    async with woken(await asks()):
        await consul.session_destroy(session)
    async with woken(await asks()):
        await consul.kv_delete(name)
    async with woken(await asks()):
        await consul.kv_put(name, b"3")


async def test_a_write_that_changes_nothing_wakes_nobody(consul: ConsulApi, name: str) -> None:
    await consul.kv_put(name, b"1")
    index = (await consul.kv_get(name)).index
    waiting = asyncio.create_task(consul.kv_get(name, index=index, wait_s=1))
    await asyncio.sleep(0.05)
    await consul.kv_put(name, b"1")
    assert (await waiting).index == index


async def test_a_refused_transaction_wakes_nobody(consul: ConsulApi, name: str) -> None:
    await consul.kv_put(name, b"1")
    index = (await consul.kv_get(name)).index
    waiting = asyncio.create_task(consul.kv_get(name, index=index, wait_s=1))
    await asyncio.sleep(0.05)
    assert not (await consul.txn([TxnOp.kv_set(name, b"2"), TxnOp.kv_get(f"{name}-x")])).ok
    assert (await waiting).index == index


async def test_a_list_wakes_with_what_is_under_it_alone(consul: ConsulApi, name: str) -> None:
    await consul.kv_put(f"{name}/a", b"")
    first = await consul.kv_list(f"{name}/")
    async with woken(consul.kv_list(f"{name}/", index=first.index, wait_s=60)):
        await consul.kv_put(f"{name}/b", b"")
    second = await consul.kv_list(f"{name}/")
    assert second.index == second.value[-1].modify_index
    waiting = asyncio.create_task(consul.kv_list(f"{name}/", index=second.index, wait_s=1))
    await asyncio.sleep(0.05)
    await consul.kv_put(f"{name}-elsewhere", b"")
    assert (await waiting).index == second.index
    async with woken(consul.kv_list(f"{name}/", index=second.index, wait_s=60)):
        await consul.kv_delete(f"{name}/b")
    third = await consul.kv_list(f"{name}/")
    assert [e.key for e in third.value] == [f"{name}/a"]
    assert third.index > second.index


async def test_the_index_of_a_list_remembers_deletions(consul: ConsulApi, name: str) -> None:
    await consul.kv_put(f"{name}/a", b"")
    await consul.kv_delete(f"{name}/a")
    gone = (await consul.kv_list(f"{name}/")).index
    await consul.kv_put(f"{name}-elsewhere", b"")
    assert (await consul.kv_list(f"{name}/")).index == gone
    assert (await consul.kv_get(f"{name}/a")).index > gone


async def test_a_list_of_nothing_has_the_index_of_all_keys(consul: ConsulApi, name: str) -> None:
    first = await consul.kv_list(f"{name}/")
    assert first.value == ()
    await consul.kv_put(f"{name}-elsewhere", b"")
    assert (await consul.kv_list(f"{name}/")).index > first.index
    assert (await consul.kv_keys(f"{name}/")).index == (await consul.kv_list(f"{name}/")).index


async def test_a_list_of_nothing_wakes_with_its_first_key(consul: ConsulApi, name: str) -> None:
    first = await consul.kv_list(f"{name}/")
    async with woken(consul.kv_list(f"{name}/", index=first.index, wait_s=60)):
        await consul.kv_put(f"{name}/a", b"")


async def test_a_service_wakes_with_each_change_of_its_health(consul: ConsulApi, name: str) -> None:
    async def asks() -> Awaitable[Reply[Any]]:
        index = (await consul.health_service(name)).index
        return consul.health_service(name, index=index, wait_s=60)

    async with woken(await asks()):
        await session_with_check(consul, name)
    async with woken(await asks()):
        await consul.check_fail(name)
    async with woken(await asks()):
        await consul.check_pass(name)
    async with woken(await asks()):
        await consul.service_register(ServiceRegistration(name, name, port=17))
    async with woken(await asks()):
        await consul.service_deregister(name)
    assert (await consul.health_service(name)).value == ()


async def test_a_service_sleeps_through_another(consul: ConsulApi, name: str) -> None:
    await session_with_check(consul, name)
    index = (await consul.health_service(name)).index
    waiting = asyncio.create_task(consul.health_service(name, index=index, wait_s=1.5))
    await session_with_check(consul, f"{name}-2")
    assert (await waiting).index == index
    for service in (name, f"{name}-2"):
        await consul.service_deregister(service)


async def test_a_check_of_the_node_wakes_its_services(consul: ConsulApi, name: str) -> None:
    await session_with_check(consul, name)
    index = (await consul.health_service(name)).index
    async with woken(consul.health_service(name, index=index, wait_s=60)):
        await check_of_the_node(consul, f"{name}-n")
    await consul.check_deregister(f"{name}-n")
    await consul.service_deregister(name)


async def check_of_the_node(consul: ConsulApi, check_id: str) -> None:
    """Register a passing check of the node, and see it in the catalog."""
    await consul.check_register(TtlCheck(check_id, "n", 60, status=CheckStatus.PASSING))
    node = (await consul.agent_self()).node_name
    await eventually(
        lambda: consul.health_node(node),
        until=lambda r: check_id in [c.check_id for c in r.value],
    )


async def test_passing_only_counts_the_same_index(consul: ConsulApi, name: str) -> None:
    await session_with_check(consul, name)
    await consul.check_fail(name)
    await eventually(lambda: consul.health_service(name, passing=True), until=lambda r: not r.value)
    every = await consul.health_service(name)
    assert (await consul.health_service(name, passing=True)).index == every.index
    async with woken(consul.health_service(name, passing=True, index=every.index, wait_s=60)):
        await consul.check_pass(name)
    await consul.service_deregister(name)


async def test_a_restore_ends_what_waits_on_the_old_state(bench: Bench, name: str) -> None:
    consul = (await bench.server()).client()
    await consul.kv_put(name, b"1")
    data = await consul.snapshot_save()
    await consul.kv_put(name, b"2")
    asked: list[Callable[[], Awaitable[Reply[Any]]]] = []
    key, none = await consul.kv_get(name), await consul.kv_get(f"{name}-x")
    asked.append(lambda: consul.kv_get(name, index=key.index, wait_s=60))
    asked.append(lambda: consul.kv_get(f"{name}-x", index=none.index, wait_s=60))
    waiting = [asyncio.ensure_future(ask()) for ask in asked]
    await asyncio.sleep(0.1)
    started = now()
    await consul.snapshot_restore(data)
    await asyncio.wait_for(asyncio.gather(*waiting), SOON_S)
    assert now() - started < SOON_S
    after = await consul.kv_get(name)
    assert after.value is not None
    assert after.value.value == b"1"
    assert after.index < key.index
    # What is written after it has a younger index than anything before it.
    await consul.kv_put(name, b"3")
    assert (await consul.kv_get(name)).index > key.index
