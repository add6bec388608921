"""What breaks a promise where a snapshot is restored under a running fleet, and what does not."""

from __future__ import annotations

import pytest

from tests.simulation.checker import RESTORE_LIMIT_S, Checker
from tests.simulation.history import Entry, What


def leads(at: float, who: str, term: int) -> list[Entry]:
    return [
        Entry(at, What.ACQUIRED, who, (term, f"session-{term}")),
        Entry(at, What.TOLD, who, ("became_leader", term)),
        Entry(at, What.BEGUN, who, (term,)),
        Entry(at, What.ACTED, who, (term,)),
    ]


@pytest.mark.parametrize(
    ("restored", "sees_at", "acts_at", "rules"),
    [
        (True, 9.0, 13.0, []),
        (True, 9.0, 12.0 + RESTORE_LIMIT_S, ["acted in an old term", "two at work"]),
        (True, 11.0, 13.0, ["acted in an old term"]),
        (False, 9.0, 13.0, ["two at work", "two at work", "acted in an old term", "two at work"]),
    ],
    ids=["until it has looked", "for longer", "a vacancy seen since", "without a restore"],
)
def test_a_leader_that_consul_forgot_goes_on_until_it_has_looked(
    restored: bool, sees_at: float, acts_at: float, rules: list[str]
) -> None:
    """Whoever never knew of it takes the vacancy that the snapshot brought back."""
    history = [Entry(0.0, What.STARTED, who, (1, False)) for who in ("a", "b")]
    history += [Entry(sees_at, What.TOLD, "b", ("election_started", None))] if sees_at < 10 else []
    history += leads(10.0, "a", 5)
    if restored:
        history += [Entry(10.5, What.RESTORED, "consul", (40,))]
    history += [Entry(sees_at, What.TOLD, "b", ("election_started", None))] if sees_at > 10 else []
    history += leads(12.0, "b", 6)
    history += [Entry(acts_at, What.ACTED, "a", (5,))]
    checker = Checker()
    assert [each.rule for each in checker.take(history)] == rules
    assert checker.tolerated == restored, "what is tolerated is counted"


def test_nobody_else_may_act_in_an_old_term_after_a_restore() -> None:
    history = [Entry(0.0, What.STARTED, who, (1, False)) for who in ("a", "b")]
    history += leads(10.0, "a", 5)
    history += [Entry(10.5, What.RESTORED, "consul", (40,)), Entry(11.0, What.ENDED, "a", (5,))]
    history += [Entry(11.0, What.TOLD, "a", ("lost_leadership", 5, "session_gone"))]
    history += leads(12.0, "b", 6)
    history += [Entry(12.5, What.ACTED, "a", (5,))]
    found = Checker().take(history)
    assert [each.rule for each in found] == ["acted in an old term"]
