"""Every history of a `World`, to a depth: all that may happen next, in every order.

Breadth first. What counts as one event is one action of `free_actions` or `faults`: a request
reaches Consul; an answer arrives; a request fails unanswered, though it may land yet; the watch or
the catalog is delivered; the work has ended; a session's end is learnt of; time goes to the next
moment at which something must happen, with what then happens by itself; or one fault, of which
each history has a number at most. A command on its way to the wire is no event of its own.

Worlds are rows of numbers, one for the state of the store and one for each node's, as states that
are one and the same by `election_key` have one number. What an action does to a node depends on
that node and the store alone, so it is worked out once for each pair of numbers, by the very
methods that `World.do` calls, and looked up from then on. That makes a step cost a microsecond or
two and leaves nothing out; `plainly` does the same by `World.do` alone, to compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from election_key import UNITS, Key, node_key, store_key
from election_model import Action, World, act
from election_node import Node
from election_store import BrokenError, Store

_BITS = 21
"""How many bits of a world's number each of its parts has."""

_FAULT_BITS = 2
_PART = (1 << _BITS) - 1


# -- what may happen ---------------------------------------------------------------------------


def free_actions(number: int, node: Node, store: Store) -> Iterator[Action]:
    """What may happen to one node at any moment, time and the catalog aside, without a fault."""
    yield from (("reach", number, i, True) for i in range(len(node.ghosts)))
    used = _used(node)
    mine = sorted(each for each in store.sessions if _owner(each) == node.name)
    yield from (("expire", each) for each in mine if each not in used)
    if node.dead:
        return
    if node.frozen:
        yield ("thaw", number)
        return
    for i, flight in enumerate(node.flights):
        yield ("answer", number, i) if flight.applied else ("reach", number, i, False)
        yield ("fail", number, i)
    yield from (("stopped", number, run) for run in node.stopping)
    if node.seen != store.view.leader_index:
        yield ("watch", number, False)
    if node.seen != store.before.leader_index:
        yield ("watch", number, True)
    current = node.election.sessions.current
    if current is not None and current not in store.sessions:
        yield ("lost", number)


def faults_of(number: int, node: Node, store: Store) -> Iterator[Action]:
    """What may befall one node."""
    if node.dead:
        return
    yield from (("expire", each) for each in sorted(_used(node) & store.sessions))
    yield ("kill", number)
    if not node.frozen:
        yield ("freeze", number)
        if node.working:
            yield ("down", number)


def faults_of_consul(store: Store) -> Iterator[Action]:
    """What may befall the keys."""
    view = store.view
    if not view.missing:
        yield ("edit",)
        yield ("delete", True, False)
        yield ("delete", True, True)
    if view.term_index:
        yield ("delete", False, True)
    if view.session is not None:
        yield ("force",)
    if store.now < store.free_from:
        yield ("forget",)


def _used(node: Node) -> set[str]:
    """The sessions that a living node relies on; the others run out, as do those of the dead."""
    if node.dead or node.frozen:
        return set()
    election = node.election
    tenure = election.tenure.session if election.tenure is not None else None
    return {each for each in (election.sessions.current, tenure) if each is not None}


def _owner(session: str) -> str:
    return session.partition("s")[0]


# -- the search --------------------------------------------------------------------------------


@dataclass(slots=True)
class Found:
    """What a search came to."""

    depth: int
    states: int = 1
    """Distinct states, the first one too."""
    visits: int = 1
    """How often a state was come to."""
    changed: int = 0
    """States in which another one is at work than at first."""
    terms: int = 0
    """The most terms that were led in one history."""
    by_depth: list[int] = field(default_factory=lambda: [1])
    nodes: int = 0
    """Distinct states of single nodes."""
    broken: str | None = None
    path: list[str] = field(default_factory=list)
    """What led to what is broken."""


class Space:
    """All that can come of one world. It must be at rest in time: see `election_key`."""

    def __init__(self, world: World, faults: Callable[[Action], bool] = lambda _: True) -> None:
        self._fault = faults
        self._stores: list[Store] = []
        self._nodes: list[Node] = []
        self._ids: dict[Key, int] = {}
        self._names = [node.name for node in world.nodes]
        self._working: list[bool] = []
        self._fine: list[bool] = []
        self._ghostly: list[bool] = []
        self._due: list[int | None] = []
        self._moves: dict[int, list[tuple[int, int, Action]]] = {}
        self._strikes: dict[int, list[tuple[int, int, Action]]] = {}
        self._blows: dict[int, list[tuple[int, Action]]] = {}
        self._elapsed: dict[tuple[int, int, bool], int] = {}
        self._waited: dict[tuple[int, int], int] = {}
        self._told: dict[tuple[int, int], int] = {}
        self._kept: dict[tuple[int, int], int] = {}
        self.places = range(len(world.nodes))
        self._shift = [_FAULT_BITS + _BITS * (place + 1) for place in self.places]
        self.start = self._store_id(world.store.copy()) << _FAULT_BITS
        for shift, node in zip(self._shift, world.nodes, strict=True):
            self.start |= self._node_id(node.copy(), world.store) << shift
        self._at_first = [node.working for node in world.nodes]

    # -- numbers for states ----------------------------------------------------------------

    def _store_id(self, store: Store) -> int:
        key = store_key(store)
        known = self._ids.get(key)
        if known is None:
            known = self._ids[key] = len(self._stores)
            self._stores.append(store)
        return known

    def _node_id(self, node: Node, store: Store) -> int:
        node.forget_ghosts(store)
        key = node_key(node)
        known = self._ids.get(key)
        if known is None:
            known = self._ids[key] = len(self._nodes)
            self._nodes.append(node)
            self._working.append(node.working)
            self._fine.append(not (node.dead or node.frozen or node.shut))
            self._ghostly.append(bool(node.ghosts))
            self._due.append(_due(node))
        return known

    def _done(self, actions: Iterator[Action], x: int, s: int, shift: int) -> list[tuple[int, int, Action]]:
        """What each action makes of a world's number, and the store's after it, or -1."""
        done = []
        for action in actions:
            node, store = self._nodes[x].copy(), self._stores[s].copy()
            act(action, None if action[0] == "expire" else node, store)
            s2 = self._store_id(store)
            x2 = self._node_id(node, store)
            delta = ((s2 - s) << _FAULT_BITS) + ((x2 - x) << shift)
            done.append((delta, s2 if s2 != s else -1, action))
        return done

    def _of_node(self, s: int, x: int, place: int, *, strikes: bool) -> list[tuple[int, int, Action]]:
        node, store = self._nodes[x], self._stores[s]
        if strikes:
            actions = (a for a in faults_of(place, node, store) if self._fault(a))
        else:
            actions = free_actions(place, node, store)
        done = self._done(actions, x, s, self._shift[place])
        (self._strikes if strikes else self._moves)[s << _BITS | x] = done
        return done

    def _of_consul(self, s: int) -> list[tuple[int, Action]]:
        done = []
        for action in faults_of_consul(self._stores[s]):
            if self._fault(action):
                store = self._stores[s].copy()
                act(action, None, store)
                store.receive()
                done.append((self._store_id(store), action))
        self._blows[s] = done
        return done

    def _keep(self, s: int, x: int) -> int:
        """The node without the requests that can do nothing any more."""
        kept = self._kept.get((s, x))
        if kept is None:
            kept = self._kept[s, x] = self._node_id(self._nodes[x].copy(), self._stores[s])
        return kept

    def _elapse(self, s: int, x: int, dt: int, fires: bool) -> int:
        after = self._elapsed.get((x, dt, fires))
        if after is None:
            node = self._nodes[x].copy()
            node.elapse(dt * 20 / UNITS)
            if fires:
                node.do_due()
            assert not node.begun, "time alone does not begin any work"
            after = self._elapsed[x, dt, fires] = self._node_id(node, self._stores[s])
        return after

    def _wait(self, s: int, dt: int) -> int:
        after = self._waited.get((s, dt))
        if after is None:
            store = self._stores[s].copy()
            store.now += dt * 20 / UNITS
            after = self._waited[s, dt] = self._store_id(store)
        return after

    def _tell(self, s: int, x: int, mask: int) -> int:
        """The node once it has seen in the catalog who is fine; itself if it had."""
        after = self._told.get((x, mask))
        if after is None:
            after, node = x, self._nodes[x]
            names = tuple(
                name
                for place, name in enumerate(self._names)
                if mask >> place & 1 and name != node.name
            )
            if self._fine[x] and names != node.others:
                node = node.copy()
                node.see(names)
                assert not node.begun, "the catalog alone does not begin any work"
                after = self._node_id(node, self._stores[s])
            self._told[x, mask] = after
        return after

    # -- steps -----------------------------------------------------------------------------

    def parts(self, world: int) -> tuple[int, list[int]]:
        """The numbers of the store's state and of each node's."""
        return world >> _FAULT_BITS & _PART, [world >> shift & _PART for shift in self._shift]

    def steps(self, world: int) -> Iterator[tuple[int, Action]]:
        """Everything that may come next, and by what."""
        s, xs = self.parts(world)
        struck = world & (1 << _FAULT_BITS) - 1
        for place, x in enumerate(xs):
            pair = s << _BITS | x
            moves = self._moves.get(pair)
            if moves is None:
                moves = self._of_node(s, x, place, strikes=False)
            for delta, s2, action in moves:
                yield (world + delta if s2 < 0 else self._kept_all(world + delta, s2)), action
            if struck:
                strikes = self._strikes.get(pair)
                if strikes is None:
                    strikes = self._of_node(s, x, place, strikes=True)
                for delta, s2, action in strikes:
                    after = world + delta - 1
                    yield (after if s2 < 0 else self._kept_all(after, s2)), action
        if struck:
            blows = self._blows.get(s)
            if blows is None:
                blows = self._of_consul(s)
            for s2, action in blows:
                yield self._kept_all(world + ((s2 - s) << _FAULT_BITS) - 1, s2), action
        mask = sum(1 << place for place, x in enumerate(xs) if self._fine[x])
        for place, x in enumerate(xs):
            after = self._told.get((x, mask))
            if after is None:
                after = self._tell(s, x, mask)
            if after != x:
                yield world + ((after - x) << self._shift[place]), ("others", place)
        yield from self._times(world, s, xs)

    def _kept_all(self, world: int, s: int) -> int:
        """The world once its store has changed."""
        for shift in self._shift:
            x = world >> shift & _PART
            if self._ghostly[x]:
                world += (self._keep(s, x) - x) << shift
        return world

    def _times(self, world: int, s: int, xs: Sequence[int]) -> Iterator[tuple[int, Action]]:
        due = [at for x in xs if (at := self._due[x]) is not None]
        if not due:
            return
        dt = max(0, min(due))
        struck = world & (1 << _FAULT_BITS) - 1
        s2 = self._wait(s, dt) if dt else s
        for fires, action in ((True, ("time",)), (False, ("nearly",))):
            if not (fires or dt):
                continue
            after = s2 << _FAULT_BITS | struck
            for shift, x in zip(self._shift, xs, strict=True):
                x2 = self._elapsed.get((x, dt, fires))
                if x2 is None:
                    x2 = self._elapse(s2, x, dt, fires)
                after |= x2 << shift
            yield self._kept_all(after, s2), action

    # -- searching -------------------------------------------------------------------------

    def search(self, depth: int, faults: int) -> Found:
        """Visit all that can be reached in so many events, of which so many at most are faults."""
        found = Found(depth)
        start = self.start | faults
        seen = {start}
        levels = [[start]]
        working, shifts = self._working, self._shift
        for _ in range(depth):
            following: list[int] = []
            for world in levels[-1]:
                try:
                    for after, _action in self.steps(world):
                        found.visits += 1
                        if after in seen:
                            continue
                        seen.add(after)
                        following.append(after)
                        at_work = 0
                        for place, shift in enumerate(shifts):
                            if working[after >> shift & _PART]:
                                at_work += 1
                                found.changed += not self._at_first[place]
                        if at_work > 1:
                            raise BrokenError(f"{at_work} work at once")
                except BrokenError as error:
                    found.broken = str(error)
                    found.path = self._path(levels, world)
                    return found
            levels.append(following)
            found.by_depth.append(len(following))
        found.states, found.nodes = len(seen), len(self._nodes)
        found.terms = max(len(store.sessions) for store in self._stores)
        return found

    def _path(self, levels: list[list[int]], last: int) -> list[str]:
        """How the search came there."""
        path: list[str] = []
        for level in reversed(levels[:-1]):
            for world in level:
                action = next((a for after, a in self.steps(world) if after == last), None)
                if action is not None:
                    path.append(self._said(world, action))
                    last = world
                    break
        return path[::-1]

    def _said(self, world: int, action: Action) -> str:
        kind, *args = action
        if kind in ("reach", "answer", "fail"):
            node = self._nodes[world >> self._shift[args[0]] & _PART]
            flights = node.ghosts if args[2:] == [True] else node.flights
            asked = type(flights[args[1]].asked).__name__
            return f"{node.name}: {kind} {asked}{' of long ago' * (args[2:] == [True])}"
        return " ".join(map(str, action))


def _due(node: Node) -> int | None:
    """How far away the next moment is at which something must happen to it, in 1/7980 s."""
    due_at = node.due_at
    if due_at is None:
        return None
    exact = (due_at - node.now) * UNITS / (20 * node.rate)
    whole = round(exact)
    assert abs(exact - whole) < 0.01, f"{node.name} is off the grid of times by {exact - whole}"
    return whole
