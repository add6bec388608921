"""What operators ask, in snapshots of a real Consul: read, watched, and not to be seen."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest
from consul_agents import ROOT_TOKEN, ConsulAgent, acl_settings, client_of, eventually
from hand_made import lead, make_token

from coord.clock import SystemClock
from coord.consul import Consistency, ConsulAddress, ConsulApi, ConsulClient, KVEntry, Reply
from coord.election.timing import Timing
from coord.identity import Identity
from coord.members import Role, Seen, member
from coord.node_type import EligibleWhy, NodeType
from coord.records import Control, DrainRecord, Paths, PauseRecord, RequestKind, RequestRecord, utc
from coord.registration import SETTLE_S, CandidateService
from coord.status import ClusterStatus, node_status, read_status, to_dict, watch_status

GENEROUS_S = 60.0


@pytest.fixture
def paths(name: str) -> Paths:
    return Paths(name)


def said(record: type[Control], /, **fields: object) -> bytes:
    common = {
        "actor": "alice",
        "reason": "a test",
        "request_id": uuid.uuid4().hex[:16],
        "at": utc(SystemClock().wall_ms()),
    }
    return record.model_validate(common | fields).encode()


async def status_of(consul: ConsulApi, paths: Paths) -> ClusterStatus:
    return await read_status(consul, paths, clock=SystemClock())


async def test_nothing_is_asked(consul: ConsulClient, paths: Paths) -> None:
    status = await status_of(consul, paths)
    assert status.controls.seen is Seen.KNOWN
    assert status.controls.asked.pause is None
    assert to_dict(status)["paused"] is False


async def test_what_is_asked_is_read(consul: ConsulClient, paths: Paths) -> None:
    await consul.kv_put(paths.keep, b"")
    await consul.kv_put(paths.pause, said(PauseRecord, for_ms=600_000))
    await consul.kv_put(paths.drain("core-2"), said(DrainRecord))
    asked = said(RequestRecord, kind=RequestKind.STEP_DOWN, expected_term=7)
    await consul.kv_put(paths.request, asked)
    controls = (await status_of(consul, paths)).controls
    assert controls.seen is Seen.KNOWN
    assert controls.asked.pause is not None
    assert controls.asked.drained.keys() == {"core-2"}
    assert controls.asked.request is not None
    assert controls.asked.kept


async def test_a_record_that_cannot_be_read_is_said(consul: ConsulClient, paths: Paths) -> None:
    await consul.kv_put(paths.pause, b"\xff\x1b[2J")
    controls = (await status_of(consul, paths)).controls
    assert (controls.asked.pause, list(controls.asked.unreadable)) == (None, [paths.pause])


# --- watching ---


async def test_a_watch_tells_of_a_pause_and_of_its_end(consul: ConsulClient, paths: Paths) -> None:
    """Long before it would read again by itself."""
    await consul.kv_put(paths.keep, b"")
    watching = watch_status(consul, paths, clock=SystemClock(), refresh_s=10 * GENEROUS_S)
    async with aclosing(watching) as snapshots, asyncio.timeout(GENEROUS_S):
        first = await anext(snapshots)
        assert isinstance(first, ClusterStatus)
        assert first.controls.asked.pause is None
        await consul.kv_put(paths.pause, said(PauseRecord, for_ms=600_000))
        async for snapshot in snapshots:
            assert isinstance(snapshot, ClusterStatus)
            if snapshot.controls.asked.pause is not None:
                break
        await consul.kv_delete(paths.pause)
        async for snapshot in snapshots:
            assert isinstance(snapshot, ClusterStatus)
            if snapshot.controls.asked.pause is None:
                return


class Counting(ConsulClient):
    """A real client that counts the lists it asks for, by prefix, and its registrations."""

    def __init__(self, agent: ConsulAgent) -> None:
        super().__init__(ConsulAddress(agent.http_url), request_timeout_s=10.0)
        self.blocking: dict[str, int] = {}
        self.registered = 0

    async def kv_list(
        self,
        prefix: str,
        *,
        consistency: Consistency = Consistency.DEFAULT,
        index: int | None = None,
        wait_s: float | None = None,
        deadline_s: float | None = None,
    ) -> Reply[tuple[KVEntry, ...]]:
        if index is not None:
            self.blocking[prefix] = self.blocking.get(prefix, 0) + 1
        return await super().kv_list(
            prefix, consistency=consistency, index=index, wait_s=wait_s, deadline_s=deadline_s
        )

    async def service_register(self, *args: object, **kwargs: object) -> None:
        self.registered += 1
        await super().service_register(*args, **kwargs)  # type: ignore[arg-type]


async def test_a_watch_on_no_key_is_not_driven_by_every_write_beside_it(
    consul: ConsulClient, consul_agent: ConsulAgent, paths: Paths
) -> None:
    writes = 0

    async def write() -> None:
        nonlocal writes
        while True:
            await consul.kv_put(f"{paths.root}beside", str(writes).encode())
            writes += 1

    async with Counting(consul_agent) as counting:
        watching = watch_status(counting, paths, clock=SystemClock(), refresh_s=10 * GENEROUS_S)
        async with aclosing(watching) as snapshots, asyncio.timeout(GENEROUS_S):
            await anext(snapshots)
            began = SystemClock().now()
            writing = asyncio.create_task(write())
            try:
                # It must go on being told: two more wakes for nothing, and then a real one.
                await eventually(lambda: _value(counting.blocking.get(paths.control, 0) >= 3))
                woken, took_s = counting.blocking[paths.control], SystemClock().now() - began
                assert woken <= 2 + took_s
                assert writes > 3 * woken
                await consul.kv_put(paths.pause, said(PauseRecord, for_ms=600_000))
                async for snapshot in snapshots:
                    assert isinstance(snapshot, ClusterStatus)
                    if snapshot.controls.asked.pause is not None:
                        break
            finally:
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)


async def _value(value: bool) -> bool:
    return value


# --- rights ---


@pytest.fixture
async def locked_down(make_agent: Callable[..., ConsulAgent], paths: Paths) -> ConsulAgent:
    """An agent that allows nothing without a token, with a paused election on it."""
    agent = await asyncio.to_thread(make_agent, token=ROOT_TOKEN, extra=acl_settings())
    async with client_of(agent, token=ROOT_TOKEN) as root:

        async def paused() -> bool:
            try:
                return await root.kv_put(paths.pause, said(PauseRecord, for_ms=600_000))
            except Exception:
                return False

        await eventually(paused)
        await lead(root, paths, "core-1", 7)
        await root.kv_put(paths.drain("core-2"), said(DrainRecord))
    return agent


@pytest.fixture
async def reader(locked_down: ConsulAgent) -> AsyncIterator[Callable[[str], ConsulClient]]:
    clients: list[ConsulClient] = []

    def make(rules: str) -> ConsulClient:
        clients.append(client_of(locked_down, token=make_token(locked_down, rules)))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


ALL = 'key_prefix "service/" { policy = "read" }'
ONLY_THE_LOCK = """
key_prefix "service/" { policy = "read" }
key_prefix "service/NAME/control/" { policy = "deny" }
"""
ONLY_DRAINS = """
key_prefix "service/" { policy = "read" }
key_prefix "service/NAME/control/" { policy = "deny" }
key_prefix "service/NAME/control/drain/" { policy = "read" }
"""


@pytest.mark.parametrize(
    ("rules", "seen", "drained"),
    [
        (ALL, Seen.KNOWN, {"core-2"}),
        (ONLY_THE_LOCK, Seen.NOT_PERMITTED, set()),
        (ONLY_DRAINS, Seen.NOT_PERMITTED, {"core-2"}),
    ],
)
async def test_what_may_not_be_seen_is_never_taken_for_nothing_asked(
    reader: Callable[[str], ConsulClient],
    paths: Paths,
    rules: str,
    seen: Seen,
    drained: set[str],
) -> None:
    status = await status_of(reader(rules.replace("NAME", paths.election)), paths)
    assert status.leader_node == "core-1"
    assert (status.controls.seen, set(status.controls.asked.drained)) == (seen, drained)
    assert to_dict(status)["paused"] is (True if seen is Seen.KNOWN else None)


# --- what candidates tell ---


class HandClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = 1_000.0

    def now(self) -> float:
        return self.at

    def wall_ms(self) -> int:
        return 1_800_000_000_000 + round(self.at * 1000)


async def test_a_candidate_tells_since_when_and_until_when_and_a_new_end_costs_no_write(
    consul: ConsulClient, consul_agent: ConsulAgent, paths: Paths
) -> None:
    identity = Identity(
        node="core-2",
        node_type=NodeType.CORE,
        election=paths.election,
        eligible=True,
        eligible_why=EligibleWhy.NODE_TYPE_MAY_LEAD,
        boot_id="b" * 32,
        advertise="127.0.0.1:8611",
    )
    clock = HandClock()
    passes = asyncio.Queue[float]()

    async def passed(times: int) -> None:
        for _ in range(times):
            await passes.get()

    async with Counting(consul_agent) as counting, asyncio.timeout(GENEROUS_S):
        service = CandidateService(counting, paths, identity, Timing(check_ttl=0.4))

        def say(until: float) -> None:
            service.heard_at = clock.now()
            service.say(
                "cooling", "cooling_down", clock.now(), wall_ms=clock.wall_ms(), until=until
            )

        for never in (float("inf"), float("-inf"), None):
            service.say("joining", "no_session", 1.0, wall_ms=clock.wall_ms(), until=never)
        await service.ensure()
        began_ms = clock.wall_ms()
        say(clock.now() + 10)
        keeping = asyncio.create_task(
            service.keep_alive(
                on_forgotten=lambda: None,
                on_passed=lambda: passes.put_nowait(clock.now()),
                on_error=lambda error: None,
                on_lag=lambda lag: None,
                clock=clock,
            )
        )
        try:
            await passed(2)
            clock.at += SETTLE_S / 2
            say(clock.now() + 20)
            await passed(3)
            told = counting.registered
            for _ in range(5):
                clock.at += SETTLE_S
                say(clock.now() + 20)
                await passed(2)
            assert counting.registered == told
            (instance,) = (await consul.health_service(paths.candidate_service)).value
            found = member(Role.CANDIDATE, instance)
            assert (found.state, found.why_not) == ("cooling", "cooling_down")
            assert (found.since_ms, found.until_ms) == (began_ms, began_ms + 10_000)
            view = node_status(await status_of(consul, paths), "core-2")
            assert (view.since_ms, view.until_ms) == (found.since_ms, found.until_ms)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await service.deregister()
