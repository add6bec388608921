"""What the workers tell the app, and what the screens ask of it."""

from __future__ import annotations

from textual.message import Message

from console.snapshot import Elections, Snapshot
from console.view.rooms import Where
from coord.operations import Operation


class SnapshotFetched(Message):
    """There is a new snapshot. source: whoever made it, None if nobody of whom there are more."""

    def __init__(self, snapshot: Snapshot, source: object = None) -> None:
        super().__init__()
        self.snapshot = snapshot
        self.source = source


class ElectionsFetched(Message):
    """It is known which elections there are, or why not."""

    def __init__(self, elections: Elections) -> None:
        super().__init__()
        self.elections = elections


class Jump(Message):
    """Go to another screen, and there to one thing: an entry, a section."""

    def __init__(self, where: Where, key: str) -> None:
        super().__init__()
        self.where = where
        self.key = key


class Return(Message):
    """Go back to the screen from which a `Jump` led here."""

    def __init__(self, where: Where) -> None:
        super().__init__()
        self.where = where


class Examine(Message):
    """Have the doctor look, or call him off."""

    def __init__(self, *, begin: bool) -> None:
        super().__init__()
        self.begin = begin


class Operate(Message):
    """Do an operation: preview it, ask for what it takes, and follow it."""

    def __init__(self, operation: Operation) -> None:
        super().__init__()
        self.operation = operation
