"""What `coord schedule list` and `show` say of when a schedule was run last."""

from __future__ import annotations

import pytest

from coord.cli.schedule_text import list_lines, show_lines
from coord.consul import KVEntry
from coord.polling.editing import stored
from coord.polling.records import JobState, ResultRecord, ScheduleRecord
from coord.polling.shelf import Shelf

NOW_MS = 1_800_000_000_000


def shelf(since_ms: int, finished_ms: int | None = None) -> Shelf:
    """One schedule that runs every ten seconds, with its last result, if there is one."""
    check = {"kind": "tcp", "target": "db:5432", "timeout": "1s"}
    record = ScheduleRecord.model_validate(
        {"id": "a", "interval": "10s", "checks": [check], "since_ms": since_ms}
    )
    results = {}
    if finished_ms is not None:
        made = {"schedule": "a", "job": "a.1", "attempt": 1, "term": 1, "due_ms": finished_ms}
        results["a"] = ResultRecord.model_validate(
            {**made, "state": JobState.COMPLETED, "ok": True, "finished_ms": finished_ms}
        )
    return Shelf(stored([KVEntry("p/a", record.encode())], "p/"), results, {})


@pytest.mark.parametrize(
    ("since_s", "finished_s", "said", "unsaid"),
    [
        (5, None, "not yet run", "late"),
        (60, None, "never run", "late"),
        (60, 5, "up, ", "late"),
        (60, 40, ", late", "run"),
    ],
)
def test_it_tells_what_is_run_no_more(
    since_s: int, finished_s: int | None, said: str, unsaid: str
) -> None:
    finished_ms = None if finished_s is None else NOW_MS - finished_s * 1000
    *_, line = list_lines("e", shelf(NOW_MS - since_s * 1000, finished_ms), NOW_MS)
    assert said in line
    assert unsaid not in line


def test_it_is_shown_that_one_was_never_run() -> None:
    lines = list(show_lines("a", shelf(NOW_MS - 60_000), NOW_MS))
    assert any("never run" in line for line in lines)
