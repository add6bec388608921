"""The demo's schedules, and what their results in Consul say of the polls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from coord.consul import ConsulClient, ConsulError
from coord.polling.records import Check, JobState, ResultRecord, ScheduleRecord
from coord.polling.store import PollPaths, load_results, put_schedule
from coord.records import Paths
from demo.arguments import check_of

INTERVAL_S = 1.0
WAIT_S = 10.0
"""How long one blocking query may hang."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over all schedules, since each was first run: counts of runs.

    runs: that ended, in whatever way. missed: left out because nobody was there to run them.
    failed: without an answer of a poller, or with one too late.
    """

    runs: int = 0
    missed: int = 0
    failed: int = 0

    @classmethod
    def of(cls, results: Iterable[ResultRecord]) -> Self:
        """Add up."""
        found = tuple(results)
        return cls(
            runs=sum(r.runs for r in found),
            missed=sum(r.missed for r in found),
            failed=sum(r.failed + r.timed_out for r in found),
        )

    def __sub__(self, other: Tally) -> Tally:
        return Tally(self.runs - other.runs, self.missed - other.missed, self.failed - other.failed)


class Polls:
    """Seeds the schedules and reads the results, waiting on Consul where it waits."""

    def __init__(self, consul: ConsulClient, paths: Paths) -> None:
        self._consul = consul
        self._paths = paths
        self._prefix = PollPaths(paths).results
        self.ids: tuple[str, ...] = ()

    async def seed(self, checks: Mapping[str, Check]) -> None:
        """Write one schedule for each check, by id; all are due from now on."""
        for name, check in checks.items():
            record = {"id": name, "interval": f"{INTERVAL_S}s", "checks": (check,)}
            schedule = ScheduleRecord.model_validate(record)
            await put_schedule(self._consul, self._paths, schedule)
        self.ids = tuple(checks)

    async def results(self) -> dict[str, ResultRecord]:
        """The last result of each schedule that has one."""
        entries = (await self._consul.kv_list(self._prefix)).value
        return load_results(entries, self._prefix).records

    async def tally(self) -> Tally:
        """The counts now."""
        return Tally.of((await self.results()).values())

    async def completed_in(self, term: int, *, timeout_s: float) -> bool:
        """Wait until every schedule has an answer of a poller in that term; False: not in time."""
        return await self._until(
            lambda r: r.term == term and r.state is JobState.COMPLETED, timeout_s
        )

    async def more_runs(self, count: int, *, timeout_s: float) -> bool:
        """Wait until every schedule has run `count` times more; False: not in time."""
        before = {name: result.runs for name, result in (await self.results()).items()}
        return await self._until(lambda r: r.runs >= before.get(r.schedule, 0) + count, timeout_s)

    async def all_up(self, ids: Iterable[str], *, timeout_s: float) -> bool:
        """Wait until the last result of each of these says up; False: not in time."""
        own = set(ids)
        return await self._until(lambda r: r.schedule not in own or r.ok is True, timeout_s)

    async def _until(self, is_right: Callable[[ResultRecord], bool], timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                index: int | None = None
                while True:
                    reply = await self._consul.kv_list(
                        self._prefix, index=index, wait_s=None if index is None else WAIT_S
                    )
                    index = reply.index if index is None or reply.index >= index else None
                    found = load_results(reply.value, self._prefix).records
                    if all(name in found and is_right(found[name]) for name in self.ids):
                        return True
        except (TimeoutError, ConsulError):
            return False


def checks_of(
    consul_addr: str, node_urls: Mapping[str, str], targets: Iterable[Check]
) -> dict[str, Check]:
    """What the demo polls: Consul's API and port, every node's health, and what was asked for."""
    checks = {
        "consul-api": check_of(f"http://{consul_addr}/v1/status/leader"),
        "consul-port": check_of(f"tcp://{consul_addr}"),
    }
    checks |= {name: check_of(f"{url}/api/health/live") for name, url in node_urls.items()}
    checks |= {f"target-{number}": check for number, check in enumerate(targets, 1)}
    return checks
