"""Where polling keeps its records in Consul, and how they are read back with care."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from coord.clock import SystemClock
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


@dataclass(frozen=True, slots=True)
class Loaded(Generic[R]):
    """What could be read, by id, and what could not, with the ModifyIndex of that version."""

    records: dict[str, R] = field(default_factory=dict)
    unreadable: dict[str, tuple[UnreadableRecord, int]] = field(default_factory=dict)


def load_schedules(entries: Iterable[KVEntry], prefix: str) -> Loaded[ScheduleRecord]:
    """Read all schedules; one that cannot be read never keeps the others from being read."""
    return _load(entries, prefix, ScheduleRecord, "id")


def load_jobs(entries: Iterable[KVEntry], prefix: str) -> Loaded[JobRecord]:
    """Read all open jobs."""
    return _load(entries, prefix, JobRecord, "id")


def load_results(entries: Iterable[KVEntry], prefix: str) -> Loaded[ResultRecord]:
    """Read the last result of every schedule."""
    return _load(entries, prefix, ResultRecord, "schedule")


def load_asked(entries: Iterable[KVEntry], prefix: str) -> Loaded[AskedRecord]:
    """Read all requests for a run."""
    return _load(entries, prefix, AskedRecord, "schedule")


def _load(entries: Iterable[KVEntry], prefix: str, kind: type[R], id_field: str) -> Loaded[R]:
    loaded: Loaded[R] = Loaded()
    for entry in entries:
        own_id = entry.key.removeprefix(prefix)
        if not own_id or own_id.endswith("/"):
            continue  # the Consul UI makes such keys for what it shows as folders
        try:
            if len(entry.value) > MAX_SCHEDULE_BYTES:
                raise RecordError(
                    kind.KIND, "", f"{len(entry.value)} bytes; at most {MAX_SCHEDULE_BYTES}"
                )
            record = kind.decode(entry.value)
            if getattr(record, id_field) != own_id:
                raise RecordError(kind.KIND, id_field, "differs from the last part of its key")
        except RecordError as error:
            detail = str(error).removeprefix(f"{kind.KIND}: ")
            told = UnreadableRecord(key=clip(entry.key), field=error.field, detail=clip(detail))
            loaded.unreadable[entry.key] = (told, entry.modify_index)
        else:
            loaded.records[own_id] = record
    return loaded


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
