"""Lines and rows of a title and a text, as long as they need to be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual.widgets import Static

from console.controls.parts import Part, Row
from console.view.line import Line, text_of
from console.view.paint import Palette, painted
from console.widgets.paint import palette_of


class Parts(Static):
    """Shows parts; is drawn anew only if they differ, and with every theme."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, markup=False)
        self._parts: tuple[Part, ...] | None = None

    def on_mount(self) -> None:
        """Follow the theme."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self._draw())

    def show(self, parts: Iterable[Part]) -> bool:
        """Show these from now on; whether they are others than before."""
        shown = tuple(parts)
        if shown == self._parts:
            return False
        self._parts = shown
        self._draw()
        return True

    @property
    def said(self) -> str:
        """What it shows, as plain text."""
        return "\n".join(_said(part) for part in self._parts or ())

    def _draw(self) -> None:
        if self._parts is not None:
            self.update(Group(*_drawn(self._parts, palette_of(self.app))))


def _said(part: Part) -> str:
    lines = (part.head, part.text) if isinstance(part, Row) else (part,)
    return " ".join(text_of(each) for each in lines)


def _drawn(parts: tuple[Part, ...], palette: Palette) -> Iterator[RenderableType]:
    """Rows that follow one another are one table, so that their texts stand in one column."""
    table: Table | None = None
    for part in parts:
        if isinstance(part, Row):
            if table is None:
                table = _table()
            table.add_row(_whole(part.head, palette), _whole(part.text, palette))
            continue
        if table is not None:
            yield table
            table = None
        yield _whole(part, palette)
    if table is not None:
        yield table


def _table() -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _whole(line: Line, palette: Palette) -> Text:
    """A line that is broken where it is too long, not cut."""
    text = painted(line, palette)
    text.no_wrap, text.overflow, text.end = False, "fold", "\n"
    return text
