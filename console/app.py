"""The app: workers read Consul and post snapshots, the screen that is looked at draws them."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from console.controls.desk import Desk
from console.controls.running import RunningApp
from console.messages import ElectionsFetched, Examine, Jump, Operate, Return, SnapshotFetched
from console.screens.audit import AuditRoom
from console.screens.dashboard import Dashboard
from console.screens.events import EventsRoom
from console.screens.health import HealthRoom
from console.screens.help import HelpScreen
from console.screens.picker import Picker
from console.screens.polls import PollsRoom
from console.screens.room import WIDE, Keys, Room
from console.screens.runbooks import RunbooksRoom
from console.screens.sessions import SessionsRoom
from console.snapshot import Elections, Snapshot
from console.source import Source
from console.themes import DARK, OURS
from console.view import elections
from console.view.elections import ElectionRow
from console.view.rooms import SHOWS, Where, sentence
from console.widgets.palette import Palette
from console.widgets.tabs import Tab
from coord.clock import Clock

TICK_S = 1.0
"""How often ages and what is left are drawn anew, in seconds."""

RETRY_S = 2.0
"""How soon elections are looked for again after Consul did not answer, in seconds."""

ROOMS: tuple[type[Any], ...] = (
    Dashboard,
    EventsRoom,
    SessionsRoom,
    HealthRoom,
    AuditRoom,
    RunbooksRoom,
    PollsRoom,
)


class ConsoleApp(RunningApp):
    """One election, live.

    source: what reads it; None: only what is posted as `SnapshotFetched` is shown.
    theme: the name of a theme, Textual's own included.
    opened: gives the source of another election; None: there is no choosing another.
    named: somebody named the election; else it is asked for where there are others.
    desk: what does what is asked for; None: nothing can be done. read_only: nothing is to be.

    Raises:
        ValueError: there is no such theme.
    """

    CSS_PATH: ClassVar[str] = str(Path(__file__).with_name("console.tcss"))
    # Textual means it to be a class variable, and says so in a way that is none.
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]] | None] = [  # type: ignore[misc]
        (0, "-narrow"),
        (WIDE, "-wide"),
    ]
    TITLE: str | None = "coord"
    KEYS: ClassVar[Keys] = ()
    """Keys that are there on every screen of this app alone, for the help."""
    DEFAULT_MODE: ClassVar[str] = Where.DASHBOARD.value
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(each.key, f"room('{each.value}')", each.label, show=False) for each in Where),
        Binding("e", "elections", "Election", show=False),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(
        self,
        source: Source | None,
        *,
        clock: Clock,
        snapshot: Snapshot | None = None,
        theme: str | None = None,
        opened: Callable[[str], Source] | None = None,
        named: bool = True,
        desk: Desk | None = None,
        read_only: bool = False,
    ) -> None:
        super().__init__(clock=clock, desk=desk, read_only=read_only)
        self._source = source
        self._opened = opened
        self._named = named
        self._styled: dict[str, str] = {}
        self._picker: Picker[ElectionRow] | None = None
        first = source.snapshot if source is not None else Snapshot(election="")
        self.snapshot = first if snapshot is None else snapshot
        self.rooms: dict[Where, Room] = {
            kind.WHERE: kind(clock.now, self.snapshot, lambda: self.word) for kind in ROOMS
        }
        for where, room in self.rooms.items():
            # A mode each: Textual keeps the screens of all of them.
            self.add_mode(where.value, partial(_same, room))
        for each in OURS:
            self.register_theme(each)
        if theme is not None and theme not in self.available_themes:
            raise ValueError(f"no theme is called {theme!r}: {', '.join(self.available_themes)}")
        self.theme = theme or DARK.name

    def refresh_css(self, animate: bool = True) -> None:
        """Parse all styles anew, where another theme has changed them.

        Textual does so twice for each mode that is gone to for the first time as well; but a screen
        is styled when it is made, and again whenever it is gone to.
        """
        styled = self.get_css_variables()
        if styled != self._styled:
            self._styled = styled
            super().refresh_css(animate)

    @property
    def word(self) -> str:
        """Why nothing can be done, as it stands at the top of every screen; "": it can."""
        return self.mode.word

    @property
    def dashboard(self) -> Dashboard:
        """The first screen."""
        board = self.rooms[Where.DASHBOARD]
        assert isinstance(board, Dashboard)
        return board

    @property
    def room(self) -> Room:
        """The screen that is looked at, or is behind what is on top of it."""
        below = self.screen_stack[0]
        assert isinstance(below, Room)
        return below

    def on_mount(self) -> None:
        """Begin to read, and to count."""
        _keep_from_dead_terminal()
        self.set_interval(TICK_S, self.tick)
        self._read()
        if not self._named:
            self._look_for_elections()

    # --- reading ---

    def _read(self) -> None:
        source = self._source
        if source is not None:
            post = source.run(lambda snapshot: self._posted(source, snapshot))
            self.run_worker(post, name="source", group="source", exclusive=True)

    def _posted(self, source: Source, snapshot: Snapshot) -> None:
        self.post_message(SnapshotFetched(snapshot, source))

    def on_snapshot_fetched(self, message: SnapshotFetched) -> None:
        """Draw what was read, unless it is of an election that was looked at before, or there is
        something newer on its way already."""
        source = message.source
        if source in (None, self._source):
            self.snapshot = message.snapshot
            newest = source is None or source.snapshot is message.snapshot
            if newest and self.is_running:
                self.room.show(message.snapshot)

    @property
    def node_under_cursor(self) -> str:
        """The node that an action on a node means; "": none."""
        return self.room.node_under_cursor if self.screen_stack else ""

    @property
    def schedule_under_cursor(self) -> str | None:
        """See `RunningApp`."""
        return self.room.schedule_under_cursor if self.screen_stack else None

    def tick(self) -> None:
        """Let time pass on the screen; when the app ends, its parts go before it."""
        if self.is_running:
            self.room.tick()
            if self._source is not None:
                self._source.look_at(self.node_under_cursor)

    def on_examine(self, message: Examine) -> None:
        """Have the doctor look, or call him off."""
        self.workers.cancel_group(self, "doctor")
        if message.begin and self._source is not None:
            self.run_worker(self._source.examine(), name="doctor", group="doctor", exclusive=True)

    # --- elections ---

    def action_elections(self) -> None:
        """Choose another election."""
        if self._opened is None or self._source is None:
            self.notify("There is no Consul to look for elections in", timeout=3)
            return
        self._open_picker()
        self._look_for_elections()

    def _open_picker(self) -> None:
        self._picker = Picker("Elections", elections.LAYOUT)
        self._picker.show((), elections.notes(None))
        self.push_screen(self._picker, self._chosen)

    def _look_for_elections(self) -> None:
        source = self._source
        if source is None:
            return

        async def look() -> None:
            found = await source.read_elections()
            while found.error is not None:
                self.post_message(ElectionsFetched(found))
                await asyncio.sleep(RETRY_S)
                found = await source.read_elections()
            self.post_message(ElectionsFetched(found))

        self.run_worker(look(), name="elections", group="elections", exclusive=True)

    def on_elections_fetched(self, message: ElectionsFetched) -> None:
        """Show them; where nobody named one, only if there is anything to choose from."""
        found, here = message.elections, self.snapshot.election
        if self._picker is None and _others(found, here):
            if self.screen is not self.room:
                # Keys that are meant for what is open are not to choose an election.
                self.set_timer(RETRY_S, lambda: self.post_message(message))
                return
            self._open_picker()
        if self._picker is not None:
            rows = elections.election_rows(found, here)
            self._picker.show(rows, elections.notes(found), begin_at=here)

    def _chosen(self, election: str | None) -> None:
        self._picker = None
        if election is None or election == self.snapshot.election or self._opened is None:
            return
        self.workers.cancel_group(self, "doctor")
        self._source = self._opened(election)
        self.snapshot = self._source.snapshot
        self._look_at(self.room.WHERE)
        self.room.show(self.snapshot)
        self._read()
        self.try_rights()

    # --- getting around ---

    async def action_room(self, name: str) -> None:
        """Go to that screen."""
        await self.visit(Where(name))

    async def visit(self, where: Where) -> None:
        """Go to that screen, for good."""
        self.room.forget_ways()
        await self.go_to(where)

    async def go_to(self, where: Where) -> None:
        """Go to that screen."""
        room = self.rooms[where]
        if room is self.room:
            return
        self._look_at(where)
        room.show(self.snapshot)
        await self.switch_mode(where.value)

    def _look_at(self, where: Where) -> None:
        """What only one screen shows is read as often as it changes while that is looked at."""
        if self._source is not None:
            self._source.want_sessions(where is Where.SESSIONS)
            self._source.want_polls(where is Where.POLLS)

    async def on_tab_chosen(self, message: Tab.Chosen) -> None:
        """Somebody clicked on the name of a screen."""
        await self.visit(message.where)

    async def on_jump(self, message: Jump) -> None:
        """Another screen has more to say."""
        here = self.room
        await self.go_to(message.where)
        there = self.rooms[message.where]
        there.go_to(message.key, lambda: there.post_message(Return(here.WHERE)))

    async def on_return(self, message: Return) -> None:
        """It was said."""
        await self.go_to(message.where)

    def action_help(self) -> None:
        """What the keys do."""
        self.push_screen(HelpScreen(self.room.WHERE, (*self.KEYS, *self.room.KEYS)))

    # --- acting ---

    def on_operate(self, message: Operate) -> None:
        """A step of a runbook is an operation; its dialog asks for whatever it takes."""
        self.operate(message.operation)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What ctrl+p offers: what the keys do, and Textual's own."""
        yield from super().get_system_commands(screen)
        room = self.room
        if screen is not room:
            return
        yield from self.act_commands()
        for each in room.commands():
            yield SystemCommand(*each)
        for where in Where:
            go = self._going(where)
            yield SystemCommand(f"Go to {where.label}", sentence(SHOWS[where]), go)
        yield SystemCommand("Election", "Choose another election", self.action_elections)
        yield SystemCommand("Help", "Keys, symbols, reasons", self.action_help)

    async def run_to_its_end(self) -> int:
        """Run it; gives what the process exits with.

        Raises:
            Exception: as it was raised in the app: a mistake of ours, for the caller to tell.
        """
        await self.run_async()
        if self._exception is not None:
            raise self._exception
        return self.return_code or 0

    def _fatal_error(self) -> None:
        # Textual would print a traceback with all that is in memory: names, reasons, tokens.
        self.bell()
        self._close_messages_no_wait()

    def action_command_palette(self) -> None:
        """What can be done here, to be searched."""
        if not isinstance(self.screen, Palette):
            self.push_screen(Palette(id="--command-palette"))

    def _going(self, where: Where) -> Callable[[], None]:
        def go() -> None:
            self.call_later(self.visit, where)

        return go


def _keep_from_dead_terminal() -> None:
    """A terminal that is closed tells that with SIGCONT, too. Textual would begin to draw anew,
    and wait for that for good as it ends."""
    resume = signal.getsignal(signal.SIGCONT)
    if not callable(resume) or threading.current_thread() is not threading.main_thread():
        return

    def resumed(number: int, frame: FrameType | None) -> None:
        if os.isatty(0):
            resume(number, frame)

    signal.signal(signal.SIGCONT, resumed)


def _same(room: Room) -> Room:
    return room


def _others(found: Elections, here: str) -> bool:
    """Whether there is an election besides this one."""
    listed = () if found.listing is None else found.listing.items
    return any(each.name != here for each in listed)
