"""Where polling keeps its records in Consul, and how they are read back with care."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from coord.clock import Clock, SystemClock
from coord.consul import ConsulApi, KVEntry
from coord.polling.paths import PollPaths as PollPaths
from coord.polling.records import (
    MAX_SCHEDULE_BYTES,
    AskedRecord,
    JobRecord,
    ResultRecord,
    ScheduleRecord,
    UnreadableRecord,
    clip,
)
from coord.records import Paths, Record, RecordError

R = TypeVar("R", bound=Record)
T = TypeVar("T")


MAX_SCHEDULES = 5_000
"""How many schedules one election may have: the oldest, by when their keys were made."""

MAX_CHECKS_IN_ALL = 20_000
"""How many checks they may have in all."""

SLICE_S = 0.02
"""How long the event loop is kept from anything else while records are read, in seconds."""


@dataclass(frozen=True, slots=True)
class Loaded(Generic[R]):
    """What could be read, by id, and what could not, with the ModifyIndex of that version."""

    records: dict[str, R] = field(default_factory=dict)
    unreadable: dict[str, tuple[UnreadableRecord, int]] = field(default_factory=dict)


class Slices:
    """Lets the event loop run between slices of long work.

    clock: measures how long a slice took. progress: called between two.
    """

    def __init__(self, clock: Clock, progress: Callable[[], None]) -> None:
        self._clock = clock
        self._progress = progress
        self._begun = clock.now()

    async def breathe(self) -> None:
        """To be called after each small part of the work."""
        if self._clock.now() - self._begun >= SLICE_S:
            self._progress()
            await asyncio.sleep(0)
            self._begun = self._clock.now()

    async def over(self, steps: Iterable[T]) -> AsyncIterator[T]:
        """Each of these, and room for others between them."""
        self._begun = self._clock.now()
        for step in steps:
            yield step
            await self.breathe()


class Kept(Generic[R]):
    """What stands below one prefix, decoded anew only where it was changed.

    One record that cannot be read never keeps the others from being read.
    """

    def __init__(self, prefix: str, kind: type[R], id_field: str) -> None:
        """id_field: the field of a record that is also the last part of its key."""
        self._prefix = prefix
        self._kind = kind
        self._id_field = id_field
        self._known: dict[str, tuple[KVEntry, R | UnreadableRecord]] = {}

    def of(self, entries: Iterable[KVEntry]) -> Loaded[R]:
        """What these say, which are all that there are."""
        for _ in self._decoded(entries):
            pass
        return self._loaded()

    async def of_in_slices(self, entries: Iterable[KVEntry], slices: Slices) -> Loaded[R]:
        """The same; the event loop runs meanwhile."""
        async for _ in slices.over(self._decoded(entries)):
            pass
        return self._loaded()

    def _decoded(self, entries: Iterable[KVEntry]) -> Iterator[None]:
        """Decodes what is new, one at each step."""
        own = {e.key: e for e in entries if self._is_record(e.key)}
        known: dict[str, tuple[KVEntry, R | UnreadableRecord]] = {}
        for key in self._allowed(own):
            before = self._known.get(key)
            if before is not None and before[0] == own[key]:
                known[key] = before
            else:
                known[key] = own[key], self._decode(own[key])
                yield
        known |= {key: (own[key], self._one_too_many(key)) for key in own if key not in known}
        # In the order of the entries.
        self._known = {key: known[key] for key in own}

    def _is_record(self, key: str) -> bool:
        """The Consul UI makes keys that are none, for what it shows as folders."""
        return key.startswith(self._prefix) and key != self._prefix and not key.endswith("/")

    def _allowed(self, own: Mapping[str, KVEntry]) -> Iterable[str]:
        """The keys of those that may be there."""
        return own

    def _one_too_many(self, key: str) -> UnreadableRecord:
        raise AssertionError(key)

    def _decode(self, entry: KVEntry) -> R | UnreadableRecord:
        kind, own_id = self._kind, entry.key.removeprefix(self._prefix)
        try:
            if len(entry.value) > MAX_SCHEDULE_BYTES:
                raise RecordError(
                    kind.KIND, "", f"{len(entry.value)} bytes; at most {MAX_SCHEDULE_BYTES}"
                )
            record = kind.decode(entry.value)
            if getattr(record, self._id_field) != own_id:
                raise RecordError(
                    kind.KIND, self._id_field, "differs from the last part of its key"
                )
        except RecordError as error:
            return unreadable(entry.key, error.field, str(error).removeprefix(f"{kind.KIND}: "))
        return record

    def _loaded(self) -> Loaded[R]:
        loaded: Loaded[R] = Loaded()
        for key, (entry, read) in self._known.items():
            if isinstance(read, UnreadableRecord):
                loaded.unreadable[key] = (read, entry.modify_index)
            else:
                loaded.records[key.removeprefix(self._prefix)] = read
        return loaded


class KeptSchedules(Kept[ScheduleRecord]):
    """Schedules, as many as there may be; what is past that counts as unreadable."""

    def __init__(self, prefix: str) -> None:
        super().__init__(prefix, ScheduleRecord, "id")

    def _allowed(self, own: Mapping[str, KVEntry]) -> Iterable[str]:
        if len(own) <= MAX_SCHEDULES:
            return own
        return sorted(own, key=lambda key: _age(own[key]))[:MAX_SCHEDULES]

    def _one_too_many(self, key: str) -> UnreadableRecord:
        return unreadable(key, "", f"there are more than {MAX_SCHEDULES} schedules; remove some")

    def _loaded(self) -> Loaded[ScheduleRecord]:
        loaded = super()._loaded()
        room = MAX_CHECKS_IN_ALL - number_of_checks(loaded.records.values())
        if room < 0:
            for entry in sorted((entry for entry, _ in self._known.values()), key=_age)[::-1]:
                own_id = entry.key.removeprefix(self._prefix)
                if room < 0 and own_id in loaded.records:
                    room += len(loaded.records.pop(own_id).checks)
                    detail = f"there are more than {MAX_CHECKS_IN_ALL} checks in all; remove some"
                    told = unreadable(entry.key, "checks", detail)
                    loaded.unreadable[entry.key] = (told, entry.modify_index)
        return loaded


def number_of_checks(schedules: Iterable[ScheduleRecord]) -> int:
    """How many checks these have in all."""
    return sum(len(schedule.checks) for schedule in schedules)


def _age(entry: KVEntry) -> tuple[int, str]:
    return entry.create_index, entry.key


def unreadable(key: str, field: str, detail: str) -> UnreadableRecord:
    """What is told of a key that is skipped."""
    return UnreadableRecord(key=clip(key), field=clip(field), detail=clip(detail))


def kept_jobs(prefix: str) -> Kept[JobRecord]:
    """Open jobs."""
    return Kept(prefix, JobRecord, "id")


def kept_results(prefix: str) -> Kept[ResultRecord]:
    """The last result of every schedule."""
    return Kept(prefix, ResultRecord, "schedule")


def kept_asked(prefix: str) -> Kept[AskedRecord]:
    """Requests for a run."""
    return Kept(prefix, AskedRecord, "schedule")


def load_schedules(entries: Iterable[KVEntry], prefix: str) -> Loaded[ScheduleRecord]:
    """Read all schedules once."""
    return KeptSchedules(prefix).of(entries)


def load_jobs(entries: Iterable[KVEntry], prefix: str) -> Loaded[JobRecord]:
    """Read all open jobs once."""
    return kept_jobs(prefix).of(entries)


def load_results(entries: Iterable[KVEntry], prefix: str) -> Loaded[ResultRecord]:
    """Read the last result of every schedule once."""
    return kept_results(prefix).of(entries)


def load_asked(entries: Iterable[KVEntry], prefix: str) -> Loaded[AskedRecord]:
    """Read all requests for a run once."""
    return kept_asked(prefix).of(entries)


async def put_schedule(
    consul: ConsulApi, paths: Paths, schedule: ScheduleRecord, *, now_ms: int | None = None
) -> ScheduleRecord:
    """Write a schedule, as an operator does; it is due from now on. Gives what was written.

    now_ms: wall-clock milliseconds to take for now.

    Raises:
        ValueError: it is larger than is read back.
        ConsulError: as any call to Consul.
    """
    if not schedule.since_ms:
        wall_ms = SystemClock().wall_ms() if now_ms is None else now_ms
        schedule = schedule.model_copy(update={"since_ms": wall_ms})
    await consul.kv_put(PollPaths(paths).schedule(schedule.id), encode_schedule(schedule))
    return schedule


def encode_schedule(schedule: ScheduleRecord) -> bytes:
    """The schedule as it is stored.

    Raises:
        ValueError: it is larger than is read back.
    """
    value = schedule.encode()
    if len(value) > MAX_SCHEDULE_BYTES:
        raise ValueError(
            f"schedule {schedule.id}: its record has {len(value)} bytes, more than "
            f"{MAX_SCHEDULE_BYTES}; give it fewer or shorter checks"
        )
    return value
