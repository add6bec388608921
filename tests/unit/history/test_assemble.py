"""The history, put together from journals with gaps, doubles, skewed clocks and nonsense."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journals import PATHS, START_MS, Pen, audited, entries

from coord.consul import KVEntry
from coord.election.reasons import Cause, LostReason, StepDownReason, SuspendReason, TakeoverOutcome
from coord.history import Gap, Note, Suspension, Tenure, Until, tenures
from coord.history.model import FORCED
from coord.operations import AuditEntry
from coord.status import Condition, LeaderStatus
from coord.telemetry import (
    BecameLeader,
    ChildRestarted,
    ElectionStarted,
    LeaderChanged,
    LeaderDown,
    LostLeadership,
    Resumed,
    StepDownRequested,
    Suspended,
    TakeoverAttempted,
)
from coord.telemetry.journal import decoded

HOUR_MS = 3_600_000
REQUEST = "0123456789abcdef"


def at(ms: int) -> int:
    return START_MS + ms


def changed(
    pen: Pen, ms: int, term: int, previous: str | None, cause: Cause, gap_ms: int = 14
) -> KVEntry:
    return pen.tell(
        at(ms),
        partial(LeaderChanged, new_leader=pen.node, cause=cause, previous_leader=previous),
        term=term,
        gap_ms=gap_ms,
        quarantine_ms=0,
        acquire_ms=gap_ms - 4,
        start_ms=4,
    )


def handed_over(first: Pen, second: Pen, third: Pen | None = None) -> list[KVEntry]:
    """`first` leads under term 1 for an hour, and hands over to `second`, which leads on."""
    told = [
        first.tell(at(0), partial(TakeoverAttempted, outcome=TakeoverOutcome.WON), term=1),
        first.tell(at(1), BecameLeader, term=1),
        changed(first, 5, 1, None, Cause.FIRST_START, gap_ms=3005),
        first.tell(
            at(HOUR_MS),
            partial(StepDownRequested, reason=StepDownReason.REQUESTED, actor="alice"),
            term=1,
        ),
        second.tell(
            at(HOUR_MS + 8), partial(TakeoverAttempted, outcome=TakeoverOutcome.WON), term=2
        ),
        second.tell(at(HOUR_MS + 9), BecameLeader, term=2),
        first.tell(
            at(HOUR_MS + 11), partial(LostLeadership, reason=LostReason.STEPPED_DOWN), term=1
        ),
        changed(second, HOUR_MS + 14, 2, first.node, Cause.STEPPED_DOWN),
    ]
    if third is not None:
        told.append(
            third.tell(
                at(HOUR_MS + 6),
                partial(LeaderDown, former_leader=first.node, cause=Cause.STEPPED_DOWN),
                term=1,
            )
        )
    return told


def leader(node: str, term: int, **fields: Any) -> LeaderStatus:
    given: dict[str, Any] = {"condition": Condition.HELD, "locked": True, "node": node}
    return LeaderStatus(**(given | {"term": term} | fields))


# --- the plain case ---


def test_a_handover_in_full() -> None:
    told = handed_over(Pen("core-1"), Pen("core-2"), Pen("core-3"))
    second, first = tenures(entries(*told), (), leader("core-2", 2))
    assert (first.term, first.node, first.from_ms, first.until_ms, first.until) == (
        1,
        "core-1",
        at(1),
        at(HOUR_MS + 11),
        Until.TOLD,
    )
    assert (first.cause, first.reason) == (Cause.STEPPED_DOWN, LostReason.STEPPED_DOWN)
    (asked,) = first.asked
    assert (asked.actor, asked.why, asked.obeyed, asked.outcome) == ("alice", "requested", True, "")
    assert first.gap == Gap(total_ms=3005, quarantine_ms=0, acquire_ms=3001, start_ms=4)
    assert (second.term, second.until, second.cause) == (2, Until.GOES_ON, None)
    assert second.gap == Gap(total_ms=14, quarantine_ms=0, acquire_ms=10, start_ms=4)
    assert second.previous == "core-1"
    assert (first.notes, second.notes) == ((), ())
    assert first.lasted_ms(0) == HOUR_MS + 10
    assert second.lasted_ms(at(2 * HOUR_MS + 9)) == HOUR_MS


def test_the_audit_says_who_asked_and_what_came_of_it() -> None:
    told = handed_over(Pen("core-1"), Pen("core-2"))
    # As the leader tells it, with the id of the operation.
    body = told[3].value.replace(b'"term"', f'"request_id": "{REQUEST}", "term"'.encode())
    told[3] = replace(told[3], value=body)
    audit = [
        audited(at(HOUR_MS - 50), "transfer", node="core-1", to="core-2", outcome="done"),
        audited(at(5), "step_down", request_id="f" * 16, node="core-1", expected_term=9),
    ]
    _, first = tenures(entries(*told), audit)
    (asked,) = first.asked
    assert (asked.operation, asked.actor, asked.reason, asked.outcome, asked.obeyed) == (
        "transfer",
        "alice",
        "deploy",
        "done",
        True,
    )


def test_of_a_leader_that_tells_no_id_who_asked_in_that_term_is_enough() -> None:
    told = handed_over(Pen("core-1"), Pen("core-2"))
    audit = [
        audited(at(HOUR_MS), "step_down", node="core-1", expected_term=1, outcome="done"),
        audited(at(HOUR_MS), "step_down", node="core-1", expected_term=2, request_id="e" * 16),
    ]
    _, first = tenures(entries(*told), audit)
    (asked,) = first.asked
    assert (asked.operation, asked.why, asked.request_id) == ("step_down", "requested", REQUEST)


def test_the_term_of_who_is_gone_says_whose_end_was_seen() -> None:
    pen = Pen("core-1")
    down = partial(LeaderDown, former_leader="core-1", cause=Cause.SESSION_INVALIDATED, term=3)
    told = [
        pen.tell(at(0), BecameLeader, term=1),
        pen.tell(at(HOUR_MS), BecameLeader, term=3),
        Pen("core-2").tell(at(2 * HOUR_MS), down),
    ]
    third, first = tenures(entries(*told), ())
    assert (third.until, third.until_ms) == (Until.SEEN, at(2 * HOUR_MS))
    assert (first.until, first.cause) == (Until.UNKNOWN, None)
    nameless = [replace(e, value=e.value.replace(b'"term": 3', b'"term": null')) for e in told[2:]]
    third, first = tenures(entries(*told[:2], *nameless), ())
    assert (third.until, first.until) == (Until.UNKNOWN, Until.UNKNOWN)


def test_what_the_leader_did_not_tell_is_known_from_the_audit_by_its_term() -> None:
    audit = [
        audited(
            at(HOUR_MS),
            "force_release",
            node="core-1",
            expected_term=1,
            outcome="done",
            new_leader="core-2",
            new_term=2,
            gap_ms=3100,
        ),
        audited(at(HOUR_MS), "force_release", node="core-9", expected_term=1, request_id="a" * 16),
        audited(at(HOUR_MS), "pause", node="core-1", expected_term=1, request_id="b" * 16),
    ]
    told = [Pen("core-1").tell(at(1), BecameLeader, term=1)]
    told += [Pen("core-2").tell(at(HOUR_MS + 3000), BecameLeader, term=2)]
    second, first = tenures(entries(*told), audit)
    (asked,) = first.asked
    assert (asked.operation, asked.obeyed, asked.outcome) == ("force_release", False, "done")
    assert second.gap == Gap(total_ms=3100)


def test_suspensions_and_restarts_are_counted() -> None:
    pen = Pen("core-1")
    suspended = partial(Suspended, reason=SuspendReason.LEASE_EXPIRED)
    told = [
        pen.tell(at(1), BecameLeader, term=1),
        pen.tell(at(5), suspended, term=1),
        pen.tell(at(9), partial(Resumed, suspended_ms=4000), term=1),
        pen.tell(at(10), suspended, term=1),
        pen.tell(at(11), partial(ChildRestarted, child="pulse"), term=1),
    ]
    (only,) = tenures(entries(*told), (), leader("core-1", 1))
    assert (only.suspensions, only.suspended_ms, only.restarts) == (2, 4000, 1)
    assert only.unresumed == Suspension(since_ms=at(10))


def test_a_suspension_that_ended_in_loss_has_its_real_length() -> None:
    pen = Pen("core-1", skew_ms=90_000)
    suspended = partial(Suspended, reason=SuspendReason.CONSUL_UNREACHABLE)
    lost = partial(LostLeadership, reason=LostReason.SUSPENDED_TOO_LONG)
    told = [
        pen.tell(at(1), BecameLeader, term=1),
        pen.tell(at(HOUR_MS), suspended, term=1),
        pen.tell(at(HOUR_MS + 60_000), lost, term=1),
    ]
    (only,) = tenures(entries(*told), ())
    assert (only.suspensions, only.suspended_ms) == (1, 0)
    assert only.unresumed == Suspension(since_ms=at(HOUR_MS + 90_000), lasted_ms=60_000)
    # One that was killed meanwhile never told how long it was.
    (only,) = tenures(entries(*told[:2]), ())
    assert only.unresumed == Suspension(since_ms=at(HOUR_MS + 90_000))


# --- ends that an operator forced ---


def forced(**fields: Any) -> AuditEntry:
    given: dict[str, Any] = {"node": "core-1", "expected_term": 1, "outcome": "done"}
    return audited(at(HOUR_MS), "force_release", **(given | fields))


@pytest.mark.parametrize("cause", [Cause.RELEASED_BY_HAND, Cause.SESSION_INVALIDATED])
def test_an_end_that_the_audit_knows_an_operator_forced_is_called_so(cause: Cause) -> None:
    _, first = tenures(entries(*killed(cause=cause)), (forced(actor="bob", reason="it hangs"),))
    assert (first.ended, first.cause) == (FORCED, cause)
    (asked,) = first.asked
    assert (asked.operation, asked.actor, asked.reason) == ("force_release", "bob", "it hangs")


@pytest.mark.parametrize(
    "other",
    [
        {"expected_term": 2},
        {"node": "core-9"},
        {"outcome": "not_permitted"},
        {"outcome": "superseded"},
        {"outcome": "not_answered"},
        {"operation": "step_down"},
    ],
)
def test_a_session_that_went_by_itself_was_not_forced(other: dict[str, Any]) -> None:
    record = forced().record
    assert record is not None
    entry = AuditEntry(key="k", record=record.model_copy(update=other))
    _, first = tenures(entries(*killed()), (entry,))
    assert first.ended == "session_invalidated"


def test_who_saw_it_forced_is_believed_whatever_the_operator_waited_for() -> None:
    for outcome in ("begun", "interrupted", "unknown"):
        audit = (forced(outcome=outcome),)
        by_hand = tenures(entries(*killed(cause=Cause.RELEASED_BY_HAND)), audit)[1]
        by_itself = tenures(entries(*killed()), audit)[1]
        assert (by_hand.ended, by_itself.ended) == (FORCED, "session_invalidated")
    without = tenures(entries(*killed(cause=Cause.RELEASED_BY_HAND)), ())[1]
    assert without.ended == "released_by_hand"


def test_a_leader_that_stepped_down_cleanly_was_not_forced() -> None:
    told = handed_over(Pen("core-1"), Pen("core-2"))
    assert tenures(entries(*told), (forced(),))[1].ended == "stepped_down"


def test_a_leader_that_leads_on_was_not_forced() -> None:
    told = killed()[:1]
    (only,) = tenures(entries(*told), (forced(),), leader("core-1", 1))
    assert only.ended == ""
    vacant = {"condition": Condition.VACANT, "locked": False, "vanished": True}
    (only,) = tenures(entries(*told), (forced(),), leader("core-1", 1, **vacant))
    assert only.ended == FORCED


# --- ends that the leader did not tell ---


def killed(
    *, late_ms: int | None = None, cause: Cause = Cause.SESSION_INVALIDATED
) -> list[KVEntry]:
    first, second, third = Pen("core-1"), Pen("core-2"), Pen("core-3")
    told = [
        first.tell(at(0), BecameLeader, term=1),
        third.tell(
            at(HOUR_MS + 2), partial(LeaderDown, former_leader="core-1", cause=cause), term=1
        ),
        second.tell(at(HOUR_MS + 3005), BecameLeader, term=2),
        changed(second, HOUR_MS + 3010, 2, "core-1", cause, gap_ms=3005),
    ]
    if late_ms is not None:
        lost = partial(LostLeadership, reason=LostReason.ANOTHER_HOLDER)
        told.append(first.tell(at(HOUR_MS + 3005 + late_ms), lost, term=1))
    return told


def test_of_a_killed_leader_others_saw_the_end() -> None:
    _, first = tenures(entries(*killed()), ())
    assert (first.until, first.until_ms) == (Until.SEEN, at(HOUR_MS + 5))
    assert (first.cause, first.reason) == (Cause.SESSION_INVALIDATED, None)


@pytest.mark.parametrize(
    ("detect_ms", "cause", "at_least"),
    [
        (None, Cause.SESSION_INVALIDATED, True),
        (None, Cause.UNKNOWN, True),
        (2000, Cause.SESSION_INVALIDATED, False),
        (None, Cause.HANDED_OVER, False),
        (None, Cause.FIRST_START, False),
    ],
)
def test_a_gap_is_a_least_where_nobody_saw_the_leader_vanish(
    detect_ms: int | None, cause: Cause, at_least: bool
) -> None:
    told = killed(cause=cause)
    if detect_ms is not None:
        detected = f'"detect_ms": {detect_ms}, "gap_ms"'.encode()
        told[-1] = KVEntry(told[-1].key, told[-1].value.replace(b'"gap_ms"', detected))
    second, _ = tenures(entries(*told), ())
    assert second.gap is not None
    assert (second.gap.detect_ms, second.gap.at_least) == (detect_ms, at_least)


def test_a_frozen_leader_that_wakes_late_is_not_said_to_have_led_beside_the_next() -> None:
    second, first = tenures(entries(*killed(late_ms=60_000)), ())
    assert (first.until, first.until_ms) == (Until.SEEN, at(HOUR_MS + 5))
    assert Note.NOTICED_LATE in first.notes
    assert first.reason is LostReason.ANOTHER_HOLDER
    assert second.from_ms is not None
    assert second.from_ms >= (first.until_ms or 0)


def test_without_the_next_leaders_word_those_of_the_others_count() -> None:
    told = [entry for entry in killed() if b"leader_changed" not in entry.value]
    _, first = tenures(entries(*told), ())
    assert (first.until, first.until_ms, first.cause) == (
        Until.SEEN,
        at(HOUR_MS + 2),
        Cause.SESSION_INVALIDATED,
    )


def test_an_end_that_nobody_told_is_not_known() -> None:
    told = [entry for entry in killed() if b"became_leader" in entry.value]
    second, first = tenures(entries(*told), ())
    assert (first.until, first.until_ms, first.cause_told) == (Until.UNKNOWN, None, "")
    assert Note.END_NOT_TOLD in first.notes
    assert (second.until, second.notes) == (Until.UNKNOWN, ())


def test_clocks_that_contradict_each_other_are_said_to_and_a_moment_is_not() -> None:
    for skew_ms, noted in ((100, False), (90_000, True)):
        told = handed_over(Pen("core-1", skew_ms=skew_ms), Pen("core-2"))
        second, first = tenures(entries(*told), ())
        assert (first.term, second.term) == (1, 2)
        assert (Note.CLOCKS_DIFFER in first.notes) is noted
        assert first.until_ms == at(HOUR_MS + 11 + skew_ms)


# --- journals with holes ---


def test_a_term_that_nobody_told_of_is_counted_and_lends_no_cause() -> None:
    told = handed_over(Pen("core-1"), Pen("core-2"))
    told = [entry for entry in told if b"lost_leadership" not in entry.value]
    later = changed(Pen("core-3"), 2 * HOUR_MS, 7, "core-2", Cause.FAILED)
    third, second, _ = tenures(entries(*told, later), ())
    assert (third.missing_before, second.missing_before) == (4, 0)
    assert (second.cause_told, second.until) == ("", Until.UNKNOWN)


def test_a_term_that_was_given_back_at_once_is_no_tenure_and_not_missing() -> None:
    told = handed_over(Pen("core-1"), Pen("core-2"))
    abandoned = partial(TakeoverAttempted, outcome=TakeoverOutcome.ABANDONED)
    told.append(Pen("core-3").tell(at(2 * HOUR_MS), abandoned, term=3))
    told.append(Pen("core-1").tell(at(2 * HOUR_MS + 20), BecameLeader, term=4))
    found = tenures(entries(*told), ())
    assert [(each.term, each.missing_before) for each in found] == [(4, 0), (2, 0), (1, 0)]


def test_attempts_that_failed_are_no_tenures() -> None:
    told = handed_over(Pen("core-1"), Pen("core-2"))
    for outcome in set(TakeoverOutcome) - {TakeoverOutcome.WON, TakeoverOutcome.ADOPTED}:
        told.append(Pen("core-3").tell(at(5), partial(TakeoverAttempted, outcome=outcome), term=9))
    assert [each.term for each in tenures(entries(*told), ())] == [2, 1]


def test_a_tenure_whose_beginning_is_gone() -> None:
    told = [
        entry
        for entry in handed_over(Pen("core-1"), Pen("core-2"))
        if b'"term": 2' in entry.value or b"lost_leadership" in entry.value
    ]
    _, first = tenures(entries(*told), ())
    assert (first.from_ms, first.until, first.lasted_ms(0)) == (None, Until.TOLD, None)
    assert first.notes == (Note.BEGIN_NOT_TOLD,)


def test_a_leader_known_from_its_work_alone_began_before_it() -> None:
    told = [changed(Pen("core-2"), 14, 2, "core-1", Cause.HANDED_OVER)]
    (only,) = tenures(entries(*told), ())
    assert (only.from_ms, only.notes) == (at(10), ())


def test_a_restart_is_no_new_tenure_of_the_old_term() -> None:
    told = handed_over(Pen("core-1"), Pen("core-2", start="ffffffff"))
    told.append(Pen("core-1", start="aaaaaaaa").tell(at(2 * HOUR_MS), BecameLeader, term=3))
    assert [each.node for each in tenures(entries(*told), ())] == ["core-1", "core-2", "core-1"]


def test_terms_that_begin_anew_after_a_restore_come_after_those_before_it() -> None:
    pens = Pen("core-1"), Pen("core-2")
    told = handed_over(*pens)
    told.append(
        pens[1].tell(at(2 * HOUR_MS), partial(LostLeadership, reason=LostReason.RESTORED), term=2)
    )
    told.append(pens[1].tell(at(2 * HOUR_MS + 9), BecameLeader, term=2))
    told.append(changed(pens[1], 2 * HOUR_MS + 14, 2, "core-2", Cause.RESTORED))
    again, second, first = tenures(entries(*told), (), leader("core-2", 2))
    assert [each.term for each in (again, second, first)] == [2, 2, 1]
    assert Note.TERM_REPEATED in again.notes
    assert (again.until, second.until, second.cause) == (
        Until.GOES_ON,
        Until.TOLD,
        Cause.RESTORED,
    )


# --- the present ---


def test_a_leader_that_the_journal_has_nothing_of_is_there() -> None:
    told = handed_over(Pen("core-1"), Pen("core-2"))
    since = datetime.fromtimestamp(at(9 * HOUR_MS) / 1000, tz=UTC)
    newest, second, _ = tenures(entries(*told), (), leader("core-9", 5, since=since))
    assert (newest.node, newest.term, newest.from_ms, newest.until) == (
        "core-9",
        5,
        at(9 * HOUR_MS),
        Until.GOES_ON,
    )
    assert newest.notes == (Note.NOT_IN_JOURNAL,)
    assert newest.missing_before == 2
    assert (second.until, second.notes) == (Until.UNKNOWN, (Note.END_NOT_TOLD,))
    assert tenures((), (), leader("core-9", 5))[0].until is Until.GOES_ON


def test_of_a_vacancy_the_record_says_how_the_last_one_ended() -> None:
    told = handed_over(Pen("core-1"), Pen("core-2"))
    vacant = {"condition": Condition.VACANT, "locked": False}
    since = datetime.fromtimestamp(at(2 * HOUR_MS) / 1000, tz=UTC)
    record = leader("core-2", 2, **vacant, why="handed_over", since=since)
    last = tenures(entries(*told), (), record)[0]
    assert (last.cause, last.until, last.until_ms) == (
        Cause.HANDED_OVER,
        Until.SEEN,
        at(2 * HOUR_MS),
    )
    record = leader("core-2", 2, **vacant, vanished=True)
    last = tenures(entries(*told), (), record)[0]
    assert (last.cause, last.until) == (Cause.SESSION_INVALIDATED, Until.UNKNOWN)
    assert Note.END_NOT_TOLD in last.notes


# --- anything at all ---


@dataclass(frozen=True)
class True_:  # noqa: N801
    """What truly was, of one tenure."""

    term: int
    node: str
    from_ms: int
    until_ms: int
    clean: bool


def a_history(seed: int, skew_ms: int) -> tuple[list[True_], list[KVEntry]]:
    """A history of some nodes with clocks of their own, and all that they tell of it."""
    rng = random.Random(seed)
    pens = [Pen(f"core-{i}", skew_ms=rng.randint(-skew_ms, skew_ms)) for i in range(1, 4)]
    truth: list[True_] = []
    told: list[KVEntry] = []
    now = at(0)
    for term in range(1, rng.randint(2, 12)):
        pen = rng.choice(pens)
        before = truth[-1] if truth else None
        cause = Cause.FIRST_START
        gap_ms = 3_000
        if before is not None:
            gap_ms = 12 if before.clean else 3_100
            cause = Cause.STEPPED_DOWN if before.clean else Cause.SESSION_INVALIDATED
            for other in pens:
                if other.node != before.node:
                    down = partial(LeaderDown, former_leader=before.node, cause=cause)
                    told.append(other.tell(now + rng.randint(1, 10), down, term=before.term))
            told.append(pen.tell(now + 1, partial(ElectionStarted, cause=cause)))
        began = now + gap_ms - 4
        told.append(pen.tell(began, BecameLeader, term=term))
        told.append(
            pen.tell(
                now + gap_ms,
                partial(LeaderChanged, new_leader=pen.node, cause=cause),
                term=term,
                previous_leader=before.node if before else None,
                gap_ms=gap_ms,
                start_ms=4,
            )
        )
        now += gap_ms + rng.randint(60_000, HOUR_MS)
        clean = rng.random() < 0.5
        if clean:
            lost = partial(LostLeadership, reason=LostReason.STEPPED_DOWN)
            told.append(pen.tell(now, lost, term=term))
        truth.append(True_(term, pen.node, began + pen.skew_ms, now, clean))
    rng.shuffle(told)
    return truth, told


@given(st.integers(0, 10**6), st.sampled_from([0, 500, 30_000]))
def test_whatever_the_clocks_all_that_was_told_is_found(seed: int, skew_ms: int) -> None:
    truth, told = a_history(seed, skew_ms)
    found = tenures(decoded(PATHS, told + told), ())
    assert [(each.term, each.node, each.from_ms) for each in reversed(found)] == [
        (each.term, each.node, each.from_ms) for each in truth
    ]
    for made, true in zip(list(reversed(found))[:-1], truth[:-1], strict=True):
        cause = Cause.STEPPED_DOWN if true.clean else Cause.SESSION_INVALIDATED
        assert made.cause is cause
        assert made.until is (Until.TOLD if true.clean else Until.SEEN)
        assert made.until_ms is not None
        assert abs(made.until_ms - true.until_ms) <= skew_ms
        assert made.missing_before == 0


@given(st.integers(0, 10**6), st.sampled_from([0, 30_000]), st.data())
def test_what_is_left_of_a_journal_tells_nothing_that_was_not(
    seed: int, skew_ms: int, data: st.DataObject
) -> None:
    truth, told = a_history(seed, skew_ms)
    kept = data.draw(st.lists(st.sampled_from(told), unique_by=lambda entry: entry.key))
    found = tenures(decoded(PATHS, kept), ())
    by_term = {true.term: true for true in truth}
    terms = [each.term for each in found]
    assert terms == sorted(set(terms), reverse=True)
    for made in found:
        true = by_term[made.term]
        assert made.node == true.node
        assert made.from_ms in (None, true.from_ms)
        if made.from_ms is None:
            assert Note.BEGIN_NOT_TOLD in made.notes
        if made.cause is not None:
            cause = Cause.STEPPED_DOWN if true.clean else Cause.SESSION_INVALIDATED
            assert made.cause is cause
        if skew_ms == 0 and made.until_ms is not None:
            assert abs(made.until_ms - true.until_ms) <= 10


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just("\x1b[2J")
)
NAMES = st.sampled_from(
    ["became_leader", "lost_leadership", "leader_changed", "leader_down", "resumed", "suspended",
     "step_down_requested", "takeover_attempted", "child_restarted", "moon"]
)  # fmt: skip
BODIES = st.fixed_dictionaries(
    {"event": NAMES.map(lambda name: f"serviceradar.coordinator.{name}")},
    optional={
        name: st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.sampled_from(["core-1", 1, 2]))
        for name in (
            "term", "node", "at_ms", "reason", "cause", "new_leader", "previous_leader", "outcome",
            "former_leader", "gap_ms", "start_ms", "suspended_ms", "actor", "request_id", "detail",
        )
    },
)  # fmt: skip


@given(st.lists(st.one_of(BODIES, st.binary(max_size=20)), max_size=12))
def test_nothing_in_the_journal_breaks_it(bodies: list[Any]) -> None:
    import json

    keys = [
        KVEntry(
            f"{PATHS.journal}{START_MS + i:013d}-core-1-00000000-{i:08d}" if i % 3 else f"odd/{i}",
            body if isinstance(body, bytes) else json.dumps(body).encode(),
        )
        for i, body in enumerate(bodies)
    ]
    for made in tenures(decoded(PATHS, keys), (), leader("core-1", 1)):
        assert isinstance(made, Tenure)
        assert made.lasted_ms(START_MS) is None or made.lasted_ms(START_MS) >= 0  # type: ignore[operator]


@pytest.mark.parametrize("why", ["moon_phase", ""])
def test_words_of_a_newer_version_are_kept(why: str) -> None:
    told = [entry for entry in handed_over(Pen("core-1"), Pen("core-2"))]
    told = [replace(e, value=e.value.replace(b'"stepped_down"', f'"{why}"'.encode())) for e in told]
    _, first = tenures(entries(*told), ())
    assert (first.cause, first.cause_told) == (None, why)
    assert (first.reason, first.reason_told) == (None, why)
