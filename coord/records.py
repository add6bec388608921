"""The key paths and the versioned JSON records kept in Consul: the one shared contract.

Every node, the console and the runbooks agree on this module and on nothing else. Records are
JSON objects with a version `v`. A reader takes what it knows and ignores the rest, so that an old
reader meets a newer record without harm.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from coord.election.lookout import MAX_TERM as MAX_TERM

NAME_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,128}")
"""What elections, nodes and schedules may be called. An unescaped `..` would reach other keys."""

LEADER_SERVICE = "coordinator"
CANDIDATE_SERVICE = "coordinator-candidate"
OBSERVER_SERVICE = "coordinator-observer"
POLLER_SERVICE = "poller"

MAX_DELAY_MS = 3_600_000


def is_name(name: str) -> bool:
    """Whether an election, a node or a schedule may be called that."""
    return NAME_PATTERN.fullmatch(name) is not None and name not in (".", "..")


def check_name(field: str, name: str) -> str:
    """`name` itself if it may stand in a path.

    Raises:
        ValueError: it may not; the message names `field` and what is allowed.
    """
    if not is_name(name):
        raise ValueError(
            f"{field} {name!r} is not usable in a key: use 1 to 128 of the characters "
            "A-Z a-z 0-9 . _ - and not '.' or '..'"
        )
    return name


@dataclass(frozen=True, slots=True)
class Paths:
    """Where everything of one election lives in Consul's KV store."""

    election: str

    def __post_init__(self) -> None:
        check_name("election", self.election)

    @property
    def root(self) -> str:
        return f"service/{self.election}/"

    @property
    def leader(self) -> str:
        return self.root + "leader"

    @property
    def term(self) -> str:
        return self.root + "term"

    @property
    def journal(self) -> str:
        return self.root + "journal/"

    @property
    def cluster_health(self) -> str:
        return self.root + "cluster/health"

    @property
    def polls(self) -> str:
        return self.root + "polls/"

    @property
    def leader_service(self) -> str:
        return self._service(LEADER_SERVICE)

    @property
    def candidate_service(self) -> str:
        return self._service(CANDIDATE_SERVICE)

    @property
    def observer_service(self) -> str:
        return self._service(OBSERVER_SERVICE)

    def _service(self, name: str) -> str:
        """The default election owns the plain names; others stand beside it with their own.

        The election comes first: no two elections, whatever their names, share a service.
        """
        return name if self.election == "coordinator" else f"{self.election}-{name}"


class RecordError(ValueError):
    """A record in Consul cannot be read; `field` names the part that is wrong, "" the whole."""

    def __init__(self, record: str, field: str, detail: str) -> None:
        where = f"{record}.{field}" if field else record
        super().__init__(f"{where}: {detail}")
        self.record = record
        self.field = field


class LeaderState(StrEnum):
    HELD = "held"
    VACANT = "vacant"


def _checked_name(value: Any) -> Any:
    return check_name("name", value) if isinstance(value, str) and value else value


Name = Annotated[str, BeforeValidator(_checked_name), Field(max_length=128)]
Term = Annotated[int, Field(ge=0, le=MAX_TERM, strict=True)]
DelayMs = Annotated[int, Field(ge=0, le=MAX_DELAY_MS, strict=True)]


class Record(BaseModel):
    """A versioned JSON record. Unknown fields of newer writers are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    KIND: ClassVar[str] = "record"

    v: int = Field(default=1, ge=1, strict=True)

    def encode(self) -> bytes:
        """The record as it is stored: readable in the Consul UI, fields in their order."""
        data = self.model_dump(mode="json", exclude_none=True)
        return json.dumps(data, ensure_ascii=False).encode()

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read a record.

        Raises:
            RecordError: it is not a record of this kind; names the field.
        """
        try:
            return cls.model_validate_json(raw)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(str(part) for part in first["loc"])
            raise RecordError(cls.KIND, field, first["msg"]) from None


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
    since: datetime | None = None
    successors: tuple[Name, ...] = Field(default=(), max_length=3)
    lock_delay_ms: DelayMs = 0
    fenced_within_ms: DelayMs | None = None
    why: str = Field(default="", max_length=64)
    by: str = Field(default="", max_length=128)


def utc(wall_ms: int) -> datetime:
    """Wall-clock milliseconds since 1970 as an aware UTC time, for records and display only."""
    return datetime.fromtimestamp(wall_ms / 1000, tz=UTC)


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
