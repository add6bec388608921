"""The metrics of polling, read back as Prometheus reads them."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from rendered import Rendered
from runs import finished_run

from coord.config import Settings
from coord.identity import make_identity
from coord.polling.book import Book, DueRun
from coord.polling.events import PollsSwept, RunsMissed
from coord.polling.jobs import JobEvent, advance
from coord.polling.metrics import LOOK_MS, PollMetrics
from coord.polling.records import (
    POLL_OUTCOMES,
    AskedRecord,
    PollError,
    ResultRecord,
    ScheduleRecord,
)
from coord.polling.schedules import phase_ms
from coord.polling.shipped_sinks import MAX_UP_SERIES, PrometheusSink
from coord.polling.sinks import SinkContext
from coord.polling.summary import LATE_INTERVALS
from coord.telemetry import PollFinished
from coord.telemetry.metrics import Metrics

INTERVAL = 10_000
NOW = 1_000_000_000_000 + phase_ms("web", INTERVAL)
"""A moment at which a slot of the schedule `web` begins."""

UP = "coordinator_poll_up"


SETTINGS = Settings(node="core-1", environ={})
WHO = make_identity(SETTINGS, boot_id="b" * 32, bound=SETTINGS.listen)


class Bench:
    """Metrics at a moment, of a node that leads if it has a book."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.node = Metrics(registry)
        self.now_ms = NOW
        self.polls = PollMetrics(registry, lambda: self.now_ms)
        self.sink = PrometheusSink(SinkContext(SETTINGS, WHO, registry, self.polls.verdicts))

    def seen(self) -> Rendered:
        return Rendered(self.node)

    def up(self) -> dict[str, float]:
        seen = self.seen()
        return {one["schedule"]: seen.value(UP, **one) for one in seen.labels(UP)}

    def jobs(self) -> dict[str, float]:
        seen, name = self.seen(), "coordinator_poll_jobs"
        return {one["state"]: seen.value(name, **one) for one in seen.labels(name)}


def schedule(schedule_id: str, **changes: Any) -> ScheduleRecord:
    checks = [{"kind": "tcp", "target": "127.0.0.1:9"}]
    return ScheduleRecord.model_validate(
        {"id": schedule_id, "interval": INTERVAL, "checks": checks, **changes}
    )


def book(*schedules: ScheduleRecord, ok: bool | None = True) -> Book:
    made = Book(term=2)
    made.enter_schedules({each.id: each for each in schedules})
    for each in schedules:
        made.results[each.id] = result(each.id, ok)
    return made


def result(schedule_id: str, ok: bool | None) -> ResultRecord:
    return ResultRecord.model_validate(
        {"schedule": schedule_id, "job": f"{schedule_id}.1", "attempt": 1, "term": 2}
        | {"state": "failed" if ok is None else "completed", "ok": ok}
        | {"due_ms": NOW, "finished_ms": NOW}
    )


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_everything_that_can_be_counted_is_there_at_zero(bench: Bench) -> None:
    seen = bench.seen()
    for outcome in POLL_OUTCOMES:
        assert seen.value("coordinator_polls_total", outcome=outcome) == 0
    for outcome in ("retried", "timed_out", "unreadable"):
        assert seen.value("coordinator_poll_jobs_swept_total", outcome=outcome) == 0
    for name in ("runs_missed_total", "retries_total", "lag_seconds_count"):
        assert seen.value(f"coordinator_poll_{name}") == 0
    assert seen.value("coordinator_poll_latency_seconds_count") == 0


def test_what_other_checks_found_is_not_told_as_up(bench: Bench) -> None:
    made = book(schedule("web"))
    checks = [{"kind": "tcp", "target": "127.0.0.1:9", "ok": True, "latency_ms": 1}]
    told = {**made.results["web"].model_dump(), "checks": checks}
    made.results["web"] = ResultRecord.model_validate(told)
    bench.polls.leads(made)
    assert bench.up() == {"web": 1}
    other = schedule("web", checks=[{"kind": "tcp", "target": "127.0.0.1:10"}])
    made.enter_schedules({"web": other})
    assert bench.up() == {}


def test_polls_are_counted_by_outcome(bench: Bench) -> None:
    for outcome in ("up", "deadline", "up"):
        bench.polls.handle(PollFinished(schedule="a", outcome=outcome))
    seen = bench.seen()
    assert seen.value("coordinator_polls_total", outcome="up") == 2
    assert seen.value("coordinator_polls_total", outcome="deadline") == 1


def test_only_answers_are_timed(bench: Bench) -> None:
    for run in (finished_run(took_ms=40), finished_run(took_ms=2000), finished_run(checks=())):
        bench.sink(run)
    seen, latency = bench.seen(), "coordinator_poll_latency_seconds"
    assert seen.value(f"{latency}_count") == 2
    assert seen.value(f"{latency}_sum") == pytest.approx(2.04)
    assert seen.value(f"{latency}_bucket", le="0.05") == 1


def test_what_is_missed_swept_late_and_tried_again_is_counted(bench: Bench) -> None:
    bench.polls.handle(RunsMissed(schedule="a", runs=3))
    bench.polls.handle(RunsMissed(schedule="a", runs=-1))
    bench.polls.handle(PollsSwept(retried=4, timed_out=2, unreadable=1))
    bench.polls.began(250)
    bench.polls.began(-3)  # the clock was set back
    bench.polls.tried_again()
    seen = bench.seen()
    assert seen.value("coordinator_poll_runs_missed_total") == 3
    swept = "coordinator_poll_jobs_swept_total"
    assert [seen.value(swept, outcome=o) for o in ("retried", "timed_out", "unreadable")] == [
        *(4, 2, 1)
    ]
    assert seen.value("coordinator_poll_lag_seconds_sum") == 0.25
    assert seen.value("coordinator_poll_retries_total") == 1


def test_up_is_of_what_runs_and_was_answered(bench: Bench) -> None:
    assert bench.up() == {}
    made = book(schedule("web"), schedule("mail"), schedule("off", enabled=False))
    made.results["mail"] = result("mail", False)
    made.enter_schedules(made.schedules | {"new": schedule("new")})
    bench.polls.leads(made)
    assert bench.up() == {"mail": 0, "web": 1}
    made.results["mail"] = result("mail", None)
    assert bench.up() == {"web": 1}


def test_up_goes_when_the_last_answer_is_too_old(bench: Bench) -> None:
    made = book(schedule("web"), schedule("mail", interval=20 * INTERVAL))
    bench.polls.leads(made)
    late_after_ms = LATE_INTERVALS * INTERVAL + made.schedules["web"].timeout_ms
    bench.now_ms += late_after_ms
    assert bench.up() == {"mail": 1, "web": 1}
    bench.now_ms += 1
    assert bench.up() == {"mail": 1}
    made.results["web"] = result("web", False).model_copy(update={"finished_ms": bench.now_ms})
    assert bench.up() == {"mail": 1, "web": 0}


class Starved:
    """A schedule that is due and finds no room, from a moment just after its last run."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.book = book(schedule("web"))
        bench.polls.leads(self.book)

    def missed(self, slots: int = 0) -> float:
        """What is counted after so many more slots, looked at in each."""
        for _ in range(slots):
            self.bench.now_ms += INTERVAL
            self.bench.polls.look()
        return self.bench.seen().value("coordinator_poll_runs_missed_total")

    def begin(self) -> DueRun:
        """It is run at last."""
        (run,) = self.book.due(self.bench.now_ms)
        self.book.start(run)
        if run.job.missed:
            self.bench.polls.handle(RunsMissed(schedule="web", runs=run.job.missed))
        return run

    def end(self, run: DueRun) -> None:
        job = advance(advance(run.job, JobEvent.ASSIGN), JobEvent.FAIL)
        self.book.end(job, PollError.NO_POLLER, self.bench.now_ms)
        self.book.close(job)


def test_a_run_that_finds_no_room_is_missed_when_its_time_is_over(bench: Bench) -> None:
    starved = Starved(bench)
    assert starved.missed(slots=1) == 0  # it may still be run
    assert starved.missed(slots=3) == 3
    bench.polls.look()
    assert starved.missed() == 3


def test_what_was_missed_is_not_counted_again_when_it_is_run(bench: Bench) -> None:
    starved = Starved(bench)
    assert starved.missed(slots=4) == 3
    bench.now_ms += INTERVAL  # nobody looked since
    run = starved.begin()
    assert run.job.missed == starved.missed() == 4
    bench.now_ms += LOOK_MS
    bench.polls.look()
    starved.end(run)
    assert starved.missed(slots=1) == 4
    assert starved.missed(slots=2) == 6


def test_a_run_out_of_turn_leaves_what_was_missed_as_it_is(bench: Bench) -> None:
    starved = Starved(bench)
    assert starved.missed(slots=4) == 3
    asked = AskedRecord(schedule="web", actor="a", request_id="a" * 16, at_ms=bench.now_ms)
    starved.book.enter_asked({"web": (asked, 7)}, bench.now_ms)
    run = starved.begin()
    bench.now_ms += LOOK_MS
    bench.polls.look()
    starved.end(run)
    assert starved.missed() == 3
    assert starved.missed(slots=1) == 4


def test_who_leads_again_goes_on_counting(bench: Bench) -> None:
    starved = Starved(bench)
    assert starved.missed(slots=4) == 3
    bench.polls.ends()
    assert starved.missed(slots=2) == 3
    bench.polls.leads(starved.book)
    assert starved.missed(slots=1) == 6


def test_up_goes_with_the_schedule_and_with_the_lead(bench: Bench) -> None:
    made = book(schedule("web"), schedule("mail"))
    bench.polls.leads(made)
    assert bench.up() == {"mail": 1, "web": 1}
    made.enter_schedules({"web": schedule("web")})
    assert bench.up() == {"web": 1}
    bench.polls.ends()
    assert bench.up() == bench.jobs() == {}
    bench.polls.leads(made)
    assert bench.up() == {"web": 1}


def test_of_too_many_schedules_those_that_are_down_are_shown(bench: Bench) -> None:
    many = [schedule(f"s-{number:05}") for number in range(MAX_UP_SERIES + 10)]
    made = book(*many)
    made.results[many[-1].id] = result(many[-1].id, False)
    bench.polls.leads(made)
    up = bench.up()
    assert len(up) == MAX_UP_SERIES
    assert up[many[-1].id] == 0
    assert many[-2].id not in up


def test_an_id_cannot_break_what_prometheus_reads(bench: Bench) -> None:
    hostile = 'a"} 1\nb{c="'
    made = book(schedule("web"))
    # No record has such an id: this is what a mistake in reading them would do.
    made.schedules[hostile] = made.schedules["web"]
    made.results[hostile] = made.results["web"]
    bench.polls.leads(made)
    assert bench.up() == {hostile: 1, "web": 1}


def test_jobs_are_counted_by_state(bench: Bench) -> None:
    made = Book(term=2)
    made.enter_schedules({"web": schedule("web")})
    bench.polls.leads(made)
    assert bench.jobs() == {"pending": 1, "dispatching": 0, "running": 0}
    (run,) = made.due(NOW)
    made.start(run)
    assert bench.jobs() == {"pending": 1, "dispatching": 0, "running": 0}
    job = made.open["web"] = advance(run.job, JobEvent.ASSIGN)
    assert bench.jobs() == {"pending": 0, "dispatching": 1, "running": 0}
    job = made.open["web"] = advance(job, JobEvent.SEND)
    assert bench.jobs() == {"pending": 0, "dispatching": 0, "running": 1}
    job = advance(job, JobEvent.FAIL)
    made.end(job, None, NOW + 5)
    made.close(job)
    assert bench.jobs() == {"pending": 0, "dispatching": 0, "running": 0}
    bench.now_ms += INTERVAL
    assert bench.jobs() == {"pending": 1, "dispatching": 0, "running": 0}


def test_a_poll_that_waits_to_be_tried_again_is_pending(bench: Bench) -> None:
    made = Book(term=2)
    made.enter_schedules({"web": schedule("web")})
    bench.polls.leads(made)
    (run,) = made.due(NOW)
    made.start(run)
    failed = advance(advance(run.job, JobEvent.ASSIGN), JobEvent.FAIL)
    assert made.retry(failed, PollError.DEADLINE, frozenset({"p"}), NOW, chance=1.0)
    assert bench.jobs() == {"pending": 1, "dispatching": 0, "running": 0}
