"""When to read the two keys next. One read is under way at a time."""

from __future__ import annotations

from coord.election.commands import Command, CreateLeaderKey, Observe
from coord.election.reasons import Cause
from coord.election.timing import Timing

AT_ONCE = float("-inf")


class Reads:
    """The schedule of the consistent reads, in seconds on the monotonic clock."""

    def __init__(self, timing: Timing) -> None:
        self.under_way = False
        self.valid_from = AT_ONCE
        """Reads sent before this may show less than is already known: they are ignored."""
        self._timing = timing
        self._due_at: float | None = None
        self._again = False
        self._create_from = AT_ONCE

    @property
    def wake_at(self) -> float | None:
        """When the next read is due; None while one is under way."""
        return None if self.under_way else self._due_at

    @property
    def retry(self) -> float:
        """How long after a read that failed the next one is made."""
        return min(self._timing.election_interval, 2 * self._timing.confirm_interval)

    def now(self) -> None:
        """Read as soon as may be, by a request that is sent after this call."""
        self._again = self.under_way
        self._due_at = AT_ONCE

    def by(self, time: float) -> None:
        """Read at that time at the latest."""
        self._due_at = time if self._due_at is None else min(self._due_at, time)

    def create(self, now: float) -> None:
        """Read soon, creating the missing key; at its time if that was tried just now."""
        self.by(max(now, self._create_from))

    def start(self, now: float, *, urgent: bool, create: Cause | None) -> list[Command]:
        """The read to start, if one is due.

        `urgent`: something hangs on it, so that the next one is due soon. `create`: the key is
        missing for that reason and is to be created, unless that was tried just now.
        """
        if self.under_way or self._due_at is None or now < self._due_at:
            return []
        self.under_way = True
        timing = self._timing
        self._due_at = now + (timing.confirm_interval if urgent else timing.election_interval)
        if create is None or now < self._create_from:
            return [Observe(timing.read_deadline)]
        self._create_from = now + self.retry
        return [CreateLeaderKey(create, timing.read_deadline)]

    def done(self) -> None:
        """The read that was under way has been answered, or has failed."""
        self.under_way = False
        if self._again:
            self._again = False
            self._due_at = AT_ONCE
