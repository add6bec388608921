"""The checks of a schedule and what they found, as records hold them; see `records`.

Readers survive each other. A kind that is not built in is read whole, whoever reads it, and only
the poller that runs it has to know it; an error that is not known here is kept as the word it is;
fields of `HttpCheck` that are newer than others are left out where they are not used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    AnyHttpUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from coord.config.values import format_duration, parse_duration, parse_host_port

MAX_CHECKS = 20
"""How many checks one schedule may have."""

MAX_TIMEOUT_S = 60.0
MAX_DETAIL = 200
MAX_TARGET = 2048
MAX_REDIRECTS = 10
MAX_CONTAINS = 1000
MAX_DEPTH = 8
"""How deeply lists and tables of a check of a kind of one's own may lie in each other."""

MAX_PARTS = 200
"""How many values, those in its lists and tables included, such a check may hold."""

_URL = TypeAdapter(AnyHttpUrl)
_URL_START = re.compile(r"https?://", re.IGNORECASE)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")

Duration = Annotated[
    float, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str)
]
Timeout = Annotated[Duration, Field(ge=0.05, le=MAX_TIMEOUT_S)]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,31}$")]
"""What a kind of check, or an error, may be called."""


class CheckKind(StrEnum):
    """The kinds of check that every poller has."""

    HTTP = "http"
    TCP = "tcp"


class CheckError(StrEnum):
    """Why a check says down.

    DNS: the name has no address. REFUSED: nobody listens. UNREACHABLE: no way there. TIMEOUT: no
    answer within the check's timeout. TLS: no trusted connection. CLOSED: the connection ended
    before the answer. PROTOCOL: the answer is not HTTP. STATUS: answered, with a status that does
    not count as up. CONTENT: answered, but the body does not hold what it must. REDIRECT: led on
    too often, or nowhere. FORBIDDEN: the poller may not connect to an address like that.
    UNKNOWN_KIND: the poller has no such kind of check. DOWN: a check of one's own says so.
    INTERNAL: the check itself failed.
    """

    DNS = "dns"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    TLS = "tls"
    CLOSED = "closed"
    PROTOCOL = "protocol"
    STATUS = "status"
    CONTENT = "content"
    REDIRECT = "redirect"
    FORBIDDEN = "forbidden"
    UNKNOWN_KIND = "unknown_kind"
    DOWN = "down"
    INTERNAL = "internal"


class _Check(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    timeout: Timeout = 5.0


class HttpCheck(_Check):
    """Ask for a URL.

    target: an http or https URL without credentials.
    status: the statuses that count as up; none named: 200 to 399.
    contains: text that the beginning of the body must hold, as UTF-8; None: the body is not read.
    redirects: how many redirects are followed; None: none, and one is an answer like any other.
    timeout: for the whole check, redirects included, in seconds.
    """

    kind: Literal[CheckKind.HTTP]
    target: str = Field(min_length=1, max_length=MAX_TARGET)
    method: Literal["GET", "HEAD", "OPTIONS", "POST"] = "GET"
    status: tuple[Annotated[int, Field(ge=100, le=599, strict=True)], ...] = Field(
        default=(), max_length=20
    )
    contains: str | None = Field(default=None, min_length=1, max_length=MAX_CONTAINS)
    redirects: int | None = Field(default=None, ge=0, le=MAX_REDIRECTS, strict=True)

    @field_validator("target")
    @classmethod
    def _is_url(cls, value: str) -> str:
        fix = "write a URL like http://host:port/path"
        try:
            url = _URL.validate_python(value)
        except ValidationError:
            raise ValueError(f"it is not an http or https URL; {fix}") from None
        if not value.isprintable() or not _URL_START.match(value):
            # The parser mends these, but it is the text as written that will be asked for.
            raise ValueError(f"it is not a well-formed URL; {fix}")
        if url.username or url.password:
            # Targets are shown in results, logs and the Consul UI.
            raise ValueError(f"it holds a user name or password; {fix}, without them")
        return value

    @field_validator("contains")
    @classmethod
    def _has_a_body(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("method") == "HEAD":
            raise ValueError("an answer to HEAD has no body; use GET, or leave this out")
        return value


class TcpCheck(_Check):
    """Open a connection, and close it again.

    target: ``host:port``, IPv6 addresses in brackets.
    timeout: for the whole check, in seconds.
    """

    kind: Literal[CheckKind.TCP]
    target: str = Field(min_length=1, max_length=300)

    @field_validator("target")
    @classmethod
    def _is_host_port(cls, value: str) -> str:
        if parse_host_port(value).port == 0:
            raise ValueError("port 0 cannot be dialled; write host:port")
        return value


class OtherCheck(_Check):
    """A check of a kind that is not built in: pollers have it by their setting `poller_checks`.

    target: what is checked, for the kind to understand and for people to see.
    timeout: for the whole check, in seconds.
    fields: whatever else stands in it, for the kind alone; kept by all that read it.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: Word
    target: str = Field(min_length=1, max_length=MAX_TARGET)

    @property
    def fields(self) -> Mapping[str, Any]:
        """What the kind has fields of its own for; what is null in a record is left out."""
        return MappingProxyType(self.__pydantic_extra__ or {})

    @model_validator(mode="before")
    @classmethod
    def _is_json(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        room = MAX_PARTS
        for name, part in value.items():
            room = _room_after(name, part, room)
        return {name: part for name, part in value.items() if part is not None}


def _room_after(name: object, part: Any, room: int) -> int:
    """How many more values a check may hold after this one of its fields.

    Raises:
        ValueError: it holds too many, or what a check may not hold.
    """
    try:
        return _count_down({name: part}, -1, room + 1)
    except _TooManyError:
        what, fix = f"over {MAX_PARTS} values", "give it fewer"
    except _NotPlainError:
        what = f"something that is no JSON, or lies over {MAX_DEPTH} levels deep"
        fix = "write text, numbers, true, false, lists and tables"
    raise ValueError(f"up to its field {clip(name)[:100]} it holds {what}; {fix}")


class _TooManyError(Exception):
    pass


class _NotPlainError(Exception):
    pass


def _count_down(value: Any, depth: int, room: int) -> int:
    if room <= 0:
        raise _TooManyError
    room -= 1
    parts: Iterable[Any]
    match value:
        case bool() | int() | None:
            return room
        case str() if not _SURROGATE.search(value):
            return room
        case float() if math.isfinite(value):
            return room
        case list() | tuple() if depth < MAX_DEPTH:
            parts = value
        case dict() if depth < MAX_DEPTH:
            if not all(isinstance(name, str) and not _SURROGATE.search(name) for name in value):
                raise _NotPlainError
            parts = value.values()
        case _:
            raise _NotPlainError
    for part in parts:
        room = _count_down(part, depth + 1, room)
    return room


_OTHER = "other"


def _which(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    if not isinstance(kind, str):
        return None
    return str(kind) if kind in frozenset(CheckKind) else _OTHER


Check = Annotated[
    Annotated[HttpCheck, Tag(CheckKind.HTTP.value)]
    | Annotated[TcpCheck, Tag(CheckKind.TCP.value)]
    | Annotated[OtherCheck, Tag(_OTHER)],
    Discriminator(
        _which,
        custom_error_type="no_kind",
        custom_error_message="it is no check with a kind",
    ),
]
Checks = Annotated[tuple[Check, ...], Field(min_length=1, max_length=MAX_CHECKS)]


MAX_STATUS = 999_999
"""Kinds of one's own may have their own numbers."""

_MAX_LATENCY_MS = 10 * MAX_TIMEOUT_S * 1000
"""No check takes so long."""


class CheckResult(BaseModel):
    """What one check found.

    target: what was checked, cut to `MAX_DETAIL` characters.
    ok: the target is up.
    latency_ms: until the answer, or the failure, in milliseconds.
    error: why not ok, None if ok; a word that is no `CheckError` is a newer poller's.
    status: the HTTP status, if there was one; a number that can be none is left out.
    detail: for people.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Word
    target: str = Field(max_length=MAX_DETAIL)
    ok: Annotated[bool, Field(strict=True)]
    latency_ms: float = Field(ge=0, le=_MAX_LATENCY_MS, allow_inf_nan=False)
    error: CheckError | Word | None = Field(default=None, union_mode="left_to_right")
    status: int | None = None
    detail: str = Field(default="", max_length=MAX_DETAIL)

    @field_validator("status")
    @classmethod
    def _is_one(cls, value: int | None) -> int | None:
        return value if value is not None and 0 <= value <= MAX_STATUS else None

    def is_of(self, check: Check) -> bool:
        """Whether that check may have found it: of that kind, at that target."""
        return self.kind == str(check.kind) and clip(self.target) == clip(check.target)


def clip(text: object) -> str:
    """A text of foreign origin as records carry it: one line of ASCII, at most `MAX_DETAIL`."""
    return _UNPRINTABLE.sub(" ", str(text))[:MAX_DETAIL]
