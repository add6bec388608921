"""What the nodes tell, as it happens."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

from rich.console import RenderableType
from textual.binding import Binding, BindingType

from console.messages import Jump
from console.screens.listing import ListRoom
from console.screens.room import Command, Keys
from console.snapshot import Snapshot
from console.view import events
from console.view.detail import gridded
from console.view.events import EventRow
from console.view.line import Line
from console.view.rooms import Where
from console.widgets.paint import palette_of
from coord.history.cause import explained
from coord.operations import AuditEntry
from coord.telemetry.journal import JournalEntry


class EventsRoom(ListRoom[EventRow]):
    """The journal, the latest last; it can be held still."""

    WHERE = Where.EVENTS
    WHAT = "events"
    LAYOUT_OF_ROWS = events.LAYOUT
    TAIL = True
    KEYS: ClassVar[Keys] = (
        ("space", "hold the picture still; again, and it goes on with what was told meanwhile"),
        ("c", "to what explains it: the end of the term before, a request, its audit entry"),
        ("esc", "after that, back to where you were"),
        ("/", "also by part: kind:leader_changed, node:core-1, term:7"),
        ("end", "to the latest, and stay there while others come"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pause", "Pause"),
        Binding("c", "cause", "Cause"),
    ]

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._held: tuple[JournalEntry, ...] | None = None
        self._made: dict[str, EventRow] = {}

    @property
    def _told(self) -> tuple[JournalEntry, ...]:
        return () if self._snapshot.past is None else self._snapshot.past.entries

    @property
    def _audit(self) -> tuple[AuditEntry, ...]:
        return () if self._snapshot.past is None else self._snapshot.past.operations

    def rows_of(self, snapshot: Snapshot) -> tuple[EventRow, ...]:
        """What was told, or what had been told when it was held."""
        rows = events.event_rows(self._told if self._held is None else self._held, self._made)
        self._made = {row.key: row for row in rows}
        return rows

    def name_of(self, row: EventRow) -> str:
        """See `ListRoom`."""
        return f"{row.kind} by {row.node}" if row.node else row.kind

    def detail_of(self, row: EventRow) -> RenderableType:
        """See `ListRoom`."""
        return gridded(events.detail(row, self._told, self._audit), palette_of(self.app))

    def none(self, snapshot: Snapshot) -> Line:
        """See `ListRoom`."""
        return events.none(snapshot)

    def notes(self, snapshot: Snapshot) -> tuple[Line, ...]:
        """See `ListRoom`."""
        return events.notes(snapshot)

    def more_title(self) -> str:
        """That it is held still, and what was told meanwhile."""
        if self._held is None:
            return ""
        there = {entry.key for entry in self._held}
        new = sum(entry.key not in there for entry in self._told)
        return f", HELD, {new} new (space goes on)"

    def new_election(self) -> None:
        """What is held belongs to another one."""
        self._held, self._made = None, {}
        self.remove_class("-held")
        super().new_election()

    # --- keys ---

    def action_pause(self) -> None:
        """Hold the picture still, or let it go on."""
        self._hold(self._told if self._held is None else None)

    def _hold(self, held: tuple[JournalEntry, ...] | None) -> None:
        """Show these entries alone; None: all that is told."""
        self._held = held
        self.set_class(held is not None, "-held")
        self.draw()

    def action_cause(self) -> None:
        """Go to what explains the entry under the cursor."""
        row = self.table.current
        if row is None:
            return
        cause = explained(row.entry, self._told, self._audit)
        if isinstance(cause, JournalEntry):
            back = partial(self._return, row.key, self._filter.value, self._held)
            if all(each.key != cause.key for each in self._rows):
                self._hold(None)
            self.go_to(cause.key, back)
        elif cause:
            self.post_message(Jump(Where.AUDIT, cause))
        else:
            self.notify("Nothing in the journal or the audit explains this", timeout=3)

    def _return(self, key: str, words: str, held: tuple[JournalEntry, ...] | None) -> None:
        """Show what was shown before the cursor was sent on from that row."""
        self._hold(held)
        self.filter_by(words)
        self.go_to(key)

    def commands(self) -> Iterator[Command]:
        """See `Room`."""
        yield from super().commands()
        yield "Pause events", "Hold the picture still, or let it go on", self.action_pause
        yield "Cause", "Go to what explains the event", self.action_cause
