"""When to read the two keys next. One read is under way at a time."""

from __future__ import annotations

AT_ONCE = float("-inf")


class Reads:
    """The schedule of the consistent reads, in seconds on the monotonic clock."""

    def __init__(self) -> None:
        self.under_way = False
        self.valid_from = AT_ONCE
        """Reads sent before this may show less than is already known: they are ignored."""
        self._due_at: float | None = None
        self._again = False

    @property
    def wake_at(self) -> float | None:
        """When the next read is due; None while one is under way."""
        return None if self.under_way else self._due_at

    def now(self) -> None:
        """Read as soon as may be, by a request that is sent after this call."""
        self._again = self.under_way
        self._due_at = AT_ONCE

    def by(self, time: float) -> None:
        """Read at that time at the latest."""
        self._due_at = time if self._due_at is None else min(self._due_at, time)

    def start(self, now: float, every: float) -> bool:
        """Begin a read if one is due; the one after it is due `every` seconds later."""
        if self.under_way or self._due_at is None or now < self._due_at:
            return False
        self.under_way = True
        self._due_at = now + every
        return True

    def done(self) -> None:
        """The read that was under way has been answered, or has failed."""
        self.under_way = False
        if self._again:
            self._again = False
            self._due_at = AT_ONCE
