"""The Polls screen: every schedule in a table and in full, who runs them, and all of its keys."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import replace

import pytest
from console_bench import Seat, at, seated
from console_polls import (
    MIXED,
    POLLERS,
    REQUEST,
    asked,
    board,
    evil,
    found,
    job,
    many,
    polled,
    result,
    schedule,
    tcp,
    unpolled,
)
from console_scenes import NOW, leading, never_read, poller
from snapshots import NOW_MS, asking, drain
from textual.widgets import DataTable

from console.screens.help import HelpScreen
from console.snapshot import Snapshot
from console.view import pollers
from console.view.line import text_of
from console.view.rooms import Where
from console.view.schedule_detail import detail
from console.view.schedules import LAYOUT, ScheduleRow, none, notes, schedule_rows
from console.view.table import Sorting, selected
from coord.consul import CheckStatus, ConsulUnavailable
from coord.members import Listing, Member, Role, Seen, members
from coord.polling.board import PollBoard
from coord.polling.records import CheckError

# --- the rows, without a screen -------------------------------------------------------------------


def rows(shown: Snapshot | None = None) -> dict[str, ScheduleRow]:
    return {row.id: row for row in schedule_rows(polled() if shown is None else shown)}


def told(row: ScheduleRow, now_ms: int = NOW_MS) -> str:
    return "\n".join(f"{label}: {text_of(said)}" for label, said in detail(row, now_ms))


def cell(row: ScheduleRow, column: str) -> str:
    return text_of(LAYOUT.named(column).cell(row, NOW_MS))


def test_the_worst_is_on_top_and_the_rest_by_name() -> None:
    first = ["web-shop", "mail", "ntp", "backup", "ldap", "torn", "api", "fresh", "login"]
    assert list(rows())[:9] == first


def test_each_says_in_words_how_its_last_run_ended() -> None:
    said = {name: row.outcome for name, row in rows().items()}
    assert said["web-shop"] == "down: status"
    assert said["mail"] == "no answer: no_poller"
    assert said["backup"] == "late, was up"
    assert said["ldap"] == "never run"
    assert said["torn"] == "unreadable: interval"
    assert said["fresh"] == "not yet run"
    assert said["old-site"] == "disabled, was down"
    assert said["api"] == "up"


def test_the_slowest_check_says_how_long_it_took() -> None:
    assert cell(rows()["web-shop"], "latency") == "231 ms"
    assert cell(rows()["shard-1"], "latency") == "0.4 ms"
    assert cell(rows()["mail"], "latency") == "-"


def test_a_poller_is_called_by_its_name_and_by_its_id_when_it_is_gone() -> None:
    assert rows()["api"].poller == "edge-1"
    assert rows()["backup"].poller == "poller-edge-9"


def test_an_open_run_says_where_which_attempt_and_since_when() -> None:
    assert cell(rows()["api"], "job") == "◔ edge-1, 2 s"
    assert cell(rows()["search"], "job") == "◔ edge-3, attempt 2, 4 s"
    assert cell(rows()["login"], "job") == "◔ asked for"
    assert cell(rows()["mail"], "job") == "-"


def test_a_run_without_an_answer_counts_as_failed_however_it_ended() -> None:
    assert (cell(rows()["ntp"], "failed"), cell(rows()["mail"], "failed")) == ("12", "31")


@pytest.mark.parametrize(
    ("column", "first"),
    [
        ("id", "api"),
        ("outcome", "web-shop"),
        ("when", "shard-1"),
        ("latency", "web-shop"),
        ("every", "torn"),
        ("job", "search"),
        ("runs", "api"),
        ("missed", "backup"),
        ("failed", "mail"),
    ],
)
def test_it_can_be_sorted_by_each_column(column: str, first: str) -> None:
    ordered = LAYOUT.ordered(rows().values(), Sorting(column))
    assert ordered[0].id == first


@pytest.mark.parametrize("column", [column.name for column in LAYOUT.columns])
def test_any_two_rows_can_be_told_apart_by_any_column(column: str) -> None:
    every = [*rows().values(), *rows(evil()).values()]
    forth = LAYOUT.ordered(every, Sorting(column))
    assert len(forth) == len(every)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("is:down", ["web-shop", "old-site"]),
        ("is:no_poller", ["mail"]),
        ("for:dmz", ["web-shop"]),
        ("target:basket", ["web-shop"]),
        ("enabled:no", ["old-site"]),
        ("poller:poller-edge-9", ["backup"]),
        ("sells", ["web-shop"]),
    ],
)
def test_the_filter_knows_the_parts(words: str, names: list[str]) -> None:
    assert [row.id for row in selected(rows().values(), words)] == names


def test_in_full_each_check_has_what_was_found_of_it() -> None:
    said = told(rows()["web-shop"])
    assert "✖ down: status, 231 ms (503 Service Unavailable)" in said
    assert "● up, status 200, 48 ms" in said
    assert "contains=Basket" in said
    assert "attempt 1 at edge-1, 14 ms after it was due, took 38 ms" in said
    assert "1.5 s for each of 3 attempts" in said
    assert "Priority: 500" in said
    assert "Goes to: partition dmz" in said
    assert "8640 runs, 3 missed, 4 tried again" in said


def test_in_full_an_open_run_and_a_request_are_told() -> None:
    said = told(rows()["search"])
    assert "Running: attempt 2 at edge-3, 4 s ago" in said
    assert "Asked: by bob@ops, 3 s ago" in told(rows()["login"])
    own = told(rows(polled([schedule("a"), job("a", asked=REQUEST)]))["a"])
    assert f"asked for: {REQUEST}" in own


def test_in_full_it_is_said_why_there_is_no_answer() -> None:
    assert "no poller's check passes" in told(rows()["mail"])
    assert "given to no poller" in told(rows()["mail"])
    assert "'soon'" in told(rows()["torn"])


def test_a_check_that_was_changed_since_shows_nothing_of_the_one_before() -> None:
    entries = [schedule("a", tcp("new:1")), result("a", found("old:1"))]
    said = told(rows(polled(entries))["a"])
    assert "it was changed since the last run" in said
    assert "12 ms" not in said


def test_what_was_found_of_a_schedule_that_cannot_be_read_is_still_told() -> None:
    entries = [e for e in MIXED if not e.key.endswith("schedules/ntp")]
    bad = replace(schedule("api"), value=b"{")
    kept = [bad if e.key == bad.key else e for e in entries]
    row = rows(polled(kept))["api"]
    assert row.outcome == "unreadable: all of it"
    assert "● up, status 200, 84 ms" in told(row)


# --- what is not known ---


def test_where_there_are_none_it_is_said_how_to_make_one() -> None:
    assert text_of(none(unpolled())).startswith("no schedules: `coord schedule add")
    assert "not read yet" in text_of(none(leading()))


def hidden(*, seen: Seen = Seen.KNOWN, results: Seen = Seen.KNOWN) -> Snapshot:
    made, _ = board([schedule("a")] if seen is Seen.KNOWN else [])
    return replace(polled(), poll_board=replace(made, seen=seen, results=results))


def test_what_may_not_be_seen_is_not_taken_for_none() -> None:
    shown = hidden(seen=Seen.NOT_PERMITTED)
    assert none(shown) == ()
    assert ["schedules: not permitted" in text_of(each) for each in notes(shown)] == [True]
    less = hidden(results=Seen.NOT_PERMITTED)
    assert ["results: not permitted" in text_of(each) for each in notes(less)] == [True]


def test_that_they_cannot_be_read_is_told() -> None:
    error = ConsulUnavailable("GET /v1/kv", "connection refused")
    (said,) = notes(replace(polled(), polls_error=error))
    assert text_of(said).startswith("! polls are not read: ")


def test_what_cannot_be_read_is_named() -> None:
    first, second, more = (text_of(each) for each in notes(evil()))
    assert "jobs/" in first
    assert "asked/" in second
    assert more == "? 1 more below polls/ cannot be read"


def texts(shown: Snapshot) -> Iterator[str]:
    for row in schedule_rows(shown):
        yield from (cell(row, column.name) for column in LAYOUT.columns)
        yield from (text_of(said) for _, said in detail(row, NOW_MS))
    yield from map(text_of, notes(shown))
    yield from map(text_of, pollers.panel(shown, 200, 9))
    yield pollers.title(shown)


def test_nothing_in_it_is_obeyed_by_a_terminal() -> None:
    said = list(texts(evil()))
    assert not {c for text in said for c in text if unicodedata.category(c)[0] == "C"}
    assert max(map(len, said)) < 2100
    assert "\\u202e" in "".join(said)
    assert "[bold]markup[/bold]" in "".join(said)


# --- the pollers ---


def panel(shown: Snapshot, width: int = 78, most: int = 9) -> list[str]:
    return [text_of(each).rstrip() for each in pollers.panel(shown, width, most)]


def test_each_poller_says_how_it_stands_and_how_much_it_has_to_do() -> None:
    gone, *well = panel(polled(), width=60)
    assert gone == "✖ edge-4  its check fails"
    assert well == [
        "● edge-1  1 of 8 running   partition dmz  domain fra",
        "● edge-2  0 of 8 running   domain ber",
        "● edge-3  1 of 16 running",
    ]
    assert pollers.title(polled()) == "Pollers: 4, 3 of them well, 2 of 32 running"


def test_side_by_side_where_there_is_room_and_the_troubled_first_where_there_is_not() -> None:
    assert len(panel(polled(), width=240)) == 1
    narrow = panel(polled(), width=78, most=2)
    assert narrow[0].startswith("✖ edge-4  its check fails   ● edge-1  1 of 8 running")
    assert len(narrow) == 2
    few = panel(polled(), width=30, most=2)
    assert few == ["✖ edge-4  its check fails", "and 3 more"]


def test_one_that_is_full_says_so() -> None:
    runs = [entry for i in range(8) for entry in (schedule(f"s{i}"), job(f"s{i}"))]
    assert "● edge-1  8 of 8 running, full" in panel(polled(runs), width=60)[1]


def test_one_that_passes_and_cannot_be_dialled_is_troubled() -> None:
    said = panel(polled(pollers=POLLERS[1:]), width=60)
    assert "! edge-1  cannot be dialled" in said


def test_while_nobody_has_looked_for_them_no_load_is_claimed() -> None:
    said = panel(polled(pollers=None), width=40)
    assert "● edge-1  1 running" in said
    assert pollers.title(polled(pollers=None)) == "Pollers: 4, 3 of them well"


def with_pollers(found: Listing[Member]) -> Snapshot:
    shown = polled()
    assert shown.status is not None
    return replace(shown, status=replace(shown.status, pollers=found))


def test_that_there_is_none_is_told_and_not_where_it_may_not_be_seen() -> None:
    assert panel(with_pollers(Listing(Seen.KNOWN))) == ["! there is none: no schedule is run"]
    assert "not permitted" in panel(with_pollers(Listing(Seen.NOT_PERMITTED)))[0]


def test_a_check_that_warns_and_a_node_that_is_drained_are_told() -> None:
    told_of = Listing(Seen.KNOWN, (poller("edge-1", status=CheckStatus.WARNING), poller("edge-2")))
    shown = with_pollers(members(Role.POLLER, told_of, "x"))
    assert shown.status is not None
    controls = asking(drained={"edge-2": drain()})
    said = panel(replace(shown, status=replace(shown.status, controls=controls)), width=60)
    assert said[0].startswith("! edge-1  its check warns")
    assert said[1].endswith("domain ber  node drained")


# --- the screen -----------------------------------------------------------------------------------


def names(seat: Seat) -> list[str]:
    return [each[2:] for each in seat.column("id")]


async def here(seat: Seat) -> Seat:
    return await at(seat, Where.POLLS)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (250, 60)])
async def test_its_key_goes_there_in_every_size(size: tuple[int, int]) -> None:
    async with seated(polled(), size) as seat:
        await here(seat)
        assert seat.title() == "Schedules: 19"
        assert names(seat)[0] == "web-shop"
        assert "✖ 1 down" in seat.lines("fares")[0]
        assert not seat.table.show_horizontal_scrollbar
        least = 12 if size[1] == 24 else 19
        assert sum(name in "\n".join(seat.screen()) for name in names(seat)) >= least


async def test_how_all_of_it_fares_is_told_whole_where_a_line_is_too_short_for_it() -> None:
    async with seated(polled(), (80, 24)) as seat:
        await here(seat)
        first, second = seat.lines("fares")
        assert first.startswith("✖ 1 down · ! 2 unanswered (no_poller, deadline)")
        assert second.endswith("12 missed in all")
    async with seated(polled(), (160, 40)) as seat:
        await here(seat)
        assert len(seat.lines("fares")) == 1


async def test_a_wide_screen_has_all_columns_and_a_narrow_one_those_that_matter() -> None:
    async with seated(polled(), (250, 60)) as seat:
        await here(seat)
        assert len(seat.table.columns) == len(LAYOUT.columns)
        assert "503 Service" in seat.cell(0, "why")
        assert seat.cell(0, "checks").startswith("http https://shop")
    async with seated(polled(), (80, 24)) as seat:
        await here(seat)
        shown = [column.value for column in seat.table.columns]
        assert shown == ["id", "outcome", "when", "latency", "every", "poller"]


async def test_sorting_by_key_and_by_mouse() -> None:
    async with seated(polled()) as seat:
        await here(seat)
        await seat.press("s")
        assert seat.title() == "Schedules: 19, by schedule"
        assert names(seat)[0] == "api"
        await seat.press("S")
        assert names(seat)[0] == "web-shop"
        await seat.press("s")
        assert seat.title().endswith("by last found")
        table = seat.room.query_one(DataTable)
        x = "\n".join(seat.screen()).splitlines()[table.region.y].index("Missed")
        await seat.pilot.click(DataTable, offset=(x - table.region.x + 1, 0))
        await seat.pilot.pause()
        assert seat.title().endswith("by missed")
        assert names(seat)[0] == "backup"


async def test_filter_details_copy_and_back() -> None:
    async with seated(polled()) as seat:
        await here(seat)
        await seat.press("slash")
        await seat.type("shard")
        assert seat.title() == "Schedules: 8 of 19 with 'shard'"
        await seat.press("enter", "y")
        assert seat.app.clipboard == "shard-1"
        await seat.press("enter")
        assert "● up, 0.4 ms" in seat.details()
        await seat.press("y")
        assert "Database shard 1" in seat.app.clipboard
        await seat.press("escape")
        assert not seat.room.has_class("-detailed")
        await seat.press("escape")
        assert seat.title() == "Schedules: 19"


async def test_the_cursor_stays_on_its_schedule_whatever_the_data_does() -> None:
    async with seated(many(200), (120, 24)) as seat:
        await here(seat)
        await seat.press(*["down"] * 60)
        row = seat.listing.current
        assert row is not None
        line = seat.table.cursor_row - round(seat.table.scroll_y)
        # Others go down, and stand above it now.
        entries = [schedule(f"check-{i:04d}") for i in range(200)]
        bad = found("x:1", ok=False, error=CheckError.TIMEOUT)
        entries += [result(f"check-{i:04d}", bad) for i in range(0, 30)]
        entries += [result(f"check-{i:04d}") for i in range(30, 200)]
        await seat.show(polled(entries))
        await seat.pilot.pause()
        assert seat.listing.current is not None
        assert seat.listing.current.id == row.id
        assert seat.table.cursor_row - round(seat.table.scroll_y) == line


async def test_time_goes_on_in_the_table_and_in_full() -> None:
    async with seated(polled()) as seat:
        await here(seat)
        assert seat.cell(0, "when") == "5 s"
        await seat.press("enter")
        await seat.wait(10)
        assert seat.cell(0, "when") == "15 s"
        assert "down, 15 s ago" in seat.details()


async def test_rows_are_not_made_anew_for_what_does_not_change_them() -> None:
    async with seated(many(50)) as seat:
        await here(seat)
        before = seat.listing.current
        await seat.show(replace(seat.app.snapshot, read_at=NOW))
        assert seat.listing.current is before


async def test_before_anything_was_read_and_where_there_are_none() -> None:
    async with seated(never_read()) as seat:
        await here(seat)
        assert "not read yet" in seat.lines("none")[0]
        assert seat.title() == "Schedules: 0"
        await seat.show(unpolled())
        assert seat.lines("none")[0].startswith("no schedules: `coord schedule add")
        assert not seat.room.query_one("#fares").display
        await seat.show(polled())
        assert names(seat)[0] == "web-shop"


async def test_help_says_what_the_words_mean() -> None:
    async with seated(polled(), (120, 80)) as seat:
        await here(seat)
        await seat.press("question_mark")
        assert isinstance(seat.app.screen, HelpScreen)
        said = "\n".join(seat.screen())
        assert "run it now, out of turn" in said
        assert "no_poller_of_kind" in said


async def test_the_dashboard_names_the_screen_that_shows_all() -> None:
    async with seated(polled(), (120, 40)) as seat:
        assert seat.lines("polls")[-1] == "and 3 more: the polls (7) shows all"


def test_a_board_of_nothing_is_empty() -> None:
    assert schedule_rows(replace(polled(), poll_board=PollBoard(at_ms=0, seen=Seen.KNOWN))) == ()


def test_a_request_that_was_made_by_hand_is_shown_with_who_made_it() -> None:
    row = rows(polled([schedule("a"), asked("a", actor="eve")]))["a"]
    assert "by eve" in told(row)
