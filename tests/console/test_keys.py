"""The line of keys at the foot of every screen."""

from __future__ import annotations

import pytest
from console_bench import Seat, seated
from console_scenes import leading

from console.screens.help import HelpScreen
from console.widgets.keys import KeyLine
from console.widgets.table import RowTable

pytestmark = pytest.mark.long

WIDE, NARROW = (120, 40), (80, 24)


def foot(seat: Seat) -> str:
    return seat.screen()[-1]


async def click(seat: Seat, text: str) -> None:
    """On the first letter of that."""
    await seat.pilot.click(KeyLine, offset=(foot(seat).index(text), 0))
    await seat.pilot.pause()


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_a_click_on_a_key_presses_it(size: tuple[int, int]) -> None:
    async with seated(leading(), size) as seat:
        await click(seat, "Filter")
        assert seat.focused() == "filter"
        await seat.press("escape")
        await click(seat, "Help")
        assert isinstance(seat.app.screen, HelpScreen)


async def test_the_palette_is_at_the_right_end_where_there_is_room() -> None:
    async with seated(leading(), WIDE) as seat:
        assert foot(seat).endswith("▏^p palette")
        await click(seat, "palette")
        assert not seat.on_board()
    async with seated(leading(), NARROW) as seat:
        assert "palette" not in foot(seat)


async def test_a_click_beside_the_keys_does_nothing() -> None:
    async with seated(leading(), WIDE) as seat:
        await seat.pilot.click(KeyLine, offset=(foot(seat).index("▏") - 2, 0))
        await seat.pilot.pause()
        assert seat.on_board()
        assert isinstance(seat.app.focused, RowTable)


async def test_it_names_the_keys_of_what_has_them() -> None:
    async with seated(leading(), WIDE) as seat:
        assert "Details" in foot(seat)
        await seat.press("slash")
        assert "Details" not in foot(seat)
        await seat.press("escape")
        assert "Details" in foot(seat)


async def test_the_key_under_the_mouse_stands_out() -> None:
    async with seated(leading(), WIDE) as seat:
        line = seat.room.query_one(KeyLine)
        before = line.render_line(0)
        await seat.pilot.hover(KeyLine, offset=(foot(seat).index("palette"), 0))
        await seat.pilot.pause()
        hovered = line.render_line(0)
        assert hovered.text == before.text
        assert hovered != before
        assert line.tooltip
        await seat.pilot.hover(RowTable)
        await seat.pilot.pause()
        assert line.render_line(0) == before
        assert not line.tooltip


async def test_a_theme_colours_it() -> None:
    async with seated(leading(), WIDE) as seat:
        before = seat.room.query_one(KeyLine).render_line(0)
        seat.app.theme = "high-contrast"
        await seat.pilot.pause()
        after = seat.room.query_one(KeyLine).render_line(0)
        assert after.text == before.text
        assert after != before


@pytest.mark.parametrize("opens", ["ctrl+p", "a"])
@pytest.mark.parametrize("turns", ["pagedown", "pageup", "end"])
async def test_a_page_that_is_turned_before_the_list_is_drawn_harms_nothing(
    opens: str, turns: str
) -> None:
    async with seated(leading()) as seat:
        seat.app.simulate_key(opens)
        seat.app.simulate_key(turns)
        await seat.pilot.pause()
        await seat.press("escape")
        assert seat.on_board()
