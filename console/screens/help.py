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

from console.screens.listing import LIST_KEYS
from console.screens.room import Keys
from console.view import nodes, polls, timeline
from console.view.paint import painted
from console.view.rooms import SHOWS, Where
from console.widgets.markup import entitle
from console.widgets.paint import palette_of
from coord.status.reasons import WHY_NOT

EVERYWHERE = (
    (
        f"1 … {len(Where)}",
        "the screens: " + ", ".join(f"{each.key} {each.value}" for each in Where),
    ),
    ("e", "choose another election"),
    ("a", "act: step down, transfer, drain, pause, …; each shows first what it would do"),
    ("ctrl+p", "all commands, the themes among them"),
    ("esc", "back"),
    ("?", "this help"),
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

    def __init__(self, where: Where, keys: Keys) -> None:
        """keys: those that only the screen has from which it is asked for."""
        super().__init__()
        self._where = where
        self._keys = keys

    def compose(self) -> ComposeResult:
        """One text that can be scrolled."""
        with VerticalScroll(id="help") as room:
            entitle(room, "Help (esc closes)")
            yield Static(Group(*self._parts()), id="help-text", markup=False)

    def _parts(self) -> Iterator[RenderableType]:
        yield _table(f"{self._where.label}: {SHOWS[self._where]}", self._own())
        yield _table("Everywhere", EVERYWHERE)
        if self._where is Where.DASHBOARD:
            yield from self._of_dashboard()
        if self._where in (Where.DASHBOARD, Where.POLLS):
            yield _table("Polls", polls.WORDS)
        if self._where is Where.POLLS:
            yield _table("Why a run has no answer", polls.UNANSWERED.items())

    def _own(self) -> list[tuple[str, str]]:
        """The keys of the screen; what it says of a key of every table comes first."""
        own = {key for key, _ in self._keys} - {"/"}
        return [*self._keys, *(each for each in LIST_KEYS if each[0] not in own)]

    def keys_said(self) -> frozenset[str]:
        """Every key that it says something of."""
        said = (key for key, _ in (*self._own(), *EVERYWHERE))
        return frozenset(word for keys in said for word in keys.replace(",", " ").split())

    def _of_dashboard(self) -> Iterator[RenderableType]:
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
