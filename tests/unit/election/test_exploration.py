"""Two and three candidates on a model of Consul: no history breaks a promise.

The promises are checked after each step by `election_model.World`: never two at work, terms only
grow, no session leads twice, nothing is released before the work ended, nobody spins or is stuck.
"""

from __future__ import annotations

import pickle

import pytest
from election_model import Action, World
from election_store import BrokenError
from election_walk import Walk

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


FAULTS: dict[str, Action] = {
    "expire": ("expire", "s1"),
    "delete": ("delete", True, True),
    "step down": ("down", 0),
    "edit": ("edit",),
    "freeze": ("freeze", 0),
}
TOO_LONG = ("step down", "edit", "freeze")
"""What takes more steps until another leads than can all be tried."""

STATES = 3_000
STRIDE_S = 0.8


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_order_the_leaders_answers_come_in_after_a_fault(fault: str) -> None:
    """Breadth first from a leader that has just confirmed: what it sent arrives or not, is
    answered, late or never, its work stops sooner or later; the other candidate is served at
    once, which is when it is most dangerous."""
    world = _leader_on_the_slower_clock()
    tenure = world.nodes[0].election.tenure
    assert tenure is not None
    assert tenure.session == "s1"
    world.do(FAULTS[fault])
    world.do(("watch", 1, False))
    seen, level, depth = set[bytes](), [pickle.dumps(_serve_the_other(world))], 0
    changed = 0
    while level and len(seen) < STATES:
        following = []
        for state in level:
            for action in _of_the_leader(pickle.loads(state)):
                world = _then(pickle.loads(state), action)
                reached = pickle.dumps(world)
                if reached not in seen:
                    seen.add(reached)
                    following.append(reached)
                    changed += world.nodes[1].working
        level, depth = following, depth + 1
    assert depth >= 6
    assert changed or fault in TOO_LONG, "far enough to see the other lead"


def _leader_on_the_slower_clock() -> World:
    """The first leads and has just confirmed, the second stands by."""
    world = World((0.951,))
    world.settle(5.0)
    world.add(1.049)
    world.settle(2.0)
    assert world.nodes[0].working
    world.quiet()
    return world


def _serve_the_other(world: World) -> World:
    for _ in range(100):
        todo = [a for a in world.actions(faults=False) if a[0] in ("reach", "answer")]
        others = [a for a in todo if a[1] == 1 and not a[3]]
        if not others:
            return world
        world.do(others[0])
    raise AssertionError("no end of requests")


def _then(world: World, action: Action) -> World:
    """What that leads to. Time goes on in strides, or the end would be too deep to reach."""
    if action != ("time",):
        world.do(action)
        return _serve_the_other(world)
    until = world.now + STRIDE_S
    while world.now < until:
        world.do(action, until - world.now + 1e-6)
        _serve_the_other(world)
    return world


def _of_the_leader(world: World) -> list[Action]:
    kinds = ("reach", "answer", "fail", "stopped", "thaw")
    found = [action for action in world.actions() if action[0] in kinds and action[1] == 0]
    return [*found, ("time",)]
