"""Elections one upon the other in `election_model`: a walk that is harsher and cheaper than `Walk`.

Two to five candidates, with no time and no work between the events but what the election asks for;
a leader is hardly in office when something befalls it. What dies comes back as a new process of
the same name. How frequent which fault is, how the answers come and how long everything takes is
drawn anew for each seed, and each seed is one history, the same every time.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from election_model import Action, World
from election_node import Node
from election_walk import somebody_leads

from coord.election.machine import Election
from coord.election.states import State
from coord.election.timing import CLOCK_TOLERANCE, Timing

RATES = (0.95, 1.0, 1.05)

MANY = 10
"""More requests than these of one node are not left under way: they land, as late as it is."""

SETTLE_S = 60.0
"""After so long without faults somebody must lead."""

_FAULTS = {
    "down": 8.0,
    "expire": 6.0,
    "freeze": 2.0,
    "kill": 2.0,
    "shut": 1.0,
    "broken": 1.0,
    "force": 1.0,
    "edit": 1.0,
    "delete": 1.5,
    "forget": 1.0,
    "others": 2.0,
}
"""How frequent each fault is on the whole; each walk has its own favourites."""


def a_timing(rnd: Random) -> Timing:
    """Durations that are just safe, or nearly so, of any size."""
    lock_delay, takeover_delay = rnd.choice((1.0, 2.0, 5.0)), rnd.choice((0.0, 0.5, 1.0))
    fenced = (lock_delay + takeover_delay) / CLOCK_TOLERANCE * rnd.choice((1.0, 1.0, 0.7))
    lease = fenced * rnd.choice((0.5, 0.8, 0.95))
    return Timing(
        lock_delay=lock_delay,
        takeover_delay=takeover_delay,
        lease=lease,
        fence_grace=(fenced - lease) * 0.999,
        confirm_interval=lease / rnd.choice((2.0, 2.0, 4.0)),
        election_interval=rnd.choice((0.5, 5.0, 5.0, 5.0)),
        cool_down=rnd.choice((0.0, 0.0, 0.2, 2.0)),
        suspend_limit=rnd.choice((0.5, 3.0, 60.0)),
        shutdown_timeout=rnd.choice((0.5, 3.0, 30.0)),
    )


class Storm:
    """One history. `elections` is how many terms were taken and their work begun in it.

    Args:
        log: what is told of every action, before it happens.
    """

    def __init__(
        self,
        seed: int,
        election: type[Election] = Election,
        log: Callable[[float, Action], None] | None = None,
    ) -> None:
        self.rnd = rnd = Random(seed)
        self.random = rnd.random
        rates = [rnd.choice(RATES) for _ in range(rnd.choice((2, 2, 3, 3, 4, 5)))]
        self.world = World(rates, a_timing(rnd), election)
        self.log = log
        self.elections = 0
        self.events = 0
        self._highest = 0
        self._led_by_rate = rnd.choice((0.1, 0.4, 0.7))
        """How likely each step is a fault while somebody is at work; and else:"""
        self._fault_rate = rnd.choice((0.002, 0.01, 0.05))
        self._time_rate = rnd.choice((0.02, 0.1, 0.3))
        self._losses = rnd.choice((0.0, 0.02, 0.1, 0.3))
        self._at_once = rnd.choice((0.3, 0.8, 1.0))
        self._slow = rnd.choice((1.0, 0.3, 0.1, 0.02))
        """How likely the node that lags behind gets on, next to the others."""
        self._lagging = 0
        self._kinds = list(_FAULTS)
        self._weights = [each * rnd.choice((0.0, 1.0, 1.0, 4.0)) for each in _FAULTS.values()]
        self._weights[0] += 0.1

    def go(self, steps: int) -> Storm:
        """Go on for so many steps, then without faults; raises `election_store.BrokenError`."""
        for _ in range(steps):
            self._step()
        self.world.settle(SETTLE_S)
        somebody_leads(self.world)
        return self

    def do(self, action: Action, step: float | None = None) -> None:
        if self.log is not None:
            self.log(self.world.now, action)
        self.world.do(action, step)
        self.events += 1
        if self.world.store.highest_term != self._highest:
            self._highest = self.world.store.highest_term
            self.elections += 1

    # -- one step --------------------------------------------------------------------------

    def _step(self) -> None:
        pick = self.random()
        nodes = self.world.nodes
        led = any(node.working for node in nodes)
        fault_rate = self._led_by_rate if led else self._fault_rate
        if pick < fault_rate:
            self._fault()
        elif pick < fault_rate + self._time_rate:
            self._pass_time()
        else:
            number = int(self.random() * len(nodes))
            node = nodes[number]
            if number == self._lagging and self._slow < 1.0 and self.random() > self._slow:
                return
            if node.dead or node.frozen or node.election.state is State.STOPPED:
                self._revive(number, node)
            else:
                self._serve(number, node)

    def _pass_time(self) -> None:
        self.do(("time",), self.rnd.choice((None, None, None, None, None, None, None, 0.01, 0.2)))

    def _revive(self, number: int, node: Node) -> None:
        if node.frozen and not node.dead:
            if self.random() < 0.2:
                self.do(("thaw", number))
        elif node.ghosts and self.random() < 0.5:
            self.do(("reach", number, 0, True))
        elif self.random() < 0.3:
            self.do(("restart", number, self.random() < 0.5))
        else:
            self._run_out()

    def _run_out(self) -> None:
        """A session that nobody uses comes to its end."""
        used = {n.election.sessions.current for n in self.world.nodes if not (n.dead or n.frozen)}
        left = sorted(self.world.store.sessions - used)
        if left:
            self.do(("expire", self.rnd.choice(left)))

    def _serve(self, number: int, node: Node) -> None:
        """Something of that node goes on."""
        pick = self.random()
        if node.ghosts and (pick < 0.2 or len(node.ghosts) > MANY):
            self.do(("reach", number, int(self.random() * len(node.ghosts)), True))
        elif node.stopping and pick < 0.5:
            self.do(("stopped", number, node.stopping[0]))
        elif node.flights:
            self._answer(number, node, int(self.random() * len(node.flights)))
        elif pick < 0.6 and (node.seen != self.world.store.view.leader_index or pick < 0.05):
            self.do(("watch", number, self.random() < 0.2))
        elif pick < 0.7 and node.election.sessions.current not in self.world.store.sessions:
            self.do(("lost", number))
        else:
            self._pass_time()

    def _answer(self, number: int, node: Node, i: int) -> None:
        if self._losses and self.random() < self._losses:
            self.do(("fail", number, i))
        elif node.flights[i].applied:
            self.do(("answer", number, i))
        else:
            self.do(("reach", number, i, False))
            if self.random() < self._at_once:
                self.do(("answer", number, i))

    # -- one fault -------------------------------------------------------------------------

    def _fault(self) -> None:
        world = self.world
        kind = self.rnd.choices(self._kinds, self._weights)[0]
        working = [number for number, node in enumerate(world.nodes) if node.working]
        number = working[0] if working and self.random() < 0.8 else 0
        node = world.nodes[number]
        if self.random() < 0.5:
            self._lagging = number  # it learns of what befell it later than the others
        if kind == "expire":
            sessions = sorted(world.store.sessions)
            session = world.store.view.session if self.random() < 0.7 else None
            if session is None or session not in sessions:
                session = self.rnd.choice(sessions) if sessions else None
            if session is not None:
                self.do((kind, session))
        elif kind == "delete":
            self.do((kind, *self.rnd.choice(((True, False), (True, True), (False, True)))))
        elif kind in ("force", "edit", "forget"):
            self.do((kind,))
        elif not (node.dead or node.frozen):
            self.do((kind, number, world.others_of(node)) if kind == "others" else (kind, number))
