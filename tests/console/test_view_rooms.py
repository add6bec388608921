"""What the other screens show, purely."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from console_rooms import (
    entries,
    everything,
    hostile,
    operations,
    session,
    with_journal,
    with_sessions,
    with_stale_leader,
)
from console_scenes import LEADER, NOW, fleet, leaderless, leading, of, paused
from journals import Pen
from snapshots import NOW_MS, candidate, snapshot

from console.snapshot import Elections, Snapshot
from console.view import audit, elections, events, failover, health, runbooks, sessions, vacancy
from console.view.line import Line, text_of
from console.view.table import Layout, Row, Sorting, at, selected, short
from coord.consul import CheckStatus, ConsulUnavailable
from coord.history import Until
from coord.status import Condition, LeaderStatus, Seen
from coord.status.elections import ElectionListing, ElectionStatus
from coord.status.words import ms_of
from coord.telemetry import BecameLeader, ElectionStarted


def said(lines: Iterable[Line]) -> str:
    return "\n".join(map(text_of, lines))


def tables(shown: Snapshot) -> dict[str, tuple[Layout[Any], tuple[Row, ...]]]:
    """Every table of the other screens with its rows."""
    assert shown.past is not None
    return {
        "events": (events.LAYOUT, events.event_rows(shown.past.entries)),
        "audit": (audit.LAYOUT, audit.audit_rows(shown.past.operations)),
        "sessions": (sessions.LAYOUT, sessions.held_rows(shown)),
        "health": (health.LAYOUT, health.finding_rows(shown)),
        "runbooks": (runbooks.LAYOUT, runbooks.runbook_rows(shown.runbooks)),
    }


# --- tables ---


@pytest.mark.parametrize("name", list(tables(everything())))
def test_every_column_can_be_sorted_by_and_every_row_has_its_own_key(name: str) -> None:
    layout, rows = tables(everything())[name]
    assert rows
    assert len({row.key for row in rows}) == len(rows)
    for column in layout.columns:
        there = layout.ordered(rows, Sorting(column.name))
        back = layout.ordered(rows, Sorting(column.name, reverse=True))
        assert [column.order(row) for row in back] == [column.order(row) for row in there][::-1]


@pytest.mark.parametrize("width", [80, 120, 250])
@pytest.mark.parametrize("name", list(tables(everything())))
def test_no_table_is_wider_than_its_room(name: str, width: int) -> None:
    for shown in (everything(), hostile()):
        layout, rows = tables(shown)[name]
        columns = layout.shown(width)
        cells = [tuple(column.cell(row, NOW_MS) for column in columns) for row in rows]
        widths = layout.widths(columns, cells, width)
        assert sum(widths) + 2 * len(widths) <= width


@pytest.mark.parametrize("name", list(tables(everything())))
def test_nothing_that_a_terminal_obeys_is_ever_shown(name: str) -> None:
    layout, rows = tables(hostile())[name]
    lines = [column.cell(row, NOW_MS) for row in rows for column in layout.columns]
    shown = hostile()
    assert shown.past is not None
    for row in rows:
        match row:
            case events.EventRow():
                lines += [text for _, text in events.detail(row, shown.past.entries)]
            case audit.AuditRow():
                lines += [text for _, text in audit.detail(row)]
            case sessions.HeldRow():
                lines += [text for _, text in sessions.detail(row)]
            case health.FindingRow():
                lines += [text for _, text in health.detail(row)]
    lines += [*sessions.lock(shown, NOW), *health.cluster(shown, NOW), health.doctor(shown, NOW)]
    lines += [*health.notes(shown), *sessions.notes(shown), *events.notes(shown)]
    for one in lines:
        for char in text_of(one):
            assert char == " " or unicodedata.category(char)[0] in "LMNPS", repr(text_of(one))


def test_a_word_of_the_filter_may_name_the_part_it_must_stand_in() -> None:
    rows = events.event_rows(entries())
    assert len(selected(rows, "node:core-1")) == 3
    assert [row.kind for row in selected(rows, "kind:suspended")] == ["suspended"]
    assert len(selected(rows, "core-1")) > 3
    assert selected(rows, "kind:core-1") == ()
    # What is no part of a row is a word like others: an address, say.
    assert selected(rows, "127.0.0.1:8610") == ()
    assert len(selected(rows, "KIND:Leader_Changed TERM:7")) == 1


def test_a_time_of_another_day_tells_the_day() -> None:
    def shown(ms: int | None) -> str:
        row = with_time(ms)
        return text_of(at("at_ms")(row, NOW_MS))

    now = datetime.fromtimestamp(NOW_MS / 1000, tz=UTC)
    assert shown(NOW_MS) == f"{now:%H:%M:%S}.000"
    assert shown(NOW_MS - 86_400_000 * 3) == f"{now.replace(day=now.day - 3):%m-%d %H:%M:%S}"
    assert shown(None) == "-"
    assert shown(10**16) == f"{10**16} ms"[:14]


def with_time(ms: int | None) -> events.EventRow:
    (row, *_) = events.event_rows(entries())
    return replace(row, entry=replace(row.entry, at_ms=ms))


def test_a_short_age_counts_seconds_and_a_long_one_does_not() -> None:
    assert short(59_999) == "59 s"
    assert short(119_000) == "1 min 59 s"
    assert short(185_000) == "3 min"


# --- events ---


def test_rows_of_entries_that_are_the_same_are_taken_again() -> None:
    first = events.event_rows(entries())
    again = events.event_rows(entries(), {row.key: row for row in first})
    assert all(one is other for one, other in zip(first, again, strict=True))
    changed = replace(first[0].entry, term=99)
    (other,) = events.event_rows((changed,), {row.key: row for row in first})
    assert other.entry.term == 99


def test_a_clean_end_is_not_as_bad_as_another() -> None:
    by_kind = {row.kind: row for row in events.event_rows(entries())}
    assert by_kind["lost_leadership"].symbol == "○"
    assert by_kind["suspended"].symbol == "!"
    assert by_kind["became_leader"].symbol == "★"


def test_an_empty_journal_is_not_one_that_may_not_be_seen() -> None:
    shown = with_journal(())
    assert shown.past is not None
    assert "nobody has told anything" in text_of(events.none(shown))
    history = replace(shown.past.history, journal=Seen.NOT_PERMITTED)
    denied = replace(shown, past=replace(shown.past, history=history))
    assert text_of(events.none(denied)) == ""
    assert "not permitted" in said(events.notes(denied))


# --- the audit ---


def test_what_is_unfinished_is_not_what_is_unreadable() -> None:
    unfinished, done, broken, fell_back = audit.audit_rows(operations())
    assert (unfinished.outcome, done.outcome, fell_back.outcome) == (
        audit.UNFINISHED, "done", "fell_back",
    )  # fmt: skip
    assert broken.at_ms is None
    assert "not JSON" in broken.reason


# --- what Consul holds ---


def test_a_leader_that_lost_is_stale_in_discovery() -> None:
    rows = [row for row in sessions.held_rows(with_stale_leader()) if row.kind == "leader"]
    assert {row.stands for row in rows} == {
        "at work, term 7", "stale, term 6", "stale, term 2", "stale, term 3",
    }  # fmt: skip


def test_a_session_whose_check_fails_is_marked() -> None:
    bad = session("core-2")
    failing = replace(bad.checks[1], status=CheckStatus.CRITICAL)
    shown = with_sessions(replace(bad, checks=(bad.checks[0], failing)))
    (row,) = (row for row in sessions.held_rows(shown) if row.kind == "session")
    assert (row.symbol, row.check) == ("!", CheckStatus.CRITICAL)


@pytest.mark.parametrize(
    ("leader", "begins"),
    [
        (LeaderStatus(condition=Condition.MISSING), "✖ the leader key does not exist"),
        (LeaderStatus(condition=Condition.NOT_PERMITTED), "? the token may not read"),
        (LEADER, "★ held by core-1"),
    ],
)
def test_the_lock_says_what_is_known_of_it(leader: LeaderStatus, begins: str) -> None:
    first = text_of(sessions.lock(of(snapshot(*fleet(), leader=leader)), NOW)[0])
    assert first.removeprefix("lock     ").startswith(begins)


def test_a_term_that_is_not_the_records_is_marked() -> None:
    odd = of(snapshot(*fleet(), leader=replace(LEADER, term=6)))
    assert "! not the record's" in text_of(sessions.lock(odd, NOW)[3])


# --- a failover that goes on ---


def waiting(node: str, why: str, until_ms: int, state: str = "waiting") -> Any:
    return candidate(
        node,
        state=state,
        why_not=why,
        since_ms=str(NOW_MS - 1000),
        until_ms=str(NOW_MS + until_ms),
        api=f"127.0.0.1:{until_ms}",
    )


def vacant(*candidates: Any, **fields: Any) -> Snapshot:
    left: dict[str, Any] = {"node": "core-1", "term": 7, "vanished": True} | fields
    return of(snapshot(*candidates, leader=LeaderStatus(condition=Condition.VACANT, **left)))


def test_nothing_goes_on_while_somebody_leads_or_nobody_may_know() -> None:
    assert not vacancy.goes_on(leading())
    assert not vacancy.goes_on(paused())
    unknown = LeaderStatus(condition=Condition.NOT_PERMITTED)
    assert not vacancy.goes_on(of(snapshot(*fleet(), leader=unknown)))
    assert vacancy.goes_on(leaderless())
    assert vacancy.goes_on(of(snapshot(leader=LeaderStatus(condition=Condition.MISSING))))


def test_whoever_is_through_first_stands_first() -> None:
    shown = vacant(waiting("b", "waiting_turn", 5000), waiting("a", "lock_delay", 9000))
    first, *others = map(text_of, failover.progress(shown, NOW - 1.0))
    assert first == "✓ detect  ◔ quarantine, 5.0 s left  · acquire  · start"
    assert [one.split()[0] for one in others] == ["b", "a"]


def test_the_phase_is_that_of_who_is_furthest() -> None:
    at_it = waiting("c", "", 100, state="acquiring")
    shown = vacant(at_it, waiting("a", "lock_delay", 9000))
    assert "◔ acquire" in text_of(failover.progress(shown, NOW)[0])
    nobody_saw_it = vacant(candidate("a"), candidate("b", api="127.0.0.1:2"))
    assert text_of(failover.progress(nobody_saw_it, NOW)[0]).startswith("◔ detect")


def test_what_the_journal_tells_at_once_comes_before_what_the_catalog_tells_late() -> None:
    shown = vacant(candidate("a"), candidate("b", api="127.0.0.1:2"))
    assert shown.past is not None
    pens = Pen("a"), Pen("b")
    keys = (
        pens[0].tell(NOW_MS - 90_000, partial(ElectionStarted, wait_ms=99_000)),
        pens[0].tell(NOW_MS - 80_000, BecameLeader, term=7),
        pens[0].tell(NOW_MS - 1000, partial(ElectionStarted, wait_ms=3000)),
        pens[1].tell(NOW_MS - 900, partial(ElectionStarted, wait_ms=5000)),
    )
    told = replace(shown, past=replace(shown.past, entries=entries(keys)))
    first, *others = map(text_of, failover.progress(told, NOW - 1.0))
    assert first == "✓ detect  ◔ quarantine, 2.0 s left  · acquire  · start"
    assert others[0].startswith("a lock_delay 2.0 s left, waits for the quarantine")
    assert others[1].startswith("b lock_delay 4.1 s left")
    at_once = (*keys, pens[1].tell(NOW_MS - 500, ElectionStarted))
    told = replace(shown, past=replace(shown.past, entries=entries(at_once)))
    assert "◔ acquire" in text_of(failover.progress(told, NOW)[0])
    old = replace(shown, past=replace(shown.past, entries=entries(keys[:2])))
    assert text_of(failover.progress(old, NOW)[0]).startswith("◔ detect")


def test_that_nobody_can_or_tries_is_told() -> None:
    gone = vacant(candidate("a", status=CheckStatus.CRITICAL))
    assert "no candidate can follow" in text_of(failover.progress(gone, NOW)[0])
    stopped = vacant(candidate("a", why_not="paused"))
    assert text_of(failover.progress(stopped, NOW)[0]) == "! no candidate tries: paused"


def test_many_that_wait_are_counted() -> None:
    shown = vacant(*(waiting(f"n-{i}", "lock_delay", 1000 + i) for i in range(9)))
    lines = failover.progress(shown, NOW)
    assert len(lines) == 4
    assert text_of(lines[-1]) == "and 7 more, below"


def test_since_when_nobody_leads_comes_from_whoever_knows_best() -> None:
    told = vacant(since=datetime.fromtimestamp(NOW_MS / 1000 - 9, tz=UTC), vanished=False)
    assert vacancy.vacant_since_ms(told) == NOW_MS - 9000
    shown = vacant(waiting("a", "lock_delay", 9000))
    assert shown.past is not None
    (first, *rest) = shown.past.history.tenures
    ended = replace(first, until=Until.SEEN, until_ms=NOW_MS - 4000)
    history = replace(shown.past.history, tenures=(ended, *rest))
    seen = replace(shown, past=replace(shown.past, history=history))
    assert vacancy.vacant_since_ms(seen) == NOW_MS - 4000
    unknown = replace(shown.past.history, tenures=())
    by_who_waits = replace(shown, past=replace(shown.past, history=unknown))
    assert vacancy.vacant_since_ms(by_who_waits) == NOW_MS - 1000
    assert LEADER.since is not None
    assert vacancy.vacant_since_ms(seen) != ms_of(LEADER.since)


# --- elections ---


def election(name: str, **fields: Any) -> ElectionStatus:
    leader = LeaderStatus(**({"condition": Condition.MISSING} | fields))
    return ElectionStatus(name=name, leader=leader, candidates=True)


def test_elections_with_who_leads_them() -> None:
    held = {"condition": Condition.HELD, "locked": True, "node": "core-1", "term": 3}
    listing = ElectionListing(
        Seen.KNOWN,
        (election("a", **held), election("b"), election("c", condition=Condition.NOT_PERMITTED)),
    )
    rows = elections.election_rows(Elections(listing), "b")
    cells = [[text_of(c.cell(row, 0)) for c in elections.LAYOUT.columns] for row in rows]
    assert cells == [
        ["a", "★ core-1", "3"], ["b (shown)", "✖ nobody", "-"], ["c", "? not permitted", "-"],
    ]  # fmt: skip
    assert elections.notes(Elections(listing)) == ()


def test_what_is_not_known_of_elections_is_told() -> None:
    assert "looking" in said(elections.notes(None))
    assert "there may be others" in said(elections.notes(Elections(ElectionListing(Seen.UNKNOWN))))
    many = ElectionListing(Seen.KNOWN, (election("a"),), omitted=4)
    assert "and 4 more" in said(elections.notes(Elections(many)))
    error = ConsulUnavailable("GET /v1/kv", "refused")
    assert "cannot be reached" in said(elections.notes(Elections(error=error)))


def test_links_of_runbooks_are_keys() -> None:
    assert runbooks.reference("runbooks/debug-election.md#paused") == "debug-election#paused"
    assert runbooks.reference("consul-outage.md") == "consul-outage"
