"""What the design relies on about Consul, one fact a test: locks and
transactions, indexes and watches (its section 3).

A test here that fails on another version of Consul names what no longer holds. Times are never
asserted but for a lower bound that Consul's own clock gives, and generous upper ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from conformance_bench import Bench, now
from consul_agents import (
    entry_of,
    eventually,
    new_session,
    session_with_check,
    take,
)

from coord.consul import (
    Consistency,
    ConsulApi,
    TxnOp,
    TxnResult,
)

NO_SESSION = "00000000-0000-0000-0000-000000000000"


async def vacant_lock(consul: ConsulApi, root: str) -> int:
    """Create a leader key and a term key as a first start does; the vacancy's index."""
    assert await consul.kv_put(f"{root}/leader", b"vacant", cas=0)
    assert await consul.kv_put(f"{root}/term", b"0", cas=0)
    return (await entry_of(consul, f"{root}/leader")).modify_index


async def acquire(
    consul: ConsulApi, root: str, session: str, vacancy: int, *, term_index: int | None = None
) -> TxnResult:
    """The acquire transaction of the design."""
    if term_index is None:
        term_index = (await entry_of(consul, f"{root}/term")).modify_index
    return await consul.txn(
        [
            TxnOp.kv_check_index(f"{root}/leader", vacancy),
            TxnOp.kv_lock(f"{root}/leader", session.encode(), session),
            TxnOp.kv_cas(f"{root}/term", b"term", term_index),
            TxnOp.kv_get(f"{root}/leader"),
            TxnOp.kv_get(f"{root}/term"),
        ]
    )


async def held_lock(consul: ConsulApi, root: str, *, lock_delay_s: float = 1.0) -> str:
    """A leader key that a new session holds; that session."""
    session = await new_session(consul, root, lock_delay_s=lock_delay_s)
    assert (await acquire(consul, root, session, await vacant_lock(consul, root))).ok
    return session


def errors_of(result: TxnResult) -> list[tuple[int, str]]:
    """What failed, at which step."""
    assert not result.ok
    return [(e.op_index, e.what) for e in result.errors]


# --- the acquire transaction ---


async def test_acquire_takes_the_lock_and_raises_the_term_at_once(
    consul: ConsulApi, name: str
) -> None:
    session = await new_session(consul, name)
    result = await acquire(consul, name, session, await vacant_lock(consul, name))
    leader, term = result.entry(f"{name}/leader"), result.entry(f"{name}/term")
    assert leader is not None
    assert term is not None
    assert (leader.session, leader.lock_index, leader.value) == (session, 1, session.encode())
    assert term.value == b"term"
    assert leader.modify_index == term.modify_index


async def test_acquire_of_a_held_lock(consul: ConsulApi, name: str) -> None:
    await held_lock(consul, name)
    seen = await entry_of(consul, f"{name}/leader")
    other = await new_session(consul, name)
    errors = errors_of(await acquire(consul, name, other, seen.modify_index))
    assert [op for op, _ in errors] == [1]
    assert "lock is already held" in errors[0][1]


async def test_acquire_within_the_lock_delay(consul: ConsulApi, name: str) -> None:
    session = await held_lock(consul, name, lock_delay_s=30)
    await consul.session_destroy(session)
    seen = await entry_of(consul, f"{name}/leader")
    assert seen.session is None
    errors = errors_of(
        await acquire(consul, name, await new_session(consul, name), seen.modify_index)
    )
    assert [op for op, _ in errors] == [1]
    assert "due to lock delay" in errors[0][1]


async def test_a_lock_delay_refusal_costs_no_raft_entry_and_a_held_one_does(
    consul: ConsulApi, name: str, bench: Bench
) -> None:
    held, delayed = f"{name}/held", f"{name}/delayed"
    await held_lock(consul, held)
    await consul.session_destroy(await held_lock(consul, delayed, lock_delay_s=60))
    session = await new_session(consul, name)
    entries = {k: await entry_of(consul, f"{k}/leader") for k in (held, delayed)}
    terms = {k: await entry_of(consul, f"{k}/term") for k in (held, delayed)}

    async def cost(root: str) -> int:
        before = await bench.shared.log_index()
        result = await acquire(
            consul,
            root,
            session,
            entries[root].modify_index,
            term_index=terms[root].modify_index,
        )
        assert not result.ok
        return await bench.shared.log_index() - before

    # Others may write meanwhile (agents do, now and then): the cheapest of a few counts.
    assert min([await cost(delayed) for _ in range(5)]) == 0
    assert min([await cost(held) for _ in range(5)]) == 1


async def test_acquire_without_a_living_session(consul: ConsulApi, name: str) -> None:
    vacancy = await vacant_lock(consul, name)
    errors = errors_of(await acquire(consul, name, NO_SESSION, vacancy))
    assert [op for op, _ in errors] == [1]
    assert "invalid session" in errors[0][1]


async def test_acquire_of_a_vacancy_that_changed(consul: ConsulApi, name: str) -> None:
    vacancy = await vacant_lock(consul, name)
    await consul.kv_put(f"{name}/leader", b"vacant, edited")
    session = await new_session(consul, name)
    errors = errors_of(await acquire(consul, name, session, vacancy))
    assert [op for op, _ in errors] == [0]
    assert "current modify index" in errors[0][1]
    assert (await entry_of(consul, f"{name}/leader")).session is None


async def test_acquire_of_a_missing_key(consul: ConsulApi, name: str) -> None:
    await consul.kv_put(f"{name}/term", b"0")
    session = await new_session(consul, name)
    errors = errors_of(await acquire(consul, name, session, 7))
    assert 0 in [op for op, _ in errors]
    assert "doesn't exist" in dict(errors)[0]
    assert (await consul.kv_get(f"{name}/leader")).value is None


async def test_one_refusal_may_carry_two_errors(consul: ConsulApi, name: str) -> None:
    vacancy = await vacant_lock(consul, name)
    term = await entry_of(consul, f"{name}/term")
    first, second = [await new_session(consul, name) for _ in range(2)]
    assert (await acquire(consul, name, first, vacancy)).ok
    errors = errors_of(await acquire(consul, name, second, vacancy, term_index=term.modify_index))
    assert {0, 1} <= {op for op, _ in errors}
    assert "lock is already held" in dict(errors)[1]


async def test_a_doubled_acquire_is_stopped_by_the_cas(consul: ConsulApi, name: str) -> None:
    vacancy = await vacant_lock(consul, name)
    term = await entry_of(consul, f"{name}/term")
    session = await new_session(consul, name)
    assert (await acquire(consul, name, session, vacancy, term_index=term.modify_index)).ok
    # Without the index check, as after a fresh look at the key: the lock itself passes again.
    held = await entry_of(consul, f"{name}/leader")
    errors = errors_of(
        await acquire(consul, name, session, held.modify_index, term_index=term.modify_index)
    )
    assert [op for op, _ in errors] == [2]
    assert await entry_of(consul, f"{name}/leader") == held


# --- the other three ---


async def test_a_record_update_needs_the_session_on_the_key(consul: ConsulApi, name: str) -> None:
    session = await held_lock(consul, name)

    async def update(by: str) -> TxnResult:
        return await consul.txn(
            [
                TxnOp.kv_check_session(f"{name}/leader", by),
                TxnOp.kv_lock(f"{name}/leader", b"new", by),
            ]
        )

    assert (await update(session)).ok
    entry = await entry_of(consul, f"{name}/leader")
    assert (entry.value, entry.session, entry.lock_index) == (b"new", session, 1)
    errors = errors_of(await update(await new_session(consul, name)))
    assert errors[0][0] == 0
    await consul.kv_delete(f"{name}/leader")
    assert 0 in [op for op, _ in errors_of(await update(session))]


async def test_a_fenced_write_needs_our_session_and_our_term(consul: ConsulApi, name: str) -> None:
    session = await held_lock(consul, name)
    term = (await entry_of(consul, f"{name}/term")).modify_index

    async def write(by: str, at: int, value: bytes) -> TxnResult:
        return await consul.txn(
            [
                TxnOp.kv_check_session(f"{name}/leader", by),
                TxnOp.kv_check_index(f"{name}/term", at),
                TxnOp.kv_set(f"{name}/result", value),
            ]
        )

    assert (await write(session, term, b"ours")).ok
    other = await new_session(consul, name)
    assert [op for op, _ in errors_of(await write(other, term, b"theirs"))] == [0]
    assert [op for op, _ in errors_of(await write(session, term - 1, b"late"))] == [1]
    assert (await entry_of(consul, f"{name}/result")).value == b"ours"


async def test_a_release_is_tied_to_its_term(consul: ConsulApi, name: str) -> None:
    session = await held_lock(consul, name)
    term = (await entry_of(consul, f"{name}/term")).modify_index

    async def release(at: int) -> TxnResult:
        return await consul.txn(
            [
                TxnOp.kv_check_index(f"{name}/term", at),
                TxnOp.kv_unlock(f"{name}/leader", b"vacant: done", session),
            ]
        )

    assert [op for op, _ in errors_of(await release(term - 1))] == [0]
    assert (await release(term)).ok
    entry = await entry_of(consul, f"{name}/leader")
    assert (entry.session, entry.value, entry.lock_index) == (None, b"vacant: done", 1)
    assert [op for op, _ in errors_of(await release(term))] == [1]


async def test_one_session_in_two_terms_lets_a_late_update_in(consul: ConsulApi, name: str) -> None:
    """Why a session that led is never used again."""
    session = await held_lock(consul, name)
    leader = f"{name}/leader"
    assert (await consul.txn([TxnOp.kv_unlock(leader, b"vacant", session)])).ok
    assert (await acquire(consul, name, session, (await entry_of(consul, leader)).modify_index)).ok
    late = [TxnOp.kv_check_session(leader, session), TxnOp.kv_lock(leader, b"old term", session)]
    assert (await consul.txn(late)).ok


# --- LockIndex ---


async def test_a_plain_write_zeroes_lock_index_and_keeps_the_session(
    consul: ConsulApi, name: str
) -> None:
    session = await held_lock(consul, name)
    assert await consul.kv_put(f"{name}/leader", b"edited")
    entry = await entry_of(consul, f"{name}/leader")
    assert (entry.session, entry.lock_index, entry.value) == (session, 0, b"edited")


async def test_a_delete_restarts_lock_index(consul: ConsulApi, name: str) -> None:
    session = await held_lock(consul, name)
    leader = f"{name}/leader"
    for _ in range(2):
        assert (await consul.txn([TxnOp.kv_unlock(leader, b"", session)])).ok
        assert (await consul.txn([TxnOp.kv_lock(leader, b"", session)])).ok
    assert (await entry_of(consul, leader)).lock_index == 3
    await consul.kv_delete(leader)
    assert (await consul.txn([TxnOp.kv_lock(leader, b"", session)])).ok
    assert (await entry_of(consul, leader)).lock_index == 1


# --- what frees the lock, and whether it is delayed then ---


async def test_a_release_has_no_lock_delay(consul: ConsulApi, name: str) -> None:
    session = await held_lock(consul, name, lock_delay_s=60)
    assert (await consul.txn([TxnOp.kv_unlock(f"{name}/leader", b"", session)])).ok
    assert await take(consul, f"{name}/leader", await new_session(consul, name))


@pytest.mark.parametrize("recurse", [False, True])
async def test_a_delete_frees_without_lock_delay_while_the_session_lives(
    consul: ConsulApi, name: str, recurse: bool
) -> None:
    session = await held_lock(consul, name, lock_delay_s=60)
    await consul.kv_delete(f"{name}/" if recurse else f"{name}/leader", recurse=recurse)
    assert await take(consul, f"{name}/leader", await new_session(consul, name))
    assert await consul.session_info(session) is not None


async def _end_by_destroy(consul: ConsulApi, name: str, session: str) -> None:
    await consul.session_destroy(session)


async def _end_by_failed_check(consul: ConsulApi, name: str, session: str) -> None:
    await consul.check_fail(name)


async def _end_by_deregistration(consul: ConsulApi, name: str, session: str) -> None:
    await consul.service_deregister(name)


async def _end_by_check_deregistration(consul: ConsulApi, name: str, session: str) -> None:
    await consul.check_deregister(name)


@pytest.mark.parametrize(
    "end",
    [_end_by_destroy, _end_by_failed_check, _end_by_deregistration, _end_by_check_deregistration],
)
async def test_the_end_of_a_session_frees_the_lock_and_starts_the_lock_delay(
    consul: ConsulApi, name: str, end: Callable[[ConsulApi, str, str], asyncio.Future[None]]
) -> None:
    session = await session_with_check(consul, name, lock_delay_s=60)
    key = f"{name}/leader"
    assert await take(consul, key, session)
    await end(consul, name, session)
    await eventually(lambda: consul.session_info(session), until=lambda s: s is None)
    entry = await eventually(lambda: entry_of(consul, key), until=lambda e: e.session is None)
    assert entry.lock_index == 1
    other = await consul.session_create(name=name, checks=["serfHealth"], lock_delay_s=1)
    assert not await take(consul, key, other)
    await consul.service_deregister(name)


async def test_the_end_of_a_lock_delay_fires_nothing(consul: ConsulApi, name: str) -> None:
    session = await held_lock(consul, name, lock_delay_s=1)
    leader = f"{name}/leader"
    await consul.session_destroy(session)
    freed = await consul.kv_get(leader)
    other = await new_session(consul, name)
    assert not await take(consul, leader, other)
    waited = await consul.kv_get(leader, index=freed.index, wait_s=2)
    assert waited.index == freed.index
    assert await take(consul, leader, other)


async def test_lock_delays_beyond_the_limits_are_accepted_and_not_honoured(
    consul: ConsulApi, name: str
) -> None:
    short = await new_session(consul, name, lock_delay_s=0.001)
    kept = await consul.session_info(short)
    assert kept is not None
    assert kept.lock_delay_s == 0.001
    long = await new_session(consul, name, lock_delay_s=3600)
    kept = await consul.session_info(long)
    assert kept is not None
    assert kept.lock_delay_s in (60.0, 3600.0)


# --- indexes and watches ---


async def test_a_watch_on_a_missing_key_wakes_on_a_sibling(consul: ConsulApi, name: str) -> None:
    index = (await consul.kv_get(f"{name}/missing")).index
    waiting = asyncio.create_task(consul.kv_get(f"{name}/missing", index=index, wait_s=60))
    await consul.kv_put(f"{name}/sibling", b"")
    reply = await asyncio.wait_for(waiting, 20)
    assert reply.value is None
    assert reply.index > index


async def test_a_watch_on_an_existing_key_sleeps_through_siblings(
    consul: ConsulApi, name: str
) -> None:
    await consul.kv_put(f"{name}/here", b"")
    index = (await consul.kv_get(f"{name}/here")).index
    waiting = asyncio.create_task(consul.kv_get(f"{name}/here", index=index, wait_s=1))
    await consul.kv_put(f"{name}/sibling", b"")
    assert (await waiting).index == index


async def test_an_index_from_the_future_blocks_for_the_whole_wait(
    consul: ConsulApi, name: str
) -> None:
    await consul.kv_put(name, b"1")
    index = (await consul.kv_get(name)).index
    started = now()
    waiting = asyncio.create_task(consul.kv_get(name, index=index + 10**6, wait_s=1))
    await consul.kv_put(name, b"2")
    reply = await waiting
    assert now() - started > 0.9
    assert reply.index < index + 10**6


async def test_a_restored_snapshot_takes_values_and_their_indexes_back(
    bench: Bench, name: str
) -> None:
    async with (await bench.server()).client() as consul:
        session = await new_session(consul, name)
        assert await take(consul, name, session)
        held = await entry_of(consul, name)
        data = await consul.snapshot_save()
        assert (await consul.txn([TxnOp.kv_unlock(name, b"", session)])).ok
        await consul.session_destroy(session)
        freed = await consul.kv_get(name)
        await consul.snapshot_restore(data)
        again = await eventually(
            lambda: consul.kv_get(name, consistency=Consistency.CONSISTENT),
            until=lambda r: r.value == held,
        )
        assert again.index < freed.index
        # The session that was destroyed is back, on the key: a restore revives it.
        assert await consul.session_info(session) is not None
