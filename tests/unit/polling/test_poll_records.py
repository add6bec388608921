"""The records: what is read, what is refused, and that they come back as they were."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.consul import KVEntry
from coord.polling.records import (
    MAX_SCHEDULE_BYTES,
    CheckError,
    CheckResult,
    HttpCheck,
    OtherCheck,
    PollError,
    PollRequest,
    ResultRecord,
    ScheduleRecord,
    TcpCheck,
    clip,
)
from coord.polling.store import load_schedules
from coord.records import RecordError

GOOD: dict[str, Any] = {
    "id": "web",
    "interval": "10s",
    "checks": [
        {"kind": "http", "target": "http://127.0.0.1:8500/v1/status/leader"},
        {"kind": "tcp", "target": "[::1]:8500", "timeout": 1500},
    ],
}


DEEP: Any = 0
for _ in range(9):
    DEEP = [DEEP]


def read(**changes: Any) -> ScheduleRecord:
    return ScheduleRecord.decode(json.dumps({**GOOD, **changes}).encode())


def test_a_schedule_is_read() -> None:
    schedule = read()
    assert (schedule.interval_ms, schedule.enabled, schedule.since_ms) == (10_000, True, 0)
    http, tcp = schedule.checks
    assert isinstance(http, HttpCheck)
    assert isinstance(tcp, TcpCheck)
    assert (http.timeout, tcp.timeout, schedule.timeout_ms) == (5.0, 1.5, 5000)


def test_a_timeout_of_its_own_shortens_what_its_checks_may_take() -> None:
    assert read(timeout="800ms").timeout_ms == 800
    assert read(timeout="30s").timeout_ms == 5000


def test_a_schedule_comes_back_as_it_was_and_shows_durations_as_people_write_them() -> None:
    labels = {"assignment": "domain", "assigned_to": ["fra", "ber"]}
    schedule = read(name="Wöb", interval="1500ms", timeout="2s", max_retries=0, **labels)
    raw = schedule.encode()
    assert ScheduleRecord.decode(raw) == schedule
    assert json.loads(raw)["interval"] == "1500ms"
    assert json.loads(raw)["timeout"] == "2s"
    assert json.loads(raw)["checks"][1]["timeout"] == "1500ms"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"interval": 0}, "interval"),
        ({"interval": "0s"}, "interval"),
        ({"interval": -5}, "interval"),
        ({"interval": 1e308}, "interval"),
        ({"interval": True}, "interval"),
        ({"interval": "10 bananas"}, "interval"),
        ({"interval": "8h", "enabled": "perhaps"}, "enabled"),
        ({"interval": "200h"}, "interval"),
        ({"id": "../leader"}, "id"),
        ({"id": ""}, "id"),
        ({"id": "x" * 101}, "id"),
        ({"checks": []}, "checks"),
        ({"checks": {}}, "checks"),
        ({"checks": [GOOD["checks"][0]] * 21}, "checks"),
        ({"checks": [{"target": "x"}]}, "checks.0"),
        ({"checks": [{"kind": 3, "target": "x"}]}, "checks.0"),
        ({"checks": ["http"]}, "checks.0"),
        ({"checks": [{"kind": "icmp"}]}, "checks.0.other.target"),
        ({"checks": [{"kind": "A kind", "target": "x"}]}, "checks.0.other.kind"),
        ({"checks": [{"kind": "icmp", "target": "x", "deep": DEEP}]}, "checks.0.other"),
        ({"checks": [{"kind": "http"}]}, "checks.0.http.target"),
        ({"checks": [{"kind": "http", "target": "ftp://x/"}]}, "checks.0.http.target"),
        ({"checks": [{"kind": "http", "target": "http://u:p@x/"}]}, "checks.0.http.target"),
        ({"checks": [{"kind": "http", "target": "http://"}]}, "checks.0.http.target"),
        ({"checks": [{"kind": "http", "target": "http://xn--a/"}]}, "checks.0.http.target"),
        ({"checks": [{"kind": "http", "target": "http://a\tb/"}]}, "checks.0.http.target"),
        ({"checks": [{"kind": "http", "target": "http:/a/"}]}, "checks.0.http.target"),
        (
            {"checks": [{"kind": "http", "target": "http://x/", "method": "BREW"}]},
            "checks.0.http.method",
        ),
        (
            {"checks": [{"kind": "http", "target": "http://x/", "status": [99]}]},
            "checks.0.http.status.0",
        ),
        (
            {"checks": [{"kind": "http", "target": "http://x/", "redirects": 11}]},
            "checks.0.http.redirects",
        ),
        (
            {"checks": [{"kind": "http", "target": "http://x/", "contains": ""}]},
            "checks.0.http.contains",
        ),
        (
            {
                "checks": [
                    {"kind": "http", "target": "http://x/", "contains": "a", "method": "HEAD"}
                ]
            },
            "checks.0.http.contains",
        ),
        ({"checks": [{"kind": "tcp", "target": "host"}]}, "checks.0.tcp.target"),
        ({"checks": [{"kind": "tcp", "target": "host:0"}]}, "checks.0.tcp.target"),
        ({"checks": [{"kind": "tcp", "target": "xn--a:1"}]}, "checks.0.tcp.target"),
        (
            {"checks": [{"kind": "tcp", "target": "host:1", "timeout": "2m"}]},
            "checks.0.tcp.timeout",
        ),
        ({"assignment": "by_moonlight"}, "assignment"),
        ({"assignment": "specific"}, "assigned_to"),
        ({"assignment": "partition", "assigned_to": []}, "assigned_to"),
        ({"assignment": "domain", "assigned_to": ["a", "b/c"]}, "assigned_to.1"),
        ({"assignment": "domain", "assigned_to": ["a"] * 21}, "assigned_to"),
        ({"assigned_to": ["poller-1"]}, "assigned_to"),
        ({"timeout": "2m"}, "timeout"),
        ({"max_retries": 11}, "max_retries"),
        ({"max_retries": -1}, "max_retries"),
        ({"priority": 1001}, "priority"),
        ({"priority": "high"}, "priority"),
        ({"since_ms": -1}, "since_ms"),
        ({"v": 0}, "v"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(RecordError) as caught:
        read(**change)
    assert caught.value.field == field


def test_fields_of_newer_writers_are_ignored() -> None:
    assert read(v=2, mood="good") == read(v=2)


OTHER: dict[str, Any] = {
    "kind": "postgres",
    "target": "db-1:5432",
    "timeout": "2s",
    "database": "shop",
    "lag": {"at_most": [1.5, None, True]},
}


def test_a_check_of_another_kind_is_kept_whole_on_its_way_to_the_poller() -> None:
    schedule = read(checks=[OTHER])
    asked = PollRequest(
        term=1, election="e", job="j", attempt=1, timeout_ms=2000, checks=schedule.checks
    )
    for record in (ScheduleRecord.decode(schedule.encode()), PollRequest.decode(asked.encode())):
        (check,) = record.checks
        assert isinstance(check, OtherCheck)
        assert (check.kind, check.target, check.timeout) == ("postgres", "db-1:5432", 2.0)
        assert check.fields == {"database": "shop", "lag": OTHER["lag"]}


def test_what_is_new_in_a_check_is_left_out_where_it_is_not_used() -> None:
    """Older readers, and histories of older writers, see nothing of it."""
    http, tcp = json.loads(read().encode())["checks"]
    assert set(http) == {"kind", "target", "timeout", "method", "status"}
    assert set(tcp) == {"kind", "target", "timeout"}


@pytest.mark.parametrize("error", ["forbidden", "a_later_error"])
def test_a_result_with_an_error_of_a_newer_poller_is_read_and_kept(error: str) -> None:
    raw = {"kind": "later", "target": "x", "ok": False, "latency_ms": 1.5, "error": error}
    result = CheckResult.model_validate_json(json.dumps(raw))
    assert isinstance(result.error, CheckError) is (error == "forbidden")
    assert json.loads(result.model_dump_json(exclude_none=True)) == {**raw, "detail": ""}


@pytest.mark.parametrize("error", ["deadline", "a_later_error"])
def test_a_result_with_an_error_of_a_newer_leader_is_read_and_kept(error: str) -> None:
    raw = {"schedule": "web", "job": "web.1", "attempt": 1, "term": 1, "state": "failed"}
    raw |= {"error": error, "due_ms": 1, "finished_ms": 2}
    result = ResultRecord.decode(json.dumps(raw).encode())
    assert isinstance(result.error, PollError) is (error == "deadline")
    assert json.loads(result.encode())["error"] == error


@given(st.binary(max_size=300))
def test_bytes_that_are_no_record_say_so(raw: bytes) -> None:
    with pytest.raises(RecordError):
        ScheduleRecord.decode(raw)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["v", "id", "name", "enabled", "interval", "checks", "since_ms"]),
        json_values,
    )
)
def test_a_record_of_any_shape_is_read_or_refused(changes: dict[str, Any]) -> None:
    raw = json.dumps({**GOOD, **changes}).encode("utf-8", "surrogatepass")
    try:
        schedule = ScheduleRecord.decode(raw)
    except RecordError:
        return
    assert ScheduleRecord.decode(schedule.encode()) == schedule


def test_one_bad_schedule_does_not_hide_the_others() -> None:
    good = json.dumps(GOOD).encode()
    values = {
        "p/web": good,
        "p/other": good,
        "p/json": b"{",
        "p/big": good + b" " * MAX_SCHEDULE_BYTES,
        "p/folder/": b"",
        "p/": b"",
    }
    entries = [KVEntry(key, value, modify_index=4) for key, value in values.items()]
    loaded = load_schedules(entries, "p/")
    assert set(loaded.records) == {"web"}
    assert {key: told.field for key, (told, _) in loaded.unreadable.items()} == {
        "p/other": "id",
        "p/json": "",
        "p/big": "",
    }


def test_a_request_for_nothing_is_refused() -> None:
    with pytest.raises(RecordError) as caught:
        PollRequest.decode(
            b'{"term":1,"election":"e","job":"j","attempt":1,"timeout_ms":100,"checks":[]}'
        )
    assert caught.value.field == "checks"


@given(st.text())
def test_foreign_text_is_cut_to_one_line_of_ascii(text: str) -> None:
    clipped = clip(text)
    assert len(clipped) <= 200
    assert clipped.isascii()
    assert clipped == "" or clipped.isprintable()
