"""The lock, the sessions and the services, as Consul holds them."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from textual.widget import Widget

from console.screens.listing import ListRoom
from console.snapshot import Snapshot
from console.view import sessions
from console.view.detail import gridded
from console.view.line import Line
from console.view.rooms import Where
from console.view.sessions import HeldRow
from console.widgets.lines import Lines
from console.widgets.paint import palette_of


class SessionsRoom(ListRoom[HeldRow]):
    """Above the lock, below everything that hangs on it."""

    WHERE = Where.SESSIONS
    WHAT = "holdings"
    TITLE_OF_ROWS = "Sessions and services"
    LAYOUT_OF_ROWS = sessions.LAYOUT

    def above(self) -> Iterator[Widget]:
        """The lock."""
        yield Lines(id="lock", classes="panel")

    def rows_of(self, snapshot: Snapshot) -> tuple[HeldRow, ...]:
        """See `ListRoom`."""
        return sessions.held_rows(snapshot)

    def name_of(self, row: HeldRow) -> str:
        """See `ListRoom`."""
        return row.id

    @property
    def node_under_cursor(self) -> str:
        """See `Room`."""
        return "" if self.current is None else self.current.node

    def detail_of(self, row: HeldRow) -> RenderableType:
        """See `ListRoom`."""
        return gridded(sessions.detail(row), palette_of(self.app))

    def notes(self, snapshot: Snapshot) -> tuple[Line, ...]:
        """See `ListRoom`."""
        return sessions.notes(snapshot)

    def draw_time(self) -> None:
        """The lock counts."""
        top = self.query_one("#lock", Lines)
        top.entitle("Lock")
        top.show(sessions.lock(self._snapshot, self._now()))
        super().draw_time()
