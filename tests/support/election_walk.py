"""Random walks through `election_model`: each seed is one history, the same every time.

What makes faults rare or frequent, and which node is slow or cut off, is drawn anew for each walk;
half of them begin with a fault that hits the leader just after it has confirmed its lease, where
two leaders would be nearest. Each walk ends without faults, and somebody must lead.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from election_model import Action, World
from election_store import BrokenError

from coord.election.states import State

CLOCK_RATES = (0.951, 1.0, 1.049)

_ROUTINE = {"reach": 8.0, "answer": 8.0, "time": 3.0, "stopped": 4.0}
_NOISE = {
    "watch": 2.0,
    "fail": 2.0,
    "thaw": 3.0,
    "others": 0.5,
    "down": 0.3,
    "freeze": 0.3,
    "kill": 0.1,
    "shut": 0.08,
    "lost": 1.0,
    "expire": 0.3,
    "edit": 0.15,
    "force": 0.15,
    "delete": 0.15,
}
_SLOW = ("reach", "answer", "stopped", "watch", "lost")


class Walk:
    """One history of `nodes` candidates. `log` is all that happened in it."""

    def __init__(self, seed: int, nodes: int, rates: Sequence[float] = CLOCK_RATES) -> None:
        self.rnd = rnd = Random(seed)
        self.world = World(tuple(rnd.choice(rates) for _ in range(nodes)))
        # A Consul server that has just taken over may not know of a lock-delay.
        self.world.store.lock_delay = rnd.choice((0.0, self.world.timing.lock_delay))
        self.log: list[tuple[float, Action]] = []
        noise = rnd.choice((0.03, 0.3, 1.0, 3.0))
        self._weights = {
            **_ROUTINE,
            **{kind: each * noise * rnd.choice((0.1, 1, 1, 3)) for kind, each in _NOISE.items()},
        }
        self._slow: dict[Action, float] = {}
        for number in range(nodes):
            if rnd.random() < 0.5:
                self._slow_down(number, (0.003, 0.1, 1.0))

    def _slow_down(self, number: int, factors: Sequence[float]) -> None:
        for kind in _SLOW:
            if self.rnd.random() < 0.7:
                self._slow[kind, number] = self.rnd.choice(factors)

    def go(self, steps: int) -> World:
        """Walk; raises `BrokenError` where a promise does not hold."""
        if self.rnd.random() < 0.8:
            self.world.settle(6.0)
        if self.rnd.random() < 0.6:
            self._strike()
        for _ in range(steps):
            self._do(self._choose(self.world.actions()))
        self.world.settle(60.0)
        somebody_leads(self.world)
        return self.world

    def _do(self, action: Action) -> None:
        self.log.append((self.world.now, action))
        self.world.do(action, self.rnd.choice((None, 0.05, 0.3, 1.0)))

    def _choose(self, actions: list[Action]) -> Action:
        many: dict[str, int] = {}
        for kind, *_ in actions:
            many[kind] = many.get(kind, 0) + 1
        weights = [
            self._weights[action[0]] * self._slow.get(action[:2], 1.0) / many[action[0]] ** 0.5
            for action in actions
        ]
        return self.rnd.choices(actions, weights)[0]

    def _strike(self) -> None:
        """The leader has just confirmed; now something happens to it, and the others see it."""
        world, rnd = self.world, self.rnd
        for number, node in enumerate(world.nodes):
            if node.working and rnd.random() < 0.5:
                # Else the node with the fastest clock, which waits least, would always lead.
                world.do(("down", number))
                world.settle(8.0)
                break
        leading = [number for number, node in enumerate(world.nodes) if node.working]
        if not leading:
            return
        for _ in range(rnd.randrange(4)):
            world.do(("time",))
            world.quiet()
        leader = leading[0]
        if rnd.random() < 0.7:
            self._slow.clear()
        if rnd.random() < 0.5:
            self._slow.update({(kind, leader): 0.001 for kind in _SLOW})
        else:
            self._slow_down(leader, (0.003, 0.003, 1.0))
        faults: list[Action] = [("expire", each) for each in sorted(world.store.sessions)] * 2
        faults += [("delete", True, True), ("delete", False, True), ("delete", True, False)]
        faults += [("force",), ("edit",), ("down", leader), ("freeze", leader)]
        self._do(rnd.choice(faults))
        for number in range(len(world.nodes)):
            if number != leader and rnd.random() < 0.8:
                self._do(("watch", number, False))


def somebody_leads(world: World) -> None:
    """Exactly one does, unless all are gone; raises `BrokenError`."""
    up = [node for node in world.nodes if not (node.dead or node.shut)]
    if up and len(world.leaders()) != 1:
        stand = [(node.name, node.election.state.value) for node in up]
        raise BrokenError(f"{len(world.leaders())} lead after a minute without faults: {stand}")
    for node in world.nodes:
        if node.shut and not node.dead and node.election.state is not State.STOPPED:
            raise BrokenError(f"{node.name} was shut down and is {node.election.state}")
