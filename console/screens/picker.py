"""Over another screen: one of several is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from console.view.line import Line
from console.view.table import Layout, Row, Sorting, selected
from console.widgets.lines import Lines
from console.widgets.markup import entitle
from console.widgets.table import RowTable

R = TypeVar("R", bound=Row)


class Picks(RowTable[R]):
    """Enter chooses."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select_cursor", "Choose")]


class Picker(ModalScreen[str | None], Generic[R]):
    """Dismissed with the key of the row that was chosen; with None if none was.

    Typing filters; the arrows move.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Close"),
        Binding("down", "move(1)", show=False),
        Binding("up", "move(-1)", show=False),
    ]

    def __init__(self, title: str, layout: Layout[R], rows: Sequence[R] = ()) -> None:
        super().__init__(classes="picker")
        self._title = title
        self._design = layout
        self._rows = tuple(rows)
        self._notes: tuple[Line, ...] = ()
        self._there = False
        self._begin_at: str | None = None

    def compose(self) -> ComposeResult:
        """The filter has the keys from the first: what is typed narrows the choice."""
        with Vertical(id="picker") as room:
            entitle(room, self._title, "enter chooses, esc closes")
            yield Input(placeholder="type to filter", id="picker-filter")
            yield Lines(id="picker-notes")
            yield Picks(self._design, id="picks")

    def on_mount(self) -> None:
        """Only then it is known how much room there is."""
        self._there = True
        for field in self.query("#picker-filter"):  # one that is closed at once has none yet
            field.focus()
        self.call_after_refresh(self._draw)

    def on_unmount(self) -> None:
        """There is nothing to draw on any more."""
        self._there = False

    def show(
        self, rows: Sequence[R], notes: Sequence[Line] = (), begin_at: str | None = None
    ) -> None:
        """Show these from now on; `begin_at`: the key of the row to begin with."""
        self._rows, self._notes, self._begin_at = tuple(rows), tuple(notes), begin_at
        if self._there:
            self._draw()

    @property
    def _table(self) -> RowTable[R]:
        return self.query_one("#picks", RowTable)

    def _draw(self) -> None:
        if not self.query("#picks"):  # they come a moment after this screen does
            if self._there:
                self.call_after_refresh(self._draw)
            return
        words = self.query_one("#picker-filter", Input).value
        self._table.show(selected(self._rows, words), 0, Sorting())
        self.query_one("#picker-notes", Lines).show(self._notes)
        self.set_class(bool(self._notes), "-noted")
        if self._begin_at is not None and self._table.go_to(self._begin_at):
            self._begin_at = None

    def on_input_changed(self) -> None:
        """The filter works while it is typed."""
        self._draw()

    def on_input_submitted(self) -> None:
        """Choose what is under the cursor."""
        self._choose()

    def on_data_table_row_selected(self) -> None:
        """Enter in the table, or a click on the row under the cursor."""
        self._choose()

    def on_row_table_resized(self) -> None:
        """Other columns have room."""
        self._draw()

    def _choose(self) -> None:
        row = self._table.current
        if row is not None:
            self.dismiss(row.key)

    def action_move(self, by: int) -> None:
        """Move the cursor while the filter has the keys."""
        self._table.move_cursor(row=self._table.cursor_row + by)
