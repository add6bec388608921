"""The console before a real fleet: what it shows when the leader is killed, and comes again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from acceptance import FAST, MakeBench
from textual.pilot import Pilot

from console.app import ConsoleApp
from console.source import Source
from console.view import nodes
from console.view.rooms import Where
from console.widgets.details import Details
from console.widgets.lines import Lines
from console.widgets.table import RowTable
from coord.clock import SystemClock
from coord.consul import ConsulApi
from coord.records import Paths

GENEROUS_S = 60.0


class Screen:
    """The console as somebody sees it."""

    def __init__(self, app: ConsoleApp, pilot: Pilot[None]) -> None:
        self._app = app
        self.pilot = pilot

    def lines(self, id: str) -> list[str]:
        """What a part of the dashboard shows; an empty line while it shows nothing yet."""
        found = self._app.rooms[Where.DASHBOARD].query(f"#{id}").results(Lines)
        return [line for part in found for line in str(part.render()).splitlines()] or [""]

    def row(self, node: str) -> nodes.NodeRow | None:
        rows = nodes.node_rows(self._app.snapshot)
        return next((row for row in rows if row.node == node), None)

    @property
    def table(self) -> RowTable[nodes.NodeRow]:
        return self._app.rooms[Where.DASHBOARD].query_one(RowTable)

    @property
    def details(self) -> str:
        return self._app.rooms[Where.DASHBOARD].query_one(Details).said

    async def until(self, right: Callable[[], object]) -> None:
        """Wait until the picture is right; it is drawn by events of the app's own."""
        async with asyncio.timeout(GENEROUS_S):
            while not right():
                await self.pilot.pause(0.02)


@asynccontextmanager
async def opened(consul: ConsulApi, paths: Paths) -> AsyncIterator[Screen]:
    clock = SystemClock()
    app = ConsoleApp(Source(consul, paths, clock=clock, address="here"), clock=clock)
    async with app.run_test(size=(160, 50)) as pilot:
        yield Screen(app, pilot)


async def test_a_killed_leader_and_its_successor_are_seen(make_bench: MakeBench) -> None:
    bench = await make_bench(env=FAST)
    await bench.fleet.start("core-1", "core-2", "core-3")
    first, term = await bench.working_leader()

    async with opened(bench.consul, bench.paths) as screen:
        await screen.until(lambda: screen.lines("headline")[0].startswith(f"★ {first.name} LEADS"))
        assert f"term {term}" in screen.lines("headline")[0]
        await screen.until(lambda: screen.table.row_count == 3)

        first.kill()
        second, later = await bench.working_leader(after_term=term)
        await screen.until(lambda: screen.lines("headline")[0].startswith(f"★ {second.name} LEADS"))
        assert f"term {later}" in screen.lines("headline")[0]
        await screen.until(lambda: f"{first.name} → {second.name}" in screen.lines("timeline")[-1])
        assert any(line.startswith("acquire") for line in screen.lines("failover"))
        await screen.until(lambda: screen.table.get_row_at(0)[0].plain == f"★ {second.name}")

        await screen.pilot.press("home", "enter")
        await screen.until(lambda: "Term" in screen.details)
        assert second.name in screen.details
