"""A small model of several candidates and of what Consul does to their keys, for exploring.

Everything that the real world may do at some moment is one action of a `World`: a request reaches
Consul, an answer comes or does not, time passes, a session is invalidated, an operator deletes a
key. `World.actions` lists what may happen now, `World.do` lets it happen and checks the promises.
Consul's side (`election_store`) is written from what Consul does, not from what the election
expects of it; `election_node` has the processes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from election_node import Node
from election_store import BrokenError, Store
from election_time import EPSILON_S, Moment

from coord.election import events as ev
from coord.election.machine import Election
from coord.election.timing import Timing

Action = tuple[Any, ...]

MOST_S = 10.0
"""How far time goes at once where nothing at all is waited for."""

_OF_A_NODE: dict[str, Callable[..., None]] = {
    "answer": Node.answer,
    "fail": Node.fail,
    "stopped": Node.stopped,
    "down": Node.down,
    "shut": Node.shut_down,
    "broken": Node.fail_work,
    "lost": Node.lose,
    "freeze": Node.freeze,
    "thaw": Node.thaw,
    "kill": Node.kill,
}
_OF_THE_STORE: dict[str, Callable[..., None]] = {
    "expire": Store.invalidate,
    "edit": Store.edit,
    "force": Store.force,
    "delete": Store.delete,
    "forget": Store.forget,
}


def act(action: Action, node: Node | None, store: Store) -> None:
    """Let an action happen to the one node that it is about (if it is), and to the store."""
    kind, *args = action
    if node is None:
        _OF_THE_STORE[kind](store, *args)
        return
    arguments = args[1:]
    if kind in ("reach", "read", "get"):
        getattr(node, kind)(*arguments, store)
    elif kind == "watch":
        node.watch(store.before if arguments[0] else store.view)
    elif kind == "others":
        node.see(*arguments)
    else:
        _OF_A_NODE[kind](node, *arguments)
    if node.begun:
        for token in node.begun:
            store.begin(token)
        node.begun.clear()


def is_about_a_node(action: Action) -> bool:
    """Whether its second part is the number of a node."""
    return action[0] not in _OF_THE_STORE


class World:
    """Several candidates, one Consul, one true clock.

    Args:
        rates: how fast the candidates' clocks go.
        exact: whether times are whole units of `election_time`.
    """

    def __init__(
        self,
        rates: Sequence[float],
        timing: Timing | None = None,
        election: type[Election] = Election,
        exact: bool = False,
    ) -> None:
        self.timing = timing or Timing()
        self.store = Store(self.timing.lock_delay, Moment(0) if exact else 0.0)
        self.nodes: list[Node] = []
        self._election = election
        for rate in rates:
            self.add(rate)
        for number in range(len(self.nodes)):
            self.do(("others", number, self.others_of(self.nodes[number])))

    @property
    def now(self) -> float:
        return self.store.now

    @property
    def led(self) -> int:
        """How many terms were led."""
        return sum(len(node.led) for node in self.nodes)

    def add(self, rate: float) -> None:
        """One more candidate starts."""
        number = len(self.nodes)
        self.nodes.append(self._process(f"n{number}", number, rate))
        self.nodes[-1].tell(ev.Started())

    def _process(
        self, name: str, number: int, rate: float, own_sessions: Collection[str] = ()
    ) -> Node:
        # A jitter of a multiple of a tenth keeps to the grid of `election_time`.
        election = self._election(name, self.timing, jitter=number / 10, own_sessions=own_sessions)
        return Node(name, election, rate, self.store.now)

    def restart(self, number: int, remembers: bool) -> None:
        """A new process takes the place of one that is gone, and may know its sessions."""
        old = self.nodes[number]
        own = old.election.sessions.own if remembers else ()
        new = self.nodes[number] = self._process(old.name, number, old.rate, own)
        new.boot, new.ghosts = old.boot + 1, old.ghosts
        new.tell(ev.Started())
        new.see(self.others_of(new))

    def others_of(self, node: Node) -> tuple[str, ...]:
        """Those whose checks would pass: not the dead nor the frozen."""
        return tuple(n.name for n in self.nodes if not (n is node or n.dead or n.shut or n.frozen))

    def copy(self) -> World:
        """Another one, in the same state."""
        new = object.__new__(World)
        new.timing, new._election = self.timing, self._election
        new.store = self.store.copy()
        new.nodes = [node.copy() for node in self.nodes]
        return new

    # -- what may happen -------------------------------------------------------------------

    def actions(self, *, faults: bool = True) -> list[Action]:
        found: list[Action] = []
        for number, node in enumerate(self.nodes):
            found += [("reach", number, i, True) for i, f in enumerate(node.ghosts)]
            if node.dead:
                continue
            if node.frozen:
                found.append(("thaw", number))
                continue
            for i, flight in enumerate(node.flights):
                found.append(
                    ("answer", number, i) if flight.applied else ("reach", number, i, False)
                )
                if faults:
                    found.append(("fail", number, i))
            found += [("stopped", number, run) for run in node.stopping]
            found.append(("watch", number, False))
            if faults:
                found += [("watch", number, True), ("others", number, self.others_of(node))]
                found += [("down", number), ("freeze", number), ("kill", number), ("shut", number)]
                if node.election.sessions.current not in self.store.sessions:
                    found.append(("lost", number))
        if faults:
            found += [("expire", session) for session in sorted(self.store.sessions)]
            found += [("edit",), ("force",), ("delete", True, False)]
            found += [("delete", True, True), ("delete", False, True)]
        return [*found, ("time",)]

    def do(self, action: Action, step: float | None = None) -> None:
        """Let it happen, and check what must always hold. `step` bounds how far time goes."""
        if action[0] == "time":
            self.pass_time(step)
        elif action[0] == "nearly":
            self.elapse(self.to_go([node.due_at for node in self.nodes]))
        elif action[0] == "restart":
            self.restart(*action[1:])
        else:
            about = self.nodes[action[1]] if is_about_a_node(action) else None
            act(action, about, self.store)
        self.check()

    # -- time ------------------------------------------------------------------------------

    def to_go(self, dues: Sequence[float | None]) -> float:
        """True seconds until the next of those moments of the nodes' clocks."""
        least = MOST_S
        for node, due in zip(self.nodes, dues, strict=True):
            if due is not None:
                least = min(least, (due - node.now) / node.rate)
        return max(0.0, least)

    def pass_time(self, step: float | None = None) -> None:
        """Go on to the next moment at which something must happen, at most `step` seconds."""
        dues = [node.due_at for node in self.nodes]
        to_go = self.to_go(dues)
        self.elapse(to_go if step is None else min(step, to_go))
        for node, due in zip(self.nodes, dues, strict=True):
            if due is not None and due <= node.clock:
                node.do_due()

    def elapse(self, seconds: float) -> None:
        """Time passes, and nothing that is due has happened yet."""
        self.store.now += seconds
        for node in self.nodes:
            node.elapse(seconds)

    def check(self) -> None:
        working = [node.name for node in self.nodes if node.working]
        if len(working) > 1:
            raise BrokenError(f"{working} work at once at {self.now}")

    # -- a world without faults ------------------------------------------------------------

    def settle(self, seconds: float) -> None:
        """Everything is answered at once, for so long; the dead lose their sessions."""
        for node in self.nodes:
            node.frozen = False
            node.do_due()
        until = self.now + seconds
        while until - self.now > EPSILON_S:
            self.quiet()
            self.do(("time",), min(0.5, until - self.now))

    def quiet(self) -> None:
        """Everything under way comes to its end; everybody hears of everything."""
        alive = {n.election.sessions.current for n in self.nodes if not n.dead}
        alive |= {n.election.tenure.session for n in self.nodes if n.election.tenure and not n.dead}
        for session in sorted(self.store.sessions - alive):
            self.do(("expire", session))
        for number, node in enumerate(self.nodes):
            if node.dead:
                continue
            current = node.election.sessions.current
            if current and current not in self.store.sessions:
                self.do(("lost", number))
            self.do(("others", number, self.others_of(node)))
        for _ in range(400 + sum(len(node.ghosts) for node in self.nodes)):
            todo = [a for a in self.actions(faults=False) if a[0] in ("reach", "answer", "stopped")]
            if not todo:
                break
            self.do(todo[0])
        else:
            raise BrokenError(f"no end of requests at {self.now}")

    def leaders(self) -> list[str]:
        return [n.name for n in self.nodes if not n.dead and n.working]
