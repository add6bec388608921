"""Pauses of the election, from the audit and what stands, and the gaps that they explain."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journals import START_MS, Pen, audited, entries
from snapshots import lines

from coord.consul import KVEntry
from coord.election.reasons import Cause, LostReason
from coord.history import History, Pause, PauseEnd, tenures
from coord.history.assemble import vacant
from coord.history.events import as_json, paused_before
from coord.history.events import lines as event_lines
from coord.history.operated import operations_of
from coord.history.pauses import during, pauses
from coord.history.text import paused_words, render_history
from coord.members import Seen
from coord.operations import AuditEntry
from coord.records import PauseRecord
from coord.status import Condition, LeaderStatus
from coord.telemetry import BecameLeader, LeaderChanged, LostLeadership

MIN_MS = 60_000
NOW_MS = START_MS + 600 * MIN_MS


def at(minutes: float) -> int:
    return START_MS + round(minutes * MIN_MS)


def pause(
    minute: float, for_minutes: float | None = 30, *, number: int = 1, **f: Any
) -> AuditEntry:
    for_ms = None if for_minutes is None else round(for_minutes * MIN_MS)
    given_ = {"request_id": f"{number:016x}", "outcome": "done", "for_ms": for_ms} | f
    return audited(at(minute), "pause", **given_)


def resume(minute: float, *, number: int = 9, **f: Any) -> AuditEntry:
    given_ = {"request_id": f"{number:016x}", "outcome": "done", "actor": "bob"} | f
    return audited(at(minute), "resume", **given_)


def standing(minute: float, for_minutes: float = 30, *, number: int = 1) -> PauseRecord:
    return PauseRecord(
        actor="alice",
        reason="deploy",
        request_id=f"{number:016x}",
        at=datetime.fromtimestamp(at(minute) / 1000, tz=UTC),
        for_ms=round(for_minutes * MIN_MS),
    )


def found(
    *audit: AuditEntry, stands: PauseRecord | None = None, now: float = 600, known: bool = True
) -> tuple[Pause, ...]:
    return pauses(operations_of(audit), stands, at(now), known=known)


# --- how each ended ---


def test_one_that_ran_out() -> None:
    (only,) = found(pause(0))
    assert (only.actor, only.reason, only.end) == ("alice", "deploy", PauseEnd.RAN_OUT)
    assert (only.from_ms, only.until_ms) == (at(0), at(30))


def test_one_that_was_resumed_says_by_whom() -> None:
    (only,) = found(resume(10, reason="well again"), pause(0))
    assert (only.end, only.until_ms) == (PauseEnd.RESUMED, at(10))
    assert (only.ended_by, only.ended_why) == ("bob", "well again")


def test_one_in_whose_place_another_was_put() -> None:
    first, second = found(pause(0), pause(20, number=2, actor="carol"))
    assert (first.end, first.until_ms, first.ended_by) == (PauseEnd.REPLACED, at(20), "carol")
    assert (second.end, second.until_ms) == (PauseEnd.RAN_OUT, at(50))


def test_a_resume_after_its_time_did_not_end_it() -> None:
    (only,) = found(pause(0), resume(45))
    assert (only.end, only.until_ms) == (PauseEnd.RAN_OUT, at(30))


@pytest.mark.parametrize("outcome", ["refused", "not_permitted", "unreachable"])
def test_what_was_never_asked_paused_nothing_and_ended_nothing(outcome: str) -> None:
    assert found(pause(0, outcome=outcome)) == ()
    (only,) = found(pause(0), resume(10, outcome=outcome))
    assert only.end is PauseEnd.RAN_OUT


def test_one_that_was_asked_for_and_whose_outcome_nobody_wrote_counts() -> None:
    (only,) = found(pause(0, outcome="begun"))
    assert only.end is PauseEnd.RAN_OUT


def test_one_that_stands() -> None:
    (only,) = found(pause(0), stands=standing(0), now=10)
    assert (only.end, only.until_ms) == (PauseEnd.STANDS, at(30))
    # Nodes count by their own clocks: it stands as long as it stands.
    (only,) = found(pause(0), stands=standing(0), now=40)
    assert (only.end, only.until_ms) == (PauseEnd.STANDS, at(30))


def test_one_that_stands_and_that_the_audit_does_not_have() -> None:
    (only,) = found(stands=standing(0), now=10)
    assert (only.actor, only.end, only.until_ms) == ("alice", PauseEnd.STANDS, at(30))


def test_one_that_somebody_took_away_by_hand_is_not_said_to_go_on() -> None:
    (only,) = found(pause(0), now=10)
    assert (only.end, only.until_ms) == (PauseEnd.UNKNOWN, None)
    # Where what is asked may not be seen, the audit's word is all there is.
    (only,) = found(pause(0), now=10, known=False)
    assert (only.end, only.until_ms) == (PauseEnd.STANDS, at(30))


def test_of_an_older_version_that_tells_no_length_the_end_is_not_made_up() -> None:
    (only,) = found(pause(0, None))
    assert (only.end, only.until_ms) == (PauseEnd.UNKNOWN, None)
    assert during((only,), at(-5), at(5)) == (only,)
    assert during((only,), at(200), at(205)) == ()


def test_every_end_reads_differently() -> None:
    told = [
        *found(pause(0)),
        *found(pause(0), resume(10)),
        *found(pause(0), pause(10, number=2, actor="bob"))[:1],
        *found(pause(0), stands=standing(0), now=10),
        *found(pause(0), now=10),
    ]
    assert {each.end for each in told} == set(PauseEnd)
    texts = {paused_words(each).plain for each in told}
    assert len(texts) == len(told)
    assert all("paused by alice" in text and "deploy" in text for text in texts)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 300), st.integers(1, 90)), max_size=6))
def test_no_pause_lasts_longer_than_it_was_asked_for_or_overlaps_the_next(
    told: list[tuple[bool, int, int]],
) -> None:
    audit = [
        resume(minute, number=i) if ends else pause(minute, length, number=i)
        for i, (ends, minute, length) in enumerate(told)
    ]
    lengths = {f"{i:016x}": length * MIN_MS for i, (_, _, length) in enumerate(told)}
    made = found(*audit)
    for each in made:
        assert each.until_ms is not None
        assert 0 <= each.until_ms - each.from_ms <= lengths[each.request_id]
    for one, other in pairwise(made):
        assert one.until_ms is not None
        assert one.until_ms <= other.from_ms


# --- the gaps ---


def a_gap(*, begin: float, end: float) -> list[KVEntry]:
    """core-1 leads, steps down at `begin`, and core-2 follows at `end`, in minutes."""
    first, second = Pen("core-1"), Pen("core-2")
    gap_ms = at(end) - at(begin)
    lost = partial(LostLeadership, reason=LostReason.STEPPED_DOWN)
    changed = partial(
        LeaderChanged,
        new_leader="core-2",
        previous_leader="core-1",
        cause=Cause.STEPPED_DOWN,
        gap_ms=gap_ms,
    )
    return [
        first.tell(at(0), BecameLeader, term=1),
        first.tell(at(begin), lost, term=1),
        second.tell(at(end), BecameLeader, term=2),
        second.tell(at(end), changed, term=2),
    ]


@pytest.mark.parametrize(
    ("asked", "explains"),
    [(pause(5), True), (pause(12, 10), True), (pause(45), False), (pause(0, 3), False)],
    ids=["before and into it", "within it", "after it", "over before it"],
)
def test_a_gap_says_which_pause_was_in_it(asked: AuditEntry, explains: bool) -> None:
    told = a_gap(begin=10, end=35)
    second, first = tenures(entries(*told), (asked,), None, found(asked))
    assert first.paused == ()
    assert [each.actor for each in second.paused] == (["alice"] if explains else [])
    of = History(
        election="x", at_ms=NOW_MS, journal=Seen.KNOWN, audit=Seen.KNOWN, tenures=(second, first)
    )
    text = "\n".join(lines(render_history(of), 200))
    assert ("paused by alice" in text) is explains


def test_a_leader_that_started_in_the_pause_does_not_hide_it() -> None:
    """It counts the gap from when it saw the vacancy; its predecessor told since when there is
    one."""
    asked = pause(5, 10)
    told = a_gap(begin=10, end=35)
    late = [
        KVEntry(each.key, each.value.replace(b'"gap_ms": 1500000', b'"gap_ms": 5')) for each in told
    ]
    assert late != told
    second, _ = tenures(entries(*late), (asked,), None, found(asked))
    assert len(second.paused) == 1


def test_nobody_leads_now_because_of_a_pause() -> None:
    told = a_gap(begin=10, end=35)[:2]
    key = LeaderStatus(condition=Condition.VACANT, node="core-1", term=1)
    paused = found(pause(5, 60), stands=standing(5, 60), now=20)
    made = tenures(entries(*told), (), key, paused)
    now = vacant(made, key, paused, at(20))
    assert now is not None
    assert (now.since_ms, [each.end for each in now.paused]) == (at(10), [PauseEnd.STANDS])
    of = History(
        election="x",
        at_ms=at(20),
        journal=Seen.KNOWN,
        audit=Seen.KNOWN,
        tenures=made,
        vacant=now,
    )
    text = "\n".join(lines(render_history(of), 200))
    assert "nobody" in text
    assert text.index("paused by alice") < text.index("core-1")


@pytest.mark.parametrize(
    "condition", [Condition.HELD, Condition.NOT_PERMITTED, Condition.UNREADABLE]
)
def test_unless_the_key_says_so_nobody_is_not_said_to_lead(condition: Condition) -> None:
    made = tenures(entries(*a_gap(begin=10, end=35)), ())
    assert vacant(made, LeaderStatus(condition=condition), (), NOW_MS) is None
    assert vacant((), LeaderStatus(condition=Condition.VACANT), (), NOW_MS) is None


def test_the_change_of_leader_says_it_among_the_events() -> None:
    told = entries(*a_gap(begin=10, end=35))
    paused = found(pause(5))
    by_event = {each.event.rpartition(".")[2]: paused_before(each, paused) for each in told}
    assert by_event == {
        "became_leader": (),
        "lost_leadership": (),
        "leader_changed": paused,
    }
    (change,) = (each for each in told if each.event == LeaderChanged.EVENT)
    assert "paused by alice" in "\n".join(lines(event_lines(change, 80, paused), 80))
    assert '"actor": "alice"' in as_json(change, paused)
    assert paused_before(change, found(pause(45))) == ()
