"""The last failover by its phases, the gaps of the latest ones, and one that goes on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median

from console.snapshot import Snapshot
from console.view.line import Line, Span, Tone, foreign, joined, line
from console.view.nodes import QUARANTINED, NodeRow
from console.view.timeline import changes
from console.view.vacancy import able, goes_on, vacant_since_ms
from coord.history import Gap, Tenure
from coord.history.text import paused_words, whole_gap
from coord.status.words import ago, duration, plain, span

BARS = "▁▂▃▄▅▆▇█"
PHASES = ("detect", "quarantine", "acquire", "start")
"""In this order; `Gap` has each as `<phase>_ms`."""
SUSPENDED = "suspended"
"""What came before them: the leader was there, but its work had been stopped."""

_TONES = dict(zip(PHASES, (Tone.ONE, Tone.TWO, Tone.THREE, Tone.FOUR), strict=True))
_TONES[SUSPENDED] = Tone.WARN
_LABEL, _VALUE = 10, 8
_LEAST_BAR = 8
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


def stopped_ms(snapshot: Snapshot) -> int | None:
    """How long the work of the leader before the latest failover had been suspended when that one
    lost the leadership, by its own clock, in milliseconds; None: it was not, or nothing tells."""
    tenure = latest(snapshot)
    if tenure is None or snapshot.past is None:
        return None
    tenures = snapshot.past.history.tenures
    before = next(iter(tenures[tenures.index(tenure) + 1 :]), None)
    if before is None or before.unresumed is None or tenure.previous not in ("", before.node):
        return None
    return before.unresumed.lasted_ms


def _of_latest(snapshot: Snapshot) -> tuple[tuple[str, int], ...]:
    """The phases of the latest failover, and what came before them."""
    tenure, stopped = latest(snapshot), stopped_ms(snapshot)
    if tenure is None or tenure.gap is None:
        return ()
    before = () if stopped is None else ((SUSPENDED, stopped),)
    return (*before, *phases(tenure.gap))


def title(snapshot: Snapshot, now: float) -> str:
    """How long it took in all; or how long one has been going on."""
    if goes_on(snapshot):
        since = vacant_since_ms(snapshot)
        lasting = "" if since is None else f" for {_lasting(snapshot.wall_ms(now) - since)}"
        return f"Failover in progress: nobody leads{lasting}"
    tenure = latest(snapshot)
    if tenure is None or tenure.gap is None or tenure.gap.total_ms is None:
        return "Last failover"
    gap = whole_gap(tenure.gap)
    stopped = stopped_ms(snapshot)
    if stopped is not None:
        return f"Failover: {gap}, after {span(stopped)} suspended"
    said = f"Last failover: {gap}"
    return f"{said}, PAUSED meanwhile" if tenure.paused else f"{said} without a leader at work"


def panel(snapshot: Snapshot, now: float, width: int, *, whole: bool) -> tuple[Line, ...]:
    """What there is to say of failovers in that width; in a line unless there is room for all."""
    if goes_on(snapshot):
        return progress(snapshot, now) if whole else progress(snapshot, now)[:1]
    if not whole:
        return (in_a_line(snapshot),)
    return (*waterfall(snapshot, width), *_paused(snapshot), gaps(snapshot))


def _paused(snapshot: Snapshot) -> Iterator[Line]:
    """That it took so long for that, and who had asked for it."""
    tenure = latest(snapshot)
    for each in () if tenure is None else tenure.paused:
        yield line(Span(f"! {paused_words(each).plain}", Tone.WARN))


def waterfall(snapshot: Snapshot, width: int) -> tuple[Line, ...]:
    """A line for each phase, each beginning where the one before ended."""
    told = _of_latest(snapshot)
    if not told:
        return (line(Span("no failover is told of yet", Tone.DIM)),)
    return phase_lines(told, width)


def phase_lines(told: Sequence[tuple[str, int]], width: int) -> tuple[Line, ...]:
    """Phases by name with their lengths in milliseconds: a line for each, as above."""
    told = [(name, max(0, ms)) for name, ms in told]
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
    told = _of_latest(snapshot)
    if not told:
        return line(Span("no failover is told of yet", Tone.DIM))
    said = joined((line(f"{name} ", Span(span(ms), Tone.STRONG)) for name, ms in told), " + ")
    return joined((said, *_paused(snapshot)))


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
    found = [
        (change.tenure.gap.total_ms, change.tenure.gap.at_least)
        for change in changes(snapshot.past.history.tenures)
        if change.tenure.gap is not None and change.tenure.gap.total_ms is not None
    ][:most]
    if not found:
        return ()
    told, longer = [ms for ms, _ in found], [ms for ms, at_least in found if at_least]
    middle = round(median(told))
    last = _at_least(told[0], longer=found[0][1])
    numbers = (
        line(Span("gaps ", Tone.DIM), Span(bars(told[::-1]), Tone.ONE), f" {last}"),
        line(f"median {_at_least(middle, longer=any(ms <= middle for ms in longer))}"),
        line(f"worst {_at_least(max(told), longer=bool(longer))}"),
    )
    return joined(numbers)


def _at_least(ms: int, *, longer: bool) -> str:
    """longer: it was that, or may have been, by what nothing tells."""
    return f"{'≥' if longer else ''}{span(ms)}"


def bars(values: Sequence[int]) -> str:
    """A bar for each, its height by the logarithm: from 10 ms on up to 100 s."""
    top = len(BARS) - 1
    return "".join(
        BARS[min(top, max(0, int(math.log10(max(value, 10) / 10) / 4 * top + 0.5)))]
        for value in values
    )


# --- one that goes on ----------------------------------------------------------------------------


def progress(snapshot: Snapshot, now: float) -> tuple[Line, ...]:
    """Which phase it is in, and what each candidate waits for, whoever is through first first."""
    found, now_ms = able(snapshot), snapshot.wall_ms(now)
    if not found:
        return (
            line(Span("✖ no candidate can follow: none is there whose check passes", Tone.BAD)),
        )
    first = (_phases_so_far(found, now_ms),)
    shown = found if len(found) <= _SHOWN_CANDIDATES else found[: _SHOWN_CANDIDATES - 1]
    rest = len(found) - len(shown)
    more = (line(Span(f"and {rest} more, below", Tone.DIM)),) if rest else ()
    return (*first, *(_waits(row, now_ms) for row in shown), *more)


_STOPS = ("paused", "drained", "not_permitted", "no_session", "consul_unreachable")


def _phases_so_far(found: Sequence[NodeRow], now_ms: int) -> Line:
    """The phases, those that are over with a tick, the present one with what is left of it."""
    at = _phase(found)
    if at is None:
        why = Span(plain(", ".join(sorted({row.why for row in found}))), Tone.STRONG)
        return line(Span("! no candidate tries: ", Tone.WARN), why)
    present = PHASES.index(at)
    ends = [row.until_ms for row in found if row.why in QUARANTINED and row.until_ms is not None]
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


def _phase(found: Sequence[NodeRow]) -> str | None:
    """The phase of whoever is furthest; None: nobody is on its way."""
    if any(row.state == "acquiring" for row in found):
        return "acquire"
    if any(row.why in QUARANTINED for row in found):
        return "quarantine"
    return None if all(row.why in _STOPS for row in found) else "detect"


def _waits(row: NodeRow, now_ms: int) -> Line:
    left = "" if row.until_ms is None else f" {_lasting(max(0, row.until_ms - now_ms))} left,"
    name, why = foreign(row.node, Tone.STRONG, 24), foreign(row.why or row.state, Tone.WARN, 20)
    return line(name, " ", why, f"{left} waits for {plain(row.waits_for, 60)}")


def _lasting(ms: int) -> str:
    """Seconds with a tenth while they matter."""
    return span(ms) if ms < 120_000 else duration(ms / 1000)
