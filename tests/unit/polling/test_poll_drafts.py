"""What operators write: every mistake is told with file, field and fix, whatever was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from coord.cli import main
from coord.cli.errors import ExitCode
from coord.config import SettingsError, Source, SourceKind
from coord.polling.drafts import DraftError, check_id, draft, read_file
from coord.polling.records import Assignment, HttpCheck, OtherCheck, ScheduleRecord

NOW_MS = 1_700_000_000_000
SOURCE = Source(SourceKind.FLAG, "test")
GOOD: dict[str, Any] = {
    "interval": "10s",
    "checks": [{"kind": "http", "target": "http://127.0.0.1/"}],
}

FILE = """
[schedules.web]
name = "The shop"
interval = "10s"
enabled = false
checks = [
    { kind = "http", target = "http://127.0.0.1/", status = [200], contains = "fine" },
    { kind = "postgres", target = "db-1:5432", timeout = "2s", database = "shop", lag_s = 1.5 },
]

[schedules.port]
interval = 60000
timeout = "1500ms"
max_retries = 0
priority = 900
assignment = "partition"
assigned_to = ["dmz", "lab"]
checks = [{ kind = "tcp", target = "127.0.0.1:80" }]
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "schedules.toml"
    path.write_text(text)
    return path


def test_a_file_is_read(tmp_path: Path) -> None:
    web, port = read_file(written(tmp_path, FILE), now_ms=NOW_MS)
    assert (web.id, web.name, web.enabled, web.since_ms) == ("web", "The shop", False, NOW_MS)
    http, postgres = web.checks
    assert isinstance(http, HttpCheck)
    assert (http.status, http.contains) == ((200,), "fine")
    assert isinstance(postgres, OtherCheck)
    assert postgres.fields == {"database": "shop", "lag_s": 1.5}
    assert (port.id, port.interval, port.enabled) == ("port", 60.0, True)
    assert (port.timeout_ms, port.max_retries, port.priority) == (1500, 0, 900)
    assert (port.assignment, port.assigned_to) == (Assignment.PARTITION, ("dmz", "lab"))
    for record in (web, port):
        assert ScheduleRecord.decode(record.encode()) == record


@pytest.mark.parametrize(
    ("change", "field", "fix"),
    [
        ({"interval": None}, "interval", "10s"),
        ({"interval": "1 banana"}, "interval", "5s"),
        ({"interval": "100ms"}, "interval", "500ms to 168h"),
        ({"intervall": "10s"}, "intervall", "did you mean interval"),
        ({"xyzzy": 1}, "xyzzy", "remove it"),
        ({"since_ms": 1}, "since_ms", "remove it"),
        ({"enabled": "perhaps"}, "enabled", "true or false"),
        ({"name": "x" * 129}, "name", "128"),
        ({"name": "\ud800"}, "name", "128"),
        ({"assignment": "poller-1"}, "assignment", "any, specific"),
        ({"assignment": "partition"}, "assigned_to", "write what"),
        ({"assigned_to": ["poller-1"]}, "assigned_to", "set assignment"),
        ({"assignment": "domain", "assigned_to": "fra"}, "assigned_to", "1 to 20 names"),
        ({"timeout": "2m"}, "timeout", "50ms to 60s"),
        ({"max_retries": 11}, "max_retries", "from 0 to 10"),
        ({"priority": "high"}, "priority", "from 0 to 1000"),
        ({"priorty": 1}, "priorty", "did you mean priority"),
        ({"checks": []}, "checks", "1 to 20"),
        ({"checks": [GOOD["checks"][0]] * 21}, "checks", "1 to 20"),
        ({"checks": {"kind": "tcp"}}, "checks", "1 to 20"),
        ({"checks": [5]}, "checks[0]", "kind and a target"),
        ({"checks": [{"kind": "tcp"}]}, "checks[0].target", "host:port"),
        ({"checks": [{"kind": "tcp", "target": "x"}]}, "checks[0].target", "host:port"),
        ({"checks": [{"kind": "A B", "target": "x"}]}, "checks[0].kind", "poller_checks"),
        (
            {"checks": [{"kind": "http", "target": "http://x/", "time_out": 1}]},
            "checks[0].time_out",
            "did you mean timeout",
        ),
        (
            {"checks": [*GOOD["checks"], {"kind": "http", "target": "http://x", "status": [1]}]},
            "checks[1].status[0]",
            "100 to 599",
        ),
        (
            {"checks": [{"kind": "http", "target": "http://u:secret@x/"}]},
            "checks[0].target",
            "without them",
        ),
        (
            {"checks": [{"kind": "x", "target": "y", "blob": ["z" * 2000] * 20}]},
            "checks",
            "shorter",
        ),
        ({"checks": [{"kind": "x", "target": "y", "when": object()}]}, "checks[0]", "tables"),
    ],
)
def test_a_mistake_is_told_with_field_and_fix(change: dict[str, Any], field: str, fix: str) -> None:
    fields = {name: part for name, part in {**GOOD, **change}.items() if part is not None}
    with pytest.raises(DraftError) as caught:
        draft("web", fields, now_ms=NOW_MS, source=lambda _: SOURCE)
    (problem,) = caught.value.problems
    assert (problem.field, problem.source) == (field, SOURCE)
    assert fix in problem.fix
    assert str(problem).isprintable()
    assert "secret" not in str(problem)


@pytest.mark.parametrize(
    "schedule_id",
    [
        "",
        ".",
        "..",
        "../leader",
        "a/b",
        "a b",
        "x" * 101,
        "\x1b[2J",
        "\ud800",
        "é",
        "a\n",
        "%2e%2e",
    ],
)
def test_an_id_that_reaches_elsewhere_is_refused(schedule_id: str) -> None:
    for check in (
        lambda: check_id(schedule_id, SOURCE),
        lambda: draft(schedule_id, GOOD, now_ms=NOW_MS, source=lambda _: SOURCE),
    ):
        with pytest.raises(DraftError) as caught:
            check()
        (problem,) = caught.value.problems
        assert problem.field == "id"
        assert str(problem).isprintable()
        assert len(str(problem)) < 300


def test_all_that_is_wrong_in_a_file_is_told_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        shedules = 3
        [schedules]
        plain = 5
        [schedules.good]
        interval = "10s"
        checks = [{ kind = "tcp", target = "h:1" }]
        [schedules."../up"]
        interval = "1 banana"
        checks = [{ kind = "tcp", target = "h:1" }]
        [schedules.day]
        interval = 2026-01-01
        checks = [{ kind = "other", target = "h", day = 2026-01-01 }]
        """,
    )
    with pytest.raises(DraftError) as caught:
        read_file(path, now_ms=NOW_MS)
    assert [problem.field for problem in caught.value.problems] == [
        "shedules",
        "schedules.plain",
        "schedules.'../up'.id",
        "schedules.'../up'.interval",
        "schedules.day.interval",
        "schedules.day.checks[0]",
    ]
    assert {str(problem.source) for problem in caught.value.problems} == {f"file {path}"}


@pytest.mark.parametrize("text", [b"[schedules", b"\xff", b"a = " + b"[" * 5000])
def test_a_file_that_is_no_toml(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "schedules.toml"
    path.write_bytes(text)
    with pytest.raises(SettingsError, match=r"schedules\.toml"):
        read_file(path, now_ms=NOW_MS)


any_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@given(
    st.text(max_size=12),
    st.dictionaries(st.sampled_from(["name", "enabled", "interval", "checks", "x"]), any_value),
)
def test_whatever_is_written_is_a_schedule_that_is_read_back_or_a_mistake(
    schedule_id: str, change: dict[str, Any]
) -> None:
    try:
        record = draft(schedule_id, GOOD | change, now_ms=NOW_MS, source=lambda _: SOURCE)
    except DraftError as error:
        problems = error.problems
    else:
        problems = ()
        assert ScheduleRecord.decode(record.encode()) == record
    assert all(str(problem).isprintable() for problem in problems)


# --- on the command line, which has to say all this before it looks for a Consul ---------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("web", "--tcp", "h:1"), "--interval"),
        (("web", "--interval", "10s"), "--http, --tcp or --check"),
        (("web", "--interval", "10s", "--tcp", "h"), "(from flag --tcp)"),
        (("web", "--interval", "10s", "--tcp", "h:1", "--method", "GET"), "--http"),
        (("web", "--interval", "10s", "--check", "{}", "--timeout", "1s"), "--timeout"),
        (("web", "--interval", "10s", "--check", "{"), "--check is no JSON"),
        (("web", "--interval", "10s", "--check", "[" * 9999), "--check is no JSON"),
        (("web", "--interval", "10s", "--http", "http://h/", "--status", "abc"), "--status"),
        (("web", "--interval", "10s", "--http", "http://h/", "--redirects", "99"), "--redirects"),
        (("web", "--interval", "10s", "--tcp", "h:1", "--poll-timeout", "2m"), "--poll-timeout"),
        (("web", "--interval", "10s", "--tcp", "h:1", "--max-retries", "x"), "--max-retries"),
        (("web", "--interval", "10s", "--tcp", "h:1", "--assigned-to", "a"), "--assigned-to"),
        (("..", "--interval", "10s", "--tcp", "h:1"), "from flag ID"),
    ],
)
def test_a_flag_that_is_wrong_is_named(arguments: tuple[str, ...], said: str) -> None:
    # Nobody listens there: that it is not asked shows by the exit code.
    words = ["schedule", "add", *arguments, "--consul-addr", "127.0.0.1:1", "--json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == ExitCode.USAGE
    assert said in result.stderr
    error = json.loads(result.stdout)
    assert (error["kind"], error["code"]) == ("error", "usage")
    assert said in error["message"]
