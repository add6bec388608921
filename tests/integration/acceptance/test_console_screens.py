"""The console's screens before a real fleet: a change of leader, traced from the event to who asked
for it; what Consul holds meanwhile; and the doctor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from acceptance import FAST, MakeBench
from consul_agents import ConsulAgent, client_of
from operator_bench import Operator
from rights_bench import Rights
from textual.pilot import Pilot

from console.app import ConsoleApp
from console.screens.listing import ListRoom
from console.source import Source
from console.view.rooms import Where
from console.widgets.details import Details
from console.widgets.lines import Lines
from console.widgets.table import RowTable
from coord.clock import SystemClock
from coord.consul import ConsulApi
from coord.doctor import Here
from coord.election.timing import Timing
from coord.operations import Operation
from coord.records import Paths
from coord.rights import Role
from demo.fleet import Fleet

GENEROUS_S = 60.0


ENDS_AN_ELECTION = ("leader_changed", "takeover_attempted")


class Screens:
    """The console as somebody sees it."""

    def __init__(self, app: ConsoleApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def room(self) -> ListRoom[Any]:
        room = self.app.room
        assert isinstance(room, ListRoom)
        return room

    @property
    def table(self) -> RowTable[Any]:
        return self.room.query_one(RowTable)

    def column(self, name: str) -> list[str]:
        names = [column.value for column in self.table.columns]
        if name not in names:  # nothing was drawn yet
            return []
        index = names.index(name)
        return [self.table.get_row_at(i)[index].plain for i in range(self.table.row_count)]

    def lines(self, id: str) -> str:
        """What a part of the screen shows."""
        found = self.room.query(f"#{id}").results(Lines)
        return "\n".join(str(part.render()) for part in found)

    def under_cursor(self, field: str) -> str:
        row = self.table.current
        return "" if row is None else str(getattr(row, field))

    async def find(self, **fields: str) -> None:
        """Move the cursor up from the end to a row that is so, as soon as there is one."""
        async with asyncio.timeout(GENEROUS_S):
            while True:
                await self.pilot.press("end")
                for _ in range(self.table.row_count):
                    if all(self.under_cursor(name) == value for name, value in fields.items()):
                        return
                    await self.pilot.press("up")

    async def go(self, where: Where) -> None:
        await self.pilot.press(where.key)
        await self.until(lambda: self.app.screen is self.app.rooms[where])

    async def until(self, right: Callable[[], object]) -> None:
        """Wait until the picture is right; it is drawn by events of the app's own."""
        async with asyncio.timeout(GENEROUS_S):
            while not right():
                await self.pilot.pause(0.02)


@asynccontextmanager
async def opened(consul: ConsulApi, paths: Paths) -> AsyncIterator[Screens]:
    clock = SystemClock()
    here = Here(node="here", timing=Timing())
    app = ConsoleApp(Source(consul, paths, clock=clock, address="here", here=here), clock=clock)
    async with app.run_test(size=(160, 50)) as pilot:
        yield Screens(app, pilot)


@pytest.mark.long
async def test_a_change_is_traced_from_the_event_to_who_asked_for_it(make_bench: MakeBench) -> None:
    bench = await make_bench(env=FAST)
    await bench.fleet.start("core-1", "core-2", "core-3")
    first, term = await bench.working_leader()

    async with opened(bench.consul, bench.paths) as screens:
        await screens.go(Where.EVENTS)
        # The cursor at the end follows what is told; a candidate that came late may be the last.
        await screens.until(lambda: screens.under_cursor("kind") in ENDS_AN_ELECTION)
        operator = Operator(bench.consul, bench.paths, actor="alice")
        plan = await operator.planned(Operation.STEP_DOWN)
        doing = await operator.do(plan)
        request = plan.ask.request_id
        assert (await doing.outcome()).ok
        second, _ = await bench.working_leader(after_term=term)
        await screens.find(kind="leader_changed", node=second.name)
        await screens.pilot.press("c")
        await screens.until(lambda: screens.under_cursor("kind") == "lost_leadership")
        assert screens.under_cursor("node") == first.name
        await screens.pilot.press("c")
        await screens.until(lambda: screens.under_cursor("kind") == "step_down_requested")
        await screens.pilot.press("enter")
        assert request in screens.room.query_one(Details).said
        await screens.pilot.press("escape", "c")
        await screens.until(lambda: screens.app.room.WHERE is Where.AUDIT)
        await screens.until(lambda: screens.under_cursor("request_id") == request)
        await screens.until(lambda: screens.under_cursor("outcome") == "done")
        assert screens.under_cursor("actor") == "alice"


async def test_what_consul_holds_follows_the_leader(make_bench: MakeBench) -> None:
    bench = await make_bench(env=FAST)
    await bench.fleet.start("core-1", "core-2")
    first, term = await bench.working_leader()

    async with opened(bench.consul, bench.paths) as screens:
        await screens.go(Where.SESSIONS)
        await screens.until(lambda: screens.column("stands")[:2] == ["holds the lock", "stands by"])
        assert screens.column("node")[0] == f"★ {first.name}"
        await screens.until(lambda: f"held by {first.name}" in screens.lines("lock"))
        await screens.until(lambda: "● passing" in screens.lines("lock"))
        first.kill()
        second, later = await bench.working_leader(after_term=term)
        await screens.until(lambda: f"held by {second.name}" in screens.lines("lock"))
        await screens.until(lambda: f"at work, term {later}" in screens.column("stands"))
        await screens.until(lambda: screens.column("kind").count("session") == 1)
        assert "stale, gone" in screens.column("stands")


@pytest.mark.long
async def test_the_doctor_finds_it_and_the_runbook_says_what_to_do(make_bench: MakeBench) -> None:
    bench = await make_bench(env=FAST)
    await bench.fleet.start("core-1")
    await bench.working_leader()

    async with opened(bench.consul, bench.paths) as screens:
        await screens.go(Where.HEALTH)
        await screens.pilot.press("r")
        await screens.until(lambda: "single_candidate" in screens.column("code"))
        assert "looked" in screens.lines("doctor")
        while screens.under_cursor("code") != "single_candidate":
            await screens.pilot.press("down")
        await screens.pilot.press("enter")
        await screens.until(lambda: screens.app.room.WHERE is Where.RUNBOOKS)
        await screens.until(
            lambda: screens.under_cursor("key") == "debug-election#single_candidate"
        )


@pytest.mark.also_with_acls
async def test_a_viewer_sees_every_screen(rights: Rights, tmp_path: Any) -> None:
    """With a viewer's token, where there are ACLs: all of it is to be seen, nothing is refused."""
    agent: ConsulAgent = rights.agent
    async with (
        Fleet(
            agent.http_addr,
            tmp_path,
            election=rights.election,
            token=rights.token,
            env=FAST,
            more=rights.of_node,
        ) as fleet,
        client_of(agent, token=rights.of(Role.VIEWER).get("CONSUL_HTTP_TOKEN")) as consul,
    ):
        await fleet.start("core-1", "core-2")
        await fleet.leader()
        async with opened(consul, fleet.paths) as screens:
            await screens.until(lambda: "LEADS" in screens.lines("headline"))
            await screens.go(Where.EVENTS)
            await screens.until(lambda: "★ leader_changed" in screens.column("kind"))
            await screens.go(Where.SESSIONS)
            await screens.until(lambda: "holds the lock" in screens.column("stands"))
            await screens.until(lambda: "● passing" in screens.lines("lock"))
            assert screens.lines("notes") == ""
            await screens.go(Where.HEALTH)
            await screens.until(lambda: "HEALTHY" in screens.lines("cluster"))
            await screens.pilot.press("r")
            await screens.until(lambda: "looked" in screens.lines("doctor"))
            await screens.go(Where.AUDIT)
            await screens.until(lambda: "no operation was written down" in screens.lines("none"))
