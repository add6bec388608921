"""The leader key in a real Consul: each guard of its transactions refuses what it is there for.

Each refusal is brought about so that only the guard in question can refuse it, and it is seen that
the keys are left as they were.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from consul_agents import (
    ROOT_TOKEN,
    AgentConfig,
    ConsulAgent,
    acl_settings,
    client_of,
    entry_of,
    new_session,
)
from hand_made import make_token

from coord.clock import SystemClock
from coord.consul import (
    Consistency,
    ConsulAddress,
    ConsulApi,
    ConsulClient,
    ConsulNotPermitted,
    KVEntry,
    Reply,
    TxnOp,
    TxnResult,
)
from coord.election.commands import Acquire, Release
from coord.election.events import KeyView
from coord.election.reasons import Cause, TakeoverOutcome
from coord.election.timing import Timing
from coord.identity import Identity
from coord.leader_key import LeaderKey, Taken
from coord.node_type import EligibleWhy, NodeType
from coord.records import LeaderRecord, LeaderState, Paths, encode_term

PATIENT_S = 10.0
TIMING = Timing(lease=1.8, fence_grace=0.4)
"""Its fenced_within is not the default one."""
NODE = "core-1"


def key_of(consul: ConsulApi, paths: Paths, node: str = NODE) -> LeaderKey:
    """The leader key as that node has it."""
    identity = Identity(
        node=node,
        node_type=NodeType.CORE,
        election=paths.election,
        eligible=True,
        eligible_why=EligibleWhy.NODE_TYPE_MAY_LEAD,
        boot_id="0" * 32,
        advertise="127.0.0.1:8610",
    )
    return LeaderKey(consul, paths, identity, TIMING, SystemClock())


def attempt(view: KeyView, session: str, **changes: Any) -> Acquire:
    """An attempt on the vacancy that is seen."""
    asked = Acquire(
        attempt=1,
        session=session,
        leader_index=view.leader_index,
        term_index=view.term_index,
        term=(view.term or 0) + 1,
        successors=("core-2", "core-3"),
        deadline=PATIENT_S,
    )
    return replace(asked, **changes)


async def take_over(key: LeaderKey, session: str) -> KeyView:
    """Take the vacancy that is there; what that left."""
    taken = await key.acquire(attempt(await key.observe(PATIENT_S), session))
    assert isinstance(taken, Taken), taken
    return taken.view


async def both_keys(consul: ConsulApi, paths: Paths) -> tuple[KVEntry | None, KVEntry | None]:
    """Everything that Consul says of the two keys."""
    leader, term = [
        (await consul.kv_get(key, consistency=Consistency.CONSISTENT)).value
        for key in (paths.leader, paths.term)
    ]
    return leader, term


@pytest.fixture
def paths(name: str) -> Paths:
    return Paths(name)


@pytest.fixture
def key(consul: ConsulClient, paths: Paths) -> LeaderKey:
    return key_of(consul, paths)


@pytest.fixture
async def session(consul: ConsulClient, name: str) -> AsyncIterator[str]:
    session = await new_session(consul, name)
    yield session
    await consul.session_destroy(session)


# --- create ---


async def test_the_key_is_created_as_a_vacancy_of_which_nothing_is_known(
    consul: ConsulClient, paths: Paths, key: LeaderKey
) -> None:
    await key.create(Cause.FIRST_START, PATIENT_S)
    view = await key.observe(PATIENT_S)
    assert view.readable
    assert view.record_vacant
    assert not view.handed_over
    assert (view.record_why, view.record_by) == (Cause.FIRST_START.value, NODE)
    assert (view.session, view.term, view.term_index) == (None, None, 0)
    assert (await entry_of(consul, paths.leader)).modify_index == view.leader_index


async def test_create_leaves_a_key_alone_that_exists(
    consul: ConsulClient, paths: Paths, key: LeaderKey, session: str
) -> None:
    await key.create(Cause.FIRST_START, PATIENT_S)
    vacant = await both_keys(consul, paths)
    await key.create(Cause.DELETED, PATIENT_S)
    assert await both_keys(consul, paths) == vacant
    await take_over(key, session)
    held = await both_keys(consul, paths)
    await key.create(Cause.DELETED, PATIENT_S)
    assert await both_keys(consul, paths) == held


# --- acquire ---


async def test_acquire_takes_the_lock_and_the_next_term_and_says_what_it_left(
    consul: ConsulClient, paths: Paths, key: LeaderKey, session: str
) -> None:
    await key.create(Cause.FIRST_START, PATIENT_S)
    view = await take_over(key, session)
    assert view == await key.observe(PATIENT_S)
    assert (view.session, view.term, view.record_term) == (session, 1, 1)
    assert (view.readable, view.record_vacant, view.record_node) == (True, False, NODE)
    assert view.successors == ("core-2", "core-3")
    record = LeaderRecord.decode((await entry_of(consul, paths.leader)).value)
    assert (record.address, record.node_type) == ("127.0.0.1:8610", "core")
    assert record.lock_delay_ms == 2000


async def test_the_term_key_says_how_late_its_holder_stops(
    consul: ConsulClient, paths: Paths, key: LeaderKey, session: str
) -> None:
    """Where the record of a leader that is gone cannot be read, this is what is waited for."""
    await key.create(Cause.FIRST_START, PATIENT_S)
    view = await take_over(key, session)
    assert (await entry_of(consul, paths.term)).flags == 2200
    assert view.term_fenced_within == view.record_fenced_within == TIMING.fenced_within


async def test_acquire_of_a_vacancy_that_has_changed_is_refused(
    consul: ConsulClient, paths: Paths, key: LeaderKey, session: str
) -> None:
    """Vacant still, and no term was taken: only the index of the vacancy tells."""
    await key.create(Cause.FIRST_START, PATIENT_S)
    seen = await key.observe(PATIENT_S)
    assert await consul.kv_put(paths.leader, b"another vacancy")
    before = await both_keys(consul, paths)
    outcome = await key.acquire(attempt(seen, session))
    assert outcome is TakeoverOutcome.VACANCY_CHANGED
    assert await both_keys(consul, paths) == before
    assert (await key.observe(PATIENT_S)).session is None


async def test_the_second_of_two_attempts_of_one_session_is_refused_by_the_term(
    consul: ConsulClient, paths: Paths, key: LeaderKey, session: str
) -> None:
    """Its lock passes, as the session has it, and it names the key as it is: the term tells."""
    await key.create(Cause.FIRST_START, PATIENT_S)
    seen = await key.observe(PATIENT_S)
    first = await take_over(key, session)
    before = await both_keys(consul, paths)
    second = attempt(seen, session, attempt=2, leader_index=first.leader_index)
    assert await key.acquire(second) is TakeoverOutcome.TERM_MOVED
    assert await key.acquire(attempt(seen, session)) is TakeoverOutcome.VACANCY_CHANGED
    assert await both_keys(consul, paths) == before


async def test_what_consul_refuses_a_lock_for_is_told_apart(
    consul: ConsulClient, key: LeaderKey, session: str, name: str
) -> None:
    """By the words of the Consul at hand."""
    await key.create(Cause.FIRST_START, PATIENT_S)
    seen = await key.observe(PATIENT_S)
    gone = await new_session(consul, f"{name}-gone")
    await consul.session_destroy(gone)
    assert await key.acquire(attempt(seen, gone)) is TakeoverOutcome.NO_SESSION
    await take_over(key, session)
    other = await new_session(consul, f"{name}-other")
    assert await key.acquire(attempt(seen, other)) is TakeoverOutcome.HELD
    await consul.session_destroy(session)
    left = await key.observe(PATIENT_S)
    assert left.session is None
    assert await key.acquire(attempt(left, other)) is TakeoverOutcome.LOCK_DELAY
    await consul.session_destroy(other)


# --- update ---


async def test_update_writes_the_record_and_keeps_the_term_and_the_lock(
    consul: ConsulClient, paths: Paths, key: LeaderKey, session: str
) -> None:
    await key.create(Cause.FIRST_START, PATIENT_S)
    taken = await take_over(key, session)
    _, term = await both_keys(consul, paths)
    assert await key.update(session, 1, ("core-4",))
    view = await key.observe(PATIENT_S)
    assert view.leader_index > taken.leader_index
    assert replace(taken, leader_index=view.leader_index, successors=("core-4",)) == view
    assert (await both_keys(consul, paths))[1] == term


async def test_update_does_not_take_a_vacant_key(
    consul: ConsulClient, paths: Paths, key: LeaderKey, session: str
) -> None:
    """A lock that is sent to write would take it, under a term that is not ours."""
    await key.create(Cause.FIRST_START, PATIENT_S)
    before = await both_keys(consul, paths)
    assert not await key.update(session, 1, ())
    assert await both_keys(consul, paths) == before


async def test_update_does_nothing_to_anothers_record(
    consul: ConsulClient, paths: Paths, key: LeaderKey, session: str, name: str
) -> None:
    await key.create(Cause.FIRST_START, PATIENT_S)
    await take_over(key, session)
    before = await both_keys(consul, paths)
    other = await new_session(consul, f"{name}-other")
    assert not await key_of(consul, paths, "core-2").update(other, 1, ())
    assert await both_keys(consul, paths) == before
    await consul.session_destroy(other)


# --- release ---


async def test_release_hands_over(
    consul: ConsulClient, paths: Paths, key: LeaderKey, session: str, name: str
) -> None:
    await key.create(Cause.FIRST_START, PATIENT_S)
    taken = await take_over(key, session)
    _, term = await both_keys(consul, paths)
    asked = Release(session, 1, taken.term_index, Cause.STEPPED_DOWN, ("core-2",), "ann")
    assert await key.release(asked)
    view = await key.observe(PATIENT_S)
    assert view.handed_over
    assert view.session is None
    assert (view.record_why, view.record_by, view.record_node) == ("stepped_down", "ann", NODE)
    assert (view.record_term, view.successors) == (1, ("core-2",))
    assert view.record_fenced_within == TIMING.fenced_within
    assert (await both_keys(consul, paths))[1] == term
    # There is no lock-delay after it: whoever follows takes the next term at once.
    other = await new_session(consul, f"{name}-other")
    assert (await take_over(key_of(consul, paths, "core-2"), other)).term == 2
    await consul.session_destroy(other)


async def test_release_of_a_former_term_does_not_end_a_newer_one(
    consul: ConsulClient, paths: Paths, key: LeaderKey, session: str
) -> None:
    """The same session holds the lock: only the term tells that it is not that leadership."""
    await key.create(Cause.FIRST_START, PATIENT_S)
    first = await take_over(key, session)
    record = LeaderRecord(state=LeaderState.HELD, term=2, node=NODE)
    again = await consul.txn(
        [
            TxnOp.kv_lock(paths.leader, record.encode(), session),
            TxnOp.kv_cas(paths.term, encode_term(2), first.term_index),
        ]
    )
    assert again.ok, again.errors
    before = await both_keys(consul, paths)
    assert not await key.release(Release(session, 1, first.term_index, Cause.HANDED_OVER))
    assert await both_keys(consul, paths) == before
    view = await key.observe(PATIENT_S)
    assert (view.session, view.term) == (session, 2)
    assert await key.release(Release(session, 2, view.term_index, Cause.HANDED_OVER))


async def test_release_does_nothing_to_anothers_lock(
    consul: ConsulClient, paths: Paths, key: LeaderKey, session: str, name: str
) -> None:
    await key.create(Cause.FIRST_START, PATIENT_S)
    taken = await take_over(key, session)
    before = await both_keys(consul, paths)
    other = await new_session(consul, f"{name}-other")
    assert not await key.release(Release(other, 1, taken.term_index, Cause.HANDED_OVER))
    assert await both_keys(consul, paths) == before
    await consul.session_destroy(other)


# --- observe ---


async def test_observe_tells_which_key_is_missing(
    consul: ConsulClient, paths: Paths, key: LeaderKey, session: str
) -> None:
    nothing = await key.observe(PATIENT_S)
    assert nothing.missing
    assert (nothing.leader_index, nothing.term, nothing.term_index) == (0, None, 0)
    await key.create(Cause.FIRST_START, PATIENT_S)
    await take_over(key, session)
    held, term = await both_keys(consul, paths)
    assert held is not None
    assert term is not None
    await consul.kv_delete(paths.leader)
    leader_missing = await key.observe(PATIENT_S)
    assert leader_missing.missing
    assert (leader_missing.term, leader_missing.term_index) == (1, term.modify_index)
    assert leader_missing.term_fenced_within == TIMING.fenced_within
    await consul.kv_put(paths.leader, held.value)
    await consul.kv_delete(paths.term)
    term_missing = await key.observe(PATIENT_S)
    assert (term_missing.record_term, term_missing.record_node) == (1, NODE)
    assert (term_missing.term, term_missing.term_index) == (None, 0)


class Recording(ConsulClient):
    """A real client that notes what it reads, and how."""

    def __init__(self, agent: ConsulAgent) -> None:
        super().__init__(ConsulAddress(agent.http_url), request_timeout_s=PATIENT_S)
        self.read: list[tuple[tuple[str, ...], Consistency]] = []

    async def txn(
        self,
        ops: Sequence[TxnOp],
        *,
        consistency: Consistency = Consistency.DEFAULT,
        deadline_s: float | None = None,
    ) -> TxnResult:
        self.read.append((tuple(op.key for op in ops), consistency))
        return await super().txn(ops, consistency=consistency, deadline_s=deadline_s)

    async def kv_get(
        self,
        key: str,
        *,
        consistency: Consistency = Consistency.DEFAULT,
        index: int | None = None,
        wait_s: float | None = None,
        deadline_s: float | None = None,
    ) -> Reply[KVEntry | None]:
        self.read.append(((key,), consistency))
        return await super().kv_get(
            key, consistency=consistency, index=index, wait_s=wait_s, deadline_s=deadline_s
        )


async def test_every_read_is_consistent_and_the_term_is_never_read_after_the_leader(
    consul_agent: ConsulAgent, consul: ConsulClient, paths: Paths, key: LeaderKey, session: str
) -> None:
    """Nothing less confirms a lease. And a leader key that is read before its term could be that
    of the leader before: the two would not belong together."""
    at_once = (paths.leader, paths.term)
    apart = [at_once, (paths.term,), (paths.leader,)]
    async with Recording(consul_agent) as recording:
        observing = key_of(recording, paths)
        await observing.observe(PATIENT_S)
        await key.create(Cause.FIRST_START, PATIENT_S)
        await observing.observe(PATIENT_S)
        await take_over(key, session)
        await observing.observe(PATIENT_S)
    assert [keys for keys, _ in recording.read] == [*apart, *apart, at_once]
    assert {consistency for _, consistency in recording.read} == {Consistency.CONSISTENT}


@pytest.fixture(scope="module")
def acl_agent(
    consul_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConsulAgent]:
    """An agent that denies everything to whoever has no token for it."""
    config = AgentConfig(
        name="acl",
        directory=tmp_path_factory.mktemp("acl"),
        binary=consul_binary,
        token=ROOT_TOKEN,
        extra=acl_settings(),
    )
    with ConsulAgent(config) as agent:
        yield agent


async def test_keys_that_may_not_be_read_are_not_missing(
    acl_agent: ConsulAgent, paths: Paths, name: str
) -> None:
    """To take one for missing would be to create a key, or a term, that is there."""
    async with client_of(acl_agent, token=ROOT_TOKEN) as consul:
        key = key_of(consul, paths)
        await key.create(Cause.FIRST_START, PATIENT_S)
        await take_over(key, await new_session(consul, name))
    for readable in ("leader", "term", "other"):
        rules = f'key "{paths.root}{readable}" {{ policy = "read" }}'
        async with client_of(acl_agent, token=make_token(acl_agent, rules)) as consul:
            with pytest.raises(ConsulNotPermitted):
                await key_of(consul, paths).observe(PATIENT_S)
    rules = f'key_prefix "{paths.root}" {{ policy = "read" }}'
    async with client_of(acl_agent, token=make_token(acl_agent, rules)) as consul:
        assert (await key_of(consul, paths).observe(PATIENT_S)).term == 1


class LeavingOut(ConsulClient):
    """Leaves one key out of what a transaction gives, as `TxnResult` allows; else a real client."""

    left_out = ""

    async def txn(
        self,
        ops: Sequence[TxnOp],
        *,
        consistency: Consistency = Consistency.DEFAULT,
        deadline_s: float | None = None,
    ) -> TxnResult:
        result = await super().txn(ops, consistency=consistency, deadline_s=deadline_s)
        return replace(result, entries=tuple(e for e in result.entries if e.key != self.left_out))


async def test_a_key_that_is_left_out_of_what_was_read_is_not_missing(
    consul_agent: ConsulAgent, paths: Paths, session: str
) -> None:
    async with LeavingOut(ConsulAddress(consul_agent.http_url)) as consul:
        key = key_of(consul, paths)
        await key.create(Cause.FIRST_START, PATIENT_S)
        await take_over(key, session)
        for consul.left_out in (paths.leader, paths.term):
            with pytest.raises(ConsulNotPermitted, match=consul.left_out):
                await key.observe(PATIENT_S)
