"""Every key of the console, and that nothing moves under who looks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from console_bench import StoppedClock, seated
from console_scenes import (
    LEADER,
    SCENES,
    disconnected,
    fleet,
    leaderless,
    leading,
    never_read,
    of,
    thousand,
)
from snapshots import candidate, snapshot
from textual.command import CommandPalette
from textual.widgets import Input

from console.app import ConsoleApp
from console.screens.dashboard import Dashboard
from console.screens.help import HelpScreen
from console.snapshot import Contact
from console.view import nodes
from console.view.table import Sorting
from console.widgets.details import Details
from coord.clock import SystemClock

BY_RANK = ["core-1", "core-2", "core-3", "web-1", "edge-1", "edge-2", "core-4"]


# --- what is shown ---


async def test_the_dashboard_shows_what_it_was_given() -> None:
    async with seated(leading()) as seat:
        assert seat.lines("headline")[0].startswith("★ core-1 LEADS")
        assert seat.nodes() == BY_RANK
        assert str(seat.board.query_one("#nodes-room").border_title) == "Nodes: 7"
        assert str(seat.board.query_one("#timeline").border_title).startswith(
            "Leadership, last 6 h"
        )
        assert len(seat.lines("failover")) == 5


async def test_snapshots_that_come_before_there_is_anything_to_draw_on_are_kept() -> None:
    clock = StoppedClock()
    board = Dashboard(clock.now, never_read())
    board.show(leaderless())
    board.tick()
    async with seated(leading()) as seat:
        await seat.app.push_screen(board)
        await seat.pilot.pause()
        await seat.pilot.pause()
        assert any("NOBODY LEADS" in one for one in seat.screen())


async def test_a_new_snapshot_changes_the_picture() -> None:
    async with seated(leading()) as seat:
        await seat.show(leaderless())
        assert seat.lines("headline")[0].startswith("✖ NOBODY LEADS")
        assert seat.board.query_one("#headline").has_class("-vacant")
        await seat.show(leading())
        assert seat.board.query_one("#headline").has_class("-led")


async def test_time_passes_between_snapshots() -> None:
    async with seated(leading()) as seat:
        row = seat.nodes().index("web-1")
        assert seat.cell(row, "left") == "3 s"
        await seat.wait(2)
        assert seat.cell(row, "left") == "1 s"
        assert "read 3 s ago" in seat.lines("header")[0]


async def test_how_soon_consul_answers_is_shown_though_nothing_else_has_changed() -> None:
    async with seated(leading()) as seat:
        for latency_ms in (123.0, 45.0):
            await seat.show(replace(leading(), contact=Contact(latency_ms)))
            assert f"{latency_ms:.0f} ms" in seat.lines("header")[0]
        rows = seat.nodes()
        assert rows
        await seat.show(leaderless())
        assert seat.nodes() != rows


async def test_the_last_picture_stays_greyed_while_consul_is_away() -> None:
    async with seated(leading()) as seat:
        assert not seat.board.query_one("#banner").display
        await seat.show(disconnected())
        assert seat.board.query_one("#banner").display
        assert seat.board.has_class("-old")
        assert seat.nodes() == BY_RANK
        assert "for 12 s" in seat.lines("banner")[0]
        await seat.wait(30)
        assert "for 42 s" in seat.lines("banner")[0]
        await seat.show(leading())
        assert "31 s old" in seat.lines("banner")[0]
        seat.clock.at -= 30
        await seat.wait(0)
        assert not seat.board.has_class("-old")
        assert not seat.board.query_one("#banner").display


async def test_before_anything_was_read_only_the_banner_and_a_wait_are_shown() -> None:
    async with seated(never_read()) as seat:
        assert "nothing is known yet" in seat.lines("headline")[0]
        assert not seat.board.has_class("-old")
        await seat.press("enter", "y", "s", "w", "escape")
        assert seat.nodes() == []
        await seat.show(leading())
        assert len(seat.nodes()) == 7


@pytest.mark.long
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (250, 60), (40, 12), (500, 100)])
@pytest.mark.parametrize("scene", SCENES)
async def test_every_situation_can_be_drawn_in_every_size(
    scene: str, size: tuple[int, int]
) -> None:
    async with seated(SCENES[scene](), size) as seat:
        picture = seat.screen()
        assert len(picture) == size[1]
        assert sum(bool(one.strip()) for one in picture) >= min(size[1], 24) / 3


async def test_who_leads_stands_at_the_top_and_the_keys_at_the_bottom() -> None:
    async with seated(leading(), (80, 24)) as seat:
        picture = seat.screen()
        assert "core-1 LEADS" in picture[2]
        assert all(word in picture[-1] for word in ("Details", "Filter", "Sort", "Help", "Quit"))
        assert sum("standby" in one for one in picture) == 2


@pytest.mark.long
async def test_nothing_scrolls_sideways() -> None:
    for size in ((80, 24), (120, 40), (250, 60)):
        for scene in ("leading", "hostile", "thousand"):
            async with seated(SCENES[scene](), size) as seat:
                assert not seat.table.show_horizontal_scrollbar
                await seat.press("enter")
                assert not seat.table.show_horizontal_scrollbar


async def test_the_columns_follow_the_size() -> None:
    async with seated(leading(), (80, 24)) as seat:
        narrow = len(seat.table.columns)
        await seat.pilot.resize_terminal(250, 60)
        await seat.pilot.pause()
        assert len(seat.table.columns) == len(nodes.LAYOUT.columns) > narrow
        assert seat.nodes() == BY_RANK


# --- the table under the cursor ---


async def test_the_cursor_stays_on_its_node() -> None:
    async with seated(leading()) as seat:
        await seat.press("down", "down")
        assert seat.current.node == "core-3"
        await seat.show(leaderless())
        assert seat.current.node == "core-3"
        more = (candidate("aaa", api="127.0.0.1:1"), *fleet())
        await seat.show(of(snapshot(*more, leader=LEADER)))
        assert seat.nodes()[1] == "aaa"
        assert seat.current.node == "core-3"


async def test_the_cursor_stays_near_if_its_node_goes() -> None:
    async with seated(leading()) as seat:
        await seat.press("down", "down")
        left = tuple(item for item in fleet() if item.meta["node"] != "core-3")
        await seat.show(of(snapshot(*left, leader=LEADER)))
        assert seat.table.cursor_row == 2
        assert seat.current.node == "web-1"


async def test_the_scroll_stays_where_it_is() -> None:
    async with seated(thousand(), (80, 24)) as seat:
        await seat.press(*["pagedown"] * 12)
        node, top = seat.current.node, seat.table.scroll_y
        on_line = seat.table.cursor_row - top
        assert top > 50
        await seat.show(thousand())
        assert (seat.current.node, seat.table.scroll_y) == (node, top)
        shown = thousand()
        assert shown.status is not None
        items = tuple(m for m in shown.status.candidates.items if not m.node.endswith("7"))
        fewer = replace(
            shown,
            status=replace(shown.status, candidates=replace(shown.status.candidates, items=items)),
        )
        await seat.show(fewer)
        assert seat.current.node == node
        assert seat.table.cursor_row - seat.table.scroll_y == on_line
        assert len(seat.nodes()) == len(items)


async def test_rows_come_and_go_in_place() -> None:
    async with seated(leading()) as seat:
        more = (*fleet(), *(candidate(f"new-{i}", api=f"127.0.0.1:{i}") for i in range(1, 4)))
        await seat.show(of(snapshot(*more, leader=LEADER)))
        assert seat.nodes() == [
            "core-1", "core-2", "core-3", "new-1", "new-2", "new-3", "web-1", "core-4",
        ]  # fmt: skip
        await seat.show(leading())
        assert seat.nodes() == BY_RANK


# --- keys ---


async def test_the_cursor_moves_by_keys_and_by_clicks() -> None:
    async with seated(thousand(), (80, 24)) as seat:
        for key, row in (
            ("down", 1), ("j", 2), ("up", 1), ("k", 0), ("end", 999), ("home", 0),
        ):  # fmt: skip
            await seat.press(key)
            assert seat.table.cursor_row == row
        await seat.press("pagedown", "pagedown")
        down = seat.table.cursor_row
        await seat.press("pageup")
        assert 0 < seat.table.cursor_row < down
        await seat.press("home")
        await seat.pilot.click(seat.table, offset=(5, 4))
        assert seat.table.cursor_row == 3


async def test_s_sorts_by_each_column_and_then_by_rank_again() -> None:
    async with seated(leading()) as seat:
        shown = nodes.LAYOUT.shown(seat.table.size.width)
        for column in shown:
            await seat.press("s")
            head = seat.table.columns[next(k for k in seat.table.columns if k == column.name)].label
            assert str(head).endswith("▲")
            assert f"by {column.title.lower()}" in str(
                seat.board.query_one("#nodes-room").border_title
            )
        await seat.press("s")
        assert seat.nodes() == BY_RANK


async def test_shift_s_turns_the_order_around() -> None:
    async with seated(leading()) as seat:
        await seat.press("S")
        assert seat.nodes() == BY_RANK
        await seat.press("s")
        assert seat.nodes() == sorted(BY_RANK)
        await seat.press("S")
        assert seat.nodes() == sorted(BY_RANK, reverse=True)
        await seat.press("S")
        assert seat.nodes() == sorted(BY_RANK)


async def test_a_click_on_a_head_sorts_and_another_turns() -> None:
    async with seated(leading()) as seat:
        table = seat.table
        for expected in (sorted(BY_RANK), sorted(BY_RANK, reverse=True), BY_RANK):
            await seat.pilot.click(table, offset=(2, 0))
            await seat.pilot.pause()
            assert seat.nodes() == expected


def test_sorting_turns_around_by_the_same_column_alone() -> None:
    assert Sorting().by("node") == Sorting("node")
    assert Sorting("node").by("node") == Sorting("node", reverse=True)
    assert Sorting("node", reverse=True).by("node") == Sorting()
    assert Sorting("node", reverse=True).by("state") == Sorting("state")


async def test_slash_filters_as_it_is_typed() -> None:
    async with seated(leading()) as seat:
        assert not seat.board.query_one("#filter").display
        await seat.press("slash")
        await seat.type("core")
        assert seat.nodes() == ["core-1", "core-2", "core-3", "core-4"]
        await seat.type(" stand")
        assert seat.nodes() == ["core-2", "core-3"]
        title = str(seat.board.query_one("#nodes-room").border_title)
        assert title == "Nodes: 2 of 7 with 'core stand'"
        await seat.press("enter")
        assert seat.focused() == "nodes"
        assert seat.nodes() == ["core-2", "core-3"]
        await seat.show(leading())
        assert seat.nodes() == ["core-2", "core-3"]
        await seat.press("escape")
        assert seat.nodes() == BY_RANK
        assert not seat.board.query_one("#filter").display


async def test_keys_are_letters_while_a_filter_is_typed() -> None:
    async with seated(leading()) as seat:
        await seat.press("slash")
        await seat.type("swyqS")
        assert seat.board.query_one("#filter", Input).value == "swyqS"
        assert seat.nodes() == []
        await seat.press("escape")
        assert seat.nodes() == BY_RANK
        assert seat.focused() == "nodes"


async def test_an_empty_filter_goes_with_enter() -> None:
    async with seated(leading()) as seat:
        await seat.press("slash", "enter")
        assert not seat.board.query_one("#filter").display


async def test_enter_shows_details_that_follow_the_data() -> None:
    async with seated(leading()) as seat:
        await seat.press("down", "down", "down", "enter")
        details = seat.board.query_one(Details)
        assert details.display
        assert str(details.border_title) == "web-1"
        assert "cooling_down" in details.said
        assert "the end of its cool-down" in details.said
        assert "about 3 s left" in details.said
        await seat.wait(2)
        assert "about 1 s left" in details.said
        await seat.press("enter")
        assert not details.display
        assert seat.focused() == "nodes"


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_escape_closes_the_details(size: tuple[int, int]) -> None:
    async with seated(leading(), size) as seat:
        await seat.press("enter")
        assert seat.board.query_one(Details).display
        await seat.press("escape")
        assert not seat.board.query_one(Details).display
        assert seat.focused() == "nodes"


async def test_escape_closes_what_was_opened_last() -> None:
    async with seated(leading()) as seat:
        await seat.press("slash")
        await seat.type("core")
        await seat.press("enter", "enter")
        assert seat.board.query_one(Details).display
        await seat.press("escape")
        assert seat.nodes() == ["core-1", "core-2", "core-3", "core-4"]
        await seat.press("escape")
        assert seat.nodes() == BY_RANK


async def test_y_copies_the_name_or_all_that_is_shown() -> None:
    async with seated(leading()) as seat:
        await seat.press("down", "y")
        assert seat.app.clipboard == "core-2"
        await seat.press("enter", "y")
        assert "held_by_other" in seat.app.clipboard
        assert "Another node leads." in seat.app.clipboard


async def test_what_is_copied_of_a_hostile_name_does_nothing() -> None:
    async with seated(SCENES["hostile"]()) as seat:
        await seat.press("y")
        assert "\\x1b[31mevil" in seat.app.clipboard
        await seat.press("enter", "y")
        assert "\x1b" not in seat.app.clipboard


async def test_w_chooses_how_far_back_the_line_goes() -> None:
    async with seated(leading()) as seat:

        def title() -> str:
            return str(seat.board.query_one("#timeline").border_title)

        first = title()
        seen = []
        for _ in range(7):
            await seat.press("w")
            seen.append(title().partition(":")[0])
        assert seen == [
            f"Leadership, last {each}"
            for each in ("1 min", "5 min", "15 min", "1 h", "6 h", "1 d", "7 d")
        ]
        await seat.press("w")
        assert title() == first


@pytest.mark.parametrize("closes", ["escape", "question_mark", "q"])
async def test_help_opens_and_closes(closes: str) -> None:
    async with seated(leading(), (80, 24)) as seat:
        await seat.press("question_mark")
        assert not seat.on_board()
        await seat.press(closes)
        assert seat.on_board()


async def test_help_names_every_key_that_there_is() -> None:
    async with seated(leading(), (120, 100)) as seat:
        await seat.press("question_mark")
        text = "\n".join(seat.screen())
        for key in ("enter", "s, S", "w ", "y ", "ctrl+p", "esc", "q ", "cooling_down"):
            assert key in text


async def test_the_picture_goes_on_behind_the_help() -> None:
    async with seated(leading()) as seat:
        await seat.press("question_mark")
        await seat.show(leaderless())
        await seat.press("escape")
        assert seat.lines("headline")[0].startswith("✖ NOBODY LEADS")


@pytest.mark.parametrize(
    ("command", "then"),
    [
        ("filter nodes", lambda seat: seat.board.query_one("#filter").display),
        ("sort nodes", lambda seat: seat.nodes() == sorted(BY_RANK)),
        ("details", lambda seat: seat.board.query_one(Details).display),
        ("help", lambda seat: isinstance(seat.app.screen, HelpScreen)),
    ],
)
async def test_the_palette_does_what_it_offers(command: str, then: object) -> None:
    async with seated(leading()) as seat:
        await seat.press("ctrl+p")
        assert isinstance(seat.app.screen, CommandPalette)
        await seat.type(command)
        await seat.app.workers.wait_for_complete(
            [worker for worker in seat.app.workers if worker.node is seat.app.screen]
        )
        await seat.press("down", "enter")
        await seat.pilot.pause()
        assert callable(then)
        assert then(seat)


async def test_tab_goes_to_the_details_and_back() -> None:
    async with seated(leading()) as seat:
        await seat.press("enter")
        assert seat.focused() == "details"
        await seat.press("shift+tab")
        assert seat.focused() == "nodes"
        await seat.press("down")
        assert str(seat.board.query_one(Details).border_title) == "core-2"


async def test_q_quits() -> None:
    async with seated(leading()) as seat:
        await seat.press("q")
        assert not seat.app.is_running


# --- themes ---


@pytest.mark.parametrize("theme", ["coord", "high-contrast", "ansi-dark", "ansi-light", "nord"])
async def test_every_theme_draws_the_same_words(theme: str) -> None:
    async with seated(leading()) as seat:
        before = seat.screen()
        await seat.press("down")
        seat.app.theme = theme
        await seat.pilot.pause()
        await seat.pilot.pause()
        assert seat.screen()[:-1] == before[:-1]
        assert seat.current.node == "core-2"


async def test_colours_follow_the_theme() -> None:
    async with seated(leading()) as seat:
        before = seat.table.get_row_at(0)[0].spans[0].style
        seat.app.theme = "high-contrast"
        await seat.pilot.pause()
        assert seat.table.get_row_at(0)[0].spans[0].style != before


async def test_without_colours_everything_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async with seated(disconnected()) as seat:
        coloured = seat.screen()
    monkeypatch.setenv("NO_COLOR", "1")
    async with seated(disconnected()) as seat:
        assert seat.app.no_color
        assert seat.screen() == coloured


def test_an_unknown_theme_is_refused() -> None:
    with pytest.raises(ValueError, match="high-contrast"):
        ConsoleApp(None, clock=SystemClock(), theme="pink")
