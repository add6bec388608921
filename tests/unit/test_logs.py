"""Logging: one renderer for all, and no secret through it."""

from __future__ import annotations

import ast
import dataclasses
import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import structlog

import coord
from coord.election.reasons import Cause, LostReason, TakeoverOutcome
from coord.election_loop import Fault
from coord.telemetry import (
    BecameLeader,
    ElectionCheck,
    ElectionStarted,
    Event,
    LeaderChanged,
    LeaderDown,
    LostLeadership,
    NodeUp,
    TakeoverAttempted,
    journal,
    words,
)
from coord.telemetry.lasting_fault import FaultNotice, FaultPhase
from coord.telemetry.logs import Masker, configure_logging, log_event, log_fault
from coord.telemetry.secrecy import MASK

SECRET = "6f1c2d34-aaaa-bbbb-cccc-000011112222"
NAMES = ("", "httpx", "httpcore", "uvicorn", "uvicorn.error", "uvicorn.access")

Lines = Callable[[], list[dict[str, Any]]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_put_back() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(list(lg.handlers), lg.level, lg.propagate) for lg in loggers]
    yield
    structlog.reset_defaults()
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate = propagate


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def lines(out: io.StringIO) -> Lines:
    return lambda: [json.loads(line) for line in out.getvalue().splitlines()]


def test_events_are_logged_at_their_level_with_the_leaders_name(
    out: io.StringIO, lines: Lines
) -> None:
    configure_logging("json", "info", stream=out)
    common: dict[str, Any] = {
        "node": "core-1",
        "node_type": "core",
        "election": "coordinator",
        "term": 7,
    }
    log_event(LeaderChanged(**common, new_leader="core-2", previous_leader="core-1"))
    log_event(TakeoverAttempted(**common, outcome=TakeoverOutcome.LOCK_DELAY))
    log_event(ElectionCheck(**common, leader="core-2", state="standby"))
    log_event(LostLeadership(**common, reason=LostReason.SESSION_GONE))
    changed, attempted, lost = lines()
    assert changed["event"] == "serviceradar.coordinator.leader_changed"
    assert (changed["level"], changed["new_leader"]) == ("info", "core-2")
    assert {key: changed[key] for key in common} == common
    assert "gap_ms" not in changed
    assert (attempted["level"], attempted["outcome"]) == ("info", "lock_delay")
    assert (lost["level"], lost["reason"]) == ("warning", "session_gone")
    assert changed["timestamp"].endswith("Z")


def test_periodic_checks_are_debug(out: io.StringIO, lines: Lines) -> None:
    configure_logging("json", "debug", stream=out)
    log_event(ElectionCheck(leader=None, state="standby"))
    assert [line["level"] for line in lines()] == ["debug"]


def test_an_event_with_a_field_called_name_is_logged(out: io.StringIO, lines: Lines) -> None:
    configure_logging("json", "info", stream=out)
    log_event(NodeUp(name="web-1"))
    assert lines()[0]["name"] == "web-1"


def test_faults_are_loud_and_their_end_is_plain(out: io.StringIO, lines: Lines) -> None:
    configure_logging("json", "info", stream=out)
    for phase in FaultPhase:
        log_fault(FaultNotice(kind="consul", phase=phase, detail="d", duration_s=1.23456, count=2))
    assert [line["level"] for line in lines()] == ["error", "error", "info"]
    assert {(line["duration_s"], line["count"]) for line in lines()} == {(1.235, 2)}
    assert {(line["fault"], line["detail"]) for line in lines()} == {("consul", "d")}
    assert [line["phase"] for line in lines()] == ["began", "lasting", "over"]


@pytest.mark.parametrize(
    ("kind", "sentences"),
    [
        (
            "consul",
            (
                "Consul is not available",
                "Consul is not available, still, for 30 s",
                "Consul is available again, after 30.2 s",
            ),
        ),
        (
            "odd_one",
            (
                "odd_one: a fault began",
                "odd_one: the fault lasts, for 30 s",
                "odd_one: the fault is over, after 30.2 s",
            ),
        ),
    ],
)
def test_a_fault_is_a_sentence(
    kind: str, sentences: tuple[str, ...], out: io.StringIO, lines: Lines
) -> None:
    configure_logging("json", "info", stream=out)
    for phase in FaultPhase:
        log_fault(FaultNotice(kind=kind, phase=phase, detail="", duration_s=30.21, count=2))
    assert tuple(line["event"] for line in lines()) == sentences
    assert not any("detail" in line for line in lines())


def test_every_kind_of_fault_in_use_has_words() -> None:
    used = {str(fault) for fault in Fault} | {journal.FAULT} | set(kinds_named_in_calls())
    assert {"term_unreadable", "pollers_not_followed", "cluster_health"} <= used
    assert used - set(words.FAULTS) == set(), "give them words in coord/telemetry/words.py"


def kinds_named_in_calls() -> Iterator[str]:
    """The literals that `happened` and `follow` are called with, anywhere in the package."""
    argument = {"happened": 0, "follow": 3}
    for path in Path(coord.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call):
                continue
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            if name in argument and len(call.args) > argument[name]:
                given = call.args[argument[name]]
                if isinstance(given, ast.Constant):
                    yield str(given.value)


COMMON: dict[str, Any] = {"node": "core-1", "node_type": "core", "election": "coordinator"}


@pytest.mark.parametrize(
    ("event", "level", "sentence"),
    [
        (BecameLeader(term=18), "info", "became leader, term 18"),
        (
            LeaderChanged(
                previous_leader="core-1",
                new_leader="core-2",
                cause=Cause.HANDED_OVER,
                gap_ms=14,
                term=18,
            ),
            "info",
            "leader changed: core-1 -> core-2 (handed_over), term 18, gap 14 ms",
        ),
        (LeaderChanged(new_leader="core-2"), "info", "leader is core-2"),
        (
            LostLeadership(reason=LostReason.SHUTDOWN, term=3),
            "info",
            "lost leadership: shutdown, term 3",
        ),
        (
            LostLeadership(reason=LostReason.STEPPED_DOWN),
            "info",
            "lost leadership: stepped_down",
        ),
        (
            LostLeadership(reason=LostReason.SESSION_GONE),
            "warning",
            "lost leadership: session_gone",
        ),
        (
            LeaderDown(former_leader="core-1", cause=Cause.HANDED_OVER),
            "info",
            "core-1 leads no longer (handed_over)",
        ),
        (LeaderDown(cause=Cause.STEPPED_DOWN), "info", "the leader leads no longer (stepped_down)"),
        (
            LeaderDown(former_leader="core-1", cause=Cause.DIED),
            "warning",
            "core-1 leads no longer (died)",
        ),
        (
            TakeoverAttempted(outcome=TakeoverOutcome.WON, took_ms=8),
            "info",
            "takeover attempted: won in 8 ms",
        ),
        (ElectionStarted(wait_ms=3000), "info", "election started: nobody leads, waits 3.0 s"),
        (NodeUp(name="web-1"), "info", "node web-1 is up"),
    ],
)
def test_on_a_console_an_event_is_a_sentence_at_its_level(
    event: Event, level: str, sentence: str, out: io.StringIO, lines: Lines
) -> None:
    event = dataclasses.replace(event, **COMMON)
    configure_logging("console", "info", stream=out)
    log_event(event)
    line_of = r"\d\d:\d\d:\d\d\.\d{3}Z \[(\w+) *\] (.*)\n"
    shown = re.fullmatch(line_of, out.getvalue())
    assert shown is not None, out.getvalue()
    assert shown.groups() == (level, sentence)
    out.truncate(out.seek(0))
    configure_logging("json", "info", stream=out)
    log_event(event)
    (line,) = lines()
    assert (line["event"], line["level"]) == (event.EVENT, level)
    assert COMMON.items() <= line.items()
    assert sentence not in line.values()


def test_an_event_that_a_workload_brings_says_its_fields_on_a_console(out: io.StringIO) -> None:
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class TideTurned(Event):
        NAME: ClassVar[str] = "tide_turned"
        EVENT: ClassVar[str] = "sea.tide_turned"
        why: str = ""
        height: int

    configure_logging("console", "info", stream=out)
    log_event(TideTurned(**COMMON, height=3))
    assert out.getvalue().endswith("] tide turned height=3\n")


def test_a_fault_on_a_console_is_a_sentence_with_its_detail(out: io.StringIO) -> None:
    configure_logging("console", "info", stream=out)
    for phase in (FaultPhase.BEGAN, FaultPhase.OVER):
        log_fault(FaultNotice(kind="consul", phase=phase, detail="no", duration_s=2.0, count=2))
    began, over = out.getvalue().splitlines()
    assert began.endswith("] Consul is not available: no")
    assert over.endswith("] Consul is available again, after 2.0 s")


def test_a_console_shows_no_empty_field_and_names_only_others_loggers(out: io.StringIO) -> None:
    configure_logging("console", "info", stream=out)
    structlog.stdlib.get_logger("coord.x").info("own", detail="", zero=0)
    logging.getLogger("lib").warning("strange")
    own, strange = out.getvalue().splitlines()
    assert own.endswith("] own zero=0")
    assert "lib" in strange


@pytest.mark.parametrize(("level", "shown"), [("info", []), ("debug", [("debug", "Started")])])
def test_uvicorns_own_life_is_for_debugging(
    level: str, shown: list[tuple[str, str]], out: io.StringIO, lines: Lines
) -> None:
    configure_logging("json", level, stream=out)
    logging.getLogger("uvicorn.error").info("Started")
    assert [(line["level"], line["event"]) for line in lines()] == shown


def test_library_loggers_go_through_the_same_renderer(out: io.StringIO, lines: Lines) -> None:
    stray = logging.StreamHandler(io.StringIO())
    logging.getLogger("uvicorn.error").addHandler(stray)
    configure_logging("json", "info", stream=out)
    logging.getLogger("uvicorn.error").warning("refused %s", "port 1")
    logging.getLogger("httpx").info("HTTP Request: GET http://x")
    logging.getLogger("httpx").warning("odd")
    assert [(line["logger"], line["event"]) for line in lines()] == [
        ("uvicorn.error", "refused port 1"),
        ("httpx", "odd"),
    ]
    assert stray not in logging.getLogger("uvicorn.error").handlers


def test_configuring_again_replaces_the_set_up(out: io.StringIO, lines: Lines) -> None:
    first = io.StringIO()
    configure_logging("json", "debug", stream=first)
    configure_logging("json", "warning", stream=out)
    logging.getLogger("x").info("unseen")
    logging.getLogger("x").warning("once")
    assert first.getvalue() == ""
    assert [line["event"] for line in lines()] == ["once"]


def test_it_writes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json")
    logging.getLogger("x").warning("here")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["event"] == "here"


def test_auto_is_console_on_a_terminal_and_json_elsewhere(
    out: io.StringIO, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    configure_logging("auto", stream=terminal)
    logging.getLogger("x").warning("spoken")
    with pytest.raises(json.JSONDecodeError):
        json.loads(terminal.getvalue())
    assert "spoken" in terminal.getvalue()
    assert "\x1b" not in terminal.getvalue()
    configure_logging("auto", stream=out)
    logging.getLogger("x").warning("spoken")
    assert lines()[0]["event"] == "spoken"


@pytest.mark.parametrize(
    ("log_format", "level", "named"), [("xml", "info", "log_format"), ("json", "loud", "log_level")]
)
def test_a_bad_setting_is_named(log_format: str, level: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        configure_logging(log_format, level)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_gets_out(log_format: str, out: io.StringIO) -> None:
    configure_logging(log_format, "debug", secrets=[SECRET], stream=out)
    log = structlog.stdlib.get_logger("x")

    class Holder:
        def __repr__(self) -> str:
            return f"<Holder {SECRET}>"

    log.info(f"in the text {SECRET}", poller_token="other-secret", holder=Holder())
    log.info("nested", headers={"X-Consul-Token": "other-secret", "a": ["b", {"c": SECRET}]})
    log.info("as a key", table={SECRET: 1}, value=f"x{SECRET}y", raw=SECRET.encode())
    logging.getLogger("lib").info("GET /v1/kv/x?token=other-secret&wait=1s %s", SECRET)
    logging.getLogger("lib").info("Authorization: Bearer other-secret")
    logging.getLogger("lib").info("%s", {"x-consul-token": "other-secret"})
    try:
        raise RuntimeError(f"failed with {SECRET}")
    except RuntimeError:
        log.exception("failed")
        logging.getLogger("lib").exception("failed")
    text = out.getvalue()
    assert text.count("RuntimeError") >= 2
    assert "wait=1s" in text
    assert SECRET not in text
    assert "other-secret" not in text
    assert text.count(MASK) >= 10


def test_what_only_looks_like_a_secret_stays() -> None:
    mask = Masker([SECRET, "a"])
    said = {
        "event": "a banana",
        "token_file": "/etc/token",
        "consul_token": None,
        "poller_token": "",
        "term": 7,
        "ok": True,
    }
    assert mask(None, "info", dict(said)) == said


def test_others_text_cannot_steer_the_terminal(out: io.StringIO) -> None:
    configure_logging("console", stream=out)
    structlog.stdlib.get_logger("x").info("hi", leader="a\x1b[2J\nfaked line", list=["\x9b"])
    assert "\x1b" not in out.getvalue()
    assert "\x9b" not in out.getvalue()
    assert len(out.getvalue().splitlines()) == 1


def test_a_traceback_keeps_its_lines_on_the_console(out: io.StringIO) -> None:
    configure_logging("console", stream=out)
    try:
        raise RuntimeError("x")
    except RuntimeError:
        structlog.stdlib.get_logger("x").exception("failed")
    assert len(out.getvalue().splitlines()) > 3
