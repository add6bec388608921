"""The runbooks: found, read, and done."""

from __future__ import annotations

import pytest
from console_bench import Seat, at, seated
from console_rooms import with_runbooks
from textual.widgets import Button, Markdown

from console.app import ConsoleApp
from console.view.rooms import Where
from console.widgets.runbook import RunbookPane
from coord.operations import Operation
from coord.runbooks import runbook_names

pytestmark = pytest.mark.long


def pane(seat: Seat) -> RunbookPane:
    return seat.room.query_one(RunbookPane)


def section(seat: Seat) -> str:
    row = seat.listing.table.current
    assert row is not None
    return str(row.key)


async def go_to(seat: Seat, key: str) -> None:
    await at(seat, Where.RUNBOOKS)
    seat.listing.go_to(key)
    await seat.pilot.pause()
    await seat.pilot.pause()
    assert section(seat) == key


def labels(seat: Seat) -> list[str]:
    return [str(button.label) for button in pane(seat).query(Button)]


@pytest.fixture
def operated(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Operation, str]]:
    """What the app is told to do."""
    asked: list[tuple[Operation, str]] = []

    def operate(self: ConsoleApp, operation: Operation, node: str = "") -> None:
        asked.append((operation, node))

    monkeypatch.setattr(ConsoleApp, "operate", operate)
    return asked


async def test_all_are_listed_with_their_sections() -> None:
    async with seated(with_runbooks()) as seat:
        await at(seat, Where.RUNBOOKS)
        books = [title for title in seat.column("title") if title.startswith("▾")]
        assert len(books) == len(runbook_names())
        assert seat.table.row_count > 40


async def test_the_section_under_the_cursor_is_to_be_read_beside_them() -> None:
    async with seated(with_runbooks(), (160, 50)) as seat:
        await at(seat, Where.RUNBOOKS)
        await seat.press("down")
        await seat.pilot.pause()
        assert pane(seat).display
        assert section(seat) in str(pane(seat).border_title)
        assert pane(seat).query(Markdown)


async def test_a_narrow_screen_shows_one_or_the_other() -> None:
    async with seated(with_runbooks(), (80, 24)) as seat:
        await at(seat, Where.RUNBOOKS)
        assert not pane(seat).display
        await seat.press("down", "enter")
        await seat.pilot.pause()
        assert pane(seat).display
        assert not seat.table.display or not seat.table.region
        assert seat.focused() == "details"
        await seat.press("escape")
        assert not pane(seat).display
        assert seat.focused() == "sections"


async def test_the_search_looks_into_the_text() -> None:
    async with seated(with_runbooks()) as seat:
        await at(seat, Where.RUNBOOKS)
        every = seat.table.row_count
        await seat.press("slash")
        await seat.type("force-release session")
        assert 0 < seat.table.row_count < every
        await seat.press("escape")
        assert seat.table.row_count == every


async def test_a_step_that_is_an_operation_is_a_button(
    operated: list[tuple[Operation, str]],
) -> None:
    async with seated(with_runbooks()) as seat:
        await go_to(seat, "force-leader-change#step-down")
        assert labels(seat) == ["▶ step-down …"]
        assert seat.focused() == "details"
        await seat.press("tab", "enter")
        await seat.pilot.pause()
        assert operated == [(Operation.STEP_DOWN, "")]


async def test_the_node_of_a_step_is_an_example_and_left_to_the_dialog(
    operated: list[tuple[Operation, str]],
) -> None:
    async with seated(with_runbooks()) as seat:
        await go_to(seat, "force-leader-change#let-a-certain-node-lead")
        assert labels(seat) == ["▶ transfer …"]
        await seat.press("tab", "enter")
        await seat.pilot.pause()
        assert operated == [(Operation.TRANSFER, "")]


async def test_every_operation_has_a_button_somewhere(
    operated: list[tuple[Operation, str]],
) -> None:
    async with seated(with_runbooks()) as seat:
        await at(seat, Where.RUNBOOKS)
        seen: set[str] = set()
        rows = [row for row in seat.listing.rows_of(seat.app.snapshot) if row.operations]
        for row in rows:
            seat.listing.go_to(row.key)
            await seat.pilot.pause()
            await seat.pilot.pause()
            found = labels(seat)
            assert found, row.key
            seen.update(found)
        assert len(seen) == len(Operation)


async def test_links_lead_to_sections_and_other_runbooks() -> None:
    async with seated(with_runbooks()) as seat:
        await go_to(seat, "force-leader-change#step-down")
        for href, key in (
            ("#the-leader-does-not-answer", "force-leader-change#the-leader-does-not-answer"),
            ("debug-election.md", "debug-election"),
            ("rolling-restart.md#keep-a-node-out", "rolling-restart#keep-a-node-out"),
        ):
            pane(seat).post_message(RunbookPane.Followed(href))
            await seat.pilot.pause()
            await seat.pilot.pause()
            assert section(seat) == key
        pane(seat).post_message(RunbookPane.Followed("https://example.org/"))
        await seat.pilot.pause()
        assert section(seat) == "rolling-restart#keep-a-node-out"


async def test_y_copies_the_name_or_the_section_that_is_read() -> None:
    async with seated(with_runbooks()) as seat:
        await go_to(seat, "force-leader-change#step-down")
        await seat.press("y")
        assert seat.app.clipboard.startswith("## Step down")
        await seat.press("escape", "y")
        assert seat.app.clipboard == "force-leader-change#step-down"


async def test_an_installation_without_runbooks_says_so() -> None:
    from console_scenes import leading

    async with seated(leading()) as seat:
        await at(seat, Where.RUNBOOKS)
        assert seat.lines("none") == ["this installation has no runbooks"]
