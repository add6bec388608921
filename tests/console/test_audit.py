"""The audit: what operators did, in a table and in full."""

from __future__ import annotations

import pytest
from console_bench import at, seated
from console_rooms import REQUEST, operations, with_audit

from console.view.rooms import Where
from coord.status import Seen

pytestmark = pytest.mark.long


async def test_who_did_what_and_what_came_of_it() -> None:
    async with seated(with_audit()) as seat:
        await at(seat, Where.AUDIT)
        assert seat.title() == "Operations: 4"
        assert seat.column("operation") == ["drain", "step_down", "unreadable", "transfer"]
        assert seat.column("outcome")[:2] == ["◔ unfinished", "● done"]
        assert seat.column("whom")[3] == "core-2 → core-1"
        assert seat.column("outcome")[3] == "! fell_back"
        assert seat.column("actor")[0] == "bob"


async def test_enter_shows_all_of_it() -> None:
    async with seated(with_audit()) as seat:
        await at(seat, Where.AUDIT)
        await seat.press("enter")
        assert "what came of it was not written down" in seat.details()
        await seat.press("escape", "down", "enter")
        said = seat.details()
        assert REQUEST in said
        assert "core-2 (term 7)" in said
        assert "35 ms without a leader at work" in said
        await seat.press("escape", "y")
        assert seat.app.clipboard == REQUEST


async def test_the_filter_knows_its_parts() -> None:
    async with seated(with_audit()) as seat:
        await at(seat, Where.AUDIT)
        await seat.press("slash")
        await seat.type("who:bob")
        assert seat.column("operation") == ["drain"]
        await seat.press("escape", "slash")
        await seat.type(REQUEST)
        assert seat.column("operation") == ["step_down"]


async def test_it_is_sorted_by_the_latest_first_again() -> None:
    async with seated(with_audit()) as seat:
        await at(seat, Where.AUDIT)
        await seat.press("s")
        assert seat.column("operation")[0] == "drain"
        await seat.press("S")
        assert seat.column("operation")[-1] == "drain"


async def test_the_cursor_stays_on_its_operation() -> None:
    async with seated(with_audit(*operations()[1:])) as seat:
        await at(seat, Where.AUDIT)
        row = seat.listing.table.current
        await seat.show(with_audit())
        assert seat.table.row_count == 4
        assert seat.listing.table.current == row


async def test_a_token_that_may_not_see_it_is_told_so() -> None:
    async with seated(with_audit(seen=Seen.NOT_PERMITTED)) as seat:
        await at(seat, Where.AUDIT)
        assert seat.table.row_count == 0
        assert "not permitted" in seat.lines("notes")[0]
        assert "no operation" not in "\n".join(seat.screen())
