"""What the workers tell the app."""

from __future__ import annotations

from textual.message import Message

from console.snapshot import Snapshot


class SnapshotFetched(Message):
    """There is a new snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot
