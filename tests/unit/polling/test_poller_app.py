"""The poller's app: what it runs, and what it refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from coord.clock import SystemClock
from coord.config import Settings, SettingsError
from coord.consul import ConsulClient, KVEntry
from coord.consul.address import ConsulAddress
from coord.identity import Identity, new_boot_id
from coord.node_type import EligibleWhy, NodeType
from coord.polling.events import AttemptBegun
from coord.polling.poller import MAX_BODY_BYTES, Poller, check_listen, routes
from coord.polling.poller_service import PollerService
from coord.records import Paths
from coord.telemetry import Event, Telemetry
from coord.workloads import WorkContext

TOKEN = "a-long-enough-token"


def make_context(node: str = "poller-1", election: str = "e", **flags: Any) -> WorkContext:
    """A context whose Consul is not there: what needs it has to do without."""
    settings = Settings(node=node, election=election, environ={}, **flags)
    identity = Identity(
        node=node,
        node_type=NodeType.POLLER,
        election=election,
        eligible=False,
        eligible_why=EligibleWhy.NODE_TYPE_MAY_NOT_LEAD,
        boot_id=new_boot_id(),
        advertise=str(settings.advertise or "127.0.0.1:8610"),
    )
    clock = SystemClock()
    return WorkContext(
        settings=settings,
        identity=identity,
        consul=ConsulClient(ConsulAddress(url="http://127.0.0.1:1")),
        telemetry=Telemetry(identity, clock),
        clock=clock,
        paths=Paths(election),
    )


def client_of(poller: Poller) -> httpx.AsyncClient:
    app = Starlette(routes=routes(poller))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8610")


class Target:
    """A server that counts its connections, and answers when it is told to."""

    def __init__(self) -> None:
        self.connections = 0
        self.reached = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self._server: asyncio.Server | None = None
        self.url = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    async def stop(self) -> None:
        assert self._server is not None
        self.go.set()
        self._server.close()
        await self._server.wait_closed()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.reached.set()
        await self.go.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    made = Target()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def poller() -> AsyncIterator[Poller]:
    context = make_context(poller_capacity=2)
    made = Poller(context)
    yield made
    await made.aclose()
    await context.consul.aclose()


@pytest.fixture
async def http(poller: Poller) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(poller) as client:
        yield client


def ask(target: Target | None = None, **changes: Any) -> dict[str, Any]:
    url = target.url if target else "http://127.0.0.1:9/"
    return {
        "term": 5,
        "election": "e",
        "job": "web.1",
        "attempt": 1,
        "timeout_ms": 5000,
        "checks": [{"kind": "http", "target": url}],
        **changes,
    }


def told(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


async def test_a_poll_is_run_and_answered(http: httpx.AsyncClient, target: Target) -> None:
    response = await http.post("/v1/poll", json=ask(target))
    reply = response.json()
    assert response.status_code == 200
    assert (reply["job"], reply["attempt"], reply["term"], reply["poller"]) == (
        "web.1",
        1,
        5,
        "poller-1",
    )
    assert [(r["ok"], r["status"]) for r in reply["results"]] == [(True, 200)]


async def test_a_repeated_attempt_gets_the_first_answer(
    http: httpx.AsyncClient, target: Target
) -> None:
    first = await http.post("/v1/poll", json=ask(target))
    again = await http.post("/v1/poll", json=ask(target))
    assert again.content == first.content
    assert target.connections == 1
    await http.post("/v1/poll", json=ask(target, attempt=2))
    assert target.connections == 2


async def test_an_attempt_is_not_run_again_with_other_checks(
    http: httpx.AsyncClient, poller: Poller, target: Target
) -> None:
    """A schedule that was removed and added again: what the old one found is no answer."""
    target.go.clear()
    first = asyncio.create_task(http.post("/v1/poll", json=ask(target)))
    await target.reached.wait()
    other = ask(target, checks=[{"kind": "http", "target": target.url, "timeout": "1s"}])
    assert told(await http.post("/v1/poll", json=other)) == (422, "other_checks")
    target.go.set()
    assert (await first).status_code == 200
    assert told(await http.post("/v1/poll", json=other)) == (422, "other_checks")
    assert (await http.post("/v1/poll", json={**other, "attempt": 2})).status_code == 200
    assert (poller.polls, target.connections) == (2, 2)


async def test_it_tells_of_an_attempt_when_it_runs_it(target: Target) -> None:
    context = make_context()
    told: list[Event] = []
    context.telemetry.attach_inline(told.append)
    poller = Poller(context)
    async with client_of(poller) as http:
        for attempt in (1, 1, 2):
            await http.post("/v1/poll", json=ask(target, attempt=attempt))
        await http.post("/v1/poll", json=ask(target, attempt=3, term=4))
    begun = [(e.job, e.attempt, e.term) for e in told if isinstance(e, AttemptBegun)]
    assert begun == [("web.1", 1, 5), ("web.1", 2, 5)]
    await poller.aclose()
    await context.consul.aclose()


async def test_an_attempt_repeated_while_it_runs_waits_for_the_first(
    http: httpx.AsyncClient, target: Target
) -> None:
    target.go.clear()
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(http.post("/v1/poll", json=ask(target))) for _ in range(3)]
        await target.reached.wait()
        target.go.set()
    assert len({task.result().content for task in asked}) == 1
    assert target.connections == 1


async def test_an_older_term_than_seen_is_refused(
    http: httpx.AsyncClient, poller: Poller, target: Target
) -> None:
    assert (await http.post("/v1/poll", json=ask(target, term=7))).status_code == 200
    response = await http.post("/v1/poll", json=ask(target, term=6, job="web.2"))
    assert told(response) == (409, "older_term")
    assert response.json()["seen"] == 7
    # Nor does a repeated attempt of an older term get its answer.
    poller.take_term(term_key(b"8"))
    assert told(await http.post("/v1/poll", json=ask(target, term=7))) == (409, "older_term")
    assert (target.connections, poller.refused) == (1, 2)


def term_key(raw: bytes, create_index: int = 10, modify_index: int = 20) -> KVEntry:
    return KVEntry("term", raw, create_index=create_index, modify_index=modify_index)


@pytest.mark.parametrize("raw", [b"", b"x", b"0", b"-3", b"9" * 40, None])
async def test_a_term_key_that_makes_no_sense_changes_nothing(
    poller: Poller, raw: bytes | None
) -> None:
    poller.take_term(term_key(b"3"))
    assert poller.take_term(None if raw is None else term_key(raw, 1, 1)) is None
    assert poller.seen_term == 3


async def test_without_consul_no_older_term_is_taken(
    http: httpx.AsyncClient, poller: Poller, target: Target
) -> None:
    poller.take_term(term_key(b"8"))
    assert poller.take_term(term_key(b"2", 1, 1)) == 2  # not a read that proves anything
    assert told(await http.post("/v1/poll", json=ask(target, term=2))) == (409, "older_term")
    assert (poller.seen_term, target.connections) == (8, 0)


async def test_what_is_too_much_is_shed_and_not_queued(
    http: httpx.AsyncClient, poller: Poller, target: Target
) -> None:
    target.go.clear()
    async with asyncio.TaskGroup() as group:
        running = []
        for n in range(2):
            target.reached.clear()
            running.append(group.create_task(http.post("/v1/poll", json=ask(target, job=f"j{n}"))))
            await target.reached.wait()
        assert poller.running == 2
        assert told(await http.post("/v1/poll", json=ask(target, job="j2"))) == (429, "busy")
        target.go.set()
    assert [task.result().status_code for task in running] == [200, 200]
    assert (poller.running, poller.shed, poller.polls) == (0, 1, 2)
    assert (await http.post("/v1/poll", json=ask(target, job="j2"))).status_code == 200


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"term": 0}, "term"),
        ({"term": "5"}, "term"),
        ({"term": 2**70}, "term"),
        ({"attempt": 0}, "attempt"),
        ({"attempt": None}, "attempt"),
        ({"job": "a/b"}, "job"),
        ({"job": ""}, "job"),
        ({"timeout_ms": 61_000}, "timeout_ms"),
        ({"timeout_ms": "5s"}, "timeout_ms"),
        ({"checks": []}, "checks"),
        ({"checks": [{"kind": "exec"}]}, "checks.0.other.target"),
        ({"checks": [{"kind": "http", "target": "file:///etc/passwd"}]}, "checks.0.http.target"),
    ],
)
async def test_a_wrong_field_is_named(
    http: httpx.AsyncClient, change: dict[str, Any], field: str
) -> None:
    response = await http.post("/v1/poll", json=ask(**change))
    assert told(response) == (422, "bad_field")
    assert response.json()["field"] == field


async def test_a_kind_that_it_does_not_have_is_said_and_the_others_run(
    http: httpx.AsyncClient, target: Target
) -> None:
    checks = [{"kind": "exec", "target": "rm"}, {"kind": "http", "target": target.url}]
    response = await http.post("/v1/poll", json=ask(checks=checks))
    unknown, known = response.json()["results"]
    assert response.status_code == 200
    assert (unknown["kind"], unknown["ok"], unknown["error"]) == ("exec", False, "unknown_kind")
    assert known["ok"]


@pytest.mark.parametrize(
    ("forbidden", "ok", "connections"), [("127.0.0.0/8", False, 0), ("none", True, 1)]
)
async def test_it_keeps_to_the_networks_of_its_settings(
    target: Target, forbidden: str, ok: bool, connections: int
) -> None:
    context = make_context(poller_forbidden_networks=forbidden)
    poller = Poller(context)
    async with client_of(poller) as http:
        response = await http.post("/v1/poll", json=ask(target))
    (result,) = response.json()["results"]
    assert (result["ok"], result.get("error")) == (ok, None if ok else "forbidden")
    assert target.connections == connections
    await poller.aclose()
    await context.consul.aclose()


async def test_a_length_that_is_no_number_is_no_error_of_ours(http: httpx.AsyncClient) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"\xb2")]
    response = await http.post("/v1/poll", content=b"{", headers=headers)
    assert told(response) == (400, "bad_json")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 5000, b'"\\ud800"'])
async def test_a_body_that_is_not_json(http: httpx.AsyncClient, body: bytes) -> None:
    response = await http.post(
        "/v1/poll", content=body, headers={"content-type": "application/json"}
    )
    assert told(response) == (400, "bad_json")


async def test_json_of_another_shape(http: httpx.AsyncClient) -> None:
    for body in (b"[]", b"null", b"3", b'"x"'):
        response = await http.post(
            "/v1/poll", content=body, headers={"content-type": "application/json"}
        )
        assert told(response) == (422, "bad_field")


async def test_another_content_type_is_refused(http: httpx.AsyncClient) -> None:
    response = await http.post(
        "/v1/poll", content=json.dumps(ask()), headers={"content-type": "text/plain"}
    )
    assert told(response) == (415, "not_json")


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_too_large(http: httpx.AsyncClient, announced: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 1000 + 2):
            yield b" " * 1000

    response = await http.post(
        "/v1/poll",
        content=b" " * (MAX_BODY_BYTES + 1) if announced else chunks(),
        headers={"content-type": "application/json"},
    )
    assert told(response) == (413, "too_large")


async def test_a_body_that_does_not_come() -> None:
    context = make_context()
    poller = Poller(context, body_timeout_s=0.1)
    over = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"{"
        await over.wait()

    async with client_of(poller) as http:
        response = await http.post(
            "/v1/poll", content=chunks(), headers={"content-type": "application/json"}
        )
    assert told(response) == (408, "too_slow")
    await poller.aclose()
    await context.consul.aclose()


async def test_another_election_is_refused(http: httpx.AsyncClient) -> None:
    assert told(await http.post("/v1/poll", json=ask(election="f"))) == (409, "other_election")


async def test_the_token_is_demanded_when_there_is_one(target: Target) -> None:
    context = make_context(poller_token=TOKEN)
    poller = Poller(context)
    async with client_of(poller) as http:
        for headers in (
            {},
            {"authorization": f"Bearer {TOKEN}x"},
            {"authorization": f"Bearer {TOKEN[:-1]}"},
            {"authorization": f"Basic {TOKEN}"},
            {"authorization": TOKEN},
            {"authorization": "Bearer \xe9"},
        ):
            encoded = {k: v.encode("latin-1") for k, v in headers.items()}
            response = await http.post(
                "/v1/poll",
                json=ask(target),
                headers=[(b"authorization", v) for v in encoded.values()],
            )
            assert told(response) == (401, "not_permitted")
        # Also before anything in the body is looked at.
        assert told(await http.post("/v1/poll", content=b"{")) == (401, "not_permitted")
        assert target.connections == 0
        response = await http.post(
            "/v1/poll", json=ask(target), headers={"authorization": f"bearer {TOKEN}"}
        )
        assert response.status_code == 200
    await poller.aclose()
    await context.consul.aclose()


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"host": "127.0.0.1:8610"}, None),
        ({"host": "127.8.8.8"}, None),
        ({"host": "LocalHost:28613"}, None),
        ({"host": "[::1]:8610"}, None),
        ({"host": "Core-1.example:8610"}, None),
        ({"host": "rebound.evil.example:8610"}, "foreign_host"),
        ({"host": "127.0.0.1.evil.example"}, "foreign_host"),
        ({"host": "localhost.evil.example"}, "foreign_host"),
        ({"host": "evil.example@127.0.0.1"}, "foreign_host"),
        ({"host": "10.0.0.7:8610"}, "foreign_host"),
        ({"host": ""}, "foreign_host"),
        ({"host": "[::1"}, "foreign_host"),
        ({"host": "\u0661"}, "foreign_host"),
        ({"host": "127.0.0.1", "origin": "http://evil.example"}, "foreign_origin"),
        ({"host": "127.0.0.1", "origin": "null"}, "foreign_origin"),
    ],
)
async def test_without_a_token_no_web_page_may_ask(
    target: Target, headers: dict[str, str], code: str | None
) -> None:
    context = make_context(advertise="core-1.example:8610")
    poller = Poller(context)
    async with client_of(poller) as http:
        encoded = [(name.encode(), text.encode()) for name, text in headers.items()]
        response = await http.post("/v1/poll", json=ask(target), headers=encoded)
    assert (response.status_code, response.json().get("code")) == (403 if code else 200, code)
    assert target.connections == (0 if code else 1)
    await poller.aclose()
    await context.consul.aclose()


@pytest.mark.parametrize("hosts", [[], [b"127.0.0.1", b"evil.example"]])
async def test_without_a_token_there_is_one_host(poller: Poller, hosts: list[bytes]) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": json.dumps(ask()).encode()}

    headers = [(b"content-type", b"application/json"), *((b"host", host) for host in hosts)]
    scope = {"type": "http", "method": "POST", "path": "/v1/poll", "headers": headers}
    await Starlette(routes=routes(poller))({**scope, "query_string": b""}, receive, send)
    assert (sent[0]["status"], json.loads(sent[1]["body"])["code"]) == (403, "foreign_host")


async def test_with_a_token_it_may_be_called_as_one_likes(target: Target) -> None:
    context = make_context(poller_token=TOKEN)
    poller = Poller(context)
    headers = {"host": "proxy.example", "origin": "x", "authorization": f"Bearer {TOKEN}"}
    async with client_of(poller) as http:
        response = await http.post("/v1/poll", json=ask(target), headers=headers)
    assert response.status_code == 200
    await poller.aclose()
    await context.consul.aclose()


async def test_an_ending_poller_takes_nothing_and_lets_run_what_runs(
    http: httpx.AsyncClient, poller: Poller, target: Target
) -> None:
    target.go.clear()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(http.post("/v1/poll", json=ask(target)))
        await target.reached.wait()
        closing = group.create_task(poller.aclose())
        await asyncio.sleep(0)
        assert told(await http.post("/v1/poll", json=ask(target, job="j"))) == (503, "stopping")
        assert not closing.done()
        target.go.set()
    assert running.result().status_code == 200


async def test_it_says_that_it_lives(http: httpx.AsyncClient) -> None:
    response = await http.get("/health/live")
    assert (response.status_code, response.json()["node"]) == (200, "poller-1")
    assert (await http.get("/v1/poll")).status_code == 405


def test_no_two_pollers_of_one_agent_share_an_id() -> None:
    pairs = [("a", "coordinator"), ("a", "b"), ("a-b", "coordinator"), ("a", "b-c"), ("a-b", "c")]
    contexts = [make_context(node, election) for node, election in pairs]
    assert len({PollerService(context).service_id for context in contexts}) == len(pairs)


@pytest.mark.parametrize("listen", ["127.0.0.1:8610", "[::1]:8610", "localhost:8610"])
def test_loopback_needs_no_token(listen: str) -> None:
    check_listen(Settings(node="p", environ={}, listen=listen))


@pytest.mark.parametrize("listen", ["0.0.0.0:8610", "10.0.0.7:8610", "[::]:8610", "host:8610"])
def test_listening_to_others_without_a_token_is_refused(listen: str) -> None:
    context = make_context(listen=listen, advertise="10.0.0.7:8610")
    with pytest.raises(SettingsError) as caught:
        PollerService(context)
    (problem,) = caught.value.problems
    assert problem.field == "listen"
    assert "COORDINATOR_POLLER_TOKEN" in problem.fix
    check_listen(Settings(node="p", environ={}, listen=listen, advertise="h:1", poller_token=TOKEN))
