"""The restart policy: kinds of children, limits and their window."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.restart_policy import ChildExit, Decision, Restart, RestartLedger, RestartPolicy

CRASHED, NORMAL = ChildExit.CRASHED, ChildExit.NORMAL


@pytest.mark.parametrize(
    ("restart", "exit_", "decision"),
    [
        (Restart.PERMANENT, NORMAL, Decision.RESTART),
        (Restart.PERMANENT, CRASHED, Decision.RESTART),
        (Restart.TRANSIENT, NORMAL, Decision.DROP),
        (Restart.TRANSIENT, CRASHED, Decision.RESTART),
        (Restart.TEMPORARY, NORMAL, Decision.DROP),
        (Restart.TEMPORARY, CRASHED, Decision.DROP),
    ],
)
def test_the_kind_of_child_decides(restart: Restart, exit_: ChildExit, decision: Decision) -> None:
    assert RestartLedger(RestartPolicy()).decide(restart, exit_, 0.0) is decision


def test_the_default_is_three_in_five_seconds() -> None:
    ledger = RestartLedger(RestartPolicy())
    decisions = [ledger.decide(Restart.PERMANENT, CRASHED, float(now)) for now in range(4)]
    assert decisions == [Decision.RESTART] * 3 + [Decision.GIVE_UP]


@pytest.mark.parametrize(
    ("now", "decision"),
    [(4.999, Decision.GIVE_UP), (5.0, Decision.GIVE_UP), (5.001, Decision.RESTART)],
)
def test_a_restart_counts_for_the_whole_window_and_no_longer(
    now: float, decision: Decision
) -> None:
    ledger = RestartLedger(RestartPolicy(max_restarts=1, within_s=5.0))
    ledger.decide(Restart.PERMANENT, CRASHED, 0.0)
    assert ledger.decide(Restart.PERMANENT, CRASHED, now) is decision


def test_no_restarts_at_all() -> None:
    ledger = RestartLedger(RestartPolicy(max_restarts=0))
    assert ledger.decide(Restart.TEMPORARY, CRASHED, 0.0) is Decision.DROP
    assert not ledger.gave_up
    assert ledger.decide(Restart.PERMANENT, CRASHED, 0.0) is Decision.GIVE_UP
    assert ledger.gave_up


def test_giving_up_is_for_good() -> None:
    ledger = RestartLedger(RestartPolicy(max_restarts=1, within_s=1.0))
    ledger.decide(Restart.PERMANENT, CRASHED, 0.0)
    ledger.decide(Restart.PERMANENT, CRASHED, 0.5)
    assert ledger.decide(Restart.PERMANENT, CRASHED, 1000.0) is Decision.GIVE_UP
    assert ledger.decide(Restart.TRANSIENT, NORMAL, 1000.0) is Decision.DROP


def test_children_that_are_dropped_do_not_count() -> None:
    ledger = RestartLedger(RestartPolicy(max_restarts=1, within_s=5.0))
    for _ in range(20):
        ledger.decide(Restart.TEMPORARY, CRASHED, 0.0)
        ledger.decide(Restart.TRANSIENT, NORMAL, 0.0)
    assert ledger.decide(Restart.TRANSIENT, CRASHED, 0.0) is Decision.RESTART


@pytest.mark.parametrize(
    ("max_restarts", "within_s"),
    [(-1, 5.0), (3, 0.0), (3, -1.0), (3, float("inf")), (3, float("nan"))],
)
def test_impossible_policies_are_refused(max_restarts: int, within_s: float) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        RestartPolicy(max_restarts, within_s)


exits = st.tuples(
    st.sampled_from(Restart),
    st.sampled_from(ChildExit),
    st.integers(min_value=0, max_value=24).map(lambda eighths: eighths / 8),
)


@given(
    st.lists(exits, max_size=40),
    st.integers(min_value=0, max_value=4),
    st.integers(min_value=1, max_value=32).map(lambda eighths: eighths / 8),
)
def test_any_history_is_decided_by_the_rules(
    history: list[tuple[Restart, ChildExit, float]], max_restarts: int, within_s: float
) -> None:
    ledger = RestartLedger(RestartPolicy(max_restarts, within_s))
    times = itertools.accumulate(pause for _, _, pause in history)
    granted: list[float] = []
    gave_up = False
    for (restart, exit_, _), now in zip(history, times, strict=True):
        decision = ledger.decide(restart, exit_, now)
        if restart is Restart.TEMPORARY or (restart, exit_) == (Restart.TRANSIENT, NORMAL):
            assert decision is Decision.DROP
            continue
        recent = sum(1 for at in granted if at >= now - within_s)
        gave_up = gave_up or recent >= max_restarts
        assert decision is (Decision.GIVE_UP if gave_up else Decision.RESTART)
        if decision is Decision.RESTART:
            granted.append(now)
    assert ledger.gave_up is gave_up
    for at in granted:
        assert sum(1 for other in granted if at - within_s <= other <= at) <= max_restarts
