"""Prometheus metrics of one node, in a registry of its own.

Base units; no label is a node, a session or anything else that grows without bound, but for the
one series by which a leader says whom it follows. Everything that can be counted exists from the
start at 0, so that the first occurrence is a rise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram

from coord.consul.errors import ConsulError
from coord.consul.transport import RequestKind
from coord.election.reasons import Cause, TakeoverOutcome, WhyNot
from coord.election.state import State
from coord.records import is_name
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
from coord.telemetry.metric_parts import (
    CONSUL_ERROR_KINDS,
    CounterReader,
    consul_error_kind,
    read_or_nan,
    rendered,
)

PREFIX = "coordinator_"

STATES = tuple(state.value for state in State)

GAP_PHASES = ("detect", "quarantine", "acquire", "start", "total")

CLOSE_CALL = 0.25
"""A lease that is confirmed when less than this part of it is left was nearly lost."""

_GAP_BUCKETS_S = (
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 3.5, 4, 4.5, 5, 5.5, 6, 7.5, 10, 15, 30, 60, 300),
)
_LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class Metrics:
    """All metrics of a node. `handle` is its telemetry handler; the rest are direct setters."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._suspended_at_ms: int | None = None
        self._lease_s = 0.0
        self._make_gauges()
        self._make_lease_gauges()
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
        self._why_not = self._gauge(
            "why_not",
            "1 for the reason why this node does not lead; 0 for all of them while it does.",
            ("reason",),
        )
        for reason in WhyNot:
            self._why_not.labels(reason.value)
        self._leader_info = self._gauge(
            "leader_info",
            "Only from the leader: it, who led before it, and why that changed; its value is the "
            "term.",
            ("leader", "previous_leader", "cause"),
        )
        self._eligible = self._gauge("eligible", "1 if this node may lead.")
        self._paused = self._gauge(
            "paused", "1 while an operator's pause keeps candidates from campaigning."
        )
        self._drained = self._gauge("drained", "1 while this node is drained.")

    def _make_lease_gauges(self) -> None:
        self._lease = self._gauge("lease_seconds", "How long a lease lasts from its confirmation.")
        self._lease_remaining = self._gauge(
            "lease_remaining_seconds", "What is left of the lease; 0 when there is none."
        )
        self._last_confirmation = self._gauge(
            "last_confirmation_timestamp_seconds",
            "Wall-clock time of the last confirmation of the lease, since 1970; 0: never.",
        )
        self._watch_age = self._gauge(
            "watch_age_seconds",
            "Since Consul last answered the watch on the leader key; while nothing changes it does "
            "so about once a minute.",
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
        self._close_calls = self._counter(
            "lease_close_calls",
            "Confirmations that came when less than a quarter of the lease was left.",
        )
        self._child_restarts = self._counter(
            "child_restarts", "Restarts of children of the coordination work.", "child"
        )
        self._consul_errors = self._counter(
            "consul_request_errors",
            "Requests of the election to Consul that failed, by kind.",
            "kind",
            CONSUL_ERROR_KINDS,
        )

    def _make_histograms(self) -> None:
        self._gap = Histogram(
            PREFIX + "leadership_gap_seconds",
            "How long nobody worked before this node did, by phase: detect from the former "
            "leader's last sign of life, where it vanished and its check ran out; total is the sum "
            "of what is known: less than it was where no candidate lived to see the leader vanish.",
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
        self._consul_latency = Histogram(
            PREFIX + "consul_request_latency_seconds",
            "From sending a request to Consul to its whole answer, whatever it says: to the agent "
            "alone, reads and writes of the servers. Blocking queries are left out.",
            ("kind",),
            buckets=_LATENCY_BUCKETS_S,
            registry=self._registry,
        )
        for kind in RequestKind:
            if kind is not RequestKind.BLOCKING:
                self._consul_latency.labels(kind.value)
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
                self._leader_info.clear()
                self._end_suspension(event.at_ms)
            case LeaderChanged():
                self._saw_term(event.term)
                if event.told_by_new_leader:
                    self._count_change(event)
            case Suspended():
                self._suspended_at_ms = event.at_ms
            case Resumed():
                self._suspended_at_ms = None
                self._suspended_seconds.inc(max(0, event.suspended_ms) / 1000)
            case StateChanged():
                self.state(event.state)
                for reason in WhyNot:
                    self._why_not.labels(reason.value).set(int(reason is event.why_not))
            case _:
                self._count(event)

    def _count(self, event: Event) -> None:
        match event:
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
        previous = event.previous_leader or ""
        self._leader_info.clear()
        # Who led before is read from Consul, where anybody may have written.
        self._leader_info.labels(
            event.new_leader, previous if is_name(previous) else "", event.cause.value
        ).set(event.term or 0)
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

    def lease(self, lease_s: float) -> None:
        """A lease lasts this long, in seconds."""
        self._lease_s = lease_s
        self._lease.set(lease_s)

    def lease_extended(self, left_s: float) -> None:
        """The lease goes on, `left_s` seconds before it would have ended; 0: it had, or begins."""
        if 0 < left_s < self._lease_s * CLOSE_CALL:
            self._close_calls.inc()

    def children(self, ids: Iterable[str]) -> None:
        """The coordination work has these children."""
        for child in ids:
            self._child_restarts.labels(child)

    def lease_remaining(self, read: Callable[[], float]) -> None:
        """Ask `read` for what is left of the lease, in seconds, whenever metrics are rendered."""
        self._lease_remaining.set_function(lambda: read_or_nan(lambda: max(0.0, read())))

    def watch_age(self, read: Callable[[], float]) -> None:
        """Ask `read` for the age of the watch's last answer whenever metrics are rendered."""
        self._watch_age.set_function(lambda: read_or_nan(read))

    def consul_answered(self, kind: RequestKind, took_s: float) -> None:
        """Consul answered a request after this many seconds."""
        if kind is not RequestKind.BLOCKING:
            self._consul_latency.labels(kind.value).observe(took_s)

    def consul_error(self, error: ConsulError) -> None:
        """A request to Consul failed."""
        self._consul_errors.labels(consul_error_kind(error)).inc()

    def loop_lag(self, lag_s: float) -> None:
        """The event loop woke up this much later than it was asked to, in seconds."""
        self._loop_lag.observe(max(0.0, lag_s))

    def journal(self, written: Callable[[], float], lost: Callable[[], float]) -> None:
        """Ask how many journal entries were written, and lost, whenever metrics are rendered."""
        self._read(
            "journal_entries_written", "Journal entries that were written to Consul.", written
        )
        self._read("journal_entries_lost", "Journal entries that could not be written.", lost)

    def handlers(self, dropped: Callable[[], float], failures: Callable[[], float]) -> None:
        """Ask what became of events with their handlers, whenever metrics are rendered."""
        self._read("events_dropped", "Events that a handler was too slow for, or lost.", dropped)
        self._read("event_handler_failures", "Calls of event handlers that failed.", failures)

    def _read(self, name: str, text: str, read: Callable[[], float]) -> None:
        self._registry.register(CounterReader(PREFIX + name, text, read))

    def render(self) -> tuple[bytes, str]:
        """The metrics in Prometheus's text format, and its content type."""
        return rendered(self._registry), CONTENT_TYPE_LATEST
