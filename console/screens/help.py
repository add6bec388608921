"""What the keys do, and what symbols and reasons mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from console.view import nodes, timeline
from console.view.paint import painted
from console.widgets.paint import palette_of
from coord.status.reasons import WHY_NOT

KEYS = (
    ("a", "act: step down, transfer, drain, pause, …; each shows first what it would do"),
    ("enter", "what is under the cursor in full; again, or esc, closes it"),
    ("/", "filter as you type: every word must stand somewhere in the row; esc ends it"),
    ("s, S", "sort by the next column; turn the order around. Or click on a head"),
    ("w", "how far back the leadership line goes"),
    ("y", "copy the node's name, or what is shown of it in full"),
    ("↑ ↓ j k", "up and down; likewise PgUp, PgDn, Home and End"),
    ("tab", "to the next pane, for its own scrolling"),
    ("ctrl+p", "all commands, the themes among them"),
    ("esc", "back"),
    ("q", "quit"),
)
SYMBOLS = (
    (nodes.LEADER, "leads"),
    (nodes.READY, "ready to lead when nobody does"),
    (nodes.WAITING, "on its way: joining, waiting, acquiring, cooling down"),
    (nodes.OBSERVES, "may not lead"),
    (nodes.TROUBLED, "a check of it warns"),
    (nodes.GONE, "gone: its check fails"),
)


class HelpScreen(ModalScreen[None]):
    """Over what it explains; any of its keys closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "Close"),
    ]

    def compose(self) -> ComposeResult:
        """One text that can be scrolled."""
        with VerticalScroll(id="help") as room:
            room.border_title = "Help (esc closes)"
            yield Static(Group(*self._parts()), id="help-text", markup=False)

    def _parts(self) -> Iterator[RenderableType]:
        yield _table("Keys", KEYS)
        yield _table("Symbols of the nodes", SYMBOLS)
        yield Text("Leadership line", "bold underline")
        marks = painted(timeline.legend(), palette_of(self.app))
        marks.no_wrap, marks.overflow = False, "fold"
        yield marks
        yield Text()
        reasons = [(why.value, said.meaning) for why, said in WHY_NOT.items()]
        yield _table("Why a node does not lead", reasons)


def _table(title: str, rows: Iterable[tuple[str, str]]) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, meaning in rows:
        table.add_row(Text(name), Text(meaning))
    return Group(Text(title, "bold underline"), table, Text())
