"""What is polled: how it fares in a line, and what does not fare well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.cells import cell_len

from console.snapshot import Snapshot
from console.view.line import LONG, Line, Span, Tone, foreign, joined, line, text_of
from coord.status import Seen
from coord.status.words import ago, duration, plain, span

if TYPE_CHECKING:
    from coord.polling.summary import PollSummary, ScheduleFare

UNANSWERED = {
    "no_poller": "no poller's check passes",
    "no_assigned_poller": "none of the pollers that it is assigned to passes its check",
    "no_poller_of_kind": "no poller that may run it has all its kinds of check",
    "poller_unreachable": "its poller could not be reached",
    "poller_busy": "the pollers had no room for it",
    "older_term": "its poller follows a later leader",
    "not_permitted": "its poller did not accept the leader's token",
    "poller_refused": "its poller did not accept what it was asked",
    "bad_reply": "what its poller said is no answer",
    "deadline": "its poller did not answer in time",
    "leader_lost": "its leader ended, and it was too late to try again",
    "cancelled": "it was called off",
}
"""Why a run has no answer."""

WORDS = (
    ("down", "a check of it says so"),
    ("unanswered", "no poller answered the last run; why is said beside it"),
    ("late", "its last result is too old: three intervals and more"),
    ("never run", "it has no result, and there was time for one"),
    ("unreadable", "it, or its last result, cannot be read"),
    ("new", "it has no result yet"),
    ("missed in all", "runs that were left out since each schedule began"),
)
"""What the line says, and what it means."""

SYMBOLS = {
    "down": ("✖", Tone.BAD),
    "unanswered": ("!", Tone.WARN),
    "late": ("!", Tone.WARN),
    "never_run": ("!", Tone.WARN),
    "unreadable": ("?", Tone.WARN),
    "new": ("◔", Tone.PLAIN),
    "unknown": ("?", Tone.DIM),
    "up": ("●", Tone.GOOD),
    "disabled": ("○", Tone.DIM),
}
"""How each is marked that fares so."""

ORDER = {fare: place for place, fare in enumerate(SYMBOLS) if place < 5}
"""Those that do not fare well, the worst first."""

QUIET_MS = 60_000
"""Later than that, it is told when the latest result came, in milliseconds."""


def in_a_line(snapshot: Snapshot, now: float) -> Line:
    """How all of it fares, what is wrong first; empty where nothing is polled, or it was not read
    yet."""
    polls = snapshot.polls
    if polls is None or (polls.seen is Seen.KNOWN and not polls.schedules):
        return ()
    if polls.seen is not Seen.KNOWN:
        return line("polls ", Span("not permitted: the token may not see them", Tone.DIM))
    return line("polls ") + joined((*_counts(polls), *_times(snapshot, polls, now)))


def in_lines(snapshot: Snapshot, now: float, width: int, most: int) -> tuple[Line, ...]:
    """The same in as many lines of that width as it takes, but no more than so many."""
    polls = snapshot.polls
    whole = in_a_line(snapshot, now)
    if polls is None or polls.seen is not Seen.KNOWN or cell_len(text_of(whole)) <= width:
        return (whole,) if whole else ()
    lines: list[list[Line]] = [[]]
    for part in (*_counts(polls), *_times(snapshot, polls, now)):
        if len(lines) < most and cell_len(text_of(joined((*lines[-1], part)))) > width:
            lines.append([])
        lines[-1].append(part)
    return tuple(joined(each) for each in lines)


def _counts(polls: PollSummary) -> Iterator[Line]:
    if polls.down:
        yield line(Span(f"✖ {polls.down} down", Tone.BAD))
    if polls.unanswered:
        count = sum(polls.unanswered.values())
        why = ", ".join(plain(code, 24) for code in polls.unanswered)
        yield line(Span(f"! {count} unanswered ({why})", Tone.WARN))
    if polls.late:
        yield line(Span(f"! {polls.late} late", Tone.WARN))
    if polls.never_run:
        yield line(Span(f"! {polls.never_run} never run", Tone.WARN))
    if polls.unreadable:
        yield line(Span(f"? {polls.unreadable} unreadable", Tone.WARN))
    if polls.results is Seen.KNOWN:
        yield line(Span(f"● {polls.up} up", Tone.GOOD) if polls.up else "0 up")
    else:
        yield line(f"{polls.enabled} to run, ", Span("results not permitted", Tone.DIM))
    if polls.new:
        yield line(f"◔ {polls.new} new")
    if polls.disabled:
        yield line(f"○ {polls.disabled} disabled")
    if polls.missed:
        yield line(f"{polls.missed} missed in all")


def _times(snapshot: Snapshot, polls: PollSummary, now: float) -> Iterator[Line]:
    """When they were read, and when the latest result came, where that is not just now."""
    now_ms = snapshot.wall_ms(now)
    if snapshot.polls_error is not None and snapshot.failing is None:
        yield line(Span(f"read {ago((now_ms - polls.at_ms) / 1000)}", Tone.WARN))
    if polls.last_ms is not None and polls.at_ms - polls.last_ms > QUIET_MS:
        yield line(f"last result {ago((now_ms - polls.last_ms) / 1000)}")


# --- what does not fare well ---


def title(snapshot: Snapshot) -> str:
    """How many do not fare well, of how many."""
    polls = snapshot.polls
    if polls is None:
        return "Polls"
    return f"Polls: {polls.troubled} of {polls.schedules} not well"


def troubles(snapshot: Snapshot, now: float, most: int) -> tuple[Line, ...]:
    """A line for each schedule that does not fare well, the worst first, in at most so many."""
    polls = snapshot.polls
    if polls is None or not polls.worst:
        return ()
    shown = polls.worst[: most if polls.troubled <= most else most - 1]
    heads = [(plain(each.schedule, 24), _word(each)) for each in shown]
    name_width, word_width = (max(map(len, column)) for column in zip(*heads, strict=True))
    lines = [
        line(
            Span(f"{SYMBOLS[each.fare][0]} ", SYMBOLS[each.fare][1]),
            Span(name.ljust(name_width + 2), Tone.STRONG),
            Span(word.ljust(word_width + 2), SYMBOLS[each.fare][1]),
            *why(each, snapshot.wall_ms(now)),
        )
        for each, (name, word) in zip(shown, heads, strict=True)
    ]
    more = polls.troubled - len(shown)
    if more:
        lines.append(line(Span(f"and {more} more: `coord schedule list` shows all", Tone.DIM)))
    return tuple(lines)


def _word(fare: ScheduleFare) -> str:
    return plain(fare.code, 20) if fare.fare == "unanswered" else fare.fare.replace("_", " ")


def every(interval_ms: int) -> str:
    """An interval in words."""
    seconds, left = divmod(interval_ms, 1000)
    return span(interval_ms) if left else duration(seconds)


def why(fare: ScheduleFare, now_ms: int) -> Iterator[Span | str]:
    """Why it does not fare well; nothing where it does."""
    runs = f"it is to run every {every(fare.interval_ms)}"
    match fare.fare.value:
        case "down":
            yield f"{plain(fare.kind)} {plain(fare.target, 100)}: "
            yield foreign(fare.code, Tone.STRONG)
            yield f" ({plain(fare.detail, LONG)})" if fare.detail else ""
            yield f", {fare.failing} of {fare.checks} checks" if fare.checks > 1 else ""
        case "unanswered":
            yield UNANSWERED.get(fare.code, "not known here")
        case "late":
            age = ago((now_ms - (fare.last_ms or 0)) / 1000)
            yield f"its last result came {age}; {runs}"
        case "never_run":
            yield runs
        case _:
            yield foreign(": ".join(filter(None, (fare.code, fare.detail))), limit=LONG)
