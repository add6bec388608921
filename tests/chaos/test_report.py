"""What the suite must find is planted here, and the table that a run comes to."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from coord.polling.records import ResultRecord
from demo.judge import Judge, Message, WitnessReport
from tests.chaos.__main__ import MIXTURE_MINUTES, arguments, command, programme
from tests.chaos.report import again, table, to_json, verdict
from tests.chaos.runs import (
    PollCount,
    Run,
    count_polls,
    grouped,
    longest_gap_s,
    problem_of_gap,
    problems_of_work,
    run_twice,
    slack_s,
)
from tests.chaos.watchers import MOMENT_S, SWEEP_S, Look, Watchers


def result(due_s: int, **counters: int) -> ResultRecord:
    return ResultRecord.model_validate(
        {
            "schedule": "web",
            "job": f"web.{due_s}",
            "attempt": 1,
            "term": 1,
            "state": "completed",
            "due_ms": due_s * 1000,
            "finished_ms": due_s * 1000,
            **counters,
        }
    )


@pytest.mark.parametrize(
    ("after", "count", "found"),
    [
        (result(20, runs=20), PollCount(10, 0, 0, 0), 0),
        (result(20, runs=15, missed=5), PollCount(5, 0, 5, 0), 0),
        (result(20, runs=20, failed=2, timed_out=1), PollCount(7, 3, 0, 0), 0),
        (result(20, runs=20, retried=2), PollCount(10, 0, 0, 0, 2), 0),
        (result(20, runs=19), PollCount(9, 0, 0, 1), 1),
        (result(20, runs=21), PollCount(11, 0, 0, -1), 1),
    ],
)
def test_every_run_that_was_due_is_run_or_recorded(
    after: ResultRecord, count: PollCount, found: int
) -> None:
    total, wrong = count_polls({"web": result(10, runs=10)}, {"web": after})
    assert total == count
    assert len(wrong) == found


def test_a_result_that_is_gone_is_found() -> None:
    assert len(count_polls({"web": result(10, runs=10)}, {})[1]) == 1


def test_an_attempt_that_is_run_twice_is_found() -> None:
    once = [{"job": "web.1", "attempt": 1}, {"job": "web.1", "attempt": 2}]
    assert run_twice([*once, {"job": "web.2", "attempt": 1}]) == []
    assert run_twice([*once, once[0]]) == ["attempt 1 of web.1"]


def heard(*messages: tuple[str, int, int, float]) -> WitnessReport:
    """Node, term, pid, when."""
    judge = Judge()
    for number, (node, term, pid, at) in enumerate(messages):
        judge.hear(Message("step", node, term, pid, number, at), at)
    return judge.report(100.0)


def test_two_at_work_at_once_are_found() -> None:
    quiet = heard(("a", 1, 1, 1.0), ("b", 2, 2, 5.0))
    assert problems_of_work(heard(), quiet) == []
    interleaved = heard(("a", 1, 1, 1.0), ("b", 2, 2, 5.0), ("a", 1, 1, 5.1))
    assert len(problems_of_work(quiet, interleaved)) == 1
    doubled = heard(("a", 1, 1, 1.0), ("b", 2, 2, 5.0), ("b", 2, 3, 5.1))
    assert len(problems_of_work(quiet, doubled)) == 1
    assert problems_of_work(doubled, doubled) == []


def test_the_gap_is_the_longest_silence_since_the_beginning() -> None:
    report = heard(("a", 1, 1, 1.0), ("a", 1, 1, 9.0), ("b", 2, 2, 12.0), ("b", 2, 2, 13.0))
    assert longest_gap_s(report, 0.0) == pytest.approx(8.0)
    assert longest_gap_s(report, 9.5) == pytest.approx(3.0)
    assert longest_gap_s(report, 12.5) == pytest.approx(1.0)
    assert longest_gap_s(report, 13.5) == 0.0


def test_a_gap_beyond_its_budget_and_the_slack_is_a_problem() -> None:
    assert problem_of_gap(8.0, 5.0) == []
    assert problem_of_gap(1000.0, None) == []
    assert len(problem_of_gap(8.1, 5.0)) == 1


def test_the_slack_is_in_proportion_to_the_budget() -> None:
    """A takeover within a quarter of a second may not take fifteen."""
    assert [slack_s(budget) for budget in (0.25, 6.0, 10.0, 22.0, 35.25)] == [3, 3, 5, 11, 15]


def test_problems_that_differ_in_figures_alone_are_told_once_and_counted() -> None:
    noisy = heard(
        ("core-1", 1, 1, 1.0),
        ("core-2", 2, 2, 5.0),
        *(("core-1", 1, 1, 5.1 + number / 10) for number in range(30)),
        ("core-3", 3, 3, 9.0),
        ("core-2", 2, 2, 9.5),
    )
    found = problems_of_work(heard(), noisy, 4.0)
    assert len(found) == 31
    told = grouped([*found, "nobody took over"])
    assert told == [
        f"{found[0]} (and 29 more like it)",
        found[30],
        "nobody took over",
    ]
    assert "1.100 s after the beginning" in told[0]


def run(**changes: Any) -> Run:
    known: dict[str, Any] = {
        "scenario": "kill",
        "title": "leader killed",
        "seed": "1",
        "what": ("SIGKILL a",),
        "leader": "a",
        "new_leader": "b",
        "terms": 1,
        "gap_s": 4.9,
        "budget_s": 5.25,
        "overlaps": 0,
        "stale_attempted": 2,
        "stale_refused": 2,
        "polls": PollCount(10, 1, 4, 0, 2),
        "ended": {"a": -9},
        "took_s": 7.0,
    }
    return Run(**known | changes)


def test_the_table_has_a_row_for_each_scenario_and_the_sum() -> None:
    runs = [
        run(gap_s=4.7),
        run(gap_s=5.3),
        run(scenario="cut", title="cut off", gap_s=7.0, budget_s=None),
    ]
    rows = [
        [cell.strip() for cell in row.strip("|").split("|")]
        for row in table(to_json(1, runs, 30.0)).splitlines()
    ]
    assert rows[2] == [
        *("kill", "leader killed", "2", "5.00 s", "5.30 s", "5.25 s"),
        *("1", "0", "4", "4", "20", "8", "2", "4", "0", "0"),
    ]
    assert rows[3][:7] == ["cut", "cut off", "1", "7.00 s", "7.00 s", "", ""]
    assert rows[4][:7] == ["all", "", "3", "5.30 s", "7.00 s", "", "1"]
    assert len(rows) == 5


@pytest.mark.parametrize(
    ("seed", "scenario", "options"),
    [
        ("17:3", "mixture", "--replay 17:3"),
        ("17-kill-0", "kill", "--scenario kill --repeat 1 --seed 17"),
        ("5-cut-out-4", "cut-out", "--scenario cut-out --repeat 5 --seed 5"),
    ],
)
def test_a_run_tells_the_command_that_does_it_again(seed: str, scenario: str, options: str) -> None:
    words = shlex.split(again(run(seed=seed, scenario=scenario)))
    assert words == ["make", "chaos", f"ARGS={options}"]
    given = arguments(shlex.split(options))
    assert seed in [own for _, own, _ in programme(given, given.seed, given.minutes)]


def test_the_mixture_is_the_default_only_where_nothing_else_is_asked_for() -> None:
    assert arguments([]).minutes == MIXTURE_MINUTES
    assert arguments(["--scenario", "kill"]).minutes == 0.0
    assert arguments(["--replay", "5:1"]).minutes == 0.0
    assert arguments(["--scenario", "kill", "--minutes", "2"]).minutes == 2.0


@pytest.mark.parametrize(
    "words",
    [
        ["--minutes", "0"],
        ["--minutes", "nan"],
        ["--repeat", "0", "--scenario", "kill"],
        ["--seed=-1"],
        ["--replay", "foo"],
        ["--replay", "17"],
        ["--replay", "17:0"],
        ["--replay", ":3"],
        ["--write-docs"],
        ["--write-docs", "--scenario", "kill"],
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(words)


def test_the_whole_command_is_told_and_asks_for_the_same() -> None:
    given = arguments(["--scenario", "all", "--repeat", "5", "--minutes", "30"])
    minutes, options = shlex.split(command(given, 17))[2:]
    assert minutes == "MINUTES=30"
    words = [*shlex.split(options.removeprefix("ARGS=")), "--minutes", "30"]
    again_given = arguments(words)
    assert again_given.seed == 17
    assert {**vars(given), "seed": 17} == vars(again_given)


def test_the_verdict_says_how_many_gaps_were_over_their_budget() -> None:
    assert "a busy machine may add: 1" in verdict([run(), run(gap_s=6.0), run(budget_s=None)])
    assert "over budget" not in verdict([run()])


def test_the_verdict_does_not_show_what_was_not_tried() -> None:
    assert "4 stale writes tried, all refused" in verdict([run(), run()])
    assert "no stale write tried" in verdict([run(stale_attempted=0, stale_refused=0)])


def test_a_round_that_cannot_be_meant_is_told_how_to_name_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        arguments(["--replay", "foo"])
    assert (
        "argument --replay: 'foo' is no round: give SEED:N, as in 17:3" in capsys.readouterr().err
    )


def test_a_run_is_read_back_as_it_was_written() -> None:
    problem = run(problems=("nobody took over",))
    assert not problem.held
    assert Run.from_dict(problem.to_dict()) == problem


def looked(*looks: tuple[float, tuple[tuple[str, int], ...]]) -> Watchers:
    watchers = Watchers()
    watchers.looks = [Look(at, passing) for at, passing in looks]
    return watchers


A, B = ("a", 1), ("b", 2)


def test_two_leaders_in_discovery_are_found_and_a_moment_is_told_apart() -> None:
    report = heard(("a", 1, 1, 1.0), ("b", 2, 2, 5.0), ("b", 2, 2, 20.0))
    brief = looked((1.0, (A,)), (6.0, (A, B)), (6.0 + MOMENT_S / 2, (B,)))
    assert brief.misled(report) == ([], 1)
    assert brief.misled(report) == ([], 0)
    problems, moments = looked((6.0, (A, B)), (6.1, (B, A)), (6.1 + MOMENT_S, (B,))).misled(report)
    assert (len(problems), moments) == (1, 1)


def test_a_former_leader_that_discovery_names_for_long_is_found() -> None:
    report = heard(("a", 1, 1, 1.0), ("b", 2, 2, 5.0), ("b", 2, 2, 20.0))
    assert looked((5.0 + SWEEP_S - 0.1, (A,))).misled(report)[0] == []
    assert len(looked((5.0 + SWEEP_S + 0.1, (A,))).misled(report)[0]) == 1
