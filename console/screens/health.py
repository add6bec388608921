"""What ClusterHealth says of the cluster, and what the doctor finds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.console import RenderableType
from textual.binding import Binding, BindingType
from textual.widget import Widget

from console.messages import Examine, Jump
from console.screens.listing import ListRoom
from console.screens.room import Command, Keys
from console.snapshot import Snapshot
from console.view import health
from console.view.detail import gridded
from console.view.health import FindingRow
from console.view.line import Line
from console.view.rooms import Where
from console.view.runbooks import reference
from console.widgets.lines import Lines
from console.widgets.paint import palette_of
from console.widgets.table import RowTable


class Findings(RowTable[FindingRow]):
    """Enter goes to the runbook: what is found is to be seen in full below."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select_cursor", "Runbook")]


class HealthRoom(ListRoom[FindingRow]):
    """The doctor looks when he is asked to, and only reads."""

    WHERE = Where.HEALTH
    WHAT = "findings"
    LAYOUT_OF_ROWS = health.LAYOUT
    SHOWS_DETAILS = True
    KEYS: ClassVar[Keys] = (
        ("r", "have the doctor look: as `coord doctor --read-only`, it changes nothing"),
        ("x", "call the doctor off"),
        ("enter", "open the runbook at the section of what was found"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "examine", "Examine"),
        Binding("x", "call_off", "Call off"),
    ]

    def above(self) -> Iterator[Widget]:
        """The cluster, and how the doctor is getting on."""
        yield Lines(id="cluster", classes="panel")
        yield Lines(id="doctor")

    def make_table(self) -> RowTable[FindingRow]:
        """See `ListRoom`."""
        return Findings(health.LAYOUT, id=self.WHAT)

    def rows_of(self, snapshot: Snapshot) -> tuple[FindingRow, ...]:
        """See `ListRoom`."""
        return health.finding_rows(snapshot)

    def name_of(self, row: FindingRow) -> str:
        """See `ListRoom`."""
        return row.code

    def detail_of(self, row: FindingRow) -> RenderableType:
        """See `ListRoom`."""
        return gridded(health.detail(row), palette_of(self.app))

    def none(self, snapshot: Snapshot) -> Line:
        """See `ListRoom`."""
        return health.none(snapshot)

    def notes(self, snapshot: Snapshot) -> tuple[Line, ...]:
        """See `ListRoom`."""
        return health.notes(snapshot)

    def draw_time(self) -> None:
        """The doctor counts, and ages do."""
        top = self.query_one("#cluster", Lines)
        top.entitle("Cluster, as the leader sees it")
        top.show(health.cluster(self._snapshot, self._now()))
        self.query_one("#doctor", Lines).show([health.doctor(self._snapshot, self._now())])
        super().draw_time()

    @property
    def _at_work(self) -> bool:
        examination = self._snapshot.examination
        return examination is not None and examination.progress is not None

    # --- keys ---

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is nobody to call off unless the doctor is at work."""
        return self._at_work if action == "call_off" else super().check_action(action, parameters)

    def draw(self) -> None:
        """The keys change with what the doctor does."""
        super().draw()
        self.refresh_bindings()

    def action_details(self) -> None:
        """Open the runbook at the section of what is under the cursor."""
        row = self.table.current
        if row is not None:
            self.post_message(Jump(Where.RUNBOOKS, reference(row.finding.runbook)))

    def action_examine(self) -> None:
        """Have the doctor look."""
        self.post_message(Examine(begin=True))

    def action_call_off(self) -> None:
        """Have him stop."""
        self.post_message(Examine(begin=False))

    def commands(self) -> Iterator[Command]:
        """See `Room`."""
        yield from super().commands()
        yield "Examine", "Have the doctor look, reading only", self.action_examine
        if self._at_work:
            yield "Call off", "Stop the doctor", self.action_call_off
