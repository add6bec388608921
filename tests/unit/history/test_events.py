"""Entries of the journal as lines, of text and of JSON; which of them are new."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journals import PATHS, START_MS, Pen, entries
from snapshots import lines

from coord.consul import KVEntry
from coord.election.reasons import Cause, LostReason, StepDownReason, TakeoverOutcome
from coord.history.events import (
    KINDS,
    as_json,
    event_of,
    is_wanted,
    kind_of,
    sentence,
    tells_of_a_gap,
)
from coord.history.events import lines as event_lines
from coord.history.follow import REMEMBERED, News
from coord.telemetry import (
    CATALOGUE,
    BecameLeader,
    LeaderChanged,
    LostLeadership,
    StepDownRequested,
    TakeoverAttempted,
)
from coord.telemetry.journal import KEPT_ENTRIES, JournalEntry

EVIL = "\x1b[2J\u202e[bold]x[/]\r\n"
NOW = START_MS
PEN = Pen("core-1")
CHANGED = partial(LeaderChanged, new_leader="core-1", previous_leader="core-2", cause=Cause.DIED)


def entry(key: KVEntry) -> JournalEntry:
    (made,) = entries(key)
    return made


@pytest.mark.parametrize(
    "told",
    [
        PEN.tell(NOW, BecameLeader, term=7),
        PEN.tell(NOW, CHANGED, term=7, gap_ms=14),
        PEN.tell(NOW, partial(LostLeadership, reason=LostReason.SHUTDOWN), term=7),
        PEN.tell(NOW, partial(TakeoverAttempted, outcome=TakeoverOutcome.HELD), term=7),
        PEN.tell(NOW, partial(StepDownRequested, reason=StepDownReason.REQUESTED, actor="bob")),
    ],
)
def test_an_event_is_read_back_as_it_was_told(told: KVEntry) -> None:
    made = event_of(entry(told))
    assert made is not None
    assert entry(told).event == made.EVENT
    assert (made.node, made.at_ms, made.election) == ("core-1", NOW, "x")


def test_everything_that_is_journaled_can_be_asked_for() -> None:
    assert set(KINDS) == {kind.NAME for kind in CATALOGUE if kind.JOURNALED}
    assert kind_of(entry(PEN.tell(NOW, BecameLeader, term=7))) in KINDS


def test_a_line_has_when_who_and_what() -> None:
    (made,) = lines(event_lines(entry(PEN.tell(1_800_000_000_123, CHANGED, term=7)), 200), 200)
    for said in ("2027-01-15 08:00:00.123", "core-1", "leader_changed", "core-2", "died"):
        assert said in made


@pytest.mark.parametrize("width", [60, 80, 100])
def test_what_does_not_fit_stands_below_in_full(width: int) -> None:
    asked = partial(
        StepDownRequested, reason=StepDownReason.REQUESTED, actor="bob@desk", detail="word " * 30
    )
    for told in (PEN.tell(NOW, CHANGED, term=7, gap_ms=1400), PEN.tell(NOW, asked, term=7)):
        made = entry(told)
        rows = lines(event_lines(made, width), width)
        assert all(len(row) <= width for row in rows)
        assert not rows[0].startswith(" ")
        assert all(row.startswith("    ") for row in rows[1:])
        # Broken between words alone, and nothing is left out.
        assert " ".join(" ".join(rows[1:]).split()) == " ".join(sentence(made).split())


def test_long_names_are_shortened_rather_than_broken() -> None:
    told = Pen("n" * 60).tell(NOW, BecameLeader, term=7)
    head, *rest = lines(event_lines(entry(told), 80), 80)
    assert "became_leader" in head
    assert all(row.startswith("    ") for row in rest)
    assert "n" * 60 in "".join(lines(event_lines(entry(told), 200), 200))


def test_what_says_nothing_leaves_no_line_empty() -> None:
    for name in ("moon", "m" * 60):
        made = entry(KVEntry(f"{PATHS.journal}odd", json.dumps({"event": name}).encode()))
        assert len(lines(event_lines(made, 80), 80)) == 1


def test_what_fits_stands_in_one_line() -> None:
    assert len(lines(event_lines(entry(PEN.tell(NOW, BecameLeader, term=7)), 80), 80)) == 1


def test_what_tells_that_a_leader_went_or_came() -> None:
    lost = partial(LostLeadership, reason=LostReason.SHUTDOWN)
    held = partial(TakeoverAttempted, outcome=TakeoverOutcome.HELD)
    assert tells_of_a_gap(entry(PEN.tell(NOW, CHANGED, term=7)))
    assert tells_of_a_gap(entry(PEN.tell(NOW, lost, term=7)))
    assert not tells_of_a_gap(entry(PEN.tell(NOW, held, term=7)))


def test_an_event_of_a_newer_version_is_shown_by_its_names() -> None:
    told = PEN.tell(NOW, BecameLeader, term=7)
    newer = entry(replace(told, value=told.value.replace(b"became_leader", b"moon_phase")))
    assert event_of(newer) is None
    assert "term=7" in sentence(newer)
    assert kind_of(newer) == "moon_phase"


def test_an_event_with_a_word_of_a_newer_version_is_shown_by_its_names() -> None:
    told = PEN.tell(NOW, CHANGED, term=7)
    newer = entry(replace(told, value=told.value.replace(b'"died"', b'"eaten"')))
    assert event_of(newer) is None
    assert "cause=eaten" in sentence(newer)


@pytest.mark.parametrize(
    ("kinds", "nodes", "wanted"),
    [
        ((), (), True),
        (("became_leader",), (), True),
        (("serviceradar.coordinator.became_leader",), (), True),
        (("leader_down", "became_leader"), ("core-2", "core-1"), True),
        (("leader_down",), (), False),
        ((), ("core-2",), False),
    ],
)
def test_what_is_wanted(kinds: tuple[str, ...], nodes: tuple[str, ...], wanted: bool) -> None:
    assert is_wanted(entry(PEN.tell(NOW, BecameLeader, term=7)), kinds, nodes) is wanted


DETAIL = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just(EVIL))


@given(
    st.sampled_from([kind.EVENT for kind in CATALOGUE] + ["moon", EVIL]),
    st.dictionaries(
        st.sampled_from(
            [
                "cause",
                "new_leader",
                "gap_ms",
                "term",
                "at_ms",
                "node",
                "lost_before",
                "reason",
                EVIL,
            ]
        ),
        DETAIL,
    ),
)
def test_nothing_that_is_written_there_controls_a_terminal(
    event: str, details: dict[str, object]
) -> None:
    value = json.dumps({"event": event, **details}).encode()
    made = entry(KVEntry(f"{PATHS.journal}{EVIL}", value))
    assert all(char.isprintable() for shown in lines(event_lines(made, 80), 80) for char in shown)
    assert as_json(made).isascii()
    assert json.loads(as_json(made))["event"] == made.event


@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b'{"event": 7}', b"[" * 5000])
def test_what_cannot_be_read_is_shown_with_why(value: bytes) -> None:
    made = entry(KVEntry(f"{PATHS.journal}odd", value))
    assert made.problem in " ".join(lines(event_lines(made, 400), 400))
    assert json.loads(as_json(made))["problem"] == made.problem


# --- what is new ---


def key(number: int) -> KVEntry:
    return KVEntry(f"{PATHS.journal}{number:08d}", b"")


def test_nothing_is_news_twice_however_late_it_comes() -> None:
    news = News()
    assert news.of([key(1), key(5)]) == ([key(1), key(5)], False)
    # Sorted before what was told already, by a clock that is behind; pruned; written once more.
    assert news.of([key(1), key(3), key(5)])[0] == [key(3)]
    assert news.of([key(5), key(9)])[0] == [key(9)]
    assert news.of([key(1), key(5), key(9)])[0] == []


def test_it_is_said_when_all_that_was_there_is_gone() -> None:
    news = News()
    news.of([key(i) for i in range(KEPT_ENTRIES)])
    assert not news.of([key(i) for i in range(1, KEPT_ENTRIES + 1)])[1]
    assert news.of([key(i) for i in range(1000, 1000 + KEPT_ENTRIES)])[1]
    assert not News().of([key(i) for i in range(KEPT_ENTRIES)])[1]


def test_what_is_remembered_is_bounded() -> None:
    news = News()
    for i in range(0, 3 * REMEMBERED, 100):
        news.of([key(j) for j in range(i, i + 100)])
    assert news.remembered == REMEMBERED
