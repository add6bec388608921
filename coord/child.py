"""One child of the supervisor: what it is to do, how it is, and what its stop came to."""

from __future__ import annotations

import asyncio
import enum
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from coord.leadership import Leadership
from coord.restart_policy import Restart


class FailureReason(enum.StrEnum):
    """Why the supervisor asks for the leadership to end.

    RESTART_LIMIT: a child would have to be restarted once more than the policy allows.
    NO_PROGRESS: a child reported no progress for its `progress_timeout_s`.
    """

    RESTART_LIMIT = "restart_limit"
    NO_PROGRESS = "no_progress"


class ChildState(enum.StrEnum):
    """Where a child is.

    RUNNING: its task runs. STOPPING: cancelled, not ended yet. LAPSED: it ended because the lease
    was not held; it is started again if the same lease comes back. ENDED: ended, and nothing is
    wrong: stopped, or not to be restarted. FAILED: ended, and the supervisor gave up on it.
    NOT_ENDED: told to stop, and it did not in its time.
    """

    RUNNING = "running"
    STOPPING = "stopping"
    LAPSED = "lapsed"
    ENDED = "ended"
    FAILED = "failed"
    NOT_ENDED = "not_ended"


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One piece of work and how to run it. Valid once constructed.

    id: unique under its supervisor.
    run: called anew, with a handle of its own, at each start; the work has ended when it returns.
    restart: when it is started again after it ended by itself.
    stop_timeout_s: how long it may take to end after being cancelled.
    progress_timeout_s: how long it may go without calling `progress()` on its handle; None: for
        ever.

    Raises:
        ValueError: an empty id, or a time that is not positive and finite.
    """

    id: str
    run: Callable[[Leadership], Awaitable[None]]
    restart: Restart = Restart.PERMANENT
    stop_timeout_s: float = 5.0
    progress_timeout_s: float | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id is empty; give each child a name")
        for name in ("stop_timeout_s", "progress_timeout_s"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} of {self.id!r} is {value:g} s; it must be more than zero")


@dataclass(frozen=True, slots=True)
class ChildStatus:
    """One child now.

    restarts: in this start of the supervisor.
    last_error: what its last crash was; None if it never crashed.
    since: when it came into its state, in monotonic seconds.
    """

    id: str
    state: ChildState
    restarts: int
    last_error: str | None
    since: float


@dataclass(frozen=True, slots=True)
class StopReport:
    """What a stop came to, ids in the order of stopping. Only a complete one may be handed over."""

    ended: tuple[str, ...]
    not_ended: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether all children have ended."""
        return not self.not_ended


class Child:
    """A child's mutable side; its task is the one present run of it."""

    def __init__(self, spec: ChildSpec, now: float) -> None:
        self.spec = spec
        self.state = ChildState.RUNNING
        self.since = now
        self.restarts = 0
        self.last_error: str | None = None
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.excused_at: float | None = None

    def enter(self, state: ChildState, now: float) -> None:
        self.state = state
        self.since = now

    def disarm(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    @property
    def over(self) -> bool:
        return self.task is None or self.task.done()
