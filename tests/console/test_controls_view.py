"""What the dialog says at each stage, without a screen; and that it can be drawn in every size."""

from __future__ import annotations

from dataclasses import replace

import pytest
from console_bench import Seat, seated
from console_scenes import HOSTILE, NOW, SCENES, leading
from operations_bench import planned

from console.controls import course as courses
from console.controls.actions import ACTIONS, Mode, moved_on, offers, seen_term
from console.controls.course import Course
from console.controls.form import LONGEST_S, Field, Typed, for_s, problem_of
from console.controls.parts import Part, Row, preview_parts
from console.controls.stage import Phase, Stage, said
from console.screens.control import ControlScreen, Place
from console.view.line import text_of
from coord.consul import ConsulUnavailable
from coord.operations import (
    Caution,
    Operation,
    Outcome,
    OutcomeWord,
    RefusalCode,
    Refused,
    Step,
    StepKind,
    WarningCode,
)

STEP_DOWN, FORCE, PAUSE = Operation.STEP_DOWN, Operation.FORCE_RELEASE, Operation.PAUSE


def words(parts: list[Part] | tuple[Part, ...]) -> list[str]:
    """What is said, a line for each part."""

    return [
        f"{text_of(p.head)} {text_of(p.text)}" if isinstance(p, Row) else text_of(p) for p in parts
    ]


def going(operation: Operation = STEP_DOWN, *steps: tuple[StepKind, int]) -> Course:
    """An operation that began a second before `NOW`."""
    seen = tuple(Step(kind=kind, at_ms=at, node="core-1", term=7) for kind, at in steps)
    return Course(plan=planned(operation), began=NOW - 1.0, steps=seen)


def ended(word: OutcomeWord, **more: object) -> Outcome:
    told: dict[str, object] = {"detail": "so it came", "hint": "do that"} | more
    return Outcome(operation=STEP_DOWN, request_id="b" * 16, word=word, **told)  # type: ignore[arg-type]


# --- the actions ---


@pytest.mark.parametrize("scene", SCENES)
def test_every_scene_offers_or_says_why_not(scene: str) -> None:
    for node in ("", "core-2", HOSTILE):
        found = offers(SCENES[scene](), NOW, node, Mode())
        assert [each.action for each in found] == list(ACTIONS)
        for each in found:
            assert "\x1b" not in each.does + each.why_not
            assert "{" not in each.does


def test_an_action_on_a_node_needs_one() -> None:
    why = {o.action.operation: o.why_not for o in offers(leading(), NOW, "", Mode())}
    assert why[Operation.DRAIN] == why[Operation.TRANSFER] == "no node is under the cursor"
    assert why[STEP_DOWN] == ""


def test_a_mode_says_why() -> None:
    denied = {each: "the token may not" for each in Operation}
    assert Mode().word == Mode(denied={FORCE: "no"}).word == ""
    assert Mode(denied=denied).word == "no rights to act"
    assert Mode(read_only="so it is").word == "read-only"
    assert Mode(denied={FORCE: "no"}).why_not(FORCE) == "no"
    assert Mode(read_only="so it is", denied=denied).why_not(FORCE) == "so it is"


def test_what_was_seen_is_pinned_and_told_when_it_is_over() -> None:
    shown, plan = leading(), planned(STEP_DOWN)
    assert seen_term(shown) == 7
    assert moved_on(shown, plan.leader) == ""
    assert moved_on(SCENES["leaderless"](), plan.leader) == "nobody leads now"
    assert seen_term(SCENES["leaderless"]()) is None
    assert seen_term(SCENES["never_read"]()) is None


# --- what is typed ---


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        (Typed(), Field.NAME),
        (Typed(name="core-2", reason="x"), Field.NAME),
        (Typed(name="core-1"), Field.REASON),
        (Typed(name="core-1", reason=" "), Field.REASON),
        (Typed(name="core-1", reason="a\x07b"), Field.REASON),
        (Typed(name="core-1", reason="x" * 501), Field.REASON),
        (Typed(name="core-1", reason="it hangs"), None),
    ],
)
def test_force_release_wants_the_name_and_a_reason(typed: Typed, field: Field | None) -> None:
    found = problem_of(planned(FORCE), typed)
    assert (found.field if found else None) == field
    if found is not None:
        assert found.sentence.startswith(f"{field}: ")


@pytest.mark.parametrize("typed", ["5", "x", "-1m", "24h1s", "0s", "1e99h", "\x1b"])
def test_no_pause_is_that_long(typed: str) -> None:
    found = problem_of(planned(PAUSE), Typed(for_=typed, reason="x"))
    assert found is not None
    assert found.field is Field.FOR
    assert found.sentence.startswith("for: ")


def test_a_pause_without_a_length_lasts_until_it_is_ended() -> None:
    assert for_s("") == for_s("  ") == LONGEST_S == 86_400
    assert for_s("90s") == 90
    assert problem_of(planned(PAUSE), Typed(reason="x")) is None


# --- the course ---


def test_the_time_line_says_what_was_seen_what_is_waited_for_and_what_comes() -> None:
    course = going(STEP_DOWN, (StepKind.REQUESTED, 4), (StepKind.ANSWERED, 21))
    told = words(tuple(courses.time_line(course, NOW)))
    assert [each[0] for each in told] == ["✔", "✔", "◔", "○", "○"]
    assert "0.021 s" in told[1]
    assert " 1.0 s" in told[2]
    assert "lock given back" in told[2]
    over = replace(course, outcome=ended(OutcomeWord.NOT_ANSWERED))
    assert len(tuple(courses.time_line(over, NOW))) == 2


@pytest.mark.parametrize("operation", Operation)
def test_every_operation_has_a_way_to_its_end(operation: Operation) -> None:
    way = courses.expected(planned(FORCE) if operation is FORCE else planned(STEP_DOWN))
    assert way[0] is StepKind.REQUESTED
    assert (StepKind.SESSION_DESTROYED in way) is (operation is FORCE)
    assert way[-1] is StepKind.WORKS


def test_the_time_without_a_leader_is_counted_against_what_was_expected() -> None:
    course = going(FORCE, (StepKind.REQUESTED, 4), (StepKind.RELEASED, 200))
    (told,) = words([courses.going_on(course, NOW)])
    assert told.startswith("nobody works since 800 ms; 3.")
    assert courses.going_on(going(), NOW) == ()


@pytest.mark.parametrize("word", OutcomeWord)
def test_every_outcome_is_told_with_what_helps(word: OutcomeWord) -> None:
    refusal = Refused(code=RefusalCode.TERM_MOVED_ON, sentence="no", hint="do that")
    course = replace(going(), outcome=ended(word, refusal=refusal, recorded=True))
    told = words(tuple(courses.outcome_parts(course, 60)))
    assert told[0] == f"{'✔' if word is OutcomeWord.DONE else '✖'} {word}: so it came"
    assert " do that" in told
    assert any("in the audit" in each for each in told)
    assert courses.in_a_word(course) == f"{word}: so it came"
    assert bool(course.not_permitted) is (word is OutcomeWord.NOT_PERMITTED)


def test_the_gap_is_told_by_its_phases() -> None:
    phases = {"detect": 1900, "quarantine": 3000, "acquire": 6, "start": 40}
    outcome = ended(OutcomeWord.DONE, gap_ms=4946, phases=phases)
    told = words(tuple(courses.outcome_parts(replace(going(), outcome=outcome), 60)))
    assert [each.split()[0] for each in told[-4:]] == list(phases)
    assert "█" in told[-3]


def test_whatever_ends_it_is_told() -> None:
    error = ConsulUnavailable("GET /v1/txn", "connection refused")
    for more in ({"called_off": True}, {"error": error}, {"mistake": "KeyError: 'x'"}):
        course = replace(going(), **more)
        assert course.ended
        assert not course.ok
        assert tuple(courses.outcome_parts(course, 60))
        assert courses.in_a_word(course) != "goes on"


def test_only_what_nobody_has_taken_up_can_be_taken_back() -> None:
    asked = (StepKind.REQUESTED, 4)
    assert not going().can_be_taken_back
    assert going(STEP_DOWN, asked).can_be_taken_back
    assert not going(STEP_DOWN, asked, (StepKind.ANSWERED, 9)).can_be_taken_back
    assert not going(PAUSE, asked).can_be_taken_back


# --- the stage ---


def test_the_buttons_are_those_that_mean_something() -> None:
    def keys(mode: Mode | None = None, **known: object) -> set[str]:
        stage = Stage(operation=STEP_DOWN, **known)  # type: ignore[arg-type]
        return {key.value for key in stage.keys(mode or Mode())}

    refused = Refused(code=RefusalCode.ASKED_ALREADY, sentence="no", anyway=True)
    assert keys() == {"close"}
    assert keys(phase=Phase.ASKING) == {"do", "close"}
    assert keys(phase=Phase.REFUSED, against="no") == {"again", "close"}
    assert keys(phase=Phase.REFUSED, against=refused) == {"again", "anyway", "close"}
    assert keys(Mode(read_only="so"), phase=Phase.REFUSED, against=refused) == {"close"}
    begun = going(STEP_DOWN, (StepKind.REQUESTED, 4))
    assert keys(phase=Phase.GOING, course=begun) == {"back", "close"}
    over = replace(begun, outcome=ended(OutcomeWord.DONE))
    assert keys(phase=Phase.GOING, course=over) == {"close"}


def test_a_stage_says_how_long_it_waits() -> None:
    stage = Stage(operation=STEP_DOWN, since=NOW - 3)
    assert words(tuple(said(stage, leading(), NOW))) == ["asking Consul, 3 s"]


def test_hostile_texts_are_shown_as_text() -> None:
    plan = replace(
        planned(STEP_DOWN),
        election=HOSTILE,
        workloads=(HOSTILE,),
        cautions=(Caution(WarningCode.PAUSED, HOSTILE, serious=True),),
    )
    refused = Refused(code=RefusalCode.ASKED_ALREADY, sentence=HOSTILE, hint=HOSTILE)
    step = Step(kind=StepKind.RELEASED, at_ms=1, node=HOSTILE, detail=HOSTILE)
    course = replace(going(), plan=plan, steps=(step,))
    outcome = replace(course, outcome=ended(OutcomeWord.UNKNOWN, detail=HOSTILE, hint=HOSTILE))
    parts = [
        *preview_parts(plan),
        *courses.refused_parts(refused),
        *courses.time_line(course, NOW),
        *courses.outcome_parts(outcome, 60),
    ]
    for each in words(parts):
        assert not set(each) & set("\x1b\x07‮\u200b")
    assert any("[red]" in each for each in words(parts))


# --- the screen ---


def place(seat: Seat) -> Place:
    return Place(now=lambda: NOW, snapshot=lambda: seat.app.snapshot, mode=Mode, actor="ann@ops")


STAGES = {
    "asking": Stage(operation=FORCE, phase=Phase.ASKING, plan=planned(FORCE)),
    "refused": Stage(
        operation=FORCE,
        phase=Phase.REFUSED,
        against=Refused(code=RefusalCode.ASKED_ALREADY, sentence=HOSTILE, anyway=True),
    ),
    "going": Stage(
        operation=STEP_DOWN, phase=Phase.GOING, course=going(STEP_DOWN, (StepKind.REQUESTED, 4))
    ),
}


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (250, 60), (40, 12)])
@pytest.mark.parametrize("stage", STAGES)
async def test_the_buttons_are_to_be_seen_in_every_size(stage: str, size: tuple[int, int]) -> None:
    async with seated(leading(), size) as seat:
        screen = ControlScreen(FORCE, "", place(seat), going(FORCE))
        await seat.app.push_screen(screen)
        known = STAGES[stage]
        screen._stage = known
        screen._enter(known.phase)
        await seat.pilot.pause()
        await seat.pilot.pause()
        picture = seat.screen()
        buttons = {key.value for key in known.keys(Mode())}
        labels = {"do": "Force release", "close": known.close, "back": "Take it back"}
        labels |= {"again": "Look again", "anyway": "Do it anyway"}
        at = next(i for i, text in enumerate(picture) if known.close in text)
        assert at < size[1]
        if size[0] >= 80:
            assert all(labels[each] in picture[at] for each in buttons)
        if known.phase is Phase.ASKING:
            assert any("reason" in text for text in picture)


async def test_a_long_preview_scrolls_and_what_is_asked_stays() -> None:
    async with seated(leading(), (80, 24)) as seat:
        screen = ControlScreen(FORCE, "", place(seat), going(FORCE))
        await seat.app.push_screen(screen)
        cautions = tuple(
            Caution(WarningCode.PAUSED, f"caution {i} " + "word " * 20) for i in range(12)
        )
        plan = replace(planned(FORCE), cautions=cautions)
        screen._stage = Stage(operation=FORCE, plan=plan)
        screen._enter(Phase.ASKING)
        await seat.pilot.pause()
        await seat.pilot.pause()
        before = seat.screen()
        assert any("caution 0" in text for text in before)
        assert not any("caution 11" in text for text in before)
        await seat.press("pagedown", "pagedown", "pagedown")
        after = seat.screen()
        assert any("caution 11" in text for text in after)
        for picture in (before, after):
            assert any("Cancel" in text for text in picture)
            assert any("reason" in text for text in picture)
