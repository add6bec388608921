"""The console at work on a real Consul, whose leaders are made by hand: keys in, picture out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from consul_agents import eventually
from hand_made import Tenure, lead, register, release
from textual.pilot import Pilot
from textual.widgets import Button, Input, OptionList

from console.app import ConsoleApp
from console.controls.actions import ACTIONS
from console.controls.desk import Desk
from console.screens.control import ControlScreen
from console.screens.control_menu import ControlMenu
from console.source import Source
from console.widgets.lines import Lines
from console.widgets.parts import Parts
from coord.clock import SystemClock
from coord.config import Settings
from coord.consul import ConsulApi
from coord.controls import Controls, read_controls
from coord.operations import AuditEntry, read_audit
from coord.records import Paths, RequestRecord

GENEROUS_S = 60.0
ACTOR = "ann@ops"


class Told(ConsoleApp):
    """A console that remembers its notices, which go by themselves."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.notices: list[str] = []

    def notify(self, message: str, **more: Any) -> None:
        self.notices.append(message)
        super().notify(message, **more)


class Hands:
    """Somebody before the console.

    consul, paths: the test's own way to look, and to play the leader.
    """

    def __init__(self, app: Told, pilot: Pilot[None], consul: ConsulApi, paths: Paths) -> None:
        self.app = app
        self.pilot = pilot
        self.consul = consul
        self.paths = paths

    # -- keys ------------------------------------------------------------------------------

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Into what has the keys."""
        names = {" ": "space", "-": "minus", "@": "at", ".": "full_stop", ",": "comma"}
        await self.press(*(names.get(char, char) for char in text))

    async def cursor_on(self, node: str) -> None:
        """Put the cursor on that node."""
        await self.press("home")
        async with asyncio.timeout(GENEROUS_S):
            while self.app.node_under_cursor != node:
                await self.press("down")

    async def act(self, key: str) -> ControlScreen:
        """Open the menu, choose, and wait for its dialog."""
        await self.open_menu()
        operation = next(each.operation.value for each in ACTIONS if each.key == key)
        while not isinstance(self.app.screen, ControlScreen):
            # On a machine that is slow the picture may be too old to act on, and that is said.
            await self.until(lambda: dict(self.menu)[operation])
            await self._answered(key)
        return self.dialog

    async def _answered(self, key: str) -> None:
        """Press it, and wait until there is a dialog, or a notice that says why not."""
        told, app = len(self.notices), self.app
        await self.press(key)
        await self.until(lambda: isinstance(app.screen, ControlScreen) or len(self.notices) > told)

    async def open_menu(self) -> None:
        """Open the menu, with the keys in it."""
        await self.press("a")
        await self.until(lambda: isinstance(self.app.screen, ControlMenu))
        await self.until(lambda: self.focused == "menu-actions")

    async def asked(self, key: str) -> ControlScreen:
        """The same, and wait until it shows what would be done."""
        dialog = await self.act(key)
        await self.until(lambda: self.offered("do"))
        return dialog

    async def confirm(self, reason: str = "a test") -> None:
        """Give a reason, and press the button."""
        await self.fill("reason", reason)
        await self.press("enter", "enter")

    async def fill(self, field: str, text: str) -> None:
        """Go to that field by the keyboard, and type."""
        async with asyncio.timeout(GENEROUS_S):
            while self.focused != f"control-{field}":
                await self.press("tab")
        await self.type(text)

    async def button(self, id: str) -> None:
        """Go to that button by the keyboard, and press it."""
        async with asyncio.timeout(GENEROUS_S):
            while self.focused != id:
                await self.press("tab")
        await self.press("enter")

    def on_board(self) -> bool:
        """Whether the dashboard is on top."""
        return self.app.screen is self.app.dashboard

    # -- what is to be seen ----------------------------------------------------------------

    async def until(self, right: Callable[[], object]) -> None:
        """Wait until the picture is right; it is drawn by events of the app's own."""
        try:
            async with asyncio.timeout(GENEROUS_S):
                while not right():
                    await self.pilot.pause(0.02)
        except TimeoutError:
            told = "\n".join((*self.picture(), *self.notices, repr(self.app.screen_stack)))
            raise AssertionError(told) from None

    async def reads(self, text: str) -> None:
        """Wait until the dialog says that."""
        await self.until(lambda: text in self.text or text in self.said)

    @property
    def dialog(self) -> ControlScreen:
        assert isinstance(self.app.screen, ControlScreen), self.app.screen
        return self.app.screen

    @property
    def text(self) -> str:
        """What the dialog shows."""
        return self._part("control-text")

    @property
    def said(self) -> str:
        """What stands above its buttons."""
        return self._part("control-said")

    def _part(self, id: str) -> str:
        return "".join(each.said for each in self.app.screen.query(f"#{id}").results(Parts))

    @property
    def menu(self) -> list[tuple[str, bool]]:
        """The menu's options, as they are named and whether they can be chosen."""
        listed = self.app.screen.query_one(OptionList)
        return [(option.id or "", not option.disabled) for option in listed.options]

    @property
    def focused(self) -> str | None:
        """The id of what has the keys."""
        return None if self.app.focused is None else self.app.focused.id

    @property
    def asked_now(self) -> Controls:
        """What is asked of the election, as the screen has it."""
        status = self.app.snapshot.status
        assert status is not None
        return status.controls.asked

    @property
    def notices(self) -> list[str]:
        """All of them, also those that have gone."""
        return self.app.notices

    def offered(self, id: str) -> bool:
        """Whether the dialog on top has that button."""
        screen = self.app.screen
        found = screen.query(f"#{id}").results(Button)
        return isinstance(screen, ControlScreen) and any(each.display for each in found)

    def board_is_old(self) -> bool:
        """Whether what the dashboard shows is no ground to act on."""
        return self.app.dashboard.has_class("-banner")

    def typed(self, field: str) -> str:
        return self.app.screen.query_one(f"#control-{field}", Input).value

    def headline(self) -> str:
        return str(self.app.dashboard.query_one("#headline", Lines).render()).splitlines()[0]

    def picture(self) -> list[str]:
        """The whole screen as lines of text."""
        strips = self.app.screen._compositor.render_strips(self.app.size)
        return [strip.text.rstrip() for strip in strips]

    # -- what stands in Consul -------------------------------------------------------------

    async def request(self) -> RequestRecord:
        """What is asked of the leader, once it is."""

        async def asked() -> RequestRecord | None:
            return (await read_controls(self.consul, self.paths)).request

        found = await eventually(asked, until=lambda each: each is not None)
        assert found is not None
        return found

    async def audit(self) -> tuple[AuditEntry, ...]:
        return await read_audit(self.consul, self.paths)


@asynccontextmanager
async def at_console(
    consul: ConsulApi,
    paths: Paths,
    *,
    by: ConsulApi | None = None,
    size: tuple[int, int] = (100, 40),
    watch: bool = True,
    **more: Any,
) -> AsyncIterator[Hands]:
    """Somebody before a console.

    by: what the console itself asks Consul with, where that is not `consul`.
    watch: whether it reads the election; else it shows what is posted.
    """
    clock = SystemClock()
    ways = by if by is not None else consul
    settings = Settings(environ={}, node="operator", election=paths.election)
    source = Source(ways, paths, clock=clock, address="here")
    async with Desk(ways, settings, clock=clock, actor=ACTOR) as desk:
        app = Told(source if watch else None, clock=clock, desk=desk, **more)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            yield Hands(app, pilot, consul, paths)


async def standing(
    consul: ConsulApi, paths: Paths, *others: str, leader: str = "core-1", term: int = 7
) -> Tenure:
    """A leader that works, made by hand, and others that stand by."""
    told: dict[str, Any] = {
        "priority": "100",
        "workloads": "cluster-health",
        "fenced_within_ms": "2500",
    }
    service = paths.candidate_service
    await register(consul, service, leader, state="leading", why_not="", **told)
    for node in others:
        await register(consul, service, node, state="standby", why_not="held_by_other", **told)
    return await leads(consul, paths, leader, term)


async def leads(consul: ConsulApi, paths: Paths, node: str, term: int) -> Tenure:
    """That node takes the lock, and is shown to work."""
    tenure = await lead(consul, paths, node, term)
    await register(consul, paths.leader_service, node, boot=f"t{term}", term=str(term))
    return tenure


async def hand_over(
    consul: ConsulApi, paths: Paths, tenure: Tenure, to: str, *, why: str = "stepped_down"
) -> Tenure:
    """The leader gives the lock back, and another takes it, in the next term."""
    await release(consul, paths, tenure, why=why)
    return await leads(consul, paths, to, tenure.leadership.term + 1)
