"""The dashboard once, as text, and the snapshot as JSON: for pipes, and for a look in passing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from console.snapshot import Snapshot
from console.view import failover, headline, nodes, polls, timeline
from console.view.line import Line, Span, Tone, joined, line
from console.view.paint import PRINTED, painted
from console.view.warnings import warnings
from coord.status import to_dict
from coord.status.as_json import plain_value

POLLS = 10
"""How many lines tell of polls that do not fare well."""

_INDENT = "  "


def dashboard(snapshot: Snapshot, now: float, width: int) -> Iterator[Line]:
    """Everything that the dashboard shows, one below the other, at most `width` columns."""
    yield joined(headline.header(snapshot, now), "  ")
    if banner := headline.banner(snapshot, now):
        yield banner
    yield ()
    lines = (*headline.headline(snapshot, now), polls.in_a_line(snapshot, now))
    yield from (each for each in lines if each)
    yield from warnings(snapshot, now)
    yield from _section(timeline.title(snapshot, now))
    bar, marks, last = timeline.timeline(snapshot, now, width)
    yield from (bar, marks, last, timeline.legend(bar, marks))
    yield from _section(failover.title(snapshot, now))
    yield from (each for each in failover.panel(snapshot, now, width, whole=True) if each)
    if troubles := polls.troubles(snapshot, now, POLLS):
        yield from _section(polls.title(snapshot))
        yield from troubles
    yield from _nodes(snapshot, now, width)


def _section(title: str) -> Iterator[Line]:
    yield ()
    yield line(Span(title, Tone.STRONG))


def _nodes(snapshot: Snapshot, now: float, width: int) -> Iterator[Line]:
    rows = nodes.node_rows(snapshot)
    yield from _section(f"Nodes: {len(rows)}")
    if not rows:
        return
    columns = nodes.LAYOUT.shown(width)
    now_ms = snapshot.wall_ms(now)
    cells = [tuple(column.cell(row, now_ms) for column in columns) for row in rows]
    widths = nodes.LAYOUT.widths(columns, cells, width)
    heads = tuple(line(Span(column.title, Tone.DIM)) for column in columns)
    for each in (heads, *cells):
        yield _row(each, widths)


def _row(cells: tuple[Line, ...], widths: tuple[int, ...]) -> Line:
    """The cells side by side, each as wide as its column."""
    spans: list[Span] = []
    for cell, width in zip(cells, widths, strict=True):
        spans += _cut(cell, width)
        spans.append(Span(_INDENT))
    return tuple(spans[:-1])


def _cut(cell: Line, width: int) -> Iterator[Span]:
    """The cell, exactly `width` columns wide."""
    left = width
    for span in cell:
        text = Text(span.text)
        text.truncate(left, overflow="ellipsis")
        yield Span(text.plain, span.tone)
        left -= text.cell_len
    if left > 0:
        yield Span(" " * left)


def print_dashboard(console: Console, snapshot: Snapshot, now: float) -> None:
    """Print it, in the terminal's own colours where there is one."""
    for each in dashboard(snapshot, now, console.width):
        text = painted(each, PRINTED)
        text.rstrip()
        console.print(text, soft_wrap=False, end="\n", crop=True)


def as_json(snapshot: Snapshot, now: float) -> dict[str, Any]:
    """The snapshot as JSON has it: status, history, journal (the oldest first), polls, contact."""
    status, past = snapshot.status_at(now), snapshot.past
    return {
        "election": snapshot.election,
        "consul": snapshot.address,
        "contact": plain_value(snapshot.contact),
        "status": None if status is None else to_dict(status),
        "history": None if past is None else plain_value(past.history),
        "journal": None if past is None else plain_value(past.entries),
        "polls": None if snapshot.polls is None else plain_value(snapshot.polls),
    }
