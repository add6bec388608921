"""Requests for a run as the leader sees them, and how long they stand. PURE."""

from __future__ import annotations

from dataclasses import dataclass

from coord.polling.records import AskedRecord

ASKED_WITHIN_MS = 300_000
"""What was asked longer ago is not run any more, as nobody waits for it."""

UNKNOWN_WITHIN_MS = 10_000
"""A request may be seen before its schedule is, but not by longer than this."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for a run as it stands in Consul. index: its ModifyIndex. seen_ms: since when."""

    record: AskedRecord
    index: int
    seen_ms: int

    def is_late(self, wall_ms: int, *, known: bool) -> bool:
        """Whether it is not to be obeyed any more. known: there is such a schedule."""
        if not known and wall_ms - self.seen_ms >= UNKNOWN_WITHIN_MS:
            return True
        # By a clock that is ahead it was asked later than it was seen.
        return wall_ms - min(self.record.at_ms, self.seen_ms) >= ASKED_WITHIN_MS
