"""The console without a terminal and without Consul: given snapshots, with time standing still."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from console_scenes import NOW
from snapshots import NOW_MS
from textual.pilot import Pilot

from console.app import ConsoleApp
from console.messages import SnapshotFetched
from console.screens.dashboard import Dashboard
from console.screens.listing import ListRoom
from console.screens.room import Room
from console.snapshot import Snapshot
from console.view.nodes import NodeRow
from console.view.rooms import Where
from console.widgets.details import Details
from console.widgets.lines import Lines
from console.widgets.table import RowTable


class StoppedClock:
    """A clock that moves when the test says so."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> float:
        return self.at

    def wall_ms(self) -> int:
        return NOW_MS + round((self.at - NOW) * 1000)


class Seat:
    """Somebody who looks at the console, and presses keys."""

    def __init__(self, app: ConsoleApp, pilot: Pilot[None], clock: StoppedClock) -> None:
        self.app = app
        self.pilot = pilot
        self.clock = clock

    @property
    def board(self) -> Dashboard:
        return self.app.dashboard

    @property
    def table(self) -> RowTable[Any]:
        return self.room.query_one(RowTable)

    @property
    def room(self) -> Room:
        """The screen that is looked at."""
        return self.app.room

    @property
    def listing(self) -> ListRoom[Any]:
        """The same, where it is one around a table."""
        assert isinstance(self.app.room, ListRoom)
        return self.app.room

    def title(self) -> str:
        """What stands above the table."""
        return str(self.room.query_one(f"#{self.listing.WHAT}-room").border_title)

    def column(self, name: str) -> list[str]:
        """What one column shows, from the top."""
        return [self.cell(row, name) for row in range(self.table.row_count)]

    def details(self) -> str:
        """What is shown in full, as plain text."""
        return self.room.query_one(Details).said

    async def type(self, text: str) -> None:
        """Type a text, letter by letter."""
        await self.press(*("space" if char == " " else char for char in text))

    @property
    def current(self) -> NodeRow:
        row = self.board.table.current
        assert row is not None
        return row

    def on_board(self) -> bool:
        """Whether the dashboard is on top."""
        return self.app.screen is self.board

    def focused(self) -> str | None:
        """The id of what hears the keys first."""
        focused = self.app.focused
        return None if focused is None else focused.id

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def show(self, snapshot: Snapshot) -> None:
        """What a worker would post."""
        self.app.post_message(SnapshotFetched(snapshot))
        await self.pilot.pause()
        await self.pilot.pause()

    async def wait(self, seconds: float) -> None:
        """Let time pass for what is shown."""
        self.clock.at += seconds
        self.app.tick()
        await self.pilot.pause()

    def lines(self, id: str) -> list[str]:
        """What a part of the screen shows."""
        return str(self.room.query_one(f"#{id}", Lines).render()).splitlines()

    def nodes(self) -> list[str]:
        """The names in the table, from the top."""
        return [self.table.get_row_at(i)[0].plain[2:] for i in range(self.table.row_count)]

    def cell(self, row: int, column: str) -> str:
        index = self.table.get_column_index(column)
        return self.table.get_row_at(row)[index].plain

    def screen(self) -> list[str]:
        """The whole picture as lines of text."""
        size = self.app.size
        strips = self.app.screen._compositor.render_strips(size)
        return [strip.text.rstrip() for strip in strips]


@asynccontextmanager
async def seated(
    snapshot: Snapshot, size: tuple[int, int] = (120, 40), theme: str | None = None
) -> AsyncIterator[Seat]:
    """Somebody before the console, in a terminal of that size, which shows the snapshot."""
    clock = StoppedClock()
    app = ConsoleApp(None, clock=clock, snapshot=snapshot, theme=theme)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        await pilot.pause()
        yield Seat(app, pilot, clock)


async def at(seat: Seat, where: Where) -> Seat:
    """Go to that screen by its key."""
    await seat.press(where.key)
    await seat.pilot.pause()
    await seat.pilot.pause()
    assert seat.room.WHERE is where
    return seat
