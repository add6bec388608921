"""The clocks: one that only goes forward, for every decision, and the wall's, for records.

Only loops read a clock; everything pure gets the time as an argument.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What tells the time."""

    def now(self) -> float:
        """Monotonic time in seconds from an arbitrary start, counting on while suspended."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970 by the wall clock: for records and logs, never for decisions."""
        ...


MONOTONIC_CLOCK_ID: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""CLOCK_MONOTONIC stands still while a machine is suspended; a lease must not."""


class SystemClock:
    """The clocks of this machine."""

    __slots__ = ()

    def now(self) -> float:
        """Seconds since boot (CLOCK_BOOTTIME; CLOCK_MONOTONIC where there is none)."""
        return time.clock_gettime(MONOTONIC_CLOCK_ID)

    def wall_ms(self) -> int:
        """Milliseconds since 1970 by the wall clock."""
        return time.time_ns() // 1_000_000
