"""The lease, its loss, suspension, and giving back (design, section 4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from election_bench import ME, MINE, OTHER, Bench, in_state

from coord.election import commands as cmd
from coord.election import events as ev
from coord.election.reasons import Cause, LostReason, StepDownReason, SuspendReason, WhyNot
from coord.election.states import State
from coord.election.timing import Timing


def in_order(bench: Bench, *kinds: type[cmd.Command]) -> bool:
    """Whether the first commands of these kinds came in this order."""
    at = [next(i for i, each in enumerate(bench.said) if isinstance(each, k)) for k in kinds]
    return at == sorted(at)


# -- the lease -------------------------------------------------------------------------------


def test_the_lease_counts_from_when_the_read_was_sent() -> None:
    bench = Bench().leading()
    bench.wait(0.5)
    sent_at = bench.sent_at
    bench.now += 0.9
    bench.observe(bench.mine)
    extended = bench.one(cmd.ExtendLease)
    assert extended.until == sent_at + bench.timing.lease
    assert extended.fenced_at == sent_at + bench.timing.lease + bench.timing.fence_grace


def test_it_confirms_in_every_confirm_interval_with_reads_that_leave_time_for_another() -> None:
    bench = Bench().leading()
    for _ in range(5):
        before = bench.sent_at
        bench.wait(bench.timing.confirm_interval)
        assert bench.sent_at <= before + bench.timing.confirm_interval
        assert bench.one(cmd.Observe).deadline <= bench.timing.lease / 2
        bench.observe(bench.mine)
    assert bench.state is State.LEADING


def test_a_read_that_was_sent_before_the_lock_was_won_proves_nothing() -> None:
    bench = Bench().acquiring()
    sent_at = bench.sent_at
    bench.now += 0.5
    bench.tell(ev.Acquired(1, bench.won(), bench.now))
    bench.observe(ev.KeyView(leader_index=60), sent_at)
    assert bench.state is State.LEADING
    assert bench.get(cmd.Observe)


def test_a_read_that_hangs_from_before_leaves_time_to_confirm() -> None:
    """The read of a standby that hangs when the lock is won must not cost the lease."""
    bench = Bench().join()
    bench.observe(ev.KeyView(leader_index=50, session="theirs", readable=True, term=5))
    bench.wait(bench.timing.election_interval)
    deadline = bench.one(cmd.Observe).deadline
    assert deadline + bench.timing.confirm_interval < bench.timing.lease


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"leader_index": 0, "session": None}, LostReason.KEY_DELETED),
        ({"leader_index": 90, "session": None}, LostReason.VACANT),
        ({"leader_index": 90, "session": "theirs", "term": 7}, LostReason.ANOTHER_HOLDER),
        ({"term": 7, "term_index": 90}, LostReason.TERM_CHANGED),
        ({"term": None, "term_index": 0}, LostReason.TERM_CHANGED),
        ({"term_index": 91}, LostReason.TERM_CHANGED),
        ({"leader_index": 66, "term_index": 66}, LostReason.RESTORED),
    ],
)
def test_what_a_read_shows_that_is_not_ours_is_loss_at_once(
    changes: dict[str, Any], reason: LostReason
) -> None:
    bench = Bench().leading()
    bench.wait(0.5)
    bench.observe(replace(bench.mine, **changes))
    assert bench.state is State.STEPPING_DOWN
    assert bench.one(cmd.EndLease) == cmd.EndLease(suspended=False)
    assert bench.one(cmd.Lost).reason is reason
    assert bench.one(cmd.StopWork).deadline == bench.ever(cmd.ExtendLease)[-1].fenced_at
    bench.wait(0.5)
    bench.observe(bench.mine)
    assert bench.state is State.STEPPING_DOWN, "lost is lost"
    bench.tell(ev.WorkStopped(bench.run))
    assert bench.ever(cmd.Release) == []
    assert bench.one(cmd.DestroySession).session == MINE


def test_a_foreign_edit_of_the_record_is_mended_and_no_loss() -> None:
    bench = Bench().leading()
    bench.wait(0.5)
    edited = replace(bench.mine, leader_index=88, lock_index=0, readable=False, record_node="")
    bench.observe(edited)
    assert bench.state is State.LEADING
    assert bench.one(cmd.UpdateRecord) == cmd.UpdateRecord(MINE, bench.term, ())
    bench.wait(0.5)
    bench.observe(replace(bench.mine, leader_index=89))
    assert bench.get(cmd.UpdateRecord) == []


def test_the_record_is_written_when_the_successors_change_and_not_else() -> None:
    bench = Bench().leading()
    bench.tell(ev.OthersSeen((OTHER, "b", "c", "d")))
    assert bench.one(cmd.UpdateRecord).successors == (OTHER, "b", "c")
    bench.tell(ev.OthersSeen((OTHER, "b", "c", "e")))
    assert bench.get(cmd.UpdateRecord) == []


def test_the_watch_makes_a_leader_look_and_proves_nothing() -> None:
    bench = Bench().leading()
    bench.wait(0.1)
    bench.observe(bench.mine)
    bench.tell(ev.Watched(ev.KeyView(leader_index=999)))
    assert bench.state is State.LEADING
    assert bench.get(cmd.Observe)


# -- suspended -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contact", "reason"),
    [
        (WhyNot.CONSUL_UNREACHABLE, SuspendReason.CONSUL_UNREACHABLE),
        (WhyNot.NO_CONSUL_LEADER, SuspendReason.NO_CONSUL_LEADER),
        (WhyNot.NOT_PERMITTED, SuspendReason.NOT_PERMITTED),
        (WhyNot.CHECK_CRITICAL, SuspendReason.LEASE_EXPIRED),
        (None, SuspendReason.LEASE_EXPIRED),
    ],
)
def test_a_lease_that_runs_out_suspends_and_stops_the_work(
    contact: WhyNot | None, reason: SuspendReason
) -> None:
    bench = Bench().leading()
    bench.wait(0.5)
    if contact is not None:
        bench.fail_read(contact)
    else:
        bench.observe(bench.mine)
    until = bench.election.lease_until
    assert until is not None
    bench.wait_until(until)
    assert bench.state is State.SUSPENDED
    assert bench.ever(cmd.EndLease) == [cmd.EndLease(suspended=True)]
    assert bench.ever(cmd.LeadershipSuspended)[0].reason is reason
    assert bench.ever(cmd.StopWork)[0].deadline == until + bench.timing.fence_grace
    assert bench.ever(cmd.Lost) == [], "silence is not loss"
    assert bench.election.lease_until is None


def test_suspended_goes_on_under_the_same_term_when_a_read_shows_it() -> None:
    bench = Bench().suspended()
    bench.now += 20.0
    bench.look(bench.mine)
    assert bench.state is State.LEADING
    started = bench.one(cmd.StartWork)
    assert (started.session, started.term, started.vacancy) == (MINE, bench.term, None)
    assert started.run > bench.ever(cmd.StartWork)[0].run
    assert bench.one(cmd.LeadershipResumed).suspended_for >= 20.0
    assert bench.one(cmd.ExtendLease).until > bench.now
    assert len(bench.ever(cmd.Won)) == 1


def test_suspended_work_that_still_stops_resumes_when_it_has_stopped() -> None:
    bench = Bench().suspended(stopped=False)
    bench.fail_read()
    bench.now += 0.1
    bench.observe(bench.mine, bench.now)
    assert bench.state is State.SUSPENDED
    assert bench.get(cmd.ExtendLease), "it has longer to stop, and the watchdog knows"
    bench.now += 0.6
    bench.tell(ev.Tick())
    assert bench.ever(cmd.EndProcess) == []
    bench.tell(ev.WorkStopped(bench.run))
    assert bench.state is State.LEADING


def test_suspended_work_that_stops_after_the_lease_is_over_again_waits() -> None:
    bench = Bench().suspended(stopped=False)
    bench.tell(ev.WorkStopped(bench.run))
    assert bench.state is State.SUSPENDED
    bench.now += 5.0
    bench.observe(bench.mine, bench.now - bench.timing.lease)
    assert bench.state is State.SUSPENDED
    assert bench.get(cmd.ExtendLease) == [], "nothing runs that a watchdog should end"


def test_suspended_too_long_gives_up_the_session() -> None:
    bench = Bench().suspended()
    bench.wait(bench.timing.suspend_limit - 0.1)
    assert bench.state is State.SUSPENDED
    bench.wait(0.1)
    assert bench.state is State.STEPPING_DOWN
    assert bench.ever(cmd.Lost)[0].reason is LostReason.SUSPENDED_TOO_LONG
    assert bench.ever(cmd.Release) == []
    assert bench.ever(cmd.DestroySession)[-1].session == MINE


def test_suspended_and_another_leads_is_loss() -> None:
    bench = Bench().suspended()
    bench.look(replace(bench.mine, leader_index=90, session="theirs", term=7, term_index=90))
    assert bench.ever(cmd.Lost)[0].reason is LostReason.ANOTHER_HOLDER
    assert bench.ever(cmd.StartWork)[-1].run == 1


def test_a_session_lost_while_suspended_is_loss() -> None:
    bench = Bench().suspended()
    bench.tell(ev.SessionLost("another", LostReason.SESSION_GONE))
    assert bench.state is State.SUSPENDED
    bench.tell(ev.SessionLost(MINE, LostReason.SESSION_GONE))
    assert bench.state is State.STEPPING_DOWN


# -- work that does not stop -----------------------------------------------------------------


@pytest.mark.parametrize("way", ["suspended", "lost"])
def test_work_that_does_not_stop_in_time_ends_with_the_process(way: str) -> None:
    bench = Bench().leading()
    fenced_at = bench.ever(cmd.ExtendLease)[-1].fenced_at
    if way == "lost":
        bench.wait(0.5)
        bench.observe(replace(bench.mine, leader_index=90, session=None))
    bench.wait_until(fenced_at - 0.01)
    assert bench.ever(cmd.EndProcess) == []
    bench.wait_until(fenced_at)
    assert bench.ever(cmd.EndProcess) == [cmd.EndProcess(bench.term)]
    assert bench.ever(cmd.Release) == bench.ever(cmd.DestroySession) == []


def test_a_process_that_stood_still_too_long_ends_at_once() -> None:
    bench = Bench().leading()
    bench.now += 60.0
    bench.observe(bench.mine)
    bench.tell(ev.Tick())
    assert in_order(bench, cmd.LeadershipSuspended, cmd.EndProcess)


# -- giving back -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        (StepDownReason.REQUESTED, Cause.STEPPED_DOWN),
        (StepDownReason.DRAINED, Cause.STEPPED_DOWN),
        (StepDownReason.TRANSFER, Cause.TRANSFERRED),
        (StepDownReason.SHUTDOWN, Cause.HANDED_OVER),
    ],
)
def test_stop_then_release_then_destroy(reason: StepDownReason, why: Cause) -> None:
    bench = Bench().leading()
    bench.tell(ev.StepDown(reason))
    assert bench.get(cmd.Release) == bench.get(cmd.EndLease) == []
    assert bench.one(cmd.SteppingDown).reason is reason
    assert bench.election.why_not(bench.now) is not None
    bench.tell(ev.Released(MINE))
    assert bench.get(cmd.DestroySession) == [], "that was no answer to anything"
    bench.tell(ev.WorkStopped(bench.run))
    assert bench.one(cmd.Release) == cmd.Release(MINE, bench.term, 70, why)
    assert in_order(bench, cmd.StopWork, cmd.EndLease, cmd.Release)
    bench.tell(ev.Released("another"))
    assert bench.get(cmd.DestroySession) == []
    bench.tell(ev.Released(MINE))
    assert bench.one(cmd.DestroySession).session == MINE
    bench.tell(ev.SessionDestroyed("another"))
    assert bench.state is State.STEPPING_DOWN
    bench.tell(ev.SessionDestroyed(MINE))
    assert bench.state is State.COOLING
    assert len(bench.ever(cmd.Lost)) == 1
    assert bench.election.sessions.current is None, "what led is never used again"


def test_a_leader_whose_work_fails_steps_down() -> None:
    bench = Bench().leading()
    bench.tell(ev.WorkFailed(bench.run + 1, LostReason.WORK_FAILED))
    assert bench.state is State.LEADING
    bench.tell(ev.WorkFailed(bench.run, LostReason.WORK_FAILED))
    assert bench.state is State.STEPPING_DOWN
    bench.tell(ev.WorkStopped(bench.run))
    assert bench.one(cmd.Release).why is Cause.FAILED
    bench.tell(ev.Released(MINE))
    assert [lost.reason for lost in bench.ever(cmd.Lost)] == [LostReason.WORK_FAILED]


def test_a_lost_session_is_released_after_the_work_ended_in_case_it_still_holds() -> None:
    bench = Bench().leading()
    bench.tell(ev.SessionLost("another", LostReason.SESSION_GONE))
    assert bench.state is State.LEADING
    bench.tell(ev.SessionLost(MINE, LostReason.CHECK_LOST))
    assert bench.one(cmd.Lost).reason is LostReason.CHECK_LOST
    assert bench.get(cmd.Release) == []
    bench.tell(ev.WorkStopped(bench.run))
    assert bench.one(cmd.Release).why is Cause.FAILED


def test_a_read_that_still_sees_a_lost_session_on_the_key_confirms_nothing() -> None:
    """An agent that has forgotten our check: the servers learn of it later, and the lock goes."""
    bench = Bench().leading()
    bench.wait(0.5)
    bench.tell(ev.SessionLost(MINE, LostReason.CHECK_LOST))
    fenced_at = bench.ever(cmd.ExtendLease)[-1].fenced_at
    bench.now += 0.1
    bench.observe(bench.mine, bench.now)
    assert bench.get(cmd.ExtendLease) == bench.get(cmd.UpdateRecord) == []
    bench.wait_until(fenced_at)
    assert bench.ever(cmd.EndProcess), "the work had no longer to stop for it"


def test_suspended_steps_down_without_waiting_for_anything() -> None:
    bench = Bench().suspended()
    bench.tell(ev.StepDown(StepDownReason.REQUESTED))
    assert bench.one(cmd.Release)


def test_suspended_and_still_stopping_steps_down_when_the_work_has_ended() -> None:
    bench = Bench().suspended(stopped=False)
    bench.tell(ev.StepDown(StepDownReason.REQUESTED))
    assert bench.get(cmd.StopWork) == bench.get(cmd.Release) == []
    bench.tell(ev.WorkStopped(bench.run))
    assert bench.one(cmd.Release)


def test_a_voluntary_stop_has_its_whole_time_while_the_lease_is_confirmed() -> None:
    bench = Bench().stepping_down()
    begun = bench.now
    assert bench.ever(cmd.StopWork)[-1].deadline == begun + bench.timing.shutdown_timeout
    while bench.now < begun + bench.timing.shutdown_timeout - 1.0:
        bench.wait(0.5)
        if bench.election._reads.under_way:
            bench.observe(replace(bench.mine, readable=False))
            assert bench.get(cmd.ExtendLease)
            assert bench.get(cmd.UpdateRecord) == []
    assert bench.ever(cmd.EndProcess) == bench.ever(cmd.EndLease) == []
    while not bench.ever(cmd.EndProcess):
        bench.wait(0.5)
        if bench.election._reads.under_way:
            bench.observe(bench.mine)
    assert bench.now == pytest.approx(begun + bench.timing.shutdown_timeout)


def test_a_voluntary_stop_is_hastened_when_the_lease_runs_out() -> None:
    bench = Bench().stepping_down()
    lease = bench.ever(cmd.ExtendLease)[-1]
    bench.wait_until(lease.until)
    assert bench.one(cmd.EndLease) == cmd.EndLease(suspended=True)
    assert bench.one(cmd.StopWork).deadline == lease.fenced_at
    bench.wait_until(lease.fenced_at)
    assert bench.ever(cmd.EndProcess)


def test_a_voluntary_stop_is_hastened_when_a_read_shows_the_loss() -> None:
    bench = Bench().stepping_down()
    bench.wait(0.5)
    bench.observe(replace(bench.mine, leader_index=90, session=None))
    assert bench.one(cmd.StopWork).deadline == bench.ever(cmd.ExtendLease)[-1].fenced_at
    bench.tell(ev.WorkStopped(bench.run))
    assert bench.ever(cmd.Release) == []
    assert bench.one(cmd.DestroySession)
    assert len(bench.ever(cmd.Lost)) == 1


def test_a_loss_does_not_hasten_a_stop_that_ends_sooner_anyway() -> None:
    bench = Bench(Timing(shutdown_timeout=1.0)).stepping_down()
    bench.wait(0.5)
    bench.observe(replace(bench.mine, leader_index=90, session=None))
    assert bench.get(cmd.StopWork) == []
    bench.wait(0.5)
    assert bench.ever(cmd.EndProcess)


def test_what_is_read_after_the_release_was_asked_for_counts_no_more() -> None:
    bench = Bench().stepping_down()
    bench.wait(0.5)
    bench.tell(ev.WorkStopped(bench.run))
    bench.observe(bench.mine)
    assert bench.get(cmd.ExtendLease) == []
    bench.tell(ev.Released(MINE))
    bench.tell(ev.Released(MINE))
    assert len(bench.ever(cmd.DestroySession)) == 1


def test_an_end_of_another_run_ends_nothing() -> None:
    bench = Bench().stepping_down()
    bench.tell(ev.WorkStopped(bench.run - 1))
    assert bench.get(cmd.Release) == []


def test_a_session_leads_one_term_only() -> None:
    bench = Bench().cooling()
    bench.tell(ev.OthersSeen(()))
    bench.look(bench.given_back())
    bench.wait(1.0)
    asked = bench.ever(cmd.Acquire)
    assert [each.session for each in asked] == [MINE, "s2"]
    assert asked[1].term == asked[0].term + 1


@pytest.mark.parametrize("state", [State.LEADING, State.SUSPENDED, State.STEPPING_DOWN])
def test_the_term_is_shown_while_it_is_held_or_given_back(state: State) -> None:
    bench = in_state(state)
    assert bench.election.term == bench.term
    assert bench.election.node == ME


def test_the_fence_is_lifted_after_the_last_time_it_was_set() -> None:
    """A confirmation may be answered in the same moment in which the work ends."""
    bench = Bench().stepping_down()
    bench.look(bench.mine)
    assert bench.get(cmd.ExtendLease)
    bench.tell(ev.WorkStopped(bench.run))
    kinds = [type(command) for command in bench.out]
    assert kinds.index(cmd.LiftFence) < kinds.index(cmd.Release)
    assert cmd.ExtendLease not in kinds
    bench.look(bench.mine)
    assert not bench.get(cmd.ExtendLease)


def test_a_fence_lifted_in_suspension_is_set_anew_before_the_work_resumes() -> None:
    bench = Bench().suspended(stopped=False)
    bench.look(bench.mine)
    bench.tell(ev.WorkStopped(bench.run - 1))
    assert not bench.get(cmd.LiftFence), "of another run"
    bench.tell(ev.WorkStopped(bench.run))
    kinds = [type(command) for command in bench.out]
    assert kinds.index(cmd.LiftFence) < kinds.index(cmd.ExtendLease) < kinds.index(cmd.StartWork)
