"""The sessions and services that Consul holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from console_bench import at, seated
from console_rooms import session, with_sessions, with_stale_leader
from console_scenes import leaderless, leading

from console.view.rooms import Where
from coord.consul import CheckStatus, ConsulUnavailable
from coord.status import Listing, Seen
from coord.status.sessions import SessionCheck

pytestmark = pytest.mark.long


async def test_the_lock_stands_above() -> None:
    async with seated(with_sessions()) as seat:
        await at(seat, Where.SESSIONS)
        lock, held, record, term = seat.lines("lock")
        assert "★ held by core-1" in lock
        assert "s-1" in held
        assert "lock-delay 2.0 s" in held
        assert "● passing" in held
        assert "term 7" in record
        assert "next core-2, core-3" in record
        assert "7 ● as the record says" in term


async def test_a_vacant_lock_is_told_loudly() -> None:
    shown = with_sessions(session("core-2"), shown=leaderless())
    async with seated(shown) as seat:
        await at(seat, Where.SESSIONS)
        assert "✖ nobody: vacant, its leader vanished" in seat.lines("lock")[0]
        assert "none" in seat.lines("lock")[1]


async def test_sessions_and_services_by_kind() -> None:
    async with seated(with_sessions()) as seat:
        await at(seat, Where.SESSIONS)
        assert seat.column("kind") == [
            *["session"] * 3, "leader", *["candidate"] * 5, *["poller"] * 2,
        ]  # fmt: skip
        assert seat.column("stands")[:4] == [
            "holds the lock", "stands by", "stands by", "at work, term 7",
        ]  # fmt: skip
        assert seat.column("node")[0] == "★ core-1"
        assert "stale, gone" in seat.column("stands")


async def test_what_is_left_over_in_discovery_is_stale() -> None:
    async with seated(with_stale_leader()) as seat:
        await at(seat, Where.SESSIONS)
        await seat.press("slash")
        await seat.type("what:leader")
        assert seat.column("stands") == [
            "at work, term 7", "stale, term 6", "stale, term 2", "stale, term 3",
        ]  # fmt: skip
        assert seat.column("node") == ["★ core-1", "! core-1", "✖ core-9", "! core-9"]


async def test_enter_shows_each_check() -> None:
    hidden = session(
        "core-2", checks=(SessionCheck("serfHealth", None), SessionCheck("c", CheckStatus.CRITICAL))
    )
    async with seated(with_sessions(session("core-1", holds=True), hidden)) as seat:
        await at(seat, Where.SESSIONS)
        await seat.press("enter")
        assert "Agent alive and reachable" in seat.details()
        assert "x-coordinator-candidate-core-1" in seat.details()
        await seat.press("escape", "down", "enter")
        assert "? not to be seen" in seat.details()
        assert "✖ critical" in seat.details()
        await seat.press("escape", "y")
        assert seat.app.clipboard == "s-core-2"


async def test_a_session_that_hangs_on_nothing_is_told() -> None:
    async with seated(with_sessions(session("core-1", holds=True, checks=()))) as seat:
        await at(seat, Where.SESSIONS)
        await seat.press("enter")
        assert "it hangs on none" in seat.details()


async def test_what_may_not_be_seen_is_not_said_to_be_none() -> None:
    shown = with_sessions(seen=Seen.UNKNOWN)
    assert shown.status is not None
    status = replace(shown.status, pollers=Listing(Seen.NOT_PERMITTED))
    async with seated(replace(shown, status=status)) as seat:
        await at(seat, Where.SESSIONS)
        said = "\n".join(seat.lines("notes"))
        assert "sessions: none seen: the token may not see them" in said
        assert "pollers: not permitted" in said
        assert "? not read" in seat.lines("lock")[1]


async def test_sessions_that_cannot_be_read_are_told() -> None:
    error = ConsulUnavailable("GET /v1/session/list", "refused")
    async with seated(replace(leading(), sessions_error=error)) as seat:
        await at(seat, Where.SESSIONS)
        assert "the sessions are not read: Consul cannot be reached" in seat.lines("notes")[0]


async def test_a_lock_whose_session_is_not_among_them_is_told() -> None:
    async with seated(with_sessions(session("core-2"))) as seat:
        await at(seat, Where.SESSIONS)
        assert "! not among the sessions" in seat.lines("lock")[1]
