"""One schedule in full: what it is, what is done for it now, what was found last. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from console.view.detail import Part, said, told
from console.view.line import LONG, Line, Span, Tone, foreign, line
from console.view.polls import SYMBOLS, UNANSWERED, every
from console.view.schedules import ScheduleRow, measured, verdict
from console.view.table import short
from coord.status.words import exactly, plain, span

if TYPE_CHECKING:
    from coord.polling.board import BoardRow, CheckResult


def detail(row: ScheduleRow, now_ms: int) -> Iterator[Part]:
    """Everything that is known of it, at that wall-clock time."""
    symbol, tone = SYMBOLS[row.fare]
    yield ("Is", line(Span(f"{symbol} ", tone), foreign(row.outcome, tone, LONG)))
    if why := _why(row):
        yield ("", line(why))
    record = row.what.schedule
    yield said("Schedule", row.id, Tone.STRONG)
    if record is not None and record.name:
        yield said("Name", record.name)
    yield from _of_open_run(row, now_ms)
    yield from _of_last_run(row, now_ms)
    yield from _of_checks(row.what)
    yield from _so_far(row.what)
    if record is not None:
        runs = f"every {every(row.interval_ms)}"
        yield told("Runs", runs if record.enabled else f"{runs}, but it is disabled")
        tries = 1 + record.max_retries
        each = f"for each of {tries} attempts" if tries > 1 else "for its one attempt"
        yield told("Allows", f"{span(record.timeout_ms)} {each}")
        yield told("Priority", str(record.priority))
        yield said("Goes to", row.assigned)
        yield told("Due since", f"{exactly(record.since_ms or None)} UTC")


def _why(row: ScheduleRow) -> Span | None:
    fare = row.what.fare
    match row.fare:
        case "unanswered":
            return Span(UNANSWERED.get(fare.code, "why is not known here"))
        case "late":
            return Span("its last result is older than three intervals")
        case "never_run":
            return Span("it has no result, and there was time for one")
        case "unreadable":
            return foreign(fare.detail, limit=LONG)
    return None


def _of_open_run(row: ScheduleRow, now_ms: int) -> Iterator[Part]:
    job, asked = row.what.job, row.what.asked
    if asked is not None:
        who = line("by ", foreign(asked.actor), f", {since(asked.at_ms, now_ms)}")
        yield ("Asked", who)
        yield told("", "no leader has taken it up yet")
    if job is not None:
        at = line(f"attempt {job.attempt} at ", foreign(row.job_poller, Tone.STRONG))
        yield ("Running", (*at, Span(f", {since(job.dispatched_ms, now_ms)}")))
        yield told("", f"{exactly(job.dispatched_ms)} UTC, under term {job.term}", Tone.DIM)
        if job.asked is not None:
            yield said("", f"asked for: {job.asked}", Tone.DIM)


def _of_last_run(row: ScheduleRow, now_ms: int) -> Iterator[Part]:
    result = row.what.result
    if result is None:
        return
    word, tone = verdict(row.what)
    yield ("Last run", line(foreign(word, tone), f", {since(result.finished_ms, now_ms)}"))
    yield told("", f"{exactly(result.finished_ms)} UTC, under term {result.term}", Tone.DIM)
    where = line(" at ", foreign(row.poller)) if row.poller else line(", given to no poller")
    times = f", {span(result.lag_ms)} after it was due, took {span(result.took_ms)}"
    yield ("", (Span(f"attempt {result.attempt}"), *where, Span(times)))


def _so_far(row: BoardRow) -> Iterator[Part]:
    result = row.result
    if result is not None:
        runs = f"{result.runs} runs, {result.missed} missed, {result.retried} tried again"
        yield told("So far", runs)
        ends = (
            f"{result.timed_out} timed out, {result.failed} failed, {result.cancelled} called off"
        )
        yield told("", f"{ends}, {result.asked_runs} asked for")


def since(at_ms: int, now_ms: int) -> str:
    ago_ms = now_ms - at_ms
    return f"{short(ago_ms)} ago" if ago_ms >= 1000 else "just now"


def _of_checks(row: BoardRow) -> Iterator[Part]:
    """Each with what was found of it last; where the schedule is not to be read, what was found."""
    from coord.polling.board import options_of, result_of

    result = row.result
    if row.schedule is None:
        for found in () if result is None else result.checks:
            yield ("Check", line(Span(found.kind, Tone.STRONG), " ", foreign(found.target)))
            yield ("", check_line(found))
        return
    for number, check in enumerate(row.schedule.checks):
        target = foreign(check.target, Tone.STRONG, LONG)
        yield ("Check", line(Span(f"{plain(str(check.kind))} ", Tone.DIM), target))
        last = result_of(result, number, check)
        if last is not None:
            yield ("", check_line(last))
        elif result is not None and result.checks:
            yield told("", "it was changed since the last run", Tone.DIM)
        if asks := _options(options_of(check)):
            yield ("", asks)


def _options(options: Mapping[str, object]) -> Line:
    words = (f"{plain(str(key))}={plain(str(value), 100)}" for key, value in options.items())
    return line(Span("  ".join(words), Tone.DIM))


def check_line(found: CheckResult) -> Line:
    """What was found of one check: up or why not, the status, how long it took."""
    took = f", {measured(found.latency_ms)}"
    detail = f" ({plain(found.detail, LONG)})" if found.detail else ""
    if found.ok:
        status = "" if found.status is None else f", status {found.status}"
        return line(Span("● up", Tone.GOOD), f"{status}{took}{detail}")
    error = foreign(str(found.error or "down"), Tone.BAD)
    return line(Span("✖ down: ", Tone.BAD), error, f"{took}{detail}")
