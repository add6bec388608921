"""What is polled, schedule by schedule, as it stands in Consul: what `/api/polls` answers.

Whoever asks a node for it shows no token. So it tells how each schedule fares, and not all that
stands in it: of a URL that is down no query, and nothing in the words of whoever answered.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from coord.clock import Clock
from coord.consul import ConsulApi, ServiceInstance
from coord.members import MAX_WALL_MS, Listing, Seen, read_instances
from coord.polling.paths import PollPaths
from coord.polling.pollers import poller_targets
from coord.polling.records import (
    Assignment,
    JobRecord,
    JobState,
    ResultRecord,
    ScheduleRecord,
    clip,
)
from coord.polling.store import load_jobs, load_results, load_schedules
from coord.polling.summary import TROUBLES, Fare, ScheduleFare, fares_of
from coord.records import POLLER_SERVICE, Paths
from coord.status.below import Below, read_below

MAX_SCHEDULES: Final = 2000
"""Of more than this, those that do not fare well come before the others."""

_ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """How a schedule's last run ended, and what was counted since its first.

    job: its id.
    state: how it ended.
    outcome: up, down, or why there was no answer.
    attempt: how many attempts it took.
    term: the term of the leader that ended it.
    poller: the service id of the poller that was asked last; "" if none was.
    finished_ms: when it ended, in milliseconds since 1970.
    lag_ms: how long after it was due its last attempt was sent, in milliseconds.
    took_ms: how long that took, in milliseconds.
    runs: how many ended. missed: were left out. retried: attempts after the first. timed_out:
        runs that ended so; failed: so; cancelled: so. asked_runs: that somebody asked for.
    """

    job: str
    state: JobState
    outcome: str
    attempt: int
    term: int
    poller: str
    finished_ms: int
    lag_ms: int
    took_ms: int
    runs: int
    missed: int
    retried: int
    timed_out: int
    failed: int
    cancelled: int
    asked_runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenJob:
    """A run that is open. A leader writes down each attempt before it is sent, not more of it.

    id: its id.
    state: as it stands in Consul: it may be further by now.
    attempt: which one this is, from 1.
    term: the term of the leader that makes it.
    poller: the service id of the poller that is asked.
    due_ms: when the run was due, in milliseconds since 1970.
    dispatched_ms: when this attempt was written down, in milliseconds since 1970.
    asked: whether somebody asked for the run, out of turn.
    """

    id: str
    state: JobState
    attempt: int
    term: int
    poller: str
    due_ms: int
    dispatched_ms: int
    asked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PolledSchedule:
    """One schedule and how it fares.

    id: its id; of one that cannot be read, what stands in its place.
    fare: how it fares.
    code: the error of the first check that says down, why there was no answer, or the field that
        cannot be read; empty where there is no more to say.
    kind: the kind of that check.
    target: what it checks; of a URL without its query.
    failing: how many of its checks say down.
    name: for people.
    enabled: whether it is to run; None if it cannot be read.
    interval_ms: how often, in milliseconds; None if it cannot be read.
    checks: how many it has; None if it cannot be read.
    priority: those with the highest come first; None if it cannot be read.
    assignment: which pollers may run it; None if it cannot be read.
    assigned_to: the nodes, partitions or domains that this is about.
    last: how its last run ended; None if there is none, or it may not be seen.
    job: its open run; None if there is none, or it may not be seen.
    """

    id: str
    fare: Fare
    code: str
    kind: str
    target: str
    failing: int
    name: str = ""
    enabled: bool | None = None
    interval_ms: int | None = None
    checks: int | None = None
    priority: int | None = None
    assignment: Assignment | None = None
    assigned_to: tuple[str, ...] = ()
    last: LastRun | None = None
    job: OpenJob | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PassingPoller:
    """A poller that passes its check, so that it may be given polls.

    id: its service id.
    node: what it calls itself.
    capacity: how many polls it takes at once.
    open_jobs: how many open jobs name it.
    kinds: the kinds of check that it has; None where it does not say.
    partition: where it says that it is; empty if it does not.
    domain: likewise.
    """

    id: str
    node: str
    capacity: int
    open_jobs: int
    kinds: tuple[str, ...] | None
    partition: str
    domain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PollOverview:
    """What an election polls, at one moment.

    election: its name.
    at_ms: when it was read, in milliseconds since 1970.
    age_ms: how long ago that was, in milliseconds.
    schedules_seen: whether the schedules are to be seen: rely on them only where they are known.
    results_seen: whether their results are.
    jobs_seen: whether the open runs are.
    fares: how many schedules fare so, by the word for it, also of those that are left out.
    schedules: sorted by id.
    left_out: how many more there are than are told.
    pollers: those that pass.
    """

    election: str
    at_ms: int
    age_ms: int = 0
    schedules_seen: Seen
    results_seen: Seen
    jobs_seen: Seen
    fares: Mapping[str, int]
    schedules: tuple[PolledSchedule, ...]
    left_out: int
    pollers: Listing[PassingPoller]


async def read_overview(consul: ConsulApi, paths: Paths, *, clock: Clock) -> PollOverview:
    """Read what an election polls.

    Raises:
        ConsulError: Consul did not answer; a lack of rights is told by `schedules_seen` and others.
    """
    keys = PollPaths(paths)
    schedules, results, jobs, pollers = await asyncio.gather(
        read_below(consul, keys.schedules, keys.schedule(_ANY)),
        read_below(consul, keys.results, keys.result(_ANY)),
        read_below(consul, keys.jobs, keys.job(_ANY)),
        read_instances(consul, POLLER_SERVICE),
    )
    at_ms = clock.wall_ms()
    # Thousands of records take their time, and the election runs on this loop.
    return await asyncio.to_thread(overview, keys, schedules, results, jobs, pollers, at_ms)


def overview(
    keys: PollPaths,
    schedules: Below,
    results: Below,
    jobs: Below,
    pollers: Listing[ServiceInstance],
    at_ms: int,
) -> PollOverview:
    """What was read at wall-clock time `at_ms`, in milliseconds. Pure."""
    known = load_schedules(schedules.entries, keys.schedules)
    found = load_results(results.entries, keys.results)
    open_jobs = load_jobs(jobs.entries, keys.jobs).records.values()
    by_schedule = {job.schedule: job for job in open_jobs}
    fares = list(fares_of(keys, known, found, results.seen, at_ms))
    shown = sorted(fares, key=lambda each: (each.fare not in TROUBLES, each.schedule))
    told = (
        _schedule(
            fare,
            known.records.get(fare.schedule),
            found.records.get(fare.schedule),
            by_schedule.get(fare.schedule),
        )
        for fare in shown[:MAX_SCHEDULES]
    )
    return PollOverview(
        election=keys.paths.election,
        at_ms=at_ms,
        schedules_seen=schedules.seen,
        results_seen=results.seen,
        jobs_seen=jobs.seen,
        fares=dict(sorted(Counter(each.fare.value for each in fares).items())),
        schedules=tuple(sorted(told, key=lambda each: each.id)),
        left_out=max(0, len(fares) - MAX_SCHEDULES),
        pollers=_passing(pollers, keys.paths.election, Counter(job.poller for job in open_jobs)),
    )


def _schedule(
    fare: ScheduleFare,
    record: ScheduleRecord | None,
    result: ResultRecord | None,
    job: JobRecord | None,
) -> PolledSchedule:
    if record is None:
        return PolledSchedule(
            id=fare.schedule, fare=fare.fare, code=fare.code, kind="", target="", failing=0
        )
    return PolledSchedule(
        id=record.id,
        fare=fare.fare,
        code=fare.code,
        kind=fare.kind,
        target=_without_query(fare.target),
        failing=fare.failing,
        name=clip(record.name),
        enabled=record.enabled,
        interval_ms=record.interval_ms,
        checks=len(record.checks),
        priority=record.priority,
        assignment=record.assignment,
        assigned_to=record.assigned_to,
        last=None if result is None else _last(result),
        job=None if job is None else _job(job),
    )


def _without_query(target: str) -> str:
    return target.partition("?")[0].partition("#")[0]


def _last(result: ResultRecord) -> LastRun:
    return LastRun(
        job=result.job,
        state=result.state,
        outcome=result.outcome,
        attempt=result.attempt,
        term=result.term,
        poller=result.poller,
        finished_ms=min(result.finished_ms, MAX_WALL_MS),
        lag_ms=result.lag_ms,
        took_ms=result.took_ms,
        runs=result.runs,
        missed=result.missed,
        retried=result.retried,
        timed_out=result.timed_out,
        failed=result.failed,
        cancelled=result.cancelled,
        asked_runs=result.asked_runs,
    )


def _job(job: JobRecord) -> OpenJob:
    return OpenJob(
        id=job.id,
        state=job.state,
        attempt=job.attempt,
        term=job.term,
        poller=job.poller,
        due_ms=min(job.due_ms, MAX_WALL_MS),
        dispatched_ms=min(job.dispatched_ms, MAX_WALL_MS),
        asked=job.asked is not None,
    )


def _passing(
    found: Listing[ServiceInstance], election: str, open_jobs: Mapping[str, int]
) -> Listing[PassingPoller]:
    targets = sorted(poller_targets(found.items, election), key=lambda each: (each.node, each.id))
    return Listing(
        found.seen,
        tuple(
            PassingPoller(
                id=clip(each.id),
                node=each.node,
                capacity=each.capacity,
                open_jobs=open_jobs.get(clip(each.id), 0),
                kinds=None if each.kinds is None else tuple(clip(k) for k in sorted(each.kinds)),
                partition=each.partition,
                domain=each.domain,
            )
            for each in targets
        ),
    )
