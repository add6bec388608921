"""The leader key and the term key: who leads, or why nobody does, and under which term."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from coord.records.base import MAX_TERM, DelayMs, Moment, Name, Record, RecordError, Term


class LeaderState(StrEnum):
    HELD = "held"
    VACANT = "vacant"


class LeaderRecord(Record):
    """The value of the leader key.

    Held: who leads, since when (UTC), under which term. Vacant: who led last, and why and by whom
    the lock was given back. `fenced_within_ms`: this long after its last good confirmation the
    leader has stopped, whatever happens to it.
    """

    KIND: ClassVar[str] = "leader record"

    state: LeaderState
    term: Term = 0
    node: Name = ""
    node_type: str = Field(default="", max_length=64)
    address: str = Field(default="", max_length=256)
    since: Moment | None = None
    successors: tuple[Name, ...] = Field(default=(), max_length=3)
    lock_delay_ms: DelayMs = 0
    fenced_within_ms: DelayMs | None = None
    why: str = Field(default="", max_length=64)
    by: str = Field(default="", max_length=128)


def encode_term(term: int) -> bytes:
    return str(term).encode()


def decode_term(raw: bytes) -> int:
    """Read the term key.

    Raises:
        RecordError: not a plain whole number from 1 to `MAX_TERM`.
    """
    if re.fullmatch(rb"[0-9]{1,19}", raw) is None or not 1 <= int(raw) <= MAX_TERM:
        raise RecordError("term key", "", f"must be a whole number from 1 to {MAX_TERM}")
    return int(raw)
