"""What the console does to an election, key by key, on a real Consul with leaders made by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from console_bench import seated
from console_scenes import disconnected, leading
from control_bench import ACTOR, Hands, at_console, hand_over, standing
from hand_made import Tenure, register, release
from textual import events
from textual.widgets import Button

from console.app import ConsoleApp
from console.screens.control import ControlScreen
from console.screens.control_menu import ControlMenu
from console.screens.control_quit import QuitScreen
from coord.consul import ConsulClient
from coord.controls import read_controls
from coord.operations import Operation
from coord.records import Paths

pytestmark = pytest.mark.long

ALL = {each.value for each in Operation}


@pytest.fixture
def paths(name: str) -> Paths:
    return Paths(name)


@pytest.fixture
async def tenure(consul: ConsulClient, paths: Paths) -> Tenure:
    """core-1 leads in term 7, core-2 and core-3 stand by."""
    return await standing(consul, paths, "core-2", "core-3")


@pytest.fixture
async def hands(consul: ConsulClient, paths: Paths, tenure: Tenure) -> AsyncIterator[Hands]:
    async with at_console(consul, paths) as hands:
        await hands.until(lambda: hands.headline().startswith("★ core-1 LEADS"))
        await hands.until(lambda: hands.app.dashboard.current is not None)
        yield hands


# --- the menu ---


async def test_the_menu_offers_what_can_be_done_and_says_why_not(hands: Hands) -> None:
    await hands.cursor_on("core-2")
    await hands.open_menu()
    can = {name for name, can in hands.menu if can}
    assert can == ALL - {"resume", "undrain"}
    picture = "\n".join(hands.picture())
    assert "core-1 leads; the cursor is on core-2" in picture
    assert "core-1 hands over to core-2" in picture
    assert "not now: the election is not paused" in picture
    assert "not now: core-2 is not drained" in picture


async def test_a_dimmed_action_says_why_when_its_key_is_pressed(hands: Hands) -> None:
    await hands.open_menu()
    await hands.until(lambda: not hands.board_is_old())
    await hands.press("r")
    assert isinstance(hands.app.screen, ControlMenu)
    assert hands.notices == ["Resume: the election is not paused"]


@pytest.mark.parametrize("key", ["escape", "q", "a"])
async def test_the_menu_closes(hands: Hands, key: str) -> None:
    await hands.open_menu()
    await hands.press(key)
    assert hands.on_board()


async def test_the_menu_works_by_arrows_and_enter(hands: Hands) -> None:
    await hands.cursor_on("core-2")
    await hands.open_menu()
    await hands.press("j", "j", "j", "k", "enter")
    await hands.until(lambda: isinstance(hands.app.screen, ControlScreen))
    assert str(hands.dialog.query_one("#control").border_title) == "Force release"


async def test_the_menu_stays_true_while_it_is_open(hands: Hands, tenure: Tenure) -> None:
    await hands.open_menu()
    assert dict(hands.menu)["step_down"]
    await hands.consul.session_destroy(tenure.session)
    await hands.until(lambda: not dict(hands.menu)["step_down"])
    assert "not now: nobody leads" in "\n".join(hands.picture())
    assert dict(hands.menu)["pause"]


async def test_the_palette_has_every_action(hands: Hands) -> None:
    found = {each.title for each in hands.app.act_commands()}
    assert {"Step down", "Transfer core-1", "Force release", "Pause"} <= found
    next(each for each in hands.app.act_commands() if each.title == "Step down").callback()
    await hands.until(lambda: hands.offered("do"))
    assert "The leader" not in hands.text
    assert "Step down: the leader stops its work" in hands.text


# --- the dialog before anything is done ---


async def test_the_dialog_shows_what_it_would_do_and_has_cancel_focused(hands: Hands) -> None:
    await hands.asked("s")
    for said in ("core-1 (core), term 7", "cluster-health", "core-2 (priority 100)", "about 0."):
        assert said in hands.text
    assert hands.focused == "close"
    assert str(hands.dialog.query_one("#close", Button).label) == "Cancel"
    await hands.press("enter")
    assert hands.on_board()
    assert (await read_controls(hands.consul, hands.paths)).request is None
    assert await hands.audit() == ()


async def test_esc_cancels(hands: Hands) -> None:
    await hands.asked("f")
    await hands.press("escape")
    assert hands.on_board()
    assert await hands.audit() == ()


async def test_the_keys_go_round_and_up_and_down(hands: Hands) -> None:
    await hands.asked("f")
    order = []
    for _ in range(4):
        await hands.press("down")
        order.append(hands.focused)
    assert order == ["control-name", "control-reason", "do", "close"]
    await hands.press("left")
    assert hands.focused == "do"


async def test_what_is_typed_fast_goes_where_it_is_meant_to(hands: Hands) -> None:
    """As a terminal sends it that was slow for a while: all at once."""
    await hands.asked("f")
    for key in ("tab", *"core", "minus", "1", "enter", *"hangs", "enter"):
        hands.app.post_message(events.Key(key, "-" if key == "minus" else None))
    await hands.until(lambda: hands.focused == "do")
    assert (hands.typed("name"), hands.typed("reason")) == ("core-1", "hangs")


async def test_without_a_reason_nothing_is_done(hands: Hands) -> None:
    await hands.asked("s")
    await hands.button("do")
    assert "reason: say why" in hands.said
    assert hands.focused == "control-reason"
    await hands.type("x")
    assert "reason: say why" not in hands.said
    assert await hands.audit() == ()


async def test_a_wrong_name_does_not_force_anything(hands: Hands) -> None:
    await hands.asked("f")
    await hands.fill("name", "core-2")
    await hands.fill("reason", "it hangs")
    await hands.button("do")
    assert "name: type core-1" in hands.said
    assert hands.focused == "control-name"
    assert await hands.audit() == ()


@pytest.mark.parametrize(
    ("typed", "said"),
    [("30", "for: say the unit"), ("25h", "24 hours"), ("soon", "not a duration")],
)
async def test_a_length_that_is_none_is_named(hands: Hands, typed: str, said: str) -> None:
    await hands.asked("p")
    await hands.fill("for", typed)
    assert said in hands.said
    await hands.fill("reason", "x")
    await hands.button("do")
    assert said in hands.said
    assert hands.focused == "control-for"
    assert await hands.audit() == ()


async def test_the_preview_follows_the_length_that_is_typed(hands: Hands) -> None:
    await hands.asked("p")
    assert "for 30 min" in hands.text
    await hands.fill("for", "2h")
    await hands.reads("for 2 h")
    await hands.press("ctrl+u")
    await hands.reads("for 1 d")


# --- doing it ---


async def test_step_down_is_followed_until_the_new_leader_works(
    hands: Hands, tenure: Tenure
) -> None:
    await hands.asked("s")
    await hands.confirm("kernel update")
    request = await hands.request()
    assert (request.actor, request.reason) == (ACTOR, "kernel update")
    assert request.expected_term == 7
    await hands.reads("asked: core-1, term 7")
    await hands.reads("○")
    assert "esc closes this" in hands.said
    await hand_over(hands.consul, hands.paths, tenure, "core-2")
    await hands.reads("✔ done: core-2 leads, under term 8")
    assert "lock given back: core-1, term 7 (stepped_down)" in hands.text
    assert "at work: core-2, term 8" in hands.text
    assert hands.focused == "close"
    (entry,) = await hands.audit()
    assert entry.record is not None
    assert (entry.record.outcome, entry.record.new_leader) == ("done", "core-2")
    assert (entry.record.actor, entry.record.reason) == (ACTOR, "kernel update")
    await hands.press("enter")
    assert hands.on_board()


async def test_a_transfer_names_the_node_under_the_cursor(hands: Hands, tenure: Tenure) -> None:
    await hands.cursor_on("core-3")
    await hands.asked("t")
    assert "hands over to core-3" in hands.text
    await hands.confirm()
    assert (await hands.request()).to == "core-3"
    await hand_over(hands.consul, hands.paths, tenure, "core-2", why="transferred")
    await hands.reads("✖ fell_back: core-3 did not take over in time; core-2 leads")


async def test_force_release_destroys_the_session(hands: Hands, tenure: Tenure) -> None:
    await hands.asked("f")
    assert "core-1 seems to be well" in hands.text
    await hands.fill("name", "core-1")
    await hands.confirm("it hangs")
    await hands.reads("session destroyed")
    await hands.reads("nobody works since")
    assert await hands.consul.session_info(tenure.session) is None


async def test_pause_and_resume(hands: Hands) -> None:
    await hands.asked("p")
    await hands.fill("for", "10m")
    await hands.fill("reason", "the network")
    await hands.button("do")
    await hands.reads("✔ done: the election is paused for 10 min")
    pause = (await read_controls(hands.consul, hands.paths)).pause
    assert pause is not None
    assert (pause.for_ms, pause.reason) == (600_000, "the network")
    await hands.press("escape")
    await hands.until(lambda: hands.asked_now.pause is not None)
    await hands.asked("r")
    await hands.confirm()
    await hands.reads("✔ done: the election is no longer paused")
    assert (await read_controls(hands.consul, hands.paths)).pause is None


async def test_drain_and_undrain_the_node_under_the_cursor(hands: Hands) -> None:
    await hands.cursor_on("core-3")
    await hands.asked("d")
    await hands.confirm("disk")
    await hands.reads("asked: core-3")
    assert set((await read_controls(hands.consul, hands.paths)).drained) == {"core-3"}
    await hands.press("escape")
    await hands.cursor_on("core-3")
    await hands.until(lambda: "core-3" in hands.asked_now.drained)
    await hands.asked("u")
    await hands.confirm()
    await hands.reads("✔ done: core-3 is no longer drained")
    assert not (await read_controls(hands.consul, hands.paths)).drained


# --- what goes on without its dialog ---


async def test_a_closed_dialog_lets_it_go_on_and_its_end_is_told(
    hands: Hands, tenure: Tenure
) -> None:
    await hands.asked("s")
    await hands.confirm()
    await hands.request()
    await hands.reads("asked: core-1")
    await hands.press("escape")
    assert hands.on_board()
    assert any("it goes on" in each for each in hands.notices)
    await hand_over(hands.consul, hands.paths, tenure, "core-2")
    await hands.until(lambda: "done: core-2 leads, under term 8" in hands.notices)
    (entry,) = await hands.audit()
    assert entry.record is not None
    assert entry.record.outcome == "done"


async def test_what_is_under_way_can_be_looked_at_again(hands: Hands, tenure: Tenure) -> None:
    await hands.asked("s")
    await hands.confirm()
    await hands.request()
    await hands.reads("asked: core-1")
    await hands.press("escape")
    await hands.open_menu()
    assert any(name.startswith("follow-") for name, _ in hands.menu)
    await hands.press("w")
    await hands.reads("asked: core-1")
    await hand_over(hands.consul, hands.paths, tenure, "core-3")
    await hands.reads("✔ done: core-3 leads, under term 8")
    assert not [each for each in hands.notices if each.startswith("done")]


async def test_a_request_that_nobody_answers_can_be_taken_back(hands: Hands) -> None:
    await hands.asked("s")
    await hands.confirm()
    await hands.request()
    await hands.until(lambda: hands.offered("back"))
    await hands.button("back")
    await hands.reads("✖ interrupted")
    assert "taken back" in hands.text
    assert (await read_controls(hands.consul, hands.paths)).request is None


async def test_quitting_asks_while_something_is_under_way(hands: Hands) -> None:
    await hands.asked("s")
    await hands.confirm()
    await hands.request()
    await hands.reads("asked: core-1")
    await hands.press("escape", "q")
    assert isinstance(hands.app.screen, QuitScreen)
    assert hands.focused == "stay"
    await hands.press("enter")
    assert hands.on_board()
    assert hands.app.is_running
    await hands.press("q", "left", "enter")
    await hands.until(lambda: not hands.app.is_running)


async def test_the_desk_takes_back_what_is_left_when_it_closes(
    consul: ConsulClient, paths: Paths, tenure: Tenure
) -> None:
    async with at_console(consul, paths) as hands:
        await hands.until(lambda: hands.headline().startswith("★ core-1 LEADS"))
        await hands.asked("s")
        await hands.confirm()
        await hands.request()
    assert (await read_controls(consul, paths)).request is None
    (entry,) = await hands.audit()
    assert entry.record is not None
    assert entry.record.outcome == "interrupted"


async def test_a_request_that_is_not_answered_is_told_with_what_helps(
    hands: Hands, tenure: Tenure
) -> None:
    """Somebody takes the request away: the outcome failed, and says who knows more."""
    await hands.asked("s")
    await hands.confirm()
    await hands.request()
    await hands.reads("asked: core-1")
    assert await hands.consul.kv_delete(hands.paths.request)
    await hands.reads("✖ superseded: somebody took it away")
    assert "the audit (5) says who" in hands.text


# --- what is refused ---


async def test_what_was_decided_on_an_old_screen_is_refused(
    consul: ConsulClient, paths: Paths, tenure: Tenure
) -> None:
    """The screen shows term 7 still; Consul has gone on."""
    async with at_console(consul, paths) as reading:
        await reading.until(lambda: reading.headline().startswith("★ core-1 LEADS"))
        old = reading.app.snapshot
    await hand_over(consul, paths, tenure, "core-2")
    async with at_console(consul, paths, watch=False, snapshot=old) as hands:
        await hands.act("s")
        await hands.reads("refused: this was decided on term 7, but now core-2 leads under term 8")
        assert not hands.offered("do")
        assert hands.focused == "close"
        await hands.button("again")
        await hands.reads("core-2 (core), term 8")
        assert hands.offered("do")
    assert await hands.audit() == ()


async def test_a_leader_that_goes_while_it_is_asked_is_refused(
    hands: Hands, tenure: Tenure
) -> None:
    await hands.asked("s")
    await hands.fill("reason", "a test")
    await hand_over(hands.consul, hands.paths, tenure, "core-2")
    await hands.reads("core-2 leads now, under term 8: this will be refused")
    await hands.button("do")
    await hands.reads("refused: this was decided on term 7")
    assert hands.offered("again")
    assert await hands.audit() == ()


async def test_another_successor_than_the_one_that_was_shown_is_refused(hands: Hands) -> None:
    await hands.asked("s")
    told: dict[str, Any] = {"priority": "900", "state": "standby", "why_not": "held_by_other"}
    await register(hands.consul, hands.paths.candidate_service, "core-9", **told)
    await hands.confirm()
    await hands.reads("refused: it is no longer as it was shown")
    assert await hands.audit() == ()


async def test_what_is_refused_may_be_done_anyway_where_that_is_offered(hands: Hands) -> None:
    await hands.asked("p")
    await hands.confirm()
    await hands.reads("done: the election is paused")
    await hands.press("escape")
    await hands.until(lambda: hands.asked_now.pause is not None)
    await hands.act("p")
    await hands.reads("refused: the election is paused already")
    await hands.button("anyway")
    await hands.until(lambda: hands.offered("do"))
    await hands.confirm("longer")
    await hands.reads("✔ done: the election is paused")
    pause = (await read_controls(hands.consul, hands.paths)).pause
    assert pause is not None
    assert pause.reason == "longer"


async def test_nothing_can_be_done_while_the_screen_is_old(
    consul: ConsulClient, paths: Paths, tenure: Tenure
) -> None:
    async with at_console(consul, paths, watch=False, snapshot=disconnected()) as hands:
        await hands.open_menu()
        assert not any(can for _, can in hands.menu)
        assert "nothing can be done" in "\n".join(hands.picture())
        await hands.press("escape")
        hands.app.operate(Operation.STEP_DOWN)
        await hands.reads("✖ not now: ")


async def test_a_node_that_nobody_knows_is_asked_for_and_refused(hands: Hands) -> None:
    hands.app.operate(Operation.DRAIN)
    await hands.reads("Which node?")
    assert hands.focused == "control-node"
    await hands.type("a/b")
    await hands.press("enter")
    assert "node 'a/b' is not usable" in hands.said
    await hands.press("ctrl+u")
    await hands.type("core-9")
    await hands.press("enter")
    await hands.reads("refused: no candidate named core-9 is registered")
    assert hands.offered("anyway")
    await hands.button("close")
    assert hands.on_board()


async def test_nobody_leads(consul: ConsulClient, paths: Paths, tenure: Tenure) -> None:
    await release(consul, paths, tenure, why="stopped")
    async with at_console(consul, paths) as hands:
        await hands.until(lambda: "NOBODY LEADS" in hands.headline())
        hands.app.operate(Operation.STEP_DOWN)
        await hands.reads("not now: nobody leads")


# --- read-only ---


async def test_read_only_dims_all_and_says_why(
    consul: ConsulClient, paths: Paths, tenure: Tenure
) -> None:
    async with at_console(consul, paths, read_only=True) as hands:
        await hands.until(lambda: hands.headline().startswith("★ core-1 LEADS"))
        picture = hands.picture()
        assert "read-only" in picture[0]
        assert "Act ✖" in picture[-1]
        await hands.open_menu()
        assert not any(can for _, can in hands.menu)
        assert "--read-only" in "\n".join(hands.picture())
        await hands.press("s")
        assert any("--read-only" in each for each in hands.notices)
        await hands.press("escape")
        hands.app.operate(Operation.FORCE_RELEASE)
        await hands.reads("not now: the console was opened read-only")
        assert not hands.offered("again")
        assert all("read-only" in each.help for each in hands.app.act_commands())


async def test_nothing_is_done_in_an_election_that_is_looked_at_no_longer(
    consul: ConsulClient, paths: Paths, tenure: Tenure
) -> None:
    async with at_console(consul, paths) as hands:
        await hands.until(lambda: hands.headline().startswith("★ core-1 LEADS"))
        hands.app.operate(Operation.STEP_DOWN)
        await hands.until(lambda: hands.offered("do"))
        await hands.fill("reason", "a test")
        hands.app.snapshot = replace(hands.app.snapshot, election="another")
        hands.dialog._go()
        await hands.reads("not now: another election is looked at now")
        assert not hands.app._desk or not hands.app._desk.under_way


async def test_read_only_is_undone_by_nothing_that_is_found(
    consul: ConsulClient, paths: Paths, tenure: Tenure
) -> None:
    async with at_console(consul, paths) as hands:
        await hands.until(lambda: hands.headline().startswith("★ core-1 LEADS"))
        assert "read-only" not in hands.picture()[0]
        assert "a Act" in " ".join(hands.picture()[-1].split())
        assert "(read-only)" not in hands.picture()[-1]


async def test_an_app_without_a_desk_offers_nothing() -> None:
    async with seated(leading()) as seat:
        await seat.press("a")
        assert isinstance(seat.app.screen, ControlMenu)
        assert isinstance(seat.app, ConsoleApp)
        assert seat.app.mode.why_not(Operation.PAUSE)
