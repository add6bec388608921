"""The table of jobs, and the sweep at takeover."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import coord.polling
from coord.polling.jobs import (
    OPEN,
    TRANSITIONS,
    JobEvent,
    JobTransitionError,
    advance,
    may_retry,
    sweep,
)
from coord.polling.records import MAX_ATTEMPTS, JobRecord, JobState

FINAL = {JobState.COMPLETED, JobState.CANCELLED}
PURE = ("jobs.py", "schedules.py", "book.py", "pollers.py", "records.py")
IMPURE = {"asyncio", "time", "datetime", "random", "logging", "httpx", "socket", "threading"}


def job(state: JobState = JobState.PENDING, attempt: int = 1, term: int = 3) -> JobRecord:
    return JobRecord(
        id="web.7", schedule="web", state=state, attempt=attempt, term=term, due_ms=7000
    )


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("event", JobEvent)
def test_what_is_not_in_the_table_is_an_error(state: JobState, event: JobEvent) -> None:
    wanted = TRANSITIONS.get((state, event))
    if wanted is not None:
        assert advance(job(state), event).state is wanted
        return
    with pytest.raises(JobTransitionError) as caught:
        advance(job(state), event)
    assert (caught.value.job, caught.value.state, caught.value.event) == ("web.7", state, event)


def test_every_open_state_can_end_in_each_way() -> None:
    for state in OPEN:
        for event in (JobEvent.FAIL, JobEvent.TIME_OUT, JobEvent.CANCEL):
            assert (state, event) in TRANSITIONS


def test_nothing_leaves_a_final_state() -> None:
    assert not {state for state, _ in TRANSITIONS} & FINAL


def test_only_a_running_job_completes() -> None:
    assert [s for (s, e) in TRANSITIONS if e is JobEvent.COMPLETE] == [JobState.RUNNING]


@given(st.lists(st.sampled_from(JobEvent), max_size=40))
def test_an_attempt_number_is_sent_at_most_once(events: list[JobEvent]) -> None:
    now = job()
    sent: list[int] = []
    for event in events:
        try:
            now = advance(now, event)
        except JobTransitionError:
            continue
        if event is JobEvent.SEND:
            sent.append(now.attempt)
    assert len(sent) == len(set(sent))


@pytest.mark.parametrize("state", sorted(OPEN))
def test_an_attempt_left_open_is_tried_again_under_the_new_term(state: JobState) -> None:
    swept = sweep(job(state), term=5, slot_due_ms=7000)
    assert swept.retried
    assert (swept.job.attempt, swept.job.term, swept.job.poller) == (2, 5, "")


@pytest.mark.parametrize("slot_due_ms", [None, 6000, 8000])
def test_an_attempt_of_another_slot_is_given_up(slot_due_ms: int | None) -> None:
    swept = sweep(job(JobState.DISPATCHING), term=5, slot_due_ms=slot_due_ms)
    assert not swept.retried
    assert swept.job.state is JobState.TIMED_OUT
    assert (swept.job.attempt, swept.job.term) == (1, 5)


@given(
    st.sampled_from(JobState),
    st.integers(1, 1000),
    st.one_of(st.none(), st.sampled_from([0, 7000, 9000])),
)
def test_a_sweep_leaves_nothing_open_but_what_is_tried_again(
    state: JobState, attempt: int, slot_due_ms: int | None
) -> None:
    before = job(state, attempt)
    swept = sweep(before, term=9, slot_due_ms=slot_due_ms)
    assert swept.job.term == 9
    if swept.retried:
        assert may_retry(before, slot_due_ms=slot_due_ms)
        assert attempt < swept.job.attempt <= MAX_ATTEMPTS
    else:
        assert swept.job.state is JobState.TIMED_OUT


def test_attempts_are_limited() -> None:
    assert may_retry(job(attempt=MAX_ATTEMPTS - 1), slot_due_ms=7000)
    assert not may_retry(job(attempt=MAX_ATTEMPTS), slot_due_ms=7000)


@pytest.mark.parametrize("module", PURE)
def test_what_decides_is_pure(module: str) -> None:
    tree = ast.parse((Path(coord.polling.__path__[0]) / module).read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not imported & IMPURE
