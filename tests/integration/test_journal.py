"""The journal on a real Consul: order kept through outages, pruned, whatever is there read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from consul_agents import ROOT_TOKEN, ConsulAgent, Mode, acl_settings, client_of

from coord.clock import SystemClock
from coord.consul import Consistency, ConsulApi
from coord.election.reasons import Cause, LostReason, StepDownReason
from coord.records import Paths
from coord.telemetry import (
    BecameLeader,
    ElectionCheck,
    LeaderChanged,
    LostLeadership,
    NodeUp,
    StepDownRequested,
)
from coord.telemetry.journal import (
    FAULT,
    KEPT_ENTRIES,
    PRUNE_FAULT,
    Journal,
    keep_pruned,
    prune,
    read,
)
from coord.telemetry.lasting_fault import FaultNotice, FaultPhase, LastingFault

GENEROUS_S = 60.0
FAST_S = (0.05, 0.2)


class Told:
    """Collects fault notices, and can be waited on."""

    def __init__(self) -> None:
        self.notices: list[FaultNotice] = []
        self.began = asyncio.Event()
        self.faults = LastingFault(SystemClock(), self._take)

    def _take(self, notice: FaultNotice) -> None:
        self.notices.append(notice)
        if notice.phase is FaultPhase.BEGAN:
            self.began.set()

    @property
    def phases(self) -> list[tuple[str, FaultPhase]]:
        return [(notice.kind, notice.phase) for notice in self.notices]


@asynccontextmanager
async def running(journal: Journal, consul: ConsulApi) -> AsyncIterator[asyncio.Task[None]]:
    """`journal.run`, which must still be running at the end."""
    task = asyncio.create_task(journal.run(consul))
    try:
        yield task
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def flushed(journal: Journal) -> None:
    async with asyncio.timeout(GENEROUS_S):
        await journal.flushed()


def led(term: int, at_ms: int | None = None) -> BecameLeader:
    return BecameLeader(
        node="core-1",
        node_type="core",
        election="e",
        term=term,
        at_ms=1_700_000_000_000 + term if at_ms is None else at_ms,
    )


@pytest.fixture
def paths(name: str) -> Paths:
    return Paths(name)


@pytest.fixture
def journal(paths: Paths) -> Journal:
    return Journal(paths, "core-1", backoff_s=FAST_S)


async def terms(consul: ConsulApi, paths: Paths) -> list[int | None]:
    return [entry.term for entry in await read(consul, paths)]


async def test_an_entry_is_read_as_it_was_told(
    consul: ConsulApi, paths: Paths, journal: Journal
) -> None:
    event = LeaderChanged(
        node="core-1",
        node_type="core",
        election="e",
        term=7,
        at_ms=1_700_000_000_007,
        previous_leader="core-2",
        new_leader="core-1",
        cause=Cause.SESSION_INVALIDATED,
        gap_ms=5100,
    )
    async with running(journal, consul):
        journal.handle(event)
        await flushed(journal)
    (entry,) = await read(consul, paths)
    assert entry.key.startswith(f"{paths.journal}1700000000007-core-1-")
    assert (entry.event, entry.node, entry.term, entry.at_ms, entry.problem) == (
        "serviceradar.coordinator.leader_changed",
        "core-1",
        7,
        1_700_000_000_007,
        "",
    )
    assert dict(entry.details) == {
        "node_type": "core",
        "election": "e",
        "previous_leader": "core-2",
        "new_leader": "core-1",
        "cause": "session_invalidated",
        "gap_ms": 5100,
    }


async def test_only_transitions_are_kept_and_a_change_only_by_the_new_leader(
    consul: ConsulApi, paths: Paths, journal: Journal
) -> None:
    journal.handle(ElectionCheck(node="core-1", leader=None, state="standby"))
    journal.handle(NodeUp(node="core-1", name="web-1"))
    journal.handle(LeaderChanged(node="core-1", new_leader="core-2", term=4))
    assert journal.waiting == 0
    journal.handle(LeaderChanged(node="core-1", new_leader="core-1", term=5))
    journal.handle(LostLeadership(node="core-1", reason=LostReason.VACANT, term=5))
    assert journal.waiting == 2


async def test_order_is_kept_when_the_wall_clock_stands_still_or_is_set_back(
    consul: ConsulApi, paths: Paths, journal: Journal
) -> None:
    async with running(journal, consul):
        for term, at_ms in ((1, 5000), (2, 5000), (3, 1000), (4, 5001)):
            journal.handle(led(term, at_ms))
        await flushed(journal)
    entries = await read(consul, paths)
    assert [(entry.term, entry.at_ms) for entry in entries] == [
        (1, 5000),
        (2, 5000),
        (3, 1000),
        (4, 5001),
    ]


async def test_two_starts_of_a_node_never_share_a_key(consul: ConsulApi, paths: Paths) -> None:
    for _ in range(5):
        journal = Journal(paths, "core-1")
        async with running(journal, consul):
            journal.handle(led(1, 5000))
            await flushed(journal)
    assert await terms(consul, paths) == [1] * 5


async def test_an_outage_is_ridden_out_with_order_kept(
    make_agent: Callable[..., ConsulAgent], paths: Paths
) -> None:
    agent = make_agent(mode=Mode.SERVER)
    told = Told()
    journal = Journal(paths, "core-1", faults=told.faults, backoff_s=FAST_S)
    async with client_of(agent) as consul, running(journal, consul):
        journal.handle(led(1))
        await flushed(journal)
        await asyncio.to_thread(agent.kill)
        for term in range(2, 8):
            journal.handle(led(term))
        async with asyncio.timeout(GENEROUS_S):
            await told.began.wait()
        assert journal.waiting == 6
        await asyncio.to_thread(lambda: agent.start().wait_ready())
        await flushed(journal)
        assert await terms(consul, paths) == [1, 2, 3, 4, 5, 6, 7]
    assert journal.lost == 0
    assert told.phases[0] == (FAULT, FaultPhase.BEGAN)
    assert told.phases[-1] == (FAULT, FaultPhase.OVER)


async def test_when_the_queue_is_full_the_oldest_go_and_the_loss_is_told(
    consul: ConsulApi, paths: Paths
) -> None:
    journal = Journal(paths, "core-1", queue_size=3)
    for term in range(1, 9):
        journal.handle(led(term))
    assert (journal.waiting, journal.lost) == (3, 5)
    async with running(journal, consul):
        await flushed(journal)
    entries = await read(consul, paths)
    assert [(e.term, e.details.get("lost_before")) for e in entries] == [
        (6, 5),
        (7, None),
        (8, None),
    ]


async def test_what_consul_refuses_for_good_does_not_hold_up_the_rest(
    make_agent: Callable[..., ConsulAgent], paths: Paths
) -> None:
    agent = make_agent(extra={"limits": {"kv_max_value_size": 400}})
    told = Told()
    journal = Journal(paths, "core-1", faults=told.faults, backoff_s=FAST_S)
    too_long = StepDownRequested(
        node="core-1", term=2, at_ms=1, reason=StepDownReason.REQUESTED, detail="x" * 500
    )
    async with client_of(agent) as consul, running(journal, consul):
        for event in (led(1), too_long, led(3)):
            journal.handle(event)
        await flushed(journal)
        entries = await read(consul, paths)
    assert [(e.term, e.details.get("lost_before")) for e in entries] == [(1, None), (3, 1)]
    assert journal.lost == 1
    assert told.phases == [(FAULT, FaultPhase.BEGAN), (FAULT, FaultPhase.OVER)]


async def test_without_the_right_it_goes_on_trying_and_loses_nothing(
    make_agent: Callable[..., ConsulAgent], paths: Paths
) -> None:
    agent = make_agent(extra=acl_settings(), token=ROOT_TOKEN)
    told = Told()
    journal = Journal(paths, "core-1", faults=told.faults, backoff_s=FAST_S)
    journal.handle(led(1))
    journal.handle(led(2))
    async with client_of(agent) as nobody, running(journal, nobody):
        async with asyncio.timeout(GENEROUS_S):
            await told.began.wait()
        assert await read(nobody, paths) == ()
    assert (journal.waiting, journal.lost) == (2, 0)
    async with client_of(agent, token=ROOT_TOKEN) as consul, running(journal, consul):
        await flushed(journal)
        assert await terms(consul, paths) == [1, 2]


async def test_pruning_leaves_the_newest_and_nothing_else_is_touched(
    consul: ConsulApi, paths: Paths, journal: Journal
) -> None:
    for number in range(150):
        await consul.kv_put(f"{paths.journal}{number:013d}-core-1-0123abcd-{number:08d}", b"{}")
    await consul.kv_put(paths.journal + "zzz-not-named-like-an-entry", b"{}")
    await consul.kv_put(paths.leader, b"stays")
    assert await prune(consul, paths, keep=10) == 141
    left = await read(consul, paths)
    assert [entry.at_ms for entry in left] == list(range(140, 150))
    assert (await consul.kv_get(paths.leader)).value is not None
    assert await prune(consul, paths, keep=10) == 0
    assert await prune(consul, paths, keep=0) == 10
    assert await prune(consul, paths) == 0


async def test_a_clock_that_is_ahead_pushes_out_nobody_elses_entries(
    consul: ConsulApi, paths: Paths
) -> None:
    ahead = 9_000_000_000_000
    for number in range(20):
        key = f"{paths.journal}{ahead + number:013d}-core-2-0123abcd-{number:08d}"
        await consul.kv_put(key, b'{"event": "x"}')
    for number in range(10):
        key = f"{paths.journal}{number:013d}-core-1-0123abcd-{number:08d}"
        await consul.kv_put(key, b'{"event": "x"}')
    assert {entry.node for entry in await read(consul, paths, 10)} == {"core-1"}
    assert await prune(consul, paths, keep=10) == 20
    assert [entry.at_ms for entry in await read(consul, paths)] == list(range(10))


async def test_the_leader_keeps_the_journal_pruned_and_nobody_else_does(
    consul: ConsulApi, paths: Paths
) -> None:
    for number in range(KEPT_ENTRIES + 5):
        await consul.kv_put(f"{paths.journal}{number:013d}-core-1-0123abcd-{number:08d}", b"{}")
    told, asked = Told(), asyncio.Event()
    leading = False

    def leads() -> bool:
        asked.set()
        return leading

    pruning = asyncio.create_task(keep_pruned(consul, paths, leads, told.faults, interval_s=0.02))
    try:
        async with asyncio.timeout(GENEROUS_S):
            for _ in range(3):
                asked.clear()
                await asked.wait()
            assert len((await consul.kv_keys(paths.journal)).value) == KEPT_ENTRIES + 5
            leading = True
            while len((await consul.kv_keys(paths.journal)).value) > KEPT_ENTRIES:
                asked.clear()
                await asked.wait()
        assert not pruning.done()
        assert told.notices == []
    finally:
        pruning.cancel()
        await asyncio.wait([pruning])


async def test_pruning_that_fails_is_told_and_goes_on(
    make_agent: Callable[..., ConsulAgent], paths: Paths
) -> None:
    agent = make_agent()
    agent.kill()
    told = Told()
    async with client_of(agent, request_timeout_s=1.0) as consul:
        pruning = asyncio.create_task(
            keep_pruned(consul, paths, lambda: True, told.faults, interval_s=0.02)
        )
        async with asyncio.timeout(GENEROUS_S):
            await told.began.wait()
        assert told.phases[0] == (PRUNE_FAULT, FaultPhase.BEGAN)
        assert not pruning.done()
        pruning.cancel()
        await asyncio.wait([pruning])


async def test_keys_that_no_client_may_name_do_not_stop_pruning(
    consul: ConsulApi, consul_agent: ConsulAgent, paths: Paths
) -> None:
    names = [paths.journal + name for name in ("../b", "a//b", "a\x01b")]
    ops = [{"KV": {"Verb": "set", "Key": key, "Value": "e30="}} for key in names]
    status, _ = consul_agent.request("PUT", "/v1/txn", json.dumps(ops).encode())
    assert status == 200
    await consul.kv_put(f"{paths.journal}0000000000001-core-1-0123abcd-00000001", b"{}")
    await consul.kv_put(f"{paths.journal}0000000000002-core-1-0123abcd-00000002", b"{}")
    await prune(consul, paths, keep=1)
    assert (await read(consul, paths))[-1].at_ms == 2
    assert 1 not in [entry.at_ms for entry in await read(consul, paths)]


async def test_reading_gives_the_newest_oldest_first(
    consul: ConsulApi, paths: Paths, journal: Journal
) -> None:
    assert await read(consul, paths) == ()
    async with running(journal, consul):
        for term in range(1, 8):
            journal.handle(led(term))
        await flushed(journal)
    newest = await read(consul, paths, 3, consistency=Consistency.STALE)
    assert [entry.term for entry in newest] == [5, 6, 7]


GOOD = {"event": "serviceradar.coordinator.became_leader", "term": 3, "node": "core-9"}


@pytest.mark.parametrize(
    ("value", "readable"),
    [
        (b"", False),
        (b"\xff\xfe\x00", False),
        (b"not json", False),
        (b"[" * 100_000, False),
        (b"9" * 5000, False),
        (b"null", False),
        (b"[]", False),
        (b"{}", False),
        (b'{"event": 3}', False),
        (b'{"event": ""}', False),
        (json.dumps({**GOOD, "term": "x", "node": [1], "at_ms": -1}).encode(), True),
        (json.dumps({**GOOD, "term": True, "at_ms": 10**300, "n": 10**300}).encode(), True),
        (json.dumps({**GOOD, "deep": {"a": [[1]]}, "nan": float("nan")}).encode(), True),
        (json.dumps({**GOOD, "v": 99, "from_the_future": [{"a": 1}, "\ud800"]}).encode(), True),
        (json.dumps({**GOOD, "event": "a\x1b[2J\nb", "k\x00": "\x9b"}).encode(), True),
        (json.dumps({**GOOD, "long": "x" * 100_000}).encode(), True),
    ],
)
async def test_whatever_is_there_is_shown_and_never_a_crash(
    consul: ConsulApi, paths: Paths, value: bytes, readable: bool
) -> None:
    await consul.kv_put(f"{paths.journal}0000000005000-core-1-0123abcd-00000001", value)
    (entry,) = await read(consul, paths)
    assert bool(entry.problem) is not readable
    assert bool(entry.event) is readable
    assert entry.at_ms == 5000
    assert entry.node == "core-1" or (readable and entry.node == "core-9")
    assert entry.term in (None, 3)
    shown = [entry.event, entry.node, *map(str, entry.details), *map(str, entry.details.values())]
    assert all(text.isprintable() and len(text) < 2000 for text in shown)
    json.dumps(dict(entry.details), allow_nan=False).encode()


async def test_a_key_that_is_not_named_like_an_entry_is_shown_first(
    consul: ConsulApi, paths: Paths, journal: Journal
) -> None:
    await consul.kv_put(paths.journal + "zzz/foreign", json.dumps(GOOD).encode())
    async with running(journal, consul):
        journal.handle(led(8))
        await flushed(journal)
    first, second = await read(consul, paths)
    assert (first.at_ms, first.node, first.term) == (None, "core-9", 3)
    assert second.term == 8


async def test_own_text_is_bounded_and_clean(
    consul: ConsulApi, paths: Paths, journal: Journal
) -> None:
    detail = "\x1b[2J\ud800" + "x" * 600_000
    async with running(journal, consul):
        journal.handle(
            StepDownRequested(
                node="core-1", term=1, at_ms=1, reason=StepDownReason.FORCED, detail=detail
            )
        )
        await flushed(journal)
    (entry,) = await read(consul, paths)
    assert journal.lost == 0
    assert 0 < len(entry.details["detail"]) < 2000
    assert entry.details["detail"].isprintable()


@pytest.mark.parametrize("node", ["", "a/b", "..", "a b", "a\n"])
async def test_a_node_name_that_cannot_stand_in_a_key_is_refused(paths: Paths, node: str) -> None:
    with pytest.raises(ValueError, match="node"):
        Journal(paths, node)


async def test_senseless_bounds_are_refused(consul: ConsulApi, paths: Paths) -> None:
    with pytest.raises(ValueError, match="limit"):
        await read(consul, paths, 0)
    with pytest.raises(ValueError, match="keep"):
        await prune(consul, paths, keep=-1)
