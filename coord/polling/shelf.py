"""The schedules with how they fare, as whoever looks at them sees it in Consul."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coord.consul import ConsulApi, ConsulNotPermitted, KVEntry
from coord.polling.editing import Stored, stored
from coord.polling.records import JobRecord, ResultRecord
from coord.polling.store import PollPaths, load_jobs, load_results

_ANY = "any"


@dataclass(frozen=True, slots=True)
class Shelf:
    """All schedules by id, with the last result of each and the run that is open now.

    results, jobs: by schedule; None: the token may not see them.
    """

    schedules: Mapping[str, Stored]
    results: Mapping[str, ResultRecord] | None
    jobs: Mapping[str, JobRecord] | None


async def read_schedules(consul: ConsulApi, keys: PollPaths) -> dict[str, Stored]:
    """The schedules alone.

    Raises:
        ConsulNotPermitted: the token may not see them.
        ConsulError: as any call to Consul.
    """
    entries = await _below(consul, keys.schedules, keys.schedule(_ANY))
    return stored(entries, keys.schedules)


async def read_shelf(consul: ConsulApi, keys: PollPaths) -> Shelf:
    """The schedules, their results and open runs.

    Raises:
        ConsulNotPermitted: the token may not see the schedules.
        ConsulError: as any call to Consul.
    """
    schedules = await read_schedules(consul, keys)
    results: Mapping[str, ResultRecord] | None = None
    jobs: Mapping[str, JobRecord] | None = None
    try:
        entries = await _below(consul, keys.results, keys.result(_ANY))
        results = load_results(entries, keys.results).records
        entries = await _below(consul, keys.jobs, keys.job(_ANY))
        jobs = {job.schedule: job for job in load_jobs(entries, keys.jobs).records.values()}
    except ConsulNotPermitted:
        pass
    return Shelf(schedules, results, jobs)


async def _below(consul: ConsulApi, prefix: str, any_key: str) -> tuple[KVEntry, ...]:
    """What stands below the prefix. A list that is denied comes empty: a single key says so."""
    entries = (await consul.kv_list(prefix)).value
    if not entries:
        await consul.kv_get(any_key)
    return entries
