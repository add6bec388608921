"""Every step that a transaction can have: what it does, and what it says when it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from consul_agents import entry_of, new_session

from coord.consul import ConsulApi, ConsulRefused, KVEntry, TxnOp, TxnResult


@dataclass(frozen=True, slots=True)
class Scene:
    """Two keys, one of them held, and two sessions."""

    free: KVEntry
    held: KVEntry
    missing: str
    holder: str
    other: str


async def scene(consul: ConsulApi, name: str) -> Scene:
    """Set it."""
    holder, other = [await new_session(consul, name) for _ in range(2)]
    assert await consul.kv_put(f"{name}/free", b"1", flags=5)
    assert (await consul.txn([TxnOp.kv_lock(f"{name}/held", b"2", holder)])).ok
    free, held = [await entry_of(consul, f"{name}/{leaf}") for leaf in ("free", "held")]
    return Scene(free, held, f"{name}/missing", holder, other)


Made = Callable[[Scene], TxnOp]

PASSES: dict[str, Made] = {
    "set": lambda s: TxnOp.kv_set(s.free.key, b"new", 9),
    "set what is held": lambda s: TxnOp.kv_set(s.held.key, b"new", 9),
    "set what is missing": lambda s: TxnOp.kv_set(s.missing, b"new", 9),
    "cas": lambda s: TxnOp.kv_cas(s.free.key, b"new", s.free.modify_index, 9),
    "cas what is held": lambda s: TxnOp.kv_cas(s.held.key, b"new", s.held.modify_index, 9),
    "cas of nothing": lambda s: TxnOp.kv_cas(s.missing, b"new", 0, 9),
    "lock": lambda s: TxnOp.kv_lock(s.free.key, b"new", s.other, 9),
    "lock again": lambda s: TxnOp.kv_lock(s.held.key, b"new", s.holder, 9),
    "lock what is missing": lambda s: TxnOp.kv_lock(s.missing, b"new", s.other, 9),
    "unlock": lambda s: TxnOp.kv_unlock(s.held.key, b"new", s.holder, 9),
    "get": lambda s: TxnOp.kv_get(s.free.key),
    "check-index": lambda s: TxnOp.kv_check_index(s.free.key, s.free.modify_index),
    "check-session": lambda s: TxnOp.kv_check_session(s.held.key, s.holder),
    "check-session of none": lambda s: TxnOp.kv_check_session(s.free.key, ""),
}
SILENT: dict[str, Made] = {
    "delete": lambda s: TxnOp.kv_delete(s.free.key),
    "delete what is missing": lambda s: TxnOp.kv_delete(s.missing),
    "delete-cas": lambda s: TxnOp.kv_delete_cas(s.free.key, s.free.modify_index),
    "delete-cas of nothing": lambda s: TxnOp.kv_delete_cas(s.missing, 17),
    "delete-tree": lambda s: TxnOp.kv_delete_tree(s.free.key[:-2]),
    "delete-tree of nothing": lambda s: TxnOp.kv_delete_tree(s.missing),
    "check-not-exists": lambda s: TxnOp.kv_check_not_exists(s.missing),
}
NOBODY = "00000000-0000-0000-0000-000000000000"
FAILS: dict[str, tuple[Made, Callable[[Scene], str]]] = {
    "cas at another index": (
        lambda s: TxnOp.kv_cas(s.free.key, b"", s.free.modify_index + 1),
        lambda s: f'failed to set key "{s.free.key}", index is stale',
    ),
    "cas of nothing where there is something": (
        lambda s: TxnOp.kv_cas(s.free.key, b"", 0),
        lambda s: f'failed to set key "{s.free.key}", index is stale',
    ),
    "cas of something where there is nothing": (
        lambda s: TxnOp.kv_cas(s.missing, b"", 5),
        lambda s: f'failed to set key "{s.missing}", index is stale',
    ),
    "lock held by another": (
        lambda s: TxnOp.kv_lock(s.held.key, b"", s.other),
        lambda s: f'failed to lock key "{s.held.key}", lock is already held',
    ),
    "lock by nobody": (
        lambda s: TxnOp.kv_lock(s.free.key, b"", NOBODY),
        lambda s: f'invalid session "{NOBODY}"',
    ),
    "lock by no session": (
        lambda s: TxnOp.kv_lock(s.free.key, b"", ""),
        lambda s: "missing session",
    ),
    "lock by what is no id": (
        lambda s: TxnOp.kv_lock(s.free.key, b"", "me"),
        lambda s: "failed session lookup: index error: UUID must be 36 characters",
    ),
    "unlock by another": (
        lambda s: TxnOp.kv_unlock(s.held.key, b"", s.other),
        lambda s: (
            f'failed to unlock key "{s.held.key}", lock isn\'t held, or is held by another session'
        ),
    ),
    "unlock what is free": (
        lambda s: TxnOp.kv_unlock(s.free.key, b"", s.other),
        lambda s: (
            f'failed to unlock key "{s.free.key}", lock isn\'t held, or is held by another session'
        ),
    ),
    "unlock by no session": (
        lambda s: TxnOp.kv_unlock(s.held.key, b"", ""),
        lambda s: "missing session",
    ),
    "get what is missing": (
        lambda s: TxnOp.kv_get(s.missing),
        lambda s: f'key "{s.missing}" doesn\'t exist',
    ),
    "delete-cas at another index": (
        lambda s: TxnOp.kv_delete_cas(s.free.key, s.free.modify_index + 1),
        lambda s: f'failed to delete key "{s.free.key}", index is stale',
    ),
    "check-index at another index": (
        lambda s: TxnOp.kv_check_index(s.free.key, 1),
        lambda s: (
            f'failed index check for key "{s.free.key}", '
            f"current modify index {s.free.modify_index} != 1"
        ),
    ),
    "check-index of nothing": (
        lambda s: TxnOp.kv_check_index(s.missing, 1),
        lambda s: f'failed to check index, key "{s.missing}" doesn\'t exist',
    ),
    "check-session of another": (
        lambda s: TxnOp.kv_check_session(s.held.key, s.other),
        lambda s: (
            f'failed session check for key "{s.held.key}", '
            f'current session "{s.holder}" != "{s.other}"'
        ),
    ),
    "check-session of nothing": (
        lambda s: TxnOp.kv_check_session(s.missing, s.other),
        lambda s: f'failed to check session, key "{s.missing}" doesn\'t exist',
    ),
    "check-not-exists": (
        lambda s: TxnOp.kv_check_not_exists(s.free.key),
        lambda s: f'key "{s.free.key}" exists',
    ),
}


@pytest.mark.parametrize("made", PASSES.values(), ids=PASSES.keys())
async def test_a_step_that_passes_says_what_it_left(
    consul: ConsulApi, name: str, made: Made
) -> None:
    set_scene = await scene(consul, name)
    op = made(set_scene)
    result = await consul.txn([op])
    assert result.ok
    (said,) = result.entries
    left = await entry_of(consul, op.key)
    assert said == KVEntry(
        left.key,
        left.value if op == TxnOp.kv_get(op.key) else b"",
        left.flags,
        left.session,
        left.lock_index,
        left.create_index,
        left.modify_index,
    )


@pytest.mark.parametrize("made", SILENT.values(), ids=SILENT.keys())
async def test_a_step_that_has_nothing_to_say(consul: ConsulApi, name: str, made: Made) -> None:
    set_scene = await scene(consul, name)
    op = made(set_scene)
    assert await consul.txn([op, TxnOp.kv_set(f"{name}-x", b"")]) is not None
    assert (await consul.kv_get(op.key)).value is None


@pytest.mark.parametrize(("made", "text"), FAILS.values(), ids=FAILS.keys())
async def test_a_step_that_fails_says_why_and_changes_nothing(
    consul: ConsulApi, name: str, made: Made, text: Callable[[Scene], str]
) -> None:
    set_scene = await scene(consul, name)
    before = (await consul.kv_list(f"{name}/")).value
    result = await consul.txn([TxnOp.kv_set(f"{name}/free2", b""), made(set_scene)])
    assert not result.ok
    assert result.entries == ()
    assert [(e.op_index, e.what) for e in result.errors] == [(1, text(set_scene))]
    assert (await consul.kv_list(f"{name}/")).value == before


async def test_each_step_sees_what_the_ones_before_it_did(consul: ConsulApi, name: str) -> None:
    session = await new_session(consul, name)
    result = await consul.txn(
        [
            TxnOp.kv_check_not_exists(name),
            TxnOp.kv_set(name, b"1"),
            TxnOp.kv_lock(name, b"2", session),
            TxnOp.kv_check_session(name, session),
            TxnOp.kv_get(name),
            TxnOp.kv_unlock(name, b"3", session),
            TxnOp.kv_delete(name),
            TxnOp.kv_check_not_exists(name),
        ]
    )
    assert result.ok
    assert [(e.value, e.session, e.lock_index) for e in result.entries] == [
        (b"", None, 0),
        (b"", session, 1),
        (b"", session, 1),
        (b"2", session, 1),
        (b"", None, 1),
    ]
    assert (await consul.kv_get(name)).value is None


async def test_every_step_that_fails_is_named(consul: ConsulApi, name: str) -> None:
    ops = [TxnOp.kv_get(f"{name}/{i}") for i in range(3)]
    for asked in (ops, [*ops, TxnOp.kv_set(f"{name}/x", b"")]):
        result = await consul.txn(asked)
        assert [e.op_index for e in result.errors] == [0, 1, 2]
    assert (await consul.kv_get(f"{name}/x")).value is None


async def test_a_write_that_changes_nothing_leaves_the_index(consul: ConsulApi, name: str) -> None:
    await consul.kv_put(name, b"same", flags=3)
    before = await entry_of(consul, name)
    assert await consul.kv_put(name, b"same", flags=3)
    assert await entry_of(consul, name) == before
    result = await consul.txn([TxnOp.kv_set(name, b"same", 3)])
    assert result.entries[0].modify_index == before.modify_index
    await consul.kv_put(name, b"same", flags=4)
    assert (await entry_of(consul, name)).modify_index > before.modify_index


async def test_a_read_only_transaction_costs_no_entry_of_the_log(
    consul: ConsulApi, name: str
) -> None:
    """Checks alone are a read as well, though the client does not ask for a consistent one."""
    await consul.kv_put(name, b"")
    entry = await entry_of(consul, name)
    checks = [TxnOp.kv_check_index(name, entry.modify_index), TxnOp.kv_get(name)]
    for ops in (checks, [TxnOp.kv_get(name)]):
        result = await consul.txn(ops)
        assert result.known_leader is True
    assert (await consul.txn([TxnOp.kv_set(name, b"2")])).known_leader is None


async def test_at_most_64_steps(consul: ConsulApi, name: str) -> None:
    many = [TxnOp.kv_set(f"{name}/{i}", b"") for i in range(64)]
    result: TxnResult = await consul.txn(many)
    assert result.ok
    assert len(result.entries) == 64
    with pytest.raises(ConsulRefused) as caught:
        await consul.txn([*many, TxnOp.kv_get(f"{name}/0")])
    assert caught.value.status == 413


async def test_a_value_that_is_too_long_is_refused(consul: ConsulApi, name: str) -> None:
    assert await consul.kv_put(name, bytes(512 * 1024))
    with pytest.raises(ConsulRefused) as caught:
        await consul.kv_put(name, bytes(512 * 1024 + 1))
    assert caught.value.status == 413


@pytest.mark.parametrize(
    ("values", "fine"),
    [([380_000], True), ([400_000], False), ([9_000] * 40, True), ([9_000] * 45, False)],
)
async def test_a_transaction_that_is_too_long_is_refused(
    consul: ConsulApi, name: str, values: list[int], fine: bool
) -> None:
    """What counts is the request as it is sent, values in base64."""
    ops = [TxnOp.kv_set(f"{name}/{n}", bytes(size)) for n, size in enumerate(values)]
    if fine:
        assert (await consul.txn(ops)).ok
        return
    with pytest.raises(ConsulRefused) as caught:
        await consul.txn(ops)
    assert caught.value.status == 413


async def test_nothing_to_do_is_done(consul: ConsulApi) -> None:
    result = await consul.txn([])
    assert result.ok
    assert result.entries == ()
