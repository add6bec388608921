"""What every record in Consul is: versioned JSON that older and newer readers understand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from coord.election.terms import MAX_TERM as MAX_TERM
from coord.records.paths import check_name

MAX_DELAY_MS = 3_600_000

MOMENT_YEARS = (1970, 9000)
"""The first and the last year that a moment in a record may lie in: others cannot be worked with
everywhere."""


class RecordError(ValueError):
    """A record in Consul cannot be read; `field` names the part that is wrong, "" the whole."""

    def __init__(self, record: str, field: str, detail: str) -> None:
        where = f"{record}.{field}" if field else record
        super().__init__(f"{where}: {detail}")
        self.record = record
        self.field = field


def _checked_name(value: Any) -> Any:
    return check_name("name", value) if isinstance(value, str) and value else value


def _in_utc(moment: datetime) -> datetime:
    first, last = MOMENT_YEARS
    # A day of room for the offset: beyond, there may be no such moment in UTC.
    if first - 1 <= moment.year <= last + 1:
        aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        if first <= aware.year <= last:
            return aware
    raise ValueError(f"must be a moment of the years {first} to {last}")


Name = Annotated[str, BeforeValidator(_checked_name), Field(max_length=128)]
Term = Annotated[int, Field(ge=0, le=MAX_TERM, strict=True)]
Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A moment in UTC; one that names no offset is taken for UTC."""
DelayMs = Annotated[int, Field(ge=0, le=MAX_DELAY_MS, strict=True)]


class Record(BaseModel):
    """A versioned JSON record. Unknown fields of newer writers are ignored.

    v: the version of what is written.
    """

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


def utc(wall_ms: int) -> datetime:
    """Wall-clock milliseconds since 1970 as an aware UTC time, for records and display only."""
    return datetime.fromtimestamp(wall_ms / 1000, tz=UTC)
