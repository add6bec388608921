"""What a candidate does with its session in the course of time: renewed, and destroyed for good.

In virtual time, since it takes minutes; hence Consul's part is spoken here.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any, cast

from virtual_time import LoopClock, virtual

from coord.application import Application
from coord.candidate import DESTROY_RETRY_S, CoordinatorCandidate
from coord.config import Settings
from coord.consul import (
    ConsulApi,
    ConsulUnavailable,
    KVEntry,
    Reply,
    ServiceInstance,
    Session,
    TxnOp,
    TxnResult,
)
from coord.election.commands import StartWork
from coord.election.events import WorkFailed
from coord.election.reasons import LostReason
from coord.process import host_of
from coord.records import LeaderRecord, LeaderState, Paths, encode_term

PATHS = Paths("coordinator")
TTL_S = 15.0


class Spoken:
    """A Consul in which another node leads, for ever. It does nothing but what is asked here."""

    token_changes = 0

    def __init__(self) -> None:
        record = LeaderRecord(state=LeaderState.HELD, term=3, node="core-9")
        self._keys = {
            PATHS.leader: KVEntry(
                PATHS.leader, record.encode(), session="theirs", lock_index=1, modify_index=20
            ),
            PATHS.term: KVEntry(PATHS.term, encode_term(3), modify_index=20),
        }
        self._numbers = itertools.count(1)
        self.created: list[tuple[float, str]] = []
        self.renewed: list[tuple[float, str]] = []
        self.destroyed: list[tuple[float, str]] = []
        """Every try, with its time."""
        self.gone: set[str] = set()
        self.failing_renewals = 0
        self.failing_destroys = 0
        self.asked_anew: list[float] = []
        """When a watch asked for what there is, not for what changes."""

    @staticmethod
    def now() -> float:
        return asyncio.get_running_loop().time()

    async def _answer(self, value: Any, index: int | None) -> Reply[Any]:
        if index is not None:
            await asyncio.Event().wait()  # nothing changes
        self.asked_anew.append(self.now())
        return Reply(value, 1, True)

    def restore(self) -> None:
        """Be back at an earlier state, and tell no watch."""
        self._keys = {
            key: replace(entry, modify_index=entry.modify_index - 5)
            for key, entry in self._keys.items()
        }

    async def kv_get(
        self, key: str, *, index: int | None = None, **_: Any
    ) -> Reply[KVEntry | None]:
        return await self._answer(self._keys[key], index)

    async def kv_list(
        self, prefix: str, *, index: int | None = None, **_: Any
    ) -> Reply[tuple[KVEntry, ...]]:
        return await self._answer((KVEntry(PATHS.keep, b"", modify_index=1),), index)

    async def health_service(
        self, name: str, *, index: int | None = None, **_: Any
    ) -> Reply[tuple[ServiceInstance, ...]]:
        return await self._answer((), index)

    async def txn(self, ops: Sequence[TxnOp], **_: Any) -> TxnResult:
        return TxnResult(True, tuple(self._keys[op.key] for op in ops))

    async def check_pass(self, check_id: str, note: str, **_: Any) -> bool:
        return True

    async def service_register(self, registration: Any, **_: Any) -> None:
        pass

    async def session_create(self, *, ttl_s: float, **_: Any) -> str:
        assert ttl_s == TTL_S
        self.created.append((self.now(), f"s{next(self._numbers)}"))
        return self.created[-1][1]

    async def session_renew(self, session_id: str, **_: Any) -> Session | None:
        self.renewed.append((self.now(), session_id))
        if self.failing_renewals:
            self.failing_renewals -= 1
            raise ConsulUnavailable("PUT /v1/session/renew", "cut off")
        if session_id in self.gone:
            return None
        return Session(session_id, "", "node", (), 2.0, TTL_S, "release")

    async def session_destroy(self, session_id: str, **_: Any) -> bool:
        self.destroyed.append((self.now(), session_id))
        if self.failing_destroys:
            self.failing_destroys -= 1
            raise ConsulUnavailable("PUT /v1/session/destroy", "cut off", outcome_unknown=True)
        return True


@contextlib.asynccontextmanager
async def standing_by(consul: Spoken) -> AsyncIterator[Application]:
    """A node whose candidate runs; at the end it stops."""
    settings = Settings(environ={}, node="core-1", workloads="", session_ttl=f"{TTL_S:g}s")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        node = Application(settings, host_of(sock, cast(ConsulApi, consul), LoopClock()))
        running = asyncio.create_task(node.loop.run())
        yield node
        node.stop()
        await running


@virtual
async def test_a_session_is_renewed_before_its_ttl_is_over_for_as_long_as_there_is_one() -> None:
    consul = Spoken()
    async with standing_by(consul):
        await asyncio.sleep(300.0)
        end = consul.now()
    ((began, session),) = consul.created
    assert {each for _, each in consul.renewed} == {session}
    times = [began, *(time for time, _ in consul.renewed), end]
    assert all(0 < later - earlier < TTL_S for earlier, later in itertools.pairwise(times[:-1]))
    assert times[-1] - times[-2] < TTL_S


@virtual
async def test_renewals_that_fail_are_tried_again_and_cost_no_session() -> None:
    consul = Spoken()
    consul.failing_renewals = 2
    async with standing_by(consul):
        await asyncio.sleep(100.0)
        assert consul.destroyed == []
    assert len(consul.renewed) > 4
    assert len(consul.created) == 1


@virtual
async def test_a_session_that_is_gone_when_it_is_renewed_is_replaced() -> None:
    consul = Spoken()
    async with standing_by(consul):
        await asyncio.sleep(1.5)
        consul.gone.add("s1")
        await asyncio.sleep(5 * TTL_S)
        assert [session for _, session in consul.created] == ["s1", "s2"]
        assert [session for _, session in consul.destroyed] == ["s1"]
        assert consul.renewed[-1][1] == "s2"


@virtual
async def test_a_session_that_is_given_up_is_destroyed_until_it_is_gone() -> None:
    """One that is left behind keeps its lock, if it ever gets one."""
    consul = Spoken()
    async with standing_by(consul):
        await asyncio.sleep(1.5)
        consul.gone.add("s1")
        consul.failing_destroys = 2
        await asyncio.sleep(60.0)
        assert [session for _, session in consul.destroyed] == ["s1"] * 3
        times = [time for time, _ in consul.destroyed]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert all(gap >= DESTROY_RETRY_S for gap in gaps), "not in a hurry"
        assert max(gaps) < 2 * DESTROY_RETRY_S
        assert [session for _, session in consul.created] == ["s1", "s2"]


@virtual
async def test_an_end_does_not_wait_for_a_session_that_cannot_be_destroyed() -> None:
    """Its check goes with the node's service; the TTL frees what is left."""
    consul = Spoken()
    async with standing_by(consul):
        await asyncio.sleep(1.5)
        consul.failing_destroys = 1000
        asked_at = consul.now()
    assert consul.now() - asked_at < DESTROY_RETRY_S
    assert [session for _, session in consul.destroyed] == ["s1"]


@virtual
async def test_after_a_restore_no_watch_hangs_on_an_index_of_before() -> None:
    consul = Spoken()
    async with standing_by(consul):
        await asyncio.sleep(60.0)
        quiet = len(consul.asked_anew)
        consul.restore()
        await asyncio.sleep(60.0)
        restarted = consul.asked_anew[quiet:]
        assert len(restarted) == 3, "the leader key's watch, the other candidates' and the orders'"


@virtual
async def test_work_that_could_not_be_started_for_lack_of_a_lease_has_failed() -> None:
    """Else a confirmation that comes after all would go on and on with no work under it."""
    consul = Spoken()
    async with standing_by(consul) as node:
        await asyncio.sleep(1.0)
        loop = node.loop
        assert isinstance(loop, CoordinatorCandidate)
        await loop._start_work(StartWork(1, "s1", 7, 40, None))
        assert WorkFailed(1, LostReason.WORK_FAILED) in loop._events
