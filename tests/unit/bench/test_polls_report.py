"""The figures of polling: how visits are held against attempts, and as people read them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from bench.polls import PollCost, attempts, beyond
from bench.report import polls_text
from bench.stats import summarise
from coord.polling.records import JobRecord, ResultRecord


def result(**counters: int) -> ResultRecord:
    known: dict[str, Any] = {"schedule": "web", "job": "web.1", "attempt": 1, "term": 1}
    known |= {"state": "completed", "due_ms": 1000, "finished_ms": 1000}
    return ResultRecord.model_validate(known | counters)


@pytest.mark.parametrize(
    ("visits", "twice"), [({"web": 5}, 0), ({"web": 4}, 0), ({"web": 6}, 1), ({"other": 2}, 2)]
)
def test_visits_beyond_the_attempts_are_counted(visits: dict[str, int], twice: int) -> None:
    job = JobRecord(id="web.2", schedule="web", attempt=2, term=1, due_ms=2000)
    made = attempts([result(runs=2, retried=1)], [job])
    assert made == Counter(web=5)
    assert beyond(visits, made) == twice


def test_every_figure_has_its_row() -> None:
    well = PollCost(
        what="well", schedules=1000, seconds=60.0, lag_ms=summarise([1.0] * 99 + [7.0, 9.0]),
        runs=6000, missed=0, failed=1, retried=2, twice=0, raft_per_s=200.0, leader_percent=12.0,
        poller_percent=None, consul_percent=3.5,
    )  # fmt: skip
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in polls_text((well, well)).splitlines()
        if line.startswith("|")
    ]
    told = {row[0]: row[1] for row in rows}
    assert told["schedule lag, p99, ms"] == "7"
    assert told["schedule lag, worst, ms"] == "9"
    assert told["raft writes for each run"] == "2.00"
    assert told["CPU of the busiest poller"] == ""
    assert "1,000 schedules, over 60 s, then 60 s." in polls_text((well, well))
