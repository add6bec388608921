"""The dialog of one operation: what it would do, why, and then what comes of it, live."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label

from console.controls.actions import BY_OPERATION, Mode, moved_on, offer, seen_term
from console.controls.course import (
    Course,
    error_parts,
    going_on,
    outcome_parts,
    refused_parts,
    time_line,
)
from console.controls.form import (
    HINTS,
    Field,
    Problem,
    Typed,
    fields_of,
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
from console.controls.parts import Part, preview_parts
from console.controls.sight import Sight
from console.snapshot import Snapshot
from console.view.line import Span, Tone, line
from console.widgets.parts import Parts
from coord.consul import ConsulError
from coord.operations import Ask, Operation, Preview, Refused
from coord.operations.confirming import UNSAID, asked_name
from coord.operations.text import what
from coord.status.words import duration, plain

TICK_S = 0.2
"""How often what is counted is drawn anew, in seconds."""

USUAL_PAUSE = "30m"


class Phase(Enum):
    """Where the dialog is."""

    NODE = auto()
    """It asks which node is meant."""
    LOOKING = auto()
    REFUSED = auto()
    """It is not to be done, or it cannot be seen what it would do."""
    ASKING = auto()
    """It shows what would be done, and asks whether and why."""
    GOING = auto()
    """It has begun, or has come to its end."""


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
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
        Binding("left", "app.focus_previous", show=False),
        Binding("pagedown", "scroll(1)", show=False),
        Binding("pageup", "scroll(-1)", show=False),
    ]

    def __init__(
        self, operation: Operation, node: str, place: Place, course: Course | None = None
    ) -> None:
        super().__init__()
        self._operation = operation
        self._node = node
        self._place = place
        self._course = course
        self._follows = course.id if course is not None else ""
        self._phase = Phase.LOOKING
        self._since = place.now()
        self._term = seen_term(place.snapshot())
        self._anyway = False
        self._sight: Sight | None = None
        self._plan: Preview | None = None
        self._against: Refused | ConsulError | str = ""
        self._problem: Problem | None = None

    def follows(self, id: str) -> bool:
        """Whether it shows that operation."""
        return self._follows == id

    @property
    def action_title(self) -> str:
        """What it is called."""
        return BY_OPERATION[self._operation].title

    def compose(self) -> ComposeResult:
        """What it would do can be scrolled; what is asked, and the buttons, are always there."""
        with Vertical(id="control"):
            with VerticalScroll(id="control-body", can_focus=False):
                yield Parts(id="control-text")
            for field in Field:
                with Horizontal(classes="control-field", id=f"control-{field}-room"):
                    yield Label(str(field))
                    yield Input(
                        USUAL_PAUSE if field is Field.FOR else "",
                        id=f"control-{field}",
                        placeholder=HINTS.get(field, ""),
                        compact=True,
                        select_on_focus=field is Field.FOR,
                    )
            yield Parts(id="control-said")
            with Horizontal(id="control-buttons"):
                yield Button(self.action_title, id="do", variant="warning", compact=True)
                yield Button("Do it anyway", id="anyway", variant="warning", compact=True)
                yield Button("Look again", id="again", compact=True)
                yield Button("Take it back", id="back", compact=True)
                yield Button("Cancel", id="close", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Begin: with what is under way, with the node that is meant, or with a look."""
        self.set_interval(TICK_S, self.tick)
        if self._course is not None:
            self._enter(Phase.GOING)
        elif self._operation.needs_node and not self._node:
            self._enter(Phase.NODE)
        else:
            self._begin_with(self._node)

    def _begin_with(self, node: str) -> None:
        """Look, unless what the screen shows speaks against it already."""
        self._node = node
        place = self._place
        action = BY_OPERATION[self._operation]
        found = offer(action, place.snapshot(), place.now(), node, place.mode())
        if found.why_not:
            self._refuse(found.why_not)
        else:
            self._look()

    def _look(self) -> None:
        self._since = self._place.now()
        self._enter(Phase.LOOKING)
        self.post_message(LookWanted(self))

    def _refuse(self, against: Refused | ConsulError | str) -> None:
        self._against = against
        self._enter(Phase.REFUSED)

    # -- what it is told -------------------------------------------------------------------

    def on_looked_at(self, message: LookedAt) -> None:
        """Show what would be done, as it is now."""
        if self._phase is not Phase.LOOKING:
            return
        self._sight = message.sight
        found = message.sight.plan(self._ask())
        if isinstance(found, Refused):
            self._refuse(found)
            return
        self._plan = found
        self._enter(Phase.ASKING)

    def on_look_failed(self, message: LookFailed) -> None:
        """Consul does not say what would be done."""
        if self._phase is Phase.LOOKING:
            self._refuse(message.error)

    def on_progressed(self, message: Progressed) -> None:
        """What was begun is further."""
        if not self.follows(message.course.id):
            return
        before, self._course = self._course, message.course
        if before is None or message.course.ended:
            self._enter(Phase.GOING)
        else:
            self._show_buttons()
            self.tick()

    def _ask(self) -> Ask:
        typed = self._typed().for_
        ask = Ask(
            operation=self._operation,
            node=self._node if self._operation.needs_node else "",
            actor=self._place.actor,
            reason=UNSAID,
            expected_term=self._term,
            anyway=self._anyway,
        )
        pauses = self._operation is Operation.PAUSE and for_problem(typed) is None
        return replace(ask, for_s=for_s(typed)) if pauses else ask

    def _typed(self) -> Typed:
        said = {field: self.query_one(f"#control-{field}", Input).value for field in Field}
        return Typed(
            node=said[Field.NODE].strip(),
            for_=said[Field.FOR],
            name=said[Field.NAME].strip(),
            reason=said[Field.REASON],
        )

    # -- drawing ---------------------------------------------------------------------------

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._problem = None
        shown = self._shown_fields()
        for field in Field:
            self.query_one(f"#control-{field}-room").display = field in shown
        self._show_buttons()
        room = self.query_one("#control")
        room.border_title = f"{self.action_title} {plain(self._node)}".rstrip()
        room.border_subtitle = f"election {plain(self._place.snapshot().election)}"
        if self._plan is not None and Field.NAME in shown:
            name = self.query_one("#control-name", Input)
            name.placeholder = f"type {asked_name(self._plan)}"
        self.tick()
        self.query_one("#control-node" if phase is Phase.NODE else "#close").focus()
        if self._course is not None:
            body = self.query_one("#control-body", VerticalScroll)
            self.call_after_refresh(body.scroll_end, animate=False)

    def _show_buttons(self) -> None:
        """Those that mean something now; who has the keys keeps them, if it is still there."""
        shown = self._shown_buttons()
        for button in self.query(Button):
            button.display = button.id in shown
        close = self.query_one("#close", Button)
        close.label = "Cancel" if self._nothing_done else "Close"
        if isinstance(self.focused, Button) and not self.focused.display:
            close.focus()

    @property
    def _nothing_done(self) -> bool:
        return self._phase in (Phase.NODE, Phase.LOOKING, Phase.ASKING)

    def _shown_fields(self) -> tuple[Field, ...]:
        if self._phase is Phase.NODE:
            return (Field.NODE,)
        return fields_of(self._operation) if self._phase is Phase.ASKING else ()

    def _shown_buttons(self) -> set[str]:
        shown = {"close"}
        course = self._course
        against = course.refusal if course is not None else self._against
        if self._phase in (Phase.NODE, Phase.ASKING):
            shown.add("do")
        elif against:
            if not self._place.mode().why_not(self._operation):
                shown.add("again")
            if isinstance(against, Refused) and against.anyway:
                shown.add("anyway")
        elif course is not None and course.can_be_taken_back:
            shown.add("back")
        return shown

    def tick(self) -> None:
        """Draw what changes as time passes."""
        text = self.query_one("#control-text", Parts)
        text.show(self._body(max(40, text.size.width)))
        self.query_one("#control-said", Parts).show(self._said())

    def _body(self, width: int) -> Iterator[Part]:
        course, now = self._course, self._place.now()
        if course is not None:
            yield line(Span(plain(what(course.plan.ask), 300), Tone.STRONG))
            yield ()
            yield from time_line(course, now)
            if course.ended:
                yield ()
                yield from outcome_parts(course, width)
        elif self._phase is Phase.NODE:
            yield line("Which node?")
        elif self._phase is Phase.LOOKING:
            yield line(Span("… what would it do?", Tone.STRONG))
        elif self._phase is Phase.ASKING and self._plan is not None:
            yield from preview_parts(self._plan)
        elif isinstance(self._against, Refused):
            yield from refused_parts(self._against)
        elif isinstance(self._against, ConsulError):
            yield from error_parts(self._against)
        else:
            yield line(Span(f"✖ not now: {self._against}", Tone.BAD))

    def _said(self) -> Iterator[Part]:
        """What stands above the buttons."""
        now, course = self._place.now(), self._course
        if self._problem is not None:
            yield line(Span(f"✖ {plain(self._problem.sentence, 300)}", Tone.BAD))
        elif self._phase is Phase.LOOKING:
            yield line(Span(f"asking Consul, {duration(now - self._since)}", Tone.DIM))
        elif self._phase is Phase.ASKING and self._plan is not None:
            later = moved_on(self._place.snapshot(), self._plan.leader)
            if later:
                yield line(Span(f"! {later}: this will be refused", Tone.BAD))
            else:
                said = f"Nothing is done before you press {self.action_title}; esc cancels"
                yield line(Span(said, Tone.DIM))
        elif course is not None and not course.ended:
            if waits := going_on(course, now):
                yield waits
            said = "esc closes this; it goes on, you are told its end, and the audit has it"
            yield line(Span(said, Tone.DIM))

    # -- keys ------------------------------------------------------------------------------

    def on_input_changed(self, event: Input.Changed) -> None:
        """A problem is one until something else is typed; another length is another preview."""
        if event.input.id == f"control-{Field.FOR}" and self._phase is Phase.ASKING:
            self._problem = for_problem(event.value)
            self._plan_anew(event.value)
        else:
            self._problem = None
        self.tick()

    def _plan_anew(self, typed: str) -> None:
        if self._sight is None or self._plan is None or self._problem is not None:
            return
        found = self._sight.plan(replace(self._plan.ask, for_s=for_s(typed)))
        if isinstance(found, Preview):
            self._plan = found

    def on_input_submitted(self) -> None:
        """To the next: what is left to be typed, and then the button."""
        if self._phase is Phase.NODE:
            self._go()
        else:
            self.focus_next()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """What it says on it."""
        match event.button.id:
            case "do":
                self._go()
            case "back":
                self.post_message(TakeBackWanted(self._follows))
            case "anyway":
                self._anyway = True
                self._look_anew()
            case "again":
                self._look_anew()
            case _:
                self.action_close()

    def _look_anew(self) -> None:
        """What is shown next is what is decided on: no longer what the screen showed before."""
        self._course, self._plan, self._follows = None, None, ""
        self._term, self._against = None, ""
        self._look()

    def _go(self) -> None:
        typed = self._typed()
        if self._phase is Phase.NODE:
            self._problem = node_problem(typed.node)
            if self._problem is None:
                self._begin_with(typed.node)
                return
        elif self._plan is not None and not self._follows:
            self._problem = problem_of(self._plan, typed)
            if self._problem is None:
                self._follows = self._plan.ask.request_id
                self.post_message(BeginWanted(self._plan, typed.reason.strip()))
                return
        if self._problem is not None:
            self.query_one(f"#control-{self._problem.field}").focus()
            self.tick()

    def action_scroll(self, pages: int) -> None:
        """Look at the rest of what is shown."""
        body = self.query_one("#control-body", VerticalScroll)
        body.scroll_relative(y=pages * max(1, body.size.height - 1), animate=False)

    def action_close(self) -> None:
        """Leave it: what was begun goes on."""
        course = self._course
        if course is not None and not course.ended:
            said = "it goes on; you are told its end, and the audit has it"
            self.notify(f"{self.action_title}: {said}", markup=False)
        self.dismiss()
