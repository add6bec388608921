"""What proves that two worked at once, and what does not."""

from __future__ import annotations

from tests.docker.watch import Sample, both_at_work

WORK = ("cluster-health",)


def said(node: str, sent: float, *, term: int | None, work: tuple[str, ...] = WORK) -> Sample:
    """An answer that took 0.1 s."""
    return Sample(node, sent, sent + 0.1, "leading" if work else "standby", term, work)


OLD = [said("core-1", at, term=5) for at in (1.0, 2.0)]
NEW = [said("core-2", at, term=6) for at in (5.0, 6.0)]


def test_one_after_the_other_is_no_overlap() -> None:
    assert both_at_work([*OLD, *NEW]) == []
    idle = [said("core-1", at, term=None, work=()) for at in (5.5, 6.5)]
    assert both_at_work([*OLD, *NEW, *idle]) == []


def test_an_old_leader_that_works_on_is_found() -> None:
    late = said("core-1", 5.5, term=5)
    assert both_at_work([*OLD, *NEW, late]) != []


def test_work_that_has_not_ended_counts_whatever_the_state_is() -> None:
    late = Sample("core-1", 5.5, 5.6, "suspended", 5, WORK)
    assert both_at_work([*OLD, *NEW, late]) != []


def test_answers_that_cross_prove_nothing() -> None:
    slow = Sample("core-1", 2.5, 5.5, "leading", 5, WORK)
    assert both_at_work([*OLD, slow, *NEW]) == []


def test_who_leads_again_under_a_later_term_has_not_worked_in_between() -> None:
    again = [said("core-1", at, term=7) for at in (8.0, 9.0)]
    assert both_at_work([*OLD, *NEW, *again]) == []
