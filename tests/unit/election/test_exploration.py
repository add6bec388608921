"""Two and three candidates on a model of Consul: no history breaks a promise.

The promises are checked after each step by `election_model.World`: never two at work, terms only
grow, no session leads twice, nothing is released before the work ended, nobody spins or is stuck.
"""

from __future__ import annotations

import inspect
from dataclasses import fields

import election_key
import pytest
from election_bench import Bench
from election_space import Space
from election_store import BrokenError
from election_walk import Walk
from election_worlds import WORLDS

from coord.election.campaign import Attempt, Campaign
from coord.election.lookout import Lookout, Vacancy
from coord.election.machine import Election
from coord.election.orders import Orders
from coord.election.reads import Reads
from coord.election.sessions import Sessions
from coord.election.tenure import Tenure

DEPTH = 5
"""How many events deep the search goes, with one fault."""

STEPS = 150
WALKS = 60
"""How many histories each test walks through."""


@pytest.mark.parametrize("nodes", [2, 3])
@pytest.mark.parametrize("block", range(4))
def test_no_history_has_two_leaders_and_each_ends_with_one(nodes: int, block: int) -> None:
    led = 0
    for seed in range(block * WALKS, (block + 1) * WALKS):
        walk = Walk(seed, nodes)
        try:
            led += walk.go(STEPS).led
        except AssertionError as error:
            told = "\n".join(f"  {now:8.3f} {action}" for now, action in walk.log[-40:])
            raise AssertionError(f"seed {seed}, {nodes} nodes: {error}\n{told}") from error
    assert led > WALKS / 2, "the walks must see leaders change"


def test_the_walks_find_two_leaders_on_clocks_that_are_too_far_apart() -> None:
    def walk_until_found() -> None:
        for seed in range(400):
            Walk(seed, 2, rates=(0.5, 1.5)).go(STEPS)

    with pytest.raises(BrokenError, match="work at once"):
        walk_until_found()


@pytest.mark.parametrize("moment", WORLDS)
def test_no_order_of_what_comes_next_breaks_a_promise(moment: str) -> None:
    """To a depth that takes a second; `tests.simulation.pure.exhaustive` goes further."""
    found = Space(WORLDS[moment](2, Election)).search(DEPTH, faults=1)
    assert found.broken is None, found.path
    assert found.depth == DEPTH
    assert found.states > 100


PARTS = (
    Election,
    Lookout,
    Vacancy,
    Campaign,
    Attempt,
    Orders,
    Sessions,
    Tenure,
    Reads,
)


def test_every_field_of_the_machine_is_in_the_keys_or_left_out_with_a_reason() -> None:
    """What is forgotten in both would make the search take different states for one."""
    source = inspect.getsource(election_key)
    bench = Bench().leading()
    kept: dict[type, set[str]] = {each: set() for each in PARTS}
    for one in (
        bench.election,
        bench.election.lookout,
        bench.election.campaign,
        bench.election.orders,
    ):
        kept[type(one)] = set(vars(one))
    for part in (bench.election.sessions, bench.election._reads, bench.election.tenure):
        kept[type(part)] = set(vars(part))
    kept[Vacancy] = {each.name for each in fields(Vacancy)}
    kept[Attempt] = {each.name for each in fields(Attempt)}
    for kind, names in kept.items():
        assert names, kind
        left_out = set(election_key.LEFT_OUT.get(kind.__name__, {}))
        assert left_out <= names, f"{kind.__name__} has no {left_out - names}"
        missing = {each for each in names - left_out if f".{each}" not in source}
        assert missing == set(), f"{kind.__name__}: {missing} are in no key"
