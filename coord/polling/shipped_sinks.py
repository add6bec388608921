"""The sinks that come with coord: `log` and `prometheus`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import structlog
from prometheus_client import Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from coord.polling.sinks import FinishedRun, SinkContext
from coord.telemetry.logs import SENTENCE
from coord.telemetry.metrics import PREFIX

MAX_UP_SERIES: Final = 2000
"""Of more schedules than this, the first have a series each, those that are down before others."""

_LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("coord.polling.results")


class LogSink:
    """Writes each result to the node's log, as one line at info."""

    def __init__(self, context: SinkContext) -> None:
        pass

    def __call__(self, run: FinishedRun) -> None:
        by = f" by {run.poller} in {run.took_ms} ms" if run.poller else ""
        said = run.to_dict() | {SENTENCE: f"poll {run.schedule}: {run.outcome}{by}"}
        _log.info("poll result", **said)


class PrometheusSink:
    """Serves what the polls found among the node's metrics: what is up, and how long it took."""

    def __init__(self, context: SinkContext) -> None:
        self._latency = Histogram(
            PREFIX + "poll_latency_seconds",
            "From sending a poll to a poller to its answer; only of those that were answered.",
            buckets=_LATENCY_BUCKETS_S,
            registry=context.metrics,
        )
        context.metrics.register(_Up(context.verdicts))

    def __call__(self, run: FinishedRun) -> None:
        if run.checks:
            self._latency.observe(run.took_ms / 1000)


class _Up(Collector):
    """What is up, read from what the leader knows: it goes with the schedule, and with the lead."""

    def __init__(self, verdicts: Callable[[], Mapping[str, bool]]) -> None:
        self._verdicts = verdicts

    def describe(self) -> Iterator[Metric]:
        yield _up()

    def collect(self) -> Iterator[Metric]:
        up = _up()
        ordered = sorted(self._verdicts().items(), key=lambda item: (item[1], item[0]))
        for schedule, verdict in ordered[:MAX_UP_SERIES]:
            up.add_metric((schedule,), int(verdict))
        yield up


def _up() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        PREFIX + "poll_up",
        "Only from the leader: 1 for a schedule whose checks all said up when it was last run, 0 "
        "where one said down; none where it is disabled, had no answer, has other checks by now, "
        f"or its last is late. Of {MAX_UP_SERIES} schedules at most.",
        labels=("schedule",),
    )
