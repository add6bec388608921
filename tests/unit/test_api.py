"""The HTTP API over a node of the test's own making: every cell of the table, errors, the cache."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from api_bench import (
    ALIVE,
    SECRET,
    STATUS,
    TABLE,
    URLS,
    HandClock,
    Metrics,
    Node,
    name_of,
    serving,
    views,
)

from coord.api import (
    CACHE_S,
    PROBES,
    ClusterCache,
    ElectionView,
    Row,
    detail_of,
    row_of,
)
from coord.api.app import METRICS_S
from coord.consul import ConsulNotPermitted, ConsulRefused, ConsulUnavailable
from coord.election.reasons import WhyNot
from coord.election.states import State
from coord.supervisor import ChildState, ChildStatus
from coord.telemetry import BecameLeader

# --- the table ---


def cells() -> Iterator[tuple[ElectionView, str, int]]:
    for view, statuses in views():
        yield from ((view, url, status) for url, status in zip(URLS, statuses, strict=True))


@pytest.mark.parametrize(("view", "url", "status"), list(cells()), ids=name_of)
async def test_every_cell_of_the_table(view: ElectionView, url: str, status: int) -> None:
    async with serving(Node(view)) as client:
        reply = await client.get(url)
    assert reply.status_code == status
    body = reply.json()
    assert body["status"] == ("ok" if status == 200 else "unavailable")
    assert body["state"] == view.state
    assert body["why_not_leader"] == (view.why_not.value if view.why_not else None)


def test_the_table_has_every_state() -> None:
    assert set(TABLE) == set(State)
    assert set(PROBES) == set(State) | set(Row)


@pytest.mark.parametrize("left", [0.0, -1.0])
async def test_a_leader_whose_lease_is_over_is_none(left: float) -> None:
    view = ElectionView(state="leading", lease_remaining_s=left)
    async with serving(Node(view)) as client:
        assert tuple([(await client.get(url)).status_code for url in URLS]) == ALIVE


def test_a_state_of_another_version_is_not_ready() -> None:
    assert not PROBES[row_of(ElectionView(state="levitating"))].ready


# --- what they say ---


@pytest.mark.parametrize(
    ("why_not", "left_s", "said"),
    [
        (WhyNot.WAITING_TURN, 1.25, "for another 1.2 s"),
        (WhyNot.WAITING_TURN, -1.0, ""),
        (WhyNot.HELD_BY_OTHER, None, ""),
        (WhyNot.NOT_PERMITTED, None, "keys denied"),
        (WhyNot.NO_SESSION, 3.0, "for another 3.0 s; session denied"),
        (WhyNot.CONSUL_UNREACHABLE, None, "no answer"),
        (WhyNot.NO_CONSUL_LEADER, None, "no answer"),
        (None, None, ""),
    ],
)
def test_why_not_has_what_consul_said(
    why_not: WhyNot | None, left_s: float | None, said: str
) -> None:
    faults = {"consul": "no answer", "no_session": "session denied", "polls_not_read": "x"}
    if why_not is WhyNot.NOT_PERMITTED:
        faults = {"keys_not_read": "keys denied"}
    assert detail_of(why_not, left_s, faults) == said


@pytest.mark.parametrize("why_not", [WhyNot.HELD_BY_OTHER, WhyNot.NOT_PERMITTED, None])
def test_a_check_that_cannot_be_passed_is_told_of_whatever_else_is(why_not: WhyNot | None) -> None:
    assert detail_of(why_not, None, {"check_not_passed": "denied"}) == "denied"


async def test_health_says_all_of_it() -> None:
    work = (ChildStatus("cluster-health", ChildState.RUNNING, 2, f"boom {SECRET}", 1.0),)
    view = ElectionView(
        state="leading",
        leader_node="core-1",
        leader_term=7,
        term=7,
        lease_remaining_s=1.5,
        work=work,
    )
    async with serving(Node(view)) as client:
        reply = await client.get("/api/health")
    body = reply.json()
    expected = {
        "node": "core-1",
        "node_type": "core",
        "eligible": True,
        "state": "leading",
        "why_not_leader": None,
        "leader_node": "core-1",
        "leader_term": 7,
        "lease_remaining_s": 1.5,
        "consul": "ok",
    }
    assert expected.items() <= body.items()
    assert body["work"] == [{"id": "cluster-health", "state": "running", "restarts": 2}]
    assert body["cluster"]["leader_node"] == "core-2"
    assert body["cluster"]["pollers"]["seen"] == "not_permitted"
    assert SECRET not in reply.text


async def test_health_does_not_wait_for_consul() -> None:
    node = Node(gate=asyncio.Event())  # never set: the reading hangs
    async with serving(node) as client:
        reply = await client.get("/api/health")
    assert (reply.status_code, reply.json()["cluster"]) == (200, None)


async def test_health_asks_nothing_of_a_consul_that_is_known_to_be_away() -> None:
    node = Node(ElectionView(state="standby", consul=WhyNot.CONSUL_UNREACHABLE))
    async with serving(node) as client:
        reply = await client.get("/api/health")
    assert (reply.json()["consul"], reply.json()["cluster"]) == ("consul_unreachable", None)
    assert node.reads == 0


async def test_health_without_the_cluster_reads_nothing_of_consul() -> None:
    node = Node()
    async with serving(node) as client:
        reply = await client.get("/api/health", params={"cluster": "false"})
        assert (reply.status_code, reply.json()["cluster"], node.reads) == (200, None, 0)
        reply = await client.get("/api/health", params={"cluster": "true"})
        assert (reply.json()["cluster"]["leader_node"], node.reads) == ("core-2", 1)
        wrong = await client.get("/api/health", params={"cluster": "no"})
    assert (wrong.status_code, wrong.json()["field"]) == (400, "cluster")
    assert "false" in wrong.json()["fix"]


async def test_cluster_is_the_status_with_leader_and_election_state() -> None:
    async with serving(Node()) as client:
        reply = await client.get("/api/cluster")
    body = reply.json()
    assert reply.status_code == 200
    assert (body["leader_node"], body["election_state"]) == ("core-2", "held")
    assert (body["term"]["value"], body["observers"]["seen"]) == (7, "unknown")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConsulUnavailable("GET /v1/kv/x", "refused"), "consul_unreachable"),
        (ConsulUnavailable("GET /v1/kv/x", "none", no_leader=True), "no_consul_leader"),
        (ConsulNotPermitted("GET /v1/kv/x", "denied", status=403), "not_permitted"),
        (ConsulRefused("GET /v1/kv/x", "no", status=400), "consul_unreachable"),
    ],
)
@pytest.mark.parametrize("url", ["/api/cluster", "/api/polls"])
async def test_without_consul_there_is_a_typed_error(url: str, error: Exception, code: str) -> None:
    async with serving(Node(answer=error)) as client:
        reply = await client.get(url)
    assert reply.status_code == 503
    assert reply.json()["error"] == code
    assert reply.json()["fix"]


async def test_names_from_consul_cannot_break_the_answer() -> None:
    bad = replace(STATUS, leader=replace(STATUS.leader, node="\x1b[31m\ud800\u202e"))
    async with serving(Node(answer=bad)) as client:
        reply = await client.get("/api/cluster")
    assert reply.status_code == 200
    assert reply.text.isascii()
    assert json.loads(reply.text)["leader_node"] == "\x1b[31m\ud800\u202e"


async def test_events_are_the_recent_ones() -> None:
    node = Node()
    for term in (1, 2, 3):
        node.telemetry.emit(BecameLeader(term=term))
    async with serving(node) as client:
        every = (await client.get("/api/events")).json()["events"]
        last = (await client.get("/api/events", params={"limit": "1"})).json()["events"]
    assert [event["term"] for event in every] == [1, 2, 3]
    assert every[0]["event"] == "serviceradar.coordinator.became_leader"
    assert [event["term"] for event in last] == [3]


@pytest.mark.parametrize("limit", ["0", "-1", "x", "", "1e3", "²", "9" * 5000])
async def test_a_bad_limit_names_the_field_and_the_fix(limit: str) -> None:
    async with serving(Node()) as client:
        reply = await client.get("/api/events", params={"limit": limit})
    assert reply.status_code == 400
    assert reply.json().keys() == {"error", "field", "fix"}
    assert reply.json()["field"] == "limit"


async def test_metrics_are_passed_on_as_they_are() -> None:
    async with serving(Node()) as client:
        reply = await client.get("/metrics")
    assert reply.content == Metrics().render()[0]
    assert reply.headers["content-type"] == Metrics().render()[1]


async def test_metrics_are_made_seldom_however_many_ask() -> None:
    node, clock = Node(), HandClock()
    async with serving(node, clock) as client:
        replies = await asyncio.gather(*(client.get("/metrics") for _ in range(20)))
        assert {reply.content for reply in replies} == {b"coordinator_up 1\n"}
        clock.seconds += METRICS_S
        assert (await client.get("/metrics")).content == b"coordinator_up 2\n"


async def test_the_index_names_urls_that_answer() -> None:
    async with serving(Node()) as client:
        urls = (await client.get("/")).json()["urls"]
        answers = {url: (await client.get(url)).status_code for url in urls}
    assert set(URLS) < set(urls)
    assert answers.pop("/api/health/leader") == 503
    assert set(answers.values()) == {200}


# --- errors and manners ---


@pytest.mark.parametrize("url", ["/nothing", "/api/health/", "/api/../secret", "/%2e%2e/x"])
async def test_an_unknown_path_is_a_json_404(url: str) -> None:
    async with serving(Node()) as client:
        reply = await client.get(url)
    assert (reply.status_code, reply.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])
async def test_another_method_is_a_json_405(method: str) -> None:
    async with serving(Node()) as client:
        reply = await client.request(method, "/api/cluster")
    assert (reply.status_code, reply.json()["error"]) == (405, "method_not_allowed")
    assert set(reply.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_a_crash_is_a_json_500_that_tells_nothing() -> None:
    node = Node(answer=RuntimeError(SECRET))
    async with serving(node) as client:
        reply = await client.get("/api/cluster")
    assert (reply.status_code, reply.json()["error"]) == (500, "internal_error")
    assert SECRET not in reply.text
    assert "Traceback" not in reply.text
    assert reply.headers["x-content-type-options"] == "nosniff"


async def test_head_is_get_without_its_body() -> None:
    async with serving(Node()) as client:
        for url in ("/", *URLS, "/api/cluster", "/api/polls", "/api/events", "/metrics"):
            got, head = await client.get(url), await client.head(url)
            assert (head.status_code, head.content) == (got.status_code, b"")
            assert head.headers["content-type"] == got.headers["content-type"]


async def test_every_answer_has_modest_headers() -> None:
    async with serving(Node()) as client:
        for url in ("/", "/api/health", "/metrics", "/nothing"):
            headers = (await client.get(url)).headers
            assert headers["cache-control"] == "no-store"
            assert headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in headers["content-security-policy"]


# --- the cache ---


async def test_many_requests_at_once_are_one_reading() -> None:
    node = Node(gate=asyncio.Event())
    async with serving(node) as client:
        asked = [asyncio.create_task(client.get("/api/cluster")) for _ in range(50)]
        await node.began.wait()
        assert node.gate is not None
        node.gate.set()
        replies = await asyncio.gather(*asked)
    assert {reply.status_code for reply in replies} == {200}
    assert node.reads == 1


@pytest.mark.parametrize("answer", [STATUS, ConsulUnavailable("GET /", "refused")], ids=repr)
@pytest.mark.parametrize("url", ["/api/cluster", "/api/polls"])
async def test_one_reading_a_second_good_or_failed(url: str, answer: Any) -> None:
    node, clock = Node(answer=answer), HandClock()
    async with serving(node, clock) as client:
        for _ in range(20):
            await client.get(url)
        assert node.reads == 1
        clock.seconds += CACHE_S
        await client.get(url)
    assert node.reads == 2


@pytest.mark.parametrize("url", ["/api/cluster", "/api/polls"])
async def test_a_cached_snapshot_tells_its_age(url: str) -> None:
    node, clock = Node(), HandClock()
    async with serving(node, clock) as client:
        assert (await client.get(url)).json()["age_ms"] == 0
        clock.seconds += 0.25
        assert (await client.get(url)).json()["age_ms"] == 250


async def test_who_goes_away_does_not_end_the_reading_of_others() -> None:
    node = Node(gate=asyncio.Event())
    cache = ClusterCache(node.cluster_status, HandClock())
    impatient, patient = (asyncio.create_task(cache.get(30)) for _ in range(2))
    await node.began.wait()
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    assert node.gate is not None
    node.gate.set()
    assert (await patient).leader_node == "core-2"
    assert node.reads == 1


async def test_closing_ends_a_reading_that_hangs() -> None:
    node = Node(gate=asyncio.Event())
    cache = ClusterCache(node.cluster_status, HandClock())
    waiting = asyncio.create_task(cache.get(30))
    await node.began.wait()
    await cache.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
