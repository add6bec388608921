"""The Prometheus metrics of polling itself: nodes that may lead serve them, who leads feeds them.

What the polls find is told by the sink `prometheus`. Counters and histograms stay when a node leads
no longer, as those of any process that goes on; what tells of the present is there only while it
leads, so that the fleet has it once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from coord.polling.book import Book
from coord.polling.events import PollsSwept, RunsMissed
from coord.polling.records import POLL_OUTCOMES
from coord.polling.summary import is_late
from coord.telemetry import Event, PollFinished
from coord.telemetry.metrics import PREFIX

_LAG_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

LOOK_MS = 1000
"""How often it is looked for runs that were left out, in milliseconds."""

_SWEPT = ("retried", "timed_out", "unreadable")


class PollMetrics(Collector):
    """What polling counts. `handle` is a telemetry handler; the rest is called by the leader.

    registry: where the metrics are registered: once for each node.
    wall_ms: the wall clock, in milliseconds.
    """

    def __init__(self, registry: CollectorRegistry, wall_ms: Callable[[], int]) -> None:
        self._wall_ms = wall_ms
        self._book: Book | None = None
        self._left_out: dict[str, int] = {}
        """The runs that are counted as missed already, of schedules that still find no room."""
        self._looked_ms = 0
        self._polls = Counter(
            PREFIX + "polls",
            "Polls that this node ran as the leader, by outcome.",
            ("outcome",),
            registry=registry,
        )
        for outcome in POLL_OUTCOMES:
            self._polls.labels(outcome)
        self._missed = Counter(
            PREFIX + "poll_runs_missed",
            "Runs of polls that were left out: nobody led, or there was no room. A new leader "
            "counts anew what was left out since the schedule's last run.",
            registry=registry,
        )
        self._retries = Counter(
            PREFIX + "poll_retries",
            "Attempts of polls after the first, also of runs that another leader began.",
            registry=registry,
        )
        self._swept = Counter(
            PREFIX + "poll_jobs_swept",
            "Jobs that the leader before had left open, by what became of them: tried again, given "
            "up, or deleted as their records could not be read.",
            ("outcome",),
            registry=registry,
        )
        for outcome in _SWEPT:
            self._swept.labels(outcome)
        self._lag = Histogram(
            PREFIX + "poll_lag_seconds",
            "How late after they were due runs began; without those that were asked for, and "
            "those that were missed.",
            buckets=_LAG_BUCKETS_S,
            registry=registry,
        )
        registry.register(self)

    def handle(self, event: Event) -> None:
        """Take in one event of this node."""
        match event:
            case PollFinished():
                self._polls.labels(event.outcome).inc()
            case RunsMissed():
                self._missed.inc(max(0, event.runs - self._left_out.pop(event.schedule, 0)))
            case PollsSwept():
                swept = (event.retried, event.timed_out, event.unreadable)
                for outcome, number in zip(_SWEPT, swept, strict=True):
                    self._swept.labels(outcome).inc(max(0, number))
            case _:
                pass

    def leads(self, book: Book) -> None:
        """This node leads, and this is what it knows: read whenever metrics are rendered."""
        self._book = book

    def ends(self) -> None:
        """This node leads no longer."""
        self._book = None

    def verdicts(self) -> Mapping[str, bool]:
        """Whether all checks said up, of each enabled schedule whose last run was answered, had the
        checks that it has now and is not too long ago, by id; nothing unless this node leads."""
        book = self._book
        if book is None:
            return {}
        now_ms = self._wall_ms()
        enabled = ((id_, each) for id_, each in book.schedules.items() if each.enabled)
        found = ((id_, book.results.get(id_), each) for id_, each in enabled)
        return {
            id_: last.ok
            for id_, last, schedule in found
            if last is not None
            and last.ok is not None
            and last.is_of(schedule)
            and not is_late(schedule, last, now_ms)
        }

    def look(self) -> None:
        """Count the runs that are missed by now of what is due and finds no room; looks once in
        `LOOK_MS`, however often it is called. `RunsMissed` counts the rest as a run begins."""
        book, now_ms = self._book, self._wall_ms()
        if book is None or 0 <= now_ms - self._looked_ms < LOOK_MS:
            return
        self._looked_ms = now_ms
        counted, self._left_out = self._left_out, {}
        for id_, schedule in book.schedules.items():
            missed = before = counted.get(id_, 0)
            slot = None if id_ in book.open else book.in_turn(schedule, now_ms)
            if slot is not None:
                missed = 0 if slot.due is None else slot.due.missed
            self._missed.inc(max(0, missed - before))
            if missed:
                self._left_out[id_] = missed

    def began(self, lag_ms: int) -> None:
        """A run that was due began, so late."""
        self._lag.observe(max(0, lag_ms) / 1000)

    def tried_again(self) -> None:
        """An attempt after the first is made."""
        self._retries.inc()

    # --- the gauge ---

    def describe(self) -> Iterator[Metric]:
        """The gauge, without its values."""
        yield _jobs()

    def collect(self) -> Iterator[Metric]:
        """The gauge as it stands."""
        jobs = _jobs()
        if self._book is not None:
            for state, number in self._book.count_jobs(self._wall_ms()).items():
                jobs.add_metric((state.value,), number)
        yield jobs


def _jobs() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        PREFIX + "poll_jobs",
        "Only from the leader: its open jobs by state: pending, due or to be tried again and not "
        "given to a poller; dispatching, while that is written down; running, a poller is asked.",
        labels=("state",),
    )
