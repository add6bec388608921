"""What the leader makes of schedules, results and jobs."""

from __future__ import annotations

from typing import Any

import pytest

from coord.consul import CheckStatus, HealthCheck, ServiceInstance
from coord.polling.book import Book, DueRun
from coord.polling.jobs import JobEvent, advance
from coord.polling.pollers import AVOID_MS, Pollers, PollerTarget, poller_targets
from coord.polling.records import (
    AskedRecord,
    CheckResult,
    JobRecord,
    JobState,
    PollError,
    PollReply,
    ResultRecord,
    ScheduleRecord,
)
from coord.polling.requests import ASKED_WITHIN_MS, UNKNOWN_WITHIN_MS
from coord.polling.schedules import MAX_SKEW_MS, phase_ms

INTERVAL = 10_000
NOW = 1_000_000_000_000 + phase_ms("web", INTERVAL)
"""A moment at which a slot of the schedule begins."""


def schedule(schedule_id: str = "web", **changes: Any) -> ScheduleRecord:
    checks = [{"kind": "tcp", "target": "127.0.0.1:9"}]
    return ScheduleRecord.model_validate(
        {"id": schedule_id, "interval": INTERVAL, "checks": checks, **changes}
    )


def job(due_ms: int, *, attempt: int = 1, term: int = 1, missed: int = 0) -> JobRecord:
    return JobRecord(
        id=f"web.{due_ms // INTERVAL}",
        schedule="web",
        state=JobState.DISPATCHING,
        attempt=attempt,
        term=term,
        due_ms=due_ms,
        dispatched_ms=due_ms + 5,
        missed=missed,
    )


def book(*schedules: ScheduleRecord, term: int = 2) -> Book:
    made = Book(term)
    made.enter_schedules({s.id: s for s in schedules or (schedule(),)})
    return made


def answered(of: JobRecord, ok: bool = True) -> tuple[JobRecord, PollReply]:
    done = of.model_copy(update={"state": JobState.COMPLETED, "dispatched_ms": of.due_ms + 5})
    result = CheckResult.model_validate(
        {"kind": "tcp", "target": "127.0.0.1:9", "ok": ok, "latency_ms": 1.5}
    )
    reply = PollReply(
        job=of.id, attempt=of.attempt, term=of.term, poller="p", took_ms=2, results=(result,)
    )
    return done, reply


def test_a_run_is_due_once_and_counted() -> None:
    leader = book()
    (run,) = leader.due(NOW)
    leader.start(run)
    assert list(leader.due(NOW + INTERVAL)) == []
    done, reply = answered(run.job)
    result = leader.end(done, reply, NOW + 30)
    leader.close(done)
    assert (result.ok, result.runs, result.lag_ms, result.took_ms) == (True, 1, 5, 25)
    assert list(leader.due(NOW + INTERVAL - 1)) == []
    (later,) = leader.due(NOW + 3 * INTERVAL)
    assert later.job.missed == 2
    assert later.job.id != run.job.id


def test_a_run_that_is_not_due_yet_may_be_by_a_new_interval_or_a_clock_set_back() -> None:
    leader = book()
    (run,) = leader.due(NOW)
    done(leader, run, NOW + 30)
    assert list(leader.due(NOW + 2000)) == []
    assert leader.next_due_ms(NOW + 2000) == NOW + INTERVAL
    assert len(list(leader.due(NOW - 10 * MAX_SKEW_MS))) == 1
    assert list(leader.due(NOW + 2000)) == []
    leader.enter_schedules({"web": schedule(interval=1000)})
    assert len(list(leader.due(NOW + 2000))) == 1


def test_a_schedule_that_is_removed_and_added_again_has_no_run_in_common_with_what_it_was() -> None:
    first, again = (schedule(since_ms=NOW + n) for n in (0, 1))
    ids = [run.job.id for each in (first, again, again) for run in book(each).due(NOW + 5)]
    assert ids[0] != ids[1] == ids[2]
    assert {id_.rpartition(".")[0] for id_ in ids} == {"web"}
    longest = schedule("x" * 100, since_ms=2**53)
    (run,) = book(longest).due(NOW * 100)
    assert JobRecord.decode(run.job.encode()) == run.job


def test_a_disabled_schedule_is_not_due() -> None:
    assert list(book(schedule(enabled=False)).due(NOW)) == []


def test_the_highest_priority_comes_first_and_then_the_longest_due() -> None:
    leader = book(*(schedule(f"s{n}", priority=n % 3) for n in range(30)))
    runs = list(leader.due(NOW))
    ranks = [(-r.schedule.priority, r.job.due_ms) for r in runs]
    assert ranks == sorted(ranks)
    assert len(runs) == 30


def failed(leader: Book, at_ms: int, *, error: PollError = PollError.UNREACHABLE) -> JobRecord:
    """The run that is due fails at once, at poller p1."""
    (run,) = leader.due(at_ms)
    leader.start(run)
    sent = advance(run.job, JobEvent.ASSIGN, poller="p1", dispatched_ms=at_ms)
    last = advance(sent, JobEvent.FAIL)
    leader.retry(last, error, run.tried | {"p1"}, at_ms, poller="node-1", chance=1.0)
    return last


def test_a_run_that_failed_waits_and_is_tried_again_by_another_poller() -> None:
    leader = book()
    last = failed(leader, NOW)
    assert list(leader.due(NOW + 499)) == []
    assert leader.next_due_ms(NOW) == NOW + 500
    (run,) = leader.due(NOW + 500)
    assert (run.job.state, run.job.attempt, run.job.id) == (JobState.PENDING, 2, last.id)
    assert run.tried == {"p1"}


def test_a_run_is_tried_again_as_often_as_its_schedule_says() -> None:
    leader = book(schedule(max_retries=1))
    failed(leader, NOW)
    last = failed(leader, NOW + 600)
    assert (last.attempt, leader.open["web"].attempt) == (2, 2)
    assert leader.waiting == {}


def test_one_that_finds_no_room_to_be_tried_again_ends_as_its_last_attempt_did() -> None:
    leader = book()
    last = failed(leader, NOW)
    (ended,) = leader.give_up(NOW + INTERVAL)
    assert (ended.job, ended.poller) == (last, "node-1")
    assert (ended.result.error, ended.result.failed) == (PollError.UNREACHABLE, 1)
    assert (ended.result.retried, ended.result.poller) == (0, "p1")


@pytest.mark.parametrize("schedules", [{}, {"web": schedule(enabled=False)}])
def test_a_run_of_a_schedule_that_is_removed_or_disabled_is_cancelled(
    schedules: dict[str, ScheduleRecord],
) -> None:
    leader = book()
    failed(leader, NOW)
    leader.enter_schedules(schedules)
    (ended,) = leader.give_up(NOW + 1)
    assert (ended.job.state, ended.job.attempt) == (JobState.CANCELLED, 1)
    result = ended.result
    assert (result.ok, result.error, result.cancelled, result.failed) == (None, None, 1, 0)
    assert leader.results == ({"web": result} if schedules else {})
    assert list(leader.due(NOW + 1000)) == []


def test_a_new_leader_tries_the_present_run_again_and_gives_up_the_older() -> None:
    leader = book()
    left = job(NOW).model_copy(update={"poller": "poller-1"})
    assert leader.sweep([left], NOW + 100) == []
    (run,) = leader.due(NOW + 100)
    assert (run.job.attempt, run.job.term, run.job.id) == (2, 2, job(NOW).id)
    assert run.tried == {"poller-1"}

    late = book()
    (given_up,) = late.sweep([job(NOW, missed=4)], NOW + 2 * INTERVAL)
    assert given_up.state is JobState.TIMED_OUT
    result = late.results["web"]
    assert (result.error, result.timed_out, result.missed) == (PollError.LEADER_LOST, 1, 4)
    (run,) = late.due(NOW + 2 * INTERVAL)
    assert (run.job.attempt, run.job.missed) == (1, 1)


def test_a_run_that_finds_no_room_after_the_sweep_is_given_up_with_its_slot() -> None:
    leader = book()
    leader.sweep([job(NOW)], NOW)
    assert leader.give_up(NOW + INTERVAL - 1) == []
    (late,) = leader.give_up(NOW + INTERVAL)
    assert late.job.state is JobState.TIMED_OUT
    result = leader.results["web"]
    assert result == late.result
    assert (result.timed_out, result.retried, result.runs) == (1, 0, 1)
    assert leader.give_up(NOW + INTERVAL) == []
    (run,) = leader.due(NOW + INTERVAL)
    assert run.job.attempt == 1


def test_two_jobs_of_one_schedule_are_tried_again_once() -> None:
    leader = book()
    second = job(NOW).model_copy(update={"id": "web.edited"})
    (given_up,) = leader.sweep([job(NOW), second], NOW)
    assert given_up.id == "web.edited"
    assert len(list(leader.due(NOW))) == 1


def test_a_run_that_is_counted_already_is_not_counted_again() -> None:
    """Its job was written once more by a request that landed late, after its result."""
    leader = book(term=1)
    done, reply = answered(job(NOW))
    newer = leader.end(done, reply, NOW + 30)
    for late in (job(NOW), job(NOW - INTERVAL)):
        successor = book(term=2)
        successor.results = {"web": newer}
        (dropped,) = successor.sweep([late], NOW + 50)
        assert dropped.id == late.id
        assert successor.results["web"] == newer
        assert list(successor.due(NOW + 50)) == []


def test_a_run_that_a_newer_one_counts_as_missed_is_not_counted_again() -> None:
    successor = book(term=2)
    newest, late = job(NOW, missed=1), job(NOW - INTERVAL)
    given_up = successor.sweep([late, newest], NOW + INTERVAL)
    assert [each.id for each in given_up] == [newest.id, late.id]
    result = successor.results["web"]
    assert (result.due_ms, result.runs, result.missed) == (NOW, 1, 1)


def test_counters_go_on_from_leader_to_leader() -> None:
    leader = book()
    leader.sweep([job(NOW)], NOW)
    (run,) = leader.due(NOW)
    failed = advance(run.job, JobEvent.FAIL)
    result = leader.end(failed, PollError.NO_POLLER, NOW + 10)
    assert (result.ok, result.error, result.failed, result.retried) == (
        None,
        PollError.NO_POLLER,
        1,
        1,
    )
    successor = book(term=3)
    successor.results = dict(leader.results)
    (run,) = successor.due(NOW + INTERVAL)
    done, reply = answered(run.job, ok=False)
    result = successor.end(done, reply, NOW + INTERVAL + 30)
    assert (result.ok, result.runs, result.failed, result.retried) == (False, 2, 1, 1)


def asked_for(
    leader: Book, at_ms: int, *, request: str = "0123456789abcdef", seen_ms: int | None = None
) -> None:
    record = AskedRecord(schedule="web", actor="ann", request_id=request, at_ms=at_ms)
    leader.enter_asked({"web": (record, 7)}, at_ms if seen_ms is None else seen_ms)


def done(leader: Book, run: DueRun, at_ms: int) -> ResultRecord:
    leader.start(run)
    ended, reply = answered(run.job)
    result = leader.end(ended, reply, at_ms)
    leader.close(ended)
    return result


@pytest.mark.parametrize("enabled", [True, False])
def test_a_run_that_is_asked_for_is_made_once_and_leaves_the_others_as_they_were(
    enabled: bool,
) -> None:
    leader = book(schedule(enabled=enabled, since_ms=NOW - 3 * INTERVAL))
    untouched = book(schedule(enabled=enabled, since_ms=NOW - 3 * INTERVAL))
    asked_for(leader, NOW + 50)
    (run,) = leader.due(NOW + 50)
    assert (run.job.asked, run.job.missed, run.ask is not None) == ("0123456789abcdef", 0, True)
    result = done(leader, run, NOW + 60)
    assert (result.asked, result.runs, result.asked_runs) == ("0123456789abcdef", 1, 1)
    asked_for(leader, NOW + 50)  # its watch still shows it
    for at_ms in (NOW + 70, NOW + INTERVAL):
        assert [r.job for r in leader.due(at_ms)] == [r.job for r in untouched.due(at_ms)]
    if enabled:
        (run,) = leader.due(NOW + INTERVAL)
        result = done(leader, run, NOW + INTERVAL + 10)
        assert (result.asked, result.runs, result.asked_runs) == ("0123456789abcdef", 2, 1)
        asked_for(leader, NOW + INTERVAL + 20, request="f" * 16)
        (run,) = leader.due(NOW + INTERVAL + 20)
        assert done(leader, run, NOW + INTERVAL + 30).due_ms == result.due_ms


def test_what_is_asked_for_comes_before_all_that_is_due() -> None:
    leader = book(schedule(priority=0), schedule("other", priority=1000))
    asked_for(leader, NOW)
    assert [r.schedule.id for r in leader.due(NOW)] == ["web", "other"]


def test_a_request_of_a_clock_that_is_ahead_is_forgotten_as_any_other() -> None:
    leader = book(schedule(enabled=False))
    asked_for(leader, NOW + 10 * ASKED_WITHIN_MS, seen_ms=NOW)
    assert leader.forget_late_asks(NOW + ASKED_WITHIN_MS - 1) == []
    assert len(leader.forget_late_asks(NOW + ASKED_WITHIN_MS)) == 1


def test_a_request_for_a_schedule_that_is_not_there_is_given_back() -> None:
    leader = book(schedule("other"))
    asked_for(leader, NOW)
    assert leader.forget_late_asks(NOW + UNKNOWN_WITHIN_MS - 1) == []
    assert len(leader.forget_late_asks(NOW + UNKNOWN_WITHIN_MS)) == 1


def test_a_new_schedule_is_not_late_by_what_was_before_it() -> None:
    leader = book(schedule(since_ms=NOW + 9_000))
    (run,) = leader.due(NOW + 9_010)
    sent = advance(run.job, JobEvent.ASSIGN, poller="p1", dispatched_ms=NOW + 9_020)
    assert leader.end(sent, PollError.UNREACHABLE, NOW + 9_030).lag_ms == 20


def test_an_old_request_is_forgotten_and_given_back() -> None:
    leader = book(schedule(enabled=False))
    asked_for(leader, NOW)
    assert leader.forget_late_asks(NOW + ASKED_WITHIN_MS - 1) == []
    (late,) = leader.forget_late_asks(NOW + ASKED_WITHIN_MS)
    assert (late.record.schedule, late.index) == ("web", 7)
    assert list(leader.due(NOW + ASKED_WITHIN_MS)) == []


def test_a_new_leader_tries_what_was_asked_for_again_beside_what_is_due() -> None:
    left = {"due_ms": NOW + 2000, "id": "web.0123456789abcdef", "asked": "0123456789abcdef"}
    asked = job(NOW).model_copy(update=left)
    leader = book()
    assert leader.sweep([asked, job(NOW)], NOW + INTERVAL - 1) == []
    (run,) = leader.due(NOW + INTERVAL - 1)
    assert (run.job.id, run.job.attempt) == (asked.id, 2)
    counted = done(leader, run, NOW + INTERVAL - 1)
    (run,) = leader.due(NOW + INTERVAL - 1)
    assert (run.job.id, run.job.attempt) == (job(NOW).id, 2)
    done(leader, run, NOW + INTERVAL - 1)

    successor = book(term=3)
    successor.results = {"web": counted}
    assert [given.id for given in successor.sweep([asked], NOW + INTERVAL)] == [asked.id]
    assert successor.results == {"web": counted}


def instance(**changes: Any) -> ServiceInstance:
    fields: dict[str, Any] = {
        "node": "agent",
        "node_address": "10.0.0.1",
        "id": "poller-1",
        "name": "poller",
        "address": "127.0.0.1",
        "port": 8610,
        "meta": {"election": "e", "capacity": "2", "node": "poller-1"},
    }
    return ServiceInstance(**{**fields, **changes})


def test_pollers_that_make_no_sense_are_left_out() -> None:
    critical = HealthCheck("agent", "c", "c", CheckStatus.CRITICAL)
    instances = [
        instance(),
        instance(id="v6", address="::1"),
        instance(id="bare", address="", meta={}),
        instance(id="other", meta={"election": "f"}),
        instance(id="down", checks=(critical,)),
        instance(id="port", port=0),
        instance(id="odd", address="evil/path@host"),
        instance(id="no-punycode", address="xn--a"),
        instance(id="idn", address="xn--mnchen-3ya.test"),
        instance(id="lies", meta={"capacity": "-4"}),
    ]
    found = {t.id: (t.url, t.capacity) for t in poller_targets(instances, "e")}
    assert found == {
        "poller-1": ("http://127.0.0.1:8610", 2),
        "v6": ("http://[::1]:8610", 2),
        "bare": ("http://10.0.0.1:8610", 8),
        "idn": ("http://xn--mnchen-3ya.test:8610", 2),
        "lies": ("http://127.0.0.1:8610", 8),
    }


def test_polls_are_spread_and_no_poller_gets_more_than_it_takes() -> None:
    pollers = Pollers()
    targets = [PollerTarget(name, name, "", 2) for name in ("a", "b")]
    pollers.update(targets)
    taken = [pollers.take(schedule(), NOW) for _ in range(5)]
    assert [t.id if t else None for t in taken] == ["a", "b", "a", "b", None]
    assert pollers.room == 0
    assert pollers.lack(schedule()) is None, "one of them may run it when it has room"
    pollers.release(targets[1])
    again = pollers.take(schedule(), NOW, tried={"b"})
    assert again is not None
    assert again.id == "b", "the only one with room"


def some_pollers() -> Pollers:
    pollers = Pollers()
    kinds = frozenset({"tcp"})
    pollers.update(
        [
            PollerTarget("1", "one", "", 9, kinds | {"mail"}, "dmz", "fra"),
            PollerTarget("2", "two", "", 9, kinds, "dmz", "ber"),
            PollerTarget("3", "three", "", 9, kinds, "lab", "ber"),
        ]
    )
    return pollers


def of(assignment: str, *names: str, kind: str = "tcp") -> ScheduleRecord:
    checks = [{"kind": kind, "target": "h:1"}]
    return schedule(assignment=assignment, assigned_to=names, checks=checks)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (of("any"), {"1", "2", "3"}),
        (of("specific", "two", "gone"), {"2"}),
        (of("partition", "dmz"), {"1", "2"}),
        (of("domain", "ber", "fra"), {"1", "2", "3"}),
        (of("any", kind="mail"), {"1"}),
        (of("specific", "gone"), PollError.NOT_ASSIGNED),
        (of("partition", "lab", kind="mail"), PollError.NO_KIND),
    ],
)
def test_only_pollers_that_may_and_can_run_it_get_it(
    wanted: ScheduleRecord, found: set[str] | PollError
) -> None:
    pollers = some_pollers()
    taken = {target.id for _ in range(9) if (target := pollers.take(wanted, NOW)) is not None}
    lack = pollers.lack(wanted)
    assert (lack or taken) == found
    assert Pollers().lack(wanted) is PollError.NO_POLLER


def test_a_retry_goes_to_another_poller_and_rather_to_one_of_another_domain() -> None:
    pollers = some_pollers()
    for tried, other in (({"2"}, "1"), ({"1", "2"}, "3"), ({"1", "2", "3"}, "2")):
        target = pollers.take(schedule(), NOW, tried)
        assert target is not None
        pollers.release(target)
        assert target.id == other


def test_a_poller_that_did_not_answer_comes_after_the_others_for_a_while() -> None:
    pollers = Pollers()
    silent, sound = (PollerTarget(name, name, "", 2) for name in ("a", "b"))
    pollers.update([silent, sound])
    pollers.avoid(silent, NOW)
    chosen = [pollers.take(schedule(), NOW + AVOID_MS - 1) for _ in range(3)]
    assert chosen == [sound, sound, silent], "it is the last, not left out"
    for target in (sound, sound, silent):
        pollers.release(target)
    assert pollers.take(schedule(), NOW + AVOID_MS) == sound
    assert pollers.take(schedule(), NOW + AVOID_MS) == silent
    pollers.avoid(sound, NOW + AVOID_MS)
    pollers.update([silent])
    pollers.update([silent, sound])
    assert pollers.take(schedule(), NOW + AVOID_MS) == sound, "it has come back"


def test_what_a_poller_says_of_itself_is_read() -> None:
    meta = {"kinds": "http,tcp,mail", "partition": "dmz", "domain": "fra\x1b"}
    told, silent = poller_targets([instance(meta=meta), instance()], "e")
    assert told.kinds == frozenset({"http", "tcp", "mail"})
    assert told.partition == "dmz"
    assert told.domain.isprintable()
    assert (silent.kinds, silent.partition, silent.domain) == (None, "", "")


def test_a_poller_that_left_and_came_back_keeps_its_count() -> None:
    pollers = Pollers()
    target = PollerTarget("a", "a", "", 1)
    pollers.update([target])
    assert pollers.take(schedule(), NOW) == target
    pollers.update([])
    assert pollers.take(schedule(), NOW) is None
    pollers.update([target])
    assert pollers.take(schedule(), NOW) is None
    pollers.release(target)
    assert pollers.take(schedule(), NOW) == target
