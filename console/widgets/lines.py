"""Lines, and a line of two ends."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.widgets import Static

from console.view.line import Line
from console.view.paint import painted, stacked
from console.widgets.markup import entitle
from console.widgets.paint import palette_of


class Lines(Static):
    """Shows lines; is drawn anew only if they differ, and with every theme."""

    def __init__(self, *, id: str, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes, markup=False)
        self._lines: tuple[Line, ...] | None = None
        self._title = ""

    def on_mount(self) -> None:
        """Follow the theme."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self._draw())

    def show(self, lines: Sequence[Line]) -> None:
        """Show these from now on."""
        shown, before = tuple(lines), self._lines
        if shown != before:
            self._lines = shown
            self._draw(layout=before is None or len(shown) != len(before))

    def entitle(self, title: str) -> None:
        """What stands in its border from now on."""
        if title != self._title:
            self._title = title
            entitle(self, title)

    def _draw(self, *, layout: bool = False) -> None:
        """layout: it may need more room than before, or less; only their number tells."""
        if self._lines is not None:
            self.update(self._drawn(self._lines), layout=layout)

    def _drawn(self, lines: tuple[Line, ...]) -> Text:
        return stacked(lines, palette_of(self.app))


class Ends(Lines):
    """One line, the first of two at its left end, the second at its right."""

    def _drawn(self, lines: tuple[Line, ...]) -> Text:
        palette = palette_of(self.app)
        left, right = (painted(line, palette) for line in lines)
        room = self.size.width
        most = max(0, room // 2)
        left.truncate(most, overflow="ellipsis")
        right.truncate(max(0, room - left.cell_len - 2), overflow="ellipsis")
        between = max(2, room - left.cell_len - right.cell_len)
        return Text.assemble(left, " " * between, right, no_wrap=True, overflow="crop", end="")

    def on_resize(self) -> None:
        """Where its right end is has changed."""
        self._draw()
