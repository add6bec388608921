"""What one node is, and why it does not lead, beside the table."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from coord.status import NodeStatus
from coord.status.text import render_node
from coord.status.words import plain

_COPIED_WIDTH = 100


class Details(VerticalScroll):
    """Shows one node as `coord status NODE` does."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._content: RenderableType = ""
        self._said = ""

    def compose(self) -> ComposeResult:
        """One text, as long as it needs to be."""
        yield Static(id="details-text", markup=False)

    def show(self, node: NodeStatus, *, old: bool) -> None:
        """Show this from now on; `old`: it was read long ago, and says so."""
        self._content = render_node(node, old=old)
        said = as_text(self._content)
        if said != self._said:
            self._said = said
            self.border_title = plain(node.node, 40)
            self.query_one("#details-text", Static).update(self._content)

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
