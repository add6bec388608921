"""The document of the HTTP API: that it is valid and shipped, and that answers keep to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import quote
from zipfile import ZipFile

import console_scenes
import httpx
import jsonschema_rs
import pytest
import schemathesis
from api_bench import IDENTITY, STATUS, URLS, HandClock, Node, name_of, serving, views
from hypothesis import given
from hypothesis import strategies as st
from openapi_checks import OPENAPI, check, validator
from snapshots import asking, drain, pause, request, snapshot

from coord.api import ElectionView
from coord.api.app import DOCUMENT
from coord.api.app import URLS as NAMED
from coord.consul import ConsulNotPermitted, ConsulRefused, ConsulUnavailable, Denied
from coord.election.reasons import WhyNot
from coord.members import Listing, Seen
from coord.polling.overview import LastRun, OpenJob, PassingPoller, PolledSchedule, PollOverview
from coord.polling.summary import Fare
from coord.status import ClusterStatus, to_dict
from coord.supervisor import ChildState, ChildStatus
from coord.telemetry import Event, Telemetry
from coord.telemetry import to_dict as event_to_dict
from docs.docstrings import told
from docs.openapi_schemas import schemas
from docs.telemetry_tables import EVENTS

REPO = Path(__file__).resolve().parents[2]
LEADING = ElectionView(
    state="leading",
    leader_node="core-1",
    leader_term=7,
    term=7,
    lease_remaining_s=1.5,
    work=tuple(ChildStatus(state, state, 1, None, 0.0) for state in ChildState),
)


def clusters() -> dict[str, ClusterStatus]:
    """The console's scenes, and all that an operator may ask."""
    scenes: tuple[Callable[[], Any], ...] = (
        console_scenes.leading,
        console_scenes.leaderless,
        console_scenes.stale,
        console_scenes.paused,
        console_scenes.hostile,
    )
    found = {scene.__name__: scene().status for scene in scenes}
    asked = asking(pause=pause(), drained={"core-2": drain()}, request=request())
    found["asked"] = snapshot(controls=asked)
    found["denied"] = replace(STATUS, denied=Denied.LACKS_RIGHTS)
    return found


# --- the document ---


def test_the_document_is_valid() -> None:
    schemathesis.openapi.from_dict(OPENAPI).validate()
    for schema in OPENAPI["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def test_it_has_every_path_that_the_node_names() -> None:
    assert set(OPENAPI["paths"]) == {"/", *NAMED}


def test_every_reference_is_to_something_that_is_there_and_nothing_is_unused() -> None:
    def references(value: Any) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(references, value))
        if not isinstance(value, dict):
            return set()
        own = {value["$ref"]} if "$ref" in value else set()
        return own.union(*map(references, value.values()))

    there = {
        f"#/components/{kind}/{name}"
        for kind, parts in OPENAPI["components"].items()
        for name in parts
    }
    assert references(OPENAPI) == there


async def test_it_is_served_as_it_lies_in_the_package() -> None:
    async with serving(Node()) as client:
        reply = await client.get("/api/openapi.json")
    check(reply)
    assert reply.content == DOCUMENT.read_bytes()


def test_it_is_in_the_wheel(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=REPO, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("coord-*.whl")
    with ZipFile(wheel) as files:
        assert files.read("coord/api/openapi.json") == DOCUMENT.read_bytes()


def test_the_node_does_not_load_the_types_that_the_document_is_made_of() -> None:
    look = "import sys, coord.process; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", look], cwd=REPO, check=True, capture_output=True, text=True
    )
    loaded = set(done.stdout.split())
    assert "coord.api.app" in loaded
    assert "coord.api.answers" not in loaded


# --- how it is made ---


@dataclass
class Undescribed:
    """Something.

    node: its name.
    """

    node: str
    term: int


@dataclass
class WithoutUnit:
    """Something.

    age_ms: how old it is.
    """

    age_ms: int


@pytest.mark.parametrize(("kind", "field"), [(Undescribed, "term"), (WithoutUnit, "age_ms")])
def test_a_field_without_its_meaning_or_unit_is_refused(kind: type, field: str) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__}: tell of {field}"):
        schemas([kind])


def test_several_fields_are_told_of_at_once_and_one_twice() -> None:
    class Kind:
        """All of it.

        a, b: both. c: a third. b: more of b.
        """

    of_each = {"a": "both.", "b": "both. more of b.", "c": "a third."}
    assert told(Kind, "abc") == ("All of it.", of_each)


# --- answers ---


@pytest.mark.parametrize(("view", "statuses"), list(views()), ids=name_of)
async def test_health_keeps_to_it_in_every_state(
    view: ElectionView, statuses: tuple[int, ...]
) -> None:
    async with serving(Node(view)) as client:
        for url, status in zip(URLS, statuses, strict=True):
            for method in ("GET", "HEAD"):
                reply = await client.request(method, url)
                assert reply.status_code == status
                check(reply)


@pytest.mark.parametrize("why_not", [*WhyNot, None])
async def test_health_keeps_to_it_whyever_a_node_does_not_lead(why_not: WhyNot | None) -> None:
    view = replace(LEADING, state="standby", why_not=why_not, why_not_detail="for another 1.2 s")
    async with serving(Node(view)) as client:
        for url in URLS:
            check(await client.get(url))


async def test_health_of_a_leader_at_work_keeps_to_it() -> None:
    async with serving(Node(LEADING)) as client:
        reply = await client.get("/api/health")
    check(reply)
    assert len(reply.json()["work"]) == len(ChildState)


@pytest.mark.parametrize("scene", clusters())
async def test_the_cluster_keeps_to_it(scene: str) -> None:
    async with serving(Node(answer=clusters()[scene])) as client:
        check(await client.get("/api/cluster"))
        check(await client.get("/api/health"))


@pytest.mark.parametrize(
    "error",
    [
        ConsulUnavailable("GET /v1/kv/x", "refused"),
        ConsulUnavailable("GET /v1/kv/x", "none", no_leader=True),
        ConsulNotPermitted("GET /v1/kv/x", "denied", status=403),
        ConsulRefused("GET /v1/kv/x", "no", status=400),
    ],
    ids=str,
)
async def test_what_is_read_keeps_to_it_without_consul(error: Exception) -> None:
    async with serving(Node(answer=error)) as client:
        for url, method in product(("/api/cluster", "/api/polls"), ("GET", "HEAD")):
            reply = await client.request(method, url)
            assert reply.status_code == 503
            check(reply)


def any_of(kind: type[Any], **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    made = {each.name: st.from_type(hints[each.name]) for each in fields(kind)}
    return st.builds(kind, **made | more)


LAST = any_of(LastRun)
SCHEDULES = any_of(
    PolledSchedule,
    last=LAST | st.none(),
    job=any_of(OpenJob) | st.none(),
    assigned_to=st.lists(st.text(), max_size=2).map(tuple),
)
POLLERS = st.builds(
    Listing, st.sampled_from(Seen), st.lists(any_of(PassingPoller), max_size=2).map(tuple)
)


@given(
    any_of(
        PollOverview,
        schedules=st.lists(SCHEDULES, max_size=2).map(tuple),
        pollers=POLLERS,
        fares=st.dictionaries(st.sampled_from(Fare), st.integers()),
    )
)
async def test_what_is_polled_keeps_to_it(overview: PollOverview) -> None:
    async with serving(Node(overview=overview)) as client:
        for method in ("GET", "HEAD"):
            reply = await client.request(method, "/api/polls")
            assert reply.status_code == 200
            check(reply)


@given(st.one_of(*(any_of(kind) for kind in EVENTS if not kind.PERIODIC)))
def test_every_event_keeps_to_it(event: Event) -> None:
    validator("components", "schemas", "Events").validate({"events": [event_to_dict(event)]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Brewed(Event):
    """An event of somebody's own work."""

    NAME = "brewed"
    EVENT = "example.brewed"

    cups: int


async def test_events_keep_to_it_those_of_others_too() -> None:
    node = Node(telemetry=Telemetry(IDENTITY, HandClock()))
    node.telemetry.emit(Brewed(cups=2))
    async with serving(node) as client:
        for url in ("/api/events", "/api/events?limit=1", "/api/events?limit=x"):
            for method in ("GET", "HEAD"):
                check(await client.request(method, url))


@pytest.mark.parametrize("url", ["/", "/metrics"])
async def test_the_index_and_the_metrics_keep_to_it(url: str) -> None:
    async with serving(Node()) as client:
        for method in ("GET", "HEAD"):
            check(await client.request(method, url))


@pytest.mark.parametrize(
    ("url", "method", "status"), [("/nothing", "GET", 404), ("/api/cluster", "DELETE", 405)]
)
async def test_other_paths_and_methods_are_refused_with_the_same_error(
    url: str, method: str, status: int
) -> None:
    async with serving(Node()) as client:
        reply = await client.request(method, url)
    assert reply.status_code == status
    validator("components", "schemas", "Error").validate(reply.json())


METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW")
ACCEPTED = ("", "*/*", "application/json", "text/html;q=0.9", "text/event-stream", "\t, ;;")


@given(
    method=st.sampled_from(METHODS),
    path=st.sampled_from([*OPENAPI["paths"], "/api", "/api/health/", "//", "/api/openapi.json/"]),
    query=st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), max_size=12)
    | st.integers().map("limit={}".format)
    | st.text(max_size=8).map("limit={}&limit=2".format),
    accept=st.sampled_from(ACCEPTED),
    last_id=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12),
)
async def test_whatever_is_asked_is_answered_as_promised(
    method: str, path: str, query: str, accept: str, last_id: str
) -> None:
    if method == "GET" and accept == "text/event-stream":
        accept = ""  # would go on for ever; tests/integration reads one
    async with serving(Node(LEADING)) as client:
        target = f"{path}?{quote(query, safe='=&')}"
        url = httpx.URL("http://node").copy_with(raw_path=target.encode())
        headers = {"accept": accept, "last-event-id": last_id}
        reply = await client.request(method, url, headers=headers)
    known = path in OPENAPI["paths"]
    if known and method in ("GET", "HEAD"):
        check(reply)
        return
    assert reply.status_code == (405 if known else 404)
    assert ("allow" in reply.headers) == known
    if method != "HEAD":
        validator("components", "schemas", "Error").validate(reply.json())


def test_what_is_forgotten_or_misspelt_is_noticed() -> None:
    promised = validator("components", "schemas", "ClusterStatus")
    answer = to_dict(STATUS)
    promised.validate(answer)
    for wrong in (
        answer | {"forgotten": 1},
        {name: value for name, value in answer.items() if name != "stale"},
        answer | {"election_state": "vanished"},
        answer | {"term": answer["term"] | {"unknown_ms": 1}},
    ):
        assert not promised.is_valid(wrong)
