"""The dialog of a run that is asked for now: what it would do, and then what comes of it, live."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button

from console.controls.messages import RunBackWanted, RunProgressed, RunWanted
from console.controls.parts import Part
from console.controls.runs import (
    SHOWN,
    TITLE,
    RunCourse,
    can_be_taken_back,
    preview,
    time_line,
    why_not,
)
from console.controls.stage import OTHER_ELECTION
from console.screens.control import TICK_S, Place, is_there
from console.view.line import Span, Tone, line
from console.widgets.markup import entitle
from console.widgets.parts import Parts
from coord.operations import new_request_id
from coord.status.words import plain

CLOSED = "it goes on; you are told its end"


class RunScreen(ModalScreen[None]):
    """One run. It does nothing itself: it posts what is wanted, and shows what it is told.

    schedule: the last part of its key. course: what was asked for already, and is to be followed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close"),
        Binding("right,down", "app.focus_next", show=False),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("pagedown", "scroll(1)", show=False),
        Binding("pageup", "scroll(-1)", show=False),
    ]

    def __init__(self, schedule: str, place: Place, course: RunCourse | None = None) -> None:
        super().__init__()
        self._schedule = schedule
        self._place = place
        self._election = place.snapshot().election
        self._course = course
        self._follows = course.id if course is not None else ""
        self._against = "" if course is not None else self._why_not()

    def follows(self, course: RunCourse) -> bool:
        """Whether it shows that run."""
        return self._follows == course.id

    def compose(self) -> ComposeResult:
        """What is to be read can be scrolled; the buttons are always there."""
        with Vertical(id="control"):
            with VerticalScroll(id="control-body", can_focus=False):
                yield Parts(id="control-text")
            with Vertical(id="control-foot"):
                yield Parts(id="control-said")
                with Horizontal(id="control-buttons"):
                    yield Button(TITLE, id="do", variant="warning", compact=True)
                    yield Button("Take it back", id="back", compact=True)
                    yield Button("Cancel", id="close", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Cancel has the keys."""
        title = f"{TITLE} {plain(self._schedule, SHOWN)}"
        entitle(self.query_one("#control"), title, f"election {plain(self._election)}")
        self.set_interval(TICK_S, self.tick)
        self.query_one("#close").focus()
        self.tick()

    def _why_not(self) -> str:
        place = self._place
        if place.snapshot().election != self._election:
            return OTHER_ELECTION
        return why_not(place.snapshot(), place.now(), self._schedule, place.mode())

    # -- what it is told -------------------------------------------------------------------

    def on_run_progressed(self, message: RunProgressed) -> None:
        """It is further."""
        if self.follows(message.course):
            self._course = message.course
            self.tick()

    # -- drawing ---------------------------------------------------------------------------

    def tick(self) -> None:
        """Draw what changes as time passes."""
        if not is_there(self):
            return
        self._show_buttons()
        self.query_one("#control-text", Parts).show(self._body())
        notes = self.query_one("#control-said", Parts)
        if notes.show(self._said()):
            notes.display = bool(notes.said)

    def _body(self) -> tuple[Part, ...]:
        place = self._place
        if self._course is not None:
            return tuple(time_line(self._course, place.snapshot(), place.now()))
        if self._against:
            refused = line(Span(f"✖ not now: {self._against}", Tone.BAD))
            return (refused, line(Span("nothing was changed", Tone.DIM)))
        return tuple(preview(place.snapshot(), self._schedule))

    def _said(self) -> tuple[Part, ...]:
        if self._course is None:
            if self._against:
                return ()
            if late := self._why_not():
                return (line(Span(f"! {late}: this will be refused", Tone.BAD)),)
            said = f"nothing is done before you press {TITLE}; esc cancels"
        elif self._course.ended:
            return ()
        else:
            said = f"esc closes this: {CLOSED}"
        return (line(Span(said, Tone.DIM)),)

    def _show_buttons(self) -> None:
        course = self._course
        asks = course is None and not self._against
        self.query_one("#do", Button).display = asks
        back = course is not None and can_be_taken_back(course, self._place.snapshot())
        self.query_one("#back", Button).display = back
        close = self.query_one("#close", Button)
        close.label = "Cancel" if asks else "Close"
        if isinstance(self.focused, Button) and not self.focused.display:
            close.focus()

    # -- keys ------------------------------------------------------------------------------

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """What it says on it."""
        match event.button.id:
            case "do":
                self._go()
            case "back" if self._course is not None:
                self.post_message(RunBackWanted(self._course.id))
            case "close":
                self.action_close()

    def _go(self) -> None:
        """Ask for it, unless what is shown by now speaks against it."""
        if self._follows or self._against:
            return
        self._against = self._why_not()
        if not self._against:
            self._follows = new_request_id()
            self.post_message(RunWanted(self._follows, self._election, self._schedule))
        self.tick()

    def action_scroll(self, pages: int) -> None:
        """Look at the rest of what is shown."""
        text = self.query_one("#control-body", VerticalScroll)
        text.scroll_relative(y=pages * max(1, text.size.height - 1), animate=False)

    def action_close(self) -> None:
        """Leave it: what was asked for goes on."""
        if self._course is not None and not self._course.ended:
            self.notify(f"{self._course.title}: {CLOSED}", markup=False)
        self.dismiss()
