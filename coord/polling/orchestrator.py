"""PollOrchestrator: sends every schedule's due poll to a poller, while its node leads.

All that must outlive a leader is in Consul; what is here in memory is read from there at the start
of a run. Several things go on: the writer, the watches on what operators write and on the pollers,
the loop that starts what is due; and one task for each attempt that is under way. All belong to one
TaskGroup: when `run` has returned, nothing of it is left.

Nothing piles up: a schedule has at most one open job, pollers are given no more than they take, and
what finds no room stays due until its slot is over; then it is counted as missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from coord.consul import TxnOp
from coord.leadership import Leadership, LeadershipLost
from coord.polling.book import DueRun, Ended
from coord.polling.dispatch import PollFailed, PollSender
from coord.polling.events import RunsMissed
from coord.polling.jobs import JobEvent, advance
from coord.polling.keeper import Keeper
from coord.polling.known import Known
from coord.polling.metrics import PollMetrics
from coord.polling.pollers import PollerTarget
from coord.polling.records import JobRecord, PollError, PollReply, PollRequest, clip
from coord.polling.sinks import SinkContext, Sinks, finished, load_sinks
from coord.polling.store import PollPaths
from coord.telemetry import PollFinished
from coord.telemetry.lasting_fault import LastingFault
from coord.telemetry.logs import log_fault
from coord.workloads import WorkContext

MAX_OPEN = 256
"""How many jobs are open at a time, whatever the pollers would take."""

TICK_S = 1.0
"""The loop looks at least this often what is due, and reports progress."""

_PAUSE_S = 0.02
_NO_POLLER_GRACE_S = 10.0


class PollOrchestrator:
    """The workload ``poll-orchestrator``."""

    name = "poll-orchestrator"
    progress_timeout_s = 30.0

    def __init__(self, context: WorkContext) -> None:
        """Raises PluginError: a sink that the settings name cannot be used."""
        self._context = context
        self._metrics = PollMetrics(context.metrics, context.clock.wall_ms)
        context.telemetry.attach_inline(self._metrics.handle)
        its = SinkContext(
            context.settings, context.identity, context.metrics, self._metrics.verdicts
        )
        sinks = load_sinks(context.settings.poll_sinks, its)
        self._sinks = Sinks(sinks, context.telemetry, context.clock, context.metrics)
        # Outlives a run, so that a restart does not tell everything again.
        self._told: dict[str, int] = {}

    async def run(self, leadership: Leadership) -> None:
        """Poll until cancelled.

        Raises:
            LeadershipLost: not leading (any more, or for now).
        """
        try:
            await _Run(self._context, leadership, self._told, self._metrics, self._sinks).run()
        except BaseExceptionGroup as group:
            raise _first(group) from group


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a task group failed with, as one exception; losing leadership explains the rest."""
    lost = group.subgroup(LeadershipLost)
    error: BaseException = group if lost is None else lost
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class _Run:
    """One run under one leadership."""

    def __init__(
        self,
        context: WorkContext,
        leadership: Leadership,
        told: dict[str, int],
        metrics: PollMetrics,
        sinks: Sinks,
    ) -> None:
        self._context = context
        self._leadership = leadership
        self._metrics = metrics
        self._sinks = sinks
        self._keys = PollPaths(context.paths)
        faults = LastingFault(context.clock, log_fault)
        self._keeper = Keeper(context, leadership, faults, sequence_key=self._keys.sequence)
        self._known = Known(context, leadership, self._keeper, faults, told)
        self._book, self._pollers = self._known.book, self._known.pollers
        self._sender = PollSender(
            context.settings.poller_token, max_connections=MAX_OPEN, transport=context.http
        )
        self._without_since_ms: dict[str, int] = {}
        """Since when there is no poller that could run a job that is due."""

    async def run(self) -> None:
        try:
            await self._keeper.claim()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keeper.run(), name="poll writer")
                await self._known.take_over()
                self._metrics.leads(self._book)
                for ended in self._book.swept:
                    self._tell(ended)
                group.create_task(self._known.follow_schedules(), name="poll schedules")
                group.create_task(self._known.follow_pollers(), name="poll pollers")
                group.create_task(self._known.follow_asked(), name="poll requests")
                await self._loop(group)
        finally:
            self._metrics.ends()
            await self._sender.aclose()

    # --- what is due ---

    async def _loop(self, group: asyncio.TaskGroup) -> None:
        changed = self._known.changed
        while True:
            self._leadership.guard()
            self._leadership.progress()
            await self._give_up()
            self._sinks.tell_lost(self._leadership.term)
            wall_ms = self._context.clock.wall_ms()
            looks = [self._start_due(group, wall_ms), self._book.next_due_ms(wall_ms)]
            self._metrics.look()
            delay_s = min((TICK_S, *((ms - wall_ms) / 1000 for ms in looks if ms is not None)))
            # Things that come in quick succession are looked at together.
            await asyncio.sleep(_PAUSE_S)
            try:
                async with asyncio.timeout(max(0.0, delay_s - _PAUSE_S)):
                    await changed.wait()
            except TimeoutError:
                continue
            finally:
                changed.clear()

    async def _give_up(self) -> None:
        """End what has waited for too long, or for nothing."""
        given_up = self._book.give_up(self._context.clock.wall_ms())
        for ended in given_up:
            self._tell(ended)
        await self._keeper.write_all(self._known.end_ops(ended.job) for ended in given_up)
        await self._known.remove_late_asks()

    def _start_due(self, group: asyncio.TaskGroup, wall_ms: int) -> int | None:
        """Start what is due and finds room; gives when to look again, None if at nothing special.

        With no poller there that could run it, it waits for one, but says so well before the next
        run is due.
        """
        without, self._without_since_ms = self._without_since_ms, {}
        looks: list[int] = []
        for run in self._book.due(wall_ms):
            if len(self._book.open) >= MAX_OPEN:
                break
            target = self._pollers.take(run.schedule, wall_ms, run.tried)
            if target is not None:
                self._start(group, run, self._poll(run, target))
                continue
            lack = self._pollers.lack(run.schedule)
            if lack is None and not self._pollers.room:
                break
            if lack is None or run.job.attempt > 1:
                continue
            since_ms = self._without_since_ms[run.job.id] = without.get(run.job.id, wall_ms)
            patient_until_ms = since_ms + _grace_ms(run)
            if wall_ms < patient_until_ms:
                looks.append(patient_until_ms)
            else:
                self._start(group, run, self._fail(run, lack))
        return min(looks, default=None)

    def _start(
        self, group: asyncio.TaskGroup, run: DueRun, making: Coroutine[Any, Any, None]
    ) -> None:
        self._book.start(run)
        if run.job.attempt > 1:
            self._metrics.tried_again()
        elif run.job.missed:
            self._context.telemetry.emit(
                RunsMissed,
                term=self._leadership.term,
                schedule=run.schedule.id,
                runs=run.job.missed,
            )
        group.create_task(making, name=f"poll {run.job.id}")

    # --- one job ---

    async def _fail(self, run: DueRun, lack: PollError) -> None:
        take = () if run.ask is None else self._known.take_ops(run.ask)
        await self._end(advance(run.job, JobEvent.FAIL), lack, None, *take)

    async def _poll(self, run: DueRun, target: PollerTarget) -> None:
        """Make one attempt; the job ends with it, or waits to be tried again."""
        try:
            job, outcome = await self._attempt(run, target)
        finally:
            self._pollers.release(target)
        if outcome is None:
            self._book.close(job)
            self._known.changed.set()
            return
        if isinstance(outcome, PollReply):
            await self._end(advance(job, JobEvent.COMPLETE), outcome, target.node)
            return
        wall_ms = self._context.clock.wall_ms()
        if outcome.error in (PollError.UNREACHABLE, PollError.DEADLINE):
            self._pollers.avoid(target, wall_ms)
        late = outcome.error is PollError.DEADLINE
        job = advance(job, JobEvent.TIME_OUT if late else JobEvent.FAIL)
        waits = outcome.try_again and self._book.retry(
            job,
            outcome.error,
            run.tried | {target.id},
            wall_ms,
            poller=target.node,
            chance=self._context.random(),
        )
        if waits:
            self._known.changed.set()
        else:
            await self._end(job, outcome.error, target.node)

    async def _end(
        self, job: JobRecord, outcome: PollReply | PollError, poller: str | None, *more: TxnOp
    ) -> None:
        result = self._book.end(job, outcome, self._context.clock.wall_ms())
        # It came back, whether or not we still lead when it is written down.
        self._tell(Ended(job, result, poller))
        await self._keeper.write(*more, *self._known.end_ops(job))
        self._book.close(job)
        self._known.changed.set()

    def _tell(self, ended: Ended) -> None:
        result = ended.result
        self._context.telemetry.emit(
            PollFinished,
            term=self._leadership.term,
            schedule=result.schedule,
            poller=ended.poller,
            outcome=result.outcome,
            took_ms=result.took_ms,
        )
        schedule = self._book.schedules.get(result.schedule)
        name = "" if schedule is None else schedule.name
        self._sinks(finished(ended, self._leadership.election, name))

    async def _attempt(
        self, run: DueRun, target: PollerTarget
    ) -> tuple[JobRecord, PollReply | PollFailed | None]:
        """None: what asked for it was taken back, and nothing was run."""
        now_ms = self._context.clock.wall_ms()
        job = advance(run.job, JobEvent.ASSIGN, poller=clip(target.id), dispatched_ms=now_ms)
        self._book.open[job.schedule] = job
        if job.attempt == 1 and job.asked is None:
            self._metrics.began(now_ms - max(job.due_ms, run.schedule.since_ms))
        take = () if run.ask is None else self._known.take_ops(run.ask)
        written = TxnOp.kv_set(self._keys.job(job.id), job.encode())
        if not await self._keeper.write(*take, written):
            if take:
                return job, None
            return job, PollFailed(PollError.REFUSED, "the attempt could not be written down")
        self._leadership.guard()
        job = advance(job, JobEvent.SEND)
        self._book.open[job.schedule] = job
        request = PollRequest(
            term=job.term,
            election=self._leadership.election,
            job=job.id,
            attempt=job.attempt,
            timeout_ms=run.schedule.timeout_ms,
            checks=run.schedule.checks,
        )
        try:
            return job, await self._sender.send(target, request)
        except PollFailed as failed:
            return job, failed


def _grace_ms(run: DueRun) -> int:
    return round(min(_NO_POLLER_GRACE_S * 1000, run.schedule.interval_ms / 2))
