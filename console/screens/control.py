"""The dialog of one operation: what it would do, why, and then what comes of it, live."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import Button, Input, Label

from console.controls.actions import BY_OPERATION, Mode, offer, seen_term
from console.controls.course import Course
from console.controls.form import (
    HINTS,
    Field,
    Typed,
    for_problem,
    for_s,
    node_problem,
    problem_of,
)
from console.controls.messages import (
    BeginWanted,
    LookedAt,
    LookFailed,
    LookWanted,
    Progressed,
    TakeBackWanted,
)
from console.controls.sight import Sight
from console.controls.stage import GOES_ON, OTHER_ELECTION, Key, Phase, Stage, body, said
from console.snapshot import Snapshot
from console.widgets.markup import entitle
from console.widgets.parts import Parts
from coord.operations import Ask, Operation, Preview, Refused
from coord.operations.confirming import UNSAID, asked_name
from coord.status.words import plain

TICK_S = 0.2
"""How often what is counted is drawn anew, in seconds."""

USUAL_PAUSE = "30m"

_FRAME = 3
"""Of the dialog, and the blank line above what stands below, in lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the dialog knows of where it is. now: monotonic seconds. actor: who acts."""

    now: Callable[[], float]
    snapshot: Callable[[], Snapshot]
    mode: Callable[[], Mode]
    actor: str


class ControlScreen(ModalScreen[None]):
    """One operation. It does nothing itself: it posts what is wanted, and shows what it is told.

    course: what is under way already, and is only to be followed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close"),
        # At once, so that what is typed after it goes where it is meant to, however fast it comes.
        Binding("tab,down", "app.focus_next", show=False, priority=True),
        Binding("shift+tab,up", "app.focus_previous", show=False, priority=True),
        Binding("enter", "enter", show=False, priority=True),
        Binding("right", "app.focus_next", show=False),
        Binding("left", "app.focus_previous", show=False),
        Binding("pagedown", "scroll(1)", show=False),
        Binding("pageup", "scroll(-1)", show=False),
    ]

    def __init__(
        self, operation: Operation, node: str, place: Place, course: Course | None = None
    ) -> None:
        super().__init__()
        self._place = place
        self._stage = Stage(operation=operation, node=node, course=course)
        self._follows = course.id if course is not None else ""
        self._election = place.snapshot().election
        self._term = seen_term(place.snapshot())
        self._anyway = False
        self._sight: Sight | None = None

    def follows(self, id: str) -> bool:
        """Whether it shows that operation."""
        return self._follows == id

    def compose(self) -> ComposeResult:
        """What it would do can be scrolled; what is asked, and the buttons, are always there."""
        title = BY_OPERATION[self._stage.operation].title
        with Vertical(id="control"):
            with VerticalScroll(id="control-body", can_focus=False):
                yield Parts(id="control-text")
            with Vertical(id="control-foot"):
                for field in Field:
                    with Horizontal(classes="control-field", id=f"control-{field}-room"):
                        yield Label(str(field))
                        yield _input(field)
                yield Parts(id="control-said")
                with Horizontal(id="control-buttons"):
                    yield from _buttons(title)

    def on_mount(self) -> None:
        """Begin: with what is under way, with the node that is meant, or with a look."""
        self.set_interval(TICK_S, self.tick)
        stage = self._stage
        if stage.course is not None:
            self._enter(Phase.GOING)
        elif stage.operation.needs_node and not stage.node:
            denied = self._place.mode().why_not(stage.operation)
            self._enter(Phase.REFUSED if denied else Phase.NODE, against=denied)
        else:
            self._begin_with(stage.node)

    def _begin_with(self, node: str) -> None:
        """Look, unless what the screen shows speaks against it already."""
        place, action = self._place, BY_OPERATION[self._stage.operation]
        found = offer(action, place.snapshot(), place.now(), node, place.mode())
        if found.why_not:
            self._enter(Phase.REFUSED, node=node, against=found.why_not)
        else:
            self._look(node=node)

    def _look(self, **known: Any) -> None:
        self._enter(Phase.LOOKING, **known)
        self.post_message(LookWanted(self, self._election))

    # -- what it is told -------------------------------------------------------------------

    def on_looked_at(self, message: LookedAt) -> None:
        """Show what would be done, as it is now."""
        if self._stage.phase is not Phase.LOOKING:
            return
        self._sight = message.sight
        found = message.sight.plan(self._ask())
        if isinstance(found, Refused):
            self._enter(Phase.REFUSED, against=found)
        else:
            self._enter(Phase.ASKING, plan=found)

    def on_look_failed(self, message: LookFailed) -> None:
        """Consul does not say what would be done."""
        if self._stage.phase is Phase.LOOKING:
            self._enter(Phase.REFUSED, against=message.error)

    def on_progressed(self, message: Progressed) -> None:
        """What was begun is further."""
        if not self.follows(message.course.id):
            return
        if self._stage.course is None or message.course.ended:
            self._enter(Phase.GOING, course=message.course)
        else:
            self._stage = replace(self._stage, course=message.course)
            self._show_buttons()
            self.tick()

    def _ask(self) -> Ask:
        operation = self._stage.operation
        ask = Ask(
            operation=operation,
            node=self._stage.node if operation.needs_node else "",
            actor=self._place.actor,
            reason=UNSAID,
            expected_term=self._term,
            anyway=self._anyway,
        )
        typed = self._typed().for_
        pauses = operation is Operation.PAUSE and for_problem(typed) is None
        return replace(ask, for_s=for_s(typed)) if pauses else ask

    def _typed(self) -> Typed:
        typed = {field: self.query_one(f"#control-{field}", Input).value for field in Field}
        return Typed(
            node=typed[Field.NODE].strip(),
            for_=typed[Field.FOR],
            name=typed[Field.NAME].strip(),
            reason=typed[Field.REASON].strip(),
        )

    # -- drawing ---------------------------------------------------------------------------

    def _enter(self, phase: Phase, **known: Any) -> None:
        """Come to that phase, with what is known there."""
        now = self._place.now()
        self._stage = stage = replace(self._stage, phase=phase, since=now, problem=None, **known)
        for field in Field:
            self.query_one(f"#control-{field}-room").display = field in stage.fields
        if stage.plan is not None:
            name = self.query_one(f"#control-{Field.NAME}", Input)
            name.placeholder = f"type {asked_name(stage.plan)}"
        self._show_buttons()
        room = self.query_one("#control")
        entitle(room, stage.title, f"election {plain(self._election)}")
        self.tick()
        self.call_after_refresh(self._fit)
        self.query_one(f"#control-{Field.NODE}" if phase is Phase.NODE else "#close").focus()
        if stage.course is not None and stage.course.ended:
            text = self.query_one("#control-body", VerticalScroll)
            self.call_after_refresh(text.scroll_end, animate=False)

    def _show_buttons(self) -> None:
        """Those that mean something now; who has the keys keeps them, if it is still there."""
        shown = {key.value for key in self._stage.keys(self._place.mode())}
        for button in self.query(Button):
            button.display = button.id in shown
        close = self.query_one("#close", Button)
        close.label = self._stage.close
        if isinstance(self.focused, Button) and not self.focused.display:
            close.focus()

    def tick(self) -> None:
        """Draw what changes as time passes."""
        if not is_there(self):
            return
        now = self._place.now()
        text = self.query_one("#control-text", Parts)
        text.show(body(self._stage, now, max(40, text.size.width)))
        notes = self.query_one("#control-said", Parts)
        if notes.show(said(self._stage, self._place.snapshot(), now)):
            notes.display = bool(notes.said)
            self.call_after_refresh(self._fit)

    def on_resize(self) -> None:
        """There is other room for what is to be read."""
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        """What is to be read gets the room that the rest leaves: that must always be seen."""
        if not is_there(self):
            return
        foot = self.query_one("#control-foot").outer_size.height
        left = self.size.height - foot - _FRAME
        self.query_one("#control-body").styles.max_height = max(1, left)

    # -- keys ------------------------------------------------------------------------------

    def on_input_changed(self, event: Input.Changed) -> None:
        """A problem is one until something else is typed; another length is another preview."""
        problem = None
        if event.input.id == f"control-{Field.FOR}" and self._stage.phase is Phase.ASKING:
            problem = for_problem(event.value)
            if problem is None:
                self._plan_for(for_s(event.value))
        self._stage = replace(self._stage, problem=problem)
        self.tick()

    def _plan_for(self, seconds: float) -> None:
        plan = self._stage.plan
        if self._sight is not None and plan is not None:
            found = self._sight.plan(replace(plan.ask, for_s=seconds))
            if isinstance(found, Preview):
                self._stage = replace(self._stage, plan=found)

    def action_enter(self) -> None:
        """Press the button; or go on to the next field, and then to the button."""
        if isinstance(self.focused, Button):
            self.focused.press()
        elif self._stage.phase is Phase.NODE:
            self._go()
        else:
            self.focus_next()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """What it says on it."""
        match Key(event.button.id):
            case Key.DO:
                self._go()
            case Key.BACK:
                self.post_message(TakeBackWanted(self._follows))
            case Key.ANYWAY:
                self._anyway = True
                self._look_again()
            case Key.AGAIN:
                self._look_again()
            case Key.CLOSE:
                self.action_close()

    def _look_again(self) -> None:
        """What is shown next is what is decided on: no longer what the screen showed before."""
        self._follows, self._term = "", None
        self._look(course=None, plan=None, against="")

    def _go(self) -> None:
        """Take what was typed, if nothing is wrong with it."""
        typed, plan = self._typed(), self._stage.plan
        if self._stage.phase is Phase.NODE:
            problem = node_problem(typed.node)
        elif plan is None or self._follows:
            return
        elif self._place.snapshot().election != self._election:
            self._enter(Phase.REFUSED, against=OTHER_ELECTION)
            return
        else:
            problem = problem_of(plan, typed)
        if problem is not None:
            self._stage = replace(self._stage, problem=problem)
            self.query_one(f"#control-{problem.field}").focus()
            self.tick()
        elif plan is None:
            self._begin_with(typed.node)
        else:
            self._follows = plan.ask.request_id
            self.post_message(BeginWanted(plan, typed.reason))

    def action_scroll(self, pages: int) -> None:
        """Look at the rest of what is shown."""
        text = self.query_one("#control-body", VerticalScroll)
        text.scroll_relative(y=pages * max(1, text.size.height - 1), animate=False)

    def action_close(self) -> None:
        """Leave it: what was begun goes on."""
        if self._stage.under_way:
            self.notify(f"{self._stage.title}: {GOES_ON}", markup=False)
        self.dismiss()


def is_there(screen: Screen[Any]) -> bool:
    """Whether it is still to be drawn on: its parts go before it does."""
    app = screen.app
    return app.is_running and screen in app.screen_stack


def _input(field: Field) -> Input:
    return Input(
        USUAL_PAUSE if field is Field.FOR else "",
        id=f"control-{field}",
        placeholder=HINTS.get(field, ""),
        compact=True,
        select_on_focus=field is Field.FOR,
    )


def _buttons(title: str) -> Iterator[Button]:
    yield Button(title, id=Key.DO.value, variant="warning", compact=True)
    yield Button("Do it anyway", id=Key.ANYWAY.value, variant="warning", compact=True)
    yield Button("Look again", id=Key.AGAIN.value, compact=True)
    yield Button("Take it back", id=Key.BACK.value, compact=True)
    yield Button("Cancel", id=Key.CLOSE.value, variant="primary", compact=True)
