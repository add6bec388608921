"""Where results go: found by name, told of each run, and nobody waits for them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from rendered import Rendered
from runs import finished_run

from coord.config import Settings
from coord.identity import make_identity
from coord.plugins import PluginError
from coord.polling.book import Ended
from coord.polling.counting import counted
from coord.polling.events import ResultsDropped
from coord.polling.records import JobRecord, JobState, PollError, PollReply
from coord.polling.shipped_sinks import LogSink, PrometheusSink
from coord.polling.sinks import (
    TELL_EVERY_S,
    FinishedRun,
    PollSink,
    SinkContext,
    Sinks,
    finished,
    load_sinks,
)
from coord.telemetry import Event, Telemetry
from coord.telemetry.logs import configure_logging
from coord.telemetry.metrics import Metrics
from coord.telemetry.own_thread import QUEUE_LENGTH
from coord.testing.inline import Inline

SETTINGS = Settings(node="core-1", environ={})
WHO = make_identity(SETTINGS, boot_id="b" * 32, bound=SETTINGS.listen)
LONG_S = 30.0  # far more than it takes; waited for only where something is broken

SOURCE = """
def lines(context):
    return lambda run: None

def none(context):
    return None

def picky(context):
    raise RuntimeError("no warehouse")
"""


class HandClock:
    """Time moves when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def wall_ms(self) -> int:
        return 1_700_000_000_000


class Bench:
    """Sinks of a node, and what it tells."""

    def __init__(self, *, inline: bool = False, **sinks: PollSink) -> None:
        self.clock = HandClock()
        more: dict[str, Any] = {"apart": Inline} if inline else {}
        self.telemetry = Telemetry(WHO, self.clock, **more)
        self.events: list[Event] = []
        self.telemetry.attach_inline(self.events.append)
        registry = CollectorRegistry()
        self.node = Metrics(registry)
        self.sinks = Sinks(sinks, self.telemetry, self.clock, registry)

    def lost(self, kind: str, sink: str) -> float:
        return Rendered(self.node).value(f"coordinator_poll_{kind}_total", sink=sink)


def context() -> SinkContext:
    return SinkContext(SETTINGS, WHO, CollectorRegistry(), dict)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "warehouse.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "warehouse"
    sys.modules.pop("warehouse", None)


# --- found ---


def test_the_two_that_come_with_it_are_found_and_one_is_used_unless_told() -> None:
    assert SETTINGS.poll_sinks == ("prometheus",)
    both = load_sinks(("log", "prometheus"), context())
    assert [type(each) for each in both.values()] == [LogSink, PrometheusSink]
    assert load_sinks((), context()) == {}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("nothing",), "known are: log, prometheus"),
        (("log", "log"), "named twice"),
        (("warehouse:none",), "gave a NoneType"),
        (("warehouse:picky",), "no warehouse"),
        (("warehouse:absent",), "cannot be loaded"),
        (("a b:c",), "by reference"),
    ],
)
def test_what_is_no_sink_is_refused_with_the_setting_that_names_it(
    module: str, names: tuple[str, ...], said: str
) -> None:
    with pytest.raises(PluginError, match=said) as refused:
        load_sinks(names, context())
    assert refused.value.field == "poll_sinks"
    assert refused.value.name == names[-1]


def test_one_of_your_own_is_named_by_reference(module: str) -> None:
    assert list(load_sinks((f"{module}:lines",), context())) == ["warehouse:lines"]


# --- told ---


async def test_every_sink_gets_every_run_in_order() -> None:
    one: list[FinishedRun] = []
    other: list[FinishedRun] = []

    async def later(run: FinishedRun) -> None:
        await asyncio.sleep(0)
        other.append(run)

    bench = Bench(one=one.append, other=later)
    runs = [finished_run(job=f"web.{n}") for n in range(50)]
    for run in runs:
        bench.sinks(run)
    await bench.telemetry.aclose(LONG_S)
    assert one == other == runs


async def test_nobody_waits_for_a_sink_that_hangs_and_what_it_loses_is_told() -> None:
    begun, go_on, heard = threading.Event(), threading.Event(), threading.Semaphore(0)

    def hang(run: FinishedRun) -> None:
        begun.set()
        assert go_on.wait(LONG_S)

    bench = Bench(hang=hang, quick=lambda run: heard.release())
    bench.sinks(finished_run())
    assert begun.wait(LONG_S)
    assert heard.acquire(timeout=LONG_S)
    bench.sinks.tell_lost(7)
    assert bench.events == []
    for _ in range(QUEUE_LENGTH + 3):
        bench.sinks(finished_run())
        assert heard.acquire(timeout=LONG_S)
    bench.sinks.tell_lost(7)
    (told,) = bench.events
    assert isinstance(told, ResultsDropped)
    assert (told.sink, told.dropped, told.failed, told.term) == ("hang", 3, 0, 7)
    assert bench.lost("results_dropped", "hang") == 3
    assert bench.lost("results_dropped", "quick") == 0
    # What counts as the loss of an event is another thing.
    assert bench.telemetry.events_dropped == 0
    go_on.set()
    await bench.telemetry.aclose(LONG_S)


async def test_a_sink_that_fails_is_told_once_in_a_while_and_others_go_on() -> None:
    heard: list[FinishedRun] = []
    reached = threading.Semaphore(0)

    def fail(run: FinishedRun) -> None:
        if not run.checks:  # all that came before it are done with
            reached.release()
            return
        raise OSError("disk full")

    def runs(number: int) -> None:
        for _ in range(number):
            bench.sinks(finished_run())
        bench.sinks(finished_run(checks=()))
        assert reached.acquire(timeout=LONG_S)

    bench = Bench(fail=fail, good=heard.append)
    runs(1)
    bench.sinks.tell_lost(7)
    runs(2)
    bench.sinks.tell_lost(7)
    assert len(bench.events) == 1
    bench.clock.seconds += TELL_EVERY_S
    bench.sinks.tell_lost(8)
    bench.sinks.tell_lost(8)
    told = [e for e in bench.events if isinstance(e, ResultsDropped)]
    assert [(e.failed, e.dropped, e.term) for e in told] == [(1, 0, 7), (2, 0, 8)]
    assert bench.lost("sink_failures", "fail") == 3
    await bench.telemetry.aclose(LONG_S)
    assert len(heard) == 5


def test_a_sink_that_fails_where_there_are_no_threads_does_not_end_polling() -> None:
    heard: list[FinishedRun] = []

    def fail(run: FinishedRun) -> None:
        raise OSError("disk full")

    bench = Bench(inline=True, fail=fail, good=heard.append)
    bench.sinks(finished_run())
    assert len(heard) == 1


# --- what a run says ---


def job(**changes: Any) -> JobRecord:
    fields = {"id": "web.1", "schedule": "web", "term": 7, "due_ms": 1_000, "missed": 2}
    return JobRecord.model_validate(fields | changes)


def test_a_run_that_was_answered() -> None:
    reply = PollReply(
        job="web.1", attempt=2, term=7, poller="p", took_ms=2, results=finished_run().checks
    )
    sent = job(attempt=2, state="completed", dispatched_ms=1_005)
    ended = Ended(sent, counted(sent, reply, None, wall_ms=1_045, due_ms=1_000), "poller-1")
    run = finished(ended, "coordinator", "The site")
    assert run == finished_run(attempt=2, missed=2)
    as_json = json.loads(json.dumps(run.to_dict()))
    assert as_json["checks"][0]["latency_ms"] == 1.5
    assert (as_json["state"], as_json["outcome"]) == ("completed", "up")


def test_a_run_that_nobody_was_sent() -> None:
    lacked = job(state="failed")
    result = counted(lacked, PollError.NO_POLLER, None, wall_ms=9_000, due_ms=1_000)
    run = finished(Ended(lacked, result), "coordinator", "")
    assert (run.outcome, run.state, run.checks) == ("no_poller", JobState.FAILED, ())
    assert (run.poller, run.dispatched_ms, run.lag_ms) == (None, None, 0)


# --- the log ---


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    before = logging.getLogger().handlers[:]
    stream = io.StringIO()
    configure_logging("json", "info", secrets=["s3cr3t-token"], stream=stream)
    yield stream
    logging.getLogger().handlers[:] = before


def test_the_log_has_a_line_of_each_result_without_secrets(log: io.StringIO) -> None:
    sink = LogSink(context())
    sink(finished_run())
    down = (
        finished_run()
        .checks[0]
        .model_copy(update={"ok": False, "target": "http://x/?s3cr3t-token", "error": "refused"})
    )
    sink(finished_run(outcome="down", checks=(down,)))
    up, other = (json.loads(line) for line in log.getvalue().splitlines())
    assert (up["event"], up["level"], up["schedule"]) == ("poll result", "info", "web")
    assert (up["outcome"], up["term"], up["attempt"], up["poller"]) == ("up", 7, 1, "poller-1")
    assert up["checks"] == [
        {"kind": "tcp", "target": "127.0.0.1:9", "ok": True, "latency_ms": 1.5}
        | {"error": None, "status": None, "detail": ""}
    ]
    assert (other["outcome"], other["checks"][0]["error"]) == ("down", "refused")
    assert "s3cr3t-token" not in log.getvalue()
