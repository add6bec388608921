"""Journals made by hand: what several nodes tell of a history, each by a clock of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from coord.consul import KVEntry
from coord.operations import AuditEntry
from coord.records import AuditRecord, Paths
from coord.telemetry import Event, to_dict
from coord.telemetry.journal import JournalEntry, decoded

PATHS = Paths("x")
START_MS = 1_800_000_000_000


class Pen:
    """Writes what one node tells.

    skew_ms: by how much its clock is ahead of the true time.
    """

    def __init__(self, node: str, *, skew_ms: int = 0, start: str = "00000000") -> None:
        self.node = node
        self.skew_ms = skew_ms
        self._start = start
        self._number = 0

    def tell(self, true_ms: int, event: Callable[..., Event], **fields: Any) -> KVEntry:
        """The key that its journal would write of that event, at that true time."""
        at_ms = true_ms + self.skew_ms
        made = event(node=self.node, node_type="core", election="x", at_ms=at_ms, **fields)
        self._number += 1
        body = {k: v for k, v in to_dict(made).items() if v is not None}
        return KVEntry(
            f"{PATHS.journal}{at_ms:013d}-{self.node}-{self._start}-{self._number:08d}",
            json.dumps({"v": 1, **body}).encode(),
        )


def entries(*keys: KVEntry) -> tuple[JournalEntry, ...]:
    """What is read of those keys."""
    return decoded(PATHS, keys)


def audited(at_ms: int, operation: str, **fields: Any) -> AuditEntry:
    """An audit entry as it is read."""
    given: dict[str, Any] = {
        "operation": operation,
        "actor": "alice",
        "reason": "deploy",
        "request_id": "0123456789abcdef",
        "at": datetime.fromtimestamp(at_ms / 1000, tz=UTC),
    }
    record = AuditRecord.model_validate(given | fields)
    return AuditEntry(key=record.key(PATHS), record=record)
