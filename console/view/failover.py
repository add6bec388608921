"""The last failover by its phases, and the gaps of the latest ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from console.snapshot import Snapshot
from console.view.line import Line, Span, Tone, foreign, joined, line
from console.view.timeline import changes
from coord.history import Gap, Tenure
from coord.status.words import ago, span

BARS = "▁▂▃▄▅▆▇█"
PHASES = ("detect", "quarantine", "acquire", "start")
"""In this order; `Gap` has each as `<phase>_ms`."""

_TONES = dict(zip(PHASES, (Tone.ONE, Tone.TWO, Tone.THREE, Tone.FOUR), strict=True))
_LABEL, _VALUE = 10, 8
_LEAST_BAR = 8


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


def title(snapshot: Snapshot) -> str:
    """How long it took in all."""
    tenure = latest(snapshot)
    if tenure is None or tenure.gap is None or tenure.gap.total_ms is None:
        return "Last failover"
    return f"Last failover: {span(tenure.gap.total_ms)} without a leader at work"


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
