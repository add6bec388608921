"""How what is polled fares, in numbers: for whoever looks at an election, not at one schedule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from coord.members import MAX_WALL_MS, Seen
from coord.polling.paths import PollPaths
from coord.polling.records import (
    MAX_COUNT,
    CheckError,
    ResultRecord,
    ScheduleRecord,
    UnreadableRecord,
    clip,
)
from coord.polling.store import Loaded

LATE_INTERVALS = 3
"""A result is late when it is older than so many intervals and the timeout of the checks."""

LATE_LEAST_MS = 10_000
"""None is late sooner, in milliseconds: another leader takes some seconds, and clocks differ."""

WORST = 5
"""How many of the schedules that do not fare well are named."""


class Fare(StrEnum):
    """How a schedule fares.

    UP, DOWN: what its checks found last. UNANSWERED: its last run had no answer. LATE: its last
    result is too old to go by. NEVER_RUN: it has none, and should have had one long ago. NEW: it
    has none yet, or none of the checks that it has now. UNREADABLE: it cannot be read, and is not
    run; or its result cannot. UNKNOWN: its result may not be seen. DISABLED: it is not to run.
    """

    DOWN = "down"
    UNANSWERED = "unanswered"
    LATE = "late"
    NEVER_RUN = "never_run"
    UNREADABLE = "unreadable"
    NEW = "new"
    UNKNOWN = "unknown"
    UP = "up"
    DISABLED = "disabled"


TROUBLES = (Fare.DOWN, Fare.UNANSWERED, Fare.LATE, Fare.NEVER_RUN, Fare.UNREADABLE)
"""To fare so is not to fare well; the worst first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleFare:
    """How one schedule fares, and why.

    schedule: its id, or what stands in the place of one.
    code: the error of the first check that says down, why there was no answer, or the field that
        cannot be read; "": there is no more to say.
    kind, target: of that check.
    detail: more of it, for people.
    failing: how many of its `checks` say down.
    interval_ms: how often it is to run, in milliseconds; 0: not known.
    last_ms: when a late one's last result came, in wall-clock milliseconds.
    """

    schedule: str
    fare: Fare
    code: str = ""
    kind: str = ""
    target: str = ""
    detail: str = ""
    failing: int = 0
    checks: int = 0
    interval_ms: int = 0
    last_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PollSummary:
    """How what is polled fares at one moment.

    at_ms: when it was read, in wall-clock milliseconds.
    seen: whether the schedules are to be seen; if not, nothing else is known.
    results: whether their results are; if not, no more is known than which schedules there are.
    schedules: how many there are. enabled: how many of them are to run.
    up, down, late, never_run, new, unreadable, disabled: how many fare so; see `Fare`.
    unanswered: likewise, by why there was no answer, the most frequent first.
    open_runs: how many runs are open.
    missed: how many runs were left out, of each schedule since it was first run.
    last_ms: when the latest result came, in wall-clock milliseconds; None: there is none.
    troubled: how many do not fare well. worst: the first of them, the worst first.
    """

    at_ms: int
    seen: Seen
    results: Seen = Seen.KNOWN
    schedules: int = 0
    enabled: int = 0
    up: int = 0
    down: int = 0
    unanswered: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    late: int = 0
    never_run: int = 0
    new: int = 0
    unreadable: int = 0
    disabled: int = 0
    open_runs: int = 0
    missed: int = 0
    last_ms: int | None = None
    troubled: int = 0
    worst: tuple[ScheduleFare, ...] = ()


def in_numbers(
    fares: Sequence[ScheduleFare],
    schedules: Mapping[str, ScheduleRecord],
    results: Mapping[str, ResultRecord],
    *,
    open_runs: int,
    at_ms: int,
) -> PollSummary:
    """The summary of what `fares` says of all schedules, all of which is to be seen. Pure.

    schedules, results: those that can be read, by id.
    """
    told = [results[name] for name in schedules if name in results]
    counts = Counter(each.fare for each in fares)
    unanswered = Counter(each.code for each in fares if each.fare is Fare.UNANSWERED)
    troubled = [each for each in fares if each.fare in TROUBLES]
    troubled.sort(key=lambda each: (TROUBLES.index(each.fare), each.schedule))
    return PollSummary(
        at_ms=at_ms,
        seen=Seen.KNOWN,
        schedules=len(fares),
        enabled=sum(schedule.enabled for schedule in schedules.values()),
        up=counts[Fare.UP],
        down=counts[Fare.DOWN],
        unanswered=MappingProxyType(dict(unanswered.most_common())),
        late=counts[Fare.LATE],
        never_run=counts[Fare.NEVER_RUN],
        new=counts[Fare.NEW],
        unreadable=counts[Fare.UNREADABLE],
        disabled=counts[Fare.DISABLED],
        open_runs=open_runs,
        missed=min(sum(result.missed for result in told), MAX_COUNT),
        last_ms=max((_finished_ms(result) for result in told), default=None),
        troubled=len(troubled),
        worst=tuple(troubled[:WORST]),
    )


def fares_of(
    keys: PollPaths,
    schedules: Loaded[ScheduleRecord],
    results: Loaded[ResultRecord],
    seen: Seen,
    at_ms: int,
) -> Iterator[ScheduleFare]:
    """How each schedule fares, at wall-clock time `at_ms`; seen: whether results are. Pure."""
    for key, unread in schedules.unreadable.items():
        yield _unreadable(keys.schedules, key, unread)
    for name, schedule in schedules.records.items():
        key = keys.results + name
        if not schedule.enabled:
            yield ScheduleFare(schedule=name, fare=Fare.DISABLED)
        elif seen is not Seen.KNOWN:
            yield ScheduleFare(schedule=name, fare=Fare.UNKNOWN)
        elif key in results.unreadable:
            yield _unreadable(keys.results, key, results.unreadable[key])
        else:
            yield _fare(schedule, results.records.get(name), at_ms)


def is_late(schedule: ScheduleRecord, result: ResultRecord | None, at_ms: int) -> bool:
    """Whether its last result is too old to go by, or it has none and should have had one."""
    longest_ms = max(LATE_INTERVALS * schedule.interval_ms + schedule.timeout_ms, LATE_LEAST_MS)
    last_ms = 0 if result is None else _finished_ms(result)
    return at_ms - max(last_ms, schedule.since_ms) > longest_ms


def _unreadable(prefix: str, key: str, told: tuple[UnreadableRecord, int]) -> ScheduleFare:
    return ScheduleFare(
        schedule=clip(key.removeprefix(prefix)),
        fare=Fare.UNREADABLE,
        code=told[0].field,
        detail=told[0].detail,
    )


def _fare(schedule: ScheduleRecord, result: ResultRecord | None, at_ms: int) -> ScheduleFare:
    """How a schedule fares that is to run, and whose result may be seen."""
    late = is_late(schedule, result, at_ms)
    fare = ScheduleFare(
        schedule=schedule.id,
        fare=Fare.NEVER_RUN if late else Fare.NEW,
        interval_ms=schedule.interval_ms,
    )
    if result is None or not result.is_of(schedule):
        return fare
    if late:
        return replace(fare, fare=Fare.LATE, last_ms=_finished_ms(result))
    if result.ok is None:
        return replace(fare, fare=Fare.UNANSWERED, code=str(result.error or result.state))
    if result.ok:
        return replace(fare, fare=Fare.UP)
    return replace(fare, fare=Fare.DOWN, **_failing(result))


def _failing(result: ResultRecord) -> dict[str, Any]:
    """What its checks say, and the first of those that say down."""
    failing = [check for check in result.checks if not check.ok]
    said: dict[str, Any] = {"failing": len(failing), "checks": len(result.checks)}
    if failing:
        first = failing[0]
        said |= {"kind": first.kind, "target": first.target, "detail": first.detail}
        said |= {"code": str(first.error or CheckError.DOWN)}
    return said


def _finished_ms(result: ResultRecord) -> int:
    return min(result.finished_ms, MAX_WALL_MS)
