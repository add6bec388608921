"""What is polled: a row for each schedule, with how it fares, what it found last and what is done
for it now; and each in full."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.snapshot import Snapshot
from console.view.headline import failure_words
from console.view.line import LONG, Line, Span, Tone, foreign, line
from console.view.pollers import poller_names
from console.view.polls import ORDER, SYMBOLS, every, why
from console.view.table import Column, Layout, age, by, by_time, short, text
from coord.status import Seen
from coord.status.words import plain, span

if TYPE_CHECKING:
    from coord.polling.board import BoardRow

_OUTCOMES = {
    "up": "up",
    "late": "late",
    "never_run": "never run",
    "new": "not yet run",
    "unknown": "not permitted",
    "disabled": "disabled",
}
NONE = "no schedules: `coord schedule add ID --interval 10s --http URL` makes one"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRow:
    """One schedule.

    id: the last part of its key. outcome: what came of its last run, in words.
    last_ms: when that came, in wall-clock milliseconds; None: never.
    latency_ms: of its slowest check, in milliseconds; None: none was measured.
    poller: who ran it last; job_poller: who runs it now: by name, or by id if it is gone.
    assigned: to which pollers it may go.
    failed: runs without an answer.
    """

    key: str
    id: str
    name: str
    interval_ms: int
    enabled: bool | None
    fare: str
    outcome: str
    last_ms: int | None
    latency_ms: float | None
    poller: str
    job_poller: str
    assigned: str
    runs: int | None
    missed: int | None
    failed: int | None
    what: BoardRow

    @property
    def words(self) -> Mapping[str, str]:
        """See `Row`."""
        record, job = self.what.schedule, self.what.job
        checks = () if record is None else record.checks
        return {
            "id": self.id,
            "name": self.name,
            "is": self.outcome,
            "enabled": {True: "yes", False: "no", None: ""}[self.enabled],
            "poller": f"{self.poller} {self.job_poller}",
            "for": self.assigned,
            "job": "" if job is None else job.id,
            "target": " ".join(f"{check.kind} {check.target}" for check in checks),
        }


def schedule_rows(snapshot: Snapshot) -> tuple[ScheduleRow, ...]:
    """All of them: what does not fare well first, the worst of it, then by id."""
    board = snapshot.poll_board
    if board is None:
        return ()
    names = poller_names(snapshot)
    rows = (_row(key, row, names) for key, row in board.rows.items())
    return tuple(sorted(rows, key=lambda row: (ORDER.get(row.fare, len(ORDER)), row.id)))


def _row(key: str, row: BoardRow, names: Mapping[str, str]) -> ScheduleRow:
    record, result, job = row.schedule, row.result, row.job
    poller = "" if result is None else result.poller
    job_poller = "" if job is None else job.poller
    checks = () if result is None else result.checks
    assigned = ""
    if record is not None:
        assigned = " ".join((record.assignment.value, ",".join(record.assigned_to))).rstrip()
    return ScheduleRow(
        key=key,
        id=key,
        name="" if record is None else record.name,
        interval_ms=0 if record is None else record.interval_ms,
        enabled=None if record is None else record.enabled,
        fare=row.fare.fare.value,
        outcome=_outcome_of(row),
        last_ms=None if result is None else result.finished_ms,
        latency_ms=max((check.latency_ms for check in checks), default=None),
        poller=names.get(poller, poller),
        job_poller=names.get(job_poller, job_poller),
        assigned=assigned,
        runs=None if result is None else result.runs,
        missed=None if result is None else result.missed,
        failed=None if result is None else result.failed + result.timed_out,
        what=row,
    )


def _outcome_of(row: BoardRow) -> str:
    fare = row.fare
    match fare.fare.value:
        case "down":
            return f"down: {fare.code}"
        case "unanswered":
            return f"no answer: {fare.code}"
        case "unreadable":
            return f"unreadable: {fare.code or 'all of it'}"
        case "disabled" | "late" if row.result is not None:
            return f"{fare.fare.value}, was {verdict(row)[0]}"
    return _OUTCOMES.get(fare.fare.value, fare.fare.value)


def verdict(row: BoardRow) -> tuple[str, Tone]:
    """What the last run found, or why there was no answer. There must have been one."""
    result = row.result
    assert result is not None
    tones = {True: Tone.GOOD, False: Tone.BAD, None: Tone.WARN}
    return result.outcome, tones[result.ok]


# --- what is not known ----------------------------------------------------------------------------


def none(snapshot: Snapshot) -> Line:
    """Why there is no row."""
    board = snapshot.poll_board
    if board is None:
        return line(Span("the schedules were not read yet", Tone.DIM))
    if board.seen is not Seen.KNOWN:
        return ()
    return line(Span(NONE, Tone.DIM))


def notes(snapshot: Snapshot) -> Iterator[Line]:
    """What cannot be seen or read, in a line each."""
    error, board = snapshot.polls_error, snapshot.poll_board
    if error is not None and snapshot.failing is None:
        why = f"! polls are not read: {failure_words(error)}: {plain(str(error), LONG)}"
        yield line(Span(why, Tone.WARN))
    if board is None:
        return
    if board.seen is not Seen.KNOWN:
        yield line(Span("? schedules: not permitted: the token may not see them", Tone.WARN))
    elif board.results is not Seen.KNOWN:
        yield line(Span("? results: not permitted: the token may not see them", Tone.WARN))
    for each in board.unreadable[:2]:
        where = plain(f"{each.field}: {each.detail}" if each.field else each.detail, LONG)
        said_ = f"? cannot be read: {plain('/'.join(each.key.split('/')[-2:]), 120)}: {where}"
        yield line(Span(said_, Tone.WARN))
    if len(board.unreadable) > 2:
        more = f"? {len(board.unreadable) - 2} more below polls/ cannot be read"
        yield line(Span(more, Tone.WARN))


# --- cells ----------------------------------------------------------------------------------------


def _id(row: ScheduleRow, _: int) -> Line:
    symbol, tone = SYMBOLS[row.fare]
    return line(Span(f"{symbol} ", tone), foreign(row.id, limit=60))


def _outcome(row: ScheduleRow, _: int) -> Line:
    _symbol, tone = SYMBOLS[row.fare]
    return line(foreign(row.outcome, tone, 40))


def _every(row: ScheduleRow, _: int) -> Line:
    return line(every(row.interval_ms) if row.interval_ms else Span("-", Tone.DIM))


def _latency(row: ScheduleRow, _: int) -> Line:
    ms = row.latency_ms
    return line(Span("-", Tone.DIM) if ms is None else measured(ms))


def measured(ms: float) -> str:
    """How long a check took: to a tenth of a millisecond where it is quick."""
    return f"{ms:.1f} ms" if ms < 10 else span(round(ms))


def _job(row: ScheduleRow, now_ms: int) -> Line:
    job, asked = row.what.job, row.what.asked
    if job is not None:
        attempt = "" if job.attempt == 1 else f", attempt {job.attempt}"
        since = f"{attempt}, {short(now_ms - job.dispatched_ms)}"
        return line("◔ ", foreign(row.job_poller, limit=24), since)
    return line(Span("◔ asked for", Tone.WARN) if asked is not None else Span("-", Tone.DIM))


def _why(row: ScheduleRow, now_ms: int) -> Line:
    if row.fare in ORDER:
        return line(*why(row.what.fare, now_ms))
    return line(Span("-", Tone.DIM))


def _checks(row: ScheduleRow, _: int) -> Line:
    """The first of them, and how many others there are."""
    record = row.what.schedule
    if record is None:
        return line(Span("-", Tone.DIM))
    first, more = record.checks[0], len(record.checks) - 1
    said = line(Span(f"{plain(str(first.kind))} ", Tone.DIM), foreign(first.target))
    return (*said, Span(f" and {more} more", Tone.DIM)) if more else said


def _target(row: ScheduleRow) -> tuple[object, ...]:
    record = row.what.schedule
    return ("" if record is None else record.checks[0].target, row.id)


def _enabled(row: ScheduleRow, _: int) -> Line:
    return line({True: "yes", False: "no", None: "-"}[row.enabled])


def _count(name: str, tone: Tone = Tone.PLAIN) -> Callable[[ScheduleRow, int], Line]:
    """A number; one that counts what was not to be stands out where there is any."""

    def cell(row: ScheduleRow, _: int) -> Line:
        value = getattr(row, name)
        if value is None:
            return line(Span("-", Tone.DIM))
        return line(Span(str(value), tone if value else Tone.PLAIN))

    return cell


def _most(name: str) -> Callable[[ScheduleRow], tuple[object, ...]]:
    """Sorted by a number, the largest first; who has none, last."""

    def order(row: ScheduleRow) -> tuple[object, ...]:
        value = getattr(row, name)
        return (value is None, -(value or 0), row.id)

    return order


def _by_outcome(row: ScheduleRow) -> tuple[object, ...]:
    return (ORDER.get(row.fare, len(ORDER)), row.outcome, row.id)


def _by_job(row: ScheduleRow) -> tuple[object, ...]:
    """The run that goes on longest first, then what is asked for."""
    job, asked = row.what.job, row.what.asked
    if job is not None:
        return (0, job.dispatched_ms, row.id)
    return (1 if asked is not None else 2, 0, row.id)


LAYOUT: Layout[ScheduleRow] = Layout(
    (
        Column("id", "Schedule", 0, _id, by("id")),
        Column("name", "Name", 165, text("name", 60, Tone.DIM), by("name")),
        Column("outcome", "Last found", 0, _outcome, _by_outcome),
        Column("when", "Ago", 0, age("last_ms"), by_time("last_ms"), width=9),
        Column("latency", "Took", 0, _latency, _most("latency_ms"), width=7),
        Column("every", "Every", 0, _every, by("interval_ms")),
        Column("poller", "Poller", 66, text("poller", 24), by("poller")),
        Column("job", "Now", 100, _job, _by_job, width=16),
        Column("runs", "Runs", 140, _count("runs"), _most("runs")),
        Column("missed", "Missed", 120, _count("missed", Tone.WARN), _most("missed")),
        Column("failed", "Failed", 132, _count("failed", Tone.WARN), _most("failed")),
        Column("assigned", "Goes to", 155, text("assigned", 40, Tone.DIM), by("assigned")),
        Column("enabled", "Enabled", 190, _enabled, lambda row: (str(row.enabled), row.id)),
        Column("why", "Why", 210, _why, _by_outcome),
        Column("checks", "Checks", 230, _checks, _target),
    ),
    gives=(
        *(("checks", 28), ("why", 24), ("name", 10), ("assigned", 8), ("outcome", 20)),
        *(("job", 16), ("id", 14), ("poller", 8), ("outcome", 12), ("id", 10)),
    ),
)
