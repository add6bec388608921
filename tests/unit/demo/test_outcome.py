"""What counts as not held: each way to fail is found, and a sound story has none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from demo.judge import Judge, Message, WitnessReport
from demo.ledger import WentBack
from demo.outcome import Act, Outcome, problems_of_act, problems_of_witness

SOUND = Act(
    title="killed",
    fault="SIGKILL",
    old_leader="core-1",
    new_leader="core-2",
    term=7,
    fault_to_work_s=4.8,
    work_to_work_s=4.9,
    budget_s=5.25,
    limit_s=10.0,
    phases={},
    polls_before=9,
    polls_during=0,
    polls_after=9,
    polls_missed=3,
    overlaps=0,
)


def heard(*work: tuple[str, int, int]) -> WitnessReport:
    """node, term, number: in the order of arrival."""
    judge = Judge()
    for at, (node, term, seq) in enumerate(work):
        judge.hear(Message("work", node, term, ord(node), seq, 0.0), float(at))
    return judge.report(100.0)


def test_a_sound_act_has_no_problem() -> None:
    assert problems_of_act(SOUND) == []


@pytest.mark.parametrize(
    "wrong",
    [{"fault_to_work_s": 10.1}, {"overlaps": 1}, {"polls_after": 0}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_an_act_with_one_thing_wrong_has_one_problem(wrong: dict[str, float]) -> None:
    assert len(problems_of_act(replace(SOUND, **wrong))) == 1  # type: ignore[arg-type]


def test_over_budget_and_within_the_limit_is_let_pass() -> None:
    assert problems_of_act(replace(SOUND, fault_to_work_s=6.0)) == []


def test_a_sound_report_has_no_problem() -> None:
    assert problems_of_witness(heard(("a", 1, 0), ("b", 2, 0)), ()) == []


@pytest.mark.parametrize(
    "work",
    [
        [("b", 2, 0), ("a", 1, 0)],
        [("a", 1, 0), ("b", 1, 0)],
        [("a", 1, 0), ("a", 1, 2)],
    ],
    ids=["stale", "two in a term", "lost on the way"],
)
def test_what_the_witness_found_is_a_problem(work: list[tuple[str, int, int]]) -> None:
    assert len(problems_of_witness(heard(*work), ())) == 1


def test_a_write_that_landed_late_is_a_problem() -> None:
    report = heard(("a", 1, 0))
    assert len(problems_of_witness(report, (WentBack(1, 2, 30),))) == 1


@pytest.mark.parametrize(("problems", "held"), [((), True), (("one",), False)])
def test_it_held_only_without_problems(problems: tuple[str, ...], held: bool) -> None:
    outcome = Outcome(
        acts=(SOUND,),
        witness=None,
        writes_seen=1,
        writes_gone_back=(),
        polls={},
        took_s=1.0,
        problems=problems,
    )
    assert outcome.held is held
    assert outcome.to_dict()["held"] is held
