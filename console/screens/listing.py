"""A screen around a table: sorted, filtered, with what is under the cursor in full beside it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from rich.console import RenderableType
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.widget import Widget
from textual.widgets import DataTable, Input

from console.screens.room import Command, Keys, Room
from console.snapshot import Snapshot
from console.view.line import Line, Span, Tone, line
from console.view.table import Layout, Row, Sorting, selected
from console.widgets.details import Details
from console.widgets.lines import Lines
from console.widgets.markup import entitle
from console.widgets.table import RowTable
from coord.status.words import plain

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class _Way:
    """The way back to where the cursor was sent from, and what was open when it came."""

    back: Callable[[], object]
    detailed: bool
    filtering: bool
    words: str


class ListRoom(Room, Generic[R]):
    """Rows of one kind. `WHAT` names them: it is the id of the table."""

    WHAT: ClassVar[str]
    TITLE_OF_ROWS: ClassVar[str] = ""
    """What stands above the table; "": the same."""
    LAYOUT_OF_ROWS: ClassVar[Layout[Any]]
    TAIL: ClassVar[bool] = False
    """The table follows what is added at its end."""
    SHOWS_DETAILS: ClassVar[bool] = False
    """What is under the cursor is always to be seen in full, below the table."""
    BINDINGS: ClassVar[list[BindingType]] = [
        # First of all, so that what is typed next, however soon, is typed into the filter.
        Binding("slash", "filter", "Filter", key_display="/", priority=True),
        # The table hears it first, and the filter: here it closes the details from within.
        Binding("enter", "details", "Details", show=False),
        Binding("s", "sort", "Sort"),
        Binding("S", "turn", "Turn", show=False),
        Binding("y", "copy", "Copy", show=False),
    ]

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._rows: tuple[R, ...] = ()
        self._sorting = Sorting()
        self._drawn = False
        self._wanted: str | None = None
        self._back: Callable[[], object] | None = None
        self._ways: list[_Way] = []

    # --- what each of them is about ---

    @abstractmethod
    def rows_of(self, snapshot: Snapshot) -> tuple[R, ...]:
        """All rows, as they stand unless they are sorted."""

    @abstractmethod
    def detail_of(self, row: R) -> RenderableType:
        """A row in full."""

    @abstractmethod
    def name_of(self, row: R) -> str:
        """What a row is called; what is copied of it. May come from Consul as it is."""

    def none(self, snapshot: Snapshot) -> Line:
        """What is said where there is no row at all."""
        said = "nothing was read yet" if snapshot.status is None else f"no {self.WHAT}"
        return line(Span(said, Tone.DIM))

    def notes(self, snapshot: Snapshot) -> tuple[Line, ...]:
        """What is not known, or not to be overlooked, in a line each."""
        return ()

    def make_table(self) -> RowTable[R]:
        """The table."""
        return RowTable[R](self.LAYOUT_OF_ROWS, id=self.WHAT, tail=self.TAIL)

    def more_title(self) -> str:
        """What else is said above the table."""
        return ""

    def above(self) -> Iterator[Widget]:
        """What stands above the table."""
        yield from ()

    def pane(self) -> Widget:
        """What shows a row in full."""
        return Details(id="details")

    # --- drawing ---

    def contents(self) -> Iterator[Widget]:
        """The table, and room for a row in full."""
        yield from self.above()
        yield Lines(id="notes")
        yield Container(
            Vertical(
                Lines(id="none"),
                self.make_table(),
                Input(placeholder="words that must stand in a row", id="filter"),
                id=f"{self.WHAT}-room",
                classes="list",
            ),
            self.pane(),
            id="main",
        )

    @property
    def table(self) -> RowTable[R]:
        """The table of this screen."""
        return self.query_one(f"#{self.WHAT}", RowTable)

    @property
    def current(self) -> R | None:
        """The row under the cursor."""
        return self.table.current if self._there else None

    @property
    def _filter(self) -> Input:
        return self.query_one("#filter", Input)

    def on_mount(self) -> None:
        """The table has the keys from the first."""
        self.set_class(self.SHOWS_DETAILS, "-below")
        self.set_focus(self.table)

    def draw(self) -> None:
        """The rows that are wanted, in the order that is wanted."""
        self._rows = self.rows_of(self._snapshot)
        self._draw_rows()
        self._drawn = True
        self._go()

    def new_election(self) -> None:
        """What was filtered and opened belongs to another one."""
        self.remove_class("-detailed")
        self.forget_ways()
        if self._there:
            self.end_filter()

    def _draw_rows(self) -> None:
        words = self._filter.value
        found = selected(self._rows, words)
        rows = self.LAYOUT_OF_ROWS.ordered(found, self._sorting)
        self.table.show(rows, self._snapshot.wall_ms(self._now()), self._sorting)
        notes = self.notes(self._snapshot)
        self.query_one("#notes", Lines).show(notes)
        self.set_class(bool(notes), "-noted")
        self.query_one("#none", Lines).show([self._none(bool(words))])
        self.set_class(not found, "-none")
        self.table.show_header = bool(found)
        self._draw_title(len(found), words)
        self.draw_details()

    def _none(self, filtered: bool) -> Line:
        if self._rows and filtered:
            return line(Span("no row has all these words (esc ends the filter)", Tone.DIM))
        return () if self._rows else self.none(self._snapshot)

    def _draw_title(self, found: int, words: str) -> None:
        name, count = self.TITLE_OF_ROWS or self.WHAT.capitalize(), len(self._rows)
        title = f"{name}: {count}"
        if words:
            title = f"{name}: {found} of {count} with '{plain(words, 40)}'"
        if self._sorting.column:
            by = self.LAYOUT_OF_ROWS.named(self._sorting.column).title
            title += f", by {by.lower()}{', turned around' if self._sorting.reverse else ''}"
        entitle(self.query_one(f"#{self.WHAT}-room"), title + self.more_title())

    def draw_time(self) -> None:
        """Ages in the table and in the details."""
        self.table.tick(self._snapshot.wall_ms(self._now()))
        self.draw_details()

    @property
    def detailed(self) -> bool:
        """Whether a row is shown in full."""
        return self.has_class("-detailed") or self.SHOWS_DETAILS

    def draw_details(self) -> None:
        """The row under the cursor in full, if that is to be seen."""
        row = self.table.current
        if self.detailed and row is not None:
            self.query_one("#details", Details).show(self.name_of(row), self.detail_of(row))
        self.set_class(row is not None, "-any")

    def on_row_table_resized(self) -> None:
        """Other columns have room."""
        self._draw_rows()

    # --- what the table and the filter tell ---

    def on_data_table_row_highlighted(self) -> None:
        """The details follow the cursor."""
        self.draw_details()

    def on_data_table_row_selected(self) -> None:
        """Enter, or a click on the row under the cursor."""
        self.action_details()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """A click on a head sorts by it."""
        self._sort_by(self._sorting.by(event.column_key.value or ""))

    def on_input_changed(self) -> None:
        """The filter works while it is typed."""
        self._draw_rows()

    def on_input_submitted(self) -> None:
        """The filter stays, the keys are the table's again."""
        self.set_focus(self.table)
        if not self._filter.value:
            self.remove_class("-filtering")

    def go_to(self, key: str, back: Callable[[], object] | None = None) -> None:
        """Put the cursor on that row, whatever is filtered out; esc goes back then."""
        self._wanted, self._back = key, back
        if self._drawn:
            self._go()

    def _go(self) -> None:
        if self._wanted is None or not self._rows:
            return
        wanted, self._wanted = self._wanted, None
        key = self.key_of(wanted)
        if any(row.key == key for row in self._rows):
            if not self.table.go_to(key):
                self.end_filter()
                self.table.go_to(key)
            self.set_focus(self.table)
            self.after_going_to()
        else:
            self.notify(f"There is no {plain(wanted)} here", markup=False, timeout=3)
        if self._back is not None:
            filtering, words = self.has_class("-filtering"), self._filter.value
            way = _Way(self._back, self.has_class("-detailed"), filtering, words)
            self._ways.append(way)

    def forget_ways(self) -> None:
        """See `Room`."""
        self._ways.clear()

    def _went_back(self) -> bool:
        """Go where the cursor was sent from, unless there is something to close that was opened
        since; whether it did."""
        if not self._ways:
            return False
        way = self._ways[-1]
        detailed, filtering = self.has_class("-detailed"), self.has_class("-filtering")
        words = self._filter.value
        opened = detailed > way.detailed or filtering > way.filtering
        if opened or (words and words != way.words):
            return False
        self._ways.pop().back()
        return True

    def key_of(self, wanted: str) -> str:
        """The key of the row that another screen means."""
        return wanted

    def after_going_to(self) -> None:
        """Another screen sent here for what is under the cursor."""

    def end_filter(self) -> None:
        """Show all rows again."""
        self.filter_by("")

    def filter_by(self, words: str) -> None:
        """Show the rows that have all these words."""
        self._filter.value = words
        self.set_class(bool(words), "-filtering")
        self._draw_rows()

    # --- keys ---

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In the filter a slash is a slash."""
        return not (action == "filter" and isinstance(self.focused, Input))

    def action_filter(self) -> None:
        """Type a filter, or change it."""
        self.add_class("-filtering")
        self.set_focus(self._filter)

    def action_details(self) -> None:
        """Open the details, or close them."""
        if self.table.current is None:
            return
        self.toggle_class("-detailed")
        if self.detailed:
            self.draw_details()
            self.set_focus(self.query_one("#details"))
        else:
            self.set_focus(self.table)

    def action_sort(self) -> None:
        """Sort by the next column that is shown, at last as the rows are given."""
        shown = ["", *(c.name for c in self.LAYOUT_OF_ROWS.shown(self.table.size.width))]
        at = shown.index(self._sorting.column) if self._sorting.column in shown else 0
        self._sort_by(Sorting(shown[(at + 1) % len(shown)]))

    def action_turn(self) -> None:
        """Turn the order around."""
        if self._sorting.column:
            self._sort_by(Sorting(self._sorting.column, not self._sorting.reverse))

    def _sort_by(self, sorting: Sorting) -> None:
        self._sorting = sorting
        self._draw_rows()

    def action_copy(self) -> None:
        """Copy what is shown in full, or else the name under the cursor."""
        row = self.table.current
        if row is not None:
            copied = self.copied(row)
            self.app.copy_to_clipboard(copied)
            told = f"what is shown of {plain(self.name_of(row))}" if "\n" in copied else copied
            self.notify(f"Copied {told}", markup=False, timeout=3)

    def copied(self, row: R) -> str:
        """What of a row is copied just now."""
        if self.detailed:
            return self.query_one("#details", Details).said
        return plain(self.name_of(row), 200)

    def action_back(self) -> None:
        """Close what was opened last: the details, then the filter; or go back to where the cursor
        was sent from."""
        if not self._went_back():
            self.close_last()

    def close_last(self) -> None:
        """Close the details, or else end the filter."""
        if self.has_class("-detailed"):
            self.action_details()
            return
        self.end_filter()
        self.set_focus(self.table)

    def commands(self) -> Iterator[Command]:
        """What the keys of every table do."""
        what = self.WHAT
        yield f"Filter {what}", "Show some of the rows", self.action_filter
        yield f"Sort {what}", "By the next column", self.action_sort
        yield "Details", "What is under the cursor in full", self.action_details
        yield "Copy", "What is under the cursor, or shown of it in full", self.action_copy


LIST_KEYS: Keys = (
    ("enter", "what is under the cursor in full; again, or esc, closes it"),
    ("/", "filter as you type: every word must stand somewhere in the row; esc ends it"),
    ("s, S", "sort by the next column; turn the order around. Or click on a head"),
    ("y", "copy what it is called, or what is shown of it in full"),
    ("↑ ↓ j k", "up and down; likewise PgUp, PgDn, Home and End"),
    ("tab", "to the next pane, for its own scrolling"),
)
"""The keys of every table, for the help."""
