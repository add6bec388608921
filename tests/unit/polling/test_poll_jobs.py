"""The table of jobs, and the sweep at takeover."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import coord.polling
from coord.polling.jobs import (
    MAX_BACKOFF_MS,
    OPEN,
    TRANSITIONS,
    JobEvent,
    JobTransitionError,
    advance,
    backoff_ms,
    may_retry,
    sweep,
)
from coord.polling.records import JobRecord, JobState

FINAL = {JobState.COMPLETED, JobState.CANCELLED}
PURE = ("jobs.py", "schedules.py", "book.py", "counting.py", "pollers.py", "records.py")
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


@given(st.sampled_from(JobState), st.integers(1, 1000))
def test_a_sweep_leaves_nothing_open(state: JobState, attempt: int) -> None:
    swept = sweep(job(state, attempt), term=9)
    assert (swept.state, swept.attempt, swept.term) == (JobState.TIMED_OUT, attempt, 9)


@pytest.mark.parametrize("max_retries", [0, 2])
def test_attempts_are_limited(max_retries: int) -> None:
    for attempt in range(1, 5):
        may = may_retry(job(attempt=attempt), max_retries=max_retries, in_time=True)
        assert may is (attempt <= max_retries)
    assert not may_retry(job(), max_retries=max_retries, in_time=False)


@given(st.integers(1, 1000), st.integers(500, 10**9), st.floats(0, 1))
def test_the_wait_grows_up_to_a_limit_and_is_spread(
    attempt: int, interval_ms: int, chance: float
) -> None:
    wait_ms, longest = (
        backoff_ms(attempt, interval_ms=interval_ms, chance=each) for each in (chance, 1.0)
    )
    assert longest / 2 - 1 <= wait_ms <= longest <= min(MAX_BACKOFF_MS, interval_ms / 10)
    later = backoff_ms(attempt + 1, interval_ms=interval_ms, chance=1.0)
    assert later in (2 * longest, min(MAX_BACKOFF_MS, interval_ms // 10))


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
