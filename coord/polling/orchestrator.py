"""PollOrchestrator: sends every schedule's due poll to a poller, while its node leads.

All that must outlive a leader is in Consul; what is here in memory is read from there at the start
of a run. Four things go on: the writer, the watch on the schedules, the watch on the pollers, and
the loop that starts what is due; and one task for each open job. All belong to one TaskGroup: when
`run` has returned, nothing of it is left.

Nothing piles up: a schedule has at most one open job, pollers are given no more than they take, and
what finds no room stays due until its slot is over; then it is counted as missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from coord.consul import (
    Consistency,
    ConsulError,
    ConsulRefused,
    KVEntry,
    Reply,
    ServiceInstance,
    TxnOp,
)
from coord.leadership import FencedWriteFailed, Leadership, LeadershipLost
from coord.polling.book import Book, DueRun
from coord.polling.dispatch import PollFailed, PollSender
from coord.polling.events import PollsSwept, RecordUnreadable, RunsMissed
from coord.polling.follow import WATCH_WAIT_S, follow
from coord.polling.jobs import JobEvent, advance, may_retry
from coord.polling.pollers import Pollers, PollerTarget, poller_targets
from coord.polling.records import (
    JobRecord,
    PollError,
    PollReply,
    PollRequest,
    PollStateRecord,
    ScheduleRecord,
    UnreadableRecord,
    clip,
)
from coord.polling.store import Loaded, PollPaths, load_jobs, load_results, load_schedules
from coord.polling.writer import FencedWriter
from coord.records import POLLER_SERVICE
from coord.telemetry import PollFinished
from coord.telemetry.lasting_fault import LastingFault
from coord.telemetry.logs import log_fault
from coord.workloads import WorkContext

T = TypeVar("T")

MAX_OPEN = 256
"""How many jobs are open at a time, whatever the pollers would take."""

TICK_S = 1.0
"""The loop looks at least this often what is due, and reports progress."""

_PAUSE_S = 0.02
_READ_RETRY_S = 0.25
_NO_POLLER_GRACE_S = 10.0
_SHOWN_UNREADABLE = 20


class PollOrchestrator:
    """The workload ``poll-orchestrator``."""

    name = "poll-orchestrator"
    progress_timeout_s = 30.0

    def __init__(self, context: WorkContext) -> None:
        self._context = context
        # Outlives a run, so that a restart does not tell everything again.
        self._told: dict[str, int] = {}

    async def run(self, leadership: Leadership) -> None:
        """Poll until cancelled.

        Raises:
            LeadershipLost: not leading (any more, or for now).
        """
        try:
            await _Run(self._context, leadership, self._told).run()
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

    def __init__(self, context: WorkContext, leadership: Leadership, told: dict[str, int]) -> None:
        self._context = context
        self._leadership = leadership
        self._told = told
        self._keys = PollPaths(context.paths)
        self._faults = LastingFault(context.clock, log_fault)
        self._writer = FencedWriter(
            leadership, self._faults, sequence_key=self._keys.sequence, read=self._read
        )
        self._sender = PollSender(
            context.settings.poller_token, max_connections=MAX_OPEN, transport=context.http
        )
        self._pollers = Pollers()
        self._book = Book(leadership.term)
        self._wake = asyncio.Event()
        self._since_ms = context.clock.wall_ms()
        self._no_poller_since_ms: int | None = self._since_ms
        self._swept = (0, 0)
        self._state: PollStateRecord | None = None

    async def run(self) -> None:
        try:
            await self._writer.claim()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._writer.run(), name="poll writer")
                await self._take_over()
                group.create_task(self._follow_schedules(), name="poll schedules")
                group.create_task(self._follow_pollers(), name="poll pollers")
                await self._loop(group)
        finally:
            await self._sender.aclose()

    # --- takeover ---

    async def _take_over(self) -> None:
        """Read what the last leader left, and decide on every job that it left open.

        The reads are consistent and our term is in force: nothing of an older one lands any more.
        """
        schedules = load_schedules(await self._list(self._keys.schedules), self._keys.schedules)
        results = load_results(await self._list(self._keys.results), self._keys.results)
        jobs = load_jobs(await self._list(self._keys.jobs), self._keys.jobs)
        self._tell_unreadable(self._keys.results, results.unreadable)
        self._tell_unreadable(self._keys.jobs, jobs.unreadable)
        self._book.schedules = schedules.records
        self._book.results = results.records
        given_up = self._book.sweep(jobs.records.values(), self._context.clock.wall_ms())
        writes = [self._end_ops(job) for job in given_up]
        writes += [(TxnOp.kv_delete(key),) for key in jobs.unreadable]
        await self._write_all(writes)
        self._swept = (len(self._book.retries), len(given_up))
        if jobs.records or jobs.unreadable:
            self._context.telemetry.emit(
                PollsSwept,
                term=self._leadership.term,
                retried=self._swept[0],
                timed_out=self._swept[1],
                unreadable=len(jobs.unreadable),
            )
        await self._take_schedules(schedules)

    async def _read(self, key: str) -> KVEntry | None:
        reply = await self._context.consul.kv_get(key, consistency=Consistency.CONSISTENT)
        return reply.value

    async def _list(self, prefix: str) -> tuple[KVEntry, ...]:
        reply = await self._insist(
            lambda: self._context.consul.kv_list(prefix, consistency=Consistency.CONSISTENT)
        )
        return reply.value

    async def _insist(self, read: Callable[[], Awaitable[T]]) -> T:
        """Read, and try again for as long as the lease is held."""
        while True:
            self._leadership.guard()
            self._leadership.progress()
            try:
                result = await read()
            except ConsulError as error:
                self._faults.happened("polls_not_read", str(error))
                await asyncio.sleep(_READ_RETRY_S)
            else:
                self._faults.over("polls_not_read")
                return result

    def _end_ops(self, job: JobRecord) -> tuple[TxnOp, ...]:
        """A job ends: its key goes, and its schedule's result is written, if there still is one."""
        ops = [TxnOp.kv_delete(self._keys.job(job.id))]
        result = self._book.results.get(job.schedule)
        if result is not None and job.schedule in self._book.schedules:
            ops.append(TxnOp.kv_set(self._keys.result(job.schedule), result.encode()))
        return tuple(ops)

    async def _write(self, *ops: TxnOp) -> bool:
        """Write; what Consul refuses for good is told and left: it must not stop the rest."""
        try:
            await self._writer.write(*ops)
        except (FencedWriteFailed, ConsulRefused) as error:
            self._faults.happened("poll_write_refused", f"{ops[0].key}: {error}")
            return False
        self._faults.over("poll_write_refused")
        return True

    async def _write_all(self, groups: Iterable[tuple[TxnOp, ...]]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for ops in groups:
                tasks.create_task(self._write(*ops))

    # --- what is known ---

    async def _follow_schedules(self) -> None:
        prefix = self._keys.schedules

        async def query(index: int | None) -> Reply[tuple[KVEntry, ...]]:
            wait_s = None if index is None else WATCH_WAIT_S
            return await self._context.consul.kv_list(prefix, index=index, wait_s=wait_s)

        async def take(entries: tuple[KVEntry, ...]) -> None:
            await self._take_schedules(load_schedules(entries, prefix))
            self._wake.set()

        await follow(query, take, self._faults, "poll_schedules_not_followed")

    async def _follow_pollers(self) -> None:
        async def query(index: int | None) -> Reply[tuple[ServiceInstance, ...]]:
            wait_s = None if index is None else WATCH_WAIT_S
            return await self._context.consul.health_service(
                POLLER_SERVICE, passing=True, index=index, wait_s=wait_s
            )

        async def take(instances: tuple[ServiceInstance, ...]) -> None:
            self._pollers.update(poller_targets(instances, self._leadership.election))
            if self._pollers.known:
                self._no_poller_since_ms = None
            elif self._no_poller_since_ms is None:
                self._no_poller_since_ms = self._context.clock.wall_ms()
            self._wake.set()

        await follow(query, take, self._faults, "pollers_not_followed")

    async def _take_schedules(self, loaded: Loaded[ScheduleRecord]) -> None:
        self._tell_unreadable(self._keys.schedules, loaded.unreadable)
        self._book.schedules = loaded.records
        unreadable = tuple(record for record, _ in loaded.unreadable.values())
        state = PollStateRecord(
            term=self._leadership.term,
            node=self._leadership.node,
            since_ms=self._since_ms,
            swept_retried=self._swept[0],
            swept_timed_out=self._swept[1],
            schedules=len(loaded.records),
            unreadable=unreadable[:_SHOWN_UNREADABLE],
        )
        if state != self._state:
            self._state = state
            await self._write(TxnOp.kv_set(self._keys.state, state.encode()))

    def _tell_unreadable(
        self, prefix: str, unreadable: Mapping[str, tuple[UnreadableRecord, int]]
    ) -> None:
        for key in [k for k in self._told if k.startswith(prefix) and k not in unreadable]:
            del self._told[key]
        for key, (record, index) in unreadable.items():
            if self._told.get(key) != index:
                self._told[key] = index
                self._context.telemetry.emit(
                    RecordUnreadable,
                    term=self._leadership.term,
                    key=record.key,
                    field=record.field,
                    detail=record.detail,
                )

    # --- what is due ---

    async def _loop(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._leadership.guard()
            self._leadership.progress()
            wall_ms = self._context.clock.wall_ms()
            await self._write_all(self._end_ops(job) for job in self._book.expire(wall_ms))
            looks = [self._start_due(group, wall_ms), self._book.next_due_ms(wall_ms)]
            delay_s = min((TICK_S, *((ms - wall_ms) / 1000 for ms in looks if ms is not None)))
            # Things that come in quick succession are looked at together.
            await asyncio.sleep(_PAUSE_S)
            try:
                async with asyncio.timeout(max(0.0, delay_s - _PAUSE_S)):
                    await self._wake.wait()
            except TimeoutError:
                continue
            finally:
                self._wake.clear()

    def _start_due(self, group: asyncio.TaskGroup, wall_ms: int) -> int | None:
        """Start what is due and finds room; gives when to look again, None if at nothing special.

        With no poller there at all it waits for one, but says so well before the next run is due.
        """
        look_again_ms: int | None = None
        for run in self._book.due(wall_ms):
            if len(self._book.open) >= MAX_OPEN:
                break
            target = self._pollers.take()
            if target is None and self._pollers.known:
                break
            patient_until_ms = self._patient_until_ms(run)
            if target is None and wall_ms < patient_until_ms:
                look_again_ms = min(look_again_ms or patient_until_ms, patient_until_ms)
                continue
            self._book.start(run)
            group.create_task(self._run_job(run, target), name=f"poll {run.job.id}")
        return look_again_ms

    def _patient_until_ms(self, run: DueRun) -> int:
        grace_ms = round(min(_NO_POLLER_GRACE_S * 1000, run.schedule.interval_ms / 2))
        return max(run.job.due_ms, self._no_poller_since_ms or 0) + grace_ms

    # --- one job ---

    async def _run_job(self, run: DueRun, target: PollerTarget | None) -> None:
        if run.job.missed and run.job.attempt == 1:
            self._context.telemetry.emit(
                RunsMissed,
                term=self._leadership.term,
                schedule=run.schedule.id,
                runs=run.job.missed,
            )
        job, poller, outcome = await self._attempts(run, target)
        wall_ms = self._context.clock.wall_ms()
        result = self._book.end(job, outcome, wall_ms)
        # It came back, whether or not we still lead when it is written down.
        verdict = None if result.ok is None else "up" if result.ok else "down"
        self._context.telemetry.emit(
            PollFinished,
            term=self._leadership.term,
            schedule=run.schedule.id,
            poller=poller,
            outcome=verdict or (result.error or result.state).value,
            took_ms=result.took_ms,
        )
        await self._write(*self._end_ops(job))
        self._book.close(job)
        self._wake.set()

    async def _attempts(
        self, run: DueRun, target: PollerTarget | None
    ) -> tuple[JobRecord, str | None, PollReply | PollError]:
        """Try until there is an answer or trying on makes no sense; also gives the last poller."""
        job = run.job
        tried: set[str] = set()
        while target is not None:
            try:
                job, outcome = await self._attempt(run.schedule, job, target)
            finally:
                self._pollers.release(target)
            if isinstance(outcome, PollReply):
                return advance(job, JobEvent.COMPLETE), target.node, outcome
            late = outcome.error is PollError.DEADLINE
            job = advance(job, JobEvent.TIME_OUT if late else JobEvent.FAIL)
            slot = self._book.slot_due_ms(job.schedule, self._context.clock.wall_ms())
            tried.add(target.id)
            again = outcome.try_another and may_retry(job, slot_due_ms=slot)
            another = self._pollers.take(exclude=tried) if again else None
            if another is None:
                return job, target.node, outcome.error
            job = advance(job, JobEvent.RETRY)
            target = another
        return advance(job, JobEvent.FAIL), None, PollError.NO_POLLER

    async def _attempt(
        self, schedule: ScheduleRecord, job: JobRecord, target: PollerTarget
    ) -> tuple[JobRecord, PollReply | PollFailed]:
        now_ms = self._context.clock.wall_ms()
        job = advance(job, JobEvent.ASSIGN, poller=clip(target.id), dispatched_ms=now_ms)
        if not await self._write(TxnOp.kv_set(self._keys.job(job.id), job.encode())):
            return job, PollFailed(PollError.REFUSED, "the attempt could not be written down")
        self._leadership.guard()
        job = advance(job, JobEvent.SEND)
        self._book.open[schedule.id] = job
        request = PollRequest(
            term=job.term,
            election=self._leadership.election,
            job=job.id,
            attempt=job.attempt,
            timeout_ms=schedule.timeout_ms,
            checks=schedule.checks,
        )
        try:
            return job, await self._sender.send(target, request)
        except PollFailed as failed:
            return job, failed
