"""What the leader of one term knows of polls: read at takeover, then followed as it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TypeVar

from coord.consul import ConsulError, KVEntry, Reply, ServiceInstance, TxnOp
from coord.leadership import Leadership
from coord.polling.book import Book
from coord.polling.events import PollsSwept, RecordUnreadable
from coord.polling.follow import WATCH_WAIT_S, follow
from coord.polling.keeper import Keeper
from coord.polling.pollers import Pollers, poller_targets
from coord.polling.records import JobRecord, PollStateRecord, ScheduleRecord, UnreadableRecord
from coord.polling.requests import Ask
from coord.polling.store import (
    Kept,
    KeptSchedules,
    Loaded,
    PollPaths,
    Slices,
    kept_asked,
    kept_jobs,
    kept_results,
)
from coord.records import POLLER_SERVICE, Record
from coord.telemetry.lasting_fault import LastingFault
from coord.workloads import WorkContext

R = TypeVar("R", bound=Record)

_SHOWN_UNREADABLE = 20
_ANY = "any"


class Known:
    """Keeps the book and the list of pollers as Consul says.

    Attributes:
        book: schedules, results and open jobs.
        pollers: who may be sent to.
        changed: set whenever something new is known.
    """

    def __init__(
        self,
        context: WorkContext,
        leadership: Leadership,
        keeper: Keeper,
        faults: LastingFault,
        told: dict[str, int],
    ) -> None:
        """`told`: the versions of unreadable records that were told already, by key."""
        self._context = context
        self._leadership = leadership
        self._keeper = keeper
        self._faults = faults
        self._told = told
        self._keys = keys = PollPaths(context.paths)
        self._schedules = KeptSchedules(keys.schedules)
        self._asked = kept_asked(keys.asked)
        self._since_ms = context.clock.wall_ms()
        self._swept = (0, 0)
        self._state: PollStateRecord | None = None
        self.book = Book(leadership.term)
        self.pollers = Pollers()
        self.changed = asyncio.Event()

    async def take_over(self) -> None:
        """Read what the last leader left, and decide on every job that it left open.

        The reads are consistent and our term is in force: nothing of an older one lands any more.
        """
        keys, keeper = self._keys, self._keeper
        schedules = await self._read(self._schedules, await keeper.list(keys.schedules))
        results = await self._read(kept_results(keys.results), await keeper.list(keys.results))
        jobs = await self._read(kept_jobs(keys.jobs), await keeper.list(keys.jobs))
        await self._tell_unreadable(keys.results, results.unreadable)
        await self._tell_unreadable(keys.jobs, jobs.unreadable)
        self._enter(schedules)
        self.book.results = results.records
        given_up = self.book.sweep(jobs.records.values(), self._context.clock.wall_ms())
        writes = [self.end_ops(job) for job in given_up]
        writes += [(TxnOp.kv_delete(key),) for key in jobs.unreadable]
        await keeper.write_all(writes)
        self._swept = (len(self.book.waiting), len(given_up))
        if jobs.records or jobs.unreadable:
            self._context.telemetry.emit(
                PollsSwept,
                term=self._leadership.term,
                retried=self._swept[0],
                timed_out=self._swept[1],
                unreadable=len(jobs.unreadable),
            )
        await self._take_schedules(schedules)

    async def _read(self, kept: Kept[R], entries: tuple[KVEntry, ...]) -> Loaded[R]:
        """Decode, and let confirmations through meanwhile: the election runs on this loop."""
        return await kept.of_in_slices(entries, self._slices())

    def _slices(self) -> Slices:
        return Slices(self._context.clock, self._leadership.progress)

    def end_ops(self, job: JobRecord) -> tuple[TxnOp, ...]:
        """A job ends: its key goes, and its schedule's result is written, if there still is one."""
        ops = [TxnOp.kv_delete(self._keys.job(job.id))]
        result = self.book.results.get(job.schedule)
        if result is not None and self.book.has(job.schedule):
            ops.append(TxnOp.kv_set(self._keys.result(job.schedule), result.encode()))
        return tuple(ops)

    # --- followed ---

    async def follow_schedules(self) -> None:
        """Know the schedules, until cancelled."""
        prefix = self._keys.schedules

        async def query(index: int | None) -> Reply[tuple[KVEntry, ...]]:
            wait_s = None if index is None else WATCH_WAIT_S
            return await self._context.consul.kv_list(prefix, index=index, wait_s=wait_s)

        async def take(entries: tuple[KVEntry, ...]) -> None:
            await self._take_schedules(await self._read(self._schedules, entries))
            self.changed.set()

        await follow(query, take, self._faults, "poll_schedules_not_followed")

    async def follow_pollers(self) -> None:
        """Know the pollers that pass, until cancelled."""

        async def query(index: int | None) -> Reply[tuple[ServiceInstance, ...]]:
            wait_s = None if index is None else WATCH_WAIT_S
            return await self._context.consul.health_service(
                POLLER_SERVICE, passing=True, index=index, wait_s=wait_s
            )

        async def take(instances: tuple[ServiceInstance, ...]) -> None:
            self.pollers.update(poller_targets(instances, self._leadership.election))
            self.changed.set()

        await follow(query, take, self._faults, "pollers_not_followed")

    async def follow_asked(self) -> None:
        """Know the requests for a run, until cancelled."""
        prefix = self._keys.asked

        async def query(index: int | None) -> Reply[tuple[KVEntry, ...]]:
            wait_s = None if index is None else WATCH_WAIT_S
            return await self._context.consul.kv_list(prefix, index=index, wait_s=wait_s)

        await follow(query, self._take_asked, self._faults, "poll_asks_not_followed")

    # --- requests for a run ---

    async def _take_asked(self, entries: tuple[KVEntry, ...]) -> None:
        prefix = self._keys.asked
        indices = {entry.key: entry.modify_index for entry in entries}
        loaded = await self._read(self._asked, entries)
        await self._tell_unreadable(prefix, loaded.unreadable)
        asked = {id_: (each, indices[prefix + id_]) for id_, each in loaded.records.items()}
        self.book.enter_asked(asked, self._context.clock.wall_ms())
        self.changed.set()
        unreadable = loaded.unreadable.items()
        writes = [_taken_away(key, index) for key, (_, index) in unreadable]
        if prefix not in indices:
            writes.append((TxnOp.kv_set(prefix, b""),))
        await self._keeper.write_all(writes)

    def take_ops(self, ask: Ask) -> tuple[TxnOp, ...]:
        """The request is taken up: as long as it stands as it was seen, it goes."""
        return _taken_away(self._keys.ask(ask.record.schedule), ask.index)

    async def remove_late_asks(self) -> None:
        """Take away what was asked too long ago."""
        late = self.book.forget_late_asks(self._context.clock.wall_ms())
        await self._keeper.write_all(self.take_ops(ask) for ask in late)

    # --- schedules ---

    def _enter(self, loaded: Loaded[ScheduleRecord]) -> None:
        prefix = self._keys.schedules
        unreadable = frozenset(key.removeprefix(prefix) for key in loaded.unreadable)
        self.book.enter_schedules(loaded.records, unreadable)

    async def _take_schedules(self, loaded: Loaded[ScheduleRecord]) -> None:
        await self._tell_unreadable(self._keys.schedules, loaded.unreadable)
        self._enter(loaded)
        await self._remove_results()
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
            await self._keeper.write(TxnOp.kv_set(self._keys.state, state.encode()))

    async def _remove_results(self) -> None:
        """Take the results of schedules that are gone off Consul, in order with our own writes."""
        if (
            not (self.book.schedules or self.book.unreadable)
            and not await self._may_see_schedules()
        ):
            return
        gone = self.book.forget_removed()
        await self._keeper.write_all((TxnOp.kv_delete(self._keys.result(id_)),) for id_ in gone)

    async def _may_see_schedules(self) -> bool:
        """A list that is denied comes empty: a single key says so."""
        try:
            await self._keeper.get(self._keys.schedule(_ANY))
        except ConsulError as error:
            self._faults.happened("polls_not_read", str(error))
            return False
        self._faults.over("polls_not_read")
        return True

    async def _tell_unreadable(
        self, prefix: str, unreadable: Mapping[str, tuple[UnreadableRecord, int]]
    ) -> None:
        for key in [k for k in self._told if k.startswith(prefix) and k not in unreadable]:
            del self._told[key]
        async for key, (record, index) in self._slices().over(unreadable.items()):
            if self._told.get(key) != index:
                self._told[key] = index
                self._context.telemetry.emit(
                    RecordUnreadable,
                    term=self._leadership.term,
                    key=record.key,
                    field=record.field,
                    detail=record.detail,
                )


def _taken_away(key: str, index: int) -> tuple[TxnOp, ...]:
    return (TxnOp.kv_check_index(key, index), TxnOp.kv_delete(key))
