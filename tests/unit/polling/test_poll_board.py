"""All schedules side by side: what is open, asked for and found of each; what cannot be read."""

from __future__ import annotations

import json

import pytest
from console_polls import KEYS, MIXED, asked, board, job, result, schedule, tcp

from coord.consul import KVEntry
from coord.members import Seen
from coord.polling.board import options_of, result_of
from coord.polling.records import HttpCheck, ResultRecord, ScheduleRecord
from coord.polling.summary import Fare


def test_each_has_what_is_known_of_it() -> None:
    made, _ = board(MIXED)
    shop, search, login, torn = (
        made.rows[name] for name in ("web-shop", "search", "login", "torn")
    )
    assert (shop.fare.fare, shop.fare.code) == (Fare.DOWN, "status")
    assert shop.result is not None
    assert shop.result.runs == 8640
    assert search.job is not None
    assert (search.job.attempt, search.job.poller) == (2, "poller-edge-3")
    assert login.asked is not None
    assert login.asked.actor == "bob@ops"
    assert (shop.job, shop.asked, search.asked, login.job) == (None, None, None, None)
    assert (torn.schedule, torn.fare.fare, torn.fare.code) == (None, Fare.UNREADABLE, "interval")


def test_the_summary_counts_the_same_rows() -> None:
    made, summary = board(MIXED)
    fares = [row.fare.fare for row in made.rows.values()]
    assert summary.schedules == len(made.rows) == 19
    counted = (summary.up, summary.down, summary.late, summary.never_run, summary.disabled)
    each = (Fare.UP, Fare.DOWN, Fare.LATE, Fare.NEVER_RUN, Fare.DISABLED)
    assert counted == tuple(fares.count(fare) for fare in each)
    assert sum(summary.unanswered.values()) == fares.count(Fare.UNANSWERED) == 2
    assert summary.open_runs == 2


def test_how_much_each_poller_runs_is_counted_by_the_open_runs() -> None:
    made, _ = board(MIXED)
    running = {each.id: made.running(each.id) for each in made.pollers or ()}
    assert running == {"poller-edge-1": 1, "poller-edge-2": 0, "poller-edge-3": 1}


def test_a_result_that_cannot_be_read_makes_its_schedule_so() -> None:
    made, _ = board([schedule("a"), KVEntry(KEYS.result("a"), b"{")])
    row = made.rows["a"]
    assert row.fare.fare is Fare.UNREADABLE
    assert row.schedule is not None
    assert made.unreadable == ()


def test_what_else_cannot_be_read_is_not_dropped() -> None:
    bad = [KVEntry(KEYS.job("a.1"), b"{"), KVEntry(KEYS.ask("a"), b"[]")]
    made, summary = board([schedule("a"), *bad, KVEntry(KEYS.result("gone"), b"null")])
    assert [each.key for each in made.unreadable] == [
        KEYS.job("a.1"), KEYS.ask("a"), KEYS.result("gone"),
    ]  # fmt: skip
    assert summary.open_runs == 1


def test_runs_and_requests_of_what_is_gone_are_nobodys() -> None:
    made, _ = board([result("gone"), job("gone"), asked("gone")])
    assert made.rows == {}
    assert made.unreadable == ()


def test_results_that_may_not_be_seen_leave_the_schedules() -> None:
    made, summary = board([schedule("a")], seen=Seen.NOT_PERMITTED)
    assert made.rows["a"].fare.fare is Fare.UNKNOWN
    assert made.results is summary.results is Seen.NOT_PERMITTED


@pytest.mark.parametrize(
    ("number", "target", "there"),
    [(0, "db:5432", True), (0, "other:5432", False), (1, "db:5432", False)],
)
def test_what_was_found_of_a_check_that_was_changed_since_is_not_shown(
    number: int, target: str, there: bool
) -> None:
    entry = schedule("a", tcp(target), tcp(target))
    record = ScheduleRecord.decode(entry.value)
    last = ResultRecord.decode(result("a").value)
    told = last.model_copy(
        update={"checks": (last.checks[0].model_copy(update={"target": "db:5432"}),)}
    )
    assert (result_of(told, number, record.checks[number]) is not None) is there


def test_of_a_check_only_what_is_not_as_usual_is_told() -> None:
    usual = HttpCheck.model_validate({"kind": "http", "target": "http://a/"})
    assert options_of(usual) == {}
    own = HttpCheck.model_validate({"kind": "http", "target": "http://a/", "redirects": 2})
    assert json.dumps(options_of(own)) == '{"redirects": 2}'
