"""Every call of `ConsulApi`."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from conformance_bench import Bench
from consul_agents import eventually, session_with_check

from coord.consul import (
    CheckStatus,
    Consistency,
    ConsulApi,
    ConsulRefused,
    ConsulUnavailable,
    KVEntry,
    Reply,
    ServiceRegistration,
    TtlCheck,
    TxnOp,
    watch,
)


@pytest.mark.parametrize("consistency", list(Consistency))
async def test_a_key_comes_back_as_it_was_written(
    consul: ConsulApi, name: str, consistency: Consistency
) -> None:
    value = bytes(range(256))
    assert await consul.kv_put(name, value, flags=2**63)
    reply = await consul.kv_get(name, consistency=consistency)
    entry = reply.value
    assert entry is not None
    assert (entry.key, entry.value, entry.flags, entry.session) == (name, value, 2**63, None)
    assert entry.modify_index == entry.create_index == reply.index
    assert reply.known_leader is True


async def test_a_missing_key_is_an_answer(consul: ConsulApi, name: str) -> None:
    reply = await consul.kv_get(name)
    assert reply.value is None
    assert reply.index > 0


@pytest.mark.parametrize("odd", ["a b", "100%", "q?x=1", "h#h", "ü", "a%2Fb", "a+b", "a&b=c"])
async def test_odd_names_reach_exactly_their_key(consul: ConsulApi, name: str, odd: str) -> None:
    await consul.kv_put(f"{name}/{odd}", b"x")
    assert (await consul.kv_keys(f"{name}/")).value == (f"{name}/{odd}",)
    entry = (await consul.kv_get(f"{name}/{odd}")).value
    assert entry is not None
    assert entry.value == b"x"


async def test_an_empty_value_is_not_an_absent_key(consul: ConsulApi, name: str) -> None:
    await consul.kv_put(name, b"")
    entry = (await consul.kv_get(name)).value
    assert entry is not None
    assert entry.value == b""


async def test_lists_and_names_under_a_prefix(consul: ConsulApi, name: str) -> None:
    for leaf in ("b", "a", "c/d"):
        await consul.kv_put(f"{name}/{leaf}", leaf.encode())
    listed = await consul.kv_list(f"{name}/")
    assert [(e.key, e.value) for e in listed.value] == [
        (f"{name}/a", b"a"),
        (f"{name}/b", b"b"),
        (f"{name}/c/d", b"c/d"),
    ]
    assert (await consul.kv_list(f"{name}/nothing/")).value == ()
    assert (await consul.kv_keys(f"{name}/nothing/")).value == ()


async def test_names_up_to_a_separator(consul: ConsulApi, name: str) -> None:
    for leaf in ("b/x", "a", "b/y", "c/d/e", "b"):
        await consul.kv_put(f"{name}/{leaf}", b"")
    found = (await consul.kv_keys(f"{name}/", separator="/")).value
    assert found == tuple(f"{name}/{each}" for each in ("a", "b", "b/", "c/"))
    assert (await consul.kv_keys(f"{name}/nothing/", separator="/")).value == ()


async def test_compare_and_set(consul: ConsulApi, name: str) -> None:
    assert await consul.kv_put(name, b"1", cas=0)
    assert not await consul.kv_put(name, b"2", cas=0)
    entry = (await consul.kv_get(name)).value
    assert entry is not None
    assert await consul.kv_put(name, b"2", cas=entry.modify_index)
    assert not await consul.kv_put(name, b"3", cas=entry.modify_index)
    assert not await consul.kv_delete(name, cas=entry.modify_index)
    entry = (await consul.kv_get(name)).value
    assert entry is not None
    assert entry.value == b"2"
    assert await consul.kv_delete(name, cas=entry.modify_index)
    assert (await consul.kv_get(name)).value is None


async def test_deleting_a_prefix(consul: ConsulApi, name: str) -> None:
    await consul.kv_put(f"{name}/a", b"")
    await consul.kv_put(f"{name}/b", b"")
    assert await consul.kv_delete(f"{name}/", recurse=True)
    assert (await consul.kv_keys(f"{name}/")).value == ()
    assert await consul.kv_delete(f"{name}/", recurse=True)


async def test_a_transaction_happens_as_a_whole(consul: ConsulApi, name: str) -> None:
    done = await consul.txn(
        [
            TxnOp.kv_check_not_exists(name),
            TxnOp.kv_cas(name, b"1", 0, flags=3),
            TxnOp.kv_set(f"{name}/a", b"a"),
            TxnOp.kv_get(name),
        ]
    )
    assert done.ok
    assert done.errors == ()
    entry = done.entry(name)
    assert entry is not None
    assert (entry.value, entry.flags) == (b"1", 3)
    assert [e.key for e in done.entries] == [name, f"{name}/a", name]
    gone = await consul.txn(
        [
            TxnOp.kv_check_index(name, entry.modify_index),
            TxnOp.kv_delete_cas(name, entry.modify_index),
            TxnOp.kv_delete(f"{name}/a"),
            TxnOp.kv_delete_tree(f"{name}/"),
        ]
    )
    assert gone.ok
    assert (await consul.kv_keys(name)).value == ()


async def test_a_failed_transaction_is_a_result_and_changes_nothing(
    consul: ConsulApi, name: str
) -> None:
    result = await consul.txn([TxnOp.kv_set(name, b"x"), TxnOp.kv_check_index(name, 1)])
    assert not result.ok
    assert result.entries == ()
    assert [e.op_index for e in result.errors] == [1]
    assert (await consul.kv_get(name)).value is None


@pytest.mark.parametrize("consistency", list(Consistency))
async def test_a_transaction_of_reads(
    consul: ConsulApi, name: str, consistency: Consistency
) -> None:
    await consul.kv_put(f"{name}/a", b"a")
    await consul.kv_put(f"{name}/b", b"b")
    gets = [TxnOp.kv_get(f"{name}/a"), TxnOp.kv_get(f"{name}/b")]
    result = await consul.txn(gets, consistency=consistency)
    assert result.ok
    assert [e.value for e in result.entries] == [b"a", b"b"]
    assert result.known_leader is True


async def test_the_life_of_a_session(consul: ConsulApi, name: str) -> None:
    session_id = await consul.session_create(
        name=name, checks=["serfHealth"], lock_delay_s=2.5, ttl_s=15
    )
    session = await consul.session_info(session_id, consistency=Consistency.CONSISTENT)
    assert session is not None
    node = (await consul.agent_self()).node_name
    assert (session.id, session.name, session.node) == (session_id, name, node)
    assert session.checks == ("serfHealth",)
    assert (session.lock_delay_s, session.ttl_s, session.behavior) == (2.5, 15.0, "release")
    assert await consul.session_renew(session_id) == session
    assert session in await consul.session_list()
    assert session in await consul.session_node(node)
    assert await consul.session_destroy(session_id)
    assert await consul.session_info(session_id) is None
    assert await consul.session_renew(session_id) is None
    assert await consul.session_destroy(session_id)
    assert session_id not in [s.id for s in await consul.session_list()]


async def test_a_session_without_ttl_and_checks(consul: ConsulApi, name: str) -> None:
    session_id = await consul.session_create(
        name=name, checks=[], lock_delay_s=1, behavior="delete"
    )
    session = await consul.session_info(session_id)
    assert session is not None
    assert (session.checks, session.ttl_s, session.behavior) == ((), None, "delete")
    await consul.session_destroy(session_id)


async def test_a_session_on_what_does_not_exist_is_refused(consul: ConsulApi, name: str) -> None:
    with pytest.raises(ConsulRefused):
        await consul.session_create(name=name, checks=[name], lock_delay_s=1)
    with pytest.raises(ConsulRefused):
        await consul.session_create(name=name, checks=["serfHealth"], lock_delay_s=1, node=name)
    with pytest.raises(ConsulRefused):
        await consul.session_renew("not-a-session-id")


async def test_the_agent_says_who_it_is(consul: ConsulApi, bench: Bench) -> None:
    info = await consul.agent_self()
    assert info.node_name == bench.shared.name
    assert info.address == bench.shared.address
    assert (info.datacenter, info.server) == ("dc1", True)
    assert info.version[0].isdigit()


async def test_the_life_of_a_service(consul: ConsulApi, name: str) -> None:
    node = (await consul.agent_self()).node_name
    checks = tuple(
        TtlCheck(f"{name}:{i}", f"check {i}", 60.0, notes="why", status=status)
        for i, status in enumerate((CheckStatus.PASSING, CheckStatus.CRITICAL))
    )
    registration = ServiceRegistration(
        f"{name}-1", name, 8080, "10.0.0.9", ("a", "b"), {"k": "v"}, checks
    )
    await consul.service_register(registration)
    local = (await consul.agent_services())[f"{name}-1"]
    assert (local.name, local.port, local.address) == (name, 8080, "10.0.0.9")
    assert (await consul.agent_checks())[f"{name}:1"].service_id == f"{name}-1"

    reply = await eventually(
        lambda: consul.health_service(name),
        until=lambda r: r.value and len(r.value[0].checks) == 3,
    )
    instance = reply.value[0]
    assert (instance.node, instance.id, instance.name) == (node, f"{name}-1", name)
    assert (instance.address, instance.port) == ("10.0.0.9", 8080)
    assert sorted(instance.tags) == ["a", "b"]
    assert instance.meta == {"k": "v"}
    assert instance.status is CheckStatus.CRITICAL
    assert (await consul.health_service(name, passing=True)).value == ()
    assert (await consul.catalog_services())[name] in {("a", "b"), ("b", "a")}

    assert await consul.check_pass(f"{name}:1", "all is well")
    reply = await eventually(
        lambda: consul.health_service(name, passing=True), until=lambda r: r.value
    )
    noted = {c.check_id: c for c in reply.value[0].checks}[f"{name}:1"]
    assert (noted.output, noted.notes, noted.status) == ("all is well", "why", CheckStatus.PASSING)

    assert await consul.check_fail(f"{name}:1", "broken")
    await eventually(
        lambda: consul.health_state("critical"),
        until=lambda r: f"{name}:1" in [c.check_id for c in r.value],
    )
    await consul.service_deregister(f"{name}-1")
    assert f"{name}-1" not in await consul.agent_services()
    await eventually(lambda: consul.health_service(name), until=lambda r: not r.value)
    await consul.service_deregister(f"{name}-1")


async def test_the_life_of_a_check_of_the_node(consul: ConsulApi, name: str) -> None:
    node = (await consul.agent_self()).node_name
    await consul.check_register(TtlCheck(name, "mine", 60.0, deregister_critical_after_s=120))
    assert await consul.check_pass(name)
    reply = await eventually(
        lambda: consul.health_node(node),
        until=lambda r: any(
            c.check_id == name and c.status is CheckStatus.PASSING for c in r.value
        ),
    )
    assert {c.service_id for c in reply.value if c.check_id == name} == {""}
    await consul.check_deregister(name)
    assert name not in await consul.agent_checks()
    assert not await consul.check_pass(name)
    await consul.check_deregister(name)


async def test_a_check_added_to_a_service(consul: ConsulApi, name: str) -> None:
    await consul.service_register(ServiceRegistration(name, name))
    await consul.check_register(TtlCheck(f"{name}:c", "added", 60.0), service_id=name)
    assert (await consul.agent_checks())[f"{name}:c"].service_id == name
    await consul.service_deregister(name)


async def test_the_catalog_and_the_cluster(consul: ConsulApi, bench: Bench) -> None:
    nodes = await consul.catalog_nodes()
    assert [(n.name, n.address) for n in nodes.value] == [("shared", bench.shared.address)]
    leader = await consul.status_leader()
    assert leader == bench.shared.server_address
    assert await consul.status_peers() == (leader,)
    checks = (await consul.health_state()).value
    assert "serfHealth" in [c.check_id for c in checks]


async def test_whether_a_service_may_be_registered_is_asked_without_registering_it(
    consul: ConsulApi, name: str
) -> None:
    node = (await consul.agent_self()).node_name
    assert await consul.service_writable(node, name)
    assert (await consul.health_service(name)).value == ()
    assert name not in await consul.catalog_services()


async def test_what_a_dead_agent_left_can_be_removed(consul: ConsulApi, name: str) -> None:
    # The agent writes back what it knows within its next sync, minutes away for one it forgot.
    await session_with_check(consul, name)
    node = (await consul.agent_self()).node_name
    await consul.catalog_deregister(node, name)
    assert (await consul.health_service(name)).value == ()
    await consul.service_deregister(name)


async def test_a_snapshot_brings_everything_back(bench: Bench) -> None:
    async with (await bench.server()).client() as consul:
        await consul.kv_put("k", b"before")
        data = await consul.snapshot_save()
        await consul.kv_put("k", b"after")
        await consul.kv_put("other", b"x")
        await consul.snapshot_restore(data)
        entry = (await consul.kv_get("k", consistency=Consistency.CONSISTENT)).value
        assert entry is not None
        assert entry.value == b"before"
        assert (await consul.kv_get("other")).value is None


async def test_a_damaged_snapshot_is_an_error(consul: ConsulApi) -> None:
    with pytest.raises((ConsulRefused, ConsulUnavailable)):
        await consul.snapshot_restore(b"no snapshot")


async def test_a_blocking_query_ends_with_a_change(consul: ConsulApi, name: str) -> None:
    await consul.kv_put(name, b"1")
    first = await consul.kv_get(name)
    waiting = asyncio.create_task(consul.kv_get(name, index=first.index, wait_s=60))
    await consul.kv_put(name, b"2")
    entry = (await waiting).value
    assert entry is not None
    assert entry.value == b"2"


async def test_a_blocking_query_outlives_the_short_deadline(consul: ConsulApi, name: str) -> None:
    await consul.kv_put(name, b"1")
    first = await consul.kv_get(name)
    again = await consul.kv_get(name, index=first.index, wait_s=0.5, deadline_s=0.4)
    assert again.index == first.index


async def test_a_watch_shows_the_first_value_and_each_change(consul: ConsulApi, name: str) -> None:
    await consul.kv_put(name, b"0")

    async def ask(index: int | None) -> Reply[KVEntry | None]:
        return await consul.kv_get(name, index=index, wait_s=0.3)

    seen: list[bytes] = []
    async with asyncio.timeout(30), aclosing(watch(ask, jitter=lambda: 0.0)) as replies:
        async for reply in replies:
            assert isinstance(reply, Reply)
            assert reply.value is not None
            seen.append(reply.value.value)
            if len(seen) == 3:
                break
            await consul.kv_put(name, b"%d" % len(seen))
    assert seen == [b"0", b"1", b"2"]


async def test_health_can_be_watched(consul: ConsulApi, name: str) -> None:
    before = await consul.health_service(name, consistency=Consistency.CONSISTENT)
    waiting = asyncio.create_task(consul.health_service(name, index=before.index, wait_s=60))
    await consul.service_register(ServiceRegistration(name, name))
    assert [i.id for i in (await waiting).value] == [name]
    await consul.service_deregister(name)


async def test_an_agent_that_is_not_there(bench: Bench) -> None:
    async with (await bench.absent()).client() as consul:
        with pytest.raises(ConsulUnavailable) as caught:
            await consul.kv_put("k", b"v")
        assert not caught.value.outcome_unknown
        assert not caught.value.no_leader
