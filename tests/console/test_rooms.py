"""Getting around in the console: screens, help, palette, another election; and what all share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from console_bench import Seat, at, seated
from console_rooms import everything, hostile, with_journal
from console_scenes import NOW, disconnected, leaderless, leading, never_read
from textual.command import CommandPalette
from textual.events import Key
from textual.widgets import Input

from console.screens.help import HelpScreen
from console.snapshot import Failing, Snapshot
from console.view.rooms import Where
from console.widgets.tabs import Tab
from coord.consul import ConsulUnavailable

pytestmark = pytest.mark.long

SIZES = [(80, 24), (120, 40), (250, 60)]
OTHERS = [where for where in Where if where is not Where.DASHBOARD]


def drawn(seat: Seat) -> list[str]:
    """The picture without the keys below, which a theme may space otherwise."""
    return seat.screen()[:-1]


# --- getting there ---


async def test_its_number_goes_to_each_screen() -> None:
    async with seated(everything(), (80, 24)) as seat:
        for where in (*OTHERS, Where.DASHBOARD):
            await at(seat, where)
            picture = seat.screen()
            assert f"[{where.key} {where.label}]" in picture[1]
            assert all(each.label in picture[1] for each in Where)
            assert all(word in picture[-1] for word in ("Help", "Quit", "Filter"))


async def test_every_other_screen_says_at_its_head_who_leads() -> None:
    async with seated(leading(), (80, 24)) as seat:
        for where in OTHERS:
            await seat.show(leading())
            await at(seat, where)
            assert "★ core-1" in seat.screen()[0]
            await seat.show(leaderless())
            assert "✖ NOBODY LEADS" in seat.screen()[0]


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
        await seat.press("slash", "5", "6")
        assert seat.on_board()
        assert seat.nodes() == []


async def test_what_is_typed_in_one_go_after_the_slash_is_the_filter() -> None:
    async with seated(leading()) as seat:
        for key, char in (("slash", "/"), ("q", "q"), ("1", "1"), ("slash", "/"), ("e", "e")):
            seat.app.post_message(Key(key, char))
        await seat.pilot.pause()
        await seat.pilot.pause()
        assert seat.board.query_one("#filter", Input).value == "q1/e"


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


async def test_the_last_picture_stays_on_every_screen_while_consul_is_away() -> None:
    error = ConsulUnavailable("GET /v1/txn", "connection refused")
    shown = everything()
    async with seated(shown) as seat:
        for where in Where:
            await at(seat, where)
            assert not seat.room.query_one("#banner").display
            rows = [list(seat.table.get_row_at(i)) for i in range(min(3, seat.table.row_count))]
            await seat.show(replace(shown, failing=Failing(NOW - 12.0, error)))
            assert seat.room.has_class("-old")
            assert "for 12 s" in seat.lines("banner")[0]
            await seat.wait(5)
            assert "for 17 s" in seat.lines("banner")[0]
            assert [str(seat.table.get_row_at(i)[0]) for i in range(len(rows))] == [
                str(row[0]) for row in rows
            ]
            await seat.wait(-5)
            await seat.show(shown)
            assert not seat.room.has_class("-old")


async def test_a_banner_is_there_too_where_one_goes_meanwhile() -> None:
    error = ConsulUnavailable("GET /v1/txn", "connection refused")
    async with seated(replace(everything(), failing=Failing(NOW - 12.0, error))) as seat:
        for where in OTHERS:
            await at(seat, where)
            assert seat.room.has_class("-old")
            assert "for 12 s" in seat.lines("banner")[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scene", [leaderless, disconnected, hostile, never_read, everything])
async def test_every_screen_can_be_drawn_in_every_size(
    scene: Callable[[], Snapshot], size: tuple[int, int]
) -> None:
    async with seated(scene(), size) as seat:
        for where in Where:
            await at(seat, where)
            await seat.press("down", "s")
            assert not seat.table.show_horizontal_scrollbar
            if where is not Where.HEALTH:
                await seat.press("enter", "y", "escape")
            picture = seat.screen()
            assert len(picture) == size[1]
            assert not any("\x1b" in one or "\u202e" in one for one in picture)


async def test_before_anything_was_read_nothing_is_claimed() -> None:
    async with seated(never_read()) as seat:
        for where in OTHERS:
            await at(seat, where)
            assert seat.table.row_count == 0
            assert seat.lines("none")[0]


async def test_every_theme_draws_the_same_words() -> None:
    async with seated(everything()) as seat:
        for where in OTHERS[:-1]:
            seat.app.theme = "coord"
            before = drawn(await at(seat, where))
            for theme in ("high-contrast", "ansi-dark", "ansi-light"):
                seat.app.theme = theme
                await seat.pilot.pause()
                await seat.pilot.pause()
                assert drawn(seat) == before


async def test_without_colours_everything_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async with seated(everything()) as seat:
        coloured = [drawn(await at(seat, where)) for where in OTHERS[:-1]]
    monkeypatch.setenv("NO_COLOR", "1")
    async with seated(everything()) as seat:
        assert seat.app.no_color
        assert [drawn(await at(seat, where)) for where in OTHERS[:-1]] == coloured


# --- help and palette ---


async def test_help_names_the_keys_of_the_screen() -> None:
    """Whoever adds a key to a screen says there what it does."""
    names = {"slash": "/", "question_mark": "?", "escape": "esc"}
    async with seated(everything(), (120, 100)) as seat:
        for where in Where:
            await at(seat, where)
            await seat.press("question_mark")
            help_ = seat.app.screen
            assert isinstance(help_, HelpScreen)
            said = "\n".join(seat.screen())
            for key, meaning in (*seat.room.KEYS, ("1 … 7", "the screens"), ("e", "choose")):
                assert key in said
                assert meaning[:30] in said
            for key in seat.room._bindings.key_to_bindings:
                if len(key) == 1 or key in (*names, "space", "enter"):
                    assert names.get(key, key) in help_.keys_said(), key
            await seat.press("escape")
            assert seat.app.screen is seat.room
            assert seat.room.WHERE is where


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


async def test_the_palette_goes_to_a_screen_and_has_its_commands() -> None:
    async with seated(with_journal()) as seat:
        await ask(seat, "go to events")
        assert seat.room.WHERE is Where.EVENTS
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
