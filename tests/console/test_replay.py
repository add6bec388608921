"""A recording on the screens: every key of the tape, and that nothing can be acted on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from console_bench import Seat, StoppedClock
from console_polls import polled, result, schedule
from console_scenes import NOW, SCENES, leading
from recordings import NIGHT, STEP_S, a_night, recorded
from textual.widgets import Button, OptionList

from console.controls.actions import ACTIONS
from console.recording.player import SPEEDS, Player
from console.recording.reading import read_recording
from console.replay import ReplayApp
from console.screens.control import ControlScreen
from console.view.line import text_of
from console.view.replay import replay_line
from console.view.rooms import Where

pytestmark = pytest.mark.long

LAST_S = STEP_S * (len(NIGHT) - 1)


class Viewer(Seat):
    """Somebody who plays a recording."""

    def line(self) -> str:
        """What stands below the head."""
        return self.lines("replay")[0]

    def place(self) -> str:
        return self.line().rsplit("change ", 1)[1]

    def shown(self) -> str:
        """What the dashboard says first."""
        return self.lines("headline")[0]

    async def pass_s(self, seconds: float) -> None:
        """Let time pass for who looks."""
        self.clock.at += seconds
        assert isinstance(self.app, ReplayApp)
        self.app._play_on()
        await self.pilot.pause()


@asynccontextmanager
async def viewing(path: Path, size: tuple[int, int] = (120, 40)) -> AsyncIterator[Viewer]:
    clock = StoppedClock()
    # A night that was recorded on another machine: its clock is another one.
    app = ReplayApp(read_recording(path), clock=clock)
    async with app.run_test(size=size) as pilot:
        for _ in range(4):
            await pilot.pause()
        yield Viewer(app, pilot, clock)


@pytest.fixture
def night(tmp_path: Path) -> Path:
    return a_night(tmp_path / "night.jsonl.gz")


async def test_it_begins_where_the_recording_does_and_stands_still(night: Path) -> None:
    async with viewing(night) as seat:
        assert "nothing is known yet" in seat.shown()
        assert "REPLAY" in seat.line()
        assert "‖ 1x" in seat.line()
        assert seat.place() == "1 of 6"
        assert "REPLAY, read-only" in seat.lines("header")[0]
        await seat.pass_s(1000)
        assert seat.place() == "1 of 6"


async def test_it_plays_at_the_speed_that_is_wanted_to_its_end_and_again(night: Path) -> None:
    async with viewing(night) as seat:
        await seat.press("space")
        await seat.pass_s(STEP_S + 1)
        assert seat.shown().startswith("★ core-1 LEADS")
        assert "▶ 1x" in seat.line()
        # Ages are those of then: it was read half a minute before it was recorded.
        assert "read 32 s ago" in seat.lines("header")[0]
        await seat.press("plus", "plus")
        assert "▶ 5x" in seat.line()
        await seat.pass_s((2 * STEP_S) / 5)
        assert seat.place() == "4 of 6"
        assert seat.shown().startswith("✖ NOBODY LEADS")
        await seat.press("space")
        await seat.pass_s(1000)
        assert seat.place() == "4 of 6"
        await seat.press("space")
        await seat.pass_s(1000)
        assert "‖" in seat.line()
        assert seat.place() == "6 of 6"
        await seat.press("space")
        assert seat.place() == "1 of 6"


async def test_changes_and_changes_of_leader_are_gone_to(night: Path) -> None:
    async with viewing(night) as seat:
        await seat.press("full_stop")
        assert seat.place() == "2 of 6"
        await seat.press("right_square_bracket")
        assert seat.place() == "4 of 6"
        assert seat.shown().startswith("✖ NOBODY LEADS")
        await seat.press("right_square_bracket")
        assert seat.place() == "5 of 6"
        await seat.press("right_square_bracket")
        assert seat.place() == "5 of 6"
        assert [each.message for each in seat.app._notifications] == [
            "There is no change of leader after this"
        ]
        await seat.press("left_square_bracket")
        assert seat.place() == "4 of 6"
        await seat.press("comma", "comma")
        assert seat.place() == "2 of 6"
        await seat.press("greater_than_sign")
        assert seat.place() == "4 of 6"
        await seat.press("less_than_sign", "less_than_sign", "less_than_sign")
        assert seat.place() == "1 of 6"


async def test_every_screen_has_the_line_and_shows_what_was_known(night: Path) -> None:
    async with viewing(night) as seat:
        await seat.press("full_stop", "full_stop")
        for where in Where:
            await seat.press(where.key)
            await seat.pilot.pause()
            assert seat.place() == "3 of 6"
        await seat.press(Where.RUNBOOKS.key)
        await seat.pilot.pause()
        assert seat.table.row_count > 0
        await seat.press("2")
        with_events = seat.table.row_count
        await seat.press("full_stop")
        assert seat.table.row_count != with_events


async def test_what_was_polled_is_shown_and_none_of_it_can_be_run(tmp_path: Path) -> None:
    later = polled([schedule("db"), result("db")])
    async with viewing(recorded(tmp_path / "x", [polled(), later])) as seat:
        await seat.press(Where.POLLS.key)
        await seat.pilot.pause()
        assert seat.title() == "Schedules: 19"
        assert seat.column("outcome")[0] == "down: status"
        await seat.press("enter")
        assert "503 Service Unavailable" in seat.details()
        await seat.press("escape", "r")
        assert seat.app.screen is seat.room
        assert "r Run now ✖" in seat.screen()[-1]
        said = [each.message for each in seat.app._notifications]
        assert said == ["Run now: this is a replay: what it shows is over"]
        await seat.press("full_stop")
        assert seat.column("id") == ["● db"]


async def test_nothing_can_be_acted_on(night: Path) -> None:
    async with viewing(night) as seat:
        await seat.press("full_stop", "a")
        menu = seat.app.screen.query_one(OptionList)
        assert len(menu.options) >= len(ACTIONS)
        assert all(option.disabled for option in menu.options)
        await seat.press("escape")
        for action in ACTIONS:
            seat.app.operate(action.operation, "core-2" if action.operation.needs_node else "")
            await seat.pilot.pause()
            assert isinstance(seat.app.screen, ControlScreen)
            assert [b.id for b in seat.app.screen.query(Button) if b.display] == ["close"]
            await seat.press("escape")
        for keys in (("e",), ("4", "r")):
            seat.app.clear_notifications()
            await seat.press(*keys)
            (told,) = seat.app._notifications
            assert "this is a replay" in told.message


async def test_who_types_a_space_means_one(night: Path) -> None:
    async with viewing(night) as seat:
        await seat.press("full_stop", "slash")
        await seat.type("core 1")
        assert "‖" in seat.line()
        assert "core 1" in seat.title()


async def test_the_help_has_its_keys(night: Path) -> None:
    async with viewing(night) as seat:
        await seat.press("question_mark")
        assert any("the change of leader before" in each for each in seat.screen())


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (200, 50)])
@pytest.mark.parametrize("scene", ["hostile", "thousand"])
async def test_whatever_was_recorded_can_be_drawn(
    tmp_path: Path, scene: str, size: tuple[int, int]
) -> None:
    path = recorded(tmp_path / "x", [leading(), SCENES[scene]()])
    async with viewing(path, size) as seat:
        await seat.press("full_stop")
        picture = seat.screen()
        assert len(picture) == size[1]
        assert not any("\x1b" in one or "\x07" in one for one in picture)
        # On the smallest the whole screen scrolls.
        assert size == (40, 12) or picture[2].lstrip().startswith("REPLAY")


@pytest.fixture
def torn(night: Path) -> Path:
    night.write_bytes(night.read_bytes()[:-9])
    return night


async def test_a_torn_end_is_told(torn: Path) -> None:
    async with viewing(torn) as seat:
        assert seat.line().endswith("torn at its end")


# --- the tape alone ---


def test_the_line_fits_whatever_is_recorded(tmp_path: Path) -> None:
    frames = read_recording(a_night(tmp_path / "x")).frames
    player = Player.of(frames)
    for width in (80, 120, 200):
        line = text_of(replay_line(frames, player.moved(NOW + 130, 0), 0, width))
        assert len(line) == width
        assert line.count("●") == 1
        assert "✖" in line
    assert "REPLAY" in text_of(replay_line(frames, player, 0, 10))


def test_no_speed_and_no_move_leaves_the_tape() -> None:
    player = Player(begin=10, end=20, position=10)
    assert player.at(99) == 10
    for _ in range(len(SPEEDS)):
        player = player.faster(0)
    assert player.speed == SPEEDS[-1]
    for _ in range(2 * len(SPEEDS)):
        player = player.slower(0)
    assert player.speed == SPEEDS[0]
    assert player.moved(5, 0).at(0) == 10
    assert player.moved(50, 0).at(0) == 20
    played = replace(player, speed=1.0).toggled(5)
    assert [played.at(now) for now in (4, 5, 8, 500)] == [10, 10, 13, 20]
    assert not played.plays(500)
    # A change of speed counts from where it is, not from where it began.
    assert played.faster(8).at(9) == 15
