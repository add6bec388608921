"""The lock-delays of one simulated Consul server: kept by itself, and by no log or snapshot."""

from __future__ import annotations

from typing import Final

MAX_LOCK_DELAY_S: Final = 60.0
"""Consul takes a longer lock-delay and honours this much of it."""


class LockDelays:
    """Until when nobody may take the lock on which key, by this server's clock.

    Attributes:
        clock_rate: how many seconds that clock counts in one.
        logged: the shortest lock-delay of each key that a server which starts again finds in its
            log, in seconds.
    """

    __slots__ = ("_until", "clock_rate", "logged")

    def __init__(self, clock_rate: float = 1.0) -> None:
        self.clock_rate = clock_rate
        self.logged: dict[str, float] = {}
        self._until: dict[str, float] = {}

    @property
    def any(self) -> bool:
        """Whether there may be some."""
        return bool(self._until)

    def start(self, key: str, delay_s: float, now: float) -> None:
        """The session that held `key` has ended.

        One that still counts for that key ends this one too when its own time is over: Consul
        forgets the key then, whatever has begun since.
        """
        delay_s = min(delay_s, MAX_LOCK_DELAY_S)
        if delay_s <= 0:
            return
        self.logged[key] = min(delay_s, self.logged.get(key, delay_s))
        until = now + delay_s / self.clock_rate
        known = self._until.get(key, now)
        self._until[key] = min(until, known) if known > now else until

    def counts(self, key: str, now: float) -> bool:
        """Whether nobody may take the lock on `key` yet."""
        until = self._until.get(key)
        if until is None:
            return False
        if until > now:
            return True
        del self._until[key]
        return False

    def forget(self) -> None:
        """None counts any more."""
        self._until.clear()

    def compact(self) -> None:
        """The log that started them is replaced by a snapshot, which has none."""
        self.logged.clear()

    def replay(self, now: float) -> None:
        """The server starts again, and carries its log out again: all of them count anew."""
        self._until = {key: now + delay / self.clock_rate for key, delay in self.logged.items()}
