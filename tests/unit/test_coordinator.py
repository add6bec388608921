"""What discovery is told of a leader while Consul's servers can be told nothing.

An agent locks its own state while it writes to the catalog, and takes no pass of any check before
that write is answered. So whoever changes something on it while the servers are away makes the
check run out that his session hangs on: `tests/chaos` has it happen on a real cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from virtual_time import LoopClock, virtual

from coord.application import Application
from coord.config import Settings
from coord.consul import (
    ConsulApi,
    ConsulUnavailable,
    KVEntry,
    Reply,
    ServiceInstance,
    TxnOp,
    TxnResult,
    TxnVerb,
)
from coord.coordinator import LOOK_AGAIN_S
from coord.election.states import State
from coord.election.timing import Timing
from coord.process import host_of
from coord.records import LeaderRecord, LeaderState, Paths, encode_term

PATHS = Paths("coordinator")
TIMING = Timing()


class Giving:
    """A Consul whose lock is free, with an agent that notes what it is told."""

    token_changes = 0

    def __init__(self) -> None:
        record = LeaderRecord(state=LeaderState.VACANT, term=3, node="core-9", why="handed_over")
        self._keys = {
            PATHS.leader: KVEntry(PATHS.leader, record.encode(), lock_index=1, modify_index=20),
            PATHS.term: KVEntry(PATHS.term, encode_term(3), modify_index=20),
        }
        self.away: ConsulUnavailable | None = None
        self.leaderless = False
        self.stuck = False
        self.acquired = 0
        self.has_session = asyncio.Event()
        self.told: list[tuple[float, str, str]] = []
        """When, what, of which service or check."""

    def _tell(self, what: str, of: str) -> None:
        self.told.append((asyncio.get_running_loop().time(), what, of))

    def take_from_us(self) -> None:
        """Somebody else leads."""
        entry = self._keys[PATHS.leader]
        record = LeaderRecord(state=LeaderState.HELD, term=9, node="core-9").encode()
        self._keys[PATHS.leader] = replace(
            entry, value=record, session="theirs", modify_index=entry.modify_index + 9
        )

    def _reached(self) -> None:
        if self.away is not None:
            raise self.away

    async def _answer(self, value: Any, index: int | None) -> Reply[Any]:
        self._reached()
        if index is not None:
            await asyncio.Event().wait()  # nothing changes
        return Reply(value, 1, True)

    async def kv_get(
        self, key: str, *, index: int | None = None, **_: Any
    ) -> Reply[KVEntry | None]:
        return await self._answer(self._keys.get(key), index)

    async def kv_list(
        self, prefix: str, *, index: int | None = None, **_: Any
    ) -> Reply[tuple[KVEntry, ...]]:
        return await self._answer((), index)

    async def health_service(
        self, name: str, *, index: int | None = None, **_: Any
    ) -> Reply[tuple[ServiceInstance, ...]]:
        return await self._answer((), index)

    async def status_leader(self, **_: Any) -> str:
        if self.away is not None and not self.leaderless:
            raise self.away
        return "" if self.leaderless else "10.0.0.1:8300"

    async def txn(self, ops: Sequence[TxnOp], **_: Any) -> TxnResult:
        self._reached()
        for op in ops:
            entry = self._keys.get(op.key)
            self.acquired += op.verb is TxnVerb.CAS
            if entry is not None and op.verb in (TxnVerb.LOCK, TxnVerb.CAS):
                session = op.session or entry.session
                self._keys[op.key] = replace(
                    entry, value=op.value, session=session, modify_index=entry.modify_index + 1
                )
        return TxnResult(True, tuple(self._keys[op.key] for op in ops if op.key in self._keys))

    async def kv_put(self, key: str, value: bytes, **_: Any) -> bool:
        self._reached()
        return True

    async def check_pass(self, check_id: str, note: str, **_: Any) -> bool:
        if self.stuck:
            raise ConsulUnavailable("PUT /v1/agent/check/pass", "no answer within 1 s")
        self._tell("pass", check_id)
        return True

    async def check_fail(self, check_id: str, note: str, **_: Any) -> bool:
        self._tell("fail", check_id)
        return True

    async def service_register(self, registration: Any, **_: Any) -> None:
        self._tell("register", registration.id)

    async def service_deregister(self, service_id: str, **_: Any) -> None:
        self._tell("deregister", service_id)

    async def session_create(self, **_: Any) -> str:
        self.has_session.set()
        return "ours"

    async def session_renew(self, session_id: str, **_: Any) -> object:
        self._reached()
        return object()

    async def session_destroy(self, session_id: str, **_: Any) -> bool:
        await asyncio.sleep(0.5)  # that long the leader has something left to give back
        return True


@virtual
async def test_nobody_takes_the_lock_whose_own_agent_takes_no_pass_of_the_check() -> None:
    """Consul still thinks that its session is well: the agent cannot say otherwise."""
    consul = Giving()
    settings = Settings(environ={}, node="core-1", workloads="")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        node = Application(settings, host_of(sock, cast(ConsulApi, consul), LoopClock()))
        running = asyncio.create_task(node.loop.run())
        await consul.has_session.wait()
        consul.stuck = True
        await asyncio.sleep(20.0)
        assert consul.acquired == 0
        consul.stuck = False
        await asyncio.sleep(10.0)
        assert state_of(node) is State.LEADING
        assert consul.acquired == 1
        node.stop()
        await running


@contextlib.asynccontextmanager
async def leading(consul: Giving) -> AsyncIterator[Application]:
    """A node that leads; at the end it stops."""
    settings = Settings(environ={}, node="core-1", workloads="")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        node = Application(settings, host_of(sock, cast(ConsulApi, consul), LoopClock()))
        running = asyncio.create_task(node.loop.run())
        await asyncio.sleep(8.0)
        assert state_of(node) is State.LEADING
        yield node
        consul.away, consul.leaderless = None, False
        node.stop()
        await running


def state_of(node: Application) -> State:
    return node.loop.election.state


def told_since(consul: Giving, began: float, what: str) -> list[float]:
    return [at for at, said, _ in consul.told if at >= began and said == what]


def of_leader(consul: Giving, began: float) -> list[float]:
    """When the leader's check was passed."""
    return [
        at for at, said, of in consul.told if at > began and said == "pass" and "-working" in of
    ]


AWAY = [
    ConsulUnavailable("PUT /v1/txn", "no cluster leader", no_leader=True),
    ConsulUnavailable("PUT /v1/txn", "no answer within 1 s", outcome_unknown=True),
]


@pytest.mark.parametrize("away", AWAY)
@pytest.mark.parametrize("seen_after_s", [0.0, 2.5])
def test_nothing_changes_on_the_agent_while_consul_has_no_leader(
    away: ConsulUnavailable, seen_after_s: float
) -> None:
    """Whether the reads say so or hang, as they do while the servers hold them back; and though
    the servers still name a leader for a while."""

    @virtual
    async def run() -> None:
        consul = Giving()
        async with leading(consul) as node:
            won = node.loop.election.lookout.view
            consul.away = away
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(seen_after_s)
            consul.leaderless = True
            await asyncio.sleep(20.0)
            assert state_of(node) is State.SUSPENDED
            for change in ("fail", "register", "deregister"):
                assert told_since(consul, began, change) == []
            passed = of_leader(consul, began)
            assert max(b - a for a, b in itertools.pairwise([began, *passed])) < TIMING.check_ttl
            consul.away, consul.leaderless = None, False
            await asyncio.sleep(2.0)
            assert state_of(node) is State.LEADING
            assert node.loop.election.lookout.view == won

    run()


@virtual
async def test_one_that_is_itself_cut_off_is_hidden_when_it_is_suspended() -> None:
    """A pass that hangs in its agent would take effect when another is found as the leader."""
    consul = Giving()
    async with leading(consul) as node:
        consul.away = AWAY[1]
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(20.0)
        assert state_of(node) is State.SUSPENDED
        (hidden,) = told_since(consul, began, "fail")
        assert hidden <= began + TIMING.lease + TIMING.check_ttl / 2 + LOOK_AGAIN_S
        assert [at for at in of_leader(consul, began) if at > hidden] == []
        assert told_since(consul, began, "register") == []


@virtual
async def test_one_that_is_cut_off_while_consul_has_no_leader_is_shown_no_longer() -> None:
    consul = Giving()
    async with leading(consul):
        consul.away, consul.leaderless = AWAY[0], True
        await asyncio.sleep(20.0)
        consul.away, consul.leaderless = AWAY[1], False
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(20.0)
        assert all(at < began + TIMING.check_ttl for at in of_leader(consul, began))


@virtual
async def test_a_suspended_leader_that_finds_its_term_over_is_hidden_at_once() -> None:
    consul = Giving()
    async with leading(consul) as node:
        consul.away, consul.leaderless = AWAY[0], True
        await asyncio.sleep(10.0)
        consul.take_from_us()
        consul.away, consul.leaderless = None, False
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(2.0)
        assert state_of(node) is not State.LEADING
        (hidden,) = told_since(consul, began, "fail")
        assert hidden <= began + TIMING.read_deadline
        assert [at for at in of_leader(consul, began) if at > hidden] == []


@virtual
async def test_a_suspended_leader_that_stops_is_hidden_before_it_gives_the_lock_back() -> None:
    consul = Giving()
    async with leading(consul) as node:
        consul.away, consul.leaderless = AWAY[0], True
        await asyncio.sleep(10.0)
        began = asyncio.get_running_loop().time()
        node.loop.shut_down()
        await asyncio.sleep(1.0)
        assert len(told_since(consul, began, "fail")) == 1
        assert of_leader(consul, began) == []
