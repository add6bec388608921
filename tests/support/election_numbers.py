"""Numbers for the states that `election_space` comes to: of the stores, and of the nodes.

States that are one and the same by `election_key` have one number. While nothing but time passes, a
node's number is found without looking at it, and it is made only when it is looked at.
"""

from __future__ import annotations

from election_key import Key, node_key, stays_for, store_key
from election_node import Node
from election_store import Store
from election_time import true_seconds

from coord.election import commands as cmd

MOST = (1 << 21) - 1
"""The highest number that there may be."""


class Numbers:
    """The states that were come to so far, and what is often asked of each, by number."""

    def __init__(self) -> None:
        self._stores: list[Store] = []
        self._nodes: list[Node | tuple[int, int]] = []
        """Each node, or which other it is after how long."""
        self._store_ids: dict[Key, int] = {}
        self._node_ids: dict[tuple[int, int | None], int] = {}
        self._cores: dict[Key, int] = {}
        self._core: list[int] = []
        self._due: list[int | None] = []
        """How far away the next moment is at which something must happen, in 1/7980 s."""
        self._stays: list[int] = []
        self._working: list[bool] = []
        self._fine: list[bool] = []
        self._ghostly: list[bool] = []
        """Whether there are requests under way that nobody waits for."""
        self._touchy: list[bool] = []
        """Whether a change of the store makes a difference to what is under way."""

    def _store_id(self, store: Store) -> int:
        key = store_key(store)
        known = self._store_ids.get(key)
        if known is None:
            known = self._store_ids[key] = len(self._stores)
            self._stores.append(store)
        return known

    def _node_id(self, node: Node) -> int:
        key, due = node_key(node)
        core = self._cores.setdefault(key, len(self._cores))
        known = self._node_ids.get((core, due))
        if known is not None:
            return known
        reads = any(isinstance(each.asked, cmd.Observe) for each in node.flights)
        self._working.append(node.working)
        self._fine.append(not (node.dead or node.frozen or node.shut))
        self._ghostly.append(bool(node.ghosts))
        self._touchy.append(reads or bool(node.ghosts))
        return self._number(node, core, due, stays_for(node))

    def _number(self, node: Node | tuple[int, int], core: int, due: int | None, stays: int) -> int:
        number = self._node_ids[core, due] = len(self._nodes)
        assert number <= MOST, "more states of nodes than there are numbers for"
        self._nodes.append(node)
        self._core.append(core)
        self._due.append(due)
        self._stays.append(stays)
        return number

    def _later_id(self, x: int, dt: int) -> int:
        """The node after so long, in which its key stays what it is."""
        due = self._due[x]
        assert due is not None
        known = self._node_ids.get((self._core[x], due - dt))
        if known is not None:
            return known
        for flags in (self._working, self._fine, self._ghostly, self._touchy):
            flags.append(flags[x])
        return self._number((x, dt), self._core[x], due - dt, self._stays[x] - dt)

    def node(self, x: int) -> Node:
        """The node of that number: to be looked at, not to be touched."""
        known = self._nodes[x]
        if isinstance(known, Node):
            return known
        earlier, dt = known
        node = self.node(earlier).copy(machine=False)
        node.elapse(true_seconds(dt))
        self._nodes[x] = node
        return node
