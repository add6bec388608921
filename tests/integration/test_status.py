"""`ClusterStatus` read from a real Consul: conditions of the leader key, and lacks of rights."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from consul_agents import ROOT_TOKEN, ConsulAgent, Mode, acl_settings, client_of, eventually
from hand_made import lead, make_token, record, register, release, tell
from openapi_checks import check
from rich.console import Console

from coord.api import ElectionView, create_api
from coord.clock import SystemClock
from coord.consul import (
    CheckStatus,
    ConsulAddress,
    ConsulApi,
    ConsulClient,
    ConsulUnavailable,
    Denied,
)
from coord.election.reasons import WhyNot
from coord.identity import Identity
from coord.node_type import EligibleWhy, NodeType
from coord.polling.overview import PollOverview, read_overview
from coord.polling.records import JobRecord, ResultRecord, ScheduleRecord
from coord.polling.store import PollPaths, put_schedule
from coord.records import POLLER_SERVICE, LeaderState, Paths
from coord.status import (
    ClusterStatus,
    Condition,
    Oddity,
    Role,
    Seen,
    TermCondition,
    Unavailable,
    node_status,
    read_status,
    to_json,
    watch_status,
)
from coord.status.text import render_node, render_status
from coord.telemetry import Telemetry
from coord.telemetry.metrics import Metrics

GENEROUS_S = 60.0


@pytest.fixture
def paths(name: str) -> Paths:
    return Paths(name)


async def status_of(consul: ConsulApi, paths: Paths) -> ClusterStatus:
    return await read_status(consul, paths, clock=SystemClock())


# --- the leader key in each condition ---


async def test_missing(consul: ConsulClient, paths: Paths) -> None:
    status = await status_of(consul, paths)
    assert (status.leader.condition, status.term.condition) == (
        Condition.MISSING,
        TermCondition.MISSING,
    )
    assert status.leader_node is None


async def test_created_vacant(consul: ConsulClient, paths: Paths) -> None:
    assert await consul.kv_put(paths.leader, record(LeaderState.VACANT, "", 0), cas=0)
    status = await status_of(consul, paths)
    assert (status.leader.condition, status.leader.handed_over, status.leader.oddities) == (
        Condition.VACANT,
        False,
        (),
    )


async def test_held(consul: ConsulClient, paths: Paths) -> None:
    tenure = await lead(consul, paths, "core-1", 7)
    status = await status_of(consul, paths)
    leader = status.leader
    assert (leader.condition, status.leader_node, leader.term) == (Condition.HELD, "core-1", 7)
    assert leader.session == tenure.session
    assert (status.term.value, status.term.fenced_within_ms) == (7, 2500)
    assert (leader.lock_index, leader.oddities) == (1, ())
    assert not status.stale
    assert status.consul.leader
    assert status.consul.version is not None


async def test_handed_over(consul: ConsulClient, paths: Paths) -> None:
    await release(consul, paths, await lead(consul, paths, "core-1", 7), why="handed_over")
    status = await status_of(consul, paths)
    leader = status.leader
    assert (leader.condition, leader.handed_over) == (Condition.VACANT, True)
    assert (leader.why, leader.by, leader.node) == ("handed_over", "core-1", "core-1")
    assert status.leader_node is None


async def test_vanished(consul: ConsulClient, paths: Paths) -> None:
    tenure = await lead(consul, paths, "core-1", 7)
    await consul.session_destroy(tenure.session)
    leader = (await status_of(consul, paths)).leader
    assert (leader.condition, leader.handed_over, leader.oddities) == (Condition.VACANT, False, ())


async def test_edited_while_held(consul: ConsulClient, paths: Paths) -> None:
    await lead(consul, paths, "core-1", 7)
    await consul.kv_put(paths.leader, record(LeaderState.VACANT, "mallory", 7))
    leader = (await status_of(consul, paths)).leader
    assert (leader.condition, leader.locked) == (Condition.HELD, True)
    assert set(leader.oddities) == {Oddity.EDITED, Oddity.RECORD_SAYS_VACANT}


async def test_a_hand_over_that_was_edited_counts_no_more(
    consul: ConsulClient, paths: Paths
) -> None:
    await release(consul, paths, await lead(consul, paths, "core-1", 7), why="handed_over")
    await consul.kv_put(paths.leader, record(LeaderState.VACANT, "core-1", 7, why="handed_over"))
    leader = (await status_of(consul, paths)).leader
    assert (leader.handed_over, leader.oddities) == (False, (Oddity.EDITED,))


async def test_unreadable_with_and_without_a_session(consul: ConsulClient, paths: Paths) -> None:
    tenure = await lead(consul, paths, "core-1", 7)
    await consul.kv_put(paths.leader, b"\xff\x00 not a record")
    leader = (await status_of(consul, paths)).leader
    assert (leader.condition, leader.locked, leader.session) == (
        Condition.UNREADABLE,
        True,
        tenure.session,
    )
    await consul.session_destroy(tenure.session)
    leader = (await status_of(consul, paths)).leader
    assert (leader.condition, leader.locked) == (Condition.UNREADABLE, False)


async def test_the_term_key_gone_wrong(consul: ConsulClient, paths: Paths) -> None:
    await lead(consul, paths, "core-1", 7)
    await consul.kv_put(paths.term, b"8")
    assert (await status_of(consul, paths)).leader.oddities == (Oddity.TERM_MISMATCH,)
    await consul.kv_put(paths.term, b"eight")
    assert (await status_of(consul, paths)).leader.oddities == (Oddity.TERM_UNREADABLE,)
    await consul.kv_delete(paths.term)
    assert (await status_of(consul, paths)).leader.oddities == (Oddity.TERM_MISSING,)


# --- members ---


async def test_members_and_why_they_do_not_lead(consul: ConsulClient, paths: Paths) -> None:
    await lead(consul, paths, "core-1", 7)
    candidates = paths.candidate_service
    await register(consul, candidates, "core-1", note="leading", election=paths.election)
    await register(consul, candidates, "core-2", note="cooling cooling_down", api="10.0.0.2:1")
    old = {"status": CheckStatus.CRITICAL, "boot": "b1"}
    await register(consul, candidates, "core-3", note="standby held_by_other", **old)  # type: ignore[arg-type]
    await register(consul, paths.observer_service, "web-9", note="observer not_eligible")
    pollers = {"note": "poller", "election": paths.election}
    await register(consul, POLLER_SERVICE, f"p-{paths.election}", **pollers)  # type: ignore[arg-type]
    meta = {"term": "7", "address": "127.0.0.1:8610", "session": "s"}
    await register(consul, paths.leader_service, "core-1", note="working", **meta)  # type: ignore[arg-type]

    status = await status_of(consul, paths)
    assert [item.node for item in status.candidates.items] == ["core-1", "core-2", "core-3"]
    assert status.candidates.items[1].address == "10.0.0.2:1"
    assert [item.node for item in status.observers.items] == ["web-9"]
    assert f"p-{paths.election}" in [item.node for item in status.pollers.items]
    (listed,) = status.leader_service.items
    assert (listed.node, listed.term, listed.passing) == ("core-1", 7, True)

    reasons = {node: node_status(status, node).why_not for node in ("core-2", "core-3", "web-9")}
    assert reasons == {
        "core-2": WhyNot.COOLING_DOWN,
        "core-3": WhyNot.CHECK_CRITICAL,
        "web-9": WhyNot.NOT_ELIGIBLE,
    }
    assert node_status(status, "core-1").leads
    assert node_status(status, "web-9").roles == (Role.OBSERVER,)
    assert node_status(status, "nobody").seen is Seen.KNOWN


async def test_hostile_registrations_are_read_and_shown(consul: ConsulClient, paths: Paths) -> None:
    evil = "\x1b[2J[bold]\u202e" + "x" * 100
    await register(
        consul,
        paths.candidate_service,
        "evil",
        note="[/]\x1b[31m \u202e",
        node_type=evil,
        api=evil,
        fenced_within_ms="-9",
        eligible="perhaps",
    )
    status = await status_of(consul, paths)
    (item,) = status.candidates.items
    assert (item.node_type, item.eligible, item.fenced_within_ms) == (evil, None, None)
    assert to_json(status).isascii()
    assert render_status(status, width=40)


# --- rights ---


@pytest.fixture
async def locked_down(make_agent: Callable[..., ConsulAgent], paths: Paths) -> ConsulAgent:
    """An agent that allows nothing without a token, with a leader and a candidate on it."""
    agent = await asyncio.to_thread(make_agent, token=ROOT_TOKEN, extra=acl_settings())
    async with client_of(agent, token=ROOT_TOKEN) as root:
        await eventually(lambda: _writes(root, paths))
        await lead(root, paths, "core-1", 7)
        await register(root, paths.candidate_service, "core-1", note="leading")
    return agent


async def _writes(consul: ConsulClient, paths: Paths) -> bool:
    try:
        return await consul.kv_put(paths.root + "probe", b"")
    except Exception:
        return False


READER = """
key_prefix "service/" { policy = "read" }
service_prefix "" { policy = "read" }
node_prefix "" { policy = "read" }
agent_prefix "" { policy = "read" }
"""


async def test_with_a_readers_rights_empty_means_none(
    locked_down: ConsulAgent, paths: Paths
) -> None:
    token = await asyncio.to_thread(make_token, locked_down, READER)
    async with client_of(locked_down, token=token) as consul:
        status = await status_of(consul, paths)
    assert (status.leader_node, status.term.value) == ("core-1", 7)
    assert (status.candidates.seen, len(status.candidates.items)) == (Seen.KNOWN, 1)
    assert (status.observers.seen, status.observers.items) == (Seen.KNOWN, ())


@pytest.mark.parametrize(
    ("token", "denied", "said"),
    [
        ("none", Denied.NO_TOKEN, "no token is set"),
        ("unknown", Denied.UNKNOWN_TOKEN, "Consul does not know this token"),
        ("poor", Denied.LACKS_RIGHTS, "this token lacks key:read on service/"),
        ("some", Denied.LACKS_RIGHTS, "this token lacks key:list on service/"),
        ("reader", None, ""),
    ],
)
async def test_what_is_wrong_with_a_token_is_said(
    locked_down: ConsulAgent, paths: Paths, token: str, denied: Denied | None, said: str
) -> None:
    no_controls = f'\nkey_prefix "{paths.control}" {{ policy = "deny" }}'
    rules = {"poor": 'node_prefix "" { policy = "read" }', "some": READER + no_controls}
    given = {"none": None, "unknown": str(uuid.uuid4())}
    if token not in given:
        given[token] = await asyncio.to_thread(make_token, locked_down, rules.get(token, READER))
    async with client_of(locked_down, token=given[token]) as consul:
        status = await status_of(consul, paths)
    assert status.denied is denied
    told = json.loads(to_json(status))
    assert (told["denied"], bool(told["lacks"])) == (denied, denied is not None)
    for text in (render_status(status), render_node(node_status(status, "core-1"))):
        out = io.StringIO()
        Console(file=out, width=300).print(text)
        assert ("! " in out.getvalue()) is (denied is not None)
        assert said in out.getvalue()


async def test_a_token_file_that_cannot_be_read_is_told_apart(
    locked_down: ConsulAgent, paths: Paths, tmp_path: Path
) -> None:
    address = ConsulAddress(locked_down.http_url, token_file=tmp_path / "none")
    async with ConsulClient(address) as consul:
        assert (await status_of(consul, paths)).denied is Denied.UNREADABLE_FILE


async def test_with_no_rights_it_says_so(locked_down: ConsulAgent, paths: Paths) -> None:
    async with client_of(locked_down) as consul:
        status = await status_of(consul, paths)
    assert status.leader.condition is Condition.NOT_PERMITTED
    assert status.term.condition is TermCondition.NOT_PERMITTED
    lists = (status.candidates, status.observers, status.pollers, status.leader_service)
    assert {listing.seen for listing in lists} == {Seen.NOT_PERMITTED}
    assert status.health.seen is Seen.NOT_PERMITTED
    assert (status.consul.version, status.leader_node) == (None, None)
    assert status.consul.leader
    assert node_status(status, "core-1").seen is Seen.NOT_PERMITTED


async def test_with_rights_to_the_keys_alone(locked_down: ConsulAgent, paths: Paths) -> None:
    rules = 'key_prefix "service/" { policy = "read" }'
    token = await asyncio.to_thread(make_token, locked_down, rules)
    async with client_of(locked_down, token=token) as consul:
        status = await status_of(consul, paths)
    assert status.leader_node == "core-1"
    assert status.candidates.seen is Seen.NOT_PERMITTED


async def test_with_rights_to_one_key_of_the_two(locked_down: ConsulAgent, paths: Paths) -> None:
    rules = f'key "{paths.leader}" {{ policy = "read" }}'
    token = await asyncio.to_thread(make_token, locked_down, rules)
    async with client_of(locked_down, token=token) as consul:
        status = await status_of(consul, paths)
    assert status.leader_node == "core-1"
    assert status.term.condition is TermCondition.NOT_PERMITTED
    assert status.leader.oddities == ()


async def test_with_rights_to_some_services_nobody_can_tell(
    locked_down: ConsulAgent, paths: Paths
) -> None:
    rules = f"""
        key_prefix "service/" {{ policy = "read" }}
        node_prefix "" {{ policy = "read" }}
        service "{paths.candidate_service}" {{ policy = "read" }}
    """
    token = await asyncio.to_thread(make_token, locked_down, rules)
    async with client_of(locked_down, token=token) as consul:
        status = await status_of(consul, paths)
    assert (status.candidates.seen, len(status.candidates.items)) == (Seen.KNOWN, 1)
    assert status.observers.seen is Seen.UNKNOWN


# --- Consul away, or without a leader ---


async def test_consul_away_is_an_error(
    make_agent: Callable[..., ConsulAgent], paths: Paths
) -> None:
    agent = await asyncio.to_thread(make_agent, start=False)
    async with client_of(agent) as consul:
        with pytest.raises(ConsulUnavailable):
            await status_of(consul, paths)


async def test_without_a_consul_leader_it_is_stale(
    make_agent: Callable[..., ConsulAgent], paths: Paths
) -> None:
    """One of two servers is gone: the other still shows what it last knew."""
    one = await asyncio.to_thread(make_agent, mode=Mode.SERVER, bootstrap_expect=2, start=False)
    two = await asyncio.to_thread(
        make_agent,
        mode=Mode.SERVER,
        bootstrap_expect=2,
        retry_join=(one.serf_addr,),
        start=False,
    )
    for agent in (one, two):
        agent.start()
    for agent in (one, two):
        await asyncio.to_thread(agent.wait_ready)
    async with client_of(one, request_timeout_s=3.0) as consul:
        await lead(consul, paths, "core-1", 7)
        await register(consul, paths.candidate_service, "core-1", note="leading")
        await asyncio.to_thread(two.stop, signal.SIGKILL)

        async def stale() -> ClusterStatus | None:
            try:
                status = await status_of(consul, paths)
            except ConsulUnavailable:
                return None
            return status if status.stale else None

        status = await eventually(stale, within_s=GENEROUS_S)
    assert status is not None
    assert status.leader_node == "core-1"
    assert status.consul.leader == ""
    assert [item.node for item in status.candidates.items] == ["core-1"]


# --- watching ---


async def test_watch_yields_each_change_and_nothing_twice(
    consul: ConsulClient, paths: Paths
) -> None:
    # Refreshed so rarely that only the watches can have brought what is seen.
    watching = watch_status(consul, paths, clock=SystemClock(), refresh_s=GENEROUS_S * 10)
    async with asyncio.timeout(GENEROUS_S), aclosing(watching) as statuses:
        assert (await _next(statuses)).leader.condition is Condition.MISSING
        tenure = await lead(consul, paths, "core-1", 7)
        await _until(statuses, lambda status: status.leader_node == "core-1")
        service = paths.candidate_service
        await register(consul, service, "core-2", note="standby held_by_other")
        await _until(statuses, lambda s: [c.state for c in s.candidates.items] == ["standby"])
        await tell(consul, service, "core-2", "cooling", "cooling_down")
        await _until(statuses, lambda s: [c.state for c in s.candidates.items] == ["cooling"])
        await consul.kv_put(paths.term, b"8")
        await _until(statuses, lambda status: status.term.value == 8)
        await release(consul, paths, tenure, why="handed_over")
        await _until(statuses, lambda status: status.leader.condition is Condition.VACANT)


async def test_watch_says_once_that_consul_is_away_and_goes_on(
    make_agent: Callable[..., ConsulAgent], paths: Paths
) -> None:
    agent = await asyncio.to_thread(make_agent, mode=Mode.SERVER)
    async with client_of(agent, request_timeout_s=3.0) as consul:
        await lead(consul, paths, "core-1", 7)
        watching = watch_status(consul, paths, clock=SystemClock(), refresh_s=1.0)
        async with asyncio.timeout(GENEROUS_S), aclosing(watching) as statuses:
            assert (await _next(statuses)).leader_node == "core-1"
            await asyncio.to_thread(agent.stop, signal.SIGKILL)
            seen = [await anext(statuses)]
            while not isinstance(seen[-1], Unavailable):
                seen.append(await anext(statuses))
            await asyncio.to_thread(agent.start)
            # The next is a snapshot: being away is told once, however long it lasts.
            status = await _next(statuses)
            if status.stale or status.leader_node is None:
                await _until(statuses, lambda s: s.leader_node == "core-1" and not s.stale)


async def _next(statuses: AsyncIterator[ClusterStatus | Unavailable]) -> ClusterStatus:
    status = await anext(statuses)
    assert isinstance(status, ClusterStatus)
    return status


async def _until(
    statuses: AsyncIterator[ClusterStatus | Unavailable], is_so: Callable[[ClusterStatus], bool]
) -> None:
    """Take snapshots until one is right; each differs from the one before."""
    last: ClusterStatus | None = None
    while True:
        status = await _next(statuses)
        assert not status.same_as(last)
        if is_so(status):
            return
        last = status


# --- the API over a real Consul ---


class Node:
    """A `NodeView` whose cluster is really read."""

    def __init__(self, consul: ConsulApi, paths: Paths) -> None:
        self.identity = Identity(
            node="core-1",
            node_type=NodeType.CORE,
            election=paths.election,
            eligible=True,
            eligible_why=EligibleWhy.NODE_TYPE_MAY_LEAD,
            boot_id="b0",
            advertise="127.0.0.1:8610",
        )
        self.telemetry = Telemetry(self.identity, SystemClock())
        self.metrics = _metrics()
        self._consul, self._paths = consul, paths

    def election_view(self) -> ElectionView:
        return ElectionView(state="standby", why_not=WhyNot.HELD_BY_OTHER)

    async def cluster_status(self) -> ClusterStatus:
        return await status_of(self._consul, self._paths)

    async def polls(self) -> PollOverview:
        return await read_overview(self._consul, self._paths, clock=SystemClock())


def _metrics() -> Metrics:
    from prometheus_client import CollectorRegistry

    return Metrics(CollectorRegistry())


@asynccontextmanager
async def api_of(consul: ConsulApi, paths: Paths) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_api(Node(consul, paths)))
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        yield client


async def test_api_cluster(consul: ConsulClient, paths: Paths) -> None:
    await lead(consul, paths, "core-1", 7)
    async with api_of(consul, paths) as client:
        reply = await client.get("/api/cluster")
        health = await client.get("/api/health")
    body = json.loads(reply.text)
    assert (body["leader_node"], body["election_state"], body["term"]["value"]) == (
        "core-1",
        "held",
        7,
    )
    assert health.json()["cluster"]["leader_node"] == "core-1"


async def test_api_cluster_with_consul_away(
    make_agent: Callable[..., ConsulAgent], paths: Paths
) -> None:
    agent = await asyncio.to_thread(make_agent, start=False)
    async with client_of(agent) as consul, api_of(consul, paths) as client:
        reply = await client.get("/api/cluster")
        health = await client.get("/api/health/live")
    assert (reply.status_code, reply.json()["error"]) == (503, "consul_unreachable")
    assert health.status_code == 200


async def test_api_polls(consul: ConsulClient, paths: Paths) -> None:
    keys = PollPaths(paths)
    web = "http://127.0.0.1:1/health?key=secret"
    up = {"kind": "tcp", "target": "127.0.0.1:1"}
    for schedule_id, target in (("web", {"kind": "http", "target": web}), ("db", up)):
        await put_schedule(
            consul,
            paths,
            ScheduleRecord.model_validate(
                {"id": schedule_id, "interval": "1h", "checks": [target], "name": "the \u00e9"}
            ),
        )
    await consul.kv_put(keys.schedules + "torn", b"{")
    now_ms = SystemClock().wall_ms()
    run: dict[str, Any] = {"attempt": 2, "term": 3, "poller": "p-1", "due_ms": now_ms}
    found = {"kind": "http", "target": web, "ok": False, "latency_ms": 1.0, "error": "refused"}
    result = {"schedule": "web", "job": "web.1", "state": "completed", "ok": False, "runs": 7}
    result |= {"finished_ms": now_ms, "checks": [found | {"detail": web}], **run}
    await consul.kv_put(keys.result("web"), ResultRecord.model_validate(result).encode())
    job = {"id": "db.2", "schedule": "db", "state": "dispatching", **run}
    await consul.kv_put(keys.job("db.2"), JobRecord.model_validate(job).encode())
    async with api_of(consul, paths) as client:
        reply = await client.get("/api/polls")
    check(reply)
    assert "secret" not in reply.text
    body = reply.json()
    assert body["fares"] == {"down": 1, "new": 1, "unreadable": 1}
    seen = ("schedules_seen", "results_seen", "jobs_seen")
    assert [body[each] for each in seen] == ["known"] * 3
    by_id = {each["id"]: each for each in body["schedules"]}
    assert list(by_id) == ["db", "torn", "web"]
    web_told = by_id["web"]
    assert web_told["target"] == "http://127.0.0.1:1/health"
    assert (web_told["code"], web_told["failing"], web_told["checks"]) == ("refused", 1, 1)
    assert web_told["last"]["outcome"] == "down"
    assert (web_told["last"]["runs"], web_told["last"]["attempt"], web_told["job"]) == (7, 2, None)
    assert (by_id["db"]["job"]["id"], by_id["db"]["last"]) == ("db.2", None)
    assert (by_id["torn"]["fare"], by_id["torn"]["enabled"]) == ("unreadable", None)
