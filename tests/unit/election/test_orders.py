"""What operators ask: pauses, drains, requests."""

from __future__ import annotations

from dataclasses import replace

import pytest
from election_bench import ME, OTHER, Bench, handed_over, held, vacant

from coord.election import commands as cmd
from coord.election import events as ev
from coord.election.orders import MAX_PAUSE_S
from coord.election.reasons import Cause, LostReason, StepDownReason, WhyNot
from coord.election.states import State
from coord.election.timing import COOL_LEAST_S, HEIR_TURN_S, Timing

DRAINED = ev.OrdersSeen(drained=frozenset({ME}))
T = Timing()


def paused(lasts: float = 60.0, name: str = "p1") -> ev.OrdersSeen:
    return ev.OrdersSeen(pause=ev.Pause(name, lasts))


def asked(bench: Bench, reason: StepDownReason, to: str = "", term: int = 0) -> ev.OrdersSeen:
    request = ev.Request(term=bench.term + term, reason=reason, to=to, actor="ann", id="r1")
    return ev.OrdersSeen(request=request)


def attempts(bench: Bench) -> int:
    return len(bench.ever(cmd.Acquire))


# -- pause ---------------------------------------------------------------------------------


def test_nobody_campaigns_in_a_pause_and_says_so() -> None:
    bench = Bench().standby()
    bench.tell(paused(60.0))
    bench.tell(ev.Watched(handed_over()))
    assert (bench.state, attempts(bench)) == (State.WAITING, 0)
    assert bench.election.why_not(bench.now) is WhyNot.PAUSED
    assert bench.election.waits_until == bench.now + 60.0
    bench.wait(59.9)
    assert attempts(bench) == 0
    bench.observe(handed_over())
    bench.wait(0.2)
    assert (bench.state, attempts(bench)) == (State.ACQUIRING, 1)


def test_a_pause_holds_longer_than_a_vacancy_takes_to_be_anybodys() -> None:
    bench = Bench().standby()
    bench.tell(paused(1000.0))
    bench.tell(ev.Watched(vacant()))
    for _ in range(30):
        bench.wait(10.0)
        bench.observe(vacant())
    assert (bench.state, attempts(bench)) == (State.WAITING, 0)


def test_resuming_lets_a_vacancy_be_taken_at_once() -> None:
    bench = Bench().standby()
    bench.tell(paused())
    bench.tell(ev.Watched(handed_over()))
    bench.tell(ev.OrdersSeen())
    assert (bench.state, attempts(bench)) == (State.ACQUIRING, 1)


def test_a_pause_is_counted_from_when_it_was_first_seen() -> None:
    bench = Bench().standby()
    bench.tell(paused(60.0))
    until = bench.election.orders.paused_until
    bench.wait(20.0)
    bench.tell(paused(60.0))
    assert bench.election.orders.paused_until == until
    bench.tell(paused(60.0, "p2"))
    assert bench.election.orders.paused_until == bench.now + 60.0


def test_the_pause_that_is_kept_is_named_until_it_is_over_or_another_comes() -> None:
    bench = Bench().standby()
    orders = bench.election.orders
    assert orders.pause_kept == ""
    bench.tell(paused(60.0))
    assert orders.pause_kept == "p1"
    bench.tell(paused(60.0, "p2"))
    assert orders.pause_kept == "p2"
    bench.wait(61.0)
    assert orders.pause_kept == ""  # though its record may stand for a while yet
    bench.tell(paused(60.0, "p3"))
    bench.tell(ev.OrdersSeen())
    assert orders.pause_kept == ""


def test_no_pause_lasts_longer_than_a_day() -> None:
    bench = Bench().standby()
    bench.tell(paused(1e9))
    assert bench.election.orders.paused_until == bench.now + MAX_PAUSE_S


def test_a_leader_stays_in_a_pause_and_takes_its_record_away_when_it_is_over() -> None:
    bench = Bench().leading()
    bench.tell(paused(60.0))
    assert bench.state is State.LEADING
    while bench.now < bench.election.orders.paused_until - 0.6:
        bench.wait(0.5)
        bench.observe(bench.mine)
    assert bench.ever(cmd.ForgetPause) == []
    bench.wait(0.6)
    bench.observe(bench.mine)
    assert bench.ever(cmd.ForgetPause) == [cmd.ForgetPause("p1")]
    bench.wait(0.5)
    assert len(bench.ever(cmd.ForgetPause)) == 1


# -- drain ---------------------------------------------------------------------------------


def test_a_drained_standby_says_so_and_is_the_last_resort() -> None:
    bench = Bench().standby()
    bench.tell(ev.OthersSeen((OTHER,)))
    bench.tell(DRAINED)
    assert bench.election.why_not(bench.now) is WhyNot.DRAINED
    bench.tell(ev.Watched(handed_over()))
    assert bench.state is State.WAITING
    assert bench.election.why_not(bench.now) is WhyNot.DRAINED
    seen_at = bench.now
    while bench.now < seen_at + T.last_resort - 1:
        bench.wait(1.0)
        bench.observe(handed_over())
        assert attempts(bench) == 0
    bench.wait(1.1)
    assert (bench.state, attempts(bench)) == (State.ACQUIRING, 1)


def test_a_drained_leader_makes_way() -> None:
    bench = Bench().leading()
    bench.tell(ev.OthersSeen((OTHER,)))
    bench.tell(DRAINED)
    assert bench.state is State.STEPPING_DOWN
    assert bench.one(cmd.SteppingDown).reason is StepDownReason.DRAINED


def test_a_drained_leader_stays_while_nobody_else_could_lead_and_then_makes_way() -> None:
    bench = Bench().leading()
    bench.tell(ev.OthersSeen(()))
    bench.tell(DRAINED)
    assert bench.state is State.LEADING
    bench.tell(ev.OrdersSeen(drained=frozenset({ME, OTHER})))
    bench.tell(ev.OthersSeen((OTHER,)))
    assert bench.state is State.LEADING
    bench.tell(DRAINED)
    assert bench.state is State.STEPPING_DOWN


def test_who_took_the_lock_as_the_last_resort_makes_way_only_for_somebody_new() -> None:
    """Who was there and did not take it would not take it now: the lead must not swing to and
    fro."""
    bench = Bench().standby()
    bench.tell(ev.OthersSeen((OTHER,)))
    bench.tell(DRAINED)
    bench.tell(ev.Watched(handed_over()))
    for _ in range(40):
        if bench.state is State.ACQUIRING:
            break
        bench.wait(1.0)
        bench.observe(handed_over())
    attempt = bench.ever(cmd.Acquire)[-1]
    bench.fail_read()
    bench.tell(ev.Acquired(attempt.attempt, bench.won(), bench.now))
    assert bench.state is State.LEADING
    bench.tell(DRAINED)
    bench.tell(ev.OthersSeen((OTHER,)))
    assert bench.state is State.LEADING
    bench.tell(ev.OthersSeen((OTHER, "third")))
    assert bench.state is State.STEPPING_DOWN


def test_a_drained_candidate_is_nobodys_successor() -> None:
    bench = Bench().leading()
    bench.tell(ev.OthersSeen(("b", "c", "d", "e")))
    assert bench.ever(cmd.UpdateRecord)[-1].successors == ("b", "c", "d")
    bench.tell(ev.OrdersSeen(drained=frozenset({"b", "d"})))
    assert bench.ever(cmd.UpdateRecord)[-1].successors == ("c", "e")


def test_a_node_that_is_drained_while_it_acquires_makes_way_as_soon_as_it_has_won() -> None:
    bench = Bench().acquiring()
    bench.tell(ev.OthersSeen((OTHER,)))
    bench.tell(DRAINED)
    bench.fail_read()
    attempt = bench.ever(cmd.Acquire)[-1]
    bench.tell(ev.Acquired(attempt.attempt, mine := bench.won(), bench.now))
    bench.wait(T.confirm_interval)
    bench.observe(mine)
    assert bench.state is State.STEPPING_DOWN


# -- requests ------------------------------------------------------------------------------


def test_a_leader_steps_down_on_request_and_says_who_asked() -> None:
    bench = Bench().leading()
    bench.tell(ev.OthersSeen((OTHER,)))
    bench.tell(asked(bench, StepDownReason.REQUESTED))
    told = bench.one(cmd.SteppingDown)
    assert told == cmd.SteppingDown(bench.term, StepDownReason.REQUESTED, "ann", "r1")
    bench.tell(ev.WorkStopped(bench.run))
    release = bench.one(cmd.Release)
    assert (release.why, release.by) == (Cause.STEPPED_DOWN, "ann")
    assert release.successors == (OTHER,)


def test_a_transfer_names_its_heir_first() -> None:
    bench = Bench().leading()
    bench.tell(ev.OthersSeen(("a", "b", "c", "d")))
    bench.tell(asked(bench, StepDownReason.TRANSFER, "d"))
    bench.tell(ev.OthersSeen(("a", "b", "c", "d", "e")))
    bench.tell(ev.WorkStopped(bench.run))
    release = bench.one(cmd.Release)
    assert (release.why, release.successors) == (Cause.TRANSFERRED, ("d", "a", "b"))


@pytest.mark.parametrize("term", [-1, 1])
def test_what_is_asked_of_another_term_is_nothing_to_us(term: int) -> None:
    bench = Bench().leading()
    bench.tell(asked(bench, StepDownReason.REQUESTED, term=term))
    assert bench.state is State.LEADING


def test_a_request_is_obeyed_while_suspended_too() -> None:
    bench = Bench().suspended()
    bench.tell(asked(bench, StepDownReason.REQUESTED))
    assert bench.state is State.STEPPING_DOWN


def test_a_request_that_stands_is_obeyed_once() -> None:
    bench = Bench().leading()
    orders = asked(bench, StepDownReason.REQUESTED)
    bench.tell(orders)
    bench.tell(orders)
    assert len(bench.ever(cmd.SteppingDown)) == 1


@pytest.mark.parametrize("told_first", [True, False])
def test_a_forced_release_asks_nothing_of_the_leader_and_is_told_as_the_cause(
    told_first: bool,
) -> None:
    leader = Bench().leading()
    leader.tell(asked(leader, StepDownReason.FORCED))
    assert leader.state is State.LEADING
    bench = Bench().standby()
    view = replace(
        vacant(90), record_vacant=False, record_term=5, record_node="lead", readable=True
    )
    orders = ev.OrdersSeen(request=ev.Request(term=5, reason=StepDownReason.FORCED))
    for event in (orders, ev.Watched(view)) if told_first else (ev.Watched(view), orders):
        bench.tell(event)
    assert bench.election.lookout.vacancy is not None
    assert bench.election.lookout.vacancy.cause is Cause.RELEASED_BY_HAND
    assert bench.election.lookout.vacancy.quarantine == T.quarantine(view.record_fenced_within)


def test_the_others_leave_a_transferred_vacancy_to_the_heir_for_a_while() -> None:
    bench = Bench().standby()
    bench.tell(ev.OthersSeen((OTHER,)))
    left = replace(handed_over(), record_why="transferred", successors=(OTHER, ME))
    bench.tell(ev.Watched(left))
    assert bench.state is State.WAITING
    due = bench.election.campaign.due_at - bench.now
    assert HEIR_TURN_S <= due < HEIR_TURN_S + 1
    heir = Bench().standby()
    heir.tell(ev.Watched(replace(left, successors=(ME, OTHER))))
    assert heir.state is State.ACQUIRING


def test_the_heir_of_a_transfer_does_not_stay_back_for_having_led_before() -> None:
    """An operator wants it, and the last leader stays back itself: nobody would lead meanwhile."""
    bench = Bench().cooling()
    bench.tell(ev.OthersSeen((OTHER,)))
    later = {"record_term": bench.term + 2, "term": bench.term + 2, "term_index": 400}
    bench.observe(held(400, **later))
    bench.wait(COOL_LEAST_S)
    left = replace(handed_over(500, **later), record_why="transferred", successors=(ME, OTHER))
    assert bench.state is State.COOLING
    bench.tell(ev.Watched(replace(left, successors=(OTHER, ME))))
    assert bench.state is State.COOLING
    bench.tell(ev.Watched(replace(left, leader_index=501)))
    assert bench.state is State.ACQUIRING


# -- before they are known -----------------------------------------------------------------


def joined_with_orders_to_come() -> Bench:
    bench = Bench()
    bench.tell(ev.Started(orders_follow=True))
    bench.tell(ev.SessionCreated(bench.one(cmd.CreateSession).attempt, "s1"))
    bench.observe(held())
    bench.tell(ev.Watched(handed_over()))
    return bench


def test_a_candidate_waits_for_what_operators_ask() -> None:
    bench = joined_with_orders_to_come()
    assert (bench.state, attempts(bench)) == (State.WAITING, 0)
    bench.tell(ev.OrdersSeen())
    assert (bench.state, attempts(bench)) == (State.ACQUIRING, 1)


def test_it_does_not_wait_for_ever() -> None:
    bench = joined_with_orders_to_come()
    bench.wait(T.election_interval + 0.1)
    assert attempts(bench) == 1


def test_losing_the_leadership_to_force_is_no_different_from_losing_the_session() -> None:
    bench = Bench().leading()
    bench.tell(asked(bench, StepDownReason.FORCED))
    bench.observe(replace(bench.mine, session=None, leader_index=90))
    assert bench.one(cmd.Lost).reason is LostReason.VACANT
