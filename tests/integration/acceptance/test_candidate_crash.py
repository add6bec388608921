"""The candidate is supervised too: its work is stopped before anything else happens."""

from __future__ import annotations

from acceptance import FAST, PULSE, MakeBench
from acceptance_work import CANDIDATE_CRASH_FILE

from coord.application import EXIT_FATAL

WORKLOADS = f"{PULSE},acceptance_work:faulty_candidate"


async def test_a_candidate_that_crashes_stops_its_work_and_is_restarted(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench(env=FAST, workloads=WORKLOADS)
    bench.fleet.add("core-1", env={CANDIDATE_CRASH_FILE: str(bench.file("crash"))})
    (node,) = await bench.fleet.start("core-1")
    _, term = await bench.working_leader()
    (session,) = await bench.sessions_of(node)
    pid = node.pid
    await bench.fleet.start("core-2")
    await bench.fleet["core-2"].state("standby")
    bench.file("crash").touch()
    lost = await bench.event(node, "lost_leadership")
    assert (lost["reason"], lost["term"]) == ("crashed", term)
    (ended,) = (line for line in node.log() if line["event"] == "work has ended")
    assert ended["timestamp"] < lost["timestamp"], "the work is stopped first"
    new, new_term = await bench.working_leader(after_term=term)
    assert new_term > term
    await node.state("leading" if new is node else "standby")
    assert (node.running, node.pid) == (True, pid)
    assert session.id not in {each.id for each in await bench.sessions_of(node)}
    assert await bench.held_by() == new.name


async def test_a_candidate_that_crashes_again_and_again_ends_the_node_and_another_leads(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench(env=FAST, workloads=WORKLOADS)
    bench.fleet.add("core-1", env={CANDIDATE_CRASH_FILE: str(bench.file("crash"))})
    (node,) = await bench.fleet.start("core-1")
    _, term = await bench.working_leader()
    await bench.fleet.start("core-2")
    bench.file("crash").write_text("100")
    assert await node.wait_exit() == EXIT_FATAL
    assert [line["term"] for line in node.log() if line["event"] == "work has ended"] == [term]
    new, _ = await bench.working_leader(after_term=term)
    assert new.name == "core-2"
