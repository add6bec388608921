"""What can be done, and what cannot, and why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from console.controls.actions import ACTIONS, Offer, offers
from console.controls.course import Course
from console.screens.control import Place, is_there
from console.view.line import Span, Tone, line
from console.widgets.markup import entitle
from console.widgets.parts import Parts
from coord.operations import Operation
from coord.status.words import duration, plain

TICK_S = 1.0
"""How often it is drawn anew, in seconds: it says what is so now."""

_FOLLOW = "follow-"


class ControlMenu(ModalScreen[Operation | Course]):
    """All actions, each with its key; what cannot be done is dimmed, and says why.

    Its result is what is to be done, or what is under way and is to be followed.

    node: what is under the cursor, or "". under_way: what goes on already.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,a", "dismiss", "Close"),
        Binding("j", "move(1)", show=False),
        Binding("k", "move(-1)", show=False),
        Binding("w", "follow", "Watch what is under way"),
        *(Binding(a.key, f"choose('{a.operation.value}')", a.title) for a in ACTIONS),
    ]

    def __init__(
        self, node: str, place: Place, under_way: Callable[[], tuple[Course, ...]]
    ) -> None:
        super().__init__()
        self._node = node
        self._place = place
        self._under_way = under_way
        self._offers = self._found()
        self._courses: tuple[tuple[str, str], ...] = ()

    def compose(self) -> ComposeResult:
        """What it would act on, and the actions."""
        with Vertical(id="menu"):
            yield Parts(id="menu-head")
            yield OptionList(id="menu-actions", compact=True, markup=False)
            yield Parts(id="menu-said")

    def on_mount(self) -> None:
        """Keep it true."""
        election = plain(self._place.snapshot().election)
        entitle(self.query_one("#menu"), f"Act on election {election}")
        self.query_one("#menu-said", Parts).show(
            (line(Span("a letter, or enter, opens what it would do; esc closes", Tone.DIM)),)
        )
        self.set_interval(TICK_S, self.tick)
        self.tick()
        self.query_one(OptionList).focus()

    def tick(self) -> None:
        """Draw what has changed."""
        if not is_there(self):
            return
        now, found = self._place.now(), self._found()
        courses = tuple((c.id, _course(c, now)) for c in self._under_way() if not c.ended)
        shown = bool(self.query_one(OptionList).option_count)
        if shown and (found, courses) == (self._offers, self._courses):
            return
        self._offers, self._courses = found, courses
        self.query_one("#menu-head", Parts).show(self._head())
        self._show_options()

    def _found(self) -> tuple[Offer, ...]:
        place = self._place
        return offers(place.snapshot(), place.now(), self._node, place.mode())

    def _head(self) -> tuple[tuple[Span, ...], ...]:
        status = self._place.snapshot().status
        leader = status.leader_node if status is not None else None
        who = f"{plain(leader)} leads" if leader else "nobody is seen to lead"
        said = [line(Span(who, Tone.STRONG))]
        if self._node:
            said[0] += line(Span("; the cursor is on ", Tone.DIM), Span(plain(self._node)))
        common = self._common()
        if common:
            said += [(), line(Span(f"✖ nothing can be done: {common}", Tone.BAD))]
        return (*said, ())

    def _common(self) -> str:
        """Why none of them can be done, where it is the same for all."""
        why = {each.why_not for each in self._offers}
        return next(iter(why)) if len(why) == 1 else ""

    def _show_options(self) -> None:
        listed = self.query_one(OptionList)
        at = listed.highlighted
        before = listed.get_option_at_index(at).id if at is not None else None
        common = self._common()
        listed.clear_options()
        for each in self._offers:
            shown = _row(each, "" if common else each.why_not)
            listed.add_option(
                Option(shown, id=each.action.operation.value, disabled=bool(each.why_not))
            )
        for i, (id, said) in enumerate(self._courses):
            key = "w" if i == 0 else ""
            listed.add_option(Option(_grid(key, "Under way", said), id=_FOLLOW + id))
        ids = [each.id or "" for each in listed.options if not each.disabled]
        if ids:
            listed.highlighted = listed.get_option_index(
                before if before and before in ids else ids[0]
            )

    # -- keys ------------------------------------------------------------------------------

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter, or a click."""
        id = event.option.id or ""
        if id.startswith(_FOLLOW):
            self._follow(id.removeprefix(_FOLLOW))
        else:
            self.action_choose(id)

    def action_choose(self, operation: str) -> None:
        """Open its dialog; or say once more why there is none."""
        chosen = Operation(operation)
        found = next(each for each in self._offers if each.action.operation is chosen)
        if found.why_not:
            said = f"{found.action.title}: {found.why_not}"
            self.notify(said, severity="warning", markup=False)
            return
        self.dismiss(chosen)

    def action_follow(self) -> None:
        """Look at what was begun first."""
        if self._courses:
            self._follow(self._courses[0][0])

    def _follow(self, id: str) -> None:
        course = next((each for each in self._under_way() if each.id == id), None)
        if course is not None:
            self.dismiss(course)

    def action_move(self, by: int) -> None:
        """To the next that can be chosen."""
        listed = self.query_one(OptionList)
        if by > 0:
            listed.action_cursor_down()
        else:
            listed.action_cursor_up()


def _row(offer: Offer, why_not: str) -> Table:
    if not offer.why_not:
        return _grid(offer.action.key, offer.action.title, offer.does)
    return _grid("-", offer.action.title, f"not now: {why_not}" if why_not else offer.does, "dim")


def _grid(key: str, title: str, text: str, style: str = "") -> Table:
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(width=1, style="bold")
    table.add_column(width=13)
    table.add_column(ratio=1, overflow="fold")
    table.add_row(Text(key), Text(title), Text(text), style=style)
    return table


def _course(course: Course, now: float) -> str:
    return f"{course.title}, since {duration(now - course.began)}"
