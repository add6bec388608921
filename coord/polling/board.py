"""Every schedule with how it fares and what is done for it now: for whoever looks at all of them.

All of it stands below one prefix, so one request reads it, and one that hangs waits until any of it
changes. What was understood once is not decoded anew: of a thousand schedules few change between
two looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from coord.clock import Clock
from coord.consul import Consistency, ConsulApi, ConsulNotPermitted, KVEntry
from coord.members import Seen, read_instances
from coord.polling.paths import PollPaths
from coord.polling.pollers import poller_targets
from coord.polling.records import (
    AskedRecord,
    Check,
    JobRecord,
    ScheduleRecord,
    UnreadableRecord,
)
from coord.polling.records import CheckResult as CheckResult
from coord.polling.records import ResultRecord as ResultRecord
from coord.polling.store import KeptSchedules, Loaded, kept_asked, kept_jobs, kept_results
from coord.polling.summary import PollSummary, ScheduleFare, fares_of, in_numbers
from coord.records import POLLER_SERVICE, Paths

_ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRow:
    """One schedule.

    fare: how it fares.
    schedule: None: it cannot be read, and `fare` says why.
    result: of its last run; None: there is none, or it cannot be read or seen.
    job: the run of it that is open; None: none is.
    asked: the request for a run of it that nobody has taken up; None: there is none.
    """

    fare: ScheduleFare
    schedule: ScheduleRecord | None = None
    result: ResultRecord | None = None
    job: JobRecord | None = None
    asked: AskedRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PollerSeen:
    """What a passing poller says of itself.

    id: of its service. capacity: how many polls it takes at once.
    partition, domain: where it says that it is; "" if it does not.
    """

    id: str
    node: str
    capacity: int
    partition: str = ""
    domain: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollBoard:
    """All of it at one moment.

    at_ms: when it was read, in wall-clock milliseconds.
    seen: whether the schedules are to be seen. results: whether their results are.
    rows: by the last part of the schedule's key.
    unreadable: what else cannot be read: open runs, requests, results without a schedule.
    pollers: those that can be sent to; None: nobody looked.
    """

    at_ms: int
    seen: Seen
    results: Seen = Seen.KNOWN
    rows: Mapping[str, BoardRow] = field(default_factory=lambda: MappingProxyType({}))
    unreadable: tuple[UnreadableRecord, ...] = ()
    pollers: tuple[PollerSeen, ...] | None = None

    def running(self, poller: str) -> int:
        """How many open runs are given to the poller of that service id."""
        jobs = (row.job for row in self.rows.values())
        return sum(job is not None and job.poller == poller for job in jobs)


def result_of(result: ResultRecord | None, number: int, check: Check) -> CheckResult | None:
    """What was found of that check; None where the schedule was changed since."""
    if result is None or number >= len(result.checks):
        return None
    found = result.checks[number]
    return found if found.is_of(check) else None


def options_of(check: Check) -> dict[str, Any]:
    """What is written of a check besides its kind and target, where it is not as usual."""
    return check.model_dump(mode="json", exclude_defaults=True, exclude={"kind", "target"})


def boarded(
    keys: PollPaths,
    schedules: Loaded[ScheduleRecord],
    results: Loaded[ResultRecord],
    jobs: Loaded[JobRecord],
    asked: Loaded[AskedRecord],
    *,
    seen: Seen,
    at_ms: int,
) -> tuple[PollBoard, PollSummary]:
    """The board of what was read at wall-clock time `at_ms`, and the same in numbers. Pure.

    seen: whether the results are to be seen.
    """
    fares = list(fares_of(keys, schedules, results, seen, at_ms))
    # As it stands in the key: what is told of one that cannot be read is clipped.
    unread = (key.removeprefix(keys.schedules) for key in schedules.unreadable)
    how = dict(zip((*unread, *schedules.records), fares, strict=True))
    open_runs = {job.schedule: job for job in jobs.records.values()}
    rows = {
        name: BoardRow(
            fare=fare,
            schedule=schedules.records.get(name),
            result=results.records.get(name),
            job=open_runs.get(name),
            asked=asked.records.get(name),
        )
        for name, fare in how.items()
    }
    own = {keys.results + name for name in how}
    lost = (told for key, told in results.unreadable.items() if key not in own)
    others = (*jobs.unreadable.values(), *asked.unreadable.values(), *lost)
    summary = in_numbers(
        fares,
        schedules.records,
        results.records,
        open_runs=len(jobs.records) + len(jobs.unreadable),
        at_ms=at_ms,
    )
    board = PollBoard(
        at_ms=at_ms,
        seen=Seen.KNOWN,
        results=seen,
        rows=rows,
        unreadable=tuple(each for each, _ in others),
    )
    return board, replace(summary, results=seen)


class BoardReader:
    """Reads the board of one election, again and again.

    Attributes:
        took_s: how long the last reading took from Consul's answer on, in seconds.
    """

    def __init__(self, consul: ConsulApi, paths: Paths, *, clock: Clock) -> None:
        self._consul = consul
        self._paths = paths
        self._keys = keys = PollPaths(paths)
        self._clock = clock
        self._index: int | None = None
        self.took_s = 0.0
        self._schedules = KeptSchedules(keys.schedules)
        self._results = kept_results(keys.results)
        self._jobs = kept_jobs(keys.jobs)
        self._asked = kept_asked(keys.asked)

    async def read(
        self,
        *,
        wait_s: float | None = None,
        pollers: bool = False,
        consistency: Consistency = Consistency.DEFAULT,
    ) -> tuple[PollBoard, PollSummary]:
        """Read it, and how everything fares in numbers.

        wait_s: wait so many seconds at most for a change since the last reading; None: not at all.
        pollers: look for the pollers, too: one more request.

        Raises:
            ConsulError: Consul did not answer; a lack of rights is told by `seen` and `results`.
        """
        entries, denied = await self._entries(wait_s, consistency)
        answered, keys = self._clock.now(), self._keys
        seen = denied or await self._seen(entries, keys.schedules, keys.schedule(_ANY), consistency)
        results = Seen.KNOWN
        if seen is Seen.KNOWN and any(e.key.startswith(keys.schedules) for e in entries):
            results = await self._seen(entries, keys.results, keys.result(_ANY), consistency)
        found = await self._pollers(consistency) if pollers else None
        # Thousands of records take their time, and whoever asks may have a screen to draw.
        board, summary = await asyncio.to_thread(self._made, entries, results)
        self.took_s = self._clock.now() - answered
        return replace(board, seen=seen, pollers=found), replace(summary, seen=seen)

    async def _entries(
        self, wait_s: float | None, consistency: Consistency
    ) -> tuple[tuple[KVEntry, ...], Seen | None]:
        index = None if wait_s is None else self._index
        how: dict[str, Any] = {"consistency": consistency, "index": index}
        if index is not None:
            how["wait_s"] = wait_s
        try:
            reply = await self._consul.kv_list(self._paths.polls, **how)
        except ConsulNotPermitted:
            self._index = None
            return (), Seen.NOT_PERMITTED
        self._index = reply.index or None
        return reply.value, None

    async def _pollers(self, consistency: Consistency) -> tuple[PollerSeen, ...]:
        found = await read_instances(self._consul, POLLER_SERVICE, consistency)
        return tuple(
            PollerSeen(
                id=each.id,
                node=each.node,
                capacity=each.capacity,
                partition=each.partition,
                domain=each.domain,
            )
            for each in poller_targets(found.items, self._paths.election)
        )

    async def _seen(
        self, entries: Iterable[KVEntry], prefix: str, probe: str, consistency: Consistency
    ) -> Seen:
        """Whether what is below the prefix is to be seen: a list that is denied comes empty, a
        single key says so."""
        if not any(entry.key.startswith(prefix) for entry in entries):
            try:
                await self._consul.kv_get(probe, consistency=consistency)
            except ConsulNotPermitted:
                return Seen.NOT_PERMITTED
        return Seen.KNOWN

    def _made(self, entries: tuple[KVEntry, ...], seen: Seen) -> tuple[PollBoard, PollSummary]:
        return boarded(
            self._keys,
            self._schedules.of(entries),
            self._results.of(entries),
            self._jobs.of(entries),
            self._asked.of(entries),
            seen=seen,
            at_ms=self._clock.wall_ms(),
        )
