"""Prometheus metrics of one node, in a registry of its own.

Base units; no label is a node, a session or anything else that grows without bound. Everything
that can be counted exists from the start at 0, so that the first occurrence is a rise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from coord.consul.errors import (
    ConsulError,
    ConsulNotFound,
    ConsulNotPermitted,
    ConsulRefused,
    ConsulUnavailable,
)
from coord.election.reasons import Cause, TakeoverOutcome
from coord.election.states import State
from coord.telemetry import (
    BecameLeader,
    ChildRestarted,
    Event,
    LeaderChanged,
    LostLeadership,
    Resumed,
    StateChanged,
    Suspended,
    TakeoverAttempted,
)

PREFIX = "coordinator_"

STATES = tuple(state.value for state in State)

GAP_PHASES = ("detect", "quarantine", "acquire", "start", "total")

CONSUL_ERROR_KINDS = ("refused", "unavailable", "no_leader", "not_permitted", "not_found")

_GAP_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 7.5, 10, 15, 30, 60, 300)
_LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class Metrics:
    """All metrics of a node. `handle` is its telemetry handler; the rest are direct setters."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._suspended_at_ms: int | None = None
        self._make_gauges()
        self._make_counters()
        self._make_histograms()

    def _gauge(self, name: str, text: str, labels: Iterable[str] = ()) -> Gauge:
        return Gauge(PREFIX + name, text, tuple(labels), registry=self._registry)

    def _counter(
        self, name: str, text: str, label: str = "", values: Iterable[str] = ()
    ) -> Counter:
        counter = Counter(PREFIX + name, text, (label,) if label else (), registry=self._registry)
        for value in values:
            counter.labels(value)
        return counter

    def _make_gauges(self) -> None:
        self._is_leader = self._gauge(
            "is_leader", "1 while this node holds a term, as far as it knows (suspended: still 1)."
        )
        self._working = self._gauge("working", "1 while this node runs the coordination work.")
        self._term = self._gauge("term", "The latest term that this node knows of.")
        self._state = self._gauge(
            "state", "1 for the state this node's election is in, 0 for the others.", ("state",)
        )
        for state in STATES:
            self._state.labels(state)
        self._eligible = self._gauge("eligible", "1 if this node may lead.")
        self._paused = self._gauge(
            "paused", "1 while an operator's pause keeps candidates from campaigning."
        )
        self._drained = self._gauge("drained", "1 while this node is drained.")
        self._lease_remaining = self._gauge(
            "lease_remaining_seconds", "What is left of the lease; 0 when there is none."
        )
        self._last_confirmation = self._gauge(
            "last_confirmation_timestamp_seconds",
            "Wall-clock time of the last confirmation of the lease, since 1970; 0: never.",
        )

    def _make_counters(self) -> None:
        self._leader_changes = self._counter(
            "leader_changes",
            "Changes of the leader to this node, by cause: only the new leader counts.",
            "cause",
            [cause.value for cause in Cause],
        )
        self._suspended_seconds = self._counter(
            "suspended_seconds", "How long this node's work was suspended while it led."
        )
        self._takeover_attempts = self._counter(
            "takeover_attempts",
            "Attempts of this node to take the lock, by outcome.",
            "outcome",
            [outcome.value for outcome in TakeoverOutcome],
        )
        self._child_restarts = self._counter(
            "child_restarts", "Restarts of children of the coordination work.", "child"
        )
        self._consul_errors = self._counter(
            "consul_request_errors",
            "Requests to Consul that failed, by kind.",
            "kind",
            CONSUL_ERROR_KINDS,
        )

    def _make_histograms(self) -> None:
        self._gap = Histogram(
            PREFIX + "leadership_gap_seconds",
            "How long nobody worked before this node did, by phase; total is the whole gap.",
            ("phase",),
            buckets=_GAP_BUCKETS_S,
            registry=self._registry,
        )
        for phase in GAP_PHASES:
            self._gap.labels(phase)
        self._confirmation_latency = Histogram(
            PREFIX + "confirmation_latency_seconds",
            "From sending a confirmation of the lease to its answer.",
            buckets=_LATENCY_BUCKETS_S,
            registry=self._registry,
        )
        self._loop_lag = Histogram(
            PREFIX + "loop_lag_seconds",
            "How much later than asked for the event loop woke up.",
            buckets=_LATENCY_BUCKETS_S,
            registry=self._registry,
        )

    # --- the telemetry handler ---

    def handle(self, event: Event) -> None:
        """Take in one event of this node."""
        match event:
            case BecameLeader():
                self._is_leader.set(1)
                self._saw_term(event.term)
            case LostLeadership():
                self._is_leader.set(0)
                self._working.set(0)
                self._end_suspension(event.at_ms)
            case LeaderChanged():
                self._saw_term(event.term)
                if event.told_by_new_leader:
                    self._count_change(event)
            case Suspended():
                self._working.set(0)
                self._suspended_at_ms = event.at_ms
            case Resumed():
                self._working.set(1)
                self._suspended_at_ms = None
                self._suspended_seconds.inc(max(0, event.suspended_ms) / 1000)
            case StateChanged():
                self.state(event.state)
            case TakeoverAttempted():
                self._takeover_attempts.labels(event.outcome.value).inc()
            case ChildRestarted():
                self._child_restarts.labels(event.child).inc()
            case _:
                pass

    def _saw_term(self, term: int | None) -> None:
        if term is not None:
            self._term.set(term)

    def _count_change(self, event: LeaderChanged) -> None:
        self._leader_changes.labels(event.cause.value).inc()
        spans = (
            event.detect_ms,
            event.quarantine_ms,
            event.acquire_ms,
            event.start_ms,
            event.gap_ms,
        )
        for phase, span_ms in zip(GAP_PHASES, spans, strict=True):
            if span_ms is not None:
                self._gap.labels(phase).observe(max(0, span_ms) / 1000)

    def _end_suspension(self, at_ms: int) -> None:
        """A suspension that ended in loss: there is no `Resumed` that says how long it was."""
        if self._suspended_at_ms is not None:
            self._suspended_seconds.inc(max(0, at_ms - self._suspended_at_ms) / 1000)
            self._suspended_at_ms = None

    # --- direct setters ---

    def state(self, state: str) -> None:
        """The election of this node is in this state now."""
        for other in STATES:
            self._state.labels(other).set(0)
        self._state.labels(state).set(1)

    def eligible(self, eligible: bool) -> None:
        """Whether this node may lead."""
        self._eligible.set(int(eligible))

    def paused(self, paused: bool) -> None:
        """Whether the election is paused, as this node knows and counts it."""
        self._paused.set(int(paused))

    def drained(self, drained: bool) -> None:
        """Whether this node is drained."""
        self._drained.set(int(drained))

    def working(self, working: bool) -> None:
        """Whether the coordination work runs on this node."""
        self._working.set(int(working))

    def confirmed(self, latency_s: float, wall_s: float) -> None:
        """The lease was confirmed: the answer took `latency_s` and came at `wall_s` (wall clock,
        seconds since 1970)."""
        self._confirmation_latency.observe(latency_s)
        self._last_confirmation.set(wall_s)

    def lease_remaining(self, read: Callable[[], float]) -> None:
        """Ask `read` for what is left of the lease, in seconds, whenever metrics are rendered."""
        self._lease_remaining.set_function(lambda: _read_or_nan(lambda: max(0.0, read())))

    def consul_error(self, error: ConsulError) -> None:
        """A request to Consul failed."""
        self._consul_errors.labels(consul_error_kind(error)).inc()

    def loop_lag(self, lag_s: float) -> None:
        """The event loop woke up this much later than it was asked to, in seconds."""
        self._loop_lag.observe(max(0.0, lag_s))

    def journal_lost(self, read: Callable[[], float]) -> None:
        """Ask `read` for how many journal entries were lost, whenever metrics are rendered."""
        self._registry.register(
            _CounterReader(
                PREFIX + "journal_entries_lost",
                "Journal entries that could not be written to Consul.",
                read,
            )
        )

    def render(self) -> tuple[bytes, str]:
        """The metrics in Prometheus's text format, and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST


def consul_error_kind(error: ConsulError) -> str:
    """The `kind` label of an error: one of `CONSUL_ERROR_KINDS`."""
    match error:
        case ConsulUnavailable():
            return "no_leader" if error.no_leader else "unavailable"
        case ConsulNotPermitted():
            return "not_permitted"
        case ConsulNotFound():
            return "not_found"
        case ConsulRefused():
            return "refused"
        case _:
            return "unavailable"


def _read_or_nan(read: Callable[[], float]) -> float:
    try:
        return float(read())
    except Exception:
        # One value that cannot be had must not cost all the others.
        return math.nan


class _CounterReader(Collector):
    """A counter that is kept elsewhere."""

    def __init__(self, name: str, text: str, read: Callable[[], float]) -> None:
        self._name, self._text, self._read = name, text, read

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(self._name, self._text, value=_read_or_nan(self._read))
