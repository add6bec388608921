"""Leaders that stand still, block or hang: nobody takes over from a hiccup, and nobody is met by
the work of a leader that comes back."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from acceptance import FAST, PULSE, Bench, MakeBench
from acceptance_work import RELENTLESS_FILE
from consul_agents import eventually

from demo.fleet import Node, NodeError
from demo.misbehaviour import GIL_FILE, WRITE_KEY

LIVE = "/api/health/live"


async def test_a_hiccup_shorter_than_the_invalidation_is_no_takeover(bench: Bench) -> None:
    """Frozen for a second: of the lease, and of the check's TTL, at least 1.5 s are left."""
    await bench.fleet.start("core-1", "core-2")
    leader, term = await bench.working_leader()
    (other,) = (node for node in bench.fleet.nodes.values() if node is not leader)
    await other.state("standby")
    leader.freeze()
    await asyncio.sleep(1.0)  # the length of the hiccup
    woken_at = leader.wake()
    await bench.witness.work(after=woken_at, node=leader.name, term=term)
    await leader.state("leading")
    assert (await bench.record()).term == term
    pauses = (await bench.report()).pauses
    assert max(pause.pause_s for pause in pauses) >= 0.9, "it stood still"
    assert leader.events("lost_leadership") == other.events("leader_down") == []
    assert other.events("takeover_attempted") == []


async def test_frozen_past_its_lease_and_woken_the_old_leader_writes_nothing_and_gives_way(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench(env=FAST)
    for name in ("core-1", "core-2"):
        bench.fleet.add(name, env={WRITE_KEY: _key_of(bench, name)})
    await bench.fleet.start("core-1", "core-2")
    old, term = await bench.working_leader()
    await eventually(lambda: bench.consul.kv_get(_key_of(bench, old.name)), until=lambda r: r.value)
    old.freeze()
    new, new_term = await bench.working_leader(after_term=term)
    assert new is not old
    woken_at = old.wake()

    await eventually(lambda: _has_given_way(old))
    await eventually(lambda: bench.consul.kv_get(_key_of(bench, new.name)), until=lambda r: r.value)
    written = await bench.index_of(_key_of(bench, new.name))
    await eventually(
        lambda: bench.index_of(_key_of(bench, new.name)), until=lambda index: index > written
    )
    # Whatever the old one still wrote would stand in its key, with an index after the new term's.
    taken = await bench.index_of(bench.paths.term)
    assert await bench.index_of(_key_of(bench, old.name)) < taken
    await bench.witness.work(after=woken_at, node=new.name, term=new_term)
    assert (await bench.record()).term == new_term
    seen = (await bench.report()).term(term)
    assert seen is not None
    assert seen.last_at < woken_at, "not even its work was heard again"


async def test_a_standby_whose_loop_was_away_past_a_lease_says_that_it_does_not_live(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench(env=FAST)
    await bench.fleet.start("core-1", "core-2")
    leader, _ = await bench.working_leader()
    (other,) = (node for node in bench.fleet.nodes.values() if node is not leader)
    await other.state("standby")
    lease_s = int(FAST["COORDINATOR_LEASE"]) / 1000
    await eventually(lambda: other.get(LIVE), until=lambda reply: reply.status_code == 200)
    other.freeze()
    asked = asyncio.create_task(other.get(LIVE, timeout_s=30))
    await asyncio.sleep(2 * lease_s)  # the length of the hang
    other.wake()
    assert (await asked).status_code == 503
    await eventually(lambda: other.get(LIVE), until=lambda reply: reply.status_code == 200)


def _key_of(bench: Bench, name: str) -> str:
    return f"{bench.paths.root}work/{name}"


async def _has_given_way(node: Node) -> bool:
    with contextlib.suppress(NodeError):  # it may end while it is asked
        return await node.state() in ("cooling", "joining", "standby")
    return not node.running


@pytest.mark.parametrize("how", ["blocks the loop and works on", "holds the GIL"])
async def test_work_that_hangs_its_process_past_the_lease_ends_with_it_before_the_next_works(
    make_bench: MakeBench, how: str
) -> None:
    variable = GIL_FILE if how == "holds the GIL" else RELENTLESS_FILE
    bench = await make_bench(env=FAST, workloads=f"{PULSE},acceptance_work:Relentless")
    for name in ("core-1", "core-2"):
        bench.fleet.add(name, env={variable: str(bench.file(f"{name}.hang"))})
    await bench.fleet.start("core-1", "core-2")
    old, term = await bench.working_leader()
    bench.file(f"{old.name}.hang").touch()
    status = await old.wait_exit(timeout_s=30)
    ended_at = time.monotonic()
    assert status == 1, "faulthandler ends the process: nothing else could"
    assert "Timeout (" in old.log_path.read_text(), "and shows where it hung"
    _, new_term = await bench.working_leader(after_term=term)
    report = await bench.report()
    working = report.term(new_term)
    assert working is not None
    assert working.first_at > ended_at
    if how == "blocks the loop and works on":
        gap = report.gap_to(new_term)
        assert gap is not None
        assert gap.gap_s > 0, "the old one's work was heard to the last"
