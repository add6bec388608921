"""Which session is ours, and the asking for one. One session serves one term at most."""

from __future__ import annotations

from collections.abc import Collection

from coord.election.reasons import WhyNot
from coord.election.timing import SESSION_RETRY_S

RETRY_FIRST_S = 0.5
"""How long before a session is asked for again: doubling from this to `SESSION_RETRY_S`.

Also where none was refused, so that a session that is lost as soon as it exists is not asked for
as fast as Consul can answer.
"""


class Sessions:
    """The session that is ours, if any, and all that ever were."""

    def __init__(self, own: Collection[str]) -> None:
        self.current: str | None = None
        self.own = set(own)
        self.refused: WhyNot | None = None
        """Why the last request for one failed."""
        self.asked = False
        """A request for one is under way."""
        self.attempt = 0
        self.retry_at: float | None = None
        """When to ask again; None if nothing asks for a session yet."""
        self._ask_from = float("-inf")
        self._retry_s = RETRY_FIRST_S

    def want(self, now: float) -> None:
        """Let a session be asked for, unless a request is under way: now, or not too soon."""
        self.retry_at = max(now, self._ask_from)

    def ask(self, now: float) -> int | None:
        """The number of a new request, if its time has come."""
        if self.wake_at is None or now < self.wake_at:
            return None
        self._ask_from = now + RETRY_FIRST_S
        self.attempt += 1
        self.asked = True
        return self.attempt

    def created(self, attempt: int, session: str) -> bool:
        """Take the session over; False if it is not the one that was asked for."""
        self.own.add(session)
        if attempt != self.attempt or not self.asked:
            return False
        self.asked = False
        self.refused = None
        self._retry_s = RETRY_FIRST_S
        self.current = session
        return True

    def failed(self, attempt: int, why: WhyNot, now: float) -> None:
        """Note why there is none, and when to ask again."""
        if attempt != self.attempt:
            return
        self.asked = False
        self.refused = why
        self.retry_at = now + self._retry_s
        self._retry_s = min(SESSION_RETRY_S, 2 * self._retry_s)

    def drop(self) -> str | None:
        """Let go of the current session; returns it."""
        dropped, self.current = self.current, None
        return dropped

    @property
    def wake_at(self) -> float | None:
        """When to ask again; None while there is one, or a request is under way."""
        return None if self.asked or self.current is not None else self.retry_at
