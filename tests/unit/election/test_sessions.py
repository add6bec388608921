"""Sessions, and how a candidate stops."""

from __future__ import annotations

import pytest
from election_bench import (
    ME,
    MINE,
    Bench,
    held,
    in_state,
    vacant,
)

from coord.election import commands as cmd
from coord.election import events as ev
from coord.election.reasons import (
    Cause,
    LostReason,
    TakeoverOutcome,
    WhyNot,
)
from coord.election.states import State

# -- sessions --------------------------------------------------------------------------------


def test_nothing_is_asked_for_before_the_node_has_started() -> None:
    bench = Bench()
    assert bench.election.wake_at is None
    bench.tell(ev.Tick())
    assert bench.get(cmd.CreateSession) == []
    bench.tell(ev.Started())
    bench.tell(ev.Started())
    assert len(bench.ever(cmd.CreateSession)) == 1


def test_a_session_that_is_refused_is_asked_for_again_ever_more_seldom() -> None:
    bench = in_state(State.JOINING)
    bench.observe(held())
    gaps = []
    for _ in range(6):
        attempt = bench.ever(cmd.CreateSession)[-1].attempt
        bench.tell(ev.SessionFailed(attempt, WhyNot.CHECK_CRITICAL))
        assert bench.election.why_not(bench.now) is WhyNot.CHECK_CRITICAL
        retry_at = bench.election.waits_until
        assert retry_at is not None
        gaps.append(retry_at - bench.now)
        bench.wait_until(retry_at)
        if bench.election._reads.under_way:
            bench.observe(held())
    assert gaps == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_session_that_is_lost_again_and_again_is_not_asked_for_without_a_pause() -> None:
    bench = Bench().join()
    for number in range(2, 30):
        current = bench.election.sessions.current
        assert current is not None
        asked = len(bench.ever(cmd.CreateSession))
        bench.tell(ev.SessionLost(current, LostReason.SESSION_GONE))
        while len(bench.ever(cmd.CreateSession)) == asked:
            bench.wait(0.1)
        attempt = bench.ever(cmd.CreateSession)[-1].attempt
        bench.tell(ev.SessionCreated(attempt, f"s{number}"))
    assert bench.now - 1000.0 >= 27 * 0.5


def test_only_the_session_that_was_asked_for_last_is_taken() -> None:
    bench = in_state(State.JOINING)
    bench.tell(ev.SessionFailed(1, WhyNot.CONSUL_UNREACHABLE))
    bench.wait(0.5)
    bench.tell(ev.SessionFailed(1, WhyNot.CONSUL_UNREACHABLE))
    bench.tell(ev.SessionCreated(1, "late"))
    assert bench.one(cmd.DestroySession).session == "late"
    bench.tell(ev.SessionCreated(2, "asked for"))
    assert bench.election.sessions.current == "asked for"


@pytest.mark.parametrize("eligible", [True, False])
def test_a_session_of_this_process_found_on_the_key_is_destroyed_and_never_leads(
    eligible: bool,
) -> None:
    bench = Bench(own_sessions=["earlier"], eligible=eligible).join()
    bench.observe(held(session="earlier", record_node=ME))
    assert bench.one(cmd.DestroySession).session == "earlier"
    bench.tell(ev.SessionDestroyed("earlier"))
    assert bench.state in (State.STANDBY, State.OBSERVER)


def test_our_present_session_on_the_key_outside_a_leadership_is_given_up() -> None:
    bench = Bench().standby()
    bench.look(held(session=MINE, record_node=ME))
    assert bench.state is State.JOINING
    assert bench.one(cmd.DestroySession).session == MINE


def test_a_session_lost_while_an_attempt_is_under_way_gives_the_attempt_up() -> None:
    bench = Bench().acquiring()
    bench.tell(ev.SessionLost("another", LostReason.SESSION_GONE))
    assert bench.state is State.ACQUIRING
    bench.tell(ev.SessionLost(MINE, LostReason.CHECK_LOST))
    assert bench.state is State.JOINING
    bench.tell(ev.Acquired(1, bench.won(), bench.now))
    assert bench.state is State.JOINING
    assert bench.ever(cmd.StartWork) == []


# -- shutting down ---------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(State))
def test_shutdown_ends_in_stopped_from_every_state(state: State) -> None:
    bench = in_state(state)
    bench.tell(ev.Shutdown())
    for _ in range(10):
        destroying = bench.get(cmd.DestroySession)
        if bench.state is State.ACQUIRING:
            bench.tell(ev.AcquireRefused(1, TakeoverOutcome.HELD))
        elif destroying:
            bench.tell(ev.SessionDestroyed(destroying[0].session))
        elif bench.state is State.STEPPING_DOWN and bench.get(cmd.Release):
            bench.tell(ev.Released(MINE))
        elif bench.state is State.STEPPING_DOWN:
            bench.tell(ev.WorkStopped(bench.run))
    assert bench.state is State.STOPPED
    assert len(bench.ever(cmd.Finished)) == 1
    assert bench.election.wake_at is None
    assert bench.tell(ev.Tick()) == []


def test_a_lock_that_is_won_while_shutting_down_is_handed_over_at_once() -> None:
    bench = Bench().acquiring()
    bench.tell(ev.Shutdown())
    bench.tell(ev.Acquired(1, bench.won(), bench.now))
    assert bench.one(cmd.Attempted).outcome is TakeoverOutcome.ABANDONED
    assert bench.one(cmd.Release).why is Cause.HANDED_OVER
    assert bench.ever(cmd.StartWork) == bench.ever(cmd.Lost) == []
    bench.tell(ev.Released(MINE))
    bench.tell(ev.SessionDestroyed(MINE))
    assert bench.state is State.STOPPED
    assert bench.ever(cmd.Lost) == []


def test_shutting_down_does_not_hang_on_an_attempt_that_nobody_can_settle() -> None:
    bench = Bench().acquiring()
    bench.tell(ev.Shutdown())
    bench.fail_read()
    assert bench.state is State.ACQUIRING, "its answer may still come"
    bench.tell(ev.AcquireUnknown(1))
    bench.wait(1.0)
    bench.fail_read()
    assert bench.state is State.STEPPING_DOWN
    bench.tell(ev.SessionDestroyed(bench.one(cmd.DestroySession).session))
    assert bench.state is State.STOPPED


@pytest.mark.parametrize("how", ["settled", "session lost"])
def test_an_attempt_given_up_while_shutting_down_ends_in_stopped(how: str) -> None:
    bench = Bench().acquiring()
    bench.fail_read()
    bench.tell(ev.Shutdown())
    bench.tell(ev.AcquireUnknown(1))
    if how == "settled":
        bench.wait(bench.election._reads.retry)
        bench.observe(vacant(75))
    else:
        bench.tell(ev.SessionLost(MINE, LostReason.SESSION_GONE))
    assert bench.state is State.STEPPING_DOWN
    bench.tell(ev.SessionDestroyed("another"))
    assert bench.state is State.STEPPING_DOWN
    bench.tell(ev.SessionDestroyed(MINE))
    assert bench.state is State.STOPPED
