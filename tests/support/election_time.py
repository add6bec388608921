"""Moments of a clock that are exact, so that what is due at one moment is due at one moment.

Sums of floats depend on the order of adding; where each state is to be recognised, and each tie to
be decided in one way, time is counted in whole units. With clocks at 0.95, 1 and 1.05 of the true
one, and every duration a multiple of 50 ms, each moment is a whole number of units on every clock:
159600 = 20 * 19 * 20 * 21.
"""

from __future__ import annotations

UNITS = 159_600
"""Units to a second."""

EPSILON_S = 1e-9
"""What is due at a moment is due in spite of rounding, where moments are floats. It is no unit."""


class Moment(int):
    """A time on some clock in units; what is added to it, and the span between two, is seconds.

    It stands where the machine takes a float: comparing, adding and taking away are all that it
    does with a time.
    """

    __slots__ = ()

    def __add__(self, seconds: float) -> Moment:
        return Moment(int.__add__(self, round(seconds * UNITS)))

    __radd__ = __add__

    def __sub__(self, other: float) -> float:  # type: ignore[override]
        if isinstance(other, Moment):
            return int.__sub__(self, other) / UNITS
        return self + -other


def units(seconds: float, rate: float) -> int:
    """So many seconds of a node's clock in 1/7980 true seconds: a whole number."""
    exact = seconds * UNITS / (20 * rate)
    whole = round(exact)
    assert abs(exact - whole) < 1e-6, f"{seconds} s at {rate} are off the grid of times"
    return whole


def true_seconds(units: int) -> float:
    """The other way round, on the true clock."""
    return units * 20 / UNITS
