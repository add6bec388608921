"""What operators did."""

from __future__ import annotations

from rich.console import RenderableType

from console.screens.listing import ListRoom
from console.snapshot import Snapshot
from console.view import audit
from console.view.audit import AuditRow
from console.view.detail import gridded
from console.view.line import Line
from console.view.rooms import Where
from console.widgets.paint import palette_of


class AuditRoom(ListRoom[AuditRow]):
    """The audit, the latest first."""

    WHERE = Where.AUDIT
    WHAT = "operations"
    LAYOUT_OF_ROWS = audit.LAYOUT

    def rows_of(self, snapshot: Snapshot) -> tuple[AuditRow, ...]:
        """See `ListRoom`."""
        return () if snapshot.past is None else audit.audit_rows(snapshot.past.operations)

    def name_of(self, row: AuditRow) -> str:
        """See `ListRoom`."""
        return row.request_id or row.key

    def detail_of(self, row: AuditRow) -> RenderableType:
        """See `ListRoom`."""
        return gridded(audit.detail(row), palette_of(self.app))

    def none(self, snapshot: Snapshot) -> Line:
        """See `ListRoom`."""
        return audit.none(snapshot)

    def notes(self, snapshot: Snapshot) -> tuple[Line, ...]:
        """See `ListRoom`."""
        return audit.notes(snapshot)

    def key_of(self, wanted: str) -> str:
        """The entry of the request of that id."""
        return next((row.key for row in self._rows if row.request_id == wanted), wanted)
