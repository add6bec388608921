"""The history and the audit as people see them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from journals import START_MS, audited
from snapshots import lines

from coord.consul import Denied
from coord.election.reasons import Cause, LostReason
from coord.history import (
    Asked,
    Gap,
    History,
    Note,
    Pause,
    PauseEnd,
    Suspension,
    Tenure,
    Until,
    Vacant,
)
from coord.history.model import FORCED
from coord.history.text import NOTES, limits, render_audit, render_history
from coord.members import Seen
from coord.operations import AuditEntry
from coord.status.as_json import encoded

EVIL = "\x1b[2J\u202e[bold]x[/]\r\n" + "e" * 60
HOUR_MS = 3_600_000

FIRST = Tenure(
    term=1,
    node="core-1",
    from_ms=START_MS,
    until_ms=START_MS + HOUR_MS,
    until=Until.TOLD,
    cause=Cause.TRANSFERRED,
    cause_told="transferred",
    reason=LostReason.STEPPED_DOWN,
    reason_told="stepped_down",
    asked=(Asked(operation="transfer", actor="alice", reason="deploy", outcome="done"),),
)
SECOND = Tenure(
    term=2,
    node="core-2",
    from_ms=START_MS + HOUR_MS,
    until=Until.GOES_ON,
    gap=Gap(total_ms=14, quarantine_ms=0, acquire_ms=10, start_ms=4),
)


def history(*tenures: Tenure, **fields: Any) -> History:
    given: dict[str, Any] = {"journal": Seen.KNOWN, "audit": Seen.KNOWN} | fields
    return History(election="x", at_ms=START_MS + 2 * HOUR_MS, tenures=tenures, **given)


def shown(of: History, width: int = 200) -> str:
    return "\n".join(lines(render_history(of), width))


def test_a_handover_is_told_with_all_there_is() -> None:
    text = shown(history(SECOND, FIRST))
    for said in ("core-1", "core-2", "1 h", "transferred", "alice", "deploy", "done", "14 ms"):
        assert said in text
    assert text.index("core-2") < text.index("core-1")


def test_who_forced_an_end_is_said_with_why() -> None:
    asked = Asked(operation="force_release", actor="bob", reason="it hangs", outcome="done")
    by_hand = replace(
        FIRST, cause=Cause.RELEASED_BY_HAND, cause_told="released_by_hand", asked=(asked,)
    )
    text = shown(history(SECOND, replace(by_hand, ended=FORCED)))
    for said in ("force_released", "forced by bob", "it hangs"):
        assert said in text
    assert "released_by_hand" not in text
    assert "forced by" not in shown(history(SECOND, replace(by_hand, ended="released_by_hand")))


@pytest.mark.parametrize(
    ("told", "said", "not_said"),
    [
        ({"suspensions": 1, "suspended_ms": 4000}, ["once, for 4.0 s", "resumed"], ["until it"]),
        (
            {"suspensions": 1, "unresumed": Suspension(since_ms=1, lasted_ms=60_000)},
            ["once, for 60.0 s", "until it lost the leadership"],
            ["resum", "0 ms"],
        ),
        (
            {
                "suspensions": 3,
                "suspended_ms": 4000,
                "unresumed": Suspension(since_ms=1, lasted_ms=60_000),
            },
            ["2 times, for 4.0 s in all", "once more, for 60.0 s", "until it lost"],
            ["3 times"],
        ),
        ({"suspensions": 1, "unresumed": Suspension(since_ms=None)}, ["until it lost"], ["for "]),
    ],
)
def test_suspensions_say_how_they_ended(
    told: dict[str, Any], said: list[str], not_said: list[str]
) -> None:
    rows = lines(render_history(history(replace(FIRST, **told))), 200)
    text = "\n".join(row for row in rows if "suspended" in row)
    assert text
    assert all(part in text for part in said)
    assert not any(part in text for part in not_said)


def test_a_suspension_that_goes_on_is_not_said_to_have_ended() -> None:
    going = replace(SECOND, suspensions=1, unresumed=Suspension(since_ms=START_MS + HOUR_MS + 9))
    text = shown(history(going))
    assert "not resumed yet" in text
    assert "lost the leadership" not in text


def test_each_limit_of_what_is_known_is_said() -> None:
    plain = history(SECOND)
    assert not list(limits(plain))
    for limited in (
        replace(plain, denied=Denied.UNKNOWN_TOKEN),
        replace(plain, journal=Seen.NOT_PERMITTED),
        replace(plain, audit=Seen.NOT_PERMITTED),
        replace(plain, unreadable=3),
        replace(plain, audit_unreadable=3),
        replace(plain, unwritten={"core-1": 3}),
        replace(plain, pruned=True, oldest_ms=START_MS),
        replace(plain, stale=True),
    ):
        assert len(list(limits(limited))) == 1
        assert shown(limited) != shown(plain)
    assert shown(replace(plain, omitted=5)) != shown(plain)


def test_an_empty_journal_and_one_that_may_not_be_read_differ() -> None:
    assert shown(history()) != shown(history(journal=Seen.NOT_PERMITTED))


def test_every_note_has_its_words() -> None:
    assert NOTES.keys() == set(Note)
    for note in Note:
        assert NOTES[note] in shown(history(replace(FIRST, notes=(note,))))


@pytest.mark.parametrize("until", list(Until))
def test_each_way_of_knowing_the_end_reads_differently(until: Until) -> None:
    others = [replace(FIRST, until=other) for other in Until if other is not until]
    this = shown(history(SECOND, replace(FIRST, until=until)))
    assert this not in [shown(history(SECOND, other)) for other in others]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_hostile_texts_stay_in_their_columns(width: int) -> None:
    evil = replace(
        FIRST,
        node=EVIL,
        cause=None,
        cause_told=EVIL,
        reason=None,
        reason_told=EVIL,
        previous=EVIL,
        asked=(Asked(operation=EVIL, actor=EVIL, reason=EVIL, request_id=EVIL, outcome=EVIL),),
        from_ms=10**18,
    )
    paused = tuple(
        Pause(
            actor=EVIL,
            reason=EVIL,
            request_id=EVIL,
            from_ms=10**18,
            until_ms=10**18,
            end=end,
            ended_by=EVIL,
            ended_why=EVIL,
        )
        for end in PauseEnd
    )
    evil = replace(evil, paused=paused, ended=EVIL)
    of = history(evil, unwritten={EVIL: 2}, vacant=Vacant(since_ms=START_MS, paused=paused))
    broken = AuditEntry(EVIL, None, EVIL)
    entry = audited(START_MS, EVIL[:60], actor=EVIL, reason=EVIL, outcome=EVIL[:60], detail=EVIL)
    audit = render_audit(EVIL, Seen.KNOWN, (entry, broken))
    for content in (render_history(of), audit):
        for row in lines(content, width):
            assert row.isprintable()
            assert len(row) <= width
    assert encoded(of).isascii()
    json.loads(encoded([entry, broken]))


def test_the_audit_says_who_what_why_and_what_came_of_it() -> None:
    done = audited(
        START_MS,
        "transfer",
        node="core-1",
        to="core-2",
        expected_term=7,
        outcome="done",
        detail="all is well",
        new_leader="core-2",
        new_term=8,
        gap_ms=14,
    )
    begun = audited(START_MS + 5, "pause", request_id="f" * 16)
    assert (done.begun, begun.begun) == (False, True)
    text = "\n".join(lines(render_audit("x", Seen.KNOWN, (begun, done)), 200))
    for said in ("transfer", "core-1", "core-2", "7", "alice", "deploy", "done", "14 ms", "pause"):
        assert said in text
    finished = replace(begun, record=done.record)
    assert text != "\n".join(lines(render_audit("x", Seen.KNOWN, (finished, done)), 200))


def test_an_empty_audit_and_one_that_may_not_be_read_differ() -> None:
    said = {tuple(lines(render_audit("x", seen, ()))) for seen in Seen}
    assert len(said) == len(Seen)
