"""What is under the cursor in full, beside the table."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from console.widgets.markup import entitle
from coord.status.words import plain

_COPIED_WIDTH = 100


class Details(VerticalScroll):
    """Shows one thing in full, below its name."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._said = ""
        self._theme = ""

    def compose(self) -> ComposeResult:
        """One text, as long as it needs to be."""
        yield Static(id="details-text", markup=False)

    def show(self, title: str, content: RenderableType) -> None:
        """Show this from now on."""
        said, theme = as_text(content), self.app.theme
        if (said, theme) != (self._said, self._theme):
            self._said, self._theme = said, theme
            entitle(self, plain(title, 40))
            self.query_one("#details-text", Static).update(content)

    @property
    def said(self) -> str:
        """What it shows, as plain text."""
        return self._said


def as_text(content: RenderableType) -> str:
    """What a renderable says, without colours."""
    console = Console(file=io.StringIO(), width=_COPIED_WIDTH, no_color=True)
    with console.capture() as capture:
        console.print(content)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
