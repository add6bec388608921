"""What the nodes say themselves: how they are asked, and what is shown where Consul has it
otherwise."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from console_bench import seated
from console_listener import Listener
from console_said import CORE_1, CORE_2, otherwise, says, with_said
from console_scenes import HOSTILE, LEADER, NOW, disconnected, fleet, leaderless, leading
from hand_made import lead, register, release
from hypothesis import given
from hypothesis import strategies as st
from snapshots import candidate, snapshot

from console.asking import LONGEST, MOST, Asker, compared, is_address, understood, whom
from console.snapshot import Answer, NodeSaid, Snapshot
from console.source import Source
from console.view import said
from console.view.line import text_of
from console.view.warnings import warnings
from coord.clock import SystemClock
from coord.config import Settings
from coord.consul import CheckStatus, ConsulClient
from coord.members import Member
from coord.records import Paths

ANSWER: dict[str, Any] = {
    "status": "ok",
    "state": "standby",
    "why_not_leader": "held_by_other",
    "why_not_detail": "",
    "node": "core-2",
    "node_type": "core",
    "election": "x",
    "leader_node": "core-1",
    "leader_term": 7,
    "term": None,
    "consul": "ok",
    "work": [],
}
ASKED = NodeSaid(node="core-2", address="127.0.0.1:8612", answer=Answer.UNREACHABLE)


def body(**fields: Any) -> bytes:
    return json.dumps(ANSWER | fields).encode()


def http(content: bytes, head: str = "200 OK", *more: str) -> bytes:
    lines = (f"HTTP/1.1 {head}", f"content-length: {len(content)}", *more, "", "")
    return "\r\n".join(lines).encode() + content


@asynccontextmanager
async def answering(reply: Callable[[], bytes] | None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that answers so, or (None) not at all: its port, and what it was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        if reply is None:
            await reader.read()
        else:
            writer.write(reply())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], asked
    finally:
        server.close()


def member(address: str, node: str = "core-2", **meta: Any) -> Member:
    (found,) = snapshot(candidate(node, api=address, **meta)).candidates.items
    return found


async def ask(*addresses: str) -> tuple[NodeSaid, ...]:
    asker = Asker()
    try:
        return await asker.ask((member(each) for each in addresses), "x", (), NOW)
    finally:
        await asker.aclose()


# --- asking ---


async def test_a_node_is_asked_what_it_says_and_given_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with answering(lambda: http(body(), "200 OK", "set-cookie: a=b")) as (port, asked):
        (first,) = await ask(f"127.0.0.1:{port}")
        await ask(f"127.0.0.1:{port}")
    assert (first.answer, first.state, first.why_not) == (
        Answer.ANSWERED, "standby", "held_by_other",
    )  # fmt: skip
    assert (first.leader_node, first.term, first.consul, first.since) == ("core-1", None, "ok", NOW)
    assert asked[0].startswith(b"GET /api/health?cluster=false HTTP/1.1\r\n")
    heads = b"".join(asked).lower()
    assert b"cookie" not in heads
    assert b"authorization" not in heads
    assert b"token" not in heads


async def test_one_that_does_not_answer_holds_nobody_up() -> None:
    async with answering(None) as (silent, _), answering(lambda: http(body())) as (port, _):
        refused = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        gone = refused.sockets[0].getsockname()[1]
        refused.close()
        await refused.wait_closed()
        found = await ask(*(f"127.0.0.1:{each}" for each in (silent, gone, port)))
    assert [each.answer for each in found] == [
        Answer.UNREACHABLE, Answer.UNREACHABLE, Answer.ANSWERED,
    ]  # fmt: skip
    assert found[0].detail == "no answer within 1 s"
    assert found[1].detail


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (http(b"<html>"), "not JSON"),
        (http(b"[" * 50_000), "nested too deep"),
        (http(b"[]"), "not a JSON object"),
        (http(b"\xff\xfe\x00"), "not JSON"),
        (http(b"x" * (LONGEST + 1)), "longer than 64 KiB"),
        (http(body(state=7)), "state: not a text"),
        (http(body(term="7")), "term: not a term"),
        (http(body(term=True)), "term: not a term"),
        (http(body(term=10**30)), "term: not a term"),
        (http(body(), "404 Not Found"), "HTTP status 404"),
        (http(b"", "302 Found", "location: http://127.0.0.1:1/"), "HTTP status 302"),
        (http(b"x", "200 OK", "content-encoding: gzip"), "not JSON"),
    ],
)
async def test_an_answer_that_is_none_is_unreadable(reply: bytes, detail: str) -> None:
    async with answering(lambda: reply) as (port, _):
        (found,) = await ask(f"127.0.0.1:{port}")
    assert (found.answer, found.detail) == (Answer.UNREADABLE, detail)


async def test_what_is_no_http_is_not_reachable() -> None:
    async with answering(lambda: b"SSH-2.0-OpenSSH\r\n") as (port, _):
        (found,) = await ask(f"127.0.0.1:{port}")
    assert found.answer is Answer.UNREACHABLE
    assert found.detail


async def test_a_503_is_an_answer_too() -> None:
    reply = http(body(state="suspended", status="unavailable"), "503 Service Unavailable")
    async with answering(lambda: reply) as (port, _):
        (found,) = await ask(f"127.0.0.1:{port}")
    assert (found.answer, found.state) == (Answer.ANSWERED, "suspended")


def test_another_node_at_that_address_speaks_for_itself_alone() -> None:
    for fields in ({"node": "core-9"}, {"election": "y"}):
        found = understood(ASKED, "x", 200, body(**fields))
        assert found.answer is Answer.ANOTHER
        assert found.state == ""


@given(st.binary() | st.text().map(str.encode))
def test_no_answer_does_any_harm(content: bytes) -> None:
    assert understood(ASKED, "x", 200, content).answer is Answer.UNREADABLE


@given(st.dictionaries(st.sampled_from(sorted(ANSWER)), st.none() | st.integers() | st.text()))
def test_nor_one_that_is_nearly_right(fields: dict[str, Any]) -> None:
    found = understood(ASKED, "x", 200, body(**fields))
    assert len(found.state) <= 256
    assert said.difference(with_said(found), found, NOW) is not None


@pytest.mark.parametrize(
    ("address", "right"),
    [
        ("127.0.0.1:8610", True),
        ("core-2.example.org:80", True),
        ("[::1]:8610", True),
        ("127.0.0.1", False),
        ("127.0.0.1:0", False),
        ("127.0.0.1:65536", False),
        ("user:pw@127.0.0.1:80", False),
        ("127.0.0.1:80/evil?", False),
        ("127.0.0.1:80\r\nx: y", False),
        (HOSTILE, False),
    ],
)
def test_only_a_host_and_a_port_are_asked(address: str, right: bool) -> None:
    assert is_address(address) is right
    members, _ = whom(snapshot(candidate("core-2", api=address)), "")
    assert bool(members) is right


async def test_an_address_that_leads_nowhere_is_not_reachable() -> None:
    found = await ask("[:::::]:80", "a..b:80", "999.1.1.1:80", "xn--:80", "[1.2.3.4]:80")
    assert {each.answer for each in found} == {Answer.UNREACHABLE}


def test_of_very_many_the_leader_and_the_one_looked_at_are_asked_first() -> None:
    many = (candidate(f"n-{i:03d}", api=f"10.0.0.{i}:8610") for i in range(1, 100))
    status = snapshot(*many, *fleet(), leader=LEADER)
    members, left_out = whom(status, "n-077")
    assert [each.node for each in members[:3]] == ["core-1", "n-077", "core-2"]
    assert (len(members), left_out) == (MOST, 104 - MOST)


def test_of_two_boots_at_one_address_the_one_that_passes_is_asked() -> None:
    old = candidate("core-2", boot_id="old", status=CheckStatus.CRITICAL)
    new = replace(candidate("core-2", boot_id="new"), id="new")
    members, _ = whom(snapshot(old, new), "")
    assert [each.boot_id for each in members] == ["new"]


def test_since_when_it_is_so_is_kept_from_round_to_round() -> None:
    first = compared(CORE_2, None, 10.0)
    again = compared(CORE_2, first, 15.0)
    other = compared(replace(CORE_2, state="waiting"), again, 20.0)
    silent = compared(replace(CORE_2, answer=Answer.UNREACHABLE), other, 25.0)
    still = compared(replace(CORE_2, answer=Answer.UNREACHABLE), silent, 30.0)
    back = compared(CORE_2, still, 35.0)
    assert [each.since for each in (first, again, other, silent, still, back)] == [
        10.0, 10.0, 20.0, 25.0, 25.0, 35.0,
    ]  # fmt: skip
    assert [each.answered_before for each in (first, silent, still, back)] == [
        False, True, True, False,
    ]  # fmt: skip


# --- what Consul has otherwise ---


def differing(*nodes: NodeSaid, shown: Snapshot | None = None, **fields: Any) -> list[str]:
    made = with_said(*nodes, shown=shown, **fields)
    return [text_of(each) for each in said.differences(made, NOW)]


def test_what_agrees_is_no_difference() -> None:
    assert differing(CORE_1, CORE_2) == []
    assert said.differences(leading(), NOW) == ()


LEADS = replace(CORE_2, state="leading", term=6)
SILENT: dict[str, Any] = {"answer": Answer.UNREACHABLE, "answered_before": True}


@pytest.mark.parametrize(
    ("node", "told"),
    [
        (LEADS, "! core-2: Consul shows core-1 as the leader, in term 7; the node itself says "
                "leading, in term 6, 3 s ago"),
        (replace(CORE_1, state="standby", term=None),
         "! core-1: Consul shows it as the leader, in term 7; the node itself says standby, "
         "3 s ago"),
        (replace(CORE_1, term=6),
         "! core-1: Consul shows it as the leader, in term 7; the node itself says leading, in "
         "term 6, 3 s ago"),
        (replace(CORE_2, state="cooling"),
         "! core-2: Consul shows standby; the node itself says cooling, 3 s ago"),
        (says("core-4", 8615, "standby"),
         "! core-4: Consul shows its check critical; the node itself answers, and says standby, "
         "3 s ago"),
        (replace(CORE_2, since=NOW - 15, **SILENT),
         "! core-2: Consul shows its check passing; the node itself answers no more for 12 s, "
         "3 s ago"),
    ],
)  # fmt: skip
def test_where_they_disagree_both_are_shown(node: NodeSaid, told: str) -> None:
    assert differing(node) == [told]
    assert told in [text_of(each) for each in warnings(with_said(node), NOW)]


@pytest.mark.parametrize(
    "node",
    [
        says("core-3", 8613, "", answer=Answer.UNREACHABLE),
        says("core-3", 8613, "", answer=Answer.UNREADABLE),
        says("core-3", 8613, "", answer=Answer.ANOTHER, answered_before=True),
        says("core-4", 8615, "", **SILENT),
        replace(CORE_2, since=NOW - 5, **SILENT),
        replace(CORE_2, state="cooling", since=NOW - 5),
        replace(CORE_1, state="suspended", since=NOW - 5),
        says("core-9", 8619, "leading", term=9),
    ],
)
def test_what_is_common_or_only_just_so_is_no_alarm(node: NodeSaid) -> None:
    assert differing(node) == []


def test_who_was_asked_before_the_leader_changed_could_not_know() -> None:
    assert differing(LEADS, leader_node="core-2", term=6) == []
    assert differing(LEADS, since=NOW - 4) == []
    assert differing(LEADS, at=NOW - 60) == []
    assert differing(LEADS, shown=disconnected()) == []


def test_who_says_that_it_leads_while_nobody_does_is_shown() -> None:
    (told,) = differing(
        replace(CORE_2, address="127.0.0.1:8610", state="leading", term=7),
        shown=leaderless(),
        leader_node=None,
    )
    assert told.startswith("! core-2: Consul shows that nobody leads; the node itself says leading")


def detail_of(shown: Snapshot, node: str, port: int) -> str:
    parts = said.detail(shown, node, f"127.0.0.1:{port}", NOW)
    return "\n".join(f"{label.rstrip()}: {text_of(content)}" for label, content in parts)


def test_the_details_say_what_it_says_itself_and_how_old_that_is() -> None:
    shown = with_said(CORE_1, replace(CORE_2, detail="for another 2.1 s"))
    assert detail_of(shown, "core-1", 8611) == (
        "Says itself: leading in term 7 · leader core-1 · Consul ok, asked 3 s ago"
    )
    assert "held_by_other (for another 2.1 s)" in detail_of(shown, "core-2", 8612)
    assert detail_of(shown, "core-2", 9999) == ""
    assert detail_of(leading(), "core-2", 8612) == ""
    few = with_said(CORE_1, left_out=68)
    assert detail_of(few, "core-2", 8612) == "Says itself: not asked: 68 are left out"


def test_the_details_say_why_there_is_no_answer() -> None:
    shown = otherwise()
    assert detail_of(shown, "core-3", 8613) == (
        "Says itself: not reachable: connection refused, asked 3 s ago"
    )
    evil = detail_of(shown, "web-1", 8614)
    assert evil.startswith("Says itself: unreadable: [red]\\x1b[31mevil")
    assert "\n: ! core-2: Consul shows core-1 as the leader" in detail_of(shown, "core-2", 8612)


# --- on the screen, and on a real Consul ---


@pytest.mark.long
async def test_the_screen_warns_and_the_details_say_more() -> None:
    async with seated(otherwise(), (120, 40)) as seat:
        warned = seat.lines("warnings")
        assert any("core-2: Consul shows core-1 as the leader" in each for each in warned)
        assert not any("core-3" in each for each in warned)
        await seat.press("down", "enter")
        assert "Says itself" in seat.details()
        assert "leading in term 6" in seat.details()
        await seat.press("escape", "down", "enter")
        assert "not reachable: connection refused" in seat.details()


@pytest.mark.long
async def test_nodes_are_asked_at_the_address_that_consul_has(
    consul: ConsulClient, name: str
) -> None:
    paths = Paths(name)
    state: dict[str, Any] = {"state": "standby", "term": None}
    async with answering(lambda: http(body(election=name, **state))) as (port, asked):
        service, address = paths.candidate_service, f"127.0.0.1:{port}"
        await register(consul, service, "core-2", api=address, state="standby")
        source = Source(consul, paths, clock=SystemClock(), ask_s=0.1)
        listener = Listener()
        running = asyncio.create_task(source.run(listener.post))
        try:
            first = await listener.until(lambda s: s.said)
            assert first.said is not None
            (node,) = first.said.nodes
            assert (node.answer, node.state) == (Answer.ANSWERED, "standby")
            tenure = await lead(consul, paths, "core-1", 3)
            led = await listener.until(lambda s: s.said and s.said.leader_node == "core-1")
            assert led.said is not None
            assert led.said.term == 3
            state |= {"state": "leading", "term": 2}
            shown = await listener.until(lambda s: said.differences(s, SystemClock().now()))
            (told,) = said.differences(shown, SystemClock().now())
            assert text_of(told).startswith(
                "! core-2: Consul shows core-1 as the leader, in term 3; the node itself says "
                "leading, in term 2"
            )
            await release(consul, paths, tenure, why="handed_over")
            await listener.until(lambda s: s.said and s.said.leader_node is None)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    assert all(each.startswith(b"GET /api/health?") for each in asked)


@pytest.mark.long
async def test_nobody_is_asked_where_that_is_switched_off(consul: ConsulClient, name: str) -> None:
    paths = Paths(name)
    async with answering(lambda: http(body(election=name))) as (port, asked):
        api = f"127.0.0.1:{port}"
        await register(consul, paths.candidate_service, "core-2", api=api, state="standby")
        source = Source(consul, paths, clock=SystemClock(), ask_s=None, polls_s=0.1)
        listener = Listener()
        running = asyncio.create_task(source.run(listener.post))
        try:
            first = await listener.until(lambda s: s.status and s.polls)
            later = await listener.until(lambda s: s.read_at > first.read_at)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    assert later.said is None
    assert asked == []


async def test_where_consul_was_never_there_nobody_is_asked() -> None:
    settings = Settings(environ={}, consul_addr="127.0.0.1:1", node="x")
    async with ConsulClient(settings.consul_address) as consul:
        source = Source(consul, Paths("x"), clock=SystemClock(), ask_s=0.01)
        listener = Listener()
        running = asyncio.create_task(source.run(listener.post))
        try:
            await listener.until(lambda s: s.failing)
            count = len(listener.posted)
            await listener.until(lambda _: len(listener.posted) > count or running.done())
            assert not running.done()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    assert listener.posted[-1].said is None


def test_half_a_pair_of_surrogates_is_taken_out_of_an_answer() -> None:
    """What cannot be written down would make a recording end there."""
    found = understood(ASKED, "x", 200, body(why_not_detail="lead\ud800ing"))
    assert found.answer is Answer.ANSWERED
    assert found.detail == "lead?ing"
