"""The events: every key, and that the table follows what is told."""

from __future__ import annotations

from functools import partial

import pytest
from console_bench import Seat, at, seated
from console_rooms import REQUEST, hostile, keys, with_audit, with_journal
from journals import Pen, audited
from snapshots import NOW_MS

from console.view.rooms import Where
from coord.election.reasons import Cause, LostReason
from coord.telemetry import LeaderChanged, LostLeadership, Resumed

pytestmark = pytest.mark.long

KINDS = [
    "★ became_leader",
    "◆ step_down_requested",
    "○ lost_leadership",
    "○ leader_down",
    "◔ election_started",
    "★ became_leader",
    "★ leader_changed",
    "! suspended",
]
RESUMED = (partial(Resumed, suspended_ms=900), {"term": 7})
LOST = (partial(LostLeadership, reason=LostReason.SESSION_GONE), {"term": 7})


def now_at(seat: Seat) -> str:
    """The kind of the event under the cursor, and who told it."""
    row = seat.listing.table.current
    assert row is not None
    return f"{row.kind} {row.node}"


async def test_what_was_told_stands_there_the_latest_last() -> None:
    async with seated(with_journal()) as seat:
        await at(seat, Where.EVENTS)
        assert seat.column("kind") == KINDS
        assert seat.title() == "Events: 8"
        assert seat.column("node")[:2] == ["core-1", "core-1"]
        assert (
            seat.column("said")[6] == "leader changed: core-1 -> core-2 (stepped_down), gap 35 ms"
        )


async def test_the_cursor_at_the_end_follows_what_comes() -> None:
    async with seated(with_journal(), (100, 14)) as seat:
        await at(seat, Where.EVENTS)
        assert now_at(seat) == "suspended core-2"
        await seat.show(with_journal(keys(RESUMED)))
        assert now_at(seat) == "resumed core-2"
        assert any("resumed" in one for one in seat.screen())


async def test_the_cursor_elsewhere_stays_on_its_event() -> None:
    async with seated(with_journal()) as seat:
        await at(seat, Where.EVENTS)
        await seat.press("up", "up", "up")
        assert now_at(seat) == "election_started core-2"
        await seat.show(with_journal(keys(RESUMED, LOST)))
        assert now_at(seat) == "election_started core-2"
        assert seat.table.row_count == 10
        await seat.press("end")
        await seat.show(with_journal(keys(RESUMED, LOST, RESUMED)))
        assert now_at(seat) == "resumed core-2"


async def test_space_holds_the_picture_and_lets_it_go_on() -> None:
    async with seated(with_journal()) as seat:
        await at(seat, Where.EVENTS)
        await seat.press("space")
        await seat.show(with_journal(keys(RESUMED, LOST)))
        assert seat.table.row_count == 8
        assert seat.title() == "Events: 8, HELD, 2 new (space goes on)"
        await seat.press("space")
        assert seat.table.row_count == 10
        assert seat.title() == "Events: 10"


async def test_the_filter_knows_kinds_and_nodes() -> None:
    async with seated(with_journal()) as seat:
        await at(seat, Where.EVENTS)
        await seat.press("slash")
        await seat.type("kind:leader node:core-2")
        assert seat.column("kind") == ["○ leader_down", "★ became_leader", "★ leader_changed"]
        assert seat.title() == "Events: 3 of 8 with 'kind:leader node:core-2'"
        await seat.press("escape", "slash")
        await seat.type("no such thing")
        assert "no row has all these words" in seat.lines("none")[0]
        await seat.press("escape")
        assert seat.table.row_count == 8


async def test_c_goes_from_each_event_to_what_explains_it() -> None:
    async with seated(with_journal()) as seat:
        await at(seat, Where.EVENTS)
        await seat.press("up")
        path = [now_at(seat)]
        for _ in range(2):
            await seat.press("c")
            path.append(now_at(seat))
        assert path == [
            "leader_changed core-2", "lost_leadership core-1", "step_down_requested core-1",
        ]  # fmt: skip


async def test_c_goes_on_to_the_audit() -> None:
    async with seated(with_audit()) as seat:
        await at(seat, Where.EVENTS)
        await seat.press("home", "down", "c")
        await seat.pilot.pause()
        await seat.pilot.pause()
        assert seat.room.WHERE is Where.AUDIT
        row = seat.listing.table.current
        assert row is not None
        assert row.request_id == REQUEST


async def test_c_goes_on_to_who_forced_a_leader_off() -> None:
    one, two = Pen("core-1"), Pen("core-2")
    changed = partial(
        LeaderChanged,
        previous_leader="core-1",
        new_leader="core-2",
        cause=Cause.RELEASED_BY_HAND,
    )
    told = (
        one.tell(NOW_MS - 9_000, partial(LostLeadership, reason=LostReason.VACANT), term=6),
        two.tell(NOW_MS - 5_000, changed, term=7),
    )
    forced = audited(
        NOW_MS - 9_100,
        "force_release",
        node="core-1",
        expected_term=6,
        outcome="done",
        request_id=REQUEST,
    )
    shown = with_journal(told, with_audit(forced))
    async with seated(shown) as seat:
        await at(seat, Where.EVENTS)
        await seat.press("end", "c")
        assert now_at(seat) == "lost_leadership core-1"
        await seat.press("enter")
        assert REQUEST in seat.details()
        await seat.press("escape", "c")
        await seat.pilot.pause()
        await seat.pilot.pause()
        assert seat.room.WHERE is Where.AUDIT
        row = seat.listing.table.current
        assert row is not None
        assert row.operation == "force_release"


async def test_esc_goes_back_from_what_explains_it_step_by_step() -> None:
    async with seated(with_journal()) as seat:
        await at(seat, Where.EVENTS)
        await seat.press("slash")
        await seat.type("changed")
        await seat.press("enter", "space", "c", "c")
        assert now_at(seat) == "step_down_requested core-1"
        await seat.press("enter", "escape")
        assert now_at(seat) == "step_down_requested core-1", "what was opened since is closed first"
        await seat.press("escape")
        assert now_at(seat) == "lost_leadership core-1"
        await seat.press("escape")
        assert now_at(seat) == "leader_changed core-2"
        assert "1 of 8 with 'changed', HELD" in seat.title()
        await seat.press("escape")
        assert seat.table.row_count == 8


async def test_esc_goes_back_from_the_audit_unless_somebody_went_there_himself() -> None:
    async with seated(with_audit()) as seat:
        await at(seat, Where.EVENTS)
        await seat.press("home", "down", "c")
        await seat.pilot.pause()
        await seat.press("enter", "escape", "escape")
        await seat.pilot.pause()
        assert now_at(seat) == "step_down_requested core-1"
        await seat.press("c")
        await seat.pilot.pause()
        await at(seat, Where.EVENTS)
        await at(seat, Where.AUDIT)
        await seat.press("escape")
        await seat.pilot.pause()
        assert seat.room.WHERE is Where.AUDIT


async def test_c_says_where_nothing_explains_it() -> None:
    async with seated(with_journal()) as seat:
        await at(seat, Where.EVENTS)
        await seat.press("home", "c")
        assert now_at(seat) == "became_leader core-1"
        assert seat.room.WHERE is Where.EVENTS


async def test_c_finds_what_the_filter_hides() -> None:
    async with seated(with_journal()) as seat:
        await at(seat, Where.EVENTS)
        await seat.press("slash")
        await seat.type("changed")
        await seat.press("enter", "c")
        assert now_at(seat) == "lost_leadership core-1"
        assert seat.table.row_count == 8


async def test_enter_shows_all_of_it_and_what_explains_it() -> None:
    async with seated(with_journal()) as seat:
        await at(seat, Where.EVENTS)
        await seat.press("up", "enter")
        said = seat.details()
        assert "serviceradar.coordinator.leader_changed" in said
        assert "core-1: lost leadership: stepped_down, term 6 (c goes there)" in said
        assert "gap_ms" in said
        await seat.press("y")
        assert seat.app.clipboard == said
        await seat.press("escape", "y")
        assert seat.app.clipboard == "leader_changed by core-2"


async def test_what_cannot_be_read_is_told() -> None:
    async with seated(hostile()) as seat:
        await at(seat, Where.EVENTS)
        assert "? unreadable" in seat.column("kind")
        await seat.press("home", "enter")
        assert "\x1b" not in seat.details()
