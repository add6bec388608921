"""Fenced writes on a real Consul: what lands, and what never does.

The leases here run for long on purpose: each stands for a process that still believes in its
leadership, or froze after it had looked, so that nothing but the fence holds it back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from consul_agents import ROOT_TOKEN, ConsulAgent, acl_settings, client_of

from coord.clock import SystemClock
from coord.consul import ConsulApi, ConsulNotPermitted, ConsulRefused, ConsulUnavailable, TxnOp
from coord.leadership import (
    FENCED_SESSION,
    FENCED_TERM,
    MAX_OPS,
    Leadership,
    LeadershipLost,
    Lease,
)
from coord.records import Paths
from coord.restart_policy import RestartPolicy
from coord.supervisor import ChildSpec, ChildState, CoordinatorSupervisor


@dataclass
class Held:
    """A leadership as the acquiring transaction left it."""

    consul: ConsulApi
    paths: Paths
    session: str
    leadership: Leadership
    lease: Lease
    lost: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        return self.paths.root + "work"

    async def work(self) -> bytes | None:
        """What is in the work's key."""
        entry = (await self.consul.kv_get(self.key)).value
        return None if entry is None else entry.value

    async def release(self) -> None:
        result = await self.consul.txn([TxnOp.kv_unlock(self.paths.leader, b"", self.session)])
        assert result.ok, result.errors


async def new_session(consul: ConsulApi) -> str:
    return await consul.session_create(name="test", checks=["serfHealth"], lock_delay_s=1.0)


async def acquire(
    consul: ConsulApi,
    election: str,
    *,
    session: str | None = None,
    write_by: ConsulApi | None = None,
) -> Held:
    """Take the vacant leader key and raise the term, by the design's transaction.

    `write_by` is another client for the handle itself.
    """
    paths = Paths(election)
    await consul.kv_put(paths.leader, b"", cas=0)
    vacancy = (await consul.kv_get(paths.leader)).value
    former = (await consul.kv_get(paths.term)).value
    assert vacancy is not None
    term = 1 if former is None else int(former.value) + 1
    session = session or await new_session(consul)
    taken = await consul.txn(
        [
            TxnOp.kv_check_index(paths.leader, vacancy.modify_index),
            TxnOp.kv_lock(paths.leader, b"held", session),
            TxnOp.kv_cas(paths.term, str(term).encode(), former.modify_index if former else 0),
            TxnOp.kv_get(paths.leader),
            TxnOp.kv_get(paths.term),
        ]
    )
    assert taken.ok, taken.errors
    term_entry = taken.entry(paths.term)
    assert term_entry is not None
    clock = SystemClock()
    lease = Lease(clock)
    lease.extend(clock.now() + 600.0)
    lost: list[str] = []
    leadership = Leadership(
        term=term,
        term_index=term_entry.modify_index,
        session=session,
        node="core-1",
        election=election,
        leader_key=paths.leader,
        term_key=paths.term,
        consul=write_by or consul,
        lease=lease,
        clock=clock,
        on_lost=lost.append,
    )
    return Held(consul, paths, session, leadership, lease, lost)


@pytest.fixture
async def held(consul: ConsulApi, name: str) -> Held:
    return await acquire(consul, name)


async def test_plain_writes_land(held: Held) -> None:
    await held.leadership.put(held.key, "grün", flags=5)
    entry = (await held.consul.kv_get(held.key)).value
    assert entry is not None
    assert (entry.value, entry.flags) == ("grün".encode(), 5)
    await held.leadership.put(held.key, b"\x00\xff")
    assert await held.work() == b"\x00\xff"
    await held.leadership.delete(held.key)
    assert await held.work() is None
    await held.leadership.delete(held.key)
    assert held.lost == []


async def test_a_transaction_answers_about_its_own_operations(held: Held) -> None:
    await held.leadership.put(held.key, "1")
    other = held.key + "/other"
    result = await held.leadership.txn([TxnOp.kv_set(other, b"2"), TxnOp.kv_get(held.key)])
    assert result.ok
    assert [entry.key for entry in result.entries] == [other, held.key]
    assert result.entries[1].value == b"1"
    conflict = await held.leadership.txn(
        [TxnOp.kv_set(other, b"3"), TxnOp.kv_cas(held.key, b"", 1)]
    )
    assert not conflict.ok
    assert [error.op_index for error in conflict.errors] == [1]
    unchanged = (await held.consul.kv_get(other)).value
    assert unchanged is not None
    assert unchanged.value == b"2"
    assert held.leadership.held()
    assert held.lost == []


async def test_as_many_operations_as_consul_takes_and_no_more(held: Held) -> None:
    ops = [TxnOp.kv_set(f"{held.key}/{n}", b"") for n in range(MAX_OPS + 1)]
    with pytest.raises(ValueError, match="ops"):
        await held.leadership.txn(ops)
    assert (await held.consul.kv_keys(held.key)).value == ()
    assert (await held.leadership.txn(ops[:MAX_OPS])).ok
    assert len((await held.consul.kv_keys(held.key)).value) == MAX_OPS


async def test_a_value_too_large_for_consul_is_not_lost_leadership(held: Held) -> None:
    await held.leadership.put(held.key, "kept")
    with pytest.raises(ConsulRefused):
        await held.leadership.put(held.key, b"x" * 600_000)
    assert await held.work() == b"kept"
    assert held.leadership.held()
    assert held.lost == []


# --- another term has begun, or ours is over ---


async def session_destroyed(held: Held) -> str:
    assert await held.consul.session_destroy(held.session)
    return FENCED_SESSION


async def released(held: Held) -> str:
    await held.release()
    return FENCED_SESSION


async def taken_by_another_session(held: Held) -> str:
    await held.release()
    await acquire(held.consul, held.paths.election)
    return FENCED_SESSION


async def taken_again_by_the_same_session(held: Held) -> str:
    """The one case that the session check alone would let through."""
    await held.release()
    await acquire(held.consul, held.paths.election, session=held.session)
    return FENCED_TERM


async def leader_key_deleted(held: Held) -> str:
    await held.consul.kv_delete(held.paths.leader)
    return FENCED_SESSION


async def prefix_deleted(held: Held) -> str:
    await held.consul.kv_delete(held.paths.root, recurse=True)
    return FENCED_SESSION


async def term_key_deleted(held: Held) -> str:
    await held.consul.kv_delete(held.paths.term)
    return FENCED_TERM


async def term_key_edited(held: Held) -> str:
    await held.consul.kv_put(held.paths.term, b"99")
    return FENCED_TERM


ENDS = [
    session_destroyed,
    released,
    taken_by_another_session,
    taken_again_by_the_same_session,
    leader_key_deleted,
    prefix_deleted,
    term_key_deleted,
    term_key_edited,
]


@pytest.mark.parametrize("end", ENDS)
async def test_no_write_of_a_term_that_is_over_lands(
    held: Held, end: Callable[[Held], Awaitable[str]]
) -> None:
    reason = await end(held)
    before = await held.work()
    with pytest.raises(LeadershipLost) as lost:
        await held.leadership.put(held.key, "late")
    assert (lost.value.term, lost.value.reason) == (held.leadership.term, reason)
    assert await held.work() == before
    assert held.lost == [reason]


WRITES: dict[str, Callable[[Leadership, str], Awaitable[object]]] = {
    "put": lambda leadership, key: leadership.put(key, "late"),
    "delete": lambda leadership, key: leadership.delete(key),
    "txn": lambda leadership, key: leadership.txn([TxnOp.kv_delete_tree(key)]),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
async def test_each_kind_of_write_is_fenced(
    held: Held, write: Callable[[Leadership, str], Awaitable[object]]
) -> None:
    await held.leadership.put(held.key, "kept")
    await taken_by_another_session(held)
    with pytest.raises(LeadershipLost):
        await write(held.leadership, held.key)
    assert await held.work() == b"kept"


async def test_revoked_is_never_undone(held: Held) -> None:
    await taken_by_another_session(held)
    child = held.leadership.child("work")
    with pytest.raises(LeadershipLost):
        await child.put(held.key, "late")
    clock = SystemClock()
    assert not held.lease.extend(clock.now() + 600.0)
    for handle in (child, held.leadership, held.leadership.child("other")):
        assert not handle.held()
        with pytest.raises(LeadershipLost):
            await handle.put(held.key, "late")
    assert await held.work() is None
    assert held.lost == [FENCED_SESSION]


async def test_many_refusals_at_once_are_told_once(held: Held) -> None:
    await held.release()
    writes = (held.leadership.child(f"c{n}").put(held.key, "late") for n in range(8))
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert all(isinstance(outcome, LeadershipLost) for outcome in outcomes)
    assert held.lost == [FENCED_SESSION]


async def test_a_suspended_lease_comes_back_under_the_same_term(held: Held) -> None:
    held.lease.suspend()
    with pytest.raises(LeadershipLost):
        await held.leadership.put(held.key, "suspended")
    assert await held.work() is None
    assert held.lease.extend(SystemClock().now() + 600.0)
    await held.leadership.put(held.key, "resumed")
    assert await held.work() == b"resumed"
    assert held.lost == []


async def test_an_edit_of_the_leader_key_alone_leaves_the_fence_standing(held: Held) -> None:
    # A plain write keeps the session on the key; whoever leads sees it and decides.
    await held.consul.kv_put(held.paths.leader, b"edited")
    await held.leadership.put(held.key, "written")
    assert await held.work() == b"written"


# --- Consul does not answer, or does not allow it ---


async def test_a_write_without_an_answer_ends_with_the_lease_and_its_outcome_is_unknown(
    make_agent: Callable[..., ConsulAgent], name: str
) -> None:
    agent = make_agent()
    async with client_of(agent, request_timeout_s=60.0) as consul:
        held = await acquire(consul, name)
        held.lease.suspend()
        held.lease.extend(SystemClock().now() + 1.0)
        agent.freeze()
        try:
            before = time.monotonic()
            with pytest.raises(ConsulUnavailable) as unknown:
                await held.leadership.put(held.key, "perhaps")
            assert time.monotonic() - before < 20.0
        finally:
            agent.wake()
        assert unknown.value.outcome_unknown
        assert held.lost == []
        assert not held.lease.revoked


async def test_a_token_that_may_not_write_is_not_lost_leadership(
    make_agent: Callable[..., ConsulAgent], name: str
) -> None:
    agent = make_agent(extra=acl_settings(), token=ROOT_TOKEN)
    async with client_of(agent, token=ROOT_TOKEN) as consul, client_of(agent) as denied:
        held = await acquire(consul, name, write_by=denied)
        with pytest.raises(ConsulNotPermitted):
            await held.leadership.put(held.key, "late")
        assert await held.work() is None
        assert held.leadership.held()
        assert held.lost == []


# --- under the supervisor ---


async def test_a_child_whose_write_is_refused_ends_and_is_not_restarted(held: Held) -> None:
    wrote, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    starts: list[Leadership] = []

    async def run(leadership: Leadership) -> None:
        starts.append(leadership)
        try:
            await leadership.put(held.key, "in time")
            wrote.set()
            await go_on.wait()
            async with asyncio.TaskGroup() as group:
                group.create_task(leadership.put(held.key, "late"))
                group.create_task(asyncio.sleep(3600))
        finally:
            ended.set()

    failed: list[object] = []
    supervisor = CoordinatorSupervisor(
        RestartPolicy(), SystemClock(), on_failed=lambda *what: failed.append(what)
    )
    await supervisor.start([ChildSpec("writer", run)], held.leadership)
    await wrote.wait()
    await taken_by_another_session(held)
    go_on.set()
    await ended.wait()
    report = await supervisor.stop()
    assert report.ended == ("writer",)
    assert [child.state for child in supervisor.status()] == [ChildState.ENDED]
    assert await held.work() == b"in time"
    assert held.lost == [FENCED_SESSION]
    assert len(starts) == 1
    assert failed == []
