"""What is shown of each situation, purely: lines and rows, and nothing that a terminal obeys."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import replace

import pytest
from console_scenes import (
    HOSTILE,
    LEADER,
    LEADS,
    NOW,
    SCENES,
    Led,
    fleet,
    leaderless,
    leading,
    never_read,
    of,
    past,
    paused,
    stale,
    thousand,
)
from console_scenes import disconnected as disconnected_
from snapshots import NOW_MS, candidate, snapshot

from console.snapshot import Snapshot
from console.view import failover, headline, nodes, timeline
from console.view.line import Line, Tone, text_of
from console.view.table import Sorting, selected
from console.view.warnings import warnings
from coord.consul import CheckStatus
from coord.election.reasons import Cause, WhyNot
from coord.history import Tenure, Until
from coord.members import Seen
from coord.status import Condition, LeaderStatus, Listing, Oddity
from coord.status.reasons import WHY_NOT

WIDTHS = (80, 120, 250)


def all_lines(shown: Snapshot, width: int = 120) -> Iterable[Line]:
    """Everything that the dashboard shows of it."""
    yield from headline.header(shown, NOW)
    yield headline.banner(shown, NOW)
    yield from headline.headline(shown, NOW)
    yield from warnings(shown, NOW)
    yield from timeline.timeline(shown, NOW, width)
    yield from failover.waterfall(shown, width)
    yield failover.whose(shown, NOW)
    yield failover.gaps(shown)
    for row in nodes.node_rows(shown):
        for column in nodes.LAYOUT.shown(250):
            yield column.cell(row, shown.wall_ms(NOW))


def said(lines: Iterable[Line]) -> str:
    return "\n".join(map(text_of, lines))


def row_of(shown: Snapshot, node: str) -> nodes.NodeRow:
    return next(row for row in nodes.node_rows(shown) if row.node == node)


def cells(shown: Snapshot, node: str) -> dict[str, str]:
    row = row_of(shown, node)
    now_ms = shown.wall_ms(NOW)
    return {c.name: text_of(c.cell(row, now_ms)) for c in nodes.LAYOUT.shown(250)}


# --- the headline ---


def test_who_leads_comes_first() -> None:
    first, fares, does = headline.headline(leading(), NOW)
    assert text_of(first).startswith("★ core-1 LEADS")
    assert "term 7" in text_of(first)
    assert "12 min 35 s" in text_of(first)
    assert "● passing" in text_of(fares)
    assert "lease 2.0 s" in text_of(fares)
    assert "cluster-health,poll-orchestrator" in text_of(does).replace(", ", ",")
    assert "● healthy, 6 up 1 down" in text_of(does)


def test_that_nobody_leads_comes_first_and_loud() -> None:
    first, after, _ = headline.headline(leaderless(), NOW)
    assert text_of(first).startswith("✖ NOBODY LEADS")
    assert first[0].tone is Tone.SHOUT
    assert "last core-1 (term 7)" in text_of(after)
    assert "next core-2, core-3" in text_of(after)
    assert "2 passing candidates" in text_of(after)


@pytest.mark.parametrize(
    ("leader", "begins"),
    [
        (LeaderStatus(condition=Condition.MISSING), "✖ NOBODY LEADS"),
        (LeaderStatus(condition=Condition.UNREADABLE), "✖ NOBODY LEADS"),
        (LeaderStatus(condition=Condition.UNREADABLE, locked=True), "? SOMEBODY LEADS"),
        (LeaderStatus(condition=Condition.NOT_PERMITTED), "? NOT KNOWN WHO LEADS"),
    ],
)
def test_what_cannot_be_told_is_not_made_up(leader: LeaderStatus, begins: str) -> None:
    first, _, _ = headline.headline(of(snapshot(leader=leader)), NOW)
    assert text_of(first).startswith(begins)


def test_restarts_of_the_work_are_told() -> None:
    shown = leading()
    assert shown.past is not None
    first, *others = shown.past.history.tenures
    history = replace(shown.past.history, tenures=(replace(first, restarts=3), *others))
    shown = replace(shown, past=replace(shown.past, history=history))
    assert "restarted 3 times" in said(headline.headline(shown, NOW))


def test_nothing_is_claimed_before_the_first_reading() -> None:
    assert "nothing is known yet" in said(headline.headline(never_read(), NOW))
    assert nodes.node_rows(never_read()) == ()
    assert warnings(never_read(), NOW) == ()


# --- the header and the banner ---


def test_the_header_tells_consul_and_the_age() -> None:
    left, right = headline.header(leading(), NOW)
    assert text_of(left).startswith("coord x")
    assert text_of(right) == "read 1 s ago · 2 ms · 3 servers · Consul led by 10.0.0.1:8300"
    assert headline.banner(leading(), NOW) == ()


def test_the_banner_counts_while_consul_is_away() -> None:
    for later_s, lasting in ((0.0, "12 s"), (60.0, "1 min 12 s")):
        banner = text_of(headline.banner(disconnected_(), NOW + later_s))
        assert banner.startswith(f"✖ Consul cannot be reached for {lasting}; all below is OLD")
        assert "connection refused" in banner


@pytest.mark.parametrize("scene", ["disconnected", "stale"])
def test_who_leads_is_marked_as_old(scene: str) -> None:
    assert text_of(headline.headline(SCENES[scene](), NOW)[0]).endswith("(old)")
    assert "(old)" not in said(headline.headline(leading(), NOW))


def test_the_banner_without_any_picture() -> None:
    banner = text_of(headline.banner(never_read(), NOW))
    assert banner.startswith("✖ Consul cannot be reached for 3 s")
    assert "OLD" not in banner


def test_a_reading_that_is_overdue_is_told_before_it_fails() -> None:
    assert "16 s old" in text_of(headline.banner(leading(), NOW + headline.OVERDUE_S))


def test_a_stale_status_says_so() -> None:
    assert "any age" in text_of(headline.banner(stale(), NOW))
    assert "Consul has no leader" in text_of(headline.header(stale(), NOW)[1])


# --- warnings ---


def test_all_well_warns_of_nothing() -> None:
    assert warnings(leading(), NOW) == ()


def test_what_operators_ask_is_warned_of_the_pause_first() -> None:
    found = [text_of(one) for one in warnings(paused(), NOW)]
    assert found[0].startswith("! PAUSED, about 28 min 59 s left")
    assert any("DRAINED: core-2 by bob" in one for one in found)
    assert any("REQUEST" in one for one in found)


def test_oddities_of_the_keys_are_warned_of() -> None:
    odd = replace(LEADER, oddities=(Oddity.EDITED, Oddity.TERM_MISMATCH))
    assert len(warnings(of(snapshot(*fleet(), leader=odd)), NOW)) == 2


def test_namesakes_are_warned_of() -> None:
    twice = (*fleet(), candidate("core-2", api="127.0.0.1:9999", boot_id="other"))
    shown = of(snapshot(*twice, leader=LEADER))
    assert "core-2" in said(warnings(shown, NOW))
    targets = {row.target for row in nodes.node_rows(shown) if row.node == "core-2"}
    assert targets == {"127.0.0.1:8612", "127.0.0.1:9999"}


def test_a_leader_whose_check_fails_is_warned_of() -> None:
    first = candidate(
        "core-1", state="leading", why_not="", api="127.0.0.1:8611", status=CheckStatus.CRITICAL
    )
    shown = of(snapshot(first, *fleet()[1:], leader=LEADER))
    assert "the check of the leader core-1 is critical" in said(warnings(shown, NOW))


def test_another_in_discovery_is_warned_of() -> None:
    shown = leading()
    assert shown.status is not None
    (item,) = shown.status.leader_service.items
    other = replace(item, node="core-9", term=3)
    listed = Listing(Seen.KNOWN, (item, other))
    shown = replace(shown, status=replace(shown.status, leader_service=listed))
    assert "discovery still shows core-9 (term 3)" in said(warnings(shown, NOW))


def test_lists_that_are_kept_back_are_not_taken_for_empty() -> None:
    shown = leading()
    assert shown.status is not None
    status = replace(shown.status, candidates=Listing(Seen.NOT_PERMITTED))
    assert "candidates: not permitted" in said(warnings(replace(shown, status=status), NOW))


# --- the nodes ---


def test_the_leader_is_first_and_who_is_gone_last() -> None:
    rows = nodes.node_rows(leading())
    assert [row.node for row in rows] == [
        "core-1", "core-2", "core-3", "web-1", "edge-1", "edge-2", "core-4",
    ]  # fmt: skip
    assert [row.symbol for row in rows] == ["★", "●", "●", "◔", "○", "○", "✖"]


def test_a_node_says_why_it_does_not_lead_and_counts_down() -> None:
    web = cells(leading(), "web-1")
    assert web["why"] == "cooling_down"
    assert web["waits_for"] == WHY_NOT[WhyNot.COOLING_DOWN].waits_for
    assert (web["left"], web["since"]) == ("3 s", "7 s")
    gone = cells(leading(), "core-4")
    assert (gone["state"], gone["why"], gone["check"]) == ("gone", "check_critical", "✖ critical")
    leads = cells(leading(), "core-1")
    assert (leads["why"], leads["waits_for"], leads["since"]) == ("", "", "12 min")


def test_the_key_of_a_row_stays_while_what_it_says_changes() -> None:
    before, after = row_of(leading(), "core-2"), row_of(leaderless(), "core-2")
    assert before.key == after.key
    assert before.state != after.state


def test_more_columns_the_wider_the_table() -> None:
    counts = [len(nodes.LAYOUT.shown(width)) for width in WIDTHS]
    assert counts == sorted(counts)
    assert len(set(counts)) == 3
    assert counts[-1] == len(nodes.LAYOUT.columns)


@pytest.mark.parametrize("column", [""] + [column.name for column in nodes.LAYOUT.columns])
def test_every_column_can_be_sorted_by(column: str) -> None:
    rows = nodes.node_rows(leading())
    there = nodes.LAYOUT.ordered(rows, Sorting(column))
    back = nodes.LAYOUT.ordered(rows, Sorting(column, reverse=True))
    assert sorted(row.key for row in there) == sorted(row.key for row in rows)
    if column:
        order = nodes.LAYOUT.named(column).order
        assert [order(row) for row in back] == [order(row) for row in there][::-1]


def test_the_filter_wants_every_word_in_any_case() -> None:
    rows = nodes.node_rows(leading())
    assert [row.node for row in selected(rows, "CORE standby")] == ["core-2", "core-3"]
    assert [row.node for row in selected(rows, "critical")] == ["core-4"]
    assert selected(rows, "") == rows


def test_a_thousand_nodes_have_a_row_each() -> None:
    rows = nodes.node_rows(thousand())
    assert len(rows) == 1000
    assert len({row.key for row in rows}) == 1000


# --- the time line ---


def test_the_time_line_shows_who_led_and_how_it_changed() -> None:
    bar, marks, last = timeline.timeline(leading(), NOW, 90)
    assert len(text_of(bar)) == len(text_of(marks)) == 90
    names = [
        word for word in text_of(bar).replace("━", " ").replace("┫", " ").split() if "-" in word
    ]
    assert names == ["core-3", "core-1", "core-2", "core-3"]
    assert text_of(bar).endswith("┫━━━")
    assert text_of(marks).split() == ["┼", "▲", "✖", "✖", "✖"]
    assert "core-3 → core-1 12 min" in text_of(last)
    assert "session_invalidated" in text_of(last)
    assert "gap 4.9 s" in text_of(last)


@pytest.mark.parametrize("width", [10, 37, 80, 250])
@pytest.mark.parametrize("asked_s", [0, *timeline.WINDOWS_S])
def test_the_bar_is_as_wide_as_asked(width: int, asked_s: int) -> None:
    for scene in SCENES.values():
        shown = scene()
        bar, marks, _ = timeline.timeline(shown, NOW, width, asked_s)
        if shown.past is not None:
            assert len(text_of(bar)) == len(text_of(marks)) == width


def test_a_vacancy_is_shown_as_nobody() -> None:
    tenures = (
        Tenure(term=2, node="b", from_ms=NOW_MS - 100_000, until=Until.GOES_ON),
        Tenure(term=1, node="a", from_ms=NOW_MS - 900_000, until_ms=NOW_MS - 500_000,
               until=Until.TOLD),
    )  # fmt: skip
    found = timeline.stretches(tenures, NOW_MS)
    assert [each.node for each in found] == ["a", "", "b"]
    shown = leading()
    assert shown.past is not None
    history = replace(shown.past.history, tenures=tenures)
    bar, _, _ = timeline.timeline(
        replace(shown, past=replace(shown.past, history=history)), NOW, 90, 900
    )
    assert 35 <= text_of(bar).count("░") <= 45


def test_nobody_leading_now_ends_the_bar_with_nobody() -> None:
    shown = leaderless()
    assert shown.past is not None
    ended = Tenure(
        term=7, node="a", from_ms=NOW_MS - 900_000, until_ms=NOW_MS - 500_000, until=Until.SEEN
    )
    history = replace(shown.past.history, tenures=(ended,))
    shown = replace(shown, past=replace(shown.past, history=history))
    bar, _, _ = timeline.timeline(shown, NOW, 60, 900)
    assert text_of(bar).endswith("░")


def test_the_window_grows_until_it_tells_enough() -> None:
    tenures = past(LEADER).history.tenures
    assert timeline.window_s(tenures, NOW_MS) == 21_600
    assert timeline.window_s(tenures[:1], NOW_MS) == 900
    assert timeline.window_s(tenures[:1], NOW_MS - 700_000) == 60
    assert timeline.window_s((), NOW_MS) == 60
    assert timeline.window_s(tenures, NOW_MS, 300) == 300
    assert timeline.title(leading(), NOW) == "Leadership, last 6 h: 5 changes"


@pytest.mark.parametrize(
    ("cause", "mark"),
    [
        (Cause.HANDED_OVER, "▲"),
        (Cause.TRANSFERRED, "▲"),
        (Cause.SESSION_INVALIDATED, "✖"),
        (Cause.FAILED, "✖"),
        (Cause.DELETED, "◆"),
        (Cause.RELEASED_BY_HAND, "◆"),
        (Cause.UNKNOWN, "┼"),
    ],
)
def test_each_cause_has_its_mark(cause: Cause, mark: str) -> None:
    led = (LEADS[0], Led("core-1", 4, 1000, cause, (1, 2, 3, 4), "core-3"))
    leader = replace(LEADER, term=4)
    assert timeline.changes(past(leader, led).history.tenures)[0].mark == mark


def test_clocks_that_contradict_each_other_do_no_harm() -> None:
    tenures = (
        Tenure(term=3, node="c", from_ms=NOW_MS + 50_000, until=Until.GOES_ON),
        Tenure(term=2, node="b", from_ms=NOW_MS - 90_000, until_ms=NOW_MS - 95_000,
               until=Until.SEEN),
        Tenure(term=1, node="a", from_ms=None, until_ms=NOW_MS - 60_000, until=Until.TOLD),
    )  # fmt: skip
    for each in timeline.stretches(tenures, NOW_MS):
        assert each.begin_ms <= each.end_ms


# --- the last failover ---


def test_the_waterfall_begins_each_phase_where_the_last_ended() -> None:
    lines = [text_of(one) for one in failover.waterfall(leading(), 80)]
    assert [one.split()[0] for one in lines] == list(failover.PHASES)
    bars = [one[20:] for one in lines]
    ends = [len(bar) for bar in bars]
    begins = [len(bar) - len(bar.lstrip()) for bar in bars]
    assert all(len(one) <= 80 for one in lines)
    assert begins[0] == 0
    assert begins[1] == ends[0]
    assert "1.8 s" in lines[0]
    assert "3.0 s" in lines[1]
    assert "4.9 s" in failover.title(leading(), NOW)
    assert text_of(failover.whose(leading(), NOW)).startswith("core-3 → core-1 12 min")


def test_the_gaps_are_bars_by_their_logarithm() -> None:
    assert failover.bars([1, 10, 100, 1000, 10_000, 100_000, 10**9]) == "▁▁▃▅▆██"
    told = text_of(failover.gaps(leading()))
    assert told == "gaps ▅▂▆▂▆ 4.9 s · median 3.0 s · worst 5.0 s"


def test_no_failover_is_said_to_be_none() -> None:
    none = of(snapshot(*fleet(), leader=LEADER), past(LEADER, ()))
    assert "no failover is told of" in said(failover.waterfall(none, 80))
    assert failover.gaps(none) == ()


# --- what Consul could be made to hold ---


@pytest.mark.parametrize("scene", SCENES)
def test_nothing_that_a_terminal_obeys_is_ever_shown(scene: str) -> None:
    for shown in all_lines(SCENES[scene]()):
        for char in text_of(shown):
            assert char == " " or unicodedata.category(char)[0] in "LMNPS", repr(text_of(shown))


def test_a_hostile_name_is_shown_as_it_is_but_short() -> None:
    shown = SCENES["hostile"]()
    told = text_of(headline.headline(shown, NOW)[0])
    assert "[red]" in told
    assert "\\x1b[31mevil\\x07\\u202e" in told
    assert len(told) < len(HOSTILE)
    assert len(cells(shown, nodes.node_rows(shown)[0].node)["node"]) <= 30


@pytest.mark.parametrize("ms", [-(2**62), -1, 0])
def test_a_phase_that_took_less_than_no_time_fills_no_screen(ms: int) -> None:
    lines = [
        text_of(each) for each in failover.phase_lines([("quarantine", ms), ("acquire", 5)], 60)
    ]
    assert max(len(each) for each in lines) <= 60
