"""Consul's servers without a leader: what still answers, and what says so."""

from __future__ import annotations

import pytest
from conformance_bench import Bench
from consul_agents import eventually

from coord.consul import (
    Consistency,
    ConsulApi,
    ConsulUnavailable,
    KVEntry,
    Reply,
    TxnOp,
    no_leader,
)


async def _leaderless(consul: ConsulApi) -> bool:
    return await consul.status_leader() == ""


async def _said(consul: ConsulApi, key: str) -> ConsulUnavailable | None:
    """The error of a write, if that says that there is no leader.

    A client agent asks one server after the other, those too that are gone.
    """
    with pytest.raises(ConsulUnavailable) as caught:
        await consul.kv_put(key, b"y", deadline_s=40)
    return caught.value if caught.value.no_leader else None


async def _stale(consul: ConsulApi, key: str) -> Reply[KVEntry | None] | None:
    """A stale read, if the server that is asked is there."""
    try:
        return await consul.kv_get(key, consistency=Consistency.STALE)
    except ConsulUnavailable:
        return None


async def test_without_a_leader_only_stale_reads_answer(bench: Bench, name: str) -> None:
    """Two of three servers are gone: the rest fails, within our own deadline."""
    (here, *others), beside = await bench.cluster()
    server, client = here.client(), beside.client()
    await server.kv_put(name, b"x")
    for consul in (server, client):
        assert not await no_leader(consul, deadline_s=10.0)
        await eventually(
            lambda consul=consul: consul.kv_get(name, consistency=Consistency.STALE),  # type: ignore[misc]
            until=lambda r: r.value,
        )
    assert await server.status_leader() in await server.status_peers()
    for other in others:
        await other.kill()

    await eventually(lambda: no_leader(server), within_s=60.0)
    # A client agent may first ask the servers that are gone.
    await eventually(lambda: no_leader(client), within_s=60.0)
    assert await _leaderless(server)
    for consul in (server, client):
        stale = await eventually(lambda consul=consul: _stale(consul, name))  # type: ignore[misc]
        assert stale is not None
        assert stale.value is not None
        assert stale.value.value == b"x"
        assert stale.known_leader is False
        for read in (
            consul.kv_get(name, deadline_s=0.5),
            consul.kv_get(name, consistency=Consistency.CONSISTENT, deadline_s=0.5),
            consul.txn([TxnOp.kv_get(name)], deadline_s=0.5),
            consul.session_list(deadline_s=0.5),
        ):
            with pytest.raises(ConsulUnavailable) as caught:
                await read
            assert not caught.value.no_leader, "it is held back: this alone does not tell"
            assert not caught.value.outcome_unknown
        for write in (
            consul.txn([TxnOp.kv_set(name, b"y")], deadline_s=0.5),
            consul.kv_put(name, b"y", deadline_s=0.5),
            consul.session_renew("11111111-2222-3333-4444-555555555555", deadline_s=0.5),
        ):
            with pytest.raises(ConsulUnavailable) as caught:
                await write
            assert caught.value.outcome_unknown

    # Given the time, Consul says why: then it is known that nothing was written.
    for consul in (server, client):
        error = await eventually(lambda consul=consul: _said(consul, name), within_s=60.0)  # type: ignore[misc]
        assert error is not None
        assert not error.outcome_unknown

    await here.freeze()
    assert not await no_leader(server)
    await here.thaw()


async def test_nobody_there_is_not_no_leader(bench: Bench) -> None:
    assert not await no_leader((await bench.absent()).client())


async def test_another_leader_takes_over_and_has_everything(bench: Bench, name: str) -> None:
    servers, beside = await bench.cluster()
    client = beside.client()
    session = await client.session_create(name=name, checks=["serfHealth"], lock_delay_s=1)
    assert (await client.txn([TxnOp.kv_lock(name, b"x", session)])).ok
    first = await client.status_leader()
    (leader,) = (server for server in servers if server.server_address == first)
    held = (await client.kv_get(name, consistency=Consistency.CONSISTENT)).value
    await leader.kill()

    async def other() -> bool:
        try:
            return await client.status_leader() not in ("", first)
        except ConsulUnavailable:
            return False

    await eventually(other, within_s=60.0)
    reply = await eventually_answered(client, name)
    assert reply == held
    assert await client.session_info(session) is not None
    await leader.start()
    await eventually(lambda: _has(leader.client(), name))


async def eventually_answered(consul: ConsulApi, key: str) -> object:
    """A consistent read, once it is answered."""

    async def ask() -> tuple[object, ...]:
        try:
            return ((await consul.kv_get(key, consistency=Consistency.CONSISTENT)).value,)
        except ConsulUnavailable:
            return ()

    return (await eventually(ask, within_s=60.0))[0]


async def _has(consul: ConsulApi, key: str) -> bool:
    reply = await _stale(consul, key)
    return reply is not None and reply.value is not None
