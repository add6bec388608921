"""The events and the metrics, as Markdown, from their types.

PURE: text out, nothing read or written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from enum import Enum
from types import UnionType
from typing import Any, get_args, get_type_hints

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from coord.clock import SystemClock
from coord.config import Settings
from coord.election.reasons import Cause
from coord.identity import make_identity
from coord.polling import events as of_polling
from coord.polling.book import Book
from coord.polling.metrics import PollMetrics
from coord.polling.records import ResultRecord, ScheduleRecord
from coord.polling.shipped_sinks import PrometheusSink
from coord.polling.sinks import SinkContext, Sinks
from coord.telemetry import CATALOGUE, BecameLeader, Event, LeaderChanged, Telemetry
from coord.telemetry.metrics import Metrics
from docs.docstrings import members_told, told

EVENTS: tuple[type[Event], ...] = (
    *CATALOGUE,
    *(
        each
        for each in vars(of_polling).values()
        if isinstance(each, type) and issubclass(each, Event) and each is not Event
    ),
)
"""Every event that coord itself tells."""

COMMON = tuple(field.name for field in fields(Event))

# --- events --------------------------------------------------------------------------------------


def events_text() -> str:
    """One section for each event: its name, when it is told, its fields and their units."""
    common = "\n".join(_field_table(Event, COMMON))
    sections = "\n\n".join(_event(kind) for kind in EVENTS)
    return f"## Fields of all events\n\n{common}\n\n{sections}\n\n{_words()}"


def _event(kind: type[Event]) -> str:
    when, _ = told(kind, _names(kind))
    kept = "in the journal" if kind.JOURNALED else ""
    again = "again and again, so not in `/api/events`" if kind.PERIODIC else ""
    facts = ", ".join(filter(None, (f"Level {kind.LEVEL}", kept, again)))
    lines = [f"## {kind.EVENT}", "", f"{when} {facts}."]
    own = [name for name in _names(kind) if name not in COMMON]
    if own:
        lines += ["", *_field_table(kind, own)]
    return "\n".join(lines)


def _field_table(kind: type[Event], names: list[str] | tuple[str, ...]) -> Iterator[str]:
    hints, (_, said) = get_type_hints(kind), told(kind, _names(kind))
    yield "| field | what it is | meaning |"
    yield "|---|---|---|"
    for name in names:
        meaning = re.sub(r"\bNone\b", "nothing", said[name]).replace("|", "\\|")
        yield f"| `{name}` | {_kind_of(name, hints[name])} | {meaning} |"


def _names(kind: type[Event]) -> list[str]:
    return [field.name for field in fields(kind)]


def _kind_of(name: str, hint: Any) -> str:
    """What a value is: its unit if it has one, by the end of its name, else its type."""
    of = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    optional = " or nothing" if type(None) in of else ""
    (kind,) = (each for each in of if each is not type(None))
    if isinstance(kind, type) and issubclass(kind, Enum):
        word = f"a [{kind.__name__}](#{kind.__name__.lower()})"
    elif name == "at_ms":
        word = "ms since 1970"
    elif kind is int:
        word = "ms" if name.endswith("_ms") else "a number"
    else:
        word = "text" if kind is str else "a list of texts"
    return word + optional


def _words() -> str:
    """The enums that the fields use, each with its values."""
    kinds = {
        each.__name__: each
        for event in EVENTS
        for hint in get_type_hints(event).values()
        for each in (get_args(hint) if isinstance(hint, UnionType) else (hint,))
        if isinstance(each, type) and issubclass(each, Enum)
    }
    return "\n\n".join("\n".join(_words_of(kinds[name])) for name in sorted(kinds))


def _words_of(kind: type[Enum]) -> Iterator[str]:
    yield f"## {kind.__name__}"
    yield ""
    yield "| word | meaning |"
    yield "|---|---|"
    for word, meaning in members_told(kind).items():
        if not meaning:
            raise ValueError(f"{kind.__qualname__}: tell below {word!r} what it means")
        yield f"| `{word}` | {meaning.replace('|', chr(92) + '|')} |"


# --- metrics -------------------------------------------------------------------------------------


def leaders_metrics() -> str:
    """The text that a leader with the usual work serves, before anything was measured."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.children(("cluster-health", "poll-orchestrator"))
    polls = PollMetrics(registry, lambda: 0)
    polls.leads(_book_of_one())
    settings = Settings(node="core-1", environ={})
    who = make_identity(settings, boot_id="b" * 32, bound=settings.listen)
    its = SinkContext(settings, who, registry, polls.verdicts)
    sinks = {"prometheus": PrometheusSink(its)}
    Sinks(sinks, Telemetry(who, SystemClock()), SystemClock(), registry)
    metrics.journal(lambda: 0, lambda: 0)
    metrics.handlers(lambda: 0, lambda: 0)
    metrics.lease_remaining(lambda: 0.0)
    metrics.watch_age(lambda: 0.0)
    metrics.handle(BecameLeader(node="core-1", term=2))
    change = LeaderChanged(
        node="core-1", new_leader="core-1", previous_leader="core-2", cause=Cause.DIED, term=2
    )
    metrics.handle(change)
    return metrics.render()[0].decode()


def _book_of_one() -> Book:
    """What the leader knows of one schedule that was run."""
    book = Book(term=2)
    check = {"kind": "tcp", "target": "127.0.0.1:8500"}
    web = ScheduleRecord.model_validate({"id": "web", "interval": "10s", "checks": [check]})
    book.enter_schedules({web.id: web})
    book.results[web.id] = ResultRecord.model_validate(
        {"schedule": web.id, "job": "web.1", "attempt": 1, "term": 2, "state": "completed"}
        | {"ok": True, "due_ms": 1, "finished_ms": 1}
    )
    return book


def _label(label: str, samples: Iterable[Sample]) -> str:
    """A label with its values, where all of them are there from the start."""
    values = dict.fromkeys(sample.labels[label] for sample in samples if label in sample.labels)
    return f"`{label}`: {', '.join(values)}" if len(values) > 1 else f"`{label}`"


def metrics_text() -> str:
    """What a scrape costs, and a table: each metric, its type, labels and series, what it says."""
    text = leaders_metrics()
    families = sorted(text_string_to_metric_families(text), key=lambda family: family.name)
    series = sum(len(family.samples) for family in families)
    lines = [
        f"A leader with the usual work serves {series} series in {len(text.encode()):,} bytes.",
        "",
        "| metric | type | labels | series | what it says |",
        "|---|---|---|---|---|",
    ]
    for family in families:
        name = family.name + ("_total" if family.type == "counter" else "")
        found = {label for sample in family.samples for label in sample.labels} - {"le"}
        labels = "; ".join(_label(label, family.samples) for label in sorted(found))
        meaning = family.documentation.replace("|", "\\|")
        lines.append(f"| `{name}` | {family.type} | {labels} | {len(family.samples)} | {meaning} |")
    return "\n".join(lines)
