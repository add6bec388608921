"""How an operation that is under way is judged, scene by scene."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from operations_bench import (
    TERM,
    VACANT,
    candidate,
    cluster,
    controls,
    held,
    leader_candidate,
    paused,
    planned,
    scene,
    told,
)

from coord.consul import CheckStatus
from coord.controls import Controls
from coord.members import Seen
from coord.operations import GapSource, Operation, Outcome, OutcomeWord, StepKind, to_dict
from coord.operations.changing import TELLING_MS, Change
from coord.operations.standing import NOT_THERE, TOO_OLD, Standing
from coord.status.model import Condition, LeaderStatus

STEP_DOWN, TRANSFER, FORCE = Operation.STEP_DOWN, Operation.TRANSFER, Operation.FORCE_RELEASE
NEXT = TERM + 1


def kinds(steps: list[Any]) -> list[StepKind]:
    return [step.kind for step in steps]


def released(why: str = "stepped_down") -> Any:
    return scene(leader=replace(VACANT, why=why, by="core-1", handed_over=True))


def taken(node: str = "core-2", term: int = NEXT, *, works: bool = True, **details: Any) -> Any:
    """Somebody has taken over."""
    journal = (told("leader_changed", node, term, **details),) if details else ()
    at_work = ((node, term),) if works else ()
    return scene(leader=held(node, term), at_work=at_work, journal=journal)


MEASURED: dict[str, Any] = {
    "gap_ms": 120,
    "detect_ms": 5,
    "quarantine_ms": 0,
    "acquire_ms": 40,
    "start_ms": 75,
}


# -- the way it should go --------------------------------------------------------------------


def test_every_step_is_told_once_and_in_order() -> None:
    course = Change(planned(STEP_DOWN))
    answered = scene(journal=(told("step_down_requested", "core-1", TERM, reason="requested"),))
    assert course.see(scene(), 10) == []
    (step,) = course.see(answered, 20)
    assert (step.kind, step.node, step.term, step.at_ms) == (
        StepKind.ANSWERED,
        "core-1",
        TERM,
        20,
    )
    assert course.see(answered, 30) == []
    assert kinds(course.see(released(), 40)) == [StepKind.RELEASED]
    assert kinds(course.see(taken(works=False), 50)) == [StepKind.ACQUIRED]
    assert course.verdict(50) is None
    assert kinds(course.see(taken(), 60)) == [StepKind.WORKS]
    assert course.verdict(60) is None  # the new leader may yet tell the gap
    assert course.see(taken(**MEASURED), 70) == []
    verdict = course.verdict(70)
    assert verdict is not None
    assert (verdict.word, verdict.new_leader, verdict.new_term) == (
        OutcomeWord.DONE,
        "core-2",
        NEXT,
    )
    assert (verdict.gap_ms, verdict.gap_source) == (120, GapSource.JOURNAL)
    assert verdict.phases == {"detect": 5, "quarantine": 0, "acquire": 40, "start": 75}


def test_all_at_once_is_told_step_by_step() -> None:
    course = Change(planned(STEP_DOWN))
    assert kinds(course.see(taken(**MEASURED), 100)) == [
        StepKind.RELEASED,
        StepKind.ACQUIRED,
        StepKind.WORKS,
    ]
    verdict = course.verdict(100)
    assert verdict is not None
    assert verdict.word is OutcomeWord.DONE


def test_a_gap_that_nobody_tells_is_what_was_watched() -> None:
    course = Change(planned(STEP_DOWN))
    course.see(released(), 1000)
    course.see(taken(), 1300)
    assert course.verdict(1300 + TELLING_MS - 1) is None
    assert course.until_ms() == 1300 + TELLING_MS
    verdict = course.verdict(1300 + TELLING_MS)
    assert verdict is not None
    assert (verdict.gap_ms, verdict.gap_source, dict(verdict.phases)) == (
        300,
        GapSource.WATCHED,
        {},
    )


@pytest.mark.parametrize("nonsense", ["120", -1, True, 10**12, 1.5])
def test_a_gap_that_makes_no_sense_is_not_believed(nonsense: object) -> None:
    course = Change(planned(STEP_DOWN))
    course.see(released(), 1000)
    course.see(taken(gap_ms=nonsense, start_ms=nonsense), 1300)
    verdict = course.verdict(1300)
    assert verdict is not None
    assert (verdict.gap_ms, verdict.gap_source) == (300, GapSource.WATCHED)


@pytest.mark.parametrize(
    ("operation", "node", "who", "word"),
    [
        (STEP_DOWN, "", "core-2", OutcomeWord.DONE),
        (STEP_DOWN, "", "core-1", OutcomeWord.CAME_BACK),
        (TRANSFER, "core-3", "core-3", OutcomeWord.DONE),
        (TRANSFER, "core-3", "core-2", OutcomeWord.FELL_BACK),
        (TRANSFER, "core-3", "core-1", OutcomeWord.CAME_BACK),
        (FORCE, "", "core-2", OutcomeWord.DONE),
        (FORCE, "", "core-1", OutcomeWord.CAME_BACK),
        (Operation.DRAIN, "core-1", "core-2", OutcomeWord.DONE),
        (Operation.DRAIN, "core-1", "core-1", OutcomeWord.CAME_BACK),
        (Operation.UNDRAIN, "core-3", "core-3", OutcomeWord.DONE),
    ],
)
def test_who_took_over_is_what_counts(
    operation: Operation, node: str, who: str, word: OutcomeWord
) -> None:
    said = controls(drained=("core-1", "core-3")) if operation is Operation.UNDRAIN else None
    course = Change(planned(operation, node, said=said))
    course.see(taken(who, **MEASURED), 100)
    verdict = course.verdict(100)
    assert verdict is not None
    assert verdict.word is word


def test_an_end_of_another_kind_is_said() -> None:
    course = Change(planned(STEP_DOWN))
    course.see(released("died"), 10)
    course.see(taken(**MEASURED), 20)
    verdict = course.verdict(20)
    assert verdict is not None
    assert "died" in verdict.detail


# -- what may come in between ----------------------------------------------------------------


def test_who_takes_over_and_loses_it_again_is_not_the_end() -> None:
    course = Change(planned(STEP_DOWN))
    course.see(released(), 10)
    course.see(taken("core-2", works=False), 20)
    again = scene(leader=replace(VACANT, node="core-2", term=NEXT))
    assert course.see(again, 30) == []
    assert course.verdict(30) is None
    assert kinds(course.see(taken("core-3", NEXT + 1, **MEASURED), 40)) == [
        StepKind.ACQUIRED,
        StepKind.WORKS,
    ]
    verdict = course.verdict(40)
    assert verdict is not None
    assert verdict.new_leader == "core-3"


def test_the_work_of_an_older_term_is_nobodys_work() -> None:
    course = Change(planned(STEP_DOWN))
    seen = scene(leader=held("core-2", NEXT), at_work=(("core-2", TERM), ("core-1", TERM)))
    assert StepKind.WORKS not in kinds(course.see(seen, 10))


def test_what_others_tell_of_the_change_is_not_the_new_leaders_word() -> None:
    course = Change(planned(STEP_DOWN))
    other = told("leader_changed", "core-3", NEXT, **MEASURED)
    course.see(scene(leader=held("core-2", NEXT), at_work=(("core-2", NEXT),), journal=(other,)), 9)
    assert course.verdict(10) is None


def test_a_term_that_went_back_is_said() -> None:
    course = Change(planned(STEP_DOWN))
    course.see(taken("core-2", TERM - 3, **MEASURED), 10)
    verdict = course.verdict(10)
    assert verdict is not None
    assert "restored" in verdict.detail


@pytest.mark.parametrize("asked_by", ["c" * 16, "", None])
def test_another_request_in_its_place(asked_by: str | None) -> None:
    course = Change(planned(STEP_DOWN))
    course.see(scene(asked_by=asked_by), 10)
    verdict = course.verdict(10)
    assert verdict is not None
    assert verdict.word is OutcomeWord.SUPERSEDED


@pytest.mark.parametrize("asked_by", ["c" * 16, "", None])
def test_another_request_after_the_leader_had_answered_ours(asked_by: str | None) -> None:
    plan = planned(STEP_DOWN)
    course = Change(plan)
    answer = {"reason": "requested", "request_id": plan.ask.request_id}
    course.see(scene(journal=(told("step_down_requested", "core-1", TERM, **answer),)), 10)
    course.see(scene(asked_by=asked_by), 20)
    assert course.verdict(20) is None
    course.see(released(), 30)
    course.see(taken(**MEASURED), 40)
    verdict = course.verdict(40)
    assert verdict is not None
    assert verdict.word is OutcomeWord.DONE


def test_what_the_leader_answers_another_operator_is_no_answer_to_us() -> None:
    course = Change(planned(STEP_DOWN))
    answer = {"reason": "requested", "request_id": "c" * 16}
    journal = (told("step_down_requested", "core-1", TERM, **answer),)
    assert course.see(scene(journal=journal, asked_by="c" * 16), 10) == []
    verdict = course.verdict(10)
    assert verdict is not None
    assert verdict.word is OutcomeWord.SUPERSEDED
    assert not course.past_recall


def test_once_released_no_other_request_matters() -> None:
    course = Change(planned(STEP_DOWN))
    course.see(released(), 10)
    course.see(scene(leader=replace(VACANT, why="stepped_down"), asked_by=""), 20)
    assert course.verdict(20) is None
    assert course.past_recall


# -- what does not come ----------------------------------------------------------------------


def test_nobody_answers() -> None:
    plan = planned(STEP_DOWN)
    course = Change(plan)
    course.see(scene(), 10)
    until = course.until_ms()
    assert until == round(plan.waits.answer_s * 1000)
    assert course.verdict(until - 1) is None
    verdict = course.verdict(until)
    assert verdict is not None
    assert (verdict.word, verdict.late) == (OutcomeWord.NOT_ANSWERED, True)
    assert "force-release" in verdict.hint


def test_the_work_does_not_stop() -> None:
    plan = planned(STEP_DOWN)
    course = Change(plan)
    course.see(scene(journal=(told("step_down_requested", "core-1", TERM),)), 500)
    assert course.until_ms() == 500 + round(plan.waits.stop_s * 1000)
    verdict = course.verdict(course.until_ms())
    assert verdict is not None
    assert verdict.word is OutcomeWord.STILL_STOPPING


def test_nobody_takes_over() -> None:
    plan = planned(STEP_DOWN)
    course = Change(plan)
    others = (candidate("core-2", why_not="not_permitted"), candidate("core-3", why_not="drained"))
    course.see(scene(leader_candidate(), *others, leader=VACANT), 700)
    assert course.until_ms() == 700 + round(plan.waits.takeover_s * 1000)
    verdict = course.verdict(course.until_ms())
    assert verdict is not None
    assert verdict.word is OutcomeWord.NO_SUCCESSOR
    assert verdict.waiting["core-2"] == "not_permitted"
    assert verdict.waiting["core-3"] == "drained"


def test_where_nobody_is_there_it_is_not_waited_for_long() -> None:
    dead = leader_candidate(status=CheckStatus.CRITICAL)
    plan = planned(FORCE, status=cluster(dead, leaders=()))
    course = Change(plan)
    course.see(scene(dead, leader=VACANT), 700)
    assert course.until_ms() < 700 + round(plan.waits.takeover_s * 1000) / 2
    unseen = Change(replace(plan, members_seen=False))
    unseen.see(scene(dead, leader=VACANT, seen=Seen.UNKNOWN), 700)
    assert unseen.until_ms() == 700 + round(plan.waits.takeover_s * 1000)


def test_the_new_one_does_not_work() -> None:
    course = Change(planned(STEP_DOWN))
    course.see(taken(works=False), 50)
    verdict = course.verdict(course.until_ms())
    assert verdict is not None
    assert (verdict.word, verdict.new_leader) == (OutcomeWord.NOT_WORKING, "core-2")


def test_a_time_limit_ends_every_wait() -> None:
    course = Change(planned(STEP_DOWN), total_ms=800)
    course.see(scene(), 10)
    assert course.until_ms() == 800
    course.see(released(), 500)
    assert course.until_ms() == 800


# -- what cannot be read ---------------------------------------------------------------------


def test_a_record_that_cannot_be_read_on_another_session_is_another_leader() -> None:
    course = Change(planned(FORCE))
    odd = replace(held("", TERM), condition=Condition.UNREADABLE, term=None)
    steps = course.see(scene(leader=odd), 10)
    assert kinds(steps) == [StepKind.RELEASED, StepKind.ACQUIRED]
    verdict = course.verdict(course.until_ms())
    assert verdict is not None
    assert verdict.word is OutcomeWord.NOT_WORKING


def test_a_journal_that_says_nonsense_answers_nothing() -> None:
    course = Change(planned(STEP_DOWN))
    entries = (
        told("step_down_requested", "core-2", TERM),
        told("step_down_requested", "core-1", TERM - 1),
        told("leader_changed", "core-1", TERM),
    )
    assert course.see(scene(journal=entries), 10) == []


# -- what lasts ------------------------------------------------------------------------------


def test_a_drain_is_done_once_the_node_says_so() -> None:
    course = Standing(planned(Operation.DRAIN, "core-2"), wait=True)
    course.see(scene(), 10)
    assert course.verdict(10) is None
    drained = scene(leader_candidate(), candidate("core-2", why_not="drained"))
    (step,) = course.see(drained, 20)
    assert (step.kind, step.node) == (StepKind.TOLD, "core-2")
    assert course.see(drained, 30) == []
    verdict = course.verdict(30)
    assert verdict is not None
    assert verdict.word is OutcomeWord.DONE


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (candidate("core-2", drop=("priority",)), TOO_OLD),
        (candidate("core-2", status=CheckStatus.CRITICAL), NOT_THERE),
        (candidate("core-3"), NOT_THERE),
    ],
)
def test_who_cannot_say_so_is_not_waited_for(node: Any, why: str) -> None:
    course = Standing(planned(Operation.DRAIN, "core-2"), wait=True)
    course.see(scene(leader_candidate(), node), 10)
    verdict = course.verdict(10)
    assert verdict is not None
    assert (verdict.word, dict(verdict.waiting)) == (OutcomeWord.DONE, {"core-2": why})


def test_who_does_not_say_so_in_time() -> None:
    course = Standing(planned(Operation.DRAIN, "core-2"), wait=True)
    course.see(scene(), 10)
    verdict = course.verdict(course.until_ms())
    assert verdict is not None
    assert (verdict.word, verdict.late) == (OutcomeWord.NOT_ANSWERED, True)
    assert verdict.waiting == {"core-2": "held_by_other"}


@pytest.mark.parametrize("key", [VACANT, held("core-1", TERM, "s-7")])
def test_a_pause_waits_for_every_candidate_to_have_seen_this_very_one(key: LeaderStatus) -> None:
    plan = planned(Operation.PAUSE)
    course = Standing(plan, wait=True)
    seen = candidate("core-2", pause=plan.ask.request_id)
    for other in ("", "c" * 16):
        unaware = candidate("core-3", why_not="paused", pause=other)
        course.see(scene(seen, unaware, leader=key), 10)
        assert course.verdict(10) is None
    late = course.verdict(course.until_ms())
    assert late is not None
    assert (late.word, list(late.waiting)) == (OutcomeWord.NOT_ANSWERED, ["core-3"])
    steps = course.see(scene(seen, candidate("core-3", pause=plan.ask.request_id), leader=key), 20)
    assert [(s.kind, s.node) for s in steps] == [(StepKind.TOLD, "core-3")]
    verdict = course.verdict(20)
    assert verdict is not None
    assert verdict.word is OutcomeWord.DONE


@pytest.mark.parametrize("asked_by", ["", None])
def test_a_pause_that_is_over_before_all_have_said_so(asked_by: str | None) -> None:
    course = Standing(planned(Operation.PAUSE, for_s=2.0), wait=True)
    course.see(scene(candidate("core-2", pause=""), asked_by=asked_by), 2000)
    verdict = course.verdict(2000)
    assert verdict is not None
    assert verdict.word is OutcomeWord.DONE


@pytest.mark.parametrize("operation", [Operation.PAUSE, Operation.RESUME])
def test_who_is_too_old_to_tell_of_a_pause_is_named(operation: Operation) -> None:
    said = controls(pause=paused()) if operation is Operation.RESUME else Controls()
    course = Standing(planned(operation, said=said), wait=True)
    stands: dict[str, Any] = {"asked_by": ""} if operation is Operation.RESUME else {}
    course.see(scene(candidate("core-2"), **stands), 10)
    verdict = course.verdict(10)
    assert verdict is not None
    assert (verdict.word, dict(verdict.waiting)) == (OutcomeWord.DONE, {"core-2": TOO_OLD})


@pytest.mark.parametrize("total_ms", [None, 500])
def test_a_drained_leader_leads_on_where_nobody_could_follow(total_ms: int | None) -> None:
    plan = planned(Operation.DRAIN, "core-1", status=cluster(leader_candidate()))
    course = Standing(plan, wait=True, total_ms=total_ms)
    course.see(scene(leader_candidate()), 10)
    assert course.verdict(10) is None
    verdict = course.verdict(course.until_ms())
    assert verdict is not None
    assert verdict.word is OutcomeWord.DONE
    assert "leads on" in verdict.detail


def test_a_drained_leader_that_makes_way_after_all_is_not_said_to_lead_on() -> None:
    """Another came between the preview and the drain."""
    plan = planned(Operation.DRAIN, "core-1", status=cluster(leader_candidate()))
    course = Standing(plan, wait=True)
    course.see(scene(leader_candidate()), 10)
    course.see(scene(candidate("core-1", why_not="drained"), leader=held("core-2", NEXT)), 20)
    verdict = course.verdict(20)
    assert verdict is not None
    assert verdict.word is OutcomeWord.DONE
    assert "leads on" not in verdict.detail


def test_a_drained_leader_that_does_not_make_way() -> None:
    """Whether somebody could follow was not to be seen."""
    course = Change(planned(Operation.DRAIN, "core-1", status=cluster(seen=Seen.UNKNOWN)))
    course.see(scene(seen=Seen.UNKNOWN), 10)
    verdict = course.verdict(course.until_ms())
    assert verdict is not None
    assert verdict.word is OutcomeWord.NOT_ANSWERED
    assert "force-release" not in verdict.hint


@pytest.mark.parametrize(
    ("operation", "node", "before", "after"),
    [
        (Operation.RESUME, "", {"pause": "b" * 16}, {"pause": ""}),
        (Operation.UNDRAIN, "core-2", {"why_not": "drained"}, {"why_not": "held_by_other"}),
    ],
)
def test_the_end_of_what_lasted(
    operation: Operation, node: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    said = controls(pause=paused(), drained=("core-2",))
    course = Standing(planned(operation, node, said=said), wait=True)
    key = VACANT if operation is Operation.RESUME else held("core-1", TERM, "s-7")
    course.see(scene(candidate("core-2", **before), leader=key, asked_by=""), 10)
    assert course.verdict(10) is None
    course.see(scene(candidate("core-2", **after), leader=key, asked_by=""), 20)
    verdict = course.verdict(20)
    assert verdict is not None
    assert verdict.word is OutcomeWord.DONE


@pytest.mark.parametrize("asked_by", ["c" * 16, "", None])
def test_what_another_operator_changed(asked_by: str | None) -> None:
    course = Standing(planned(Operation.PAUSE), wait=True)
    course.see(scene(asked_by=asked_by), 10)
    verdict = course.verdict(10)
    assert verdict is not None
    assert verdict.word is OutcomeWord.SUPERSEDED


def test_nobody_is_waited_for_where_that_is_not_wanted() -> None:
    verdict = Standing(planned(Operation.DRAIN, "core-2"), wait=False).verdict(0)
    assert verdict is not None
    assert verdict.word is OutcomeWord.DONE


# -- as JSON ---------------------------------------------------------------------------------


def test_steps_and_outcomes_as_json() -> None:
    course = Change(planned(STEP_DOWN))
    (step, *_) = course.see(released(), 40)
    data = json.loads(json.dumps(to_dict(step)))
    assert (data["kind"], data["step"], data["at_ms"]) == ("step", "released", 40)
    outcome = Outcome(
        operation=STEP_DOWN, request_id="b" * 16, word=OutcomeWord.DONE, detail="", phases={"a": 1}
    )
    data = json.loads(json.dumps(to_dict(outcome)))
    assert (data["kind"], data["outcome"], data["phases"]) == ("outcome", "done", {"a": 1})
