"""The relations that keep two leaders apart, and the budget that they cost."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from election_bench import Bench
from hypothesis import given
from hypothesis import strategies as st

from coord.election import commands as cmd
from coord.election import events as ev
from coord.election.reasons import WhyNot
from coord.election.states import State
from coord.election.timing import GOSSIP_DETECTION_S, READ_S, Timing, TimingError, budget

SLOW, FAST = 0.95, 1.05
"""How fast a clock may go."""


# -- what is refused -------------------------------------------------------------------------


def test_the_defaults_are_safe() -> None:
    timing = Timing()
    assert timing.overlap_margin == pytest.approx(3.0 - 2.5 * 1.11)
    assert timing.quarantine() == 3.0


@pytest.mark.parametrize(
    ("changes", "field", "quoted"),
    [
        ({"lease": 3.0}, "lease", ("3 s", "0.5 s", "3.885 s", "2 s", "1 s")),
        ({"takeover_delay": 0.5}, "lease", ("2.775 s", "2.5 s")),
        ({"confirm_interval": 1.1}, "confirm_interval", ("2.2 s", "2 s")),
        ({"lock_delay": 0.9}, "lock_delay", ("0.9 s", "1 s", "60 s")),
        ({"lock_delay": 61.0}, "lock_delay", ("61 s", "60 s")),
        ({"session_ttl": 9.0}, "session_ttl", ("9 s", "10 s")),
        ({"check_ttl": 0.1}, "check_ttl", ("0.1 s", "0.2 s")),
        ({"lease": 0.0}, "lease", ("0 s", "more than zero")),
        ({"takeover_delay": -1.0}, "takeover_delay", ("-1 s", "zero or more")),
        ({"suspend_limit": math.inf}, "suspend_limit", ("inf",)),
        ({"fence_grace": math.nan}, "fence_grace", ("nan",)),
    ],
)
def test_unsafe_settings_are_refused_with_the_field_and_the_numbers(
    changes: dict[str, float], field: str, quoted: tuple[str, ...]
) -> None:
    with pytest.raises(TimingError) as refused:
        Timing(**changes)
    assert refused.value.field == field
    for number in quoted:
        assert number in str(refused.value)


def test_no_takeover_delay_and_no_cool_down_are_fine_if_the_lock_delay_makes_up_for_it() -> None:
    assert Timing(takeover_delay=0.0, lock_delay=3.0, cool_down=0.0).overlap_margin > 0


# -- what is accepted is safe ----------------------------------------------------------------

seconds = st.floats(0.05, 70.0)


@given(
    lease=seconds,
    fence_grace=seconds,
    lock_delay=seconds,
    takeover_delay=st.floats(0.0, 70.0),
    confirm_interval=st.floats(0.01, 10.0),
    other_fenced_within=st.none() | st.floats(0.0, 200.0),
)
def test_whatever_is_accepted_keeps_leaders_apart_on_clocks_5_percent_off(
    lease: float,
    fence_grace: float,
    lock_delay: float,
    takeover_delay: float,
    confirm_interval: float,
    other_fenced_within: float | None,
) -> None:
    try:
        timing = Timing(
            lease=lease,
            fence_grace=fence_grace,
            lock_delay=lock_delay,
            takeover_delay=takeover_delay,
            confirm_interval=confirm_interval,
        )
    except TimingError:
        return
    fenced = timing.fenced_within if other_fenced_within is None else other_fenced_within
    stopped_at_the_latest = fenced / SLOW
    taken_at_the_earliest = timing.quarantine(other_fenced_within) / FAST
    assert stopped_at_the_latest <= taken_at_the_earliest
    assert 2 * timing.read_deadline <= timing.lease
    assert timing.confirm_interval <= timing.read_deadline + 1e-9


# -- the budget ------------------------------------------------------------------------------


def test_the_budget_of_the_defaults() -> None:
    spent = budget(Timing())
    assert spent.kill == spent.hang == pytest.approx(2.0 + 3.0 + 0.25)
    assert spent.host_loss == pytest.approx(7.3 + 3.0 + 0.25)
    assert spent.clean_end < spent.kill < spent.host_loss
    assert spent.recovery == pytest.approx(2 * 15.0 + 5.0 + 5.0 + 3.0 + 0.25)
    assert spent.outage_unnoticed == pytest.approx(0.95)
    assert spent.outage_ridden_out == 60.0
    assert spent.cut_off_ridden_out == pytest.approx(1.5 + 1.5)
    assert spent.cut_off_ridden_out < GOSSIP_DETECTION_S[0]
    assert spent.agent_outage_ridden_out == pytest.approx(1.5)
    assert spent.overlap_margin == pytest.approx(0.225)


def test_what_keeps_a_session_alive_bounds_what_is_ridden_out() -> None:
    impatient = budget(Timing(suspend_limit=1.0))
    assert impatient.outage_ridden_out == 1.0
    assert impatient.cut_off_ridden_out == 1.0
    assert impatient.agent_outage_ridden_out == 1.0
    patient = budget(Timing(check_ttl=20.0))
    assert patient.cut_off_ridden_out == GOSSIP_DETECTION_S[0]
    strict = budget(Timing(check_ttl=1.0))
    assert strict.agent_outage_ridden_out == pytest.approx(0.75)
    assert budget(Timing(confirm_interval=1.0)).outage_unnoticed == 0.0
    assert budget(Timing(confirm_interval=0.98)).outage_unnoticed == 0.0
    assert budget(Timing(confirm_interval=0.1)).outage_unnoticed == pytest.approx(0.95)


def _leads_through(timing: Timing, begins_after: float, lasts: float, hanging: bool) -> bool:
    """Whether a leader that has just confirmed never suspends in an outage that begins so long
    after; while it lasts, reads are refused or hang."""
    bench = Bench(timing).leading()
    bench.look(bench.mine)
    begins = bench.now + begins_after
    ends = begins + lasts
    for _ in range(200):
        if not bench.election._reads.under_way:
            wake_at = bench.election.wake_at
            assert wake_at is not None
            bench.wait_until(max(bench.now, wake_at))
        if bench.now > ends + timing.lease:
            return bench.state is State.LEADING
        if not begins <= bench.sent_at < ends:
            answered_at = bench.sent_at + READ_S
        else:
            answered_at = bench.sent_at + (timing.read_deadline if hanging else 0.0)
        until = bench.election.lease_until
        if until is None or answered_at >= until:
            return False
        bench.now = answered_at
        if begins <= bench.sent_at < ends:
            bench.fail_read(WhyNot.NO_CONSUL_LEADER)
        else:
            bench.observe(bench.mine)
    raise AssertionError("the outage does not end")


@pytest.mark.parametrize("hanging", [False, True])
@pytest.mark.parametrize("confirm_interval", [0.1, 0.25, 0.5, 0.7, 0.9])
def test_an_outage_within_the_budget_is_not_noticed_whenever_it_begins(
    confirm_interval: float, hanging: bool
) -> None:
    timing = Timing(confirm_interval=confirm_interval)
    lasts = budget(timing).outage_unnoticed
    for begins_after in (confirm_interval * part / 10 for part in range(11)):
        assert _leads_through(timing, begins_after, lasts, hanging), begins_after


def test_an_outage_longer_than_a_lease_is_noticed() -> None:
    timing = Timing()
    assert not _leads_through(timing, 0.1, timing.lease, hanging=False)
    assert not _leads_through(timing, 0.1, timing.lease, hanging=True)


@pytest.mark.parametrize("hanging", [False, True])
def test_an_outage_up_to_the_limit_is_ridden_out_under_the_same_term(hanging: bool) -> None:
    bench = Bench().leading()
    bench.look(bench.mine)
    ends = bench.now + budget(bench.timing).outage_ridden_out
    while bench.state is not State.SUSPENDED:
        _one_step(bench, ends, hanging)
    bench.tell(ev.WorkStopped(bench.run))
    while bench.state is State.SUSPENDED:
        _one_step(bench, ends, hanging)
    assert bench.state is State.LEADING
    assert bench.election.term == bench.term
    assert bench.ever(cmd.Lost) == []


def _one_step(bench: Bench, ends: float, hanging: bool) -> None:
    """The next thing that happens to a leader in an outage."""
    deadline = bench.sent_at + (bench.timing.read_deadline if hanging else 0.0)
    wake_at = bench.election.wake_at
    if bench.election._reads.under_way and (wake_at is None or deadline <= wake_at):
        bench.now = max(bench.now, deadline)
        if bench.sent_at < ends:
            bench.fail_read(WhyNot.NO_CONSUL_LEADER)
        else:
            bench.observe(bench.mine)
    else:
        assert wake_at is not None
        bench.wait_until(max(bench.now, wake_at))


def test_a_timing_can_be_changed_only_into_a_safe_one() -> None:
    with pytest.raises(TimingError):
        replace(Timing(), lease=10.0)
