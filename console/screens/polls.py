"""What is polled: every schedule with what it found last, who runs them, and a run now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from rich.console import RenderableType
from textual.binding import Binding, BindingType
from textual.widget import Widget

from console.screens.listing import ListRoom
from console.screens.room import TALL, Keys
from console.snapshot import Snapshot
from console.view import pollers, polls, schedules
from console.view.detail import gridded
from console.view.line import Line
from console.view.rooms import Where
from console.view.schedule_detail import detail
from console.view.schedules import ScheduleRow
from console.widgets.lines import Lines
from console.widgets.paint import palette_of

FARES = 2
"""In how many lines at most it is told how all of it fares."""

FEW_POLLERS, MANY_POLLERS = 2, 6
"""In how many lines the pollers are shown on a short screen, and on one that is not."""


class PollsRoom(ListRoom[ScheduleRow]):
    """Above how all of it fares and the pollers, below the schedules, the worst first."""

    WHERE = Where.POLLS
    WHAT = "schedules"
    LAYOUT_OF_ROWS = schedules.LAYOUT
    KEYS: ClassVar[Keys] = (
        ("r", "run it now, out of turn: shows first what that does; again, and it is followed"),
        ("/", "also by part: is:down, poller:edge-1, for:dmz, target:shop, enabled:no"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "app.run_now", "Run now"),
        Binding("r", "app.run_not", "Run now ✖"),
    ]

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._made: tuple[object, tuple[ScheduleRow, ...]] = (None, ())

    def above(self) -> Iterator[Widget]:
        """How all of it fares, and who runs it."""
        yield Lines(id="fares")
        yield Lines(id="pollers", classes="panel")

    def rows_of(self, snapshot: Snapshot) -> tuple[ScheduleRow, ...]:
        """Thousands are not made anew because something else has changed."""
        status = snapshot.status
        of = (snapshot.poll_board, None if status is None else status.pollers)
        if of != self._made[0]:
            self._made = (of, schedules.schedule_rows(snapshot))
        return self._made[1]

    def name_of(self, row: ScheduleRow) -> str:
        """See `ListRoom`."""
        return row.id

    @property
    def schedule_under_cursor(self) -> str | None:
        """See `Room`."""
        return None if self.current is None else self.current.key

    def detail_of(self, row: ScheduleRow) -> RenderableType:
        """See `ListRoom`."""
        now_ms = self._snapshot.wall_ms(self._now())
        return gridded(detail(row, now_ms), palette_of(self.app))

    def none(self, snapshot: Snapshot) -> Line:
        """See `ListRoom`."""
        return schedules.none(snapshot)

    def notes(self, snapshot: Snapshot) -> tuple[Line, ...]:
        """See `ListRoom`."""
        return tuple(schedules.notes(snapshot))

    def draw_time(self) -> None:
        """Ages, and how much the pollers have to do."""
        snapshot, now = self._snapshot, self._now()
        top = self.query_one("#fares", Lines)
        fares = polls.in_lines(snapshot, now, self.size.width - 2, FARES)
        top.display = bool(fares)
        top.show(fares)
        panel = self.query_one("#pollers", Lines)
        panel.entitle(pollers.title(snapshot))
        most = MANY_POLLERS if self.size.height >= TALL else FEW_POLLERS
        panel.show(pollers.panel(snapshot, panel.content_size.width, most))
        super().draw_time()
