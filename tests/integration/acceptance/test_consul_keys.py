"""Somebody edits or deletes what the election keeps in Consul, while a leader works."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from consul_agents import ConsulAgent, entry_of, eventually
from fault_bench import Bench, Pair, bench_on, said

from coord.consul import TxnOp
from coord.records import LeaderRecord, LeaderState


@pytest.fixture
async def bench(consul_agent: ConsulAgent, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(consul_agent, tmp_path) as bench:
        yield bench


@pytest.fixture
async def pair(bench: Bench) -> Pair:
    """core-1 leads, core-2 stands by."""
    return await bench.pair({}, {})


async def test_incumbent_goes_on_and_mends_its_record_when_the_key_is_edited(
    bench: Bench, pair: Pair
) -> None:
    """A plain PUT keeps the session on the key, so nobody else can lead."""
    session = await bench.holder()

    assert await bench.consul.kv_put(bench.paths.leader, b"not a record")

    async def record() -> LeaderRecord | None:
        value = (await entry_of(bench.consul, bench.paths.leader)).value
        return LeaderRecord.decode(value) if value.startswith(b"{") else None

    mended = await eventually(record)
    assert mended is not None
    assert (mended.state, mended.node, mended.term) == (
        LeaderState.HELD,
        "core-1",
        pair.seen.term,
    )
    assert await bench.holder() == session
    report = await bench.settled(pair.seen)
    assert not report.pauses, "work went on all the time"
    assert not pair.leader.events("suspended")


async def test_vacancy_of_a_key_that_was_edited_is_not_taken_for_handed_over(
    bench: Bench, pair: Pair
) -> None:
    """Nobody can tell what else was done to it, so its word is not taken."""
    assert await bench.consul.kv_put(bench.paths.leader, b"not a record")
    await eventually(
        lambda: entry_of(bench.consul, bench.paths.leader),
        until=lambda entry: entry.value.startswith(b"{"),
    )

    pair.leader.terminate()
    assert await pair.leader.wait_exit() == 0

    after = await bench.next_leader(pair.seen)
    change = await said(pair.standby, "leader_changed", term=after.term)
    assert change["cause"] == "unknown"
    assert change["quarantine_ms"] >= 2500, "lock-delay and takeover delay were waited out"
    await bench.settled(after)


@pytest.mark.parametrize(
    ("what", "reasons"),
    [
        # A standby may have created the key anew, vacant, before the leader looks.
        ("leader", {"key_deleted", "vacant"}),
        ("prefix", {"key_deleted", "vacant"}),
        ("term", {"term_changed"}),
    ],
)
async def test_deletion_is_loss_and_a_newer_term_follows(
    bench: Bench, pair: Pair, what: str, reasons: set[str]
) -> None:
    """The leader stops at once, the vacancy is waited out, and the next term is a higher one."""
    delete = {
        "leader": TxnOp.kv_delete(bench.paths.leader),
        "prefix": TxnOp.kv_delete_tree(bench.paths.root),
        "term": TxnOp.kv_delete(bench.paths.term),
    }[what]

    assert (await bench.txn(delete)).ok

    lost = await said(pair.leader, "lost_leadership", term=pair.seen.term)
    assert lost["reason"] in reasons
    after = await bench.next_leader(pair.seen)
    assert after.node == "core-2", "who lost stays back while another candidate is there"
    report = await bench.settled(after)
    gap = report.gap_to(after.term)
    assert gap is not None
    assert gap.gap_s > 0
    change = await said(pair.standby, "leader_changed", term=after.term)
    assert change["cause"] != "handed_over"


async def test_session_destroyed_by_hand_is_loss(bench: Bench, pair: Pair) -> None:
    """Somebody else leads when the lock-delay is over."""
    session = await bench.holder()
    assert session is not None

    await bench.consul.session_destroy(session)

    await said(pair.leader, "lost_leadership", term=pair.seen.term)
    after = await bench.next_leader(pair.seen)
    assert after.node == "core-2"
    await bench.settled(after)


async def test_check_deregistered_by_hand_is_loss(bench: Bench, pair: Pair) -> None:
    """The session goes with the check; the node comes back with a new check and a new session."""
    (instance,) = [
        each
        for each in (await bench.consul.health_service(bench.paths.candidate_service)).value
        if each.meta["node"] == "core-1"
    ]

    await bench.consul.service_deregister(instance.id)

    await said(pair.leader, "lost_leadership", term=pair.seen.term)
    after = await bench.next_leader(pair.seen)
    await bench.settled(after)

    async def candidates() -> set[str]:
        found = await bench.consul.health_service(bench.paths.candidate_service, passing=True)
        return {each.meta["node"] for each in found.value}

    assert await eventually(candidates, until=lambda names: len(names) == 2)
