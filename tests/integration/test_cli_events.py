"""`coord events` as people run it, on a real Consul."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from consul_agents import ROOT_TOKEN, ConsulAgent, Mode, acl_settings, client_of, eventually
from coord_command import coord, running
from hand_made import make_token

from coord.cli.errors import ExitCode
from coord.consul import ConsulApi, ConsulClient, ConsulError
from coord.records import Paths
from coord.telemetry import BecameLeader, LeaderDown
from coord.telemetry.journal import KEPT_ENTRIES, Journal, prune


@pytest.fixture
def paths(name: str) -> Paths:
    return Paths(name)


@asynccontextmanager
async def journal(
    consul: ConsulApi, paths: Paths, node: str = "core-1"
) -> AsyncIterator[Callable[..., Any]]:
    """What tells of a term in the journal of a node, and waits until it stands there."""
    kept = Journal(paths, node)
    writing = asyncio.create_task(kept.run(consul))

    async def tell(term: int, *, at_ms: int = 0) -> None:
        event = BecameLeader(
            node=node, node_type="core", election=paths.election, term=term, at_ms=at_ms + term
        )
        kept.handle(event)
        await kept.flushed()

    try:
        yield tell
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


def terms(out: str) -> list[int]:
    return [json.loads(line)["term"] for line in out.splitlines()]


# --- once ---


async def test_what_is_there_is_shown_filtered_and_cut(
    consul_agent: ConsulAgent, consul: ConsulClient, paths: Paths
) -> None:
    for node in ("core-1", "core-2"):
        async with journal(consul, paths, node) as tell:
            for term in (1, 2, 3):
                await tell(term, at_ms=1_800_000_000_000 + (0 if node == "core-1" else 500))
    where = (consul_agent.http_addr, "events", "--election", paths.election)
    code, out, err = await coord(*where, "--json")
    assert (code, err, terms(out)) == (ExitCode.OK, "", [1, 2, 3, 1, 2, 3])
    assert terms((await coord(*where, "--json", "--node", "core-2"))[1]) == [1, 2, 3]
    assert terms((await coord(*where, "--json", "--limit", "2"))[1]) == [2, 3]
    assert terms((await coord(*where, "--json", "--limit", "0"))[1]) == []
    kinds = ("--kind", "became_leader", "--kind", "leader_down")
    assert len(terms((await coord(*where, "--json", *kinds))[1])) == 6
    code, out, err = await coord(*where, "--json", "--kind", "leader_down")
    assert (code, out, err) == (ExitCode.OK, "", "")
    code, out, err = await coord(*where, "--kind", "moon_phase")
    assert (code, out) == (ExitCode.OK, "")
    assert "moon_phase" in err
    code, out, err = await coord(*where)
    assert (code, err, len(out.splitlines())) == (ExitCode.OK, "", 6)
    assert all("became_leader" in line for line in out.splitlines())


async def test_the_latest_are_those_that_came_last_whatever_the_clocks_say(
    consul_agent: ConsulAgent, consul: ConsulClient, paths: Paths
) -> None:
    async with journal(consul, paths, "core-2") as tell:
        for term in range(1, 6):
            await tell(term, at_ms=1_900_000_000_000)
    async with journal(consul, paths, "core-1") as tell:
        for term in (6, 7):
            await tell(term, at_ms=1_800_000_000_000)
    where = (consul_agent.http_addr, "events", "--json", "--election", paths.election)
    assert terms((await coord(*where, "--limit", "2"))[1]) == [6, 7]
    assert terms((await coord(*where, "--limit", "3"))[1]) == [6, 7, 5]
    async with running(*where, "--follow", "--limit", "3") as events:
        shown = [await events.line() for _ in range(3)]
        await prune(consul, paths, keep=1)
        async with journal(consul, paths, "core-3") as tell:
            await tell(8, at_ms=1_700_000_000_000)
        shown.append(await events.line())
        code, rest = await events.interrupt()
    assert (code, rest) == (ExitCode.OK, "")
    assert terms("".join(shown)) == [6, 7, 5, 8]


async def test_hostile_entries_are_a_line_each(
    consul_agent: ConsulAgent, consul: ConsulClient, paths: Paths
) -> None:
    evil = "\x1b[2J\u202e\r\n[bold]" + "x" * 5000
    for i, value in enumerate((b"\xff\x1b[2J", json.dumps({"event": evil, "node": evil}).encode())):
        await consul.kv_put(f"{paths.journal}{i}", value)
    where = (consul_agent.http_addr, "events", "--election", paths.election)
    code, out, _ = await coord(*where)
    heads = [line for line in out.splitlines() if not line.startswith("    ")]
    assert (code, len(heads)) == (ExitCode.OK, 2)
    assert all(line.isprintable() and len(line) <= 80 for line in out.splitlines())
    code, out, _ = await coord(*where, "--json")
    assert (code, out.isascii(), len(out.splitlines())) == (ExitCode.OK, True, 2)


async def test_no_consul(make_agent: Callable[..., ConsulAgent]) -> None:
    agent = await asyncio.to_thread(make_agent)
    agent.kill()
    code, out, err = await coord(agent.http_addr, "events")
    assert (code, out, len(err.splitlines())) == (ExitCode.CONSUL_UNREACHABLE, "", 2)
    assert agent.http_addr in err.splitlines()[1]


# --- following ---


async def test_each_event_is_shown_once_until_ctrl_c(
    consul_agent: ConsulAgent, consul: ConsulClient, paths: Paths
) -> None:
    where = (consul_agent.http_addr, "events", "--follow", "--json", "--election", paths.election)
    async with journal(consul, paths) as tell:
        for term in (1, 2, 3):
            await tell(term, at_ms=1_800_000_000_000)
        async with running(*where, "--limit", "2") as events:
            shown = [await events.line(), await events.line()]
            for term in range(4, 30):
                await tell(term, at_ms=1_800_000_000_000)
                shown.append(await events.line())
            # A clock that is behind: its entry sorts before all others, and is news all the same.
            async with journal(consul, paths, "core-2") as tell_late:
                await tell_late(99, at_ms=1_700_000_000_000)
            shown.append(await events.line())
            code, rest = await events.interrupt()
    assert (code, rest) == (ExitCode.OK, "")
    assert terms("".join(shown)) == [2, 3, *range(4, 30), 99]


async def test_nothing_is_lost_or_shown_twice_while_the_journal_is_pruned(
    consul_agent: ConsulAgent, consul: ConsulClient, paths: Paths
) -> None:
    where = (consul_agent.http_addr, "events", "--follow", "--json", "--election", paths.election)
    count = 40
    async with (
        journal(consul, paths) as tell,
        running(*where, "--limit", str(KEPT_ENTRIES)) as events,
    ):
        shown: list[str] = []
        for term in range(1, count + 1):
            await tell(term, at_ms=1_800_000_000_000)
            if term % 5 == 0:
                # Only what was shown may go: that one was never read is a matter of luck else.
                while len(shown) < term:
                    shown.append(await events.line())
                await prune(consul, paths, keep=3)
        code, rest = await events.interrupt()
    assert (code, rest) == (ExitCode.OK, "")
    assert terms("".join(shown)) == list(range(1, count + 1))


async def test_the_first_event_of_an_empty_journal_is_seen(
    consul_agent: ConsulAgent, consul: ConsulClient, paths: Paths
) -> None:
    where = (consul_agent.http_addr, "events", "-f", "--election", paths.election)
    async with running(*where) as events, journal(consul, paths) as tell:
        await tell(1, at_ms=1_800_000_000_000)
        assert "became_leader" in await events.line()
        assert (await events.interrupt())[0] == ExitCode.OK


async def test_an_outage_is_told_and_ridden_out(make_agent: Callable[..., ConsulAgent]) -> None:
    agent = await asyncio.to_thread(make_agent, mode=Mode.SERVER)
    paths = Paths("coordinator")
    async with client_of(agent) as consul, journal(consul, paths) as tell:
        await tell(1, at_ms=1_800_000_000_000)
        async with running(agent.http_addr, "events", "-f", "--json") as events:
            assert terms(await events.line()) == [1]
            await asyncio.to_thread(agent.kill)
            assert "Consul" in await events.said()
            await asyncio.to_thread(agent.start)
            await asyncio.to_thread(agent.wait_ready)
            # Without a Consul leader for a while it may say once more why; then that it is over.
            while "again" not in await events.said():
                pass
            await tell(2, at_ms=1_800_000_000_000)
            assert terms(await events.line()) == [2]
            code, rest = await events.interrupt()
    assert (code, rest) == (ExitCode.OK, "")


# --- rights ---

READER = 'key_prefix "service/" { policy = "read" }'
NO_JOURNAL = READER + '\nkey_prefix "service/coordinator/journal/" { policy = "deny" }'


async def test_a_reader_sees_all_and_who_may_not_is_told_so(
    make_agent: Callable[..., ConsulAgent],
) -> None:
    agent = await asyncio.to_thread(make_agent, token=ROOT_TOKEN, extra=acl_settings())
    paths = Paths("coordinator")
    async with client_of(agent, token=ROOT_TOKEN) as root, journal(root, paths) as tell:

        async def ready() -> bool:
            try:
                return await root.kv_put("ready", b"")
            except ConsulError:
                return False

        await eventually(ready)
        await tell(1, at_ms=1_800_000_000_000)
    reader, denied = (make_token(agent, rules) for rules in (READER, NO_JOURNAL))
    code, out, _ = await coord(agent.http_addr, "events", "--json", CONSUL_HTTP_TOKEN=reader)
    assert (code, terms(out)) == (ExitCode.OK, [1])
    for token in (denied, ""):
        for arguments in ((), ("--follow",)):
            code, out, err = await coord(
                agent.http_addr, "events", *arguments, CONSUL_HTTP_TOKEN=token
            )
            assert (code, out) == (ExitCode.NOT_PERMITTED, "")
            assert "not permitted" in err
    for token, said in (("", "no token is set"), (str(uuid.uuid4()), "does not know this token")):
        for command in ("events", "history"):
            _, out, err = await coord(agent.http_addr, command, CONSUL_HTTP_TOKEN=token)
            assert said in out + err
    async with running(
        agent.http_addr, "events", "-f", "--json", CONSUL_HTTP_TOKEN=reader
    ) as events:
        assert terms(await events.line()) == [1]
        assert (await events.interrupt())[0] == ExitCode.OK


async def test_events_of_others_are_told_by_whom(
    consul_agent: ConsulAgent, consul: ConsulClient, paths: Paths
) -> None:
    kept = Journal(paths, "core-3")
    writing = asyncio.create_task(kept.run(consul))
    kept.handle(LeaderDown(node="core-3", former_leader="core-1", at_ms=1_800_000_000_000))
    await kept.flushed()
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    where = (consul_agent.http_addr, "events", "--election", paths.election)
    assert "core-1" in (await coord(*where, "--node", "core-3"))[1]
    assert (await coord(*where, "--node", "core-1"))[1] == ""
