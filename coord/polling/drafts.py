"""What operators write, on a command line or in a file, as schedules.

A record in Consul is read with forbearance, as others may have written it; what somebody writes now
is not: every mistake is told, with where it is and what to write instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from coord.config import Problem, SettingsError, Source, SourceKind
from coord.config.sources import nearest, read_toml
from coord.config.values import InvalidValueError, shown
from coord.polling.check_records import MAX_CHECKS, MAX_CONTAINS, MAX_REDIRECTS
from coord.polling.records import (
    MAX_ASSIGNED,
    MAX_RETRIES,
    CheckKind,
    HttpCheck,
    ScheduleId,
    ScheduleRecord,
    TcpCheck,
)
from coord.polling.store import encode_schedule
from coord.records import MAX_PRIORITY, is_name

Where = tuple[str | int, ...]
"""A place within a schedule, as ``("checks", 0, "target")``."""

FIELDS = (
    *("name", "enabled", "interval", "checks", "timeout", "max_retries", "priority"),
    *("assignment", "assigned_to"),
)
"""What may be written of a schedule, besides its id."""

_TABLE = "schedules"
_ID = TypeAdapter(ScheduleId)
_KIND_FIELDS: Mapping[str, frozenset[str]] = {
    CheckKind.HTTP.value: frozenset(HttpCheck.model_fields),
    CheckKind.TCP.value: frozenset(TcpCheck.model_fields),
}
_FIXES: Mapping[str, str] = {
    "id": "use 1 to 100 letters, digits, dots, dashes and underscores",
    "name": "write at most 128 characters",
    "enabled": "write true or false",
    "interval": "write a duration from 500ms to 168h, like 10s",
    "checks": f"give it 1 to {MAX_CHECKS} checks",
    "max_retries": f"write how often it may be tried again, from 0 to {MAX_RETRIES}",
    "priority": f"write a number from 0 to {MAX_PRIORITY}; the higher comes first",
    "assignment": "write any, specific, partition or domain, or leave it out",
    "assigned_to": f"list 1 to {MAX_ASSIGNED} names of pollers, partitions or domains",
    "kind": "use http, tcp, or a kind that your pollers have by their poller_checks",
    "target": "write what is to be checked: a URL, or host:port",
    "timeout": "write a duration from 50ms to 60s, like 2s",
    "method": "use GET, HEAD, OPTIONS or POST",
    "status": "list at most 20 HTTP statuses from 100 to 599, like 200, 204",
    "contains": f"write 1 to {MAX_CONTAINS} characters that the body must hold",
    "redirects": f"write how many may be followed, from 0 to {MAX_REDIRECTS}",
}
_OUT_OF_RANGE = frozenset(
    {
        *("greater_than_equal", "less_than_equal", "too_short", "too_long"),
        *("string_too_short", "string_too_long"),
    }
)
_CHECK_FIX = "write a check with at least a kind and a target"


class DraftError(SettingsError):
    """What was written is no schedule; `problems` says all that is wrong, each with its fix."""


def check_id(text: str, source: Source) -> str:
    """`text` itself, if a schedule may be called that.

    Raises:
        DraftError: it may not.
    """
    try:
        return _ID.validate_python(text)
    except ValidationError as error:
        (item, *_) = error.errors(include_url=False)
        problem, fix = _told(item, ("id",))
        raise DraftError((Problem("id", source, problem, fix),)) from None


def draft(
    schedule_id: str,
    fields: Mapping[str, Any],
    *,
    now_ms: int,
    at: str = "",
    source: Callable[[Where], Source],
) -> ScheduleRecord:
    """A schedule, due from now on.

    now_ms: now, in wall-clock milliseconds.
    at: what stands before the names of its fields.
    source: where each of its parts was written.

    Raises:
        DraftError: with all that is wrong.
    """
    found = list(_unknown(fields))
    known = {name: value for name, value in fields.items() if name in FIELDS}
    try:
        record = ScheduleRecord.model_validate({**known, "id": schedule_id, "since_ms": now_ms})
    except ValidationError as error:
        for item in _worth_telling(error.errors(include_url=False)):
            where = _without_tags(item["loc"])
            found.append((where, *_told(item, where)))
    else:
        try:
            encode_schedule(record)
        except ValueError as error:
            problem, _, fix = str(error).partition("; ")
            found.append((("checks",), problem, fix))
    if found:
        raise DraftError(
            tuple(Problem(at + _written(w), source(w), problem, fix) for w, problem, fix in found)
        )
    return record


def read_file(path: Path, *, now_ms: int) -> tuple[ScheduleRecord, ...]:
    """The schedules of a TOML file, a table ``[schedules.ID]`` for each.

    Raises:
        SettingsError: the file cannot be read, or (DraftError) with all that is wrong in it.
    """
    source = Source(SourceKind.FILE, str(path))
    document = read_toml(path, source)
    problems = [
        Problem(name if is_name(name) else shown(name), source, *_no_such(name, (_TABLE,)))
        for name in document
        if name != _TABLE
    ]
    tables = document.get(_TABLE, {})
    if not isinstance(tables, dict):
        problems.append(Problem(_TABLE, source, "it is no table", "write [schedules.ID]"))
        tables = {}
    records = []
    for name, fields in tables.items():
        at = f"{_TABLE}.{name if is_name(name) else shown(name)}"
        if not isinstance(fields, dict):
            problems.append(Problem(at, source, "it is no table", "write [schedules.ID]"))
            continue
        try:
            records.append(draft(name, fields, now_ms=now_ms, at=f"{at}.", source=lambda _: source))
        except DraftError as error:
            problems += error.problems
    if problems:
        raise DraftError(tuple(problems))
    return tuple(records)


# --- what is wrong ---------------------------------------------------------------------------


def _unknown(fields: Mapping[str, Any]) -> Iterator[tuple[Where, str, str]]:
    for name in fields:
        if name not in FIELDS:
            yield (name,), *_no_such(name, FIELDS)
    checks = fields.get("checks")
    for number, check in enumerate(checks if isinstance(checks, list | tuple) else ()):
        kind = check.get("kind") if isinstance(check, dict) else None
        known = _KIND_FIELDS.get(kind) if isinstance(kind, str) else None
        if known is None:
            continue
        for name in check:
            if name not in known:
                yield ("checks", number, name), *_no_such(name, known)


def _no_such(name: str, known: frozenset[str] | tuple[str, ...]) -> tuple[str, str]:
    like = nearest(name, known)
    return "there is no such field", f"did you mean {like}?" if like else "remove it"


def _worth_telling(items: Sequence[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Without that too few checks are left, where the others are told to be wrong."""
    of_checks = any(len(item["loc"]) > 1 for item in items if item["loc"][:1] == ("checks",))
    for item in items:
        if not (of_checks and item["loc"] == ("checks",) and item["type"] == "too_short"):
            yield item


def _without_tags(loc: Where) -> Where:
    """Within a check pydantic names which kind it took it for; nobody wrote that."""
    return (*loc[:2], *loc[3:]) if len(loc) > 2 and loc[0] == "checks" else loc


def _told(item: ErrorDetails, where: Where) -> tuple[str, str]:
    names = [part for part in where if isinstance(part, str)]
    is_check = names == ["checks"] and len(where) > 1
    usual = _CHECK_FIX if is_check else _FIXES.get(names[-1] if names else "", "correct it")
    error = item.get("ctx", {}).get("error")
    if where == ("id",):
        return f"{shown(item['input'])} cannot be the id of a schedule", usual
    if isinstance(error, InvalidValueError):
        return error.problem, error.fix
    if isinstance(error, ValueError):
        problem, _, fix = str(error).partition("; ")
        return problem, fix or usual
    if item["type"] == "missing":
        return "it is missing", usual
    if item["type"] in _OUT_OF_RANGE:
        given = item["input"]
        what = f"{len(given)} of them" if isinstance(given, list | tuple) else shown(given)
        return f"{what} is out of range", usual
    said = item["msg"][:1].lower() + item["msg"][1:]
    return f"{shown(item['input'])} cannot be used: {said}", usual


def _written(where: Where) -> str:
    text = ""
    for part in where:
        name = part if isinstance(part, int) or is_name(part) else shown(part)
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{name}"
    return text
