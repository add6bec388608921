"""When a schedule is due. PURE: wall-clock milliseconds come as arguments.

Phase. Time is cut into slots of one interval each, on the wall clock, and a schedule runs once in
each. The wall clock, because the phase must survive a change of node, and monotonic clocks of two
nodes have nothing in common. Each schedule's slots are shifted by an amount that follows from its
id, so that a thousand schedules of one interval do not fall due together.

Nothing is caught up: after a gap only the present slot is run, and the ones that passed without a
run are counted as missed.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

MAX_SKEW_MS = 60_000
"""A last run further in the future than this (and an interval) is not believed: a clock was off."""


@dataclass(frozen=True, slots=True)
class Due:
    """A run is due. due_ms: the start of its slot; missed: slots just before it without a run."""

    due_ms: int
    missed: int


def phase_ms(schedule_id: str, interval_ms: int) -> int:
    """How far this schedule's slots are shifted: 0 to interval - 1, the same on every node."""
    return zlib.crc32(schedule_id.encode()) % interval_ms


def slot_start_ms(wall_ms: int, interval_ms: int, phase: int) -> int:
    """The start of the slot that `wall_ms` falls in; slots lie at phase + n * interval."""
    return (wall_ms - phase) // interval_ms * interval_ms + phase


def due(
    *, wall_ms: int, interval_ms: int, phase: int, last_due_ms: int | None, since_ms: int = 0
) -> Due | None:
    """The run that is due now, if one is.

    last_due_ms: when the last run was due, as it was then; None if there was none. The interval may
        have changed since.
    since_ms: no run was due before this; 0 if not known.
    """
    now = slot_start_ms(wall_ms, interval_ms, phase)
    ran = _last_slot(wall_ms, interval_ms, phase, last_due_ms, since_ms)
    if ran is None or ran - now > interval_ms + MAX_SKEW_MS:
        return Due(now, 0)
    if ran >= now:
        return None
    return Due(now, (now - ran) // interval_ms - 1)


def _last_slot(
    wall_ms: int, interval_ms: int, phase: int, last_due_ms: int | None, since_ms: int
) -> int | None:
    """The start of the last slot that needs no run any more; None if nothing is known."""
    before_since = (
        slot_start_ms(min(since_ms, wall_ms), interval_ms, phase) - interval_ms
        if since_ms > 0
        else None
    )
    if last_due_ms is None:
        return before_since
    ran = slot_start_ms(last_due_ms, interval_ms, phase)
    return ran if before_since is None else max(ran, before_since)


def settled_ms(*, wall_ms: int, interval_ms: int, phase: int, since_ms: int) -> int:
    """The start of the last slot that needs no run, where none was made: what is due stays due.

    since_ms: as for `due`.
    """
    settled = _last_slot(wall_ms, interval_ms, phase, None, since_ms)
    now = slot_start_ms(wall_ms, interval_ms, phase)
    return max(0, now - interval_ms if settled is None else settled)


def next_due_ms(wall_ms: int, interval_ms: int, phase: int) -> int:
    """The start of the next slot: always later than `wall_ms`."""
    return slot_start_ms(wall_ms, interval_ms, phase) + interval_ms
