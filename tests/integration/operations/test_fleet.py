"""Operations on fleets of real nodes: what was asked comes about, and is told as it was."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from consul_agents import client_of, eventually
from fault_bench import Bench, bench_on, said
from operator_bench import Doing, Operator
from rights_bench import Rights
from warm_start import warm

from coord.cli.errors import ExitCode
from coord.clock import SystemClock
from coord.controls import read_controls
from coord.members import best_by_node
from coord.operations import (
    GapSource,
    Operation,
    Outcome,
    OutcomeWord,
    PhaseName,
    StepKind,
    WarningCode,
    look,
)
from coord.operations.successors import candidate_of
from coord.rights import Role
from coord.telemetry.journal import read as read_journal
from demo.fleet import NodeError

STEP_DOWN, TRANSFER, FORCE = Operation.STEP_DOWN, Operation.TRANSFER, Operation.FORCE_RELEASE
ALL_STEPS = [
    StepKind.REQUESTED,
    StepKind.ANSWERED,
    StepKind.RELEASED,
    StepKind.ACQUIRED,
    StepKind.WORKS,
]


pytestmark = [pytest.mark.also_with_acls, pytest.mark.long]


@pytest.fixture
async def bench(rights: Rights, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(rights.agent, tmp_path, rights=rights) as bench:
        yield bench


@pytest.fixture
async def operator(bench: Bench, rights: Rights) -> AsyncIterator[Operator]:
    """Where ACLs are on, with an operator's rights and no others."""
    token = rights.secrets.get(Role.OPERATOR)
    async with client_of(rights.agent, token=token) as consul:
        yield Operator(consul, bench.paths)


async def fleet(bench: Bench, *others: str, **priorities: str) -> int:
    """core-1 leads, the others stand by and are seen as candidates. Gives the term."""
    _, seen = await bench.lead("core-1")
    for name in others:
        priority = priorities.get(name.replace("-", "_"), "100")
        await bench.standby(name, env={"COORDINATOR_PRIORITY": priority})
    await standing_by(bench, *others)
    return seen.term


async def standing_by(bench: Bench, *nodes: str) -> None:
    """Wait until each of these has said that it can lead: that it runs comes before that."""
    await eventually(lambda: able_to_lead(bench), until=lambda seen: set(nodes) <= seen)


async def able_to_lead(bench: Bench) -> set[str]:
    """Those that the catalog and the operators' orders leave able to lead."""
    found = await look(bench.consul, bench.paths, clock=SystemClock())
    members = best_by_node(found.status.candidates.items).values()
    return {m.node for m in members if candidate_of(m, found.controls, named=True).ready}


async def done(doing: Doing) -> Outcome:
    outcome = await doing.outcome()
    assert outcome.word is OutcomeWord.DONE, (outcome, doing.steps)
    assert outcome.recorded
    return outcome


# -- handing over ----------------------------------------------------------------------------


async def test_step_down(bench: Bench, operator: Operator) -> None:
    term = await fleet(bench, "core-2", "core-3", core_3="200")
    plan = await operator.planned(STEP_DOWN)
    assert plan.successor is not None
    assert (plan.successor.node, plan.successor.priority) == ("core-3", 200)
    assert plan.cautions == ()
    doing = await operator.do(plan)
    outcome = await done(doing)
    assert doing.kinds == ALL_STEPS
    assert [s.at_ms for s in doing.steps] == sorted(s.at_ms for s in doing.steps)
    assert (outcome.new_leader, outcome.new_term) == ("core-3", term + 1)
    assert outcome.gap_source is GapSource.JOURNAL
    assert outcome.gap_ms is not None
    assert {"quarantine", "acquire", "start"} <= set(outcome.phases)
    assert sum(outcome.phases.values()) == pytest.approx(outcome.gap_ms, abs=5)
    assert plan.gap is not None
    assert outcome.gap_ms < plan.gap.expected_ms + 5000  # machines are busy

    assert (await read_controls(bench.consul, bench.paths)).request is None
    (entry,) = await operator.audit()
    assert entry.record is not None
    assert (entry.record.outcome, entry.record.new_leader) == ("done", "core-3")
    assert entry.record.gap_ms == outcome.gap_ms
    (asked,) = [
        e
        for e in await read_journal(bench.consul, bench.paths)
        if e.event.endswith(".step_down_requested")
    ]
    assert asked.details["request_id"] == entry.record.request_id
    assert asked.details["actor"] == "ann@ops"
    await bench.settled(await bench.witness.next_leader(term))


async def test_transfer(bench: Bench, operator: Operator) -> None:
    term = await fleet(bench, "core-2", "core-3", core_2="900")
    outcome = await done(await operator.act(TRANSFER, "core-3"))
    assert (outcome.new_leader, outcome.new_term) == ("core-3", term + 1)
    await bench.settled(await bench.witness.next_leader(term))


async def test_a_transfer_falls_back(bench: Bench, operator: Operator) -> None:
    """The one that is named hangs, which nobody has noticed yet."""
    term = await fleet(bench, "core-2", "core-3")
    plan = await operator.planned(TRANSFER, "core-3")
    bench.fleet["core-3"].freeze()
    outcome = await (await operator.do(plan)).outcome()
    assert (outcome.word, outcome.new_leader) == (OutcomeWord.FELL_BACK, "core-2")
    assert outcome.new_term == term + 1
    bench.fleet["core-3"].wake()
    await bench.settled(await bench.witness.next_leader(term))


async def test_a_leader_that_is_alone_comes_back(bench: Bench, operator: Operator) -> None:
    term = await fleet(bench)
    plan = await operator.planned(STEP_DOWN)
    assert WarningCode.NOBODY_ELSE in {c.code for c in plan.cautions}
    outcome = await (await operator.do(plan)).outcome()
    assert (outcome.word, outcome.new_leader) == (OutcomeWord.CAME_BACK, "core-1")
    await bench.settled(await bench.witness.next_leader(term))


async def test_two_operators_at_once(bench: Bench, operator: Operator) -> None:
    """One of them does it; the other is told that it was not theirs. One change of leader."""
    term = await fleet(bench, "core-2", "core-3")
    other = Operator(operator.consul, bench.paths, "bob@ops")
    plans = [await operator.planned(STEP_DOWN), await other.planned(TRANSFER, "core-3")]
    first, second = (each.start(plan) for each, plan in zip((operator, other), plans, strict=True))
    words = {(await first.outcome()).word, (await second.outcome()).word}
    assert words == {OutcomeWord.DONE, OutcomeWord.REFUSED}
    seen = await bench.witness.next_leader(term)
    assert seen.term == term + 1
    await bench.settled(seen)


# -- forced ----------------------------------------------------------------------------------


async def test_force_release_of_a_leader_that_hangs(bench: Bench, operator: Operator) -> None:
    term = await fleet(bench, "core-2")
    plan = await operator.planned(FORCE)
    assert WarningCode.LEADER_ANSWERS in {c.code for c in plan.cautions}
    bench.fleet["core-1"].freeze()
    doing = await operator.do(plan)
    outcome = await done(doing)
    assert StepKind.SESSION_DESTROYED in doing.kinds
    assert (outcome.new_leader, outcome.new_term) == ("core-2", term + 1)
    assert outcome.gap_ms is not None
    assert plan.gap is not None
    assert outcome.gap_ms >= outcome.phases["quarantine"] > 0
    (expected,) = [p.ms for p in plan.gap.phases if p.name is PhaseName.QUARANTINE]
    assert outcome.phases["quarantine"] >= expected * 0.9
    line = await said(bench.fleet["core-2"], "leader_changed", new_leader="core-2")
    assert line["cause"] == "released_by_hand"
    bench.fleet["core-1"].wake()
    with contextlib.suppress(NodeError):  # its watchdog may end it as soon as it wakes
        await bench.fleet["core-1"].state("cooling", "standby")
    await bench.settled(await bench.witness.next_leader(term))


# -- pausing ---------------------------------------------------------------------------------


async def test_nobody_takes_over_while_it_is_paused(bench: Bench, operator: Operator) -> None:
    term = await fleet(bench, "core-2")
    doing = await operator.act(Operation.PAUSE, for_s=600.0)
    await done(doing)
    assert {s.node for s in doing.steps if s.kind is StepKind.TOLD} == {"core-1", "core-2"}
    plan = await operator.planned(FORCE)
    assert WarningCode.PAUSED in {c.code for c in plan.cautions if c.serious}
    outcome = await (await operator.do(plan, timeout_s=10.0)).outcome()
    assert outcome.word is OutcomeWord.NO_SUCCESSOR
    assert outcome.waiting["core-2"] == "paused"
    assert await bench.holder() is None
    doing = await operator.act(Operation.RESUME, expected_term=term)
    await done(doing)
    assert "core-2" in {s.node for s in doing.steps if s.kind is StepKind.TOLD}
    await bench.settled(await bench.witness.next_leader(term))


async def test_a_pause_ends_by_itself(bench: Bench, operator: Operator) -> None:
    await fleet(bench, "core-2")
    await done(await operator.act(Operation.PAUSE, for_s=2.0))

    async def paused() -> bool:
        return (await read_controls(bench.consul, bench.paths)).pause is not None

    await eventually(paused, until=lambda stands: not stands)
    await done(await operator.act(STEP_DOWN))


# -- draining --------------------------------------------------------------------------------


async def test_draining_the_leader(bench: Bench, operator: Operator) -> None:
    term = await fleet(bench, "core-2", "core-3", core_3="50")
    plan = await operator.planned(Operation.DRAIN, "core-1")
    assert plan.interrupts
    doing = await operator.do(plan)
    outcome = await done(doing)
    assert doing.kinds == ALL_STEPS
    assert (outcome.new_leader, outcome.stands) == ("core-2", True)
    # It is nobody's successor until it is undrained.
    last = await operator.planned(STEP_DOWN)
    assert {s.node: s.why_not for s in last.successors}["core-1"] == "drained"
    assert last.successor is not None
    assert last.successor.node == "core-3"
    await done(await operator.act(Operation.UNDRAIN, "core-1"))
    assert (await read_controls(bench.consul, bench.paths)).drained == {}
    await bench.settled(await bench.witness.next_leader(term))


async def test_draining_a_standby_waits_until_it_says_so(bench: Bench, operator: Operator) -> None:
    term = await fleet(bench, "core-2", "core-3", core_2="900")
    doing = await operator.act(Operation.DRAIN, "core-2")
    await done(doing)
    assert doing.kinds == [StepKind.REQUESTED, StepKind.TOLD]
    outcome = await done(await operator.act(STEP_DOWN))
    assert (outcome.new_leader, outcome.new_term) == ("core-3", term + 1)


async def test_a_drained_leader_leads_on_until_another_comes(
    bench: Bench, operator: Operator
) -> None:
    term = await fleet(bench)
    outcome = await done(await operator.act(Operation.DRAIN, "core-1"))
    assert outcome.new_leader == ""
    assert await bench.holder() is not None
    await bench.start("core-2")
    seen = await bench.witness.next_leader(term)
    assert seen.node == "core-2"


@pytest.mark.long
async def test_a_drained_node_is_the_last_resort(bench: Bench, operator: Operator) -> None:
    """Better a drained leader than none, once nobody has led for 30 s."""
    term = await fleet(bench, "core-2")
    await done(await operator.act(Operation.DRAIN, "core-2", anyway=True))
    plan = await operator.planned(FORCE)
    assert WarningCode.ONLY_DRAINED in {c.code for c in plan.cautions}
    bench.fleet["core-1"].kill()
    outcome = await done(await operator.do(plan))
    assert (outcome.new_leader, outcome.new_term) == ("core-2", term + 1)
    assert outcome.gap_ms is not None
    assert outcome.gap_ms > 20_000


# -- as people run it ------------------------------------------------------------------------


async def coord(rights: Rights, *args: str) -> tuple[int, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COORDINATOR_", "CONSUL_"))}
    process = await asyncio.create_subprocess_exec(
        *(*warm("coord"), *args, "--election", rights.election),
        env=kept | {"CONSUL_HTTP_ADDR": rights.agent.http_addr} | rights.of(Role.OPERATOR),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60.0):
        out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_on_the_command_line(bench: Bench, rights: Rights) -> None:
    term = await fleet(bench, "core-2", "core-3")
    yes = ("--yes", "--reason", "a test")
    code, out = await coord(rights, "transfer", "core-3", *yes, "--json")
    assert code == ExitCode.OK, out
    items = [json.loads(line) for line in out.splitlines()]
    assert [i["step"] for i in items if i["kind"] == "step"] == [k.value for k in ALL_STEPS]
    assert items[-1]["kind"] == "outcome"
    assert (items[-1]["outcome"], items[-1]["new_leader"]) == ("done", "core-3")
    code, out = await coord(rights, "step-down", *yes, "--term", str(term))
    assert code == ExitCode.REFUSED, out
    code, out = await coord(rights, "step-down", *yes)
    assert code == ExitCode.OK, out
    assert "gap " in out
    assert "core-2" in out
