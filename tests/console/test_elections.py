"""Choosing an election, on a real Consul that has several."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from consul_agents import ConsulAgent
from hand_made import lead, register
from tcp_proxy import Mode, TcpProxy
from textual.pilot import Pilot

from console.app import ConsoleApp
from console.screens.picker import Picker
from console.source import Source
from console.view.rooms import Where
from console.widgets.lines import Lines
from console.widgets.table import RowTable
from coord.clock import SystemClock
from coord.config import Settings
from coord.consul import ConsulApi, ConsulClient
from coord.records import Paths

pytestmark = pytest.mark.long

GENEROUS_S = 60.0


async def until(pilot: Pilot[None], right: Callable[[], object]) -> None:
    """Wait until the picture is right; it is drawn by events of the app's own."""
    async with asyncio.timeout(GENEROUS_S):
        while not right():
            await pilot.pause(0.02)


@asynccontextmanager
async def opened(
    consul: ConsulApi, election: str, *, named: bool = True
) -> AsyncIterator[tuple[ConsoleApp, Pilot[None]]]:
    clock = SystemClock()

    def source(name: str) -> Source:
        return Source(consul, Paths(name), clock=clock, address="here")

    app = ConsoleApp(source(election), clock=clock, opened=source, named=named)
    async with app.run_test(size=(120, 40)) as pilot:
        yield app, pilot


def picks(app: ConsoleApp) -> list[str]:
    """The elections that can be chosen just now; none while no picker is there in whole."""
    if not isinstance(app.screen, Picker):
        return []
    tables = app.screen.query(RowTable)
    return [table.get_row_at(i)[0].plain for table in tables for i in range(table.row_count)]


def headline(app: ConsoleApp) -> str:
    return str(app.rooms[Where.DASHBOARD].query_one("#headline", Lines).render())


async def two(consul: ConsulClient, name: str) -> tuple[str, str]:
    """Two elections that are led."""
    one, other = f"{name}-one", f"{name}-two"
    await lead(consul, Paths(one), "core-1", 3)
    await lead(consul, Paths(other), "core-2", 5)
    return one, other


async def test_e_shows_them_and_enter_goes_there(consul: ConsulClient, name: str) -> None:
    one, other = await two(consul, name)
    async with opened(consul, one) as (app, pilot):
        await until(pilot, lambda: "core-1 LEADS" in headline(app))
        await pilot.press("e")
        await until(pilot, lambda: f"{one} (shown)" in picks(app) and other in picks(app))
        await pilot.press(*("minus" if char == "-" else char for char in other))
        await until(pilot, lambda: picks(app) == [other])
        await pilot.press("enter")
        await until(pilot, lambda: "core-2 LEADS" in headline(app))
        assert app.snapshot.election == other
        assert other in str(app.room.query_one("#header", Lines).render())
        await consul.kv_put(Paths(one).leader, b"")
        await pilot.press("e")
        await until(pilot, lambda: f"{other} (shown)" in picks(app))
        await pilot.press("escape")
        await pilot.pause()
        assert app.snapshot.election == other


async def test_it_asks_where_nobody_named_one(consul: ConsulClient, name: str) -> None:
    one, other = await two(consul, name)
    async with opened(consul, one, named=False) as (app, pilot):
        await until(pilot, lambda: other in picks(app))
    async with opened(consul, one) as (app, pilot):
        await until(pilot, lambda: "core-1 LEADS" in headline(app))
        assert picks(app) == []


async def test_it_does_not_ask_where_there_is_no_other(
    make_agent: Callable[..., ConsulAgent], name: str
) -> None:
    agent = make_agent()
    address = Settings(environ={}, consul_addr=agent.http_addr, node="x").consul_address
    async with ConsulClient(address) as consul:
        await register(consul, Paths(name).candidate_service, "core-1")
        await lead(consul, Paths(name), "core-1", 1)
        async with opened(consul, name, named=False) as (app, pilot):
            await app.workers.wait_for_complete(
                [worker for worker in app.workers if worker.group == "elections"]
            )
            await until(pilot, lambda: "core-1 LEADS" in headline(app))
            assert picks(app) == []
        async with opened(consul, "coordinator", named=False) as (app, pilot):
            await until(pilot, lambda: picks(app) == [name])


async def test_that_consul_cannot_be_asked_is_told_until_it_can(
    consul: ConsulClient, consul_agent: ConsulAgent, name: str
) -> None:
    await lead(consul, Paths(name), "core-1", 1)
    async with TcpProxy("127.0.0.1", consul_agent.ports.http) as proxy:
        await proxy.set(Mode.REFUSE)
        address = Settings(environ={}, consul_addr=proxy.address, node="x").consul_address
        async with ConsulClient(address) as through, opened(through, "x") as (app, pilot):
            await pilot.press("e")
            await until(
                pilot,
                lambda: "cannot be reached" in str(app.screen.query_one("#picker-notes").render()),
            )
            await proxy.set(Mode.PASS)
            await until(pilot, lambda: name in picks(app))
