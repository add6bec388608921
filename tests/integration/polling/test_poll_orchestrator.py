"""PollOrchestrator and the poller, on a real Consul and over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from consul_agents import ROOT_TOKEN, ConsulAgent, client_of, entry_of, eventually
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from tcp_proxy import TcpProxy

from coord.clock import SystemClock
from coord.config import Settings
from coord.consul import (
    Consistency,
    ConsulAddress,
    ConsulApi,
    ConsulClient,
    ConsulRefused,
    ConsulUnavailable,
    KVEntry,
    Reply,
    ServiceRegistration,
    TtlCheck,
    TxnOp,
    TxnResult,
)
from coord.identity import Identity, new_boot_id
from coord.leadership import Leadership, LeadershipLost, Lease
from coord.node_type import EligibleWhy, NodeType
from coord.operations import new_request_id, read_audit
from coord.polling.asking import answer, ask, withdraw
from coord.polling.dispatch import PollFailed, PollSender
from coord.polling.editing import EditCode, EditRefused
from coord.polling.events import PollsSwept, RecordUnreadable, RunsMissed
from coord.polling.orchestrator import PollOrchestrator
from coord.polling.poller import Poller, routes
from coord.polling.poller_service import PollerService
from coord.polling.pollers import poller_targets
from coord.polling.records import (
    AskedRecord,
    CheckError,
    JobRecord,
    JobState,
    PollError,
    PollRequest,
    PollStateRecord,
    ResultRecord,
    ScheduleRecord,
)
from coord.polling.requests import ASKED_WITHIN_MS
from coord.polling.schedules import phase_ms, slot_start_ms
from coord.polling.store import PollPaths, load_schedules, put_schedule
from coord.polling.writer import FencedWriter
from coord.records import Paths
from coord.rights import Role, policy
from coord.telemetry import Event, PollFinished, Telemetry
from coord.telemetry.lasting_fault import LastingFault
from coord.workloads import WorkContext
from secure import make_policy, make_token

HOUR = 3_600_000
LONG_S = 3600.0


@dataclass
class Held:
    """A leadership as the acquiring transaction left it; its lease runs for long."""

    leadership: Leadership
    lease: Lease
    session: str
    consul: ConsulApi
    paths: Paths

    async def release(self) -> None:
        """Give the lock back, so that another may take it at once."""
        result = await self.consul.txn([TxnOp.kv_unlock(self.paths.leader, b"", self.session)])
        assert result.ok, result.errors


async def take_lead(consul: ConsulApi, election: str) -> Held:
    """Take the vacant leader key and raise the term, by the design's transaction."""
    paths = Paths(election)
    await consul.kv_put(paths.leader, b"", cas=0)
    vacancy = (await consul.kv_get(paths.leader)).value
    former = (await consul.kv_get(paths.term)).value
    assert vacancy is not None
    term = 1 if former is None else int(former.value) + 1
    session = await consul.session_create(name="test", checks=["serfHealth"], lock_delay_s=1.0)
    taken = await consul.txn(
        [
            TxnOp.kv_check_index(paths.leader, vacancy.modify_index),
            TxnOp.kv_lock(paths.leader, b"held", session),
            TxnOp.kv_cas(paths.term, str(term).encode(), former.modify_index if former else 0),
            TxnOp.kv_get(paths.term),
        ]
    )
    assert taken.ok, taken.errors
    term_entry = taken.entry(paths.term)
    assert term_entry is not None
    clock = SystemClock()
    lease = Lease(clock)
    lease.extend(clock.now() + LONG_S)
    leadership = Leadership(
        term=term,
        term_index=term_entry.modify_index,
        session=session,
        node="test",
        election=election,
        leader_key=paths.leader,
        term_key=paths.term,
        consul=consul,
        lease=lease,
        clock=clock,
    )
    return Held(leadership, lease, session, consul, paths)


@dataclass
class Bench:
    """A node's context, and the events that it told."""

    context: WorkContext
    events: list[Event] = field(default_factory=list)

    @cached_property
    def work(self) -> PollOrchestrator:
        """Made once, as a node makes it."""
        return PollOrchestrator(self.context)

    def told(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]


def make_bench(
    consul: ConsulApi,
    election: str,
    *,
    node: str = "core-1",
    advertise: str = "127.0.0.1:1",
    **flags: Any,
) -> Bench:
    """A context on a real Consul."""
    identity = Identity(
        node=node,
        node_type=NodeType.CORE,
        election=election,
        eligible=True,
        eligible_why=EligibleWhy.NODE_TYPE_MAY_LEAD,
        boot_id=new_boot_id(),
        advertise=advertise,
    )
    clock = SystemClock()
    bench = Bench(
        WorkContext(
            settings=Settings(node=node, election=election, environ={}, **flags),
            identity=identity,
            consul=consul,
            telemetry=Telemetry(identity, clock),
            clock=clock,
            paths=Paths(election),
        )
    )
    bench.context.telemetry.attach_inline(bench.events.append)
    return bench


class _Server(uvicorn.Server):
    """Leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def running_poller(
    consul: ConsulApi, election: str, node: str = "poller-1", **flags: Any
) -> AsyncIterator[PollerService]:
    """A registered poller behind a real server on a port of its own."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    port = sock.getsockname()[1]
    bench = make_bench(consul, election, node=node, advertise=f"127.0.0.1:{port}", **flags)
    service = PollerService(bench.context)
    server = _Server(uvicorn.Config(Starlette(routes=service.routes()), log_config=None))
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    registered = asyncio.create_task(service.run())
    try:
        await until_passing(consul, service.service_id)
        yield service
    finally:
        registered.cancel()
        await asyncio.wait((registered,))
        server.should_exit = True
        await serving


async def until_passing(consul: ConsulApi, service_id: str, timeout_s: float = 20.0) -> None:
    """Wait until this instance of `poller` passes."""
    index: int | None = None
    async with asyncio.timeout(timeout_s):
        while True:
            reply = await consul.health_service("poller", passing=True, index=index, wait_s=5.0)
            if any(instance.id == service_id for instance in reply.value):
                return
            index = reply.index


async def until_key(
    consul: ConsulApi, key: str, wanted: Callable[[bytes | None], bool], timeout_s: float = 20.0
) -> bytes | None:
    """Wait until the value of a key is as wanted."""
    index: int | None = None
    async with asyncio.timeout(timeout_s):
        while True:
            reply = await consul.kv_get(key, index=index, wait_s=5.0)
            value = None if reply.value is None else reply.value.value
            if wanted(value):
                return value
            index = reply.index


class Target:
    """An HTTP server that counts its connections, and answers when `go` is set."""

    def __init__(self) -> None:
        self.connections = 0
        self.reached = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Target]:
        server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.go.set()
            server.close()
            await server.wait_closed()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.reached.set()
        await self.go.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    async with Target().serving() as serving:
        yield serving


@asynccontextmanager
async def polling(bench: Bench, held: Held) -> AsyncIterator[asyncio.Task[None]]:
    """The orchestrator at work; at the end it is cancelled and nothing of it is left."""
    before = asyncio.all_tasks()
    task = asyncio.create_task(bench.work.run(held.leadership))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait((task,))
        left = {t for t in asyncio.all_tasks() - before if t.get_name().startswith("poll")}
        assert not left
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, LeadershipLost):
            raise error


def schedule(schedule_id: str, *checks: dict[str, Any], **changes: Any) -> ScheduleRecord:
    return ScheduleRecord.model_validate(
        {"id": schedule_id, "interval": HOUR, "checks": checks, **changes}
    )


def http(target: Target, **changes: Any) -> dict[str, Any]:
    return {"kind": "http", "target": target.url, **changes}


async def until_result(
    consul: ConsulApi, keys: PollPaths, schedule_id: str, wanted: Callable[[ResultRecord], bool]
) -> ResultRecord:
    def fits(raw: bytes | None) -> bool:
        return raw is not None and wanted(ResultRecord.decode(raw))

    raw = await until_key(consul, keys.result(schedule_id), fits)
    assert raw is not None
    return ResultRecord.decode(raw)


async def test_due_schedules_are_polled_and_their_results_written(
    consul: ConsulClient, name: str, target: Target
) -> None:
    keys, bench = PollPaths(Paths(name)), make_bench(consul, name)
    tcp = {"kind": "tcp", "target": f"127.0.0.1:{target.port}"}
    nobody = {"kind": "tcp", "target": "127.0.0.1:1"}
    await put_schedule(consul, Paths(name), schedule("up", http(target), tcp))
    await put_schedule(consul, Paths(name), schedule("down", tcp, nobody))
    await put_schedule(consul, Paths(name), schedule("off", tcp, enabled=False))
    held = await take_lead(consul, name)
    async with running_poller(consul, name) as service, polling(bench, held):
        up = await until_result(consul, keys, "up", lambda r: r.runs == 1)
        down = await until_result(consul, keys, "down", lambda r: r.runs == 1)
        assert (up.state, up.ok, up.term, up.attempt) == (JobState.COMPLETED, True, 1, 1)
        assert [c.ok for c in up.checks] == [True, True]
        assert (up.poller, up.missed) == (service.service_id, 0)
        assert (down.state, down.ok) == (JobState.COMPLETED, False)
        assert [c.error for c in down.checks] == [None, CheckError.REFUSED]
        # Written while it runs, due from the moment it was written.
        await put_schedule(consul, Paths(name), schedule("new", http(target)))
        await until_result(consul, keys, "new", lambda r: r.ok is True)
    assert (await consul.kv_list(keys.jobs)).value == ()
    assert (await consul.kv_get(keys.result("off"))).value is None
    finished = {e.schedule: (e.outcome, e.poller, e.term) for e in bench.told(PollFinished)}
    assert finished == {
        "up": ("up", "poller-1", 1),
        "down": ("down", "poller-1", 1),
        "new": ("up", "poller-1", 1),
    }


def served(bench: Bench) -> dict[tuple[str, str], float]:
    """What the metrics of polling say now, by name and what they are told apart by."""
    text = generate_latest(bench.context.metrics).decode()
    return {
        (sample.name.removeprefix("coordinator_"), "".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_what_the_leader_serves_and_that_it_ends_with_its_lead(
    consul: ConsulClient, name: str, target: Target
) -> None:
    keys, bench = PollPaths(Paths(name)), make_bench(consul, name)
    nobody = {"kind": "tcp", "target": "127.0.0.1:1"}
    target.go.clear()
    made = SystemClock().now()
    await put_schedule(consul, Paths(name), schedule("down", nobody))
    await put_schedule(consul, Paths(name), schedule("slow", http(target)))
    held = await take_lead(consul, name)
    async with running_poller(consul, name), polling(bench, held):
        await until_result(consul, keys, "down", lambda r: r.runs == 1)
        await asyncio.wait_for(target.reached.wait(), 20)
        told = served(bench)
        assert told["poll_jobs", "running"] == 1
        assert told["poll_up", "down"] == 0
        assert ("poll_up", "slow") not in told
        assert told["poll_latency_seconds_count", ""] == 1
        assert told["poll_lag_seconds_count", ""] == 2
        # Not since their hours began: they were not there then.
        assert told["poll_lag_seconds_sum", ""] <= 2 * (SystemClock().now() - made)
        target.go.set()
        slow = await until_result(consul, keys, "slow", lambda r: r.runs == 1)
        assert slow.ok
        assert served(bench)["poll_up", "slow"] == 1
        await consul.kv_delete(keys.schedule("slow"))
        await until_key(consul, keys.result("slow"), lambda raw: raw is None)
        assert ("poll_up", "slow") not in served(bench)
    told = served(bench)
    assert not [key for key in told if key[0] in ("poll_up", "poll_jobs")]
    assert (told["polls_total", "up"], told["polls_total", "down"]) == (1, 1)
    await held.release()
    # Whoever leads next knows at once what was found last.
    next_one = make_bench(consul, name, node="core-2")

    async def found_last() -> float | None:
        return served(next_one).get(("poll_up", "down"))

    async with polling(next_one, await take_lead(consul, name)):
        assert await eventually(found_last, until=lambda up: up is not None) == 0


async def test_what_never_finds_room_is_counted_as_missed_before_it_is_run(
    consul: ConsulClient, name: str, target: Target
) -> None:
    keys, bench = PollPaths(Paths(name)), make_bench(consul, name)
    since_ms = bench.context.clock.wall_ms()
    target.go.clear()
    slow = schedule("slow", http(target, timeout="60s"), priority=1000)
    poor = schedule("poor", http(target), interval=500, priority=0, since_ms=since_ms)

    async def missed() -> float:
        return served(bench)["poll_runs_missed_total", ""]

    async def counted_twice() -> float:
        told: int = sum(event.runs for event in bench.told(RunsMissed))
        return await missed() - told

    await put_schedule(consul, Paths(name), slow)
    held = await take_lead(consul, name)
    async with running_poller(consul, name, poller_capacity=1), polling(bench, held):
        await asyncio.wait_for(target.reached.wait(), 20)
        await put_schedule(consul, Paths(name), poor)
        assert await eventually(missed, until=lambda runs: runs >= 2)
        assert bench.told(RunsMissed) == []
        target.go.set()
        assert (await until_result(consul, keys, "poor", lambda r: r.runs == 1)).missed >= 2
        assert await eventually(counted_twice, until=lambda runs: runs == 0) == 0


SINKS = """
import threading

go_on = threading.Event()
heard = []
hung = threading.Event()

def keep(context):
    return heard.append

def hang(context):
    def wait(run):
        hung.set()
        assert go_on.wait(60)
    return wait
"""


async def test_each_run_that_ends_goes_to_the_sinks_and_none_delays_the_next(
    consul: ConsulClient,
    name: str,
    target: Target,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = f"sinks_{name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(SINKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = f"{module}:hang,{module}:keep,prometheus"
    keys, bench = PollPaths(Paths(name)), make_bench(consul, name, poll_sinks=names)
    sinks = importlib.import_module(module)
    nobody = {"kind": "tcp", "target": "127.0.0.1:1"}
    await put_schedule(consul, Paths(name), schedule("web", http(target), nobody, name="The site"))
    await put_schedule(
        consul,
        Paths(name),
        schedule("none", nobody, assignment="specific", assigned_to=["nobody"], interval="500ms"),
    )
    held = await take_lead(consul, name)
    async with running_poller(consul, name), polling(bench, held):
        web = await until_result(consul, keys, "web", lambda r: r.runs == 1)
        assert await asyncio.to_thread(sinks.hung.wait, 20)
        # One sink hangs since the first run that ended; the others go on, and so does polling.
        await until_result(consul, keys, "none", lambda r: r.runs >= 3)
    sinks.go_on.set()
    await bench.context.telemetry.aclose(20)
    (run,) = [run for run in sinks.heard if run.schedule == "web"]
    assert (run.outcome, run.name, run.poller, run.attempt) == ("down", "The site", "poller-1", 1)
    assert (run.election, run.term, run.job) == (name, web.term, web.job)
    assert [(check.ok, check.error) for check in run.checks] == [(True, None), (False, "refused")]
    assert run.due_ms <= run.dispatched_ms <= run.finished_ms == web.finished_ms
    none = [run for run in sinks.heard if run.schedule == "none"]
    assert {run.outcome for run in none} == {"no_assigned_poller"}
    assert len(none) >= 3
    assert served(bench)["poll_latency_seconds_count", ""] == 1


async def test_a_run_that_is_given_up_at_takeover_is_told_as_any_other(
    consul: ConsulClient, name: str
) -> None:
    keys, bench = PollPaths(Paths(name)), make_bench(consul, name)
    left = schedule("web", {"kind": "tcp", "target": "127.0.0.1:1"}, max_retries=0)
    await put_schedule(consul, Paths(name), left)
    job = {"id": "web.1", "schedule": "web", "term": 1, "due_ms": 1, "state": "dispatching"}
    await consul.kv_put(keys.job("web.1"), JobRecord.model_validate(job).encode())
    told: asyncio.Queue[PollFinished] = asyncio.Queue()

    def tell(event: Event) -> None:
        if isinstance(event, PollFinished):
            told.put_nowait(event)

    bench.context.telemetry.attach_inline(tell)
    async with polling(bench, await take_lead(consul, name)):
        first = await asyncio.wait_for(told.get(), 20)
    assert (first.schedule, first.outcome, first.took_ms) == ("web", "leader_lost", 0)


def _of_schedules(number: int) -> Callable[[bytes | None], bool]:
    return lambda raw: raw is not None and PollStateRecord.decode(raw).schedules == number


async def test_a_run_costs_two_writes_and_each_attempt_after_the_first_one_more(
    consul: ConsulClient, name: str, target: Target
) -> None:
    """As docs/polling.md says under "What Consul bears"; each change of the sequence is one."""
    keys, bench = PollPaths(Paths(name)), make_bench(consul, name)
    await put_schedule(consul, Paths(name), schedule("web", http(target)))
    await consul.kv_put(keys.asked, b"")  # an election's first leader makes it: one write more
    held = await take_lead(consul, name)

    async def writes() -> int:
        entry = (await consul.kv_get(keys.sequence, consistency=Consistency.CONSISTENT)).value
        assert entry is not None
        return int(entry.value.split()[2])

    async with running_poller(consul, name), polling(bench, held):
        await until_result(consul, keys, "web", lambda r: r.runs == 1)
        assert await writes() == 2 + 2  # the takeover's are two
        before = await writes()
        await ask(consul, keys, request_for("web"))
        await until_result(consul, keys, "web", lambda r: r.runs == 2)
        assert await writes() - before == 2
        # A poller that is gone, and does not say so: each attempt is written down, each is refused.
        gone = "gone-" + name
        await consul.service_register(
            ServiceRegistration(
                id=gone,
                name="poller",
                address="127.0.0.1",
                port=1,
                meta={"node": "gone", "election": name},
                checks=(TtlCheck(id=gone, name="poller", ttl_s=600),),
            )
        )
        await consul.check_pass(gone)
        await until_passing(consul, gone)
        lost = schedule("lost", http(target), assignment="specific", assigned_to=["gone"])
        await put_schedule(consul, Paths(name), lost.model_copy(update={"enabled": False}))
        await until_key(consul, keys.state, _of_schedules(2))
        before = await writes()
        await put_schedule(consul, Paths(name), lost.model_copy(update={"max_retries": 2}))
        result = await until_result(consul, keys, "lost", lambda r: r.runs == 1)
        assert (result.attempt, result.error) == (3, PollError.UNREACHABLE)
        assert await writes() - before == 2 + 2
        await consul.service_deregister(gone)
    # Whoever follows begins to count anew. A run that finds no poller is one.
    await held.release()
    nobody = {"assignment": "specific", "assigned_to": ["nobody"]}
    none = schedule("none", http(target), interval="3s", **nobody)
    await put_schedule(consul, Paths(name), none)
    async with polling(make_bench(consul, name, node="core-2"), await take_lead(consul, name)):
        result = await until_result(consul, keys, "none", lambda r: r.runs == 1)
        assert result.error in (PollError.NO_POLLER, PollError.NOT_ASSIGNED)
        assert await writes() == 2 + 1


KIND = """
class Telepathy:
    kind = "telepathy"

    def __init__(self, context):
        pass

    async def run(self, check):
        pass
"""


async def test_a_kind_goes_only_to_a_poller_that_has_it(
    consul: ConsulClient,
    name: str,
    target: Target,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys, bench = PollPaths(Paths(name)), make_bench(consul, name)
    (tmp_path / "telepathy.py").write_text(KIND)
    monkeypatch.syspath_prepend(tmp_path)
    other = {"kind": "telepathy", "target": "anybody", "wave": {"length": [1, 2]}}
    odd = schedule("odd", other, http(target), interval="500ms")
    await put_schedule(consul, Paths(name), odd)
    held = await take_lead(consul, name)
    async with running_poller(consul, name) as without, polling(bench, held):
        result = await until_result(consul, keys, "odd", lambda r: True)
        assert (result.state, result.error) == (JobState.FAILED, PollError.NO_KIND)
        checks = {"poller_checks": "telepathy:Telepathy"}
        async with running_poller(consul, name, "poller-2", **checks) as able:
            result = await until_result(consul, keys, "odd", lambda r: r.runs >= 4 and bool(r.ok))
            assert result.poller == able.service_id
        assert without.poller.polls == 0


async def test_a_schedule_is_run_only_where_it_is_assigned(
    consul: ConsulClient, name: str, target: Target
) -> None:
    keys, bench = PollPaths(Paths(name)), make_bench(consul, name)
    paths = Paths(name)
    assigned = {
        "specific": ("one", "one"),
        "partition": ("dmz", "two"),
        "domain": ("fra", "three"),
    }
    for mode, (to, _) in assigned.items():
        where = schedule(mode, http(target), assignment=mode, assigned_to=[to])
        await put_schedule(consul, paths, where)
    nowhere = schedule(
        "nowhere", http(target), interval="500ms", assignment="domain", assigned_to=["mars"]
    )
    await put_schedule(consul, paths, nowhere)
    held = await take_lead(consul, name)
    async with (
        running_poller(consul, name, "one"),
        running_poller(consul, name, "two", poller_partition="dmz"),
        running_poller(consul, name, "three", poller_partition="lab", poller_domain="fra"),
        polling(bench, held),
    ):
        for mode in assigned:
            await until_result(consul, keys, mode, lambda r: r.ok is True)
        result = await until_result(consul, keys, "nowhere", lambda r: True)
    assert (result.state, result.error) == (JobState.FAILED, PollError.NOT_ASSIGNED)
    finished = {event.schedule: event.poller for event in bench.told(PollFinished)}
    assert finished == {mode: node for mode, (_, node) in assigned.items()} | {"nowhere": None}


async def test_a_schedule_runs_once_in_each_of_its_slots(
    consul: ConsulClient, name: str, target: Target
) -> None:
    keys, bench = PollPaths(Paths(name)), make_bench(consul, name)
    held = await take_lead(consul, name)
    await put_schedule(consul, Paths(name), schedule("often", http(target), interval="500ms"))
    async with running_poller(consul, name), polling(bench, held):
        result = await until_result(consul, keys, "often", lambda r: r.runs >= 5)
    assert result.due_ms % 500 == phase_ms("often", 500)
    assert target.connections in (result.runs, result.runs + 1)


async def test_a_token_is_used_and_a_wrong_one_shows(
    consul: ConsulClient, name: str, target: Target
) -> None:
    keys = PollPaths(Paths(name))
    await put_schedule(consul, Paths(name), schedule("web", http(target), interval="500ms"))
    held = await take_lead(consul, name)
    async with running_poller(consul, name, poller_token="right-token"):
        async with polling(make_bench(consul, name, poller_token="wrong-token"), held):
            result = await until_result(consul, keys, "web", lambda r: True)
            assert (result.state, result.error) == (JobState.FAILED, PollError.NOT_PERMITTED)
        assert target.connections == 0
        async with polling(make_bench(consul, name, poller_token="right-token"), held):
            await until_result(consul, keys, "web", lambda r: r.ok is True)


def poll_request(election: str, term: int, target: Target) -> PollRequest:
    return PollRequest.model_validate(
        {
            "term": term,
            "election": election,
            "job": "j",
            "attempt": 1,
            "timeout_ms": 5000,
            "checks": [http(target)],
        }
    )


async def answer_to(poller: Poller, request: PollRequest) -> tuple[int, str | None]:
    """The status of the poller's answer, and its code if it refused."""
    transport = httpx.ASGITransport(Starlette(routes=routes(poller)))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        headers = {"content-type": "application/json"}
        response = await client.post("/v1/poll", content=request.encode(), headers=headers)
    return response.status_code, response.json().get("code")


async def until_seen(poller: Poller, term: int) -> None:
    async def seen() -> int:
        return poller.seen_term

    await eventually(seen, until=lambda seen_term: seen_term == term)


async def test_a_poller_that_outlives_its_consul_serves_the_leaders_of_the_new_one(
    make_agent: Callable[..., ConsulAgent],
    name: str,
    target: Target,
    caplog: pytest.LogCaptureFixture,
) -> None:
    paths, agent = Paths(name), make_agent()
    async with client_of(agent) as consul:
        for _ in range(100):  # the indexes of the next life have to be below this one's
            await consul.kv_put(name, b"")
        await consul.kv_put(paths.term, b"501")
        unwatched = Poller(make_bench(consul, name).context)
        unwatched.take_term(await entry_of(consul, paths.term))
        async with running_poller(consul, name) as service:
            await until_seen(service.poller, 501)
            agent.kill()
            await asyncio.to_thread(lambda: agent.start().wait_ready())  # a dev agent keeps nothing
            missing = poll_request(name, 20, target)
            assert await answer_to(unwatched, missing) == (409, "older_term")
            await consul.kv_put(paths.term, b"19")
            held = await take_lead(consul, name)
            assert held.leadership.term == 20
            await put_schedule(consul, paths, schedule("web", http(target), interval="500ms"))
            async with polling(make_bench(consul, name), held):
                await until_result(consul, PollPaths(paths), "web", lambda r: r.ok is True)
            assert service.poller.seen_term == 20
            for poller in (service.poller, unwatched):
                assert await answer_to(poller, poll_request(name, 20, target)) == (200, None)
                older = poll_request(name, 19, target)
                assert await answer_to(poller, older) == (409, "older_term")
        await unwatched.aclose()
    assert len([r for r in caplog.records if "went back" in r.getMessage()]) == 2


class _NotesReads(ConsulClient):
    """A client that notes how consistently keys were read."""

    def __init__(self, address: ConsulAddress) -> None:
        super().__init__(address)
        self.reads: list[Consistency] = []

    async def kv_get(
        self, key: str, *, consistency: Consistency = Consistency.DEFAULT, **options: Any
    ) -> Reply[KVEntry | None]:
        self.reads.append(consistency)
        return await super().kv_get(key, consistency=consistency, **options)


async def test_only_a_consistent_read_makes_a_poller_reconsider(
    consul_agent: ConsulAgent, name: str, target: Target
) -> None:
    async with _NotesReads(ConsulAddress(consul_agent.http_url)) as consul:
        await consul.kv_put(Paths(name).term, b"20")
        poller = Poller(make_bench(consul, name).context)
        poller.take_term(KVEntry("term", b"501", create_index=2**40, modify_index=2**40))
        assert await answer_to(poller, poll_request(name, 20, target)) == (200, None)
        assert consul.reads == [Consistency.CONSISTENT]
        await poller.aclose()


async def test_the_watch_on_the_term_key_notices_that_consul_went_back(
    consul: ConsulClient, name: str
) -> None:
    async with running_poller(consul, name) as service:
        service.poller.take_term(KVEntry("term", b"501", create_index=2**40, modify_index=2**40))
        await consul.kv_put(Paths(name).term, b"20")
        await until_seen(service.poller, 20)  # and nobody has asked it for anything


async def test_a_poller_does_not_take_an_older_term_from_a_key_edited_or_deleted_by_hand(
    consul: ConsulClient, name: str, target: Target
) -> None:
    paths = Paths(name)
    await consul.kv_put(paths.term, b"501")
    async with running_poller(consul, name) as service:
        await until_seen(service.poller, 501)
        await consul.kv_put(paths.term, b"20")
        older = poll_request(name, 20, target)
        assert await answer_to(service.poller, older) == (409, "older_term")
        await consul.kv_delete(paths.term)
        assert await answer_to(service.poller, older) == (409, "older_term")
        assert (service.poller.seen_term, target.connections) == (501, 0)


async def test_an_older_term_is_refused_also_by_a_poller_that_never_heard_of_the_newer(
    consul: ConsulClient, name: str, target: Target
) -> None:
    old = await take_lead(consul, name)
    await old.release()
    new = await take_lead(consul, name)
    sender = PollSender(None, max_connections=2)

    def request(term: int) -> PollRequest:
        return poll_request(name, term, target)

    async with running_poller(consul, name) as service:
        instances = (await consul.health_service("poller", passing=True)).value
        (where,) = [t for t in poller_targets(instances, name) if t.id == service.service_id]
        for term in (old.leadership.term, new.leadership.term + 7):
            with pytest.raises(PollFailed) as caught:
                await sender.send(where, request(term))
            assert caught.value.error is PollError.OLDER_TERM
        assert (target.connections, service.poller.refused) == (0, 2)
        reply = await sender.send(where, request(new.leadership.term))
        assert reply.results[0].ok
        await new.release()
        third = await take_lead(consul, name)
        # The watch on the term key tells it, before any leader of that term has asked.
        async with asyncio.timeout(20):
            # The poller has no event for this, and needs none but here.
            while service.poller.seen_term < third.leadership.term:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        with pytest.raises(PollFailed):
            await sender.send(where, request(new.leadership.term))
    await sender.aclose()


async def test_what_the_old_leader_left_running_is_tried_again_by_the_new_one(
    consul: ConsulClient, name: str, target: Target
) -> None:
    keys = PollPaths(Paths(name))
    await put_schedule(consul, Paths(name), schedule("web", http(target, timeout="30s")))
    target.go.clear()
    old = await take_lead(consul, name)
    async with running_poller(consul, name):
        async with polling(make_bench(consul, name), old):
            await asyncio.wait_for(target.reached.wait(), 20)
        (left,) = (await consul.kv_list(keys.jobs)).value
        assert JobRecord.decode(left.value).attempt == 1
        target.go.set()
        await old.release()
        new = await take_lead(consul, name)
        bench = make_bench(consul, name)
        async with polling(bench, new):
            result = await until_result(consul, keys, "web", lambda r: True)
    assert (result.state, result.ok, result.attempt, result.term) == (
        JobState.COMPLETED,
        True,
        2,
        new.leadership.term,
    )
    assert (result.job, result.runs, result.retried) == (JobRecord.decode(left.value).id, 1, 1)
    assert target.connections == 2
    (swept,) = bench.told(PollsSwept)
    assert (swept.retried, swept.timed_out, swept.term) == (1, 0, new.leadership.term)
    told = served(bench)
    assert (told["poll_jobs_swept_total", "retried"], told["poll_retries_total", ""]) == (1, 1)
    assert (await consul.kv_list(keys.jobs)).value == ()


async def test_what_is_too_old_or_unreadable_is_given_up_and_counted(
    consul: ConsulClient, name: str, target: Target
) -> None:
    keys, bench = PollPaths(Paths(name)), make_bench(consul, name)
    interval = 10_000
    wall_ms = bench.context.clock.wall_ms()
    due_ms = slot_start_ms(wall_ms, interval, phase_ms("web", interval)) - 6 * interval
    record = schedule("web", http(target), interval=interval, since_ms=due_ms)
    await put_schedule(consul, Paths(name), record)
    old = await take_lead(consul, name)
    for schedule_id in ("web", "gone"):
        job = JobRecord(
            id=f"{schedule_id}.1",
            schedule=schedule_id,
            state=JobState.RUNNING,
            term=1,
            due_ms=due_ms,
            missed=3,
        )
        await old.leadership.put(keys.job(job.id), job.encode())
    await old.leadership.put(keys.job("broken"), b"\x00")
    await old.release()
    new = await take_lead(consul, name)
    async with running_poller(consul, name), polling(bench, new):
        result = await until_result(consul, keys, "web", lambda r: r.ok is True)
        raw = await until_key(consul, keys.state, lambda value: value is not None)
    assert raw is not None
    # Six slots passed, or seven if one ended meanwhile; the present one is run, once.
    assert result.missed in (3 + 5, 3 + 6)
    assert (result.runs, result.timed_out, result.retried) == (2, 1, 0)
    assert target.connections == 1
    (swept,) = bench.told(PollsSwept)
    assert (swept.retried, swept.timed_out, swept.unreadable) == (0, 2, 1)
    told = served(bench)
    assert told["poll_jobs_swept_total", "timed_out"] == 2
    assert told["poll_jobs_swept_total", "unreadable"] == 1
    assert [e.runs for e in bench.told(RunsMissed)] == [result.missed - 3]
    assert PollStateRecord.decode(raw).swept_timed_out == 2
    assert (await consul.kv_list(keys.jobs)).value == ()
    assert (await consul.kv_get(keys.result("gone"))).value is None


async def test_a_deposed_leader_ends_and_its_result_does_not_land(
    consul: ConsulClient, name: str, target: Target
) -> None:
    keys = PollPaths(Paths(name))
    await put_schedule(consul, Paths(name), schedule("web", http(target, timeout="30s")))
    target.go.clear()
    old = await take_lead(consul, name)
    async with running_poller(consul, name), polling(make_bench(consul, name), old) as task:
        await asyncio.wait_for(target.reached.wait(), 20)
        await old.release()
        await take_lead(consul, name)
        # Its lease still runs: only the fence holds it back.
        target.go.set()
        await asyncio.wait((task,), timeout=20)
        assert isinstance(task.exception(), LeadershipLost)
    assert (await consul.kv_get(keys.result("web"))).value is None


class _OverAfterWrite(ConsulClient):
    """A client on which the lease of `held` ends while a job is being written."""

    held: Held | None = None

    async def txn(
        self,
        ops: Sequence[TxnOp],
        *,
        consistency: Consistency = Consistency.DEFAULT,
        deadline_s: float | None = None,
    ) -> TxnResult:
        result = await super().txn(ops, consistency=consistency, deadline_s=deadline_s)
        if self.held is not None and any("/jobs/" in op.key for op in ops):
            assert result.ok, result.errors
            self.held.lease.revoke("test")
        return result


async def test_a_lease_that_ends_while_the_job_is_written_lets_nobody_be_asked(
    consul: ConsulClient, consul_agent: ConsulAgent, name: str, target: Target
) -> None:
    keys = PollPaths(Paths(name))
    await put_schedule(consul, Paths(name), schedule("web", http(target)))
    async with _OverAfterWrite(ConsulAddress(consul_agent.http_url)) as slow:
        slow.held = held = await take_lead(slow, name)
        async with running_poller(consul, name) as service:
            async with polling(make_bench(consul, name), held) as task:
                await asyncio.wait((task,), timeout=20)
                assert isinstance(task.exception(), LeadershipLost)
            # Closed only now, so a poll that was sent in spite of it has arrived.
            assert service.poller.polls + service.poller.refused == 0
    (job,) = (await consul.kv_list(keys.jobs)).value
    assert JobRecord.decode(job.value).attempt == 1
    assert target.connections == 0


class _SeenAsWritten(ConsulClient):
    """A client that looks at what `bench` serves while a job is being written."""

    bench: Bench | None = None
    jobs: Mapping[str, float] | None = None

    async def txn(
        self,
        ops: Sequence[TxnOp],
        *,
        consistency: Consistency = Consistency.DEFAULT,
        deadline_s: float | None = None,
    ) -> TxnResult:
        if self.bench is not None and self.jobs is None and any("/jobs/" in op.key for op in ops):
            told = served(self.bench)
            self.jobs = {label: told[name, label] for name, label in told if name == "poll_jobs"}
        return await super().txn(ops, consistency=consistency, deadline_s=deadline_s)


async def test_a_job_that_is_being_written_is_dispatching(
    consul: ConsulClient, consul_agent: ConsulAgent, name: str, target: Target
) -> None:
    keys = PollPaths(Paths(name))
    await put_schedule(consul, Paths(name), schedule("web", http(target)))
    async with _SeenAsWritten(ConsulAddress(consul_agent.http_url)) as client:
        held = await take_lead(client, name)
        client.bench = bench = make_bench(client, name)
        async with running_poller(consul, name), polling(bench, held):
            await until_result(consul, keys, "web", lambda r: r.ok is True)
        assert client.jobs == {"pending": 0, "dispatching": 1, "running": 0}


async def test_a_poller_with_a_senseless_address_costs_an_attempt_not_the_run(
    consul: ConsulClient, name: str, target: Target
) -> None:
    keys, bench = PollPaths(Paths(name)), make_bench(consul, name)
    await put_schedule(consul, Paths(name), schedule("web", http(target), interval="500ms"))
    odd = ServiceRegistration(
        id=f"a-odd-{name}",
        name="poller",
        address="xn--a",
        port=80,
        meta={"election": name, "capacity": "100"},
        checks=(TtlCheck(id=f"odd-{name}", name="poller", ttl_s=600),),
    )
    await consul.service_register(odd)
    await consul.check_pass(f"odd-{name}")
    await until_passing(consul, odd.id)
    held = await take_lead(consul, name)
    async with running_poller(consul, name), polling(bench, held):
        await until_result(consul, keys, "web", lambda r: r.runs >= 2 and r.ok is True)
    await consul.service_deregister(odd.id)


async def test_hostile_schedules_are_skipped_told_once_and_stop_nothing(
    consul: ConsulClient, name: str, target: Target
) -> None:
    keys, bench = PollPaths(Paths(name)), make_bench(consul, name)
    good = json.loads(schedule("bad", http(target)).encode())
    hostile: dict[str, bytes] = {
        "json": b"{",
        "list": b"[]",
        "empty": b"",
        "bytes": b"\xff\xfe\x00",
        "nested": b"[" * 100_000,
        "large": json.dumps({**good, "id": "large", "name": "x" * 500_000}).encode(),
        "zero": json.dumps({**good, "id": "zero", "interval": 0}).encode(),
        "types": json.dumps({**good, "id": "types", "checks": "all of them"}).encode(),
        "id": json.dumps({**good, "id": "another"}).encode(),
        "..%2fleader": json.dumps({**good, "id": "../leader"}).encode(),
    }
    for key, value in hostile.items():
        await consul.kv_put(keys.schedules + key, value)
    with pytest.raises(ConsulRefused):
        await consul.kv_put(keys.schedules + "mega", b"x" * 1_000_000)
    await put_schedule(consul, Paths(name), schedule("web", http(target), interval="500ms"))
    held = await take_lead(consul, name)

    def told() -> list[str]:
        return [event.key.removeprefix(keys.schedules) for event in bench.told(RecordUnreadable)]

    async with running_poller(consul, name), polling(bench, held):
        await until_result(consul, keys, "web", lambda r: r.runs >= 2 and r.ok is True)
        assert sorted(told()) == sorted(hostile)
        # Another version of one is told again, that one alone; and one that is mended runs.
        await consul.kv_put(keys.schedules + "json", b"}")
        zero = json.dumps({**good, "id": "zero"}).encode()
        await consul.kv_put(keys.schedules + "zero", zero)
        await until_result(consul, keys, "zero", lambda r: r.ok is True)
        assert sorted(told()) == sorted([*hostile, "json"])
        raw = await until_key(
            consul,
            keys.state,
            lambda value: value is not None and PollStateRecord.decode(value).schedules == 2,
        )
    assert raw is not None
    assert len(PollStateRecord.decode(raw).unreadable) == len(hostile) - 1


async def test_many_large_schedules_do_not_keep_the_election_from_its_loop(
    consul: ConsulClient, name: str
) -> None:
    keys, bench, clock = PollPaths(Paths(name)), make_bench(consul, name), SystemClock()
    own = {"kind": "own", "target": "x", "parts": [[[1]]] * 60}
    number, worst_s = 300, 0.0
    for n in range(number):
        large = schedule(f"s{n}", *[own] * 20, enabled=False)
        await consul.kv_put(keys.schedule(large.id), large.encode())
    entries = (await consul.kv_list(keys.schedules)).value
    begun = clock.now()
    assert len(load_schedules(entries, keys.schedules).records) == number
    all_at_once_s = clock.now() - begun

    async def beat() -> None:
        nonlocal worst_s
        last = clock.now()
        while True:
            await asyncio.sleep(0)
            last, before = clock.now(), last
            worst_s = max(worst_s, last - before)

    held = await take_lead(consul, name)
    beating = asyncio.create_task(beat())
    async with polling(bench, held):
        await until_key(consul, keys.state, lambda raw: raw is not None)
    beating.cancel()
    assert worst_s < all_at_once_s / 2


async def test_without_a_poller_it_says_so_and_goes_on_when_one_comes(
    consul: ConsulClient, name: str, target: Target
) -> None:
    keys, bench = PollPaths(Paths(name)), make_bench(consul, name)
    await put_schedule(consul, Paths(name), schedule("web", http(target), interval="500ms"))
    held = await take_lead(consul, name)
    async with polling(bench, held):
        result = await until_result(consul, keys, "web", lambda r: True)
        assert (result.state, result.ok, result.error) == (
            JobState.FAILED,
            None,
            PollError.NO_POLLER,
        )
        async with running_poller(consul, name):
            await until_result(consul, keys, "web", lambda r: r.ok is True)


async def test_a_poller_that_is_gone_costs_an_attempt_not_the_run(
    consul: ConsulClient, name: str, target: Target
) -> None:
    keys, bench = PollPaths(Paths(name)), make_bench(consul, name)
    dead = ServiceRegistration(
        id=f"a-dead-{name}",
        name="poller",
        address="127.0.0.1",
        port=1,
        meta={"election": name, "capacity": "100"},
        checks=(TtlCheck(id=f"dead-{name}", name="poller", ttl_s=600),),
    )
    await consul.service_register(dead)
    await consul.check_pass(f"dead-{name}")
    await until_passing(consul, dead.id)
    held = await take_lead(consul, name)
    async with running_poller(consul, name, "zzz"), polling(bench, held):
        names = [f"web{n}" for n in range(4)]
        for schedule_id in names:
            await put_schedule(consul, Paths(name), schedule(schedule_id, http(target)))
        results = [await until_result(consul, keys, n, lambda r: True) for n in names]
    await consul.service_deregister(dead.id)
    assert all(r.ok for r in results)
    assert {r.attempt for r in results} == {1, 2}
    assert sum(r.retried for r in results) >= 1


def request_for(schedule_id: str, *, ago_ms: int = 0) -> AskedRecord:
    at_ms = SystemClock().wall_ms() - ago_ms
    request_id = new_request_id()
    return AskedRecord(schedule=schedule_id, actor="ann", request_id=request_id, at_ms=at_ms)


async def test_a_run_is_made_when_it_is_asked_for_whoever_leads(
    consul: ConsulClient, name: str, target: Target
) -> None:
    keys = PollPaths(Paths(name))
    await put_schedule(consul, Paths(name), schedule("web", http(target)))
    await put_schedule(consul, Paths(name), schedule("off", http(target), enabled=False))
    for schedule_id, code in (("web", EditCode.NO_LEADER), ("gone", EditCode.NO_LEADER)):
        with pytest.raises(EditRefused) as caught:
            await ask(consul, keys, request_for(schedule_id))
        assert caught.value.code is code
    held = await take_lead(consul, name)
    first, second = request_for("web"), request_for("off")
    await ask(consul, keys, first)
    for request, code in (
        (request_for("web"), EditCode.ASKED_ALREADY),
        (request_for("gone"), EditCode.NOT_FOUND),
    ):
        with pytest.raises(EditRefused) as caught:
            await ask(consul, keys, request)
        assert caught.value.code is code
    # One is asked for before this leader polls, the other while it does.
    async with running_poller(consul, name), polling(make_bench(consul, name), held):
        result = await asyncio.wait_for(answer(consul, keys, first), 20)
        due = await until_result(consul, keys, "web", lambda r: r.runs == 2)
        await ask(consul, keys, second, reason="the shop is slow")
        off = await asyncio.wait_for(answer(consul, keys, second), 20)
        assert not await withdraw(consul, keys, second)
    assert result is not None
    assert off is not None
    assert (result.job, result.ok, result.asked_runs) == (first.job, True, 1)
    assert (due.ok, due.asked, due.asked_runs) == (True, first.request_id, 1)
    assert due.due_ms == slot_start_ms(due.finished_ms, HOUR, phase_ms("web", HOUR))
    assert (off.job, off.runs, off.asked_runs, target.connections) == (second.job, 1, 1, 3)
    assert (await consul.kv_keys(keys.asked)).value == (keys.asked,)
    assert (await consul.kv_list(keys.jobs)).value == ()
    # Those that were refused are not in the audit.
    audit = {each.record for each in await read_audit(consul, Paths(name)) if each.record}
    assert {(each.request_id, each.detail, each.reason) for each in audit} == {
        (first.request_id, "asked for a run: web", "none given"),
        (second.request_id, "asked for a run: off", "the shop is slow"),
    }
    assert {(each.operation, each.outcome, each.actor) for each in audit} == {
        ("schedule_run", "asked", "ann")
    }


async def test_what_was_asked_for_too_long_ago_or_taken_back_is_not_run(
    consul: ConsulClient, name: str, target: Target
) -> None:
    keys = PollPaths(Paths(name))
    await put_schedule(consul, Paths(name), schedule("web", http(target), enabled=False))
    held = await take_lead(consul, name)
    back, late = request_for("web"), request_for("web", ago_ms=ASKED_WITHIN_MS)
    await ask(consul, keys, back)
    assert await withdraw(consul, keys, back)
    assert await asyncio.wait_for(answer(consul, keys, back), 20) is None
    await ask(consul, keys, late)
    await consul.kv_put(keys.ask("junk"), b"{")
    async with running_poller(consul, name), polling(make_bench(consul, name), held):
        assert await asyncio.wait_for(answer(consul, keys, late), 20) is None
        only = lambda reply: reply.value == (keys.asked,)  # noqa: E731
        await eventually(lambda: consul.kv_keys(keys.asked), until=only)
    assert target.connections == 0


async def test_a_request_that_is_taken_back_while_it_is_taken_up_is_not_run(
    consul: ConsulClient, consul_agent: ConsulAgent, name: str, target: Target
) -> None:
    keys = PollPaths(Paths(name))
    await put_schedule(consul, Paths(name), schedule("web", http(target), enabled=False))
    async with (
        TcpProxy(consul_agent.config.address, consul_agent.ports.http) as proxy,
        ConsulClient(ConsulAddress(f"http://{proxy.address}")) as slow,
        running_poller(consul, name) as service,
    ):
        held = await take_lead(slow, name)
        request, other = request_for("web"), request_for("web")
        trap = proxy.hold(keys.jobs.encode(), b"check-session")
        async with polling(make_bench(slow, name), held):
            await ask(consul, keys, request)
            await trap.caught()
            assert await withdraw(consul, keys, request)
            trap.let_go()
            await trap.delivered()
            await ask(consul, keys, other)
            result = await asyncio.wait_for(answer(consul, keys, other), 20)
    assert result is not None
    assert (result.job, result.runs, service.poller.polls) == (other.job, 1, 1)


def some_result(schedule_id: str) -> ResultRecord:
    return ResultRecord(
        schedule=schedule_id,
        job=f"{schedule_id}.1",
        attempt=1,
        term=1,
        state=JobState.FAILED,
        due_ms=1,
        finished_ms=1,
    )


async def test_the_result_of_a_schedule_that_is_removed_goes_and_stays_away(
    consul: ConsulClient, name: str, target: Target
) -> None:
    keys, bench = PollPaths(Paths(name)), make_bench(consul, name)
    await put_schedule(consul, Paths(name), schedule("web", http(target), interval="500ms"))
    await consul.kv_put(keys.schedule("broken"), b"{")
    held = await take_lead(consul, name)
    for each in ("orphan", "broken"):
        await consul.kv_put(keys.result(each), some_result(each).encode())
    async with running_poller(consul, name), polling(bench, held):
        await until_result(consul, keys, "web", lambda r: r.ok is True)
        # One was left behind before this leader came; what cannot be read is not gone.
        left = {keys.result(each) for each in ("web", "broken")}
        assert set((await consul.kv_keys(keys.results)).value) == left
        # Removed while a poller works on it: what that finds is not written any more.
        target.reached.clear()
        target.go.clear()
        await asyncio.wait_for(target.reached.wait(), 20)
        await consul.kv_delete(keys.schedule("web"))
        await until_key(consul, keys.result("web"), lambda value: value is None)
        target.go.set()
        await eventually(lambda: consul.kv_keys(keys.jobs), until=lambda reply: not reply.value)
        assert set((await consul.kv_keys(keys.results)).value) == {keys.result("broken")}
        # Under the same id begins another one.
        await put_schedule(consul, Paths(name), schedule("web", http(target)))
        result = await until_result(consul, keys, "web", lambda r: True)
    assert (result.runs, result.ok) == (1, True)


async def test_a_leader_that_may_not_see_the_schedules_removes_no_result(
    make_agent: Callable[..., ConsulAgent], name: str
) -> None:
    """Consul shows it a list without any."""
    agent = make_agent(acl=True, token=ROOT_TOKEN)
    agent.wait_until(lambda: agent.request("GET", "/v1/acl/policies")[0] == 200, "have ACLs")
    paths = Paths(name)
    keys = PollPaths(paths)
    rules = policy(Role.CANDIDATE, Settings(environ={}, node="any", election=name))
    blind = rules.replace(
        f'"{keys.schedules}" {{ policy = "list" }}', f'"{keys.schedules}" {{ policy = "deny" }}'
    )
    assert blind != rules
    await asyncio.to_thread(make_policy, agent, name, blind)
    _, token = await asyncio.to_thread(make_token, agent, name, name)
    async with (
        client_of(agent, token=ROOT_TOKEN) as root,
        client_of(agent, token=token) as consul,
    ):
        await put_schedule(root, paths, schedule("web", {"kind": "tcp", "target": "h:1"}))
        await root.kv_put(keys.result("web"), some_result("web").encode())
        held = await take_lead(consul, name)
        async with polling(make_bench(consul, name), held):
            await until_key(root, keys.state, _of_term(held.leadership.term))
        assert (await root.kv_get(keys.result("web"))).value is not None


@asynccontextmanager
async def broken_poller(
    consul: ConsulClient, name: str, handle: Callable[[asyncio.StreamWriter], None]
) -> AsyncIterator[None]:
    """A registered poller that takes each poll and then does that; it is the first to be chosen."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        handle(writer)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    service = ServiceRegistration(
        id=f"a-broken-{name}",
        name="poller",
        address="127.0.0.1",
        port=server.sockets[0].getsockname()[1],
        meta={"election": name, "capacity": "100"},
        checks=(TtlCheck(id=f"broken-{name}", name="poller", ttl_s=600),),
    )
    await consul.service_register(service)
    await consul.check_pass(f"broken-{name}")
    await until_passing(consul, service.id)
    try:
        yield
    finally:
        await consul.service_deregister(service.id)
        server.close()


@pytest.mark.parametrize("says_nothing", [False, True], ids=["breaks off", "says nothing"])
async def test_a_poller_that_dies_in_the_middle_of_a_job_costs_an_attempt(
    consul: ConsulClient, name: str, target: Target, says_nothing: bool
) -> None:
    keys, bench = PollPaths(Paths(name)), make_bench(consul, name)
    await put_schedule(consul, Paths(name), schedule("web", http(target, timeout="1s")))
    held = await take_lead(consul, name)
    silent: list[asyncio.StreamWriter] = []
    handle = silent.append if says_nothing else lambda writer: writer.transport.abort()
    async with (
        broken_poller(consul, name, handle),
        running_poller(consul, name, "zzz") as sound,
        polling(bench, held),
    ):
        result = await until_result(consul, keys, "web", lambda r: True)
    for writer in silent:
        writer.close()
    assert (result.ok, result.attempt, result.retried) == (True, 2, 1)
    assert (result.poller, target.connections) == (sound.service_id, 1)
    assert (await consul.kv_list(keys.jobs)).value == ()


async def test_a_run_that_waits_to_be_tried_again_is_cancelled_with_its_schedule(
    consul: ConsulClient, name: str, target: Target
) -> None:
    keys, bench = PollPaths(Paths(name)), make_bench(consul, name)
    record = schedule("web", http(target), max_retries=10)
    await put_schedule(consul, Paths(name), record)
    held = await take_lead(consul, name)

    tried: asyncio.Queue[None] = asyncio.Queue()

    def breaks_off(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()
        tried.put_nowait(None)

    async with broken_poller(consul, name, breaks_off), polling(bench, held):
        async with asyncio.timeout(20):
            await tried.get()
            await tried.get()
        await put_schedule(consul, Paths(name), record.model_copy(update={"enabled": False}))
        result = await until_result(consul, keys, "web", lambda r: True)
    assert (result.state, result.ok, result.error) == (JobState.CANCELLED, None, None)
    assert (result.runs, result.cancelled, result.failed) == (1, 1, 0)
    assert (result.attempt, result.retried) == (2, 1)
    assert (await consul.kv_list(keys.jobs)).value == ()
    (finished,) = bench.told(PollFinished)
    assert (finished.outcome, finished.schedule) == ("cancelled", "web")


class _Leaving(ConsulClient):
    """A client that asks the poller for something once it is out of the listing."""

    ask: Callable[[], Awaitable[tuple[int, str | None]]] | None = None
    answered: tuple[int, str | None] | None = None

    async def service_deregister(self, service_id: str, **options: Any) -> None:
        await super().service_deregister(service_id, **options)
        if self.ask is not None:
            self.answered = await self.ask()


async def test_a_poller_that_ends_leaves_the_listing_before_it_takes_no_more(
    consul: ConsulClient, consul_agent: ConsulAgent, name: str, target: Target
) -> None:
    await take_lead(consul, name)
    async with _Leaving(ConsulAddress(consul_agent.http_url)) as leaving:
        async with running_poller(leaving, name) as service:
            leaving.ask = lambda: answer_to(service.poller, poll_request(name, 1, target))
        assert leaving.answered == (200, None)
        late = poll_request(name, 1, target).model_copy(update={"job": "late"})
        assert await answer_to(service.poller, late) == (503, "stopping")


async def test_a_job_that_is_written_once_more_after_its_end_does_not_come_back(
    consul: ConsulClient, consul_agent: ConsulAgent, name: str, target: Target
) -> None:
    """Nobody can call back a request that is on its way; the same leader's fence lets it pass."""
    keys = PollPaths(Paths(name))
    await put_schedule(consul, Paths(name), schedule("web", http(target)))
    async with (
        TcpProxy(consul_agent.config.address, consul_agent.ports.http) as proxy,
        ConsulClient(ConsulAddress(f"http://{proxy.address}")) as slow,
        running_poller(consul, name),
    ):
        held = await take_lead(slow, name)
        trap = proxy.hold(keys.jobs.encode(), b"check-session")
        async with polling(make_bench(slow, name), held):
            await trap.caught()
            await until_result(consul, keys, "web", lambda r: r.runs == 1)
        trap.let_go()
        await trap.delivered()
        jobs = await consul.kv_list(keys.jobs, consistency=Consistency.CONSISTENT)
        assert jobs.value == (), "the fence of its own term lets it pass; the sequence does not"
        await held.release()
        successor = make_bench(consul, name)
        async with polling(successor, await take_lead(consul, name)):
            state = await until_key(consul, keys.state, _of_term(2))
            assert state is not None
    assert successor.told(PollsSwept) == []
    result = ResultRecord.decode((await entry_of(consul, keys.result("web"))).value)
    assert (result.runs, result.missed, target.connections) == (1, 0, 1)


def _of_term(term: int) -> Callable[[bytes | None], bool]:
    return lambda value: value is not None and PollStateRecord.decode(value).term == term


async def test_a_poller_is_registered_while_it_runs_and_comes_back_when_forgotten(
    consul: ConsulClient, name: str
) -> None:
    async with running_poller(consul, name, poller_capacity=3) as service:
        services = await consul.agent_services()
        assert services[service.service_id].meta["capacity"] == "3"
        await consul.service_deregister(service.service_id)
        await until_passing(consul, service.service_id)
    assert service.service_id not in await consul.agent_services()


async def test_writes_go_in_batches_and_a_refused_one_goes_alone(
    consul: ConsulClient, name: str
) -> None:
    held = await take_lead(consul, name)
    writer = writer_of(consul, name, held.leadership)
    prefix = PollPaths(Paths(name)).results
    await writer.claim()
    running = asyncio.create_task(writer.run())
    too_large = TxnOp.kv_set(prefix + "large", b"x" * 700_000)
    async with asyncio.TaskGroup() as group:
        large = group.create_task(_refused(writer, too_large))
        for n in range(300):
            group.create_task(writer.write(TxnOp.kv_set(f"{prefix}{n}", b"v")))
    assert large.result()
    assert len((await consul.kv_keys(prefix)).value) == 300
    assert writer.transactions <= 20
    await held.release()
    late = asyncio.create_task(writer.write(TxnOp.kv_set(prefix + "late", b"v")))
    await asyncio.wait((running,), timeout=20)
    assert isinstance(running.exception(), LeadershipLost)
    assert not late.done()
    late.cancel()
    await asyncio.wait((late,))
    assert (await consul.kv_get(prefix + "late")).value is None


def writer_of(consul: ConsulClient, name: str, leadership: Leadership) -> FencedWriter:
    async def read(key: str) -> KVEntry | None:
        return (await consul.kv_get(key, consistency=Consistency.CONSISTENT)).value

    return FencedWriter(
        leadership,
        LastingFault(make_bench(consul, name).context.clock, lambda notice: None),
        sequence_key=PollPaths(Paths(name)).sequence,
        read=read,
    )


class Copying(Leadership):
    """Keeps what it was asked to write, to be sent once more; and answers nothing, if told to."""

    def __init__(self, real: Leadership) -> None:
        self.__dict__.update(real.__dict__)
        self.sent: list[Sequence[TxnOp]] = []
        self.deaf = 0

    async def txn(self, ops: Sequence[TxnOp]) -> TxnResult:
        self.sent.append(ops)
        result = await super().txn(ops)
        if self.deaf:
            self.deaf -= 1
            raise ConsulUnavailable("PUT /v1/txn", "no answer", outcome_unknown=True)
        return result


async def test_a_late_copy_of_a_write_lands_nowhere(consul: ConsulClient, name: str) -> None:
    """Not over what was written after it, nor where it would bring back what was taken off."""
    held = await take_lead(consul, name)
    leadership = Copying(held.leadership)
    writer = writer_of(consul, name, leadership)
    key = PollPaths(Paths(name)).result("s")
    await writer.claim()
    running = asyncio.create_task(writer.run())
    await writer.write(TxnOp.kv_set(key, b"old"))
    late = leadership.sent[-1]
    await writer.write(TxnOp.kv_set(key, b"new"))
    assert not (await leadership.txn(late)).ok
    await writer.write(TxnOp.kv_delete(key))
    assert not (await leadership.txn(late)).ok
    assert (await consul.kv_get(key)).value is None
    # Another run of the work in the same term, while a write of the one before is under way.
    await writer_of(consul, name, leadership).claim()
    assert not (await leadership.txn(leadership.sent[-3])).ok
    # And this one, which knows nothing of that, goes on.
    await writer.write(TxnOp.kv_set(key, b"newest"))
    await _end(running)
    await held.release()


async def test_a_write_that_was_not_answered_is_done_once(consul: ConsulClient, name: str) -> None:
    held = await take_lead(consul, name)
    leadership = Copying(held.leadership)
    writer = writer_of(consul, name, leadership)
    paths = PollPaths(Paths(name))
    await writer.claim()
    running = asyncio.create_task(writer.run())
    leadership.sent.clear()
    leadership.deaf = 1
    await writer.write(TxnOp.kv_set(paths.result("s"), b"once"))
    assert len(leadership.sent) == 1, "it had landed, and the sequence says so"
    await consul.kv_put(paths.sequence, b"somebody's hand")
    await writer.write(TxnOp.kv_set(paths.result("s"), b"twice"))
    assert (await entry_of(consul, paths.result("s"))).value == b"twice"
    await _end(running)
    await held.release()


async def _end(running: asyncio.Task[None]) -> None:
    running.cancel()
    await asyncio.wait((running,))


async def _refused(writer: FencedWriter, op: TxnOp) -> bool:
    try:
        await writer.write(op)
    except ConsulRefused:
        return True
    return False
