"""What an operation writes, and when it writes nothing: on a real Consul, a leader made by hand.

The leader here answers nobody, as one that hangs.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from consul_agents import ConsulAgent, client_of, eventually
from hand_made import lead, make_token, register, release, tell
from operator_bench import Operator
from rights_bench import tokens_for
from tcp_proxy import Mode, TcpProxy

from coord.clock import SystemClock
from coord.consul import Consistency, ConsulAddress, ConsulApi, ConsulClient
from coord.controls import read_controls
from coord.operations import (
    Operation,
    Outcome,
    OutcomeWord,
    RefusalCode,
    Refused,
    Step,
    StepKind,
    perform,
    read_audit,
)
from coord.operations.audit import BEGUN, prune_audit
from coord.records import AuditRecord, Paths, RequestKind
from coord.rights import Role, rules
from coord.telemetry import StepDownRequested

STEP_DOWN, FORCE = Operation.STEP_DOWN, Operation.FORCE_RELEASE
SOON_S = 0.5
"""How long to wait for a leader that never answers, where that is not what a test is about."""


@pytest.fixture
def paths(name: str) -> Paths:
    return Paths(name)


@pytest.fixture
def operator(consul: ConsulClient, paths: Paths) -> Operator:
    return Operator(consul, paths)


async def holder(consul: ConsulApi, paths: Paths) -> str | None:
    entry = (await consul.kv_get(paths.leader, consistency=Consistency.CONSISTENT)).value
    assert entry is not None
    return entry.session


async def written(consul: ConsulApi, paths: Paths) -> set[str]:
    """The keys of an election that operators write."""
    keys = (await consul.kv_keys(paths.root)).value
    return {key for key in keys if key.startswith((paths.control, paths.audit))}


async def answer(consul: ConsulApi, paths: Paths, request_id: str) -> None:
    """core-1 says that it steps down, under term 7, as it was asked."""
    body = {
        "event": StepDownRequested.EVENT,
        "node": "core-1",
        "term": 7,
        "reason": "requested",
        "request_id": request_id,
    }
    key = f"{paths.journal}{SystemClock().wall_ms():013d}-core-1-00000000-00000001"
    await consul.kv_put(key, json.dumps(body).encode())


# -- what is written -------------------------------------------------------------------------


async def test_a_request_names_the_term_and_is_written_down_first(
    operator: Operator, paths: Paths
) -> None:
    await lead(operator.consul, paths, "core-1", 7)
    plan = await operator.planned(STEP_DOWN, reason="patching the kernel")
    doing = operator.start(plan)
    await doing.seen(StepKind.REQUESTED)
    request = (await read_controls(operator.consul, paths)).request
    assert request is not None
    assert (request.kind, request.expected_term) == (RequestKind.STEP_DOWN, 7)
    assert (request.actor, request.reason) == ("ann@ops", "patching the kernel")
    assert request.request_id == plan.ask.request_id
    (entry,) = await operator.audit()
    assert entry.begun
    assert entry.record is not None
    assert (entry.record.node, entry.record.expected_term) == ("core-1", 7)
    assert entry.record.request_id == plan.ask.request_id
    doing.stop.set()
    await doing.outcome()


async def test_a_leader_that_does_not_answer(operator: Operator, paths: Paths) -> None:
    """The request is taken back: it cannot be answered by and by."""
    tenure = await lead(operator.consul, paths, "core-1", 7)
    doing = await operator.do(await operator.planned(STEP_DOWN), timeout_s=SOON_S)
    outcome = await doing.outcome()
    assert outcome.word is OutcomeWord.NOT_ANSWERED
    assert not outcome.stands
    assert await operator.value(paths.request) is None
    assert await holder(operator.consul, paths) == tenure.session
    (entry,) = await operator.audit()
    assert entry.record is not None
    assert entry.record.outcome == "not_answered"
    assert entry.record.finished_at is not None
    assert outcome.recorded


async def test_a_leader_that_goes_as_its_request_is_taken_back(
    operator: Operator, paths: Paths
) -> None:
    """It read the request just before: then it was answered, whatever was told."""
    tenure = await lead(operator.consul, paths, "core-1", 7)
    doing = operator.start(await operator.planned(STEP_DOWN), timeout_s=5.0)
    await doing.seen(StepKind.REQUESTED)
    await release(operator.consul, paths, tenure, why="stepped_down")
    await doing.seen(StepKind.RELEASED)
    doing.stop.set()
    assert (await doing.outcome()).word is OutcomeWord.INTERRUPTED
    assert await operator.value(paths.request) is None


async def test_a_leader_that_answers_as_its_request_is_taken_back(
    operator: Operator, far: Operator, between: TcpProxy, paths: Paths
) -> None:
    """It was asked in time: it is followed on, not told of as one that did not answer."""
    tenure = await lead(operator.consul, paths, "core-1", 7)
    plan = await far.planned(STEP_DOWN)
    taking_back = between.hold(b"DELETE /v1/kv/", b"control/request")
    doing = far.start(plan, timeout_s=SOON_S)
    await taking_back.caught()
    await release(operator.consul, paths, tenure, why="stepped_down")
    taking_back.let_go()
    outcome = await doing.outcome()
    assert outcome.word is OutcomeWord.NO_SUCCESSOR
    assert StepKind.RELEASED in doing.kinds


# -- what it was decided on is so no longer --------------------------------------------------


async def test_another_term_since_the_preview(operator: Operator, paths: Paths) -> None:
    tenure = await lead(operator.consul, paths, "core-1", 7)
    plans = [await operator.planned(each) for each in (STEP_DOWN, FORCE)]
    plans.append(await operator.planned(Operation.PAUSE, expected_term=7))
    await release(operator.consul, paths, tenure, why="shutdown")
    second = await lead(operator.consul, paths, "core-2", 8)
    for plan in plans:
        outcome = await (await operator.do(plan)).outcome()
        assert outcome.word is OutcomeWord.REFUSED
        assert outcome.refusal is not None
        assert outcome.refusal.code is RefusalCode.TERM_MOVED_ON
    assert await written(operator.consul, paths) == set()
    assert await holder(operator.consul, paths) == second.session


async def test_a_leader_that_went_since_the_preview(operator: Operator, paths: Paths) -> None:
    tenure = await lead(operator.consul, paths, "core-1", 7)
    plan = await operator.planned(FORCE)
    await release(operator.consul, paths, tenure, why="shutdown")
    outcome = await (await operator.do(plan)).outcome()
    assert outcome.word is OutcomeWord.REFUSED
    assert await written(operator.consul, paths) == set()
    assert await operator.consul.session_info(tenure.session) is not None


async def test_an_update_of_the_leaders_record_is_no_other_term(
    operator: Operator, paths: Paths
) -> None:
    """A leader writes its record anew for its successors: what was decided on still stands."""
    tenure = await lead(operator.consul, paths, "core-1", 7)
    plan = await operator.planned(STEP_DOWN)
    entry = (await operator.consul.kv_get(paths.leader)).value
    assert entry is not None
    from coord.consul import TxnOp

    again = await operator.consul.txn([TxnOp.kv_lock(paths.leader, entry.value, tenure.session)])
    assert again.ok
    outcome = await (await operator.do(plan, timeout_s=SOON_S)).outcome()
    assert outcome.word is OutcomeWord.NOT_ANSWERED


async def test_what_is_begun_cannot_be_begun_again(operator: Operator, paths: Paths) -> None:
    await lead(operator.consul, paths, "core-1", 7)
    plan = await operator.planned(Operation.PAUSE)
    doing = await operator.do(plan, wait=False)
    assert (await doing.outcome()).ok
    again = await (await operator.do(plan, wait=False)).outcome()
    assert again.word is OutcomeWord.REFUSED


# -- two operators ---------------------------------------------------------------------------


async def test_two_operators_at_once(operator: Operator, paths: Paths) -> None:
    """Both saw the same; one is refused, and is told so."""
    await lead(operator.consul, paths, "core-1", 7)
    other = Operator(operator.consul, paths, "bob@ops")
    plans = [await operator.planned(STEP_DOWN), await other.planned(STEP_DOWN)]
    doing = [
        each.start(plan, timeout_s=2.0) for each, plan in zip((operator, other), plans, strict=True)
    ]
    words = sorted([(await each.outcome()).word for each in doing])
    assert words == sorted([OutcomeWord.NOT_ANSWERED, OutcomeWord.REFUSED])
    assert len(await operator.audit()) == 1
    assert await operator.value(paths.request) is None


async def test_the_second_operator_is_told_of_the_first(operator: Operator, paths: Paths) -> None:
    await lead(operator.consul, paths, "core-1", 7)
    doing = operator.start(await operator.planned(STEP_DOWN, reason="the first"))
    await doing.seen(StepKind.REQUESTED)
    other = Operator(operator.consul, paths, "bob@ops")
    found = await other.plan(STEP_DOWN)
    assert isinstance(found, Refused)
    assert found.code is RefusalCode.ASKED_ALREADY
    assert found.anyway
    assert "ann@ops" in found.sentence
    assert "the first" in found.sentence
    # And anyway: then the first is told.
    second = await other.do(await other.planned(STEP_DOWN, anyway=True), timeout_s=SOON_S)
    assert (await doing.outcome()).word is OutcomeWord.SUPERSEDED
    assert (await second.outcome()).word is OutcomeWord.NOT_ANSWERED
    assert await operator.value(paths.request) is None


async def test_a_request_left_by_an_operator_who_died_is_replaced_once_its_term_is_over(
    operator: Operator, paths: Paths
) -> None:
    tenure = await lead(operator.consul, paths, "core-1", 7)
    doing = operator.start(await operator.planned(STEP_DOWN))
    await doing.seen(StepKind.REQUESTED)
    left = (await operator.consul.kv_get(paths.request)).value
    assert left is not None
    doing.task.cancel()
    await asyncio.wait([doing.task])
    assert await operator.consul.kv_put(paths.request, left.value)
    await release(operator.consul, paths, tenure, why="shutdown")
    await lead(operator.consul, paths, "core-2", 8)
    outcome = await (
        await operator.do(await operator.planned(STEP_DOWN), timeout_s=SOON_S)
    ).outcome()
    assert outcome.word is OutcomeWord.NOT_ANSWERED
    assert await operator.value(paths.request) is None


# -- nobody waits ----------------------------------------------------------------------------


async def test_an_operator_who_stops_waiting(operator: Operator, paths: Paths) -> None:
    await lead(operator.consul, paths, "core-1", 7)
    doing = operator.start(await operator.planned(STEP_DOWN))
    await doing.seen(StepKind.REQUESTED)
    doing.stop.set()
    outcome = await doing.outcome()
    assert (outcome.word, outcome.stands, outcome.recorded) == (
        OutcomeWord.INTERRUPTED,
        False,
        True,
    )
    assert await operator.value(paths.request) is None
    (entry,) = await operator.audit()
    assert entry.record is not None
    assert entry.record.outcome == "interrupted"


async def test_who_stops_waiting_as_the_leader_answers(
    operator: Operator, far: Operator, between: TcpProxy, paths: Paths
) -> None:
    """It had read the request: what is told and written down says that it steps down."""
    await lead(operator.consul, paths, "core-1", 7)
    plan = await far.planned(STEP_DOWN)
    taking_back = between.hold(b"DELETE /v1/kv/", b"control/request")
    doing = far.start(plan)
    await doing.seen(StepKind.REQUESTED)
    doing.stop.set()
    await taking_back.caught()
    await answer(operator.consul, paths, plan.ask.request_id)
    taking_back.let_go()
    outcome = await doing.outcome()
    assert outcome.word is OutcomeWord.INTERRUPTED
    (entry,) = await operator.audit()
    assert entry.record is not None
    assert entry.record.detail == outcome.detail
    assert "core-1 had answered" in outcome.detail
    assert await operator.value(paths.request) is None


async def test_a_leader_that_answers_right_after_its_request_was_taken_back(
    operator: Operator, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had made sure that it stood; what it then does is on its way."""
    monkeypatch.setattr(sys.modules["coord.operations.perform"], "AFTERWARDS_S", 30.0)
    tenure = await lead(operator.consul, paths, "core-1", 7)
    doing = operator.start(await operator.planned(STEP_DOWN))
    await doing.seen(StepKind.REQUESTED)
    doing.task.cancel()
    await eventually(lambda: operator.value(paths.request), until=lambda value: value is None)
    await release(operator.consul, paths, tenure, why="stepped_down")
    with pytest.raises(asyncio.CancelledError):
        await doing.task
    (entry,) = await operator.audit()
    assert entry.record is not None
    assert "given back" in entry.record.detail


async def test_an_operation_that_is_cancelled(operator: Operator, paths: Paths) -> None:
    await lead(operator.consul, paths, "core-1", 7)
    doing = operator.start(await operator.planned(STEP_DOWN))
    await doing.seen(StepKind.REQUESTED)
    doing.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doing.task
    assert await operator.value(paths.request) is None
    (entry,) = await operator.audit()
    assert entry.record is not None
    assert entry.record.outcome == "interrupted"


# -- forced ----------------------------------------------------------------------------------


async def test_force_release_where_nothing_of_ours_lives(operator: Operator, paths: Paths) -> None:
    tenure = await lead(operator.consul, paths, "core-1", 7)
    doing = await operator.act(FORCE)
    outcome = await doing.outcome()
    assert outcome.word is OutcomeWord.NO_SUCCESSOR
    assert outcome.recorded
    assert StepKind.SESSION_DESTROYED in doing.kinds
    assert StepKind.RELEASED in doing.kinds
    assert await holder(operator.consul, paths) is None
    assert await operator.consul.session_info(tenure.session) is None
    assert await operator.value(paths.request) is None
    (entry,) = await operator.audit()
    assert entry.record is not None
    assert (entry.record.operation, entry.record.outcome) == ("force_release", "no_successor")


async def test_force_release_tells_the_nodes_why(operator: Operator, paths: Paths) -> None:
    """While it is under way the request says that a person did it."""
    await lead(operator.consul, paths, "core-1", 7)
    doing = operator.start(await operator.planned(FORCE))
    await doing.seen(StepKind.SESSION_DESTROYED)
    request = (await read_controls(operator.consul, paths)).request
    assert request is not None
    assert (request.kind, request.expected_term) == (RequestKind.FORCE_RELEASE, 7)
    doing.stop.set()
    assert (await doing.outcome()).word is OutcomeWord.INTERRUPTED


async def test_force_release_of_a_record_that_cannot_be_read(
    operator: Operator, paths: Paths
) -> None:
    tenure = await lead(operator.consul, paths, "core-1", 7)
    await operator.consul.kv_put(paths.leader, b"\xff not a record")
    assert isinstance(await operator.plan(STEP_DOWN), Refused)
    await operator.act(FORCE)
    assert await operator.consul.session_info(tenure.session) is None


class StoppableClock(SystemClock):
    """Goes on while the process stands still."""

    def __init__(self) -> None:
        self.stopped_s = 0.0

    def now(self) -> float:
        return super().now() + self.stopped_s


async def test_force_release_is_not_done_late(operator: Operator, paths: Paths) -> None:
    """Who was stopped as they had asked, and goes on when all has long been well again."""
    tenure = await lead(operator.consul, paths, "core-1", 7)
    clock = StoppableClock()
    async with aclosing(
        perform(operator.consul, await operator.planned(FORCE), clock=clock)
    ) as items:
        asked = await anext(items)
        assert isinstance(asked, Step)
        clock.stopped_s = 3600.0
        *steps, outcome = [item async for item in items]
    assert steps == []
    assert isinstance(outcome, Outcome)
    assert (outcome.word, outcome.stands) == (OutcomeWord.NOT_ANSWERED, False)
    assert await operator.consul.session_info(tenure.session) is not None
    assert await operator.value(paths.request) is None


@pytest.mark.parametrize("instead", [b"", b"another's"])
async def test_force_release_is_not_done_once_it_is_asked_no_longer(
    operator: Operator, paths: Paths, instead: bytes
) -> None:
    tenure = await lead(operator.consul, paths, "core-1", 7)
    plan = await operator.planned(FORCE)
    async with aclosing(perform(operator.consul, plan, clock=SystemClock())) as items:
        await anext(items)
        if instead:
            await operator.consul.kv_put(paths.request, instead)
        else:
            await operator.consul.kv_delete(paths.request)
        *steps, outcome = [item async for item in items]
    assert steps == []
    assert isinstance(outcome, Outcome)
    assert outcome.word is OutcomeWord.SUPERSEDED
    assert await operator.consul.session_info(tenure.session) is not None


async def test_force_release_of_which_the_first_try_is_lost(
    operator: Operator, far: Operator, between: TcpProxy, paths: Paths
) -> None:
    tenure = await lead(operator.consul, paths, "core-1", 7)
    plan = await far.planned(FORCE)
    lost = between.hold(b"/v1/session/destroy")
    doing = far.start(plan)
    await lost.caught()
    await doing.seen(StepKind.SESSION_DESTROYED)
    assert await operator.consul.session_info(tenure.session) is None
    doing.stop.set()
    await doing.outcome()


# -- what lasts ------------------------------------------------------------------------------


@pytest.fixture
async def standby(operator: Operator, paths: Paths) -> str:
    """core-1 leads, core-2 stands by and tells what it does."""
    await lead(operator.consul, paths, "core-1", 7)
    await register(
        operator.consul, paths.candidate_service, "core-1", priority="100", state="leading"
    )
    await register(operator.consul, paths.candidate_service, "core-2", priority="100")
    return "core-2"


async def test_a_drain_waits_until_the_node_says_so(
    operator: Operator, paths: Paths, standby: str
) -> None:
    doing = operator.start(await operator.planned(Operation.DRAIN, standby))
    await doing.seen(StepKind.REQUESTED)
    assert standby in (await read_controls(operator.consul, paths)).drained
    await tell(operator.consul, paths.candidate_service, standby, "standby", "drained")
    outcome = await doing.outcome()
    assert outcome.ok
    assert outcome.stands
    assert doing.kinds == [StepKind.REQUESTED, StepKind.TOLD]
    found = await operator.plan(Operation.DRAIN, standby)
    assert isinstance(found, Refused)
    assert found.code is RefusalCode.ALREADY_DRAINED

    doing = operator.start(await operator.planned(Operation.UNDRAIN, standby))
    await doing.seen(StepKind.TAKEN_AWAY)
    assert (await read_controls(operator.consul, paths)).drained == {}
    await tell(operator.consul, paths.candidate_service, standby, "standby", "held_by_other")
    assert (await doing.outcome()).ok
    assert [e.record.operation for e in await operator.audit() if e.record] == ["drain", "undrain"]


async def test_a_drain_that_a_node_does_not_see(
    operator: Operator, paths: Paths, standby: str
) -> None:
    """It stands: the node may see it yet."""
    plan = await operator.planned(Operation.DRAIN, standby)
    outcome = await (await operator.do(plan, timeout_s=SOON_S)).outcome()
    assert (outcome.word, outcome.stands) == (OutcomeWord.NOT_ANSWERED, True)
    assert outcome.waiting == {standby: "held_by_other"}
    assert standby in (await read_controls(operator.consul, paths)).drained


async def test_the_leader_becomes_who_was_to_be_drained(
    operator: Operator, paths: Paths, standby: str
) -> None:
    """Draining a leader costs more than draining a standby: it is decided anew."""
    (tenure,) = [await holder(operator.consul, paths)]
    plan = await operator.planned(Operation.DRAIN, standby)
    assert not plan.interrupts
    assert tenure is not None
    await operator.consul.session_destroy(tenure)
    await eventually(lambda: holder(operator.consul, paths), until=lambda s: s is None)

    async def taken() -> bool:
        try:
            await lead(operator.consul, paths, standby, 8)
        except AssertionError:
            return False  # the lock-delay
        return True

    await eventually(taken)
    outcome = await (await operator.do(plan)).outcome()
    assert outcome.word is OutcomeWord.REFUSED
    assert (await read_controls(operator.consul, paths)).drained == {}


async def test_a_pause_and_its_end(operator: Operator, paths: Paths, standby: str) -> None:
    outcome = await (await operator.act(Operation.PAUSE, for_s=90.0)).outcome()
    assert (outcome.ok, outcome.stands) == (True, True)
    pause = (await read_controls(operator.consul, paths)).pause
    assert pause is not None
    assert pause.for_ms == 90_000
    assert isinstance(await operator.plan(Operation.PAUSE), Refused)
    assert (await (await operator.act(Operation.RESUME)).outcome()).ok
    assert (await read_controls(operator.consul, paths)).pause is None


async def test_a_drain_that_somebody_ends_at_once(
    operator: Operator, paths: Paths, standby: str
) -> None:
    doing = operator.start(await operator.planned(Operation.DRAIN, standby))
    await doing.seen(StepKind.REQUESTED)
    await operator.consul.kv_delete(paths.drain(standby))
    assert (await doing.outcome()).word is OutcomeWord.SUPERSEDED


async def test_nobody_is_waited_for(operator: Operator, paths: Paths, standby: str) -> None:
    plan = await operator.planned(Operation.DRAIN, "core-1")
    assert plan.interrupts
    outcome = await (await operator.do(plan, wait=False)).outcome()
    assert (outcome.word, outcome.stands) == (OutcomeWord.DONE, True)
    assert "core-1" in (await read_controls(operator.consul, paths)).drained


# -- the audit -------------------------------------------------------------------------------


async def test_the_newest_entries_are_kept(operator: Operator, paths: Paths) -> None:
    await lead(operator.consul, paths, "core-1", 7)
    await operator.consul.kv_put(paths.audit + "by-hand", b"{}")
    ids = []
    for operation in (Operation.PAUSE, Operation.RESUME) * 2:
        doing = await operator.do(await operator.planned(operation), wait=False)
        ids.append((await doing.outcome()).request_id)
    assert await prune_audit(operator.consul, paths, keep=3) == 2
    assert [e.record.request_id for e in await operator.audit() if e.record] == ids[1:]
    (last,) = await read_audit(operator.consul, paths, 1)
    assert last.record is not None
    assert last.record.request_id == ids[-1]


async def test_an_operator_whose_clock_is_behind_is_kept_as_well(
    operator: Operator, paths: Paths
) -> None:
    await lead(operator.consul, paths, "core-1", 7)
    for number in range(3):
        key = f"{paths.audit}{9_000_000_000_000 + number:013d}-{number:016x}"
        await operator.consul.kv_put(key, b"{}")
    doing = await operator.do(await operator.planned(Operation.PAUSE), wait=False)
    request_id = (await doing.outcome()).request_id
    assert await prune_audit(operator.consul, paths, keep=1) == 3
    (left,) = await read_audit(operator.consul, paths)
    assert left.record is not None
    assert left.record.request_id == request_id


async def test_an_entry_that_cannot_be_read_is_shown_so(operator: Operator, paths: Paths) -> None:
    for name, value in {"0" * 13 + "-" + "a" * 16: b"\xff", "x": b"[]", "y/z": b'{"v":1}'}.items():
        await operator.consul.kv_put(paths.audit + name, value)
    entries = await operator.audit()
    assert [entry.record for entry in entries] == [None] * 3
    assert all(entry.problem for entry in entries)


# -- rights ----------------------------------------------------------------------------------


async def test_a_viewer_changes_nothing(locked_agent: ConsulAgent, paths: Paths) -> None:
    async with client_of(locked_agent, token=locked_agent.config.token) as root:
        tenure = await lead(root, paths, "core-1", 7)
        await register(root, paths.candidate_service, "core-2", priority="100")
        await root.kv_put(paths.pause, b"unreadable, to be taken away")
        await root.kv_put(paths.drain("core-3"), b"likewise")
        before = [(e.key, e.modify_index) for e in (await root.kv_list(paths.root)).value]
        token = (await asyncio.to_thread(tokens_for, locked_agent, paths.election))[Role.VIEWER]
        async with client_of(locked_agent, token=token) as consul:
            viewer = Operator(consul, paths)
            for operation in Operation:
                node = {Operation.UNDRAIN: "core-3"}.get(operation, "core-2")
                plan = await viewer.planned(
                    operation, node if operation.needs_node else "", anyway=True
                )
                doing = await viewer.do(plan)
                outcome = await doing.outcome()
                assert outcome.word is OutcomeWord.NOT_PERMITTED, operation
                assert (doing.steps, outcome.recorded) == ([], False)
        assert [(e.key, e.modify_index) for e in (await root.kv_list(paths.root)).value] == before
        assert await root.session_info(tenure.session) is not None


async def test_an_operators_rights_are_enough(locked_agent: ConsulAgent, paths: Paths) -> None:
    async with client_of(locked_agent, token=locked_agent.config.token) as root:
        tenure = await lead(root, paths, "core-1", 7)
        await register(root, paths.candidate_service, "core-1", priority="100", state="leading")
        await register(root, paths.candidate_service, "core-2", priority="100")
        token = (await asyncio.to_thread(tokens_for, locked_agent, paths.election))[Role.OPERATOR]
        async with client_of(locked_agent, token=token) as consul:
            operator = Operator(consul, paths)
            words = [
                (await (await operator.act(operation, node, wait=False)).outcome()).word
                for operation, node in (
                    (Operation.PAUSE, ""),
                    (Operation.RESUME, ""),
                    (Operation.DRAIN, "core-2"),
                    (Operation.UNDRAIN, "core-2"),
                )
            ]
            assert words == [OutcomeWord.DONE] * 4
            plan = await operator.planned(Operation.TRANSFER, "core-2")
            assert plan.members_seen
            outcome = await (await operator.do(plan, timeout_s=SOON_S)).outcome()
            assert outcome.word is OutcomeWord.NOT_ANSWERED
            outcome = await (await operator.act(FORCE, timeout_s=2.0)).outcome()
            assert (outcome.word, outcome.recorded) == (OutcomeWord.NO_SUCCESSOR, True)
            assert len(await operator.audit()) == 6
        assert await root.session_info(tenure.session) is None


async def test_who_may_not_destroy_sessions(locked_agent: ConsulAgent, paths: Paths) -> None:
    """It is found out late: then the request is taken back, and it is written down."""
    async with client_of(locked_agent, token=locked_agent.config.token) as root:
        tenure = await lead(root, paths, "core-1", 7)
        may = [str(r) for r in rules(Role.OPERATOR, paths) if not r.kind.startswith("session")]
        token = await asyncio.to_thread(make_token, locked_agent, "\n".join(may))
        async with client_of(locked_agent, token=token) as consul:
            someone = Operator(consul, paths)
            outcome = await (await someone.act(FORCE)).outcome()
            assert (outcome.word, outcome.stands) == (OutcomeWord.NOT_PERMITTED, False)
            (entry,) = await someone.audit()
            assert entry.record is not None
            assert entry.record.outcome == "not_permitted"
        assert await root.session_info(tenure.session) is not None
        assert (await root.kv_get(paths.request)).value is None


async def test_who_may_not_even_look(locked_agent: ConsulAgent, paths: Paths) -> None:
    async with client_of(locked_agent) as consul:
        found = await Operator(consul, paths).plan(STEP_DOWN)
    assert isinstance(found, Refused)
    assert found.code is RefusalCode.NOT_PERMITTED


# -- Consul does not answer ------------------------------------------------------------------


@pytest.fixture
async def between(consul_agent: ConsulAgent) -> AsyncIterator[TcpProxy]:
    async with TcpProxy("127.0.0.1", consul_agent.ports.http) as proxy:
        yield proxy


@pytest.fixture
async def far(between: TcpProxy, paths: Paths) -> AsyncIterator[Operator]:
    """An operator whose requests may be lost on the way."""
    address = ConsulAddress(f"http://{between.address}")
    async with ConsulClient(address, request_timeout_s=1.5) as consul:
        yield Operator(consul, paths)


async def test_consul_cannot_be_reached(
    operator: Operator, far: Operator, between: TcpProxy, paths: Paths
) -> None:
    await lead(operator.consul, paths, "core-1", 7)
    plan = await far.planned(STEP_DOWN)
    await between.set(Mode.REFUSE)
    outcome = await (await far.do(plan)).outcome()
    assert outcome.word is OutcomeWord.UNREACHABLE
    assert await written(operator.consul, paths) == set()


async def test_a_beginning_that_was_applied_and_not_answered(
    operator: Operator, far: Operator, between: TcpProxy, paths: Paths
) -> None:
    await lead(operator.consul, paths, "core-1", 7)
    plan = await far.planned(STEP_DOWN)
    trap = between.at(b"/v1/txn", b"check-session", then=Mode.UP)
    doing = far.start(plan, timeout_s=5.0)
    await trap.caught()
    await eventually(lambda: operator.value(paths.request))
    await between.set(Mode.PASS)
    await doing.seen(StepKind.REQUESTED)
    assert (await doing.outcome()).word is OutcomeWord.NOT_ANSWERED
    assert await operator.value(paths.request) is None


async def test_a_beginning_that_comes_late_asks_nothing(
    operator: Operator, far: Operator, between: TcpProxy, paths: Paths
) -> None:
    """It was given up, and said that nothing was changed: so it must stay."""
    await lead(operator.consul, paths, "core-1", 7)
    plan = await far.planned(STEP_DOWN)
    trap = between.hold(b"check-session")
    doing = far.start(plan)
    await trap.caught()
    outcome = await doing.outcome()
    assert outcome.word is OutcomeWord.UNREACHABLE
    trap.let_go()
    await trap.delivered()
    # What Consul takes after it is applied after it.
    await operator.consul.kv_put(f"{paths.root}after", b"")
    assert await operator.value(paths.request) is None
    (entry,) = await operator.audit()
    assert entry.record is not None
    assert entry.record.outcome == "unreachable"


async def test_consul_is_lost_while_it_is_waited_for(
    operator: Operator, far: Operator, between: TcpProxy, paths: Paths
) -> None:
    await lead(operator.consul, paths, "core-1", 7)
    doing = far.start(await far.planned(STEP_DOWN), timeout_s=3.0)
    await doing.seen(StepKind.REQUESTED)
    await between.set(Mode.REFUSE)
    await doing.seen(StepKind.LOST_CONTACT)
    outcome = await doing.outcome()
    assert (outcome.word, outcome.stands, outcome.recorded) == (OutcomeWord.UNKNOWN, True, False)
    (entry,) = await operator.audit()
    assert entry.record is not None
    assert entry.record.outcome == BEGUN


async def test_contact_comes_back(
    operator: Operator, far: Operator, between: TcpProxy, paths: Paths
) -> None:
    tenure = await lead(operator.consul, paths, "core-1", 7)
    doing = far.start(await far.planned(STEP_DOWN), timeout_s=30.0)
    await doing.seen(StepKind.REQUESTED)
    await between.set(Mode.REFUSE)
    await doing.seen(StepKind.LOST_CONTACT)
    await release(operator.consul, paths, tenure, why="stepped_down")
    await between.set(Mode.PASS)
    await doing.seen(StepKind.CONTACT_AGAIN)
    await doing.seen(StepKind.RELEASED)
    doing.stop.set()
    assert (await doing.outcome()).recorded


async def test_what_answers_is_nonsense(operator: Operator, paths: Paths) -> None:
    """Records that were made up by somebody neither stop an operation nor are believed."""
    await lead(operator.consul, paths, "core-1", 7)
    plan = await operator.planned(STEP_DOWN)
    doing = operator.start(plan, timeout_s=5.0)
    await doing.seen(StepKind.REQUESTED)
    await operator.consul.kv_put(f"{paths.journal}nonsense", b'{"event": ["x"], "term": "7"}')
    await operator.consul.kv_put(paths.term, b"seven")
    await operator.consul.kv_put(paths.leader, b"\x00\xff")
    await operator.consul.kv_put(paths.request, b"[" * 5000)
    assert (await doing.outcome()).word is OutcomeWord.SUPERSEDED
    assert isinstance((await operator.audit())[-1].record, AuditRecord)
