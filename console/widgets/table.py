"""A table of rows: the cursor stays on its row, and on its line, whatever the data does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable

from console.view.line import Line
from console.view.paint import Palette, painted
from console.view.table import Column, Layout, Row, Sorting
from console.widgets.paint import palette_of

R = TypeVar("R", bound=Row)

_FEW = 30
"""So many rows are taken out one by one; more than that, and all are put in anew."""


class _Cell(Text):
    """A cell that knows its row: the table sorts by cells."""

    __slots__ = ("row_key",)
    row_key: str


class RowTable(DataTable[_Cell], Generic[R]):
    """Shows rows in the order in which they are given.

    tail: the cursor on the last row stays on the last one while others are added below it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Details"),
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        # Textual's own move along the columns, which are all to be seen.
        Binding("home", "scroll_top", "First", show=False),
        Binding("end", "scroll_bottom", "Last", show=False),
    ]

    class Resized(Message):
        """There is more room, or less."""

    def __init__(self, layout: Layout[R], *, id: str, tail: bool = False) -> None:
        super().__init__(id=id, cursor_type="row")
        self._design = layout
        self._tail = tail
        self._columns: tuple[Column[R], ...] = ()
        self._rows: tuple[R, ...] = ()
        self._cells: dict[str, tuple[Line, ...]] = {}
        self._widths: tuple[int, ...] = ()
        self._room = 0
        self._sorting = Sorting()
        self._palette: Palette = {}

    def on_mount(self) -> None:
        """Follow the theme: the colours stand in the cells."""
        self._follow_theme()
        self.app.theme_changed_signal.subscribe(self, lambda _: self._repaint())

    def on_resize(self) -> None:
        """Columns come and go with the width, and are as wide as it lets them."""
        if self.size.width != self._room:
            self.post_message(self.Resized())

    @property
    def current(self) -> R | None:
        """The row under the cursor."""
        return self._rows[self.cursor_row] if 0 <= self.cursor_row < len(self._rows) else None

    def show(self, rows: Sequence[R], now_ms: int, sorting: Sorting) -> None:
        """Show these rows in this order, at that wall-clock time; the head shows the sorting."""
        before, at = self._rows, self.cursor_row
        current, offset = self.current, at - round(self.scroll_y)
        follow = self._tail and not sorting.column and at >= len(before) - 1
        room, self._room = self._room, self.size.width
        columns = self._design.shown(self._room)
        cells = {row.key: tuple(c.cell(row, now_ms) for c in columns) for row in rows}
        # A bar to scroll by takes a column, and comes and goes with the rows.
        widths = self._design.widths(columns, cells.values(), self._room - 1)
        self._rows, self._cells, old = tuple(rows), cells, self._cells
        if (columns, sorting, room) != (
            self._columns,
            self._sorting,
            self._room,
        ) or self._too_narrow(widths):
            self._columns, self._widths, self._sorting = columns, widths, sorting
            self._rebuild()
        elif [row.key for row in before] != [row.key for row in rows]:
            self._rearrange(before, old)
        else:
            self._update_cells(old, cells)
            return
        if follow:
            current, offset, at = None, max(0, self.size.height - 2), len(rows)
        self._restore(current, offset, at)

    def go_to(self, key: str) -> bool:
        """Put the cursor on the row of that key; whether it is there."""
        keys = [row.key for row in self._rows]
        if key not in keys:
            return False
        self.move_cursor(row=keys.index(key), animate=False)
        return True

    def tick(self, now_ms: int) -> None:
        """Let time pass in the rows that are to be seen."""
        top = round(self.scroll_y)
        changed: dict[str, tuple[Line, ...]] = {}
        for row in self._rows[top : top + self.size.height]:
            changed[row.key] = tuple(column.cell(row, now_ms) for column in self._columns)
        self._update_cells(self._cells, changed)
        self._cells |= changed

    # --- putting it there ---

    def _too_narrow(self, widths: tuple[int, ...]) -> bool:
        return len(widths) != len(self._widths) or any(
            needed > there for needed, there in zip(widths, self._widths, strict=True)
        )

    def _rebuild(self) -> None:
        self.clear(columns=True)
        for column, width in zip(self._columns, self._widths, strict=True):
            self.add_column(self._head(column), width=width, key=column.name)
        for row in self._rows:
            self._add(row.key)

    def _head(self, column: Column[R]) -> Text:
        if column.name != self._sorting.column:
            return Text(column.title)
        return Text(f"{column.title} {'▼' if self._sorting.reverse else '▲'}")

    def _rearrange(self, before: Sequence[R], old: dict[str, tuple[Line, ...]]) -> None:
        gone = [row.key for row in before if row.key not in self._cells]
        if len(gone) > _FEW:
            self._rebuild()
            return
        for key in gone:
            self.remove_row(key)
        kept = {row.key for row in before}.difference(gone)
        self._update_cells(old, {key: self._cells[key] for key in kept})
        for row in self._rows:
            if row.key not in kept:
                self._add(row.key)
        order = {row.key: i for i, row in enumerate(self._rows)}
        self.sort(self._columns[0].name, key=lambda cell: order[cell.row_key])

    def _add(self, key: str) -> None:
        self.add_row(*(self._cell(key, line) for line in self._cells[key]), key=key)

    def _cell(self, key: str, line: Line) -> _Cell:
        cell = _Cell(no_wrap=True, overflow="ellipsis", end="")
        cell.append_text(painted(line, self._palette))
        cell.row_key = key
        return cell

    def _update_cells(
        self, old: dict[str, tuple[Line, ...]], new: dict[str, tuple[Line, ...]]
    ) -> None:
        for key, lines in new.items():
            there = old.get(key, ())
            for i, line in enumerate(lines):
                if i >= len(there) or there[i] != line:
                    self.update_cell(key, self._columns[i].name, self._cell(key, line))

    def _follow_theme(self) -> None:
        self._palette = palette_of(self.app)
        # A terminal's own colours are not to be relied on to stand out from one another.
        ansi = self.app.current_theme.ansi
        self.cursor_foreground_priority = "css" if ansi else "renderable"

    def _repaint(self) -> None:
        self._follow_theme()
        if self._columns:
            current, at = self.current, self.cursor_row
            offset = at - round(self.scroll_y)
            self._rebuild()
            self._restore(current, offset, at)

    def _restore(self, current: R | None, offset: int, at: int) -> None:
        """Put the cursor on the row where it was, on the same line of the screen."""
        if not self._rows:
            return
        index = min(at, len(self._rows) - 1)
        if current is not None:
            keys = [row.key for row in self._rows]
            index = keys.index(current.key) if current.key in keys else index
        self.move_cursor(row=index, scroll=False)
        top = max(0, index - offset)

        def scroll() -> None:
            self.scroll_to(y=top, animate=False, force=True)

        self.call_after_refresh(scroll)
