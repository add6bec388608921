"""The dashboard: who leads, what is wrong, who led before, and every node."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Input

from console.screens.help import HelpScreen
from console.snapshot import Snapshot
from console.view import failover, headline, nodes, timeline
from console.view.line import Line, Span, Tone, line
from console.view.warnings import warnings
from console.widgets.details import Details
from console.widgets.lines import Ends, Lines
from console.widgets.node_table import NodeTable, Sorting
from coord.status import node_status
from coord.status.words import plain

WIDE, TALL = 110, 30
"""From that many columns on panels stand side by side; from that many lines on they are whole."""

FEW_WARNINGS, MANY_WARNINGS = 3, 8
"""How many warnings are shown on a short screen, and on one that is not."""


class Dashboard(Screen[None]):
    """Draws the latest snapshot that it was given, and the time that passes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # The first to be seen, also where there is no room for all of them.
        Binding("a", "app.act", "Act"),
        Binding("a", "app.act_not", "Act ✖"),
        Binding("slash", "filter", "Filter", key_display="/"),
        # The table hears it first, and the filter: here it closes the details from within.
        Binding("enter", "details", "Details", show=False),
        Binding("s", "sort", "Sort"),
        Binding("S", "turn", "Turn", show=False),
        Binding("w", "window", "Window"),
        Binding("y", "copy", "Copy", show=False),
        Binding("escape", "back", "Back", show=False),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "app.quit", "Quit"),
    ]

    def __init__(
        self,
        now: Callable[[], float],
        snapshot: Snapshot,
        mode: Callable[[], str] = lambda: "",
    ) -> None:
        """`now` tells the monotonic time, in seconds; `mode` why nothing can be done, if so."""
        super().__init__()
        self._now = now
        self._mode = mode
        self._snapshot = snapshot
        self._rows: tuple[nodes.NodeRow, ...] = ()
        self._sorting = Sorting()
        self._window_s = 0
        self._there = False

    def compose(self) -> ComposeResult:
        """From the top: what matters most."""
        yield Ends(id="header")
        yield Lines(id="banner")
        yield Lines(id="headline")
        yield Lines(id="warnings")
        with Container(id="panels"):
            yield Lines(id="timeline")
            yield Lines(id="failover")
        with Container(id="main"):
            with Vertical(id="nodes-room"):
                yield NodeTable(id="nodes")
                yield Input(placeholder="words that must stand in a row", id="filter")
            yield Details(id="details")
        yield Footer()

    def on_mount(self) -> None:
        """The table has the keys from the first."""
        self._there = True
        self.query_one(NodeTable).focus()
        # Only then it is known how much room there is.
        self.call_after_refresh(lambda: self.show(self._snapshot))

    def on_unmount(self) -> None:
        """There is nothing to draw on any more."""
        self._there = False

    @property
    def current(self) -> nodes.NodeRow | None:
        """What is under the cursor."""
        return self.query_one(NodeTable).current

    # --- drawing ---

    def show(self, snapshot: Snapshot) -> None:
        """Draw this from now on."""
        self._snapshot = snapshot
        self._rows = nodes.node_rows(snapshot)
        if self._there:
            self._draw_nodes()
            self.tick()

    def tick(self) -> None:
        """Draw what changes as time passes: ages, what is left, the banner."""
        if not self._there:
            return
        snapshot, now = self._snapshot, self._now()
        banner, said = headline.banner(snapshot, now), warnings(snapshot, now)
        self.set_class(bool(banner), "-banner")
        self.set_class(bool(banner) and snapshot.status is not None, "-old")
        self.set_class(bool(said), "-warned")
        self.query_one("#header", Ends).show(headline.header(snapshot, now, self._mode()))
        self.query_one("#banner", Lines).show([banner])
        top = self.query_one("#headline", Lines)
        top.show(headline.headline(snapshot, now))
        known = snapshot.status is not None and not banner
        led = known and snapshot.status is not None and snapshot.status.leader.locked
        top.set_class(led, "-led")
        top.set_class(known and not led, "-vacant")
        self.query_one("#warnings", Lines).show(self._warnings(said))
        self._draw_panels(now)
        self.query_one(NodeTable).tick(snapshot.wall_ms(now))
        self._draw_details()

    def _warnings(self, said: tuple[Line, ...]) -> tuple[Line, ...]:
        most = MANY_WARNINGS if self.size.height >= TALL else FEW_WARNINGS
        if len(said) <= most:
            return said
        more = Span(f"! {len(said) - most + 1} more warnings; see `coord status`", Tone.WARN)
        return (*said[: most - 1], line(more))

    def _draw_panels(self, now: float) -> None:
        snapshot, wide = self._snapshot, self.size.width >= WIDE
        whole = self.size.height >= TALL
        history = self.query_one("#timeline", Lines)
        width = history.content_size.width
        bar, marks, last = timeline.timeline(snapshot, now, width, self._window_s)
        history.border_title = timeline.title(snapshot, now, self._window_s)
        history.show((bar, marks, timeline.legend(), last) if whole or wide else (bar, marks, last))
        last_one = self.query_one("#failover", Lines)
        last_one.border_title = failover.title(snapshot)
        if whole or wide:
            shown = (*failover.waterfall(snapshot, last_one.content_size.width),)
            last_one.show((*shown, failover.gaps(snapshot)))
        else:
            last_one.show((failover.in_a_line(snapshot),))

    def _draw_nodes(self) -> None:
        """The rows that are wanted, in the order that is wanted."""
        words = self.query_one("#filter", Input).value
        found = nodes.selected(self._rows, words)
        rows = nodes.ordered(found, self._sorting.column, reverse=self._sorting.reverse)
        now_ms = self._snapshot.wall_ms(self._now())
        self.query_one(NodeTable).show(rows, now_ms, self._sorting)
        title = f"Nodes: {len(self._rows)}"
        if words:
            title = f"Nodes: {len(found)} of {len(self._rows)} with '{plain(words, 40)}'"
        if self._sorting.column:
            by = nodes.BY_NAME[self._sorting.column].title
            title += f", by {by.lower()}{', turned around' if self._sorting.reverse else ''}"
        self.query_one("#nodes-room").border_title = title

    def _draw_details(self) -> None:
        row, status = self.query_one(NodeTable).current, self._snapshot.status_at(self._now())
        if not self.has_class("-detailed") or row is None or status is None:
            return
        old = headline.is_old(self._snapshot, self._now())
        self.query_one(Details).show(node_status(status, row.target), old=old)

    def on_resize(self) -> None:
        """What has room has changed."""
        self.call_after_refresh(self.tick)

    def on_node_table_resized(self) -> None:
        """Other columns have room."""
        self._draw_nodes()

    # --- what the table and the filter tell ---

    def on_data_table_row_highlighted(self) -> None:
        """The details follow the cursor."""
        self._draw_details()

    def on_data_table_row_selected(self) -> None:
        """Enter, or a click on the row under the cursor."""
        self.action_details()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """A click on a head sorts by it."""
        self._sort_by(self._sorting.by(event.column_key.value or ""))

    def on_input_changed(self) -> None:
        """The filter works while it is typed."""
        self._draw_nodes()

    def on_input_submitted(self) -> None:
        """The filter stays, the keys are the table's again."""
        self.query_one(NodeTable).focus()
        if not self.query_one("#filter", Input).value:
            self.remove_class("-filtering")

    # --- keys ---

    def action_filter(self) -> None:
        """Type a filter, or change it."""
        self.add_class("-filtering")
        self.query_one("#filter", Input).focus()

    def action_details(self) -> None:
        """Open the details, or close them."""
        if self.query_one(NodeTable).current is None:
            return
        self.toggle_class("-detailed")
        if self.has_class("-detailed"):
            self._draw_details()
            self.query_one(Details).focus()
        else:
            self.query_one(NodeTable).focus()

    def action_sort(self) -> None:
        """Sort by the next column that is shown, at last by rank again."""
        shown = ["", *(c.name for c in nodes.columns_for(self.query_one(NodeTable).size.width))]
        at = shown.index(self._sorting.column) if self._sorting.column in shown else 0
        self._sort_by(Sorting(shown[(at + 1) % len(shown)]))

    def action_turn(self) -> None:
        """Turn the order around."""
        if self._sorting.column:
            self._sort_by(Sorting(self._sorting.column, not self._sorting.reverse))

    def _sort_by(self, sorting: Sorting) -> None:
        self._sorting = sorting
        self._draw_nodes()

    def action_window(self) -> None:
        """The next window of the leadership line; after the longest, the one that fits."""
        every = (0, *timeline.WINDOWS_S)
        self._window_s = every[(every.index(self._window_s) + 1) % len(every)]
        self.tick()

    def action_copy(self) -> None:
        """Copy what is shown in full, or else the name under the cursor."""
        row = self.query_one(NodeTable).current
        if row is None:
            return
        name = plain(row.node)
        detailed = self.has_class("-detailed")
        self.app.copy_to_clipboard(self.query_one(Details).said if detailed else name)
        told = f"what is shown of {name}" if detailed else name
        self.notify(f"Copied {told}", markup=False, timeout=3)

    def action_back(self) -> None:
        """Close what was opened last: the details, then the filter."""
        if self.has_class("-detailed"):
            self.action_details()
            return
        self.query_one("#filter", Input).value = ""
        self.remove_class("-filtering")
        self.query_one(NodeTable).focus()

    def action_help(self) -> None:
        """What the keys do."""
        self.app.push_screen(HelpScreen())
