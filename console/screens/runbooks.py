"""What to do, step by step."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.console import RenderableType
from textual.widget import Widget

from console.messages import Operate
from console.screens.listing import ListRoom
from console.screens.room import WIDE, Keys
from console.snapshot import Snapshot
from console.view import runbooks
from console.view.line import Line, Span, Tone, line
from console.view.rooms import Where
from console.view.runbooks import RunbookRow
from console.widgets.runbook import RunbookPane
from coord.operations import Operation
from coord.runbooks import Runbook


class RunbooksRoom(ListRoom[RunbookRow]):
    """The sections to the left, the one under the cursor to the right."""

    WHERE = Where.RUNBOOKS
    WHAT = "sections"
    LAYOUT_OF_ROWS = runbooks.LAYOUT
    KEYS: ClassVar[Keys] = (
        ("enter", "read the section; esc goes back to the list"),
        ("tab", "to the buttons of its steps: each asks before it does anything"),
        ("/", "search: every word must stand somewhere in the section"),
    )

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._made: tuple[tuple[Runbook, ...], tuple[RunbookRow, ...]] = ((), ())

    def pane(self) -> Widget:
        """See `ListRoom`."""
        return RunbookPane(id="details")

    @property
    def _pane(self) -> RunbookPane:
        return self.query_one(RunbookPane)

    def rows_of(self, snapshot: Snapshot) -> tuple[RunbookRow, ...]:
        """Made once: they do not change."""
        if snapshot.runbooks is not self._made[0]:
            self._made = (snapshot.runbooks, runbooks.runbook_rows(snapshot.runbooks))
        return self._made[1]

    def name_of(self, row: RunbookRow) -> str:
        """See `ListRoom`."""
        return row.key

    def detail_of(self, row: RunbookRow) -> RenderableType:
        """The pane shows it itself."""
        return ""

    def none(self, snapshot: Snapshot) -> Line:
        """See `ListRoom`."""
        return line(Span("this installation has no runbooks", Tone.DIM))

    @property
    def detailed(self) -> bool:
        """Where there is room, the section is always to be seen."""
        return self.has_class("-detailed") or self.size.width >= WIDE

    def draw_details(self) -> None:
        """The section under the cursor."""
        row = self.table.current
        if self.detailed and row is not None:
            self._pane.show(row)

    def copied(self, row: RunbookRow) -> str:
        """All of the section while it is read, else its name."""
        return self._pane.said if self._reading else row.key

    @property
    def _reading(self) -> bool:
        focused = self.focused
        return focused is not None and self._pane in focused.ancestors_with_self

    def after_going_to(self) -> None:
        """Read what another screen sent here for."""
        self._read()

    def _read(self) -> None:
        self.add_class("-detailed")
        self.draw_details()
        self.set_focus(self._pane)

    # --- keys ---

    def action_details(self) -> None:
        """Read the section under the cursor."""
        if self.table.current is not None:
            self._read()

    def close_last(self) -> None:
        """To the list, then end the filter."""
        if self._reading or self.has_class("-detailed"):
            self.remove_class("-detailed")
            self.set_focus(self.table)
            return
        super().close_last()

    def on_runbook_pane_followed(self, event: RunbookPane.Followed) -> None:
        """Another section, or another runbook."""
        row = self.table.current
        if "://" in event.href:
            self.notify(f"Not in the runbooks: {event.href}", markup=False, timeout=3)
        elif row is not None:
            local = event.href.startswith("#")
            self.go_to(row.book.name + event.href if local else runbooks.reference(event.href))

    def on_runbook_pane_wanted(self, event: RunbookPane.Wanted) -> None:
        """Do the step. The names in it are examples: its dialog asks for the real ones."""
        assert event.step.operation is not None
        self.post_message(Operate(Operation(event.step.operation.value.replace("-", "_"))))
