"""Runs the coordination work of one leadership: one_for_one, and stopped means ended.

Every child is one task. A child that ends by itself is decided on by the restart policy and, if
so, started again at once with a fresh handle, while its siblings go on untouched. Two things are
no crash: being stopped, and `LeadershipLost`, which only says that leading has ended. Nothing is
ever started while the lease is not held.

Stopping cancels the children in the reverse order of their start and waits until each one's
coroutine has returned; one that does not return in its time is named in the report as not ended.
That is all that can be known from here: a child that leaves threads, processes or tasks of its
own behind has not really ended, so it must wait for them (`coord.leadership.to_thread`,
`asyncio.TaskGroup`, `Process.wait` in a ``finally``).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import Final

from coord.child import Child, ChildSpec, ChildState, ChildStatus, FailureReason, StopReport
from coord.clock import Clock
from coord.leadership import Leadership, LeadershipLost
from coord.restart_policy import ChildExit, Decision, RestartLedger, RestartPolicy

__all__ = [
    "ChildSpec",
    "ChildState",
    "ChildStatus",
    "CoordinatorSupervisor",
    "FailureReason",
    "StopReport",
]

LAPSE_RECHECK_S: Final = 0.05
"""How often a child that ended because the lease had run out looks whether it is back."""

LAST_CHANCE_S: Final = 0.1
"""After its stop timeout a child is cancelled once more; how long that may take, in seconds."""


class CoordinatorSupervisor:
    """Starts, watches, restarts and stops children under one `Leadership` at a time.

    To be used on one event loop. The callbacks are called on it, synchronously, after the
    supervisor has done its part; they should only take note. What they raise goes to the loop's
    exception handler.
    """

    def __init__(
        self,
        policy: RestartPolicy,
        clock: Clock,
        *,
        on_failed: Callable[[FailureReason, str], None],
        on_child_restarted: Callable[[str, str, int], None] | None = None,
        on_child_ended: Callable[[str, str], None] | None = None,
    ) -> None:
        """`on_failed(reason, child)` is called at most once between a start and its stop.

        `on_child_restarted(child, error, restarts)` and `on_child_ended(child, error)` are told of
        each child that ended by itself and was restarted, or was not to be; error is "" if it
        simply returned.
        """
        self._policy = policy
        self._clock = clock
        self._on_failed = on_failed
        self._on_child_restarted = on_child_restarted
        self._on_child_ended = on_child_ended
        self._children: dict[str, Child] = {}
        self._ledger = RestartLedger(policy)
        self._leadership: Leadership | None = None
        self._running = False
        self._failed = False

    @property
    def running(self) -> bool:
        """Whether it was started and has not been told to stop."""
        return self._running

    def status(self) -> tuple[ChildStatus, ...]:
        """All children in the order of their start, also after the stop."""
        return tuple(
            ChildStatus(c.spec.id, c.state, c.restarts, c.last_error, c.since)
            for c in self._children.values()
        )

    async def start(self, specs: Iterable[ChildSpec], leadership: Leadership) -> None:
        """Start the children in this order, with a clean slate of restarts.

        After a complete stop it may be started again, under the same or another leadership.

        Raises:
            LeadershipLost: the lease is not held; nothing was started.
            RuntimeError: it runs already, or children of an earlier start have not ended.
            ValueError: two children have the same id.
        """
        if self.running or not all(child.over for child in self._children.values()):
            raise RuntimeError("the supervisor still has children that run; stop it first")
        specs = tuple(specs)
        ids = [spec.id for spec in specs]
        doubled = sorted({id_ for id_ in ids if ids.count(id_) > 1})
        if doubled:
            raise ValueError(f"several children have the id {', '.join(doubled)}")
        leadership.guard()
        self._children.clear()
        self._ledger = RestartLedger(self._policy)
        self._failed = False
        self._leadership = leadership
        self._running = True
        for spec in specs:
            self._add(spec, leadership)

    async def start_child(self, spec: ChildSpec) -> None:
        """Start one more child; it takes the place of an ended one with its id.

        Raises:
            LeadershipLost: the lease is not held.
            RuntimeError: the supervisor does not run.
            ValueError: a child with that id has not ended.
        """
        if self._leadership is None or not self._running:
            raise RuntimeError("the supervisor does not run; start it first")
        former = self._children.get(spec.id)
        if former is not None and not (former.over and former.state is not ChildState.LAPSED):
            raise ValueError(f"child {spec.id!r} has not ended; stop it first")
        self._leadership.guard()
        self._children.pop(spec.id, None)
        self._add(spec, self._leadership)

    async def stop_child(self, child_id: str) -> bool:
        """Stop one child, within its stop timeout, and forget it; False: it did not end.

        Raises:
            ValueError: there is no such child.
        """
        child = self._children.get(child_id)
        if child is None:
            raise ValueError(f"there is no child {child_id!r}")
        ended = await self._stop_one(child, math.inf)
        if ended and self._children.get(child_id) is child:
            del self._children[child_id]
        return ended

    async def stop(self, deadline: float | None = None) -> StopReport:
        """Stop all children, in the reverse order of their start.

        Each gets its stop timeout, and all together the time up to `deadline` (monotonic seconds
        of the clock; None: no further bound). While the lease is held a child is told to stop when
        the one started after it has ended; without it all are told at once, in that order.

        May be called again, also while an earlier call still waits: to shorten its time, or to
        ask again for what had not ended.
        """
        self._running = False
        until = math.inf if deadline is None else deadline
        children = tuple(reversed(self._children.values()))
        in_turn = self._leadership is not None and self._leadership.held()
        for child in children:
            child.disarm()
            if not in_turn:
                self._tell_to_stop(child)
        for child in children:
            await self._stop_one(child, until)
        return StopReport(
            ended=tuple(c.spec.id for c in children if c.over),
            not_ended=tuple(c.spec.id for c in children if not c.over),
        )

    async def _stop_one(self, child: Child, until: float) -> bool:
        self._tell_to_stop(child)
        task = child.task
        if task is None or task.done():
            return True
        await self._wait(task, child.spec.stop_timeout_s, until)
        if not task.done():
            # Once more: libraries lose a cancellation now and then, and cleaning up is over time.
            task.cancel()
            await self._wait(task, LAST_CHANCE_S, until)
        if not task.done():
            child.enter(ChildState.NOT_ENDED, self._clock.now())
        return task.done()

    def _tell_to_stop(self, child: Child) -> None:
        child.disarm()
        if child.task is None or child.task.done():
            if child.state in (ChildState.RUNNING, ChildState.LAPSED):
                child.enter(ChildState.ENDED, self._clock.now())
        elif child.state is ChildState.RUNNING:
            child.enter(ChildState.STOPPING, self._clock.now())
            child.task.cancel()

    async def _wait(self, task: asyncio.Task[None], at_most_s: float, until: float) -> None:
        left_s = max(0.0, min(at_most_s, until - self._clock.now()))
        await asyncio.wait((task,), timeout=left_s)

    # --- one child's life ---

    def _add(self, spec: ChildSpec, leadership: Leadership) -> None:
        child = Child(spec, self._clock.now())
        self._children[spec.id] = child
        self._run(child, leadership)

    def _run(self, child: Child, leadership: Leadership) -> None:
        child.enter(ChildState.RUNNING, self._clock.now())
        handle = leadership.child(child.spec.id)
        task = asyncio.create_task(_run_child(child.spec, handle), name=f"child {child.spec.id}")
        child.task = task
        task.add_done_callback(lambda done: self._ended(child, done))
        if child.spec.progress_timeout_s is not None:
            self._watch_progress(child, handle, child.spec.progress_timeout_s)

    def _ended(self, child: Child, task: asyncio.Task[None]) -> None:
        """Decide on a child whose task is done; `task` is always its present one."""
        child.disarm()
        now = self._clock.now()
        error = _error_of(task)
        lost = _leadership_lost(error)
        stopped = child.state is not ChildState.RUNNING
        if error is not None and lost is None and not (stopped and task.cancelled()):
            child.last_error = _tell(error)
        leadership = self._leadership
        if stopped or not self._running or leadership is None or leadership.revoked:
            child.enter(ChildState.ENDED, now)
        elif lost is not None and lost.term == leadership.term and leadership.held():
            child.enter(ChildState.ENDED, now)
            leadership.lost(lost.reason)
        elif leadership.held() or not (lost or child.spec.restart.wants(_exit_of(error))):
            self._decide(child, error, leadership, now)
        else:
            child.enter(ChildState.LAPSED, now)
            self._await_lease(child)

    def _decide(
        self, child: Child, error: BaseException | None, leadership: Leadership, now: float
    ) -> None:
        said = "" if error is None else _tell(error)
        decision = self._ledger.decide(child.spec.restart, _exit_of(error), now)
        if decision is Decision.RESTART:
            child.restarts += 1
            self._run(child, leadership)
            if self._on_child_restarted is not None:
                self._on_child_restarted(child.spec.id, said, child.restarts)
        elif decision is Decision.DROP:
            child.enter(ChildState.ENDED, now)
            if self._on_child_ended is not None:
                self._on_child_ended(child.spec.id, said)
        else:
            child.enter(ChildState.FAILED, now)
            self._fail(FailureReason.RESTART_LIMIT, child)

    def _fail(self, reason: FailureReason, child: Child) -> None:
        if not self._failed:
            self._failed = True
            self._on_failed(reason, child.spec.id)

    def _await_lease(self, child: Child) -> None:
        """A confirmation may come just after the deadline: then the work must not be missing."""

        def look() -> None:
            leadership = self._leadership
            if not self._running or leadership is None:
                return
            if leadership.revoked:
                child.enter(ChildState.ENDED, self._clock.now())
            elif leadership.held():
                self._run(child, leadership)
            else:
                self._await_lease(child)

        child.timer = asyncio.get_running_loop().call_later(LAPSE_RECHECK_S, look)

    def _watch_progress(self, child: Child, handle: Leadership, limit_s: float) -> None:
        loop = asyncio.get_running_loop()

        def look(due: float) -> None:
            now = self._clock.now()
            next_due = handle.progress_at + limit_s
            if now < next_due or not handle.held():
                arm(max(next_due, now + limit_s / 4))
            elif now - due > limit_s / 4 and child.excused_at != handle.progress_at:
                # We are late ourselves: the process stood still, and the child with it.
                child.excused_at = handle.progress_at
                arm(now + limit_s / 4)
            else:
                self._fail(FailureReason.NO_PROGRESS, child)

        def arm(due: float) -> None:
            child.timer = loop.call_later(max(0.0, due - self._clock.now()), look, due)

        arm(handle.progress_at + limit_s)


async def _run_child(spec: ChildSpec, handle: Leadership) -> None:
    """The task of a child; turns what would end the whole loop into a crash of the child.

    SystemExit is some library's way to give up: it must not skip the order of a clean end.
    KeyboardInterrupt is the operator's: it passes, and ends the loop.
    """
    try:
        await spec.run(handle)
    except SystemExit as error:
        raise RuntimeError(f"{spec.id} called sys.exit({error.code!r})") from error


def _error_of(task: asyncio.Task[None]) -> BaseException | None:
    """What the task ended with; a cancellation of its own making counts like any error."""
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def _exit_of(error: BaseException | None) -> ChildExit:
    return ChildExit.NORMAL if error is None else ChildExit.CRASHED


def _leadership_lost(error: BaseException | None) -> LeadershipLost | None:
    """The LeadershipLost that a child ended with, also from within a TaskGroup."""
    if isinstance(error, BaseExceptionGroup):
        lost, rest = error.split(LeadershipLost)
        if lost is None or rest is not None:
            return None
        first: BaseException = lost
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        return _leadership_lost(first)
    return error if isinstance(error, LeadershipLost) else None


def _tell(error: BaseException) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text[:300]
