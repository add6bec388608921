"""How what is polled fares, in numbers: everything in its place, and nothing left out."""

from __future__ import annotations

from typing import Any

import pytest

from coord.consul import KVEntry
from coord.members import Seen
from coord.polling.board import boarded
from coord.polling.paths import PollPaths
from coord.polling.records import (
    CheckError,
    CheckResult,
    JobState,
    PollError,
    ResultRecord,
    ScheduleRecord,
)
from coord.polling.store import Loaded, load_jobs, load_results, load_schedules
from coord.polling.summary import Fare, PollSummary, ScheduleFare
from coord.records import Paths

KEYS = PollPaths(Paths("x"))
NOW_MS = 1_800_000_000_000
CHECK = {"kind": "tcp", "target": "db:5432", "timeout": "1s"}


def schedule(id: str, **fields: Any) -> KVEntry:
    """One that runs every ten seconds, and was written an hour ago."""
    made: dict[str, Any] = {"interval": "10s", "checks": (CHECK,), "since_ms": NOW_MS - 3_600_000}
    record = ScheduleRecord.model_validate({"id": id, **made, **fields})
    return KVEntry(KEYS.schedule(id), record.encode())


def result(id: str, ago_ms: int = 5_000, **fields: Any) -> KVEntry:
    """One that came five seconds ago, and says up."""
    made: dict[str, Any] = {"state": JobState.COMPLETED, "ok": True, "finished_ms": NOW_MS - ago_ms}
    record = ResultRecord(
        schedule=id, job=f"{id}.1", attempt=1, term=1, due_ms=NOW_MS - ago_ms, **made | fields
    )
    return KVEntry(KEYS.result(id), record.encode())


def told(
    schedules: list[KVEntry], results: list[KVEntry], results_seen: Seen = Seen.KNOWN
) -> PollSummary:
    """The summary of these, with one open run."""
    jobs = [KVEntry(KEYS.job("a.1"), b"{}"), KVEntry(KEYS.jobs, b"")]
    _, summary = boarded(
        KEYS,
        load_schedules(schedules, KEYS.schedules),
        load_results(results, KEYS.results),
        load_jobs(jobs, KEYS.jobs),
        Loaded(),
        seen=results_seen,
        at_ms=NOW_MS,
    )
    return summary


def found(ok: bool, **fields: Any) -> CheckResult:
    return CheckResult(kind="tcp", target="db:5432", ok=ok, latency_ms=1.0, **fields)


EACH = [
    schedule("down", checks=(CHECK,) * 3),
    schedule("late"),
    schedule("just-in-time"),
    schedule("never"),
    schedule("new", since_ms=NOW_MS - 1_000),
    schedule("off", enabled=False),
    schedule("enabled-again", since_ms=NOW_MS - 1_000),
    schedule("silent"),
    schedule("up"),
    schedule("lost-result"),
    KVEntry(KEYS.schedules + "torn", b"{"),
    KVEntry(KEYS.schedules, b""),
]
RESULTS = [
    result("down", ok=False, missed=3, checks=(
        found(True), found(False, error=CheckError.REFUSED, detail="[Errno 111]"), found(False),
    )),
    result("late", ago_ms=31_001),
    result("just-in-time", ago_ms=31_000),
    result("off", ok=False, missed=1),
    result("enabled-again", ago_ms=3_000_000),
    result("silent", ok=None, state=JobState.FAILED, error=PollError.NO_POLLER),
    result("up", ago_ms=100, missed=4),
    result("removed-since", ok=False, ago_ms=0, missed=99),
    KVEntry(KEYS.result("lost-result"), b"[]"),
]  # fmt: skip


def test_each_schedule_is_counted_once() -> None:
    summary = told(EACH, RESULTS)
    assert (summary.schedules, summary.enabled, summary.disabled) == (11, 9, 1)
    assert (summary.up, summary.down, summary.late) == (3, 1, 1)
    assert (summary.never_run, summary.new, summary.unreadable) == (1, 1, 2)
    assert summary.unanswered == {"no_poller": 1}
    assert (summary.missed, summary.open_runs) == (8, 1)
    assert summary.last_ms == NOW_MS - 100


@pytest.mark.parametrize(
    "checks", [({**CHECK, "target": "db:1"},), (CHECK,) * 2, ({**CHECK, "kind": "own"},)]
)
def test_what_other_checks_found_is_no_verdict(checks: tuple[dict[str, Any], ...]) -> None:
    results = [result("web", checks=(found(True),))]
    assert told([schedule("web")], results).up == 1
    summary = told([schedule("web", checks=checks)], results)
    assert (summary.up, summary.new) == (0, 1)
    later = told([schedule("web", checks=checks)], [result("web", 40_000, checks=(found(True),))])
    assert (later.late, later.never_run) == (0, 1)


def test_the_worst_are_named_with_what_is_wrong() -> None:
    summary = told(EACH, RESULTS)
    assert summary.troubled == 6
    down, silent, late, never, lost = summary.worst
    assert down == ScheduleFare(
        schedule="down",
        fare=Fare.DOWN,
        code="refused",
        kind="tcp",
        target="db:5432",
        detail="[Errno 111]",
        failing=2,
        checks=3,
        interval_ms=10_000,
    )
    assert (silent.schedule, silent.fare, silent.code) == ("silent", Fare.UNANSWERED, "no_poller")
    assert (late.schedule, late.fare, late.last_ms) == ("late", Fare.LATE, NOW_MS - 31_001)
    assert (never.schedule, never.fare) == ("never", Fare.NEVER_RUN)
    assert (lost.schedule, lost.fare) == ("lost-result", Fare.UNREADABLE)


def test_results_that_may_not_be_seen_are_not_taken_for_none() -> None:
    summary = told([schedule("a"), schedule("b", enabled=False)], [], Seen.NOT_PERMITTED)
    assert summary.results is Seen.NOT_PERMITTED
    assert (summary.schedules, summary.enabled, summary.disabled) == (2, 1, 1)
    assert (summary.never_run, summary.new, summary.troubled) == (0, 0, 0)


def test_a_leader_that_changes_makes_no_frequent_poll_late() -> None:
    summary = told([schedule("a", interval="500ms")], [result("a", ago_ms=9_999)])
    assert (summary.up, summary.late) == (1, 0)


def test_records_of_an_impossible_size_do_no_harm() -> None:
    far = {"finished_ms": 2**53, "missed": 2**62}
    summary = told([schedule("a"), schedule("b")], [result("a", **far), result("b", **far)])
    assert summary.last_ms is not None
    assert summary.last_ms < 10**13
    assert summary.missed < 2**63
