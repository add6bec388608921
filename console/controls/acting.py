"""What an app needs to act: the dialogs' wishes go to the desk, and its answers to the dialogs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.notifications import SeverityLevel
from textual.screen import Screen

from console.controls.actions import ACTIONS, Mode, no_right
from console.controls.course import Course, in_a_word
from console.controls.desk import Desk
from console.controls.messages import (
    BeginWanted,
    LookedAt,
    LookFailed,
    LookWanted,
    Progressed,
    TakeBackWanted,
)
from console.screens.control import ControlScreen, Place
from console.screens.control_menu import ControlMenu
from console.screens.control_quit import QuitScreen
from console.snapshot import Snapshot
from console.widgets.markup import as_markup
from coord.clock import Clock
from coord.consul import ConsulError
from coord.operations import Operation
from coord.status.words import plain

TOLD_S = 20.0
"""How long a notice of an outcome stays, in seconds."""

BY_FLAG = "the console was opened read-only (--read-only, or the setting read_only)"
NO_DESK = "the console was opened without a way to act"


class ActingApp(App[None]):
    """An app whose screens may act. It shows `snapshot`, and acts on what that shows.

    desk: what does it; None: nothing can be done. read_only: it was asked for that nothing can.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "act", "Act"),
        Binding("a", "act_not", "Act ✖"),
    ]

    def __init__(self, *, clock: Clock, desk: Desk | None, read_only: bool) -> None:
        super().__init__()
        self._clock = clock
        self._desk = desk
        why = BY_FLAG if read_only else NO_DESK if desk is None else ""
        self._attempted: dict[Operation, str] = {}
        self._tried = ""
        self.mode = Mode(read_only=why)
        self.snapshot = Snapshot(election="")

    def on_mount(self) -> None:
        """See what the token allows."""
        self.try_rights()

    @property
    def node_under_cursor(self) -> str:
        """The node that an action on a node means; "": none."""
        return ""

    # -- the ways in -----------------------------------------------------------------------

    def operate(self, operation: Operation, node: str = "") -> None:
        """Open the dialog that previews, asks for and follows an operation.

        node: whom it names; "" where the operation names none, or where the dialog is to ask.
        """
        self.push_screen(ControlScreen(operation, node, self._place()))

    def action_act(self) -> None:
        """Show what can be done."""
        self.try_rights()
        node = self.node_under_cursor

        def chosen(found: Operation | Course | None) -> None:
            if isinstance(found, Operation):
                self.operate(found, node if found.needs_node else "")
            elif found is not None:
                self._follow(found)

        self.push_screen(ControlMenu(node, self._place(), self._under_way), chosen)

    def _follow(self, course: Course) -> None:
        ask = course.plan.ask
        self.push_screen(ControlScreen(ask.operation, ask.node, self._place(), course))

    def action_act_not(self) -> None:
        """Show what could be done, and why it cannot."""
        self.action_act()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The key for acting says itself whether there is anything to be done."""
        if action == "act":
            return not self.mode.word
        if action == "act_not":
            return bool(self.mode.word)
        return super().check_action(action, parameters)

    def act_commands(self) -> Iterator[SystemCommand]:
        """What ctrl+p offers."""
        node = self.node_under_cursor
        for action in ACTIONS:
            aim = node if action.operation.needs_node else ""
            title = f"{action.title} {plain(aim)}".rstrip()
            why_not = self.mode.why_not(action.operation)
            does = action.does.format(leader="the leader", node=plain(aim) or "a node")

            def run(operation: Operation = action.operation, aim: str = aim) -> None:
                self.operate(operation, aim)

            said = f"not now: {why_not}" if why_not else does
            yield SystemCommand(as_markup(title), as_markup(said), run)

    def _place(self) -> Place:
        return Place(
            now=self._clock.now,
            snapshot=lambda: self.snapshot,
            mode=lambda: self.mode,
            actor=self._desk.actor if self._desk is not None else "",
        )

    def _under_way(self) -> tuple[Course, ...]:
        return self._desk.under_way if self._desk is not None else ()

    # -- what the dialogs want -------------------------------------------------------------

    def on_look_wanted(self, message: LookWanted) -> None:
        """Look, however long Consul takes: nothing waits for it but who asked."""
        self.run_worker(self._look(message.asker, message.election), group="look")

    async def _look(self, asker: Screen[None], election: str) -> None:
        assert self._desk is not None, "without a desk nothing is looked for"
        try:
            sight = await self._desk.look(election)
        except ConsulError as error:
            asker.post_message(LookFailed(error))
        else:
            asker.post_message(LookedAt(sight))

    def on_begin_wanted(self, message: BeginWanted) -> None:
        """Begin it: from now on it is the desk's, and goes on without its dialog."""
        assert self._desk is not None, "without a desk nothing is begun"
        self._told(self._desk.begin(message.plan, message.reason, self._told))

    def on_take_back_wanted(self, message: TakeBackWanted) -> None:
        """Withdraw it, if nobody has answered it."""
        if self._desk is not None:
            self._desk.take_back(message.id)

    def _told(self, course: Course) -> None:
        """Show how it stands: in its dialog, or, where that is closed, its end as a notice."""
        if not self.is_running:
            return
        shown = [s for s in self.screen_stack if isinstance(s, ControlScreen)]
        shown = [screen for screen in shown if screen.follows(course.id)]
        for screen in shown:
            screen.post_message(Progressed(course))
        if not course.ended:
            return
        if course.not_permitted:
            self._deny(course)
        if not shown:
            self.notify_of_end(in_a_word(course), course.title, good=course.ok)

    def notify_of_end(self, said: str, title: str, *, good: bool) -> None:
        """Tell how something ended whose dialog is closed."""
        severity: SeverityLevel = "information" if good else "error"
        self.notify(said, title=title, severity=severity, timeout=TOLD_S, markup=False)

    # -- rights ----------------------------------------------------------------------------

    def try_rights(self) -> None:
        """See anew what the token allows, in the election that is shown now."""
        election = self.snapshot.election
        if election != self._tried:
            self._tried, self._attempted = election, {}
            self._set_mode({}, "")
        if self._desk is not None and election and not self.mode.read_only:
            found = self._find_rights(self._desk, election)
            self.run_worker(found, group="rights", exclusive=True)

    async def _find_rights(self, desk: Desk, election: str) -> None:
        denied, no_run = await asyncio.gather(desk.denied(election), desk.runs.denied(election))
        if election != self._tried:
            return
        # What is found denied is found again when it no longer is; what only an attempt could
        # tell stays as it was told.
        self._attempted = {op: why for op, why in self._attempted.items() if op not in denied}
        self._set_mode({**self._attempted, **denied}, no_run)

    def _deny(self, course: Course) -> None:
        """What was tried and is not permitted is not offered any more."""
        self._attempted[course.plan.ask.operation] = no_right(course.not_permitted)
        self._set_mode({**self.mode.denied, **self._attempted}, self.mode.no_run)
        self.try_rights()

    def _set_mode(self, denied: Mapping[Operation, str], no_run: str) -> None:
        mode = replace(self.mode, denied=MappingProxyType(dict(denied)), no_run=no_run)
        if mode != self.mode:
            self.mode = mode
            self.refresh_bindings()

    # -- the end ---------------------------------------------------------------------------

    async def action_quit(self) -> None:
        """Leave; while something is under way, only if that is meant."""
        under_way = self._desk.titles if self._desk is not None else ()
        if not under_way:
            self.exit()
            return

        def quit_(meant: bool | None) -> None:
            if meant:
                self.exit()

        self.push_screen(QuitScreen(under_way), quit_)
