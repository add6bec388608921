"""The witness's judgement. What it must find is planted here: one that cannot fail is worthless."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from demo.judge import KEEP, PAUSE_S, Judge, Message, WitnessReport

Heard = tuple[str, int, int, float]
"""node, term, number, when it arrived."""


def judged(heard: Iterable[Heard]) -> WitnessReport:
    """The report after these messages of work; a node's pid follows from its name."""
    judge = Judge()
    at = 0.0
    for node, term, seq, at in heard:
        judge.hear(Message("work", node, term, pid_of(node), seq, at), at)
    return judge.report(at)


def pid_of(node: str) -> int:
    return sum(node.encode())


CLEAN = [("a", 1, 0, 1.0), ("a", 1, 1, 1.1), ("b", 2, 0, 1.5), ("b", 2, 1, 1.6)]


def test_one_leader_after_the_other_is_no_overlap() -> None:
    report = judged(CLEAN)
    assert not report.overlapped
    assert [(t.term, t.node, t.messages) for t in report.terms] == [(1, "a", 2), (2, "b", 2)]
    assert report.lost == 0


def test_the_gap_is_from_the_last_work_to_the_first() -> None:
    (gap,) = judged(CLEAN).gaps
    assert (gap.from_node, gap.to_node) == ("a", "b")
    assert gap.gap_s == pytest.approx(0.4)


def test_a_message_of_an_older_term_after_a_newer_one_is_found() -> None:
    report = judged([*CLEAN, ("a", 1, 2, 1.7)])
    assert report.overlapped
    (stale,) = report.stale
    assert (stale.node, stale.term, stale.at) == ("a", 1, 1.7)
    assert (stale.newer_node, stale.newer_term) == ("b", 2)


def test_a_sender_that_stood_still_since_before_the_newer_term_is_refused_as_late() -> None:
    judge = Judge()
    judge.hear(Message("work", "a", 1, 1, 0, 1.0), 1.0)
    judge.hear(Message("work", "b", 2, 2, 0, 4.0), 4.0)
    assert not judge.hear(Message("step", "a", 1, 1, 0, 1.01), 4.2)
    assert not judge.hear(Message("work", "a", 1, 1, 1, 1.02), 4.3)
    report = judge.report(5.0)
    assert not report.overlapped
    assert (report.stale_count, report.late_count, report.refused) == (0, 2, 1)
    assert [late.held_s for late in report.late] == pytest.approx([3.19, 3.28])
    assert report.gaps[0].gap_s == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("looked_at", "arrived"),
    [
        (4.1, 9.0),  # it looked at its lease when the newer term worked already
        (3.9, 4.2),  # it did not stand still: it goes on as if nothing were
    ],
)
def test_a_stale_step_without_that_excuse_is_an_overlap(looked_at: float, arrived: float) -> None:
    judge = Judge()
    judge.hear(Message("step", "a", 1, 1, 0, 1.0), 1.0)
    assert judge.hear(Message("step", "b", 2, 2, 0, 4.0), 4.05)
    assert not judge.hear(Message("step", "a", 1, 1, 0, looked_at), arrived)
    report = judge.report(10.0)
    assert report.overlapped
    assert (report.stale_count, report.late_count, report.refused) == (1, 0, 1)


def test_steps_have_no_part_in_the_numbers_of_what_may_be_lost() -> None:
    judge = Judge()
    for number, kind in enumerate(("work", "step", "step", "work", "heard")):
        judge.hear(Message(kind, "a", 1, 1, number if kind == "step" else number // 3, 1.0), 1.0)
    assert judge.report(2.0).refusals_heard == 1


def test_a_stale_message_makes_the_gap_negative() -> None:
    (gap,) = judged([*CLEAN, ("a", 1, 2, 1.7)]).gaps
    assert gap.gap_s == pytest.approx(-0.2)


def test_two_that_take_turns_are_found_each_time_the_old_one_works() -> None:
    turns = [(node, term, n, n / 10) for n in range(5) for node, term in (("a", 1), ("b", 2))]
    report = judged(turns)
    assert report.stale_count == 4
    assert {stale.node for stale in report.stale} == {"a"}


def test_a_term_never_heard_of_that_is_older_than_the_newest_is_stale() -> None:
    report = judged([*CLEAN[2:], ("c", 1, 0, 2.0)])
    assert report.stale_count == 1
    assert [term.term for term in report.terms] == [2, 1]


def test_two_nodes_in_one_term_are_found() -> None:
    report = judged([("a", 1, 0, 1.0), ("b", 1, 0, 1.1)])
    assert report.overlapped
    (double,) = report.doubles
    assert (double.term, double.first_node, double.node) == (1, "a", "b")


def test_two_processes_of_one_node_in_one_term_are_found() -> None:
    judge = Judge()
    for pid in (10, 11):
        judge.hear(Message("work", "a", 1, pid, 0, 0.0), float(pid))
    (double,) = judge.report(20.0).doubles
    assert (double.first_pid, double.pid) == (10, 11)


def test_one_node_that_leads_again_in_a_newer_term_is_fine() -> None:
    assert not judged([("a", 1, 0, 1.0), ("b", 2, 0, 2.0), ("a", 3, 1, 3.0)]).overlapped


def test_findings_beyond_what_is_kept_are_still_counted() -> None:
    late = [("a", 1, n, 2.0 + n) for n in range(KEEP + 7)]
    report = judged([("b", 2, 0, 1.0), *late])
    assert len(report.stale) == KEEP
    assert report.stale_count == KEEP + 7


def test_holes_in_the_numbers_are_told() -> None:
    assert judged([("a", 1, 0, 1.0), ("a", 1, 3, 1.1), ("a", 1, 4, 1.2)]).lost == 2


def test_silence_within_a_term_is_a_pause_and_no_gap() -> None:
    report = judged([("a", 1, 0, 1.0), ("a", 1, 1, 1.0 + PAUSE_S)])
    (pause,) = report.pauses
    assert pause.pause_s == pytest.approx(PAUSE_S)
    assert report.gaps == ()


def test_refused_writes_are_reported_and_are_no_work() -> None:
    judge = Judge()
    judge.hear(Message("work", "b", 2, 2, 0, 0.0), 1.0)
    judge.hear(Message("refused", "a", 1, 1, 0, 0.0, why="fenced_session"), 2.0)
    judge.hear(Message("wrote", "b", 2, 2, 1, 0.0), 2.1)
    report = judge.report(3.0)
    assert not report.overlapped
    assert [(w.kind, w.node, w.why) for w in report.unwritten] == [
        ("refused", "a", "fenced_session")
    ]
    assert report.wrote == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        json.dumps({"kind": "work", "node": "a", "term": "1", "pid": 1, "seq": 0, "sent": 0}),
        json.dumps({"kind": "?", "node": "a", "term": 1, "pid": 1, "seq": 0, "sent": 0}),
        json.dumps({"kind": "work", "node": "a", "term": 1, "pid": 1, "seq": 0, "sent": 0, "x": 1}),
    ],
)
def test_what_is_no_message_is_counted_and_not_believed(raw: bytes | str) -> None:
    judge = Judge()
    data = raw.encode() if isinstance(raw, str) else raw
    assert judge.hear_raw(data, 1.0) is None
    report = judge.report(2.0)
    assert (report.unreadable, report.messages, report.terms) == (1, 0, ())


def test_a_report_survives_its_way_through_json() -> None:
    judge = Judge()
    for node, term, at in (("a", 1, 1.0), ("b", 2, 2.0), ("a", 1, 3.0), ("a", 2, 4.0)):
        judge.hear(Message("work", node, term, pid_of(node), 0, at), at)
    judge.hear(Message("refused", "a", 1, 1, 0, 0.0, why="x"), 5.0)
    report = judge.report(6.0)
    assert report.stale
    assert report.doubles
    assert report.unwritten
    assert WitnessReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
