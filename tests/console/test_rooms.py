"""Getting around in the console: screens, help, palette, another election; and what all share."""

from __future__ import annotations

from dataclasses import replace

import pytest
from console_bench import Seat, seated
from console_rooms import (
    FINDINGS,
    examined,
    hostile,
    with_audit,
    with_journal,
    with_runbooks,
    with_sessions,
)
from console_scenes import NOW, disconnected, leaderless, leading, never_read
from textual.command import CommandPalette

from console.screens.help import HelpScreen
from console.snapshot import Failing, Snapshot
from console.view.rooms import Where
from console.widgets.tabs import Tab
from coord.consul import ConsulUnavailable

SIZES = [(80, 24), (120, 40), (250, 60)]
FULL = {
    Where.DASHBOARD: leading,
    Where.EVENTS: with_journal,
    Where.SESSIONS: with_sessions,
    Where.HEALTH: lambda: examined(*FINDINGS),
    Where.AUDIT: with_audit,
    Where.RUNBOOKS: with_runbooks,
}


async def at(seat: Seat, where: Where) -> Seat:
    """Go there by its key."""
    await seat.press(where.key)
    await seat.pilot.pause()
    await seat.pilot.pause()
    assert seat.room.WHERE is where
    return seat


# --- getting there ---


@pytest.mark.parametrize("where", Where)
async def test_its_number_goes_to_each_screen(where: Where) -> None:
    async with seated(FULL[where](), (80, 24)) as seat:
        await at(seat, where)
        picture = seat.screen()
        assert f"[{where.key} {where.label}]" in picture[1]
        assert all(each.label in picture[1] for each in Where)
        assert "Help" in picture[-1]
        assert "Quit" in picture[-1]


async def test_a_click_on_its_name_goes_there() -> None:
    async with seated(with_journal()) as seat:
        tabs = list(seat.room.query(Tab))
        await seat.pilot.click(tabs[1])
        await seat.pilot.pause()
        assert seat.room.WHERE is Where.EVENTS
        await seat.pilot.click(next(iter(seat.room.query(Tab))))
        await seat.pilot.pause()
        assert seat.on_board()


async def test_numbers_are_letters_while_a_filter_is_typed() -> None:
    async with seated(leading()) as seat:
        await seat.press("slash", "1", "2")
        assert seat.on_board()
        assert seat.nodes() == []


async def test_what_a_screen_shows_stays_while_another_is_looked_at() -> None:
    async with seated(leading()) as seat:
        await seat.press("slash")
        await seat.type("core")
        await seat.press("enter", "down")
        await at(seat, Where.EVENTS)
        await seat.show(leaderless())
        await at(seat, Where.DASHBOARD)
        assert seat.nodes() == ["core-2", "core-3", "core-1"]
        assert seat.current.node == "core-2"
        assert seat.lines("headline")[0].startswith("✖ NOBODY LEADS")


# --- what all share ---


@pytest.mark.parametrize("where", Where)
async def test_the_last_picture_stays_while_consul_is_away(where: Where) -> None:
    error = ConsulUnavailable("GET /v1/txn", "connection refused")
    shown = FULL[where]()
    async with seated(shown) as seat:
        await at(seat, where)
        before = seat.screen()
        assert not seat.room.query_one("#banner").display
        await seat.show(replace(shown, failing=Failing(NOW - 12.0, error)))
        assert seat.room.has_class("-old")
        assert "for 12 s" in seat.lines("banner")[0]
        await seat.wait(5)
        assert "for 17 s" in seat.lines("banner")[0]
        rows = [one for one in before[12:-2] if "core-1" in one or "coord" in one]
        after = "\n".join(seat.screen())
        for row in rows[:2]:
            assert row.split()[0] in after
        await seat.show(shown)
        seat.clock.at -= 5
        await seat.wait(0)
        assert not seat.room.has_class("-old")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("where", Where)
async def test_every_screen_can_be_drawn_in_every_size(where: Where, size: tuple[int, int]) -> None:
    for scene in (leaderless, disconnected, hostile, never_read, FULL[where]):
        async with seated(scene(), size) as seat:
            await at(seat, where)
            await seat.press("down", "enter", "y", "escape", "s", "S")
            assert seat.room.WHERE in (where, Where.RUNBOOKS)
            picture = seat.screen()
            assert len(picture) == size[1]
            assert not any("\x1b" in one or "\u202e" in one for one in picture)
            if seat.room.WHERE is where:
                assert not seat.table.show_horizontal_scrollbar


@pytest.mark.parametrize("where", [where for where in Where if where is not Where.DASHBOARD])
async def test_before_anything_was_read_nothing_is_claimed(where: Where) -> None:
    async with seated(never_read()) as seat:
        await at(seat, where)
        assert seat.table.row_count == 0
        assert seat.lines("none")[0]


@pytest.mark.parametrize("theme", ["coord", "high-contrast", "ansi-dark", "ansi-light"])
@pytest.mark.parametrize("where", [where for where in Where if where is not Where.RUNBOOKS])
async def test_every_theme_draws_the_same_words(where: Where, theme: str) -> None:
    async with seated(FULL[where]()) as seat:
        await at(seat, where)
        before = seat.screen()
        seat.app.theme = theme
        await seat.pilot.pause()
        await seat.pilot.pause()
        assert seat.screen()[:-1] == before[:-1]


@pytest.mark.parametrize("where", [where for where in Where if where is not Where.RUNBOOKS])
async def test_without_colours_everything_is_said(
    where: Where, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with seated(FULL[where]()) as seat:
        coloured = (await at(seat, where)).screen()
    monkeypatch.setenv("NO_COLOR", "1")
    async with seated(FULL[where]()) as seat:
        assert (await at(seat, where)).screen() == coloured


# --- help and palette ---


@pytest.mark.parametrize("where", Where)
async def test_help_names_the_keys_of_the_screen(where: Where) -> None:
    async with seated(FULL[where](), (120, 100)) as seat:
        await at(seat, where)
        await seat.press("question_mark")
        assert isinstance(seat.app.screen, HelpScreen)
        said = "\n".join(seat.screen())
        for key, meaning in (*seat.room.KEYS, ("1 … 6", "the screens"), ("e", "another election")):
            assert key in said
            assert meaning[:30] in said
        await seat.press("escape")
        assert seat.room.WHERE is where
        assert seat.app.screen is seat.room


@pytest.mark.parametrize("where", Where)
async def test_every_key_of_a_screen_is_in_its_help(where: Where) -> None:
    """Whoever adds a key says what it does."""
    async with seated(FULL[where]()) as seat:
        await at(seat, where)
        await seat.press("question_mark")
        help_ = seat.app.screen
        assert isinstance(help_, HelpScreen)
        names = {"slash": "/", "question_mark": "?", "escape": "esc"}
        for key in seat.room._bindings.key_to_bindings:
            if len(key) == 1 or key in (*names, "space", "enter"):
                assert names.get(key, key) in help_.keys_said(), key


async def ask(seat: Seat, command: str) -> None:
    """Type a command into the palette and take it."""
    await seat.press("ctrl+p")
    assert isinstance(seat.app.screen, CommandPalette)
    await seat.type(command)
    await seat.app.workers.wait_for_complete(
        [worker for worker in seat.app.workers if worker.node is seat.app.screen]
    )
    await seat.press("down", "enter")
    await seat.pilot.pause()
    await seat.pilot.pause()


@pytest.mark.parametrize("where", [where for where in Where if where is not Where.DASHBOARD])
async def test_the_palette_goes_to_each_screen(where: Where) -> None:
    async with seated(FULL[where]()) as seat:
        await ask(seat, f"go to {where.value}")
        assert seat.room.WHERE is where


async def test_the_palette_has_the_commands_of_the_screen() -> None:
    async with seated(with_journal()) as seat:
        await at(seat, Where.EVENTS)
        await ask(seat, "pause events")
        assert "HELD" in seat.title()


# --- another election ---


async def test_without_a_consul_there_is_no_other_election() -> None:
    async with seated(leading()) as seat:
        await seat.press("e")
        assert seat.on_board()


async def test_what_was_filtered_in_one_election_is_not_in_another() -> None:
    async with seated(with_journal()) as seat:
        await at(seat, Where.EVENTS)
        await seat.press("slash")
        await seat.type("lost")
        await seat.press("enter", "space", "enter")
        assert seat.table.row_count == 1
        other: Snapshot = replace(with_journal(), election="another")
        await seat.show(other)
        assert seat.table.row_count == 8
        assert "HELD" not in seat.title()
        assert not seat.room.has_class("-detailed")


async def test_the_dashboard_counts_a_failover_that_goes_on() -> None:
    async with seated(leaderless(), (200, 50)) as seat:
        title = str(seat.board.query_one("#failover").border_title)
        assert title.startswith("Failover in progress: nobody leads for ")
        first, *waiting = seat.lines("failover")
        assert first.startswith("✓ detect  ◔ quarantine, 1.8 s left  · acquire")
        assert waiting[0].startswith("core-2 lock_delay 1.8 s left, waits for the quarantine")
        await seat.wait(1)
        assert seat.lines("failover")[0].startswith("✓ detect  ◔ quarantine, 800 ms left")
        await seat.show(disconnected())
        assert str(seat.board.query_one("#failover").border_title).startswith("Last failover")
