"""Turns, attempts and their outcomes, the cool-down, observers."""

from __future__ import annotations

import pytest
from election_bench import (
    ME,
    MINE,
    OTHER,
    REFUSALS,
    TERM,
    Bench,
    handed_over,
    held,
)

from coord.election import commands as cmd
from coord.election import events as ev
from coord.election.reasons import (
    Cause,
    LostReason,
    StepDownReason,
    TakeoverOutcome,
    WhyNot,
)
from coord.election.states import State
from coord.election.timing import Timing

# -- turns -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("successors", "jitter", "after"),
    [
        ((ME, "b", "c"), 0.9, 0.0),
        (("a", ME, "c"), 0.9, 0.1),
        (("a", "b", ME), 0.9, 0.2),
        (("a", "b", "c"), 0.0, 0.3),
        (("a", "b", "c"), 1.0, 0.8),
        ((), 1.0, 0.5),
    ],
)
def test_successors_go_first_in_their_order_and_the_rest_spread(
    successors: tuple[str, ...], jitter: float, after: float
) -> None:
    bench = Bench(jitter=jitter).join()
    bench.tell(ev.OthersSeen(("a", "b", "c")))
    bench.observe(held(successors=successors))
    bench.tell(ev.Watched(handed_over(61, successors=successors)))
    assert bench.election.campaign.due_at == pytest.approx(bench.now + after)
    if after:
        assert bench.election.why_not(bench.now) is WhyNot.WAITING_TURN
    bench.wait(after + 1e-6)
    assert bench.state is State.ACQUIRING


def test_alone_there_are_no_turns() -> None:
    bench = Bench(jitter=1.0).join()
    bench.tell(ev.OthersSeen(()))
    bench.observe(held(successors=("gone",)))
    bench.tell(ev.Watched(handed_over(61, successors=("gone",))))
    assert bench.state is State.ACQUIRING


def test_the_record_names_three_successors_at_most() -> None:
    bench = Bench().standby()
    bench.tell(ev.OthersSeen(("a", "b", "c", "d")))
    bench.tell(ev.Watched(handed_over(successors=(ME,))))
    assert bench.one(cmd.Acquire).successors == ("a", "b", "c")


# -- outcomes --------------------------------------------------------------------------------


def test_a_won_attempt_leads_and_counts_its_lease_from_when_it_was_sent() -> None:
    bench = Bench().acquiring()
    sent_at = bench.now
    bench.now += 0.4
    bench.tell(ev.Acquired(1, bench.won(), sent_at))
    assert bench.state is State.LEADING
    assert bench.one(cmd.ExtendLease).until == sent_at + bench.timing.lease
    assert bench.one(cmd.Attempted).outcome is TakeoverOutcome.WON
    started = bench.one(cmd.StartWork)
    assert (started.session, started.term, started.term_index) == (MINE, TERM + 1, 70)
    assert started.vacancy is not None
    assert started.vacancy.previous == OTHER
    assert started.vacancy.cause is Cause.STEPPED_DOWN
    assert bench.election.why_not(bench.now) is None
    assert bench.election.term == TERM + 1
    assert bench.election.lease_until == sent_at + bench.timing.lease


def test_what_an_attempt_of_long_ago_answers_is_ignored() -> None:
    bench = Bench().acquiring()
    before = bench.state
    bench.tell(ev.Acquired(0, bench.won(), bench.now))
    bench.tell(ev.AcquireRefused(0, TakeoverOutcome.HELD))
    bench.tell(ev.AcquireUnknown(0))
    assert bench.state is before
    assert bench.ever(cmd.Attempted) == []


@pytest.mark.parametrize("outcome", REFUSALS)
def test_a_refused_attempt_looks_again_and_is_never_repeated_at_once(
    outcome: TakeoverOutcome,
) -> None:
    bench = Bench().acquiring()
    bench.fail_read()
    bench.tell(ev.AcquireRefused(1, outcome))
    assert bench.one(cmd.Attempted).outcome is outcome
    if outcome is TakeoverOutcome.NO_SESSION:
        assert bench.state is State.JOINING
        assert bench.one(cmd.DestroySession).session == MINE
        return
    assert bench.get(cmd.Observe), "what was believed of the key is not so"
    bench.observe(handed_over())
    assert bench.state is State.WAITING
    due = bench.election.campaign.due_at
    assert due >= bench.now + 0.1
    assert bench.election.why_not(bench.now) in (
        WhyNot.LOCK_DELAY,
        WhyNot.WAITING_TURN,
        WhyNot.NOT_PERMITTED,
        WhyNot.CONSUL_UNREACHABLE,
    )
    bench.wait_until(due)
    assert len(bench.ever(cmd.Acquire)) == 2


def test_what_put_us_off_is_forgotten_when_somebody_leads() -> None:
    bench = Bench().acquiring()
    bench.tell(ev.AcquireRefused(1, TakeoverOutcome.NOT_PERMITTED))
    bench.observe(held(75))
    bench.look(held(75))
    bench.tell(ev.Watched(handed_over(80)))
    assert bench.state is State.ACQUIRING


def test_an_unknown_attempt_that_a_later_read_shows_is_adopted() -> None:
    bench = Bench().acquiring()
    sent_before = bench.sent_at
    bench.now += 1.0
    bench.tell(ev.AcquireUnknown(1))
    bench.observe(bench.won(), sent_before)
    assert bench.state is State.ACQUIRING, "a read sent before proves nothing"
    bench.now += 0.1
    sent_at = bench.sent_at
    bench.observe(bench.won())
    assert bench.state is State.LEADING
    assert bench.one(cmd.Attempted).outcome is TakeoverOutcome.ADOPTED
    assert bench.one(cmd.ExtendLease).until == sent_at + bench.timing.lease


@pytest.mark.parametrize("other_term", [True, False])
def test_an_unknown_attempt_that_a_later_read_does_not_show_costs_the_session(
    other_term: bool,
) -> None:
    bench = Bench().acquiring()
    bench.fail_read()
    bench.tell(ev.AcquireUnknown(1))
    view = bench.won()
    seen = ev.KeyView(leader_index=71, session=MINE, term=99, term_index=71)
    bench.look(seen if other_term else handed_over())
    assert bench.state is State.JOINING
    assert bench.one(cmd.DestroySession).session == MINE
    bench.tell(ev.Acquired(1, view, bench.now))
    assert bench.ever(cmd.StartWork) == []


def test_a_success_that_is_learnt_of_after_its_lease_is_settled_by_a_read() -> None:
    bench = Bench().acquiring()
    sent_at = bench.now
    bench.now += bench.timing.lease
    bench.tell(ev.Acquired(1, bench.won(), sent_at))
    assert bench.state is State.ACQUIRING
    bench.look(bench.won())
    assert bench.state is State.LEADING


def test_a_read_that_shows_the_attempt_but_took_longer_than_a_lease_is_not_enough() -> None:
    bench = Bench().acquiring()
    bench.fail_read()
    bench.tell(ev.AcquireUnknown(1))
    bench.wait(1.1)
    sent_at = bench.sent_at
    bench.now = sent_at + bench.timing.lease
    bench.observe(bench.won(), sent_at)
    assert bench.state is State.ACQUIRING
    bench.observe(bench.won(), bench.now)
    assert bench.state is State.LEADING


# -- cooling down ----------------------------------------------------------------------------


def test_a_node_that_led_stays_back_while_another_is_there() -> None:
    bench = Bench().cooling()
    until = bench.election.waits_until
    assert until is not None
    bench.tell(ev.OthersSeen((OTHER,)))
    bench.look(bench.given_back())
    bench.wait_until(until - 0.01)
    assert bench.state is State.COOLING
    assert bench.election.why_not(bench.now) in (WhyNot.COOLING_DOWN, WhyNot.CONSUL_UNREACHABLE)
    bench.look(bench.given_back())
    assert bench.state is State.ACQUIRING


def test_alone_it_stays_back_for_a_second_only() -> None:
    bench = Bench().cooling()
    bench.tell(ev.OthersSeen(()))
    bench.look(bench.given_back())
    bench.wait(1.0)
    assert bench.state is State.ACQUIRING


def test_alone_but_the_key_is_held_it_stays_back() -> None:
    bench = Bench().cooling()
    bench.tell(ev.OthersSeen(()))
    bench.look(bench.given_back(90, session="theirs"))
    bench.wait(2.0)
    assert bench.state is State.COOLING


def test_a_vacancy_of_half_a_minute_ends_every_cool_down() -> None:
    bench = Bench(Timing(cool_down=120.0)).cooling()
    bench.tell(ev.OthersSeen((OTHER,)))
    bench.look(bench.given_back())
    seen_at = bench.now
    assert bench.election.waits_until == seen_at + 30.0
    while bench.state is State.COOLING:
        bench.look(bench.given_back())
    assert bench.now >= seen_at + 30.0


def test_without_a_session_cooling_ends_in_joining() -> None:
    bench = Bench().cooling(session=None)
    bench.tell(ev.SessionLost(MINE, LostReason.SESSION_GONE))
    bench.wait(bench.timing.cool_down)
    assert bench.state is State.JOINING


def test_a_session_lost_while_cooling_is_replaced() -> None:
    bench = Bench().cooling()
    bench.now += 1.0
    bench.tell(ev.SessionLost("s2", LostReason.SESSION_GONE))
    assert bench.state is State.COOLING
    assert bench.get(cmd.DestroySession)
    assert bench.get(cmd.CreateSession)


# -- looking -------------------------------------------------------------------------------


def test_an_observer_follows_and_makes_no_attempt() -> None:
    bench = Bench(eligible=False).observer()
    bench.observe(held())
    bench.tell(ev.Watched(handed_over()))
    bench.wait(60.0)
    bench.fail_read()
    bench.tell(ev.StepDown(StepDownReason.REQUESTED))
    assert bench.election.lookout.leader == ""
    assert bench.election.why_not(bench.now) is WhyNot.NOT_ELIGIBLE
    assert bench.election.waits_until is None
    assert bench.election.term is bench.election.lease_until is None
    asked = (cmd.CreateSession, cmd.Acquire, cmd.CreateLeaderKey, cmd.ElectionBegun)
    assert not [command for command in bench.said if isinstance(command, asked)]


def test_everybody_looks_at_the_key_at_least_every_election_interval() -> None:
    bench = Bench().standby()
    for _ in range(5):
        looked_at = bench.sent_at
        bench.wait(bench.timing.election_interval)
        assert bench.sent_at <= looked_at + bench.timing.election_interval
        bench.observe(held())
        assert bench.one(cmd.Checked) == cmd.Checked(OTHER, State.STANDBY)
