"""Requests whose answer is lost, and requests that arrive a term late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from consul_agents import ConsulAgent, entry_of, eventually
from fault_bench import Bench, bench_on, said
from tcp_proxy import Mode, TcpProxy

from coord.consul import TxnOp

ACQUIRE = (b"/leader", b'"cas"')
RELEASE = (b"/leader", b'"unlock"')
FENCED = (b"/written", b'"check-session"')


@pytest.fixture
async def bench(consul_agent: ConsulAgent, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(consul_agent, tmp_path) as bench:
        yield bench


@pytest.fixture
async def proxy(consul_agent: ConsulAgent) -> AsyncIterator[TcpProxy]:
    """Between core-1 and the agent."""
    async with TcpProxy(consul_agent.config.address, consul_agent.ports.http) as proxy:
        yield proxy


# -- the answer is lost -----------------------------------------------------------------------


async def test_acquire_that_was_applied_and_not_answered_is_adopted(
    bench: Bench, proxy: TcpProxy
) -> None:
    """A consistent read that is sent later shows this attempt's session and term."""
    trap = proxy.at(*ACQUIRE, then=Mode.UP)
    node = await bench.start("core-1", consul=proxy.address)
    await trap.caught()

    await said(node, "takeover_attempted", outcome="unknown")
    session = await eventually(bench.holder)
    await proxy.set(Mode.PASS)

    adopted = await said(node, "takeover_attempted", outcome="adopted")
    seen = await bench.witness.next_leader(None)
    assert (seen.node, seen.term) == ("core-1", adopted["term"])
    assert await bench.holder() == session
    await bench.settled(seen)


async def test_acquire_that_was_applied_by_a_node_that_stays_away_blocks_nobody(
    bench: Bench, proxy: TcpProxy
) -> None:
    """Its answer, and all others, never come: the session goes with its check."""
    trap = proxy.at(*ACQUIRE, then=Mode.BLACKHOLE)
    lost = await bench.start("core-1", consul=proxy.address)
    await trap.caught()
    session = await eventually(bench.holder)
    await bench.start("core-2")

    seen = await bench.witness.next_leader(None)
    assert seen.node == "core-2"
    assert await bench.holder() != session
    await proxy.set(Mode.PASS)
    await lost.state("standby")
    await bench.settled(seen)


async def test_acquire_that_arrives_after_its_session_was_given_up_is_refused(
    bench: Bench, proxy: TcpProxy
) -> None:
    """The read that settles it finds nothing, so the session is destroyed first of all."""
    trap = proxy.hold(*ACQUIRE)
    node = await bench.start("core-1", consul=proxy.address)
    await trap.caught()
    await said(node, "takeover_attempted", outcome="unknown")
    seen = await bench.witness.next_leader(None)
    holder = await bench.holder()
    term = await entry_of(bench.consul, bench.paths.term)

    trap.let_go()
    await trap.delivered()
    await bench.settled(seen)

    assert await bench.holder() == holder
    assert await entry_of(bench.consul, bench.paths.term) == term


# -- a term late ------------------------------------------------------------------------------


async def test_release_that_arrives_a_term_late_is_refused(bench: Bench, proxy: TcpProxy) -> None:
    """The next leader is not released by it, and the key is not marked as handed over."""
    pair = await bench.pair({"consul": proxy.address}, {})
    trap = proxy.hold(*RELEASE)

    pair.leader.terminate()
    await trap.caught()
    assert await pair.leader.wait_exit() == 0
    after = await bench.next_leader(pair.seen)
    assert after.node == "core-2"
    before = await entry_of(bench.consul, bench.paths.leader)

    trap.let_go()
    await trap.delivered()
    await bench.settled(after)

    now = await entry_of(bench.consul, bench.paths.leader)
    assert (now.session, now.lock_index) == (before.session, before.lock_index)


async def test_fenced_write_that_arrives_a_term_late_is_refused(
    bench: Bench, proxy: TcpProxy
) -> None:
    """What the work of the old term sent last is not what stands there in the end."""
    key = f"{bench.paths.root}written"
    writing = {"COORD_PULSE_WRITE": key}
    pair = await bench.pair({"consul": proxy.address, "env": writing}, {})
    trap = proxy.hold(*FENCED)
    await trap.caught()
    session = await bench.holder()
    assert session is not None
    await bench.consul.session_destroy(session)
    after = await bench.next_leader(pair.seen)
    assert after.node == "core-2"
    before = await entry_of(bench.consul, key)

    trap.let_go()
    await trap.delivered()
    await bench.settled(after)

    assert await entry_of(bench.consul, key) == before


async def test_everything_of_an_old_term_is_refused(bench: Bench) -> None:
    """The same transactions as a node sends, with the session and the index of a term before."""
    leader, term = bench.paths.leader, bench.paths.term
    pair = await bench.pair({}, {})
    session = await bench.holder()
    assert session is not None
    old_term = await entry_of(bench.consul, term)
    old_leader = await entry_of(bench.consul, leader)
    pair.leader.terminate()
    await pair.leader.wait_exit()
    after = await bench.next_leader(pair.seen)
    await bench.found("core-2")
    await pair.leader.start()
    await pair.leader.state("standby")
    new_session = await bench.holder()
    assert new_session is not None

    late = {
        "release": (
            TxnOp.kv_check_index(term, old_term.modify_index),
            TxnOp.kv_unlock(leader, b"late", session),
        ),
        "release with the new session": (
            TxnOp.kv_check_index(term, old_term.modify_index),
            TxnOp.kv_unlock(leader, b"late", new_session),
        ),
        "update": (
            TxnOp.kv_check_session(leader, session),
            TxnOp.kv_lock(leader, b"late", session),
        ),
        "fenced write": (
            TxnOp.kv_check_session(leader, session),
            TxnOp.kv_check_index(term, old_term.modify_index),
            TxnOp.kv_set(f"{bench.paths.root}late", b"late"),
        ),
        "fenced write with the new session": (
            TxnOp.kv_check_session(leader, new_session),
            TxnOp.kv_check_index(term, old_term.modify_index),
            TxnOp.kv_set(f"{bench.paths.root}late", b"late"),
        ),
        "acquire": (
            TxnOp.kv_check_index(leader, old_leader.modify_index),
            TxnOp.kv_lock(leader, b"late", session),
            TxnOp.kv_cas(term, b"99", old_term.modify_index),
        ),
        "acquire with the new session": (
            TxnOp.kv_check_index(leader, (await entry_of(bench.consul, leader)).modify_index),
            TxnOp.kv_lock(leader, b"late", new_session),
            TxnOp.kv_cas(term, b"99", old_term.modify_index),
        ),
    }
    for name, ops in late.items():
        assert not (await bench.txn(*ops)).ok, name

    assert (await bench.consul.kv_get(f"{bench.paths.root}late")).value is None
    assert await bench.holder() == new_session
    report = await bench.settled(after)
    assert not [pause for pause in report.pauses if pause.term == after.term]
