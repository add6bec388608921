"""Slots, phase, and what was missed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coord.polling.schedules import (
    MAX_SKEW_MS,
    Due,
    due,
    next_due_ms,
    phase_ms,
    slot_start_ms,
)

walls = st.integers(10**12, 2 * 10**12)
intervals = st.integers(500, 7 * 86_400_000)


@given(walls, intervals, st.text("abc-1", min_size=1))
def test_a_slot_holds_its_moment_and_the_next_one_follows(
    wall: int, interval: int, schedule: str
) -> None:
    phase = phase_ms(schedule, interval)
    start = slot_start_ms(wall, interval, phase)
    assert 0 <= phase < interval
    assert start <= wall < start + interval
    assert (start - phase) % interval == 0
    assert next_due_ms(wall, interval, phase) == start + interval


@given(walls, intervals, st.integers(0, 10**9), st.integers(0, 10**10))
def test_a_run_is_due_once_in_its_slot_and_never_in_a_burst(
    wall: int, interval: int, phase: int, gap: int
) -> None:
    phase %= interval
    first = due(wall_ms=wall, interval_ms=interval, phase=phase, last_due_ms=None)
    assert first == Due(slot_start_ms(wall, interval, phase), 0)
    later = wall + gap
    second = due(wall_ms=later, interval_ms=interval, phase=phase, last_due_ms=first.due_ms)
    slots_since = (slot_start_ms(later, interval, phase) - first.due_ms) // interval
    if slots_since == 0:
        assert second is None
    else:
        assert second is not None
        assert second.missed == slots_since - 1
        assert (
            due(wall_ms=later, interval_ms=interval, phase=phase, last_due_ms=second.due_ms) is None
        )


def test_the_phase_is_the_same_on_every_node() -> None:
    # Fixed numbers: a Python with another hash seed, or another machine, must agree.
    assert phase_ms("web", 10_000) == 8_689
    assert len({phase_ms(f"s{n}", 10_000) // 1000 for n in range(100)}) == 10


def test_the_hours_without_a_leader_are_counted_not_caught_up() -> None:
    assert due(wall_ms=3_600_500, interval_ms=1000, phase=0, last_due_ms=0) == Due(3_600_000, 3599)


def test_no_run_is_missed_before_the_schedule_was_written() -> None:
    def at(wall: int, last: int | None) -> Due | None:
        return due(wall_ms=wall, interval_ms=1000, phase=0, last_due_ms=last, since_ms=50_500)

    assert at(50_600, None) == Due(50_000, 0)
    assert at(53_100, None) == Due(53_000, 3)
    assert at(53_100, 9_000) == Due(53_000, 3)
    assert at(53_100, 52_000) == Due(53_000, 0)


def test_a_since_in_the_future_does_not_keep_a_schedule_from_running() -> None:
    found = due(wall_ms=50_600, interval_ms=1000, phase=0, last_due_ms=None, since_ms=10**15)
    assert found == Due(50_000, 0)


def test_a_clock_that_is_a_little_behind_waits_and_one_far_behind_does_not() -> None:
    def at(last: int) -> Due | None:
        return due(wall_ms=100_500, interval_ms=1000, phase=0, last_due_ms=last)

    assert at(101_000) is None
    assert at(100_000 + 1000 + MAX_SKEW_MS) is None
    assert at(100_000 + 2000 + MAX_SKEW_MS) == Due(100_000, 0)


@given(walls, intervals, intervals, st.integers(0, 10**9))
def test_a_changed_interval_is_due_within_one_of_its_own(
    wall: int, before: int, after: int, gap: int
) -> None:
    last = slot_start_ms(wall, before, 0)
    now = wall + gap + 2 * after
    found = due(wall_ms=now, interval_ms=after, phase=0, last_due_ms=last)
    assert found is not None
    assert found.missed >= 0
    assert now - after < found.due_ms <= now
