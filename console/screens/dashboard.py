"""The dashboard: who leads, what is wrong, who led before, and every node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

from rich.console import Group, RenderableType
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widget import Widget

from console.screens.listing import ListRoom
from console.screens.room import TALL, WIDE, Command, Keys
from console.snapshot import Snapshot
from console.view import failover, headline, nodes, polls, said, timeline
from console.view.by_key import by_key, lines_by_key
from console.view.detail import gridded
from console.view.line import Line, Span, Tone, line
from console.view.nodes import NodeRow
from console.view.rooms import Where
from console.view.vacancy import goes_on
from console.view.warnings import warnings
from console.widgets.lines import Lines
from console.widgets.paint import palette_of
from coord.status import node_status
from coord.status.text import render_node

FEW_WARNINGS, MANY_WARNINGS = 3, 8
"""How many warnings are shown on a short screen, and on one that is not."""

POLLS, ROOMY = 4, 38
"""How many lines tell of polls that do not fare well, and from how many lines of a screen on: then
there is room for the nodes below them, whatever else is told."""


class Dashboard(ListRoom[NodeRow]):
    """The first that is seen."""

    WHERE = Where.DASHBOARD
    WHAT = "nodes"
    LAYOUT_OF_ROWS = nodes.LAYOUT
    KEYS: ClassVar[Keys] = (("w", "how far back the leadership line goes"),)
    BINDINGS: ClassVar[list[BindingType]] = [Binding("w", "window", "Window")]

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._window_s = 0

    def above(self) -> Iterator[Widget]:
        """From the top: what matters most."""
        yield Lines(id="headline")
        yield Lines(id="warnings")
        yield Container(Lines(id="timeline"), Lines(id="failover"), id="panels")
        yield Lines(id="polls", classes="panel")

    def rows_of(self, snapshot: Snapshot) -> tuple[NodeRow, ...]:
        """See `ListRoom`."""
        return tuple(map(_by_key, nodes.node_rows(snapshot)))

    def name_of(self, row: NodeRow) -> str:
        """See `ListRoom`."""
        return row.node

    @property
    def node_under_cursor(self) -> str:
        """See `Room`."""
        return "" if self.current is None else self.current.node

    def detail_of(self, row: NodeRow) -> RenderableType:
        """As `coord status NODE` shows it, with keys in place of commands."""
        status = self._snapshot.status_at(self._now())
        assert status is not None  # else there would be no row
        old = headline.is_old(self._snapshot, self._now())
        node = node_status(status, row.target)
        if node.why is not None:
            waits_for, advice = by_key(node.why.waits_for), by_key(node.why.advice)
            node = replace(node, why=replace(node.why, waits_for=waits_for, advice=advice))
        shown = render_node(node, old=old)
        says = tuple(said.detail(self._snapshot, row.node, row.address, self._now()))
        return Group(shown, gridded(says, palette_of(self.app))) if says else shown

    # --- drawing ---

    def draw_time(self) -> None:
        """Everything but the rows changes as time passes."""
        snapshot, now = self._snapshot, self._now()
        banner, warned = headline.banner(snapshot, now), warnings(snapshot, now)
        self.set_class(bool(warned), "-warned")
        top = self.query_one("#headline", Lines)
        fares = polls.in_a_line(snapshot, now)
        top.show((*headline.headline(snapshot, now), *((fares,) if fares else ())))
        known = snapshot.status is not None and not banner
        led = known and snapshot.status is not None and snapshot.status.leader.locked
        top.set_class(led, "-led")
        top.set_class(known and not led, "-vacant")
        self.query_one("#warnings", Lines).show(self._warnings(warned))
        self._draw_panels(now)
        self._draw_polls(now)
        super().draw_time()

    def _warnings(self, found: tuple[Line, ...]) -> tuple[Line, ...]:
        most = MANY_WARNINGS if self.size.height >= TALL else FEW_WARNINGS
        if len(found) <= most:
            return found
        more = Span(f"! {len(found) - most + 1} more warnings; see `coord status`", Tone.WARN)
        return (*found[: most - 1], line(more))

    def _draw_panels(self, now: float) -> None:
        snapshot, wide = self._snapshot, self.size.width >= WIDE
        whole = self.size.height >= TALL
        history = self.query_one("#timeline", Lines)
        width = history.content_size.width
        bar, marks, last = timeline.timeline(snapshot, now, width, self._window_s)
        history.entitle(timeline.title(snapshot, now, self._window_s))
        legend = (timeline.legend(bar, marks),) if whole or wide else ()
        history.show((bar, marks, *legend, last))
        last_one = self.query_one("#failover", Lines)
        last_one.entitle(failover.title(snapshot, now))
        last_one.set_class(goes_on(snapshot), "-vacant")
        room = last_one.content_size.width
        last_one.show(lines_by_key(failover.panel(snapshot, now, room, whole=whole or wide)))

    def _draw_polls(self, now: float) -> None:
        snapshot, panel = self._snapshot, self.query_one("#polls", Lines)
        troubles = polls.troubles(snapshot, now, POLLS) if self.size.height >= ROOMY else ()
        panel.display = bool(troubles)
        panel.entitle(polls.title(snapshot))
        panel.show(lines_by_key(troubles))

    # --- keys ---

    def action_window(self) -> None:
        """The next window of the leadership line; after the longest, the one that fits."""
        every = (0, *timeline.WINDOWS_S)
        self._window_s = every[(every.index(self._window_s) + 1) % len(every)]
        self.tick()

    def commands(self) -> Iterator[Command]:
        """See `Room`."""
        yield from super().commands()
        yield "Window", "How far back the leadership line goes", self.action_window


def _by_key(row: NodeRow) -> NodeRow:
    said = by_key(row.waits_for)
    return row if said == row.waits_for else replace(row, waits_for=said)
