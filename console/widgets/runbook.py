"""One section of a runbook, and buttons for the steps that can be done from here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Button

from console.view.runbooks import RunbookRow
from console.widgets.markup import entitle
from coord.runbooks import Step

if TYPE_CHECKING:
    from textual.widgets import Markdown


class StepButton(Button):
    """Does a step of a runbook; names and reasons in it are examples, and are asked for."""

    def __init__(self, step: Step) -> None:
        operation = step.operation
        assert operation is not None
        super().__init__(f"▶ {operation.value} …", compact=True, classes="step")
        self.step = step


class RunbookPane(VerticalScroll):
    """Shows a section as it is meant to be read."""

    class Wanted(Message):
        """Somebody pressed the button of a step."""

        def __init__(self, step: Step) -> None:
            super().__init__()
            self.step = step

    class Followed(Message):
        """Somebody followed a link."""

        def __init__(self, href: str) -> None:
            super().__init__()
            self.href = href

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._row: RunbookRow | None = None

    def show(self, row: RunbookRow) -> None:
        """Show this from now on."""
        if row == self._row:
            return
        self._row = row
        entitle(self, row.key)
        self.remove_children()
        self.mount_all(self._parts(row))
        self.scroll_home(animate=False)

    def _parts(self, row: RunbookRow) -> Iterator[Widget]:
        # Its parser takes longer to load than the dashboard to draw.
        from textual.widgets import Markdown

        for block in row.blocks:
            yield Markdown(block.text, open_links=False)
            yield from _buttons(block.steps)

    @property
    def said(self) -> str:
        """What it shows, as Markdown."""
        return "" if self._row is None else "\n".join(block.text for block in self._row.blocks)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Tell which step is wanted."""
        if isinstance(event.button, StepButton):
            self.post_message(self.Wanted(event.button.step))

    def on_markdown_link_clicked(self, event: Markdown.LinkClicked) -> None:
        """Tell where it leads."""
        event.stop()
        self.post_message(self.Followed(event.href))


def _buttons(steps: Iterable[Step]) -> Iterator[StepButton]:
    """One for each operation, not for each time that it stands there."""
    seen: set[tuple[object, str]] = set()
    for step in steps:
        what = (step.operation, step.example_node)
        if step.operation is not None and what not in seen:
            seen.add(what)
            yield StepButton(step)
