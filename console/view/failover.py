"""The last failover by its phases, the gaps of the latest ones, and one that goes on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

from console.snapshot import Snapshot
from console.view.line import Line, Span, Tone, foreign, joined, line
from console.view.nodes import NodeRow, node_rows
from console.view.timeline import changes
from coord.history import Gap, Tenure, Until
from coord.history.text import whole_gap
from coord.history.told import whole
from coord.status import Condition
from coord.status.reasons import WHY_NOT
from coord.status.words import ago, duration, ms_of, plain, span
from coord.telemetry import BecameLeader, ElectionStarted
from coord.telemetry.journal import JournalEntry

BARS = "▁▂▃▄▅▆▇█"
PHASES = ("detect", "quarantine", "acquire", "start")
"""In this order; `Gap` has each as `<phase>_ms`."""

_TONES = dict(zip(PHASES, (Tone.ONE, Tone.TWO, Tone.THREE, Tone.FOUR), strict=True))
_LABEL, _VALUE = 10, 8
_LEAST_BAR = 8
_CANDIDATE = 1
"""The rank of a row that may lead; see `NodeRow`."""
_SHOWN_CANDIDATES = 3


def latest(snapshot: Snapshot) -> Tenure | None:
    """The latest tenure whose gap is told by phases; None: none is."""
    if snapshot.past is None:
        return None
    tenures = snapshot.past.history.tenures
    return next((t for t in tenures if t.gap is not None and phases(t.gap)), None)


def phases(gap: Gap) -> tuple[tuple[str, int], ...]:
    """The phases that are told, with their lengths in milliseconds."""
    told = ((name, getattr(gap, f"{name}_ms")) for name in PHASES)
    return tuple((name, ms) for name, ms in told if ms is not None)


def title(snapshot: Snapshot, now: float) -> str:
    """How long it took in all; or how long one has been going on."""
    if goes_on(snapshot):
        since = vacant_since_ms(snapshot)
        lasting = "" if since is None else f" for {_lasting(snapshot.wall_ms(now) - since)}"
        return f"Failover in progress: nobody leads{lasting}"
    tenure = latest(snapshot)
    if tenure is None or tenure.gap is None or tenure.gap.total_ms is None:
        return "Last failover"
    return f"Last failover: {whole_gap(tenure.gap)} without a leader at work"


def panel(snapshot: Snapshot, now: float, width: int, *, whole: bool) -> tuple[Line, ...]:
    """What there is to say of failovers in that width; in a line unless there is room for all."""
    if goes_on(snapshot):
        return progress(snapshot, now) if whole else progress(snapshot, now)[:1]
    if not whole:
        return (in_a_line(snapshot),)
    return (*waterfall(snapshot, width), gaps(snapshot))


def waterfall(snapshot: Snapshot, width: int) -> tuple[Line, ...]:
    """A line for each phase, each beginning where the one before ended."""
    tenure = latest(snapshot)
    if tenure is None or tenure.gap is None:
        return (line(Span("no failover is told of yet", Tone.DIM)),)
    return phase_lines(phases(tenure.gap), width)


def phase_lines(told: Sequence[tuple[str, int]], width: int) -> tuple[Line, ...]:
    """Phases by name with their lengths in milliseconds: a line for each, as above."""
    room = max(_LEAST_BAR, width - _LABEL - _VALUE - 2)
    total = max(1, sum(ms for _, ms in told))
    lines: list[Line] = []
    before = 0
    for name, ms in told:
        left = min(round(room * before / total), room - 1)
        filled = max(1, round(room * (before + ms) / total) - left) if ms else 0
        bar = " " * left + ("█" * min(filled, room - left) if ms else "▏")
        value = span(ms).rjust(_VALUE)
        lines.append(
            line(name.ljust(_LABEL), Span(value, Tone.STRONG), "  ", Span(bar, _TONES[name]))
        )
        before += ms
    return tuple(lines)


def in_a_line(snapshot: Snapshot) -> Line:
    """The same in one line, the phases in words."""
    tenure = latest(snapshot)
    if tenure is None or tenure.gap is None:
        return line(Span("no failover is told of yet", Tone.DIM))
    said = (line(f"{name} ", Span(span(ms), Tone.STRONG)) for name, ms in phases(tenure.gap))
    return joined(said, " + ")


def whose(snapshot: Snapshot, now: float) -> Line:
    """Who took over in it from whom, and when."""
    tenure = latest(snapshot)
    if tenure is None or tenure.from_ms is None:
        return ()
    before = foreign(tenure.previous) if tenure.previous else Span("nobody", Tone.DIM)
    age = ago((snapshot.wall_ms(now) - tenure.from_ms) / 1000)
    return line(before, " → ", foreign(tenure.node, Tone.STRONG), f" {age}")


def gaps(snapshot: Snapshot, most: int = 24) -> Line:
    """The gaps of the latest changes as a row of bars, the latest to the right, and in numbers."""
    if snapshot.past is None:
        return ()
    told = [
        change.tenure.gap.total_ms
        for change in changes(snapshot.past.history.tenures)
        if change.tenure.gap is not None and change.tenure.gap.total_ms is not None
    ][:most]
    if not told:
        return ()
    numbers = (
        line(Span("gaps ", Tone.DIM), Span(bars(told[::-1]), Tone.ONE), f" {span(told[0])}"),
        line(f"median {span(round(median(told)))}"),
        line(f"worst {span(max(told))}"),
    )
    return joined(numbers)


def bars(values: Sequence[int]) -> str:
    """A bar for each, its height by the logarithm: from 10 ms on up to 100 s."""
    top = len(BARS) - 1
    return "".join(
        BARS[min(top, max(0, int(math.log10(max(value, 10) / 10) / 4 * top + 0.5)))]
        for value in values
    )


# --- one that goes on ----------------------------------------------------------------------------


def goes_on(snapshot: Snapshot) -> bool:
    """Whether nobody leads, as far as is known."""
    status = snapshot.status
    if status is None or status.leader.locked:
        return False
    return status.leader.condition is not Condition.NOT_PERMITTED


def vacant_since_ms(snapshot: Snapshot) -> int | None:
    """Since when nobody leads, as well as anything tells: the record of the leader key, else what
    the nodes told, else who waits longest."""
    status, past = snapshot.status, snapshot.past
    if status is None:
        return None
    leader = status.leader
    if leader.condition is Condition.VACANT and not leader.vanished and leader.since is not None:
        return ms_of(leader.since)
    latest_one = past.history.tenures[0] if past is not None and past.history.tenures else None
    if latest_one is not None and latest_one.until in (Until.TOLD, Until.SEEN):
        return latest_one.until_ms
    waiting = [row.since_ms for row in _able(snapshot) if row.why in _QUARANTINED]
    return min((since for since in waiting if since is not None), default=None)


def progress(snapshot: Snapshot, now: float) -> tuple[Line, ...]:
    """Which phase it is in, and what each candidate waits for, whoever is through first first."""
    able, now_ms = _able(snapshot), snapshot.wall_ms(now)
    if not able:
        return (
            line(Span("✖ no candidate can follow: none is there whose check passes", Tone.BAD)),
        )
    first = (_phases_so_far(able, now_ms),)
    shown = able if len(able) <= _SHOWN_CANDIDATES else able[: _SHOWN_CANDIDATES - 1]
    rest = len(able) - len(shown)
    more = (line(Span(f"and {rest} more, below", Tone.DIM)),) if rest else ()
    return (*first, *(_waits(row, now_ms) for row in shown), *more)


_LEADER_THERE, _WAITS_OUT = "held_by_other", "lock_delay"
_QUARANTINED = frozenset({_WAITS_OUT, "waiting_turn"})
_STOPS = ("paused", "drained", "not_permitted", "no_session", "consul_unreachable")


def _able(snapshot: Snapshot) -> tuple[NodeRow, ...]:
    """The candidates that may follow, whoever is through first first."""
    set_out = _set_out(snapshot)
    rows = [_now(row, set_out) for row in node_rows(snapshot) if row.rank == _CANDIDATE]
    endless = max((row.until_ms or 0 for row in rows), default=0) + 1
    return tuple(sorted(rows, key=lambda row: (row.until_ms or endless, row.node)))


def _set_out(snapshot: Snapshot) -> Mapping[str, JournalEntry]:
    """Who told, since somebody began to lead last, of setting out to; the latest of each."""
    found: dict[str, JournalEntry] = {}
    for entry in reversed(() if snapshot.past is None else snapshot.past.entries):
        if entry.event == BecameLeader.EVENT:
            break
        if entry.event == ElectionStarted.EVENT:
            found.setdefault(entry.node, entry)
    return found


def _now(row: NodeRow, set_out: Mapping[str, JournalEntry]) -> NodeRow:
    """The row as the journal has it. A candidate tells in its entry in the catalog only what has
    lasted some seconds, so that there it waits for a vacancy while it waits one out."""
    entry = set_out.get(row.node)
    if entry is None or entry.at_ms is None or row.why != _LEADER_THERE:
        return row
    wait_ms = whole(entry, "wait_ms")
    if wait_ms is None:
        return replace(row, why="", state="acquiring", waits_for="the lock", until_ms=None)
    until_ms = entry.at_ms + wait_ms
    return replace(row, why=_WAITS_OUT, waits_for=_waits_for(_WAITS_OUT), until_ms=until_ms)


def _waits_for(why: str) -> str:
    return next(said.waits_for for each, said in WHY_NOT.items() if each.value == why)


def _phases_so_far(able: Sequence[NodeRow], now_ms: int) -> Line:
    """The phases, those that are over with a tick, the present one with what is left of it."""
    at = _phase(able)
    if at is None:
        why = Span(plain(", ".join(sorted({row.why for row in able}))), Tone.STRONG)
        return line(Span("! no candidate tries: ", Tone.WARN), why)
    present = PHASES.index(at)
    ends = [row.until_ms for row in able if row.why in _QUARANTINED and row.until_ms is not None]
    left = "" if not ends else f", {_lasting(max(0, min(ends) - now_ms))} left"
    parts = []
    for i, name in enumerate(PHASES):
        if i < present:
            parts.append(line(Span(f"✓ {name}", Tone.DIM)))
        elif i == present:
            parts.append(line(Span(f"◔ {name}{left}", Tone.WARN)))
        else:
            parts.append(line(Span(f"· {name}", Tone.DIM)))
    return joined(parts, "  ")


def _phase(able: Sequence[NodeRow]) -> str | None:
    """The phase of whoever is furthest; None: nobody is on its way."""
    if any(row.state == "acquiring" for row in able):
        return "acquire"
    if any(row.why in _QUARANTINED for row in able):
        return "quarantine"
    return None if all(row.why in _STOPS for row in able) else "detect"


def _waits(row: NodeRow, now_ms: int) -> Line:
    left = "" if row.until_ms is None else f" {_lasting(max(0, row.until_ms - now_ms))} left,"
    name, why = foreign(row.node, Tone.STRONG, 24), foreign(row.why or row.state, Tone.WARN, 20)
    return line(name, " ", why, f"{left} waits for {plain(row.waits_for, 60)}")


def _lasting(ms: int) -> str:
    """Seconds with a tenth while they matter."""
    return span(ms) if ms < 120_000 else duration(ms / 1000)
