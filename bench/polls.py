"""What polling costs, and what becomes of it when the leader is killed.

Many schedules of one interval, a few pollers, one target that answers at once and counts who came;
all on one machine with one Consul server. How late a run began is what its result in Consul says;
that no attempt was made twice is what the target saw, against the attempts that the results count.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agents import ConsulAgent
from bench.idle import RAFT, TELEMETRY, WORKLOADS, count, cpu_s
from bench.stage import server_agent, settle
from bench.stats import Summary, summarise
from coord.consul import ConsulClient
from coord.polling.records import JobRecord, ResultRecord, ScheduleRecord
from coord.polling.store import PollPaths, load_jobs, load_results, put_schedule
from demo.fleet import Fleet
from demo.polls import Polls

CANDIDATES = ("core-1", "core-2", "core-3")
POLLERS = ("poller-1", "poller-2", "poller-3")
INTERVAL_S = 10.0
SETTLED_S = 120.0
"""For every schedule to be run once more, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollCost:
    """Polling over some time.

    what: the time, in words. schedules: how many there are. seconds: how long it was.
    lag_ms: from when runs were due to when they were sent to a poller.
    runs, missed, failed, retried: runs and attempts in that time, as Consul has them.
    twice: visits to the target beyond the attempts that were made.
    raft_per_s: raft entries of all there is. leader_percent, poller_percent, consul_percent: CPU of
        whoever leads at the end, of the busiest poller, of Consul, in percent of a core.
    """

    what: str
    schedules: int
    seconds: float
    lag_ms: Summary
    runs: int
    missed: int
    failed: int
    retried: int
    twice: int
    raft_per_s: float
    leader_percent: float | None
    poller_percent: float | None
    consul_percent: float | None


def attempts(results: Iterable[ResultRecord], jobs: Iterable[JobRecord]) -> Counter[str]:
    """How many attempts were made for each schedule, at most: some never reached a poller."""
    made = Counter({result.schedule: result.runs + result.retried for result in results})
    return made + Counter({job.schedule: job.attempt for job in jobs})


def beyond(visits: Mapping[str, int], made: Mapping[str, int]) -> int:
    """Visits that no attempt explains, over all schedules."""
    return sum(max(0, times - made.get(name, 0)) for name, times in visits.items())


class _Target:
    """Answers any HTTP request with 200, and counts them by path; an async context manager."""

    def __init__(self) -> None:
        self.visits: Counter[str] = Counter()
        self.url = ""

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.visits[head.split()[1].decode().strip("/")] += 1
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
        writer.close()

    async def __aenter__(self) -> _Target:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()


async def measure(
    directory: Path, consul: Path, seconds: float, *, schedules: int = 1000
) -> tuple[PollCost, PollCost]:
    """Measure for `seconds` while all is well, then for as long from the kill of the leader.

    Raises:
        TimeoutError, NodeError, AgentError: the fleet does not settle, or the polls are not run.
    """
    async with (
        server_agent(directory / "consul", consul, TELEMETRY) as agent,
        _Target() as target,
        Fleet(agent.http_addr, directory / "nodes", workloads=WORKLOADS) as fleet,
        fleet.consul() as client,
    ):
        await fleet.start(*CANDIDATES, *POLLERS)
        await settle(fleet, CANDIDATES, None)
        polls = Polls(client, fleet.paths)
        polls.ids = tuple(f"s-{number:05}" for number in range(schedules))
        for name in polls.ids:
            check = {"kind": "http", "target": f"{target.url}/{name}"}
            record = {"id": name, "interval": f"{INTERVAL_S:g}s", "checks": (check,)}
            await put_schedule(client, fleet.paths, ScheduleRecord.model_validate(record))
        bench = _Bench(agent, fleet, client, polls, target)
        # The first runs are missed in part, while the schedules are still being written.
        await bench.more_runs(2)
        well = await bench.over(seconds, "while all is well")
        term = (await fleet.leader_record()).term
        killed = await bench.over(seconds, "from a kill of the leader", kill=True)
        if not await polls.completed_in(
            (await fleet.leader_record(after_term=term)).term, timeout_s=SETTLED_S
        ):
            raise TimeoutError(f"not every schedule was run within {SETTLED_S:g} s of the kill")
        return well, killed


@dataclass(frozen=True, slots=True)
class _Bench:
    agent: ConsulAgent
    fleet: Fleet
    consul: ConsulClient
    polls: Polls
    target: _Target

    async def more_runs(self, times: int) -> None:
        if not await self.polls.more_runs(times, timeout_s=SETTLED_S):
            raise TimeoutError(f"not every schedule was run within {SETTLED_S:g} s")

    async def _twice(self) -> int:
        """How many visits no attempt explains until now."""
        visits = Counter(self.target.visits)
        # At one moment: a job that ends becomes a result.
        entries = (await self.consul.kv_list(self.fleet.paths.polls)).value
        paths = PollPaths(self.fleet.paths)
        results = load_results(entries, paths.results).records
        jobs = load_jobs(entries, paths.jobs).records
        return beyond(visits, attempts(results.values(), jobs.values()))

    def _used(self) -> dict[str, float | None]:
        pids = {name: node.pid for name, node in self.fleet.nodes.items() if node.running}
        return {name: cpu_s(pid) for name, pid in (pids | {"consul": self.agent.pid}).items()}

    async def over(self, seconds: float, what: str, *, kill: bool = False) -> PollCost:
        """Measure for so long; `kill`: the leader, at the beginning."""
        loop = asyncio.get_running_loop()
        record = await self.fleet.leader_record()
        before, twice = await self.polls.results(), await self._twice()
        writes, used, began = await count(self.agent), self._used(), loop.time()
        if kill:
            self.fleet[record.node].kill()
        lags: dict[tuple[str, int], int] = {}
        after = before
        while (left := began + seconds - loop.time()) > 0:
            # Half an interval: no result is overwritten unseen. This is what is measured.
            await asyncio.sleep(min(left, INTERVAL_S / 2))
            after = await self.polls.results()
            lags |= {
                (result.job, result.attempt): result.lag_ms
                for result in after.values()
                if result.job != before[result.schedule].job and result.asked is None
            }
        took, now = loop.time() - began, self._used()
        percent = {
            name: (now_s - (used.get(name) or 0.0)) / took * 100
            for name, now_s in now.items()
            if now_s is not None
        }
        leader = (await self.fleet.leader_record()).node
        return PollCost(
            what=what,
            schedules=len(self.polls.ids),
            seconds=took,
            lag_ms=summarise([*lags.values()]),
            runs=_grown(before, after, "runs"),
            missed=_grown(before, after, "missed"),
            failed=_grown(before, after, "failed") + _grown(before, after, "timed_out"),
            retried=_grown(before, after, "retried"),
            twice=await self._twice() - twice,
            raft_per_s=((await count(self.agent))[RAFT] - writes[RAFT]) / took,
            leader_percent=percent.get(leader),
            poller_percent=max(
                (percent[name] for name in POLLERS if name in percent), default=None
            ),
            consul_percent=percent.get("consul"),
        )


def _grown(before: Mapping[str, ResultRecord], after: Mapping[str, ResultRecord], name: str) -> int:
    return sum(getattr(new, name) - getattr(before[key], name) for key, new in after.items())
