"""`coord history` as people run it, on a real Consul: what is there, what may not be seen."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from consul_agents import ROOT_TOKEN, ConsulAgent, Mode, acl_settings, client_of, eventually
from coord_command import coord
from hand_made import lead, make_token, record
from journals import START_MS, Pen, audited

from coord.cli.errors import ExitCode
from coord.clock import SystemClock
from coord.consul import Consistency, ConsulApi, ConsulClient, ConsulError, KVEntry
from coord.election.reasons import Cause, LostReason
from coord.records import LeaderState, Paths
from coord.telemetry import BecameLeader, LeaderChanged, LostLeadership
from coord.telemetry.journal import KEPT_ENTRIES

EVIL = "\x1b[2J\u202e[bold]x[/]\r\n"


@pytest.fixture
def paths(name: str) -> Paths:
    return Paths(name)


async def write(consul: ConsulApi, paths: Paths, *entries: KVEntry) -> None:
    """Put entries of a journal where this election has its own."""
    for entry in entries:
        key = paths.journal + entry.key.rpartition("/")[2]
        await consul.kv_put(key, entry.value)


async def write_audit(consul: ConsulApi, paths: Paths, at_ms: int, operation: str, **f: Any) -> str:
    record = audited(at_ms, operation, **f).record
    assert record is not None
    await consul.kv_put(record.key(paths), record.encode())
    return record.key(paths)


async def shown(agent: ConsulAgent, paths: Paths, *args: str, **env: str) -> tuple[int, Any]:
    given = ("history", "--json", "--election", paths.election, *args)
    code, out, err = await coord(agent.http_addr, *given, **env)
    assert err == ""
    assert out.isascii()
    return code, json.loads(out)


async def test_an_election_that_nobody_knows(consul_agent: ConsulAgent, paths: Paths) -> None:
    code, data = await shown(consul_agent, paths)
    assert (code, data["journal"], data["tenures"]) == (ExitCode.OK, "known", [])
    code, data = await shown(consul_agent, paths, "--audit")
    assert (code, data["seen"], data["entries"]) == (ExitCode.OK, "known", [])


async def test_the_latest_are_shown_with_who_leads_now(
    consul_agent: ConsulAgent, consul: ConsulClient, paths: Paths
) -> None:
    pen = Pen("core-1")
    told = [pen.tell(START_MS + term, BecameLeader, term=term) for term in range(1, 6)]
    await write(consul, paths, *told, KVEntry("odd", EVIL.encode()))
    await lead(consul, paths, "core-2", 6)
    code, data = await shown(consul_agent, paths, "--limit", "2")
    assert code == ExitCode.OK
    assert [(each["term"], each["until"]) for each in data["tenures"]] == [
        (6, "goes_on"),
        (5, "unknown"),
    ]
    assert data["tenures"][0]["notes"] == ["not_in_journal"]
    assert (data["omitted"], data["unreadable"], data["pruned"]) == (4, 1, False)
    code, out, _ = await coord(
        consul_agent.http_addr, "history", "--election", paths.election, "--limit", "2"
    )
    assert code == ExitCode.OK
    assert "core-2" in out
    assert all(line.isprintable() for line in out.splitlines())


async def test_a_full_journal_says_that_older_entries_are_gone(
    consul_agent: ConsulAgent, consul: ConsulClient, paths: Paths
) -> None:
    pen = Pen("core-1")
    told = [pen.tell(START_MS + i, BecameLeader, term=i + 1) for i in range(KEPT_ENTRIES)]
    await write(consul, paths, *told)
    _, data = await shown(consul_agent, paths)
    assert (data["pruned"], data["oldest_ms"]) == (True, START_MS)


async def test_the_audit_is_shown_the_latest_first(
    consul_agent: ConsulAgent, consul: ConsulClient, paths: Paths
) -> None:
    await write_audit(consul, paths, START_MS, "pause", request_id="a" * 16, reason=EVIL)
    await write_audit(consul, paths, START_MS + 5, "drain", request_id="b" * 16, outcome="done")
    await consul.kv_put(f"{paths.audit}0-odd", b"\xff\x1b[2J")
    code, data = await shown(consul_agent, paths, "--audit")
    assert code == ExitCode.OK
    records = [each["record"] and each["record"]["operation"] for each in data["entries"]]
    assert records == ["drain", "pause", None]
    assert [each["finished"] for each in data["entries"]] == [True, False, False]
    code, data = await shown(consul_agent, paths, "--audit", "--limit", "1")
    assert (len(data["entries"]), data["omitted"]) == (1, 2)
    where = ("--election", paths.election)
    code, out, _ = await coord(consul_agent.http_addr, "history", "--audit", *where)
    assert code == ExitCode.OK
    assert "drain" in out
    assert all(line.isprintable() for line in out.splitlines())


# --- what operators did ---


def a_change(begin_ms: int, end_ms: int) -> list[KVEntry]:
    """core-1 led and stepped down at one moment; core-2 leads since the other."""
    first, second = Pen("core-1"), Pen("core-2")
    lost = partial(LostLeadership, reason=LostReason.STEPPED_DOWN)
    changed = partial(LeaderChanged, new_leader="core-2", previous_leader="core-1")
    return [
        first.tell(begin_ms - 60_000, BecameLeader, term=1),
        first.tell(begin_ms, lost, term=1),
        second.tell(end_ms, BecameLeader, term=2),
        second.tell(end_ms, changed, term=2, cause=Cause.STEPPED_DOWN, gap_ms=end_ms - begin_ms),
    ]


async def operated(agent: ConsulAgent, paths: Paths, *words: str) -> None:
    given = (*words, "--yes", "--no-wait", "--election", paths.election)
    code, _, err = await coord(agent.http_addr, *given)
    assert code == ExitCode.OK, err


async def test_a_gap_in_which_the_election_was_paused_says_by_whom(
    consul_agent: ConsulAgent, consul: ConsulClient, paths: Paths
) -> None:
    """Paused and resumed by the commands themselves; the nodes' part is written by hand."""
    where = ("--election", paths.election)
    await consul.kv_put(paths.leader, record(LeaderState.VACANT, "core-1", 1), cas=0)
    begin_ms = SystemClock().wall_ms()
    told = a_change(begin_ms, begin_ms + 60_000)
    await write(consul, paths, *told[:2])
    await operated(consul_agent, paths, "pause", "--for", "30m", "--reason", "the network")

    _, data = await shown(consul_agent, paths)
    (now,) = data["vacant"]["paused"]
    assert (now["reason"], now["end"]) == ("the network", "stands")
    assert now["until_ms"] - now["from_ms"] == 1_800_000
    code, out, err = await coord(consul_agent.http_addr, "events", *where)
    assert (code, "the network" in err) == (ExitCode.OK, True)

    await operated(consul_agent, paths, "resume", "--reason", "well again")
    await write(consul, paths, *told[2:])
    await consul.kv_delete(paths.leader)
    await lead(consul, paths, "core-2", 2)
    _, data = await shown(consul_agent, paths)
    assert data["vacant"] is None
    (before,) = data["tenures"][0]["paused"]
    assert (before["reason"], before["end"], before["ended_why"]) == (
        "the network",
        "resumed",
        "well again",
    )
    for command in ("history", "events"):
        _, out, err = await coord(consul_agent.http_addr, command, *where)
        assert "paused by" in out
        assert "well again" in out
        assert err == ""
    _, out, _ = await coord(consul_agent.http_addr, "events", "--json", *where)
    assert [len(json.loads(line)["paused"]) for line in out.splitlines()] == [0, 0, 0, 1]


async def test_an_end_that_an_operator_forced_says_so_with_who_and_why(
    consul_agent: ConsulAgent, consul: ConsulClient, paths: Paths
) -> None:
    await write(consul, paths, Pen("core-1").tell(START_MS, BecameLeader, term=7))
    await lead(consul, paths, "core-1", 7)
    where = ("--election", paths.election)
    # Nobody is there to follow: that is the outcome, and the exit code.
    words = ("force-release", "--yes", "--reason", "it hangs", *where)
    code, _, _ = await coord(consul_agent.http_addr, *words)
    assert code == ExitCode.NOT_GOOD
    _, data = await shown(consul_agent, paths)
    (tenure,) = data["tenures"]
    assert (tenure["ended"], tenure["asked"][0]["reason"]) == ("force_released", "it hangs")
    _, out, _ = await coord(consul_agent.http_addr, "history", *where)
    assert "force_released" in out
    assert "it hangs" in out


# --- rights ---

READER = 'key_prefix "service/" { policy = "read" }'
DENIED = READER + '\nkey_prefix "service/NAME/PART/" { policy = "deny" }'


async def test_what_may_not_be_seen_is_said(
    make_agent: Callable[..., ConsulAgent], paths: Paths
) -> None:
    agent = await asyncio.to_thread(make_agent, token=ROOT_TOKEN, extra=acl_settings())
    async with client_of(agent, token=ROOT_TOKEN) as root:

        async def ready() -> bool:
            try:
                return await root.kv_put("ready", b"")
            except ConsulError:
                return False

        await eventually(ready)
        await write(root, paths, Pen("core-1").tell(START_MS, BecameLeader, term=1))
        await write_audit(root, paths, START_MS, "step_down", node="core-1", expected_term=1)

    def token(part: str) -> dict[str, str]:
        rules = DENIED.replace("NAME", paths.election).replace("PART", part) if part else READER
        return {"CONSUL_HTTP_TOKEN": make_token(agent, rules)}

    reader = token("")
    code, data = await shown(agent, paths, **reader)
    assert (code, data["journal"], data["audit"]) == (ExitCode.OK, "known", "known")
    assert len(data["tenures"][0]["asked"]) == 1
    assert (await shown(agent, paths, "--audit", **reader))[0] == ExitCode.OK

    no_audit = token("audit")
    code, data = await shown(agent, paths, **no_audit)
    assert (code, data["journal"], data["audit"]) == (ExitCode.OK, "known", "not_permitted")
    assert len(data["tenures"]) == 1
    code, data = await shown(agent, paths, "--audit", **no_audit)
    assert (code, data["seen"], data["entries"]) == (ExitCode.NOT_PERMITTED, "not_permitted", [])

    code, data = await shown(agent, paths, **token("journal"))
    assert (code, data["journal"], data["audit"]) == (
        ExitCode.NOT_PERMITTED,
        "not_permitted",
        "known",
    )
    for arguments in ((), ("--audit",)):
        assert (await shown(agent, paths, *arguments))[0] == ExitCode.NOT_PERMITTED


async def test_no_consul(make_agent: Callable[..., ConsulAgent]) -> None:
    agent = await asyncio.to_thread(make_agent)
    agent.kill()
    for arguments in ((), ("--audit",)):
        code, out, err = await coord(agent.http_addr, "history", *arguments)
        assert (code, out, len(err.splitlines())) == (ExitCode.CONSUL_UNREACHABLE, "", 2)
        assert agent.http_addr in err.splitlines()[1]


async def test_without_a_consul_leader_what_was_last_known_is_shown_and_said_to_be_old(
    make_agent: Callable[..., ConsulAgent], paths: Paths
) -> None:
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
    async with client_of(one) as consul:
        await write(consul, paths, Pen("core-1").tell(START_MS, BecameLeader, term=1))
        key = await write_audit(consul, paths, START_MS, "pause", node="core-1")
        # A server that follows learns a moment later that what it was given counts.
        await eventually(
            lambda: consul.kv_get(key, consistency=Consistency.STALE),
            until=lambda reply: reply.value is not None,
        )
    await asyncio.to_thread(two.stop, signal.SIGKILL)

    async def old(command: str, *args: str) -> str:
        """What it shows all the same: at first it may not yet be known that there is no leader."""
        given = (command, *args, "--json", "--election", paths.election)
        code, out, _ = await coord(one.http_addr, *given)
        return out if code == ExitCode.CONSUL_UNREACHABLE and '"core-1"' in out else ""

    data = json.loads(await eventually(lambda: old("history")))
    assert (data["stale"], data["tenures"][0]["node"]) == (True, "core-1")
    data = json.loads(await eventually(lambda: old("history", "--audit")))
    assert (data["stale"], data["entries"][0]["record"]["operation"]) == (True, "pause")
    event, error = map(json.loads, (await eventually(lambda: old("events"))).splitlines())
    assert (event["term"], error["kind"]) == (1, "error")
