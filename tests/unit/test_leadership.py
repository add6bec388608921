"""The lease, the handle's refusals and the threads of work. Fencing itself is tested on Consul."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.consul import ConsulApi, ConsulUnavailable, TxnError, TxnOp, TxnResult
from coord.leadership import (
    LEASE_OVER,
    MAX_OPS,
    WRITE_DEADLINE_S,
    FencedWriteFailed,
    Leadership,
    LeadershipLost,
    Lease,
    to_thread,
)

LEADER, TERM = "service/coordinator/leader", "service/coordinator/term"


class HandClock:
    """Time moves when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def wall_ms(self) -> int:
        return 0


@dataclass
class Answers:
    """Stands for Consul where its answer, or the deadline it was asked with, is the point."""

    result: TxnResult | Exception = field(default_factory=lambda: TxnResult(ok=True))
    asked: list[tuple[Sequence[TxnOp], float | None]] = field(default_factory=list)

    async def txn(
        self, ops: Sequence[TxnOp], *, deadline_s: float | None = None, **_: Any
    ) -> TxnResult:
        self.asked.append((tuple(ops), deadline_s))
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@dataclass
class Bench:
    """A handle on a lease of 2 s; `lost` holds what `on_lost` was told."""

    clock: HandClock = field(default_factory=HandClock)
    consul: Answers = field(default_factory=Answers)
    lost: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lease = Lease(self.clock)
        self.lease.extend(self.clock.now() + 2.0)
        self.leadership = Leadership(
            term=7,
            term_index=70,
            session="the-session",
            node="core-1",
            election="coordinator",
            leader_key=LEADER,
            term_key=TERM,
            consul=cast(ConsulApi, self.consul),
            lease=self.lease,
            clock=self.clock,
            on_lost=self.lost.append,
        )

    async def write(self, verb: str) -> None:
        if verb == "put":
            await self.leadership.put("k", "v")
        elif verb == "delete":
            await self.leadership.delete("k")
        else:
            await self.leadership.txn([TxnOp.kv_set("k", b"v")])


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- the lease ---


def test_a_lease_begins_not_held() -> None:
    lease = Lease(HandClock())
    assert not lease.held()
    assert lease.remaining_s() == 0.0
    assert lease.reason == LEASE_OVER


def test_a_lease_ends_by_the_clock_alone(bench: Bench) -> None:
    assert bench.leadership.held()
    bench.leadership.guard()
    assert bench.leadership.remaining_s() == pytest.approx(2.0)
    bench.clock.seconds += 1.999
    assert bench.leadership.held()
    bench.clock.seconds += 0.001
    assert not bench.leadership.held()
    assert bench.leadership.remaining_s() == 0.0
    with pytest.raises(LeadershipLost) as lost:
        bench.leadership.guard()
    assert (lost.value.term, lost.value.reason) == (7, LEASE_OVER)
    assert bench.lost == []


def test_a_lease_that_ran_out_may_be_extended(bench: Bench) -> None:
    bench.clock.seconds += 60.0
    assert bench.lease.extend(bench.clock.now() + 2.0)
    bench.leadership.guard()


def test_a_late_answer_to_an_earlier_request_does_not_shorten_it(bench: Bench) -> None:
    assert bench.lease.extend(bench.clock.now() + 1.0)
    assert bench.leadership.remaining_s() == pytest.approx(2.0)


def test_a_suspended_lease_is_over_at_once_and_may_be_extended(bench: Bench) -> None:
    bench.lease.suspend("consul_unreachable")
    with pytest.raises(LeadershipLost) as lost:
        bench.leadership.guard()
    assert lost.value.reason == "consul_unreachable"
    assert not bench.leadership.revoked
    assert bench.lease.extend(bench.clock.now() + 1.0)
    bench.leadership.guard()
    assert bench.lease.reason is None
    bench.clock.seconds += 1.0
    assert bench.lease.reason == LEASE_OVER


def test_a_revoked_lease_keeps_its_first_reason(bench: Bench) -> None:
    assert bench.lease.revoke("held_by_other")
    assert not bench.lease.revoke("again")
    bench.lease.suspend("later")
    assert bench.lease.reason == "held_by_other"
    assert bench.leadership.revoked


steps = st.one_of(
    st.tuples(st.just("extend"), st.floats(min_value=-10, max_value=1e6)),
    st.tuples(st.just("suspend"), st.just(0.0)),
    st.tuples(st.just("pass"), st.floats(min_value=0, max_value=1e6)),
    st.tuples(st.just("revoke"), st.just(0.0)),
)


@given(st.lists(steps))
def test_revoked_is_for_ever_and_held_is_what_was_granted(history: list[tuple[str, float]]) -> None:
    clock = HandClock()
    lease = Lease(clock)
    until, revoked = float("-inf"), False
    for step, seconds in history:
        if step == "extend":
            deadline = clock.now() + seconds
            assert lease.extend(deadline) is not revoked
            until = max(until, deadline)
        elif step == "suspend":
            lease.suspend()
            until = float("-inf")
        elif step == "revoke":
            lease.revoke("r")
            revoked = True
        else:
            clock.seconds += seconds
        held = not revoked and clock.now() < until
        assert lease.held() is held
        assert (lease.remaining_s() > 0) is held
        assert (lease.reason is None) is held
        assert lease.revoked is revoked


# --- the handle ---


@pytest.mark.parametrize("end", ["over", "suspended", "revoked"])
@pytest.mark.parametrize("verb", ["put", "delete", "txn"])
async def test_no_write_leaves_without_the_lease(bench: Bench, verb: str, end: str) -> None:
    if end == "over":
        bench.clock.seconds += 2.0
    elif end == "suspended":
        bench.lease.suspend()
    else:
        bench.lease.revoke("held_by_other")
    with pytest.raises(LeadershipLost):
        await bench.write(verb)
    assert bench.consul.asked == []
    assert bench.lost == []


@pytest.mark.parametrize("verb", ["put", "delete", "txn"])
async def test_a_write_takes_no_longer_than_the_lease(bench: Bench, verb: str) -> None:
    bench.lease.extend(bench.clock.now() + 100.0)
    await bench.write(verb)
    bench.clock.seconds += 99.5
    await bench.write(verb)
    deadlines = [deadline for _, deadline in bench.consul.asked]
    assert deadlines == [WRITE_DEADLINE_S, pytest.approx(0.5)]


async def test_the_fence_goes_first(bench: Bench) -> None:
    await bench.leadership.put("k", "grün", flags=3)
    ((ops, _),) = bench.consul.asked
    assert ops == (
        TxnOp.kv_check_session(LEADER, "the-session"),
        TxnOp.kv_check_index(TERM, 70),
        TxnOp.kv_set("k", "grün".encode(), 3),
    )


@pytest.mark.parametrize(
    ("op_indexes", "reason"),
    [([0], "fenced_session"), ([1], "fenced_term"), ([1, 0, 2], "fenced_session")],
)
async def test_a_refused_fence_ends_the_term_and_is_told_once(
    bench: Bench, op_indexes: list[int], reason: str
) -> None:
    bench.consul.result = TxnResult(ok=False, errors=tuple(TxnError(i, "no") for i in op_indexes))
    child = bench.leadership.child("work")
    with pytest.raises(LeadershipLost) as lost:
        await child.put("k", "v")
    assert lost.value.reason == reason
    assert bench.lost == [reason]
    with pytest.raises(LeadershipLost):
        await bench.leadership.put("k", "v")
    assert len(bench.consul.asked) == 1
    assert bench.lost == [reason]
    assert not bench.lease.extend(bench.clock.now() + 100.0)


async def test_a_refusal_of_the_write_itself_is_not_lost_leadership(bench: Bench) -> None:
    bench.consul.result = TxnResult(ok=False, errors=(TxnError(2, "no"),))
    with pytest.raises(FencedWriteFailed) as failed:
        await bench.leadership.put("k", "v")
    assert failed.value.errors == (TxnError(0, "no"),)
    assert bench.leadership.held()
    assert bench.lost == []


async def test_an_unknown_outcome_is_passed_on_as_it_is(bench: Bench) -> None:
    bench.consul.result = ConsulUnavailable("PUT /v1/txn", "too late", outcome_unknown=True)
    with pytest.raises(ConsulUnavailable) as unknown:
        await bench.leadership.put("k", "v")
    assert unknown.value is bench.consul.result
    assert bench.leadership.held()


@pytest.mark.parametrize(
    "ops",
    [
        [],
        [TxnOp.kv_set("k", b"")] * (MAX_OPS + 1),
        [TxnOp.kv_set(LEADER, b"")],
        [TxnOp.kv_get("k"), TxnOp.kv_delete(TERM)],
        [TxnOp.kv_lock(LEADER, b"", "other")],
        [TxnOp.kv_delete_tree("service/coord")],
        [TxnOp.kv_delete_tree("")],
    ],
)
async def test_transactions_that_cannot_be_meant_are_refused(
    bench: Bench, ops: list[TxnOp]
) -> None:
    with pytest.raises(ValueError, match=r"ops has|own key"):
        await bench.leadership.txn(ops)
    assert bench.consul.asked == []


async def test_the_elections_own_keys_may_be_read_and_others_beside_them_deleted(
    bench: Bench,
) -> None:
    await bench.leadership.txn(
        [TxnOp.kv_get(LEADER), TxnOp.kv_check_index(TERM, 70), TxnOp.kv_delete_tree(LEADER + "/x")]
    )
    assert len(bench.consul.asked) == 1


def test_a_childs_handle_shares_the_lease_but_not_the_progress(bench: Bench) -> None:
    bench.clock.seconds += 1.0
    child = bench.leadership.child("work")
    assert (child.name, child.term, child.node) == ("work", 7, "core-1")
    assert child.progress_at == bench.clock.now() == bench.leadership.progress_at + 1.0
    bench.clock.seconds += 0.5
    child.progress()
    assert child.progress_at == bench.leadership.progress_at + 1.5
    bench.lease.suspend()
    assert not child.held()


def test_the_session_is_not_shown(bench: Bench) -> None:
    assert "the-session" not in repr(bench.leadership)
    assert "term=7" in repr(bench.leadership)


# --- threads ---


async def test_a_thread_gives_its_result_or_its_error() -> None:
    assert await to_thread(divmod, 7, 2) == (3, 1)
    assert await to_thread(int, "ff", base=16) == 255
    with pytest.raises(ZeroDivisionError):
        await to_thread(divmod, 1, 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancelled_thread_is_waited_for_however_often_it_is_cancelled(fails: bool) -> None:
    loop = asyncio.get_running_loop()
    begun, release, returned = asyncio.Event(), threading.Event(), threading.Event()

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        release.wait()
        returned.set()
        if fails:
            raise ValueError("broken")

    task = asyncio.create_task(to_thread(work))
    try:
        await begun.wait()
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert not task.done()
        assert not returned.is_set()
    finally:
        release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert returned.is_set()


async def test_a_thread_that_has_not_begun_when_cancelled_never_runs() -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(max_workers=1))
    begun, release = asyncio.Event(), threading.Event()
    ran: list[str] = []

    def block() -> None:
        loop.call_soon_threadsafe(begun.set)
        release.wait()

    blocker = asyncio.create_task(to_thread(block))
    try:
        await begun.wait()
        waiting = asyncio.create_task(to_thread(ran.append, "ran"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    finally:
        release.set()
    await blocker
    await to_thread(ran.append, "next")
    assert ran == ["next"]


async def test_the_handle_may_be_asked_from_a_thread(bench: Bench) -> None:
    assert await to_thread(bench.leadership.held)
    bench.lease.revoke("held_by_other")
    with pytest.raises(LeadershipLost):
        await to_thread(bench.leadership.guard)
