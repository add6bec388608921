"""What operators ask of an election: to pause it, to drain a node, to step down.

They are only asked: each node that reads it does its part, and who asked, and why, stands with it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from coord.records.base import Moment, Name, Record, Term

MAX_PAUSE_MS = 86_400_000
"""The longest that an election may be paused: 24 hours."""

MAX_REASON = 500
"""The longest reason that an operator may give, in characters."""

Actor = Annotated[str, Field(min_length=1, max_length=128)]
Reason = Annotated[str, Field(min_length=1, max_length=MAX_REASON)]
RequestId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class Control(Record):
    """Who asks, why and when.

    actor: who asks.
    reason: why, in their words.
    at: when, in UTC by the asker's clock: for people; nothing is decided by it.
    request_id: 16 hexadecimal digits, new for each operation; the audit entry has the same.
    """

    KIND: ClassVar[str] = "control record"

    actor: Actor
    reason: Reason
    request_id: RequestId
    at: Moment


class PauseRecord(Control):
    """Nobody campaigns while this stands, and for no longer than it says.

    for_ms: how long at most, in milliseconds; each node counts that by its own clock from when it
        first saw this `request_id`.
    """

    KIND: ClassVar[str] = "pause record"

    for_ms: Annotated[int, Field(ge=1, le=MAX_PAUSE_MS, strict=True)]


class DrainRecord(Control):
    """The node in whose name it stands does not lead unless nobody else does."""

    KIND: ClassVar[str] = "drain record"


class RequestKind(StrEnum):
    """What the leader is asked to do."""

    STEP_DOWN = "step_down"
    TRANSFER = "transfer"
    FORCE_RELEASE = "force_release"
    """Told, not asked: its session is destroyed."""


class RequestRecord(Control):
    """Asks the leader of term `expected_term`, and no other, for something.

    kind: what it is asked.
    expected_term: whose leader is asked.
    to: whom it is to name as the first to follow, for a transfer; else "".
    """

    KIND: ClassVar[str] = "request record"

    kind: RequestKind
    expected_term: Term
    to: Name = ""
