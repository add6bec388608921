"""What the dashboard says of polls: in a line, and where there is room the worst of them."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from console_bench import seated
from console_scenes import NOW, hostile, leaderless, leading, polls

from console.once import dashboard
from console.snapshot import Snapshot
from console.view.line import text_of
from console.view.polls import in_a_line, troubles
from console.view.warnings import warnings
from coord.consul import ConsulUnavailable
from coord.members import Seen
from coord.polling.summary import PollSummary


def line_of(found: PollSummary | None) -> str:
    return text_of(in_a_line(replace(leading(), polls=found), NOW))


def test_what_is_wrong_comes_first() -> None:
    assert line_of(polls()) == (
        "polls ✖ 1 down · ! 2 unanswered (no_poller, deadline) · ! 1 late · ● 11 up · ○ 1 disabled "
        "· 31 missed in all"
    )


@pytest.mark.parametrize("found", [None, PollSummary(at_ms=0, seen=Seen.KNOWN)])
def test_where_nothing_is_polled_there_is_no_line(found: PollSummary | None) -> None:
    assert line_of(found) == ""


def test_what_may_not_be_seen_is_not_taken_for_none() -> None:
    assert "not permitted" in line_of(PollSummary(at_ms=0, seen=Seen.NOT_PERMITTED))
    hidden = PollSummary(
        at_ms=0, seen=Seen.KNOWN, results=Seen.NOT_PERMITTED, schedules=3, enabled=3
    )
    assert line_of(hidden) == "polls 3 to run, results not permitted"


def test_when_the_last_result_came_is_told_where_that_is_long_ago() -> None:
    quiet = replace(polls(), last_ms=polls().at_ms - 120_000)
    assert "last result 2 min 5 s ago" in line_of(quiet)


def test_that_they_cannot_be_read_is_told_with_how_old_they_are() -> None:
    error = ConsulUnavailable("GET /v1/kv", "connection refused")
    shown = replace(leading(), polls_error=error)
    assert "read 5 s ago" in text_of(in_a_line(shown, NOW))
    assert any("polls are not read" in text_of(each) for each in warnings(shown, NOW))


def test_each_in_trouble_has_a_line_that_says_why() -> None:
    web, mail, ntp, backup = (text_of(each) for each in troubles(leading(), NOW, 4))
    assert web.startswith("✖ web-shop  down")
    assert "status (503 Service Unavailable), 1 of 3 checks" in web
    assert "no poller's check passes" in mail
    assert "did not answer in time" in ntp
    assert "last result came 4 min 21 s ago; it is to run every 30 s" in backup
    assert {each.index(word) for each, word in ((web, "http"), (mail, "no poller"))} == {23}


def test_more_than_there_is_room_for_are_counted() -> None:
    first, more = (text_of(each) for each in troubles(leading(), NOW, 2))
    assert "web-shop" in first
    assert more.startswith("and 3 more")


def test_nothing_in_it_is_obeyed_by_a_terminal() -> None:
    shown = hostile()
    for each in (in_a_line(shown, NOW), *troubles(shown, NOW, 9)):
        said = text_of(each)
        assert not {char for char in said if unicodedata.category(char)[0] == "C"}
        assert len(said) < 600


@pytest.mark.parametrize(("size", "named"), [((80, 24), False), ((120, 40), True)])
async def test_the_worst_are_named_where_there_is_room(size: tuple[int, int], named: bool) -> None:
    async with seated(leading(), size) as seat:
        assert seat.lines("headline")[3].startswith("polls ✖ 1 down")
        assert seat.board.query_one("#polls").display is named
        assert len(seat.nodes()) == 7
        await seat.show(leaderless())
        assert len(seat.lines("headline")) == 3
        assert not seat.board.query_one("#polls").display


def test_they_are_printed_too() -> None:
    def printed(shown: Snapshot) -> str:
        return "\n".join(map(text_of, dashboard(shown, NOW, 120)))

    assert "polls ✖ 1 down" in printed(leading())
    assert "Polls: 4 of 16 not well" in printed(leading())
    assert "Polls" not in printed(leaderless())
