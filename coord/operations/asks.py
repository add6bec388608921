"""What an operator asks for: which operation, of whom, who asks and why. Pure."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from enum import StrEnum

from coord.records import MAX_PAUSE_MS, MAX_REASON, check_name

DEFAULT_PAUSE_S = 1800.0
"""How long an election is paused if nobody says how long, in seconds."""

MAX_ACTOR = 128

_REQUEST_ID = re.compile(r"[0-9a-f]{16}")


class Operation(StrEnum):
    """What operators may do; the words stand in the audit."""

    STEP_DOWN = "step_down"
    """The leader stops its work and gives the lock back; the best successor takes over at once."""
    TRANSFER = "transfer"
    """The same, and `node` is the first to follow."""
    FORCE_RELEASE = "force_release"
    """The leader's session is destroyed; the lock-delay then protects what it may still do."""
    PAUSE = "pause"
    """Nobody campaigns; who leads goes on leading."""
    RESUME = "resume"
    """The pause ends."""
    DRAIN = "drain"
    """`node` does not lead unless nobody else does."""
    UNDRAIN = "undrain"
    """The drain of `node` ends; a leader that is drained makes way for it."""

    @property
    def of_leader(self) -> bool:
        """Whether it is asked of whoever leads, under one term."""
        return self in (self.STEP_DOWN, self.TRANSFER, self.FORCE_RELEASE)

    @property
    def needs_node(self) -> bool:
        """Whether it names a node."""
        return self in (self.TRANSFER, self.DRAIN, self.UNDRAIN)


def new_request_id() -> str:
    """An id for one operation: 16 hexadecimal digits that nobody had before."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One operation, as an operator asks for it. Valid once constructed.

    node: whom a transfer names, or who is drained or undrained; else "".
    for_s: how long to pause, in seconds; of a pause alone.
    actor, reason: who asks, and why; both end up in the records, so both must be said.
    request_id: of this very operation; its records and its audit entry have it.
    expected_term: the term that it was decided on; None: the one that the preview sees.
    anyway: also where a refusal says that this would do: the node is not known, another operator's
        request stands, the election is paused or the node drained already.

    Raises:
        ValueError: something is missing, too long, or does not go with the operation.
    """

    operation: Operation
    actor: str
    reason: str
    node: str = ""
    for_s: float = DEFAULT_PAUSE_S
    request_id: str = field(default_factory=new_request_id)
    expected_term: int | None = None
    anyway: bool = False

    def __post_init__(self) -> None:
        if self.operation.needs_node:
            check_name("node", self.node)
        elif self.node:
            raise ValueError(f"node: {self.operation.value} names none")
        if not _is_line(self.actor, MAX_ACTOR):
            raise ValueError(f"actor: say who asks, on one line of at most {MAX_ACTOR} characters")
        if not _is_line(self.reason, MAX_REASON):
            raise ValueError(f"reason: say why, on one line of at most {MAX_REASON} characters")
        if self.expected_term is not None and self.expected_term < 0:
            raise ValueError("expected_term: must be zero or more")
        if _REQUEST_ID.fullmatch(self.request_id) is None:
            raise ValueError("request_id: must be 16 hexadecimal digits")
        if self.operation is Operation.PAUSE and not 1 <= self.for_ms <= MAX_PAUSE_MS:
            raise ValueError("for_s: must be from 1 ms to 24 hours")

    @property
    def for_ms(self) -> int:
        """How long to pause, in milliseconds."""
        return round(self.for_s * 1000)


def _is_line(text: str, limit: int) -> bool:
    # What cannot be printed ends up on other people's terminals; half a character cannot be sent.
    return bool(text.strip()) and len(text) <= limit and text.isprintable()
