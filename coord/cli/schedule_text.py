"""Schedules as lines of text and as JSON. PURE: what was read in, lines or values out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from coord.config import format_duration
from coord.polling.board import options_of, result_of
from coord.polling.editing import Change, Edit, EditCode, Stored
from coord.polling.records import (
    MAX_SCHEDULE_BYTES,
    AskedRecord,
    Check,
    CheckResult,
    JobRecord,
    ResultRecord,
    ScheduleRecord,
)
from coord.polling.running import REFUSALS
from coord.polling.shelf import Shelf
from coord.polling.store import MAX_CHECKS_IN_ALL, MAX_SCHEDULES
from coord.polling.summary import is_late
from coord.status.words import ago, at, plain, span

_HEAD = ("ID", "EVERY", "CHECKS", "PRIO", "POLLERS", "LAST", "RUNS", "MISSED", "NAME")

SENTENCES: dict[EditCode, tuple[str, str]] = {
    EditCode.EXISTS: ("{ids} is there already", "--replace writes over it"),
    EditCode.CHANGED_MEANWHILE: (
        "somebody else changed {ids} since this was looked at",
        "look again, and decide anew",
    ),
    EditCode.TOO_MANY: (
        f"with {{ids}} there would be over {MAX_SCHEDULES} schedules, or over {MAX_CHECKS_IN_ALL} "
        "checks in all",
        "remove some first, or give them fewer checks",
    ),
    EditCode.TOO_LARGE: (
        f"{{ids}} would have a record of over {MAX_SCHEDULE_BYTES} bytes",
        "give it fewer or shorter checks, by add --replace or import",
    ),
    **REFUSALS,
}
"""What a refusal says, and what helps."""

_CHANGES: dict[Change, str] = {
    Change.ADDED: "added",
    Change.REPLACED: "replaced",
    Change.REMOVED: "removed",
    Change.ENABLED: "enabled",
    Change.DISABLED: "disabled",
    Change.UNCHANGED: "as it was",
}


# --- text ------------------------------------------------------------------------------------


def list_lines(election: str, shelf: Shelf, now_ms: int) -> Iterator[str]:
    """All schedules, one a line."""
    number = len(shelf.schedules)
    yield f"Election {election}: {number or 'no'} schedule{'' if number == 1 else 's'}"
    if not number:
        return
    rows = [_HEAD, *(_row(name, shelf, now_ms) for name in sorted(shelf.schedules))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
    if shelf.results is None:
        yield "This token may not see the results."


def _row(name: str, shelf: Shelf, now_ms: int) -> tuple[str, ...]:
    stored = shelf.schedules[name]
    record = stored.record
    if record is None:
        return (plain(name), "-", "-", "-", "-", "cannot be read", "-", "-", "")
    result = (shelf.results or {}).get(name)
    return (
        name,
        format_duration(record.interval),
        str(len(record.checks)),
        str(record.priority),
        plain(_assigned(record), 24),
        "disabled" if not record.enabled else _last(record, result, shelf, now_ms),
        str(result.runs) if result else "-",
        str(result.missed) if result else "-",
        plain(record.name),
    )


def _last(record: ScheduleRecord, result: ResultRecord | None, shelf: Shelf, now_ms: int) -> str:
    late = is_late(record, result, now_ms)
    if result is not None and not result.is_of(record):
        return "not yet run as it is"
    if result is None:
        return "not known" if shelf.results is None else "never run" if late else "not yet run"
    when = ago((now_ms - result.finished_ms) / 1000)
    return f"{plain(result.outcome)}, {when}{', late' if late else ''}"


def _assigned(record: ScheduleRecord) -> str:
    return " ".join((record.assignment, ",".join(record.assigned_to))).rstrip()


def show_lines(name: str, shelf: Shelf, now_ms: int) -> Iterator[str]:
    """One schedule, with its last result."""
    stored = shelf.schedules[name]
    record = stored.record
    if record is None:
        yield from _unreadable_lines(name, stored)
        return
    yield f"Schedule {name}" + (f": {plain(record.name, 128)}" if record.name else "")
    yield f"  runs      every {format_duration(record.interval)}" + (
        "" if record.enabled else ", disabled"
    )
    yield (
        f"  allows    {format_duration(record.timeout_ms / 1000)} for each of "
        f"{1 + record.max_retries} attempts; priority {record.priority}"
    )
    yield f"  pollers   {plain(_assigned(record), 200)}"
    result = (shelf.results or {}).get(name)
    if result is not None:
        finished = f"{at(result.finished_ms)} ({ago((now_ms - result.finished_ms) / 1000)})"
        yield f"  last      {plain(result.outcome)}, {finished}"
        yield f"  by        {plain(result.poller) or '-'}, {span(result.lag_ms)} after it was due"
        yield (
            f"  so far    {result.runs} runs, {result.missed} missed, "
            f"{result.retried} tried again, {result.timed_out} timed out, {result.failed} failed, "
            f"{result.cancelled} called off, {result.asked_runs} asked for"
        )
    else:
        yield f"  last      {_last(record, None, shelf, now_ms)}"
    job = (shelf.jobs or {}).get(name)
    if job is not None:
        yield f"  running   since {at(job.dispatched_ms)}, by {plain(job.poller) or '-'}"
    yield "Checks"
    for number, check in enumerate(record.checks):
        yield f"  {check.kind}  {plain(check.target, 200)}{_options(check)}"
        found = result_of(result, number, check)
        if found is not None:
            yield f"    {_found(found)}"


def result_lines(result: ResultRecord, asked: AskedRecord) -> Iterator[str]:
    """What the run that was asked for found."""
    if result.job != asked.job:
        yield "  another run has ended since; this is what that found"
    yield f"  {plain(result.outcome)}, by {plain(result.poller) or '-'}"
    for found in result.checks:
        yield f"  {found.kind}  {plain(found.target, 200)}"
        yield f"    {_found(found)}"


def _unreadable_lines(name: str, stored: Stored) -> Iterator[str]:
    told = stored.unreadable
    yield f"Schedule {plain(name)} cannot be read, and is not run"
    if told is not None:
        yield f"  {plain(told.field) or 'all of it'}: {plain(told.detail, 200)}"


def _options(check: Check) -> str:
    words = (f"{plain(str(k))}={plain(str(v), 100)}" for k, v in options_of(check).items())
    return "".join(f"  {word}" for word in words)


def _found(found: CheckResult) -> str:
    verdict = "up" if found.ok else f"down: {plain(str(found.error))}"
    status = "" if found.status is None or not found.ok else f", status {found.status}"
    detail = f" ({plain(found.detail, 200)})" if found.detail else ""
    return f"{verdict}{status}, {found.latency_ms:.0f} ms{detail}"


def edit_lines(edits: Sequence[Edit]) -> Iterator[str]:
    """What is changed, one a line."""
    for edit in edits:
        yield f"  {plain(edit.id, 100)}: {_CHANGES[edit.change]}"


def named(ids: Sequence[str]) -> str:
    """Ids in a sentence."""
    shown = [plain(each, 100) for each in ids[:5]]
    more = len(ids) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


# --- JSON ------------------------------------------------------------------------------------


def as_json(name: str, shelf: Shelf) -> dict[str, Any]:
    """One schedule. Null: there is none; what is not seen at all says `results_seen`."""
    stored = shelf.schedules[name]
    told = stored.unreadable
    result, job = (shelf.results or {}).get(name), (shelf.jobs or {}).get(name)
    return {
        "id": name,
        "readable": stored.record is not None,
        **(_record(stored.record) if stored.record else {}),
        "problem": {"field": told.field, "detail": told.detail} if told else None,
        "last": None if result is None else result_json(result),
        "running": None if job is None else _job(job),
    }


def _record(record: ScheduleRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "enabled": record.enabled,
        "interval_ms": record.interval_ms,
        "timeout_ms": record.timeout_ms,
        "max_retries": record.max_retries,
        "priority": record.priority,
        "assignment": record.assignment.value,
        "assigned_to": list(record.assigned_to),
        "since_ms": record.since_ms,
        "checks": [_check(check) for check in record.checks],
    }


def _check(check: Check) -> dict[str, Any]:
    data = check.model_dump(mode="json", exclude_none=True, exclude={"timeout"})
    return data | {"timeout_ms": round(check.timeout * 1000)}


def result_json(result: ResultRecord) -> dict[str, Any]:
    """How a run ended, and the counters of its schedule."""
    return result.model_dump(mode="json", exclude={"v", "schedule"})


def _job(job: JobRecord) -> dict[str, Any]:
    return job.model_dump(mode="json", exclude={"v", "schedule"})


def changes_json(edits: Sequence[Edit]) -> list[dict[str, str]]:
    """What was, or would be, changed."""
    return [{"id": edit.id, "change": edit.change.value} for edit in edits]
