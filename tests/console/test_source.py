"""The console's source on a real Consul: what it posts when something changes, or Consul goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from console_listener import Listener
from consul_agents import ConsulAgent, client_of
from hand_made import lead, register, release
from rights_bench import tokens_for
from tcp_proxy import Mode, TcpProxy

from console.snapshot import Snapshot
from console.source import POLLS_LIVE_S, POLLS_S, Source
from coord.clock import SystemClock
from coord.config import Settings
from coord.consul import ConsulApi, ConsulClient, ConsulUnavailable, KVEntry, Reply
from coord.doctor import Code, Here, Stage
from coord.election.timing import Timing
from coord.members import Seen
from coord.polling.paths import PollPaths
from coord.polling.records import JobState, PollError, ResultRecord, ScheduleRecord
from coord.polling.store import put_schedule
from coord.records import POLLER_SERVICE, AuditRecord, Paths
from coord.rights import Role
from coord.runbooks import runbook_names
from coord.telemetry import BecameLeader
from coord.telemetry.journal import Journal


@asynccontextmanager
async def listening(
    consul: ConsulApi, paths: Paths, *, polls_s: float = POLLS_S
) -> AsyncIterator[Listener]:
    listener = Listener()
    source = Source(consul, paths, clock=SystemClock(), address="here", polls_s=polls_s)
    running = asyncio.create_task(source.run(listener.post))
    try:
        yield listener
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def paths(name: str) -> Paths:
    return Paths(name)


def leader_of(snapshot: Snapshot) -> str | None:
    return None if snapshot.status is None else snapshot.status.leader_node


async def test_each_change_of_the_leader_is_posted(consul: ConsulClient, paths: Paths) -> None:
    async with listening(consul, paths) as listener:
        none_yet = await listener.until(lambda s: s.status and s.past and s.contact.latency_ms)
        tenure = await lead(consul, paths, "core-1", 1)
        led = await listener.until(leader_of)
        await release(consul, paths, tenure, why="handed_over")
        await listener.until(lambda s: leader_of(s) is None)

    assert (none_yet.address, none_yet.election) == ("here", paths.election)
    assert leader_of(none_yet) is None
    assert leader_of(led) == "core-1"


async def test_members_are_posted_as_they_come(consul: ConsulClient, paths: Paths) -> None:
    async with listening(consul, paths) as listener:
        await listener.until(lambda s: s.status)
        await register(consul, paths.candidate_service, "core-1")
        found = await listener.until(lambda s: s.status and s.status.candidates.items)

    assert found.status is not None
    assert [member.node for member in found.status.candidates.items] == ["core-1"]


async def test_the_journal_and_the_history_follow(consul: ConsulClient, paths: Paths) -> None:
    at_ms = SystemClock().wall_ms()
    journal = Journal(paths, "core-1")
    writing = asyncio.create_task(journal.run(consul))
    try:
        async with listening(consul, paths) as listener:
            before = await listener.until(lambda s: s.past)
            journal.handle(
                BecameLeader(
                    node="core-1", node_type="core", election=paths.election, term=3, at_ms=at_ms
                )
            )
            told = await listener.until(lambda s: s.past and s.past.entries)
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)

    assert before.past is not None
    assert before.past.entries == ()
    assert told.past is not None
    assert [entry.event for entry in told.past.entries] == [BecameLeader.EVENT]
    assert [(t.node, t.term) for t in told.past.history.tenures] == [("core-1", 3)]


async def test_what_was_read_stays_while_consul_is_away(
    consul: ConsulClient, consul_agent: ConsulAgent, paths: Paths
) -> None:
    await lead(consul, paths, "core-1", 1)
    async with TcpProxy("127.0.0.1", consul_agent.ports.http) as proxy:
        address = Settings(environ={}, consul_addr=proxy.address, node="x").consul_address
        async with ConsulClient(address) as through, listening(through, paths) as listener:
            read = await listener.until(lambda s: s.status and s.past)
            await proxy.set(Mode.REFUSE)
            lost = await listener.until(lambda s: s.failing and s.past_error)
            await proxy.set(Mode.PASS)
            back = await listener.until(lambda s: not s.failing and not s.past_error)

    assert lost.failing is not None
    assert isinstance(lost.failing.error, ConsulUnavailable)
    assert leader_of(lost) == "core-1"
    assert lost.past is not None
    assert lost.failing.since >= read.read_at
    assert lost.failing.since == lost.read_at
    assert back.read_at > lost.read_at


async def test_without_consul_from_the_start(consul_agent: ConsulAgent, paths: Paths) -> None:
    async with TcpProxy("127.0.0.1", consul_agent.ports.http) as proxy:
        await proxy.set(Mode.REFUSE)
        address = Settings(environ={}, consul_addr=proxy.address, node="x").consul_address
        clock = SystemClock()
        before = clock.now()
        async with ConsulClient(address) as through, listening(through, paths) as listener:
            lost = await listener.until(lambda s: s.failing)
            with pytest.raises(ConsulUnavailable):
                await Source(through, paths, clock=clock).read_once()

    assert lost.status is None
    assert lost.failing is not None
    assert before <= lost.failing.since <= clock.now()


async def test_once_reads_everything(consul: ConsulClient, paths: Paths) -> None:
    await lead(consul, paths, "core-1", 1)
    clock = SystemClock()
    snapshot = await Source(consul, paths, clock=clock).read_once()

    assert leader_of(snapshot) == "core-1"
    assert snapshot.past is not None
    assert [tenure.node for tenure in snapshot.past.history.tenures] == ["core-1"]
    assert snapshot.contact.latency_ms is not None
    assert snapshot.contact.servers
    assert snapshot.wall_ms(clock.now()) >= (snapshot.status.at_ms if snapshot.status else 0)


async def test_a_busy_fleet_costs_few_readings(consul: ConsulClient, paths: Paths) -> None:
    """However often something changes, the status is read a bounded number of times."""
    loop = asyncio.get_running_loop()
    async with listening(consul, paths) as listener:
        await listener.until(lambda s: s.status and s.past)
        seen, began = len({s.read_at for s in listener.posted}), loop.time()
        for i in range(100):
            await consul.kv_put(paths.leader, str(i).encode())
        took = loop.time() - began
        await listener.until(lambda s: s.status and s.status.leader.detail)
        read = len({s.read_at for s in listener.posted}) - seen

    assert read <= 2 + took / 0.2


async def test_how_polls_fare_is_read_and_stays_while_it_cannot_be(
    consul: ConsulClient, consul_agent: ConsulAgent, paths: Paths
) -> None:
    checks = [{"kind": "tcp", "target": "db:5432"}]
    schedule = ScheduleRecord.model_validate({"id": "db", "interval": "1h", "checks": checks})
    async with TcpProxy("127.0.0.1", consul_agent.ports.http) as proxy:
        address = Settings(environ={}, consul_addr=proxy.address, node="x").consul_address
        async with (
            ConsulClient(address) as through,
            listening(through, paths, polls_s=0.1) as listener,
        ):
            none = await listener.until(lambda s: s.polls)
            await put_schedule(consul, paths, schedule)
            new = await listener.until(lambda s: s.polls and s.polls.schedules)
            await proxy.set(Mode.REFUSE)
            lost = await listener.until(lambda s: s.polls_error)
            await proxy.set(Mode.PASS)
            await listener.until(lambda s: not s.polls_error)

    assert none.polls is not None
    assert (none.polls.seen, none.polls.schedules) == (Seen.KNOWN, 0)
    assert new.polls is not None
    assert (new.polls.enabled, new.polls.new, new.polls.troubled) == (1, 1, 0)
    assert isinstance(lost.polls_error, ConsulUnavailable)
    assert lost.polls is not None
    assert lost.polls.schedules == 1


class Counted(ConsulClient):
    """Keeps what it is asked below `polls/`, and for pollers."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.asked: list[str] = []

    async def kv_list(self, prefix: str, **how: Any) -> Reply[tuple[KVEntry, ...]]:
        if "/polls/" in prefix:
            self.asked.append("list" if how.get("index") is None else "wait")
        return await super().kv_list(prefix, **how)

    async def kv_get(self, key: str, **how: Any) -> Reply[KVEntry | None]:
        if "/polls/" in key:
            self.asked.append("key")
        return await super().kv_get(key, **how)


def schedule_of(name: str, **fields: Any) -> ScheduleRecord:
    checks = [{"kind": "tcp", "target": "db:5432"}]
    made = {"id": name, "interval": "1h", "checks": checks}
    return ScheduleRecord.model_validate(made | fields)


async def result_for(consul: ConsulApi, paths: Paths, name: str, **fields: Any) -> None:
    made: dict[str, Any] = {"state": JobState.COMPLETED, "ok": True}
    now_ms = SystemClock().wall_ms()
    record = ResultRecord(
        schedule=name, job=f"{name}.1", attempt=1, term=1, due_ms=now_ms, finished_ms=now_ms,
        **made | fields,
    )  # fmt: skip
    await consul.kv_put(PollPaths(paths).result(name), record.encode())


async def test_while_nobody_looks_at_the_schedules_one_request_reads_all_of_them(
    consul: ConsulClient, consul_agent: ConsulAgent, paths: Paths
) -> None:
    await put_schedule(consul, paths, schedule_of("db"))
    await result_for(consul, paths, "db")
    address = Settings(environ={}, consul_addr=consul_agent.http_addr, node="x").consul_address
    async with Counted(address) as counted, listening(counted, paths) as listener:
        read = await listener.until(lambda s: s.poll_board)
        assert counted.asked == ["list"]
    assert read.poll_board is not None
    assert list(read.poll_board.rows) == ["db"]
    assert read.poll_board.pollers is None
    assert read.polls is not None
    assert read.polls.up == 1


async def test_while_somebody_looks_changes_are_waited_for_and_pollers_looked_for(
    consul: ConsulClient, consul_agent: ConsulAgent, paths: Paths
) -> None:
    await put_schedule(consul, paths, schedule_of("db"))
    await result_for(consul, paths, "db")
    node = paths.election
    await register(
        consul, POLLER_SERVICE, node, election=paths.election, capacity="4", domain="fra"
    )
    address = Settings(environ={}, consul_addr=consul_agent.http_addr, node="x").consul_address
    async with Counted(address) as counted:
        listener, clock = Listener(), SystemClock()
        source = Source(counted, paths, clock=clock)
        running = asyncio.create_task(source.run(listener.post))
        try:
            await listener.until(lambda s: s.poll_board)
            source.want_polls(True)
            seen = await listener.until(lambda s: s.poll_board and s.poll_board.pollers)
            began = clock.now()
            error = PollError.NO_POLLER
            await result_for(consul, paths, "db", ok=None, error=error, state=JobState.FAILED)
            await listener.until(lambda s: s.polls and s.polls.unanswered)
            # It hangs until something changes, and what it waits for is bounded.
            took = clock.now() - began
            assert counted.asked.count("wait") <= 2 + took / POLLS_LIVE_S
            assert counted.asked.count("list") == 2
            source.want_polls(False)
            await result_for(consul, paths, "db")
            await listener.until(lambda s: s.polls and s.polls.up)
            left = len(counted.asked)
            await result_for(consul, paths, "db", ok=False)
            before = listener.posted[-1].read_at
            await listener.until(lambda s: s.read_at > before)
            assert len(counted.asked) == left
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    assert seen.poll_board is not None
    (poller,) = seen.poll_board.pollers or ()
    assert (poller.node, poller.capacity, poller.domain) == (paths.election, 4, "fra")


async def test_what_cannot_be_read_of_polls_is_on_the_board(
    consul: ConsulClient, paths: Paths
) -> None:
    keys = PollPaths(paths)
    await put_schedule(consul, paths, schedule_of("db"))
    await consul.kv_put(keys.schedules + "torn", b"{")
    await consul.kv_put(keys.job("db.1"), b"{")
    board = (await Source(consul, paths, clock=SystemClock()).read_once()).poll_board
    assert board is not None
    assert board.rows["torn"].schedule is None
    assert [each.key for each in board.unreadable] == [keys.job("db.1")]


async def test_polls_that_may_not_be_seen_are_not_taken_for_none(
    locked_agent: ConsulAgent, paths: Paths
) -> None:
    token = tokens_for(locked_agent, paths.election)[Role.POLLER]
    async with client_of(locked_agent, token=token) as poller:
        snapshot = await Source(poller, paths, clock=SystemClock()).read_once()
    assert snapshot.polls is not None
    assert snapshot.polls.seen is Seen.NOT_PERMITTED
    assert snapshot.poll_board is not None
    assert snapshot.poll_board.seen is Seen.NOT_PERMITTED


# --- what is read when somebody asks ---


async def test_sessions_are_read_while_somebody_looks_at_them(
    consul: ConsulClient, paths: Paths
) -> None:
    tenure = await lead(consul, paths, "core-1", 1)
    listener = Listener()
    source = Source(consul, paths, clock=SystemClock(), refresh_s=0.5)
    running = asyncio.create_task(source.run(listener.post))
    try:
        before = await listener.until(lambda s: s.status and s.past and s.runbooks)
        source.want_sessions(True)
        seen = await listener.until(lambda s: s.sessions and s.sessions.items)
        await consul.session_create(
            name=f"{paths.election} candidate core-2", checks=["serfHealth"], lock_delay_s=1.0
        )
        more = await listener.until(lambda s: s.sessions and len(s.sessions.items) == 2)
        source.want_sessions(False)
        read_at = {s.sessions_at for s in listener.posted}
        await listener.until(lambda s: s.read_at > more.read_at + 1.0)
        late = {s.sessions_at for s in listener.posted} - read_at
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert before.sessions is None
    assert seen.sessions is not None
    assert [(each.id, each.holds) for each in seen.sessions.items] == [(tenure.session, True)]
    assert more.sessions is not None
    assert [each.holds for each in more.sessions.items] == [True, False]
    assert len(late) <= 1  # one that was under way


async def test_the_doctor_looks_and_tells_how_far_he_is(consul: ConsulClient, paths: Paths) -> None:
    listener = Listener()
    source = Source(consul, paths, clock=SystemClock(), here=Here(node="here", timing=Timing()))
    running = asyncio.create_task(source.run(listener.post))
    try:
        await listener.until(lambda s: s.status)
        looking = asyncio.create_task(source.examine())
        found = await listener.until(lambda s: s.examination and s.examination.report)
        await looking
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    told = [s.examination.progress for s in listener.posted if s.examination]
    assert [each.stage for each in dict.fromkeys(told) if each][:2] == [
        Stage.LOOKING, Stage.TRYING_RIGHTS,
    ]  # fmt: skip
    assert found.examination is not None
    assert found.examination.report is not None
    assert found.examination.report.has(Code.NO_CANDIDATES)
    assert found.examination.progress is None
    assert not found.examination.called_off


async def test_the_doctor_can_be_called_off_and_what_he_found_before_stays(
    consul: ConsulClient, paths: Paths
) -> None:
    listener = Listener()
    source = Source(consul, paths, clock=SystemClock(), here=Here(node="here", timing=Timing()))
    running = asyncio.create_task(source.run(listener.post))
    try:
        await listener.until(lambda s: s.status)
        await source.examine()
        # Two that discovery shows are looked at twice, seconds apart.
        for term in (1, 2):
            await register(consul, paths.leader_service, f"core-{term}", term=str(term))
        looking = asyncio.create_task(source.examine())
        await listener.until(
            lambda s: (
                s.examination
                and s.examination.progress
                and s.examination.progress.stage is Stage.WAITING
            )
        )
        looking.cancel()
        off = await listener.until(lambda s: s.examination and s.examination.called_off)
    finally:
        running.cancel()
        await asyncio.gather(running, looking, return_exceptions=True)

    assert off.examination is not None
    assert off.examination.progress is None
    assert off.examination.report is not None
    assert off.examination.report.has(Code.NO_CANDIDATES)


async def test_operations_come_with_the_past(consul: ConsulClient, paths: Paths) -> None:
    record = AuditRecord(
        operation="pause",
        actor="ann",
        reason="a test",
        request_id="0123456789abcdef",
        at=datetime.now(UTC),
    )
    async with listening(consul, paths) as listener:
        await listener.until(lambda s: s.past)
        await consul.kv_put(record.key(paths), record.encode())
        told = await listener.until(lambda s: s.past and s.past.operations)

    assert told.past is not None
    assert [entry.record for entry in told.past.operations] == [record]


async def test_elections_are_found_or_it_is_told_why_not(
    consul: ConsulClient, paths: Paths
) -> None:
    await lead(consul, paths, "core-1", 1)
    found = await Source(consul, paths, clock=SystemClock()).read_elections()
    assert found.listing is not None
    assert paths.election in [each.name for each in found.listing.items]
    address = Settings(environ={}, consul_addr="127.0.0.1:1", node="x").consul_address
    async with ConsulClient(address) as nobody:
        lost = await Source(nobody, paths, clock=SystemClock()).read_elections()
    assert lost.listing is None
    assert isinstance(lost.error, ConsulUnavailable)


async def test_the_runbooks_are_there(consul: ConsulClient, paths: Paths) -> None:
    async with listening(consul, paths) as listener:
        found = await listener.until(lambda s: s.runbooks)
    assert [book.name for book in found.runbooks] == list(runbook_names())
