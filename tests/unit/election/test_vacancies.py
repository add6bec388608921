"""What a vacancy is, how long it is left alone, and which term follows."""

from __future__ import annotations

from typing import Any

import pytest
from election_bench import MINE, OTHER, TERM, Bench, handed_over, held, vacant

from coord.election import commands as cmd
from coord.election import events as ev
from coord.election.reasons import Cause, WhyNot
from coord.election.states import State
from coord.election.terms import MAX_TERM
from coord.election.timing import Timing

FIRST = ev.KeyView(
    leader_index=9, readable=True, record_vacant=True, record_term=0, record_why="first_start"
)
"""What the first node of all creates."""

QUARANTINE_S = 3.0
"""lock_delay + takeover_delay of the defaults."""


def seen_at_start(view: ev.KeyView) -> Bench:
    """The first that a node ever sees."""
    bench = Bench().join()
    bench.observe(view)
    return bench


def waits(bench: Bench) -> float:
    """How long the vacancy that it sees is left alone from now on, in seconds."""
    assert bench.state is State.WAITING
    begun = bench.now
    while not bench.ever(cmd.Acquire):
        wake_at = bench.election.wake_at
        assert wake_at is not None
        bench.wait_until(max(wake_at, bench.now))
        if bench.get(cmd.Observe) and bench.state is State.WAITING:
            assert bench.election.lookout.view is not None
            bench.observe(bench.election.lookout.view)
    return bench.now - begun


def test_a_vacancy_that_was_handed_over_is_taken_at_once() -> None:
    bench = Bench().standby()
    bench.tell(ev.Watched(handed_over(61)))
    asked = bench.one(cmd.Acquire)
    assert (asked.leader_index, asked.term_index, asked.term) == (61, 40, TERM + 1)


@pytest.mark.parametrize(
    "view",
    [
        vacant(),
        vacant(record_vacant=True, record_why="died", lock_index=0),
        handed_over(record_term=TERM - 1),
        handed_over(term=TERM + 1),
        handed_over(term=None, record_term=TERM),
        vacant(readable=False),
        handed_over(record_term=None, term=None),
    ],
    ids=[
        "nothing said",
        "a foreign edit zeroed its LockIndex",
        "record of an older term",
        "a term was taken since",
        "no term key",
        "unreadable",
        "no terms at all",
    ],
)
def test_a_vacancy_of_which_nothing_certain_is_said_is_quarantined(view: ev.KeyView) -> None:
    bench = seen_at_start(view)
    assert bench.election.why_not(bench.now) is WhyNot.LOCK_DELAY
    assert bench.election.waits_until == bench.now + QUARANTINE_S
    assert waits(bench) == pytest.approx(QUARANTINE_S)


def test_a_first_start_is_quarantined_like_a_deleted_prefix() -> None:
    bench = seen_at_start(ev.KeyView(leader_index=0))
    assert bench.one(cmd.CreateLeaderKey).why is Cause.FIRST_START
    bench.now += 0.5
    bench.observe(FIRST)
    assert waits(bench) == pytest.approx(QUARANTINE_S), "from when the created key was seen"
    assert bench.election.lookout.vacancy is not None
    assert bench.election.lookout.vacancy.cause is Cause.FIRST_START


@pytest.mark.parametrize("term", [TERM, None], ids=["key", "prefix"])
def test_a_deleted_key_is_created_anew_and_quarantined(term: int | None) -> None:
    bench = Bench().standby()
    bench.look(ev.KeyView(leader_index=0, term=term, term_index=40 if term else 0))
    assert bench.one(cmd.CreateLeaderKey).why is Cause.DELETED
    bench.observe(vacant(70, record_vacant=True, record_why="deleted", record_term=0, term=term))
    assert waits(bench) == pytest.approx(QUARANTINE_S)


def test_a_key_that_cannot_be_created_is_not_tried_for_without_a_pause() -> None:
    bench = seen_at_start(ev.KeyView(leader_index=0))
    for _ in range(20):
        bench.wait(0.1)
        if bench.election._reads.under_way:
            bench.observe(ev.KeyView(leader_index=0))
    assert 2 <= len(bench.ever(cmd.CreateLeaderKey)) <= 4


def test_a_record_that_cannot_be_read_on_a_key_with_a_session_is_held() -> None:
    bench = seen_at_start(held(readable=False, record_node="", record_term=None))
    assert bench.state is State.STANDBY
    assert bench.election.why_not(bench.now) is WhyNot.HELD_BY_OTHER
    assert bench.one(cmd.LeaderSeen).leader == ""
    bench.look(held(51))
    assert bench.one(cmd.LeaderSeen).leader == OTHER
    bench.look(held(52))
    assert bench.get(cmd.LeaderSeen) == []


def test_a_held_key_whose_record_names_nobody_is_told_of_once() -> None:
    """An operator wrote a vacant record over a leader's: it is readable, and says no name."""

    def nameless(index: int) -> ev.KeyView:
        return held(index, record_vacant=True, record_node="", record_term=0)

    bench = seen_at_start(nameless(50))
    assert bench.one(cmd.LeaderSeen).leader == ""
    bench.look(nameless(51))
    assert bench.get(cmd.LeaderSeen) == []
    bench.look(held(52))
    assert bench.one(cmd.LeaderSeen).leader == OTHER


def test_a_record_of_the_term_before_names_nobody() -> None:
    """An operator put it back just when another had won (found by the simulation)."""
    bench = seen_at_start(held(50, record_term=4, term=5))
    seen = bench.one(cmd.LeaderSeen)
    assert (seen.leader, seen.term) == ("", None)
    bench.look(held(51, record_term=5, term=5))
    assert bench.one(cmd.LeaderSeen).leader == OTHER


def test_any_change_of_the_vacancy_starts_the_wait_anew() -> None:
    bench = Bench().waiting(vacant(60))
    bench.observe(vacant(60), bench.now)
    bench.wait(2.0)
    bench.tell(ev.Watched(vacant(61)))
    assert waits(bench) == pytest.approx(QUARANTINE_S)


def test_losing_contact_does_not_start_the_wait_anew_but_forbids_an_attempt() -> None:
    bench = Bench().waiting(vacant(60))
    seen_at = bench.now
    bench.look(vacant(60))
    bench.wait(1.0)
    bench.tell(ev.Watched(vacant(59)))
    bench.fail_read(WhyNot.NO_CONSUL_LEADER)
    bench.wait(QUARANTINE_S)
    assert bench.state is State.WAITING
    assert bench.election.why_not(bench.now) is WhyNot.NO_CONSUL_LEADER
    assert bench.now > seen_at + QUARANTINE_S
    bench.look(vacant(60))
    assert bench.state is State.ACQUIRING


@pytest.mark.parametrize("where", ["record", "term key", "seen before", "catalog"])
def test_a_predecessor_that_stops_later_is_waited_for(where: str) -> None:
    """10 s of its clock may be 11.1 s of ours."""
    nothing: dict[str, Any] = {"record_fenced_within": None, "term_fenced_within": None}
    bench = Bench().join()
    if where == "seen before":
        bench.observe(held(record_fenced_within=10.0))
        bench.look(vacant(**nothing))
    else:
        bench.observe(
            vacant(
                record_fenced_within={"record": 10.0}.get(where),
                term_fenced_within={"term key": 10.0}.get(where),
            )
        )
    if where == "catalog":
        bench.now += 1.0
        bench.tell(ev.OthersSeen((), 10.0))
        assert waits(bench) == pytest.approx(11.1 - 1.0)
    else:
        assert waits(bench) == pytest.approx(11.1)


def test_the_catalog_does_not_count_where_the_record_says_or_it_was_handed_over() -> None:
    bench = Bench().waiting(vacant())
    bench.tell(ev.OthersSeen((), 100.0))
    assert waits(bench) == pytest.approx(QUARANTINE_S)
    bench = Bench().standby()
    bench.tell(ev.OthersSeen((), 100.0))
    bench.tell(ev.Watched(handed_over()))
    assert bench.state is State.ACQUIRING


def test_a_predecessor_that_stops_sooner_shortens_nothing() -> None:
    assert Timing().quarantine(0.1) == QUARANTINE_S


def test_takeover_delay_is_used() -> None:
    bench = Bench(Timing(takeover_delay=2.0)).waiting()
    assert waits(bench) == pytest.approx(4.0)


# -- Consul went back ------------------------------------------------------------------------


def test_after_a_restore_no_vacancy_is_believed_to_be_handed_over() -> None:
    bench = Bench().standby()
    bench.look(handed_over(45))
    assert bench.state is State.WAITING
    assert bench.election.lookout.restored
    for _ in range(2):
        vacancy = bench.election.lookout.vacancy
        assert vacancy is not None
        assert vacancy.cause is Cause.RESTORED
        assert not vacancy.handed_over
        bench.look(handed_over(45))
    assert not bench.election.lookout.restored


def test_a_restore_that_only_the_term_key_shows_counts_too() -> None:
    bench = Bench().standby()
    bench.look(handed_over(90, term_index=39))
    assert bench.election.lookout.vacancy is not None
    assert bench.election.lookout.vacancy.cause is Cause.RESTORED
    bench.look(handed_over(90, term_index=39))
    assert bench.election.lookout.vacancy.quarantine == QUARANTINE_S
    bench.look(handed_over(91, term_index=39))
    assert bench.election.lookout.vacancy.handed_over, "written after the restore"


def test_the_same_index_after_a_restore_is_another_vacancy() -> None:
    bench = Bench().waiting(vacant(60))
    bench.look(vacant(60))
    bench.wait(2.0)
    bench.tell(ev.Watched(vacant(58)))
    bench.observe(vacant(60, term_index=20))
    assert bench.election.lookout.vacancy is not None
    assert bench.election.lookout.vacancy.seen_at == bench.now


def test_distrust_ends_when_a_leader_from_before_the_restore_must_have_stopped() -> None:
    bench = Bench().standby()
    bench.look(handed_over(45))
    bench.look(held(leader_index=46))
    bench.wait(QUARANTINE_S)
    bench.look(handed_over(47))
    vacancy = bench.election.lookout.vacancy
    assert vacancy is not None
    assert vacancy.index < 60, "an index of before the restore"
    assert vacancy.handed_over


def test_a_vacancy_seen_at_the_restore_is_not_believed_later() -> None:
    bench = Bench().standby()
    bench.look(handed_over(45))
    bench.now += QUARANTINE_S
    bench.look(handed_over(45))
    vacancy = bench.election.lookout.vacancy
    assert vacancy is not None
    assert not vacancy.handed_over


# -- the term never goes back ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (handed_over(), TERM + 1),
        (vacant(term=2), TERM + 1),
        (vacant(term=9, record_term=TERM), 10),
        (vacant(60, term=None, term_index=0), 61),
        (vacant(60, term=None, term_index=0, record_term=99), 100),
        (vacant(60, term=None, term_index=44), 61),
        (vacant(60, term=MAX_TERM), 61),
        (vacant(60, record_term=MAX_TERM), 61),
        (vacant(60, record_term=MAX_TERM, term=99), 100),
    ],
    ids=[
        "next",
        "key set back",
        "record behind",
        "key gone",
        "key gone, record high",
        "nonsense",
        "key at the limit",
        "record at the limit",
        "record at the limit, key sound",
    ],
)
def test_the_next_term_is_higher_than_any_that_may_have_been(
    view: ev.KeyView, expected: int
) -> None:
    assert seen_at_start(view).election.lookout.next_term() == expected


def test_a_term_that_was_seen_is_never_forgotten() -> None:
    bench = Bench().join()
    bench.observe(held(term=900, record_term=900))
    bench.look(vacant(20, term=3, term_index=10, record_term=3))
    assert bench.election.lookout.next_term() == 901


# -- the watch, which proves nothing -----------------------------------------------------------


def test_the_watch_is_believed_only_when_it_is_newer() -> None:
    bench = Bench().standby()
    assert bench.tell(ev.Watched(vacant(50)))
    assert bench.state is State.STANDBY
    assert bench.get(cmd.Observe), "what is not believed is looked at properly"
    bench.tell(ev.Watched(vacant(51)))
    assert bench.state is State.WAITING


def test_the_watch_before_the_first_look_is_not_believed() -> None:
    bench = Bench().join()
    bench.tell(ev.Watched(handed_over()))
    assert bench.election.lookout.view is None


def test_a_read_that_was_sent_before_the_watch_told_more_is_not_believed() -> None:
    bench = Bench().standby()
    bench.wait(bench.timing.election_interval)
    sent_at = bench.now
    bench.now += 0.1
    bench.tell(ev.Watched(vacant(70)))
    bench.observe(held(50), sent_at)
    assert bench.state is State.WAITING
    assert bench.get(cmd.Observe)


def test_a_vacancy_of_which_the_watch_shows_too_little_is_looked_at_at_once() -> None:
    """The watch sees the record, not the term key: a term may have been taken in between."""
    bench = Bench().standby()
    bench.tell(ev.Watched(handed_over(70, record_term=TERM + 1)))
    assert bench.state is State.WAITING
    bench.observe(handed_over(70, record_term=TERM + 1, term=TERM + 1, term_index=69), bench.now)
    assert bench.state is State.ACQUIRING


# -- what is told ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "cause"),
    [
        (vacant(), Cause.SESSION_INVALIDATED),
        (vacant(readable=False), Cause.UNREADABLE),
        (handed_over(record_why="died"), Cause.DIED),
        (handed_over(record_why=""), Cause.HANDED_OVER),
        (handed_over(record_why="from a newer version"), Cause.HANDED_OVER),
        (handed_over(lock_index=0), Cause.UNKNOWN),
        (handed_over(lock_index=0, record_why="deleted"), Cause.DELETED),
        (ev.KeyView(leader_index=0), Cause.DELETED),
    ],
)
def test_why_there_is_no_leader_is_told(view: ev.KeyView, cause: Cause) -> None:
    bench = Bench().standby()
    bench.look(view)
    assert bench.one(cmd.LeaderGone) == cmd.LeaderGone(OTHER, cause, TERM)
    assert bench.get(cmd.ElectionBegun)
    bench.look(held(99, session="third", record_node="third"))
    seen = bench.one(cmd.LeaderSeen)
    assert (seen.previous, seen.leader, seen.cause) == (OTHER, "third", cause)


def test_a_vacancy_that_is_seen_first_tells_whose_it_was() -> None:
    bench = seen_at_start(vacant())
    assert bench.get(cmd.LeaderGone) == []
    assert bench.one(cmd.ElectionBegun).wait == pytest.approx(QUARANTINE_S)
    bench.look(held(99, session="third", record_node="third"))
    assert bench.one(cmd.LeaderSeen).previous == OTHER


def test_one_who_gave_the_lead_back_knows_why_another_leads() -> None:
    bench = Bench().stepping_down()
    bench.tell(ev.WorkStopped(bench.run))
    bench.tell(ev.Released(MINE))
    bench.tell(ev.SessionDestroyed(MINE))
    bench.look(held(leader_index=90, record_node="core-3"))
    seen = bench.ever(cmd.LeaderSeen)[-1]
    assert (seen.leader, seen.cause) == ("core-3", Cause.STEPPED_DOWN)
