"""Whether a child of the supervisor is started again: decided purely, time is an argument.

The rules are those of Erlang's one_for_one supervisors. What a child is decides whether its end
asks for a restart at all; how many restarts there were in the last seconds, of all children
together, decides whether that is granted or the supervisor gives up.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from dataclasses import dataclass


class ChildExit(enum.StrEnum):
    """How a child ended by itself: it returned, or it raised (also: it cancelled itself)."""

    NORMAL = "normal"
    CRASHED = "crashed"


class Restart(enum.StrEnum):
    """When a child that ended is started again.

    PERMANENT: always, also when it simply returned.
    TRANSIENT: only after a crash.
    TEMPORARY: never.
    """

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"

    def wants(self, exit_: ChildExit) -> bool:
        """Whether such a child, ended this way, is to be started again."""
        return self is Restart.PERMANENT or (
            self is Restart.TRANSIENT and exit_ is ChildExit.CRASHED
        )


class Decision(enum.StrEnum):
    """What to do about a child that ended.

    RESTART: start it again at once.
    DROP: leave it ended; nothing is wrong with the supervisor.
    GIVE_UP: it should be restarted, but there were too many restarts: stop everything.
    """

    RESTART = "restart"
    DROP = "drop"
    GIVE_UP = "give_up"


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """At most `max_restarts` restarts in any `within_s` seconds, all children together.

    Valid once constructed.

    Raises:
        ValueError: max_restarts is negative, or within_s is not a positive, finite number.
    """

    max_restarts: int = 3
    within_s: float = 5.0

    def __post_init__(self) -> None:
        if self.max_restarts < 0:
            raise ValueError(f"max_restarts is {self.max_restarts}; it must be zero or more")
        if not (self.within_s > 0 and math.isfinite(self.within_s)):
            raise ValueError(f"within_s is {self.within_s:g} s; it must be more than zero")


class RestartLedger:
    """Remembers the granted restarts of one supervisor's run and decides on the next.

    Once it gave up it never grants a restart again.
    """

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._granted_at: deque[float] = deque()
        self._gave_up = False

    @property
    def gave_up(self) -> bool:
        """Whether the limit was ever passed."""
        return self._gave_up

    def decide(self, restart: Restart, exit_: ChildExit, now: float) -> Decision:
        """What to do about a child of kind `restart` that ended by itself at `now`.

        `now` is in monotonic seconds and must not go back between calls. A restart that is exactly
        `within_s` old still counts.
        """
        if not restart.wants(exit_):
            return Decision.DROP
        while self._granted_at and now - self._granted_at[0] > self._policy.within_s:
            self._granted_at.popleft()
        if self._gave_up or len(self._granted_at) >= self._policy.max_restarts:
            self._gave_up = True
            return Decision.GIVE_UP
        self._granted_at.append(now)
        return Decision.RESTART
