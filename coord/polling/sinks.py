"""Where the results of polls go besides Consul: sinks, found through entry points as workloads are.

    [project.entry-points."coord.poll_sinks"]
    warehouse = "acme.warehouse:Sink"

The object is called once, when the node starts, with a `SinkContext`, and gives what is called with
every run that ended while this node led: a function, or a coroutine function, of one `FinishedRun`.
It runs on a thread of its own: neither polling nor the election waits for it. What it is too slow
for is dropped.

A run is told as it ends, before its result is written. So around a change of leader one may be
told twice, by both, or by nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from coord.clock import Clock
from coord.config import Settings
from coord.identity import Identity
from coord.plugins import Plugins
from coord.polling.book import Ended
from coord.polling.events import ResultsDropped
from coord.polling.records import CheckResult, JobState
from coord.status.as_json import plain_value
from coord.telemetry import Apart, Telemetry
from coord.telemetry.metrics import PREFIX

GROUP: Final = "coord.poll_sinks"
"""The entry point group in which they are named."""

TELL_EVERY_S: Final = 30.0
"""How often it is told at most that a sink lost results."""

_PLUGINS = Plugins(GROUP, field="poll_sinks", kind="poll sink")

_log = logging.getLogger("coord.polling")


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """A run of a schedule that ended, by whatever outcome.

    election: in which it is polled. term: of the leader that ended it.
    schedule: its id. name: of the schedule, for people; "" if it has none, or is gone.
    job: the id of the run, under every leader; with `attempt` it names what was sent.
    attempt: which attempt it ended with, from 1.
    outcome: up or down, as its checks say; or why there was no answer: a `PollError`, `cancelled`.
    state: how the job ended.
    poller: the node of the poller that was asked last; None if none was, or it is not known.
    asked: whether somebody asked for it, out of turn.
    due_ms: when it was due, or seen to be asked for, in wall-clock milliseconds. dispatched_ms:
        when its last attempt was sent; None if none was. finished_ms: when it ended.
    lag_ms: from `due_ms`, or from when the schedule was last added or enabled if that was later, to
        `dispatched_ms`, in milliseconds; took_ms: from then to the end.
    missed: how many runs of the schedule were left out just before it.
    checks: what each check found, in the schedule's order; empty where there was no answer.
    """

    election: str
    term: int
    schedule: str
    name: str
    job: str
    attempt: int
    outcome: str
    state: JobState
    poller: str | None
    asked: bool
    due_ms: int
    dispatched_ms: int | None
    finished_ms: int
    lag_ms: int
    took_ms: int
    missed: int
    checks: tuple[CheckResult, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        plain: dict[str, Any] = plain_value(self)
        return plain


PollSink = Callable[[FinishedRun], Awaitable[object] | None]


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What a sink is made with.

    settings: this node's effective settings.
    identity: who this node is.
    metrics: where the sink's own Prometheus metrics are registered: the node serves what is there.
    verdicts: whether each schedule was up when it was last run, by id: of those that are enabled
        and were answered, while this node leads. To be called on the event loop's thread, as from
        a collector of `metrics`.
    """

    settings: Settings
    identity: Identity
    metrics: CollectorRegistry
    verdicts: Callable[[], Mapping[str, bool]]


def load_sinks(names: Iterable[str], context: SinkContext) -> dict[str, PollSink]:
    """The sinks of these names.

    Raises:
        PluginError: a name is unknown, or there twice, or two packages offer it, or what it names
            cannot be loaded or made, or is no sink.
    """
    sinks: dict[str, PollSink] = {}
    for name in names:
        if name in sinks:
            raise _PLUGINS.error(name, "it is named twice; name each sink once")
        made, called = _PLUGINS.make(name, context)
        if not callable(made):
            what = type(made).__name__
            raise _PLUGINS.error(
                name,
                f"{called} gave a {what}: it must give a function of one run, or a coroutine's",
            )
        sinks[name] = made
    return sinks


def finished(ended: Ended, election: str, name: str) -> FinishedRun:
    """The run that ended so, of a schedule with that name for people."""
    job, result = ended.job, ended.result
    return FinishedRun(
        election=election,
        term=result.term,
        schedule=job.schedule,
        name=name,
        job=job.id,
        attempt=result.attempt,
        outcome=result.outcome,
        state=result.state,
        poller=ended.poller,
        asked=job.asked is not None,
        due_ms=job.due_ms,
        dispatched_ms=job.dispatched_ms or None,
        finished_ms=result.finished_ms,
        lag_ms=result.lag_ms,
        took_ms=result.took_ms,
        missed=job.missed,
        checks=result.checks,
    )


@dataclass(slots=True)
class _Told:
    """How much a sink had lost when it was last told, and when that was (monotonic seconds)."""

    dropped: int = 0
    failed: int = 0
    at: float = float("-inf")


class Sinks(Collector):
    """Hands runs to sinks, each on a thread of its own; and counts and tells what that loses."""

    def __init__(
        self,
        sinks: Mapping[str, PollSink],
        telemetry: Telemetry,
        clock: Clock,
        metrics: CollectorRegistry,
    ) -> None:
        self._sinks: dict[str, Apart] = {n: telemetry.beside(each) for n, each in sinks.items()}
        self._told = {name: _Told() for name in sinks}
        self._telemetry = telemetry
        self._clock = clock
        metrics.register(self)

    def __call__(self, run: FinishedRun) -> None:
        """Have all sinks called with it; never waits."""
        for name, sink in self._sinks.items():
            try:
                sink(run)
            except Exception:
                # Where there are no threads a sink is called at once: see `coord.testing`.
                _log.exception("the poll sink %s failed", name)

    def tell_lost(self, term: int) -> None:
        """Tell of each sink that lost results since that was last told, not more often than in
        `TELL_EVERY_S`."""
        now = self._clock.now()
        for name, sink in self._sinks.items():
            told = self._told[name]
            dropped, failed = sink.dropped - told.dropped, sink.failures - told.failed
            if (dropped or failed) and now - told.at >= TELL_EVERY_S:
                self._told[name] = _Told(sink.dropped, sink.failures, now)
                self._telemetry.emit(
                    ResultsDropped, term=term, sink=name, dropped=dropped, failed=failed
                )

    def describe(self) -> Iterator[Metric]:
        """The counters, without their values."""
        return self.collect()

    def collect(self) -> Iterator[Metric]:
        """What each sink lost since this node started."""
        dropped = CounterMetricFamily(
            PREFIX + "poll_results_dropped",
            "Results of polls that a sink was too slow for.",
            labels=("sink",),
        )
        failures = CounterMetricFamily(
            PREFIX + "poll_sink_failures", "Calls of poll sinks that failed.", labels=("sink",)
        )
        for name, sink in self._sinks.items():
            dropped.add_metric((name,), sink.dropped)
            failures.add_metric((name,), sink.failures)
        yield dropped
        yield failures
