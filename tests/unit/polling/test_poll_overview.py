"""What is told of all that is polled: everything in its place, and never without end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coord.consul import CheckStatus, HealthCheck, KVEntry, ServiceInstance
from coord.members import Listing, Seen
from coord.polling.overview import MAX_SCHEDULES, PollOverview, overview
from coord.polling.paths import PollPaths
from coord.polling.records import JobRecord, JobState, PollError, ResultRecord, ScheduleRecord
from coord.polling.summary import Fare
from coord.records import Paths
from coord.status.as_json import encoded
from coord.status.below import Below

KEYS = PollPaths(Paths("x"))
NOW_MS = 1_800_000_000_000
NONE = Below(Seen.KNOWN)


def schedule(id: str, **fields: Any) -> KVEntry:
    checks = ({"kind": "tcp", "target": "db:5432", "timeout": "1s"},)
    made: dict[str, Any] = {"interval": "10s", "checks": checks, "since_ms": NOW_MS - 3_600_000}
    return KVEntry(
        KEYS.schedule(id), ScheduleRecord.model_validate({"id": id, **made, **fields}).encode()
    )


def result(id: str, **fields: Any) -> KVEntry:
    made: dict[str, Any] = {"state": JobState.COMPLETED, "ok": True, "finished_ms": NOW_MS}
    record = ResultRecord(
        schedule=id, job=f"{id}.1", attempt=1, term=1, due_ms=NOW_MS, **made | fields
    )
    return KVEntry(KEYS.result(id), record.encode())


def poller(id: str, status: CheckStatus = CheckStatus.PASSING, **meta: str) -> ServiceInstance:
    check = HealthCheck("host", "c", "c", status)
    return ServiceInstance(
        "host", "10.0.0.1", id, "poller", "10.0.0.1", 8612, meta=meta, checks=(check,)
    )


def told(
    schedules: list[KVEntry],
    results: Below = NONE,
    jobs: Below = NONE,
    pollers: tuple[ServiceInstance, ...] = (),
) -> PollOverview:
    seen = Below(Seen.KNOWN, tuple(schedules))
    return overview(KEYS, seen, results, jobs, Listing(Seen.KNOWN, pollers), NOW_MS)


def test_a_thousand_schedules_are_told_and_what_may_not_be_seen_is_said() -> None:
    made = told([schedule(f"s-{n}") for n in range(1000)], Below(Seen.NOT_PERMITTED))
    assert (len(made.schedules), made.left_out, made.fares) == (1000, 0, {"unknown": 1000})
    assert made.results_seen is Seen.NOT_PERMITTED
    assert made.schedules[0].last is None
    assert len(encoded(made, indent=None)) < 500_000


def test_of_too_many_those_that_do_not_fare_well_are_told() -> None:
    names = [f"s-{n:05}" for n in range(MAX_SCHEDULES + 3)]
    ill = result(names[-1], ok=None, state=JobState.FAILED, error=PollError.NO_POLLER)
    well = [result(name) for name in names[:-1]]
    made = told([schedule(name) for name in names], Below(Seen.KNOWN, (*well, ill)))
    assert (len(made.schedules), made.left_out) == (MAX_SCHEDULES, 3)
    last = made.schedules[-1]
    assert (last.id, last.fare, last.code) == (names[-1], Fare.UNANSWERED, "no_poller")
    assert last.last is not None
    assert last.last.outcome == "no_poller"
    assert made.fares == {"unanswered": 1, "up": MAX_SCHEDULES + 2}


def test_passing_pollers_are_told_with_what_they_have_to_do() -> None:
    job = JobRecord(id="web.1", schedule="web", term=1, due_ms=NOW_MS, poller="p-1")
    jobs = Below(Seen.KNOWN, (KVEntry(KEYS.job(job.id), job.encode()),))
    pollers = (
        poller("p-2", node="b", kinds="tcp,http", capacity="20"),
        poller("p-1", node="a", domain="site-1", partition="dmz"),
        poller("p-3", CheckStatus.CRITICAL, node="c"),
        poller("p-4", node="d", election="other"),
    )
    one, other = told([schedule("web")], jobs=jobs, pollers=pollers).pollers.items
    assert (one.id, one.node, one.open_jobs, one.kinds) == ("p-1", "a", 1, None)
    assert (one.domain, one.partition) == ("site-1", "dmz")
    assert (other.open_jobs, other.kinds, other.capacity) == (0, ("http", "tcp"), 20)


HOSTILE = "\x1b[31m\ud800\u202e"


@pytest.mark.parametrize("key", ["torn", HOSTILE, "x" * 5000])
def test_what_cannot_be_read_cannot_break_the_answer(key: str) -> None:
    made = told([KVEntry(KEYS.schedules + key, b"{"), schedule("web", name=HOSTILE[:5])])
    text = encoded(made)
    assert text.isascii()
    assert made.fares == {"never_run": 1, "unreadable": 1}
    (torn,) = [each for each in made.schedules if each.fare is Fare.UNREADABLE]
    assert len(torn.id) <= 200
    assert "\x1b" not in json.loads(text)["schedules"][-1]["name"]
