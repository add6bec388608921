"""Quitting while something is under way."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button

from console.controls.parts import Part, Row
from console.view.line import Span, Tone, line
from console.widgets.markup import entitle
from console.widgets.parts import Parts


class QuitScreen(ModalScreen[bool]):
    """Says what quitting means for it; True: quit all the same."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(False)", "Stay"),
        Binding("right", "app.focus_next", show=False),
        Binding("left", "app.focus_previous", show=False),
    ]

    def __init__(self, under_way: tuple[str, ...]) -> None:
        """under_way: what each is called."""
        super().__init__()
        self._under_way = under_way

    def compose(self) -> ComposeResult:
        """To stay is what enter does."""
        with Vertical(id="control"):
            yield Parts(id="control-text")
            with Horizontal(id="control-buttons"):
                yield Button("Quit", id="quit", variant="warning", compact=True)
                yield Button("Stay", id="stay", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Say what is under way."""
        entitle(self.query_one("#control"), "Quit?")
        self.query_one("#control-text", Parts).show(self._parts())
        self.query_one("#stay").focus()

    def _parts(self) -> tuple[Part, ...]:
        rows = [_row(title) for title in self._under_way]
        said = "What the leader has not answered is taken back; what it has, goes on. Either way "
        return (*rows, (), line(f"{said}the audit says what was seen of it."))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """What it says on it."""
        self.dismiss(event.button.id == "quit")


def _row(title: str) -> Row:
    return Row(line(Span(title, Tone.STRONG)), line("is under way"))
