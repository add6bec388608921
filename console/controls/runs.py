"""A run of a schedule, asked for here: if it may be, what it would do, its course. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.controls.actions import Mode, unsure
from console.controls.course import DONE, FAILED, LATER, NOW
from console.controls.parts import Part, Row
from console.snapshot import Snapshot
from console.view.by_key import by_key
from console.view.headline import failure_words
from console.view.line import LONG, Line, Span, Tone, foreign, line
from console.view.pollers import poller_name
from console.view.polls import UNANSWERED, every
from console.view.schedule_detail import check_line
from coord.consul import ConsulError, ConsulNotPermitted
from coord.status import Seen
from coord.status.words import ago, plain, span

if TYPE_CHECKING:
    from coord.polling.board import BoardRow, ResultRecord

TITLE = "Run now"
NO_SCHEDULE = "no schedule is under the cursor"
SHOWN = 64
_FEW = 4
"""So many checks are named before a run; the rest is counted."""

_NOT_RUN = {
    "not_run": "not run: the request came too late, by the leader's clock",
    "taken_back": "not run: nobody had taken it up, and it is taken back",
    "running": "taken up already: it goes on, and its result is shown as any other",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCourse:
    """What has been seen of it.

    election, schedule: what is to be run. id: of the request. job: of the job that runs it.
    began: when it was confirmed, in seconds by the monotonic clock.
    asked_s: after how many seconds it was asked for; None: it is not, or it is not known.
    refused: why it was not asked for, and what helps.
    came: what came of it, as `RunWord` has it; "": nothing yet. ended_s: after how many seconds.
    result: what it found.
    error: Consul did not answer. mistake: something of ours went wrong.
    """

    election: str
    schedule: str
    id: str
    job: str
    began: float
    asked_s: float | None = None
    refused: tuple[str, str] | None = None
    came: str = ""
    ended_s: float = 0.0
    result: ResultRecord | None = None
    error: ConsulError | None = None
    mistake: str = ""

    @property
    def title(self) -> str:
        """What it is called, and of what."""
        return f"{TITLE} {plain(self.schedule, SHOWN)}"

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return bool(self.came or self.refused or self.error or self.mistake)

    @property
    def ok(self) -> bool:
        """Whether it was run, and all its checks say up."""
        return self.result is not None and self.result.ok is True

    @property
    def not_permitted(self) -> bool:
        """Whether the token does not allow it."""
        return isinstance(self.error, ConsulNotPermitted)


# --- before it is asked for -----------------------------------------------------------------------


def row_of(snapshot: Snapshot, schedule: str) -> BoardRow | None:
    """The schedule, as it was read last."""
    board = snapshot.poll_board
    return None if board is None else board.rows.get(schedule)


def why_not(snapshot: Snapshot, now: float, schedule: str, mode: Mode) -> str:
    """Why no run of it can be asked for, as the screen shows it; "": it can."""
    said = mode.why_no_run or unsure(snapshot, now)
    if said:
        return said
    status, row = snapshot.status, row_of(snapshot, schedule)
    if status is not None and not status.leader.locked:
        return "nobody leads, so nobody would run it"
    if row is None:
        return "there is no such schedule any more"
    if row.schedule is None:
        return "the schedule cannot be read, so nobody runs it"
    if row.asked is not None:
        when = ago((snapshot.wall_ms(now) - row.asked.at_ms) / 1000)
        return f"a run of it is asked for already, by {plain(row.asked.actor)}, {when}"
    return ""


def preview(snapshot: Snapshot, schedule: str) -> Iterator[Part]:
    """What would be done."""
    status, row = snapshot.status, row_of(snapshot, schedule)
    if status is None or row is None or row.schedule is None:
        return
    record = row.schedule
    yield line(Span("It is run once, out of turn, before all that is due.", Tone.STRONG))
    yield ()
    term = "" if status.leader.term is None else f", term {status.leader.term}"
    yield _told("Leader", line(foreign(status.leader_node or "", Tone.STRONG), term))
    for i, check in enumerate(record.checks[:_FEW]):
        target = line(f"{plain(str(check.kind))} ", foreign(check.target, limit=LONG))
        yield _told("" if i else "Checks", target)
    if len(record.checks) > _FEW:
        yield _told("", line(f"and {len(record.checks) - _FEW} more"))
    assigned = " ".join((record.assignment.value, ", ".join(record.assigned_to))).rstrip()
    pollers = status.pollers.items
    well = sum(each.passing for each in pollers)
    passing = f"; {well} of all {len(pollers)} pass their check"
    yield _told("Pollers", line(foreign(assigned, limit=LONG), passing))
    allows = f"{span(record.timeout_ms)} for each of up to {1 + record.max_retries} attempts"
    yield _told("Allows", line(allows))
    turn = f"not changed: every {every(record.interval_ms)}"
    yield _told("Its turn", line(turn if record.enabled else "none: it is disabled, and stays so"))
    for said in _cautions(snapshot, row, well):
        yield Row(line(Span("!", Tone.WARN)), line(Span(said, Tone.WARN)))


def _cautions(snapshot: Snapshot, row: BoardRow, well: int) -> Iterator[str]:
    status = snapshot.status
    if well == 0 and status is not None and status.pollers.seen is not Seen.NOT_PERMITTED:
        yield "no poller's check passes: it will have no answer"
    if row.job is not None:
        at = plain(poller_name(snapshot, row.job.poller))
        yield f"a run of it is open at {at}: this one waits until that has ended"


def _told(label: str, text: Line) -> Part:
    return Row(line(Span(label, Tone.DIM)), text)


# --- once it is asked for -------------------------------------------------------------------------


def can_be_taken_back(course: RunCourse, snapshot: Snapshot) -> bool:
    """Whether it is asked for, and nobody is seen to have taken it up."""
    return course.asked_s is not None and not course.ended and not _taken_up(course, snapshot)


def _taken_up(course: RunCourse, snapshot: Snapshot) -> bool:
    row = row_of(snapshot, course.schedule) if snapshot.election == course.election else None
    return row is not None and row.job is not None and row.job.id == course.job


def time_line(course: RunCourse, snapshot: Snapshot, now: float) -> Iterator[Part]:
    """What was done, what is waited for, and what is to come; at its end what came of it."""
    seconds = max(0.0, now - course.began)
    if course.asked_s is not None:
        yield _step(DONE, f"{course.asked_s:.2f} s", "asked for", Tone.GOOD)
    if course.ended:
        yield from outcome(course, snapshot)
        return
    if course.asked_s is None:
        yield _step(NOW, f"{seconds:.1f} s", "asking for it", Tone.WARN)
        yield _step(LATER, "", "the leader takes it up", Tone.DIM)
    elif _taken_up(course, snapshot):
        row = row_of(snapshot, course.schedule)
        assert row is not None
        assert row.job is not None
        at = plain(poller_name(snapshot, row.job.poller))
        yield _step(DONE, "", "taken up by the leader", Tone.GOOD)
        yield _step(NOW, f"{seconds:.1f} s", f"attempt {row.job.attempt} at {at}", Tone.WARN)
    else:
        yield _step(NOW, f"{seconds:.1f} s", "until the leader takes it up", Tone.WARN)
    yield _step(LATER, "", "what it finds", Tone.DIM)


def _step(symbol: str, time: str, said: str, tone: Tone) -> Part:
    dim = Tone.DIM if tone is Tone.DIM else Tone.PLAIN
    return Row(line(Span(f"{symbol} ", tone), Span(time.rjust(7), Tone.DIM)), line(Span(said, dim)))


def outcome(course: RunCourse, snapshot: Snapshot) -> Iterator[Part]:
    """What came of it: the word first, then each check, or why there is no answer."""
    result = course.result
    if result is None:
        tone = Tone.WARN if course.came == "running" else Tone.BAD
        yield _end(FAILED if tone is Tone.BAD else NOW, in_a_word(course), tone)
        if course.refused is not None:
            yield _end("", by_key(course.refused[1]), Tone.PLAIN)
        if course.error is not None or course.mistake:
            lost = course.asked_s is not None or getattr(course.error, "outcome_unknown", False)
            said = "it may be run all the same" if lost else "nothing was changed"
            if course.error is not None:
                yield _end("", str(course.error), Tone.PLAIN)
            yield _end("", said, Tone.DIM)
        return
    good = (DONE, Tone.GOOD) if course.ok else (FAILED, Tone.BAD)
    by_whom = f"attempt {result.attempt} at {plain(poller_name(snapshot, result.poller)) or '-'}"
    yield _step(good[0], f"{course.ended_s:.2f} s", f"run: {by_whom}", good[1])
    yield ()
    yield _end(*(good[0], in_a_word(course), good[1]))
    if result.ok is None and (why := UNANSWERED.get(result.outcome)):
        yield _end("", why, Tone.PLAIN)
    if result.job != course.job:
        yield _end("", "another run has ended since; this is what that found", Tone.WARN)
    for found in result.checks:
        target = line(Span(f"{plain(found.kind)} ", Tone.DIM), foreign(found.target, limit=LONG))
        yield Row(line(Span("")), target)
        yield Row(line(Span("")), line("  ") + check_line(found))


def _end(symbol: str, said: str, tone: Tone) -> Part:
    return Row(line(Span(symbol, tone)), line(Span(plain(said, LONG), tone)))


def in_a_word(course: RunCourse) -> str:
    """What came of it, for a notice."""
    result = course.result
    if result is not None:
        if result.ok is None:
            return f"no answer: {plain(result.outcome)}"
        down = sum(not check.ok for check in result.checks)
        return "up" if result.ok else f"down: {down} of {len(result.checks)} checks"
    if course.refused is not None:
        return f"refused: {plain(course.refused[0], LONG)}"
    if course.error is not None:
        return failure_words(course.error)
    if course.mistake:
        return f"internal error: {plain(course.mistake, LONG)}"
    return _NOT_RUN.get(course.came, "goes on")
