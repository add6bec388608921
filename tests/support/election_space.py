"""Every history of a `World`, to a depth: all that may happen next, in every order.

Breadth first, through the actions of `election_events`; each history has a number of faults at
most. Worlds are rows of numbers, one for the state of the store and one for each node's, since
states that are one and the same by `election_key` have one number. What an action does to a node
depends on that node and the store alone, so it is worked out once for each pair of numbers, by the
very methods that `World.do` calls, and looked up from then on. That makes a step cost about a
microsecond or a few, and leaves nothing out.

There are fewer states than one might come to for four reasons: some requests reach Consul and are
answered by one action (`election_events`), states of one key stand for each other, requests that
can do nothing any more are dropped (`Node.forget_ghosts`), and so are sessions of which it makes
no difference whether they are gone (`Node.let_go`); each says why that is sound. A test compares
all of it with a search that does nothing of the sort (`election_plain`): they come to the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from election_events import (
    FAULTS,
    cost_of,
    faults_of_consul,
    faults_of_node,
    free_actions,
    kind_of,
)
from election_model import Action, World, act
from election_node import Node
from election_numbers import MOST, Numbers
from election_store import BrokenError, Store
from election_time import true_seconds

_BITS = MOST.bit_length()
"""How many bits of a world's number each of its parts has; the lowest have the faults left."""

_FAULT_BITS = 2
_PART = (1 << _BITS) - 1
_LEFT = (1 << _FAULT_BITS) - 1


@dataclass(slots=True)
class Found:
    """What a search came to."""

    depth: int
    states: int = 0
    """Distinct states, the first one too."""
    visits: int = 0
    """How often a state was come to."""
    changed: int = 0
    """States in which one is at work that was not at first."""
    nodes: int = 0
    """Distinct states of single nodes."""
    by_depth: list[int] = field(default_factory=list)
    """Distinct states by the least number of events that lead there."""
    broken: str | None = None
    path: list[str] = field(default_factory=list)
    """What led to what is broken."""


@dataclass(slots=True)
class _Moves:
    """What the actions on one node and one store make of the number of a world.

    `once` and `twice` are what is to be added to it, where the store stays as it is, by how many
    events it takes. `loud` are those where it changes: with its new number, by one event.
    """

    once: list[int] = field(default_factory=list)
    twice: list[int] = field(default_factory=list)
    loud: list[tuple[int, int]] = field(default_factory=list)
    loud_twice: list[tuple[int, int]] = field(default_factory=list)


class Space(Numbers):
    """All that can come of one world.

    Args:
        world: where it begins. Its times are those of `election_time`.
        faults: the kinds of faults that there are, of `election_events.FAULTS`.
    """

    def __init__(self, world: World, faults: Collection[str] = FAULTS) -> None:
        super().__init__()
        self.faults = faults
        self._late = "late" in faults
        self.names = [node.name for node in world.nodes]
        # What was tried before, by the numbers of what it was tried on.
        self._free: dict[int, _Moves] = {}
        self._struck: dict[int, _Moves] = {}
        self._blows: dict[int, list[tuple[int, int]]] = {}
        self._elapsed: dict[tuple[int, int, bool], int] = {}
        self._waited: dict[tuple[int, int], int] = {}
        self._told: dict[tuple[int, int], int] = {}
        self._kept: dict[tuple[int, int, int], int] = {}
        self._shifts = [_FAULT_BITS + _BITS * (1 + n) for n in range(len(world.nodes))]
        self.start = self._store_id(world.store.copy()) << _FAULT_BITS
        for shift, node in zip(self._shifts, world.nodes, strict=True):
            self.start |= self._node_id(node.copy()) << shift
        self._at_first = [node.working for node in world.nodes]

    # -- what is worked out once -----------------------------------------------------------

    def parts(self, world: int) -> tuple[int, list[int]]:
        """The numbers of the store's state and of each node's."""
        return world >> _FAULT_BITS & _PART, [world >> shift & _PART for shift in self._shifts]

    def parts_of(self, world: int) -> tuple[list[Node], Store, int]:
        """Its nodes, its store, and how many faults there may be yet."""
        s, xs = self.parts(world)
        return [self.node(x) for x in xs], self._stores[s], world & _LEFT

    def _done(self, action: Action, s: int, x: int) -> tuple[int, int]:
        """The numbers of the store and the node after an action."""
        node, store = self.node(x).copy(), self._stores[s].copy()
        act(action, None if action[0] == "expire" else node, store)
        node.forget_ghosts(store)
        node.let_go(store)
        node.forget_ghosts(store)
        return self._store_id(store), self._node_id(node)

    def _moves(self, actions: Iterable[Action], s: int, x: int, place: int, used: int) -> _Moves:
        moves = _Moves()
        for action in actions:
            s2, x2 = self._done(action, s, x)
            delta = ((s2 - s) << _FAULT_BITS) + ((x2 - x) << self._shifts[place]) - used
            twice = cost_of(action) == 2
            if s2 == s:
                (moves.twice if twice else moves.once).append(delta)
            else:
                (moves.loud_twice if twice else moves.loud).append((delta, s2))
        return moves

    def _free_of(self, s: int, x: int, place: int) -> _Moves:
        actions = free_actions(place, self.node(x), self._stores[s])
        moves = self._free[s << _BITS | x] = self._moves(actions, s, x, place, 0)
        return moves

    def _faults_of(self, s: int, x: int, place: int) -> list[Action]:
        found = faults_of_node(place, self.node(x), self._stores[s])
        return [action for action in found if kind_of(action) in self.faults]

    def _struck_of(self, s: int, x: int, place: int) -> _Moves:
        actions = self._faults_of(s, x, place)
        moves = self._struck[s << _BITS | x] = self._moves(actions, s, x, place, 1)
        return moves

    def _blown(self, s: int) -> Iterator[tuple[int, Action]]:
        for action in faults_of_consul(self._stores[s]):
            if kind_of(action) in self.faults:
                store = self._stores[s].copy()
                act(action, None, store)
                yield self._store_id(store), action

    def _blows_of(self, s: int) -> list[tuple[int, int]]:
        blows = [(((s2 - s) << _FAULT_BITS) - 1, s2) for s2, _ in self._blown(s) if s2 != s]
        self._blows[s] = blows
        return blows

    def _keep(self, s: int, s2: int, x: int) -> int:
        """The node when the store has changed: what it has under way is seen in a new light."""
        kept = self._kept.get((s, s2, x))
        if kept is None:
            node = self.node(x).copy(machine=False)
            if self._stores[s].view != self._stores[s2].view:
                node.miss(self._stores[s].view)
            node.forget_ghosts(self._stores[s2])
            kept = self._kept[s, s2, x] = self._node_id(node)
        return kept

    def _elapse(self, x: int, dt: int, fires: bool) -> int:
        due = self._due[x]
        is_due = fires and due is not None and due <= dt
        if due is not None and not is_due and dt < self._stays[x]:
            after = self._later_id(x, dt)
        else:
            node = self.node(x).copy(machine=is_due)
            node.elapse(true_seconds(dt))
            if is_due:
                node.do_due()
            assert not node.begun, "time alone does not begin any work"
            after = self._node_id(node)
        self._elapsed[x, dt, fires] = after
        return after

    def _wait(self, s: int, dt: int) -> int:
        after = self._waited.get((s, dt))
        if after is None:
            store = self._stores[s].copy()
            store.now += true_seconds(dt)
            after = self._waited[s, dt] = self._store_id(store)
        return after

    def _tell(self, x: int, mask: int) -> int:
        """The node once the catalog has shown who is fine; itself if it knew."""
        after, node = x, self.node(x)
        fine = [name for place, name in enumerate(self.names) if mask >> place & 1]
        names = tuple(name for name in fine if name != node.name)
        if self._fine[x] and names != node.others:
            node = node.copy()
            node.see(names)
            assert not node.begun, "the catalog alone does not begin any work"
            after = self._node_id(node)
        self._told[x, mask] = after
        return after

    # -- what may come next ----------------------------------------------------------------

    def following(self, world: int) -> tuple[list[int], list[int]]:
        """All that may come next, by one event and by two."""
        s, xs = world >> _FAULT_BITS & _PART, [world >> shift & _PART for shift in self._shifts]
        once: list[int] = []
        twice: list[int] = []
        mask = 0
        for place, x in enumerate(xs):
            moves = self._free.get(s << _BITS | x) or self._free_of(s, x, place)
            self._add(world, s, moves, once, twice)
            if world & _LEFT:
                moves = self._struck.get(s << _BITS | x) or self._struck_of(s, x, place)
                self._add(world, s, moves, once, twice)
            if self._fine[x]:
                mask |= 1 << place
        if world & _LEFT:
            blows = self._blows.get(s)
            for delta, s2 in self._blows_of(s) if blows is None else blows:
                once.append(self._changed(world + delta, s, s2))
        for shift, x in zip(self._shifts, xs, strict=True):
            after = self._told.get((x, mask))
            if after is None:
                after = self._tell(x, mask)
            if after != x:
                once.append(self._lightened(world + ((after - x) << shift), s))
        once += (after for after, _ in self._later(world, s, xs))
        return once, twice

    def _add(self, world: int, s: int, moves: _Moves, once: list[int], twice: list[int]) -> None:
        for delta in moves.once:
            once.append(world + delta)
        for delta in moves.twice:
            twice.append(world + delta)
        for delta, s2 in moves.loud:
            once.append(self._changed(world + delta, s, s2))
        for delta, s2 in moves.loud_twice:
            twice.append(self._changed(world + delta, s, s2))

    def _changed(self, world: int, s: int, s2: int) -> int:
        """The world when its store has changed."""
        for shift in self._shifts:
            x = world >> shift & _PART
            if self._touchy[x]:
                world += (self._keep(s, s2, x) - x) << shift
        return world

    def _lightened(self, world: int, s: int) -> int:
        """The world without the requests that can do nothing any more."""
        for shift in self._shifts:
            x = world >> shift & _PART
            if self._ghostly[x]:
                world += (self._keep(s, s, x) - x) << shift
        return world

    def _later(self, world: int, s: int, xs: Sequence[int]) -> list[tuple[int, Action]]:
        """Time goes on to the next moment, and what is due then happens, or has yet to."""
        due = [at for x in xs if (at := self._due[x]) is not None]
        if not due:
            return []
        dt = max(0, min(due))
        s2 = self._wait(s, dt) if dt else s
        found: list[tuple[int, Action]] = []
        left = world & _LEFT
        for fires in (True, False) if dt and left and self._late else (True,):
            after = s2 << _FAULT_BITS | left - (not fires)
            for shift, x in zip(self._shifts, xs, strict=True):
                x2 = self._elapsed.get((x, dt, fires))
                after |= (self._elapse(x, dt, fires) if x2 is None else x2) << shift
            found.append((self._lightened(after, s2), ("time",) if fires else ("nearly",)))
        return found

    # -- searching -------------------------------------------------------------------------

    def search(self, depth: int, faults: int) -> Found:
        """Visit all that can be reached in so many events, of which so many at most are faults."""
        found = Found(depth)
        start = self.start | faults
        seen, levels = {start}, [[start]]
        self.levels = levels
        by_two: tuple[set[int], set[int]] = (set(), set())
        for level in range(1, depth + 1):
            new: list[int] = []
            world = start
            try:
                for world in levels[-1]:
                    once, twice = self.following(world)
                    found.visits += len(once)
                    for after in once:
                        if after not in seen:
                            seen.add(after)
                            new.append(after)
                    if level < depth:
                        found.visits += len(twice)
                        by_two[1].update(twice)
                new += by_two[0] - seen
                seen |= by_two[0]
                levels.append(new)
                by_two = by_two[1], set()
                for world in new:
                    found.changed += self._check(world)
            except BrokenError as error:
                found.broken, found.path = str(error), self._path(levels, world)
                break
        found.by_depth = [len(each) for each in levels]
        found.states, found.nodes = len(seen), len(self._nodes)
        return found

    def _check(self, world: int) -> bool:
        """Whether one is at work that was not at first; raises `BrokenError` where two are."""
        working = [self._working[world >> shift & _PART] for shift in self._shifts]
        if sum(working) > 1:
            raise BrokenError(f"{sum(working)} work at once")
        return working != self._at_first and any(working)

    # -- telling how -----------------------------------------------------------------------

    def steps(self, world: int) -> Iterator[tuple[int | None, Action]]:
        """All that may come next, by what; None where it breaks a promise."""
        s, xs = self.parts(world)
        struck = 1 if world & _LEFT else 0
        for place, x in enumerate(xs):
            free = [(action, 0) for action in free_actions(place, self.node(x), self._stores[s])]
            faults = [(action, 1) for action in self._faults_of(s, x, place)] * struck
            for action, used in free + faults:
                try:
                    s2, x2 = self._done(action, s, x)
                except BrokenError:
                    yield None, action
                    continue
                after = world + ((s2 - s) << _FAULT_BITS) + ((x2 - x) << self._shifts[place]) - used
                yield after if s2 == s else self._changed(after, s, s2), action
        for s2, action in self._blown(s) if struck else ():
            yield self._changed(world + ((s2 - s) << _FAULT_BITS) - 1, s, s2), action
        mask = sum(1 << place for place, x in enumerate(xs) if self._fine[x])
        for place, x in enumerate(xs):
            after = world + ((self._tell(x, mask) - x) << self._shifts[place])
            if after != world:
                yield self._lightened(after, s), ("others", place)
        yield from self._later(world, s, xs)

    def _path(self, levels: list[list[int]], last: int) -> list[str]:
        """How the search came to that world, and what broke in it if anything did."""
        at = next(level for level, worlds in enumerate(levels) if last in worlds)
        path = [self._said(last, action) for after, action in self.steps(last) if after is None][:1]
        while at > 0:
            at, last, said = next(
                (at - cost, world, self._said(world, action))
                for cost in (1, 2)
                for world in levels[at - cost]
                for after, action in self.steps(world)
                if after == last and cost_of(action) == cost
            )
            path.append(said)
        return path[::-1]

    def _said(self, world: int, action: Action) -> str:
        kind, *args = action
        if kind not in ("reach", "answer", "fail", "read", "get"):
            return " ".join(map(str, action))
        node = self.node(world >> self._shifts[args[0]] & _PART)
        ghost = kind == "reach" and args[2]
        asked = (node.ghosts if ghost else node.flights)[args[1]].asked
        late = " of long ago" if ghost or (kind == "read" and args[2] is not None) else ""
        return f"{node.name} {kind} {type(asked).__name__}{late}"
