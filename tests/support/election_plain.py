"""The search of `election_space` once more, without any of its short cuts: to compare with.

Whole worlds are copied and `World.do` alone moves them; a read reaches Consul by one action and is
answered by another; no state stands for another. What is compared are the keys of the states that
both come to, where no request has been applied that the short cuts apply and answer at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from election_events import faults_of_consul, faults_of_node, free_actions
from election_key import node_key, store_key
from election_model import Action, World
from election_node import Node
from election_space import Space
from election_store import Store

from coord.election import commands as cmd

_AT_ONCE = cmd.Observe | cmd.CreateSession | cmd.DestroySession
"""What the short cuts apply and answer at once, at times."""

State = tuple[object, ...]


def plainly(world: World, depth: int, faults: int, *, merge: bool = False) -> set[State]:
    """The states that are reached in so many events, each of those of the world itself.

    `merge`: take states of equal keys for one another after all, to get further.
    """
    reached: set[State] = set()
    seen: set[State] = set()
    level = [(world, faults)]
    for _ in range(depth):
        following = []
        for before, left in level:
            for action, used in _actions(before, left):
                after = before.copy()
                after.do(action)
                key = (*map(node_key, after.nodes), store_key(after.store), left - used)
                if not merge or key not in seen:
                    seen.add(key)
                    following.append((after, left - used))
        level = following
        reached |= {_state_of(each.nodes, each.store, left) for each, left in level}
    return reached - {()}


def _actions(world: World, left: int) -> Iterator[tuple[Action, int]]:
    for number, node in enumerate(world.nodes):
        for action in free_actions(number, node, world.store):
            if action[0] not in ("read", "get"):
                yield action, 0
            elif action[-1] is None or action[0] == "get":
                yield ("reach", number, action[2], False), 0
        if left:
            yield from ((action, 1) for action in faults_of_node(number, node, world.store))
        names = world.others_of(node)
        if not (node.dead or node.frozen or node.shut) and names != node.others:
            yield ("others", number, names), 0
    if left:
        yield from ((action, 1) for action in faults_of_consul(world.store))
    if any(node.due_at is not None for node in world.nodes):
        yield ("time",), 0
        if left and world.to_go([node.due_at for node in world.nodes]) > 0:
            yield ("nearly",), 1


def briefly(world: World, depth: int, faults: int) -> set[State]:
    """The same of the search with short cuts."""
    space = Space(world)
    found = space.search(depth, faults)
    assert found.broken is None
    return {_state_of(*space.parts_of(world)) for level in space.levels[1:] for world in level} - {
        ()
    }


def _state_of(nodes: Sequence[Node], store: Store, left: int) -> State:
    """What is compared of a state; nothing if it is only come to without short cuts."""
    nodes = [node.copy() for node in nodes]
    store = store.copy()
    for node in nodes:
        node.forget_ghosts(store)
        node.let_go(store)
        node.forget_ghosts(store)
        if any(each.applied and isinstance(each.asked, _AT_ONCE) for each in node.flights):
            return ()
        node.flights = [replace(each, older=()) for each in node.flights]
    return (*map(node_key, nodes), store_key(store), left)
