"""Who is held to be alive: what the servers say of the agents, and the agents of the servers."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from coord.consul.types import CheckStatus, HealthCheck, ServiceInstance
from coord.testing.consul.catalog import SERF_HEALTH
from coord.testing.consul.commands import Deregister, Register
from coord.testing.consul.elections import Elections, is_up
from coord.testing.consul.network import Network, Span
from coord.testing.consul.request_desk import Proposal
from coord.testing.consul.server import SimulatedServer
from coord.testing.scheduler import Scheduled, Scheduler

if TYPE_CHECKING:
    from coord.testing.consul.agent import SimulatedAgent

RECONCILE_S: Final = 60.0
_REJOIN_S: Final = (0.2, 1.0)


CONSUL_SERVICE: Final = ServiceInstance("", "", "consul", "consul", "", 8300)
"""What Consul's leader registers for each server."""


def serf_health(node: str, alive: bool) -> HealthCheck:
    """The check by which Consul says that a node's agent answers the others."""
    status = CheckStatus.PASSING if alive else CheckStatus.CRITICAL
    output = "Agent alive and reachable" if alive else "Agent not live or unreachable"
    return HealthCheck(node, SERF_HEALTH, "Serf Health Status", status, output)


class Gossip:
    """Looks after the agents whenever something about them or their links has changed.

    An agent counts as there while it runs and reaches a majority of the servers both ways.
    """

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        rng: random.Random,
        network: Network,
        elections: Elections,
        servers: list[SimulatedServer],
        suspicion_s: Span,
        stuck_s: Span,
        lonely_s: Span,
    ) -> None:
        self._scheduler = scheduler
        self._rng = rng
        self._network = network
        self._elections = elections
        self._servers = servers
        self._suspicion_s = suspicion_s
        self._stuck_s = stuck_s
        self._lonely_s = lonely_s
        self.agents: list[SimulatedAgent] = []
        self._failed: dict[SimulatedAgent, None] = {}
        self._left: dict[SimulatedAgent, None] = {}
        self._verdicts: dict[SimulatedAgent, tuple[bool, Scheduled]] = {}
        self._lonely: dict[SimulatedAgent, Scheduled] = {}
        self._stuck: dict[SimulatedAgent, Scheduled] = {}
        self._tick()

    def add(self, agent: SimulatedAgent) -> None:
        """An agent has joined."""
        self.agents.append(agent)
        self._say(agent, at_once=True)

    def left(self, agent: SimulatedAgent) -> None:
        """An agent says that it leaves: it is no failure, and its node is removed."""
        self._left[agent] = None
        self.reconcile()

    def is_failed(self, agent: SimulatedAgent) -> bool:
        """Whether the servers hold it to be gone."""
        return agent in self._failed

    def review(self) -> None:
        """Something changed: see who reaches whom."""
        for agent in self.agents:
            self._judge(agent)
            if agent.server is None:
                self._look_around(agent)

    def reconcile(self, *, at_once: bool = False) -> None:
        """Consul's leader writes who is alive, where the catalog says otherwise."""
        for agent in self.agents:
            self._say(agent, at_once=at_once)

    # --- the servers' view ---

    def _judge(self, agent: SimulatedAgent) -> None:
        if agent in self._left:
            if not agent.running:
                return
            del self._left[agent]
            self._failed.pop(agent, None)
            self._say(agent)
        there = self._reaches_majority(agent)
        known = agent not in self._failed
        verdict = self._verdicts.get(agent)
        if verdict is not None and verdict[0] is not there:
            verdict[1].cancel()
            del self._verdicts[agent]
            verdict = None
        if there is known or verdict is not None:
            return
        span = _REJOIN_S if there else self._suspicion_s
        scheduled = self._later(span, partial(self._decide, agent, there))
        self._verdicts[agent] = there, scheduled

    def _decide(self, agent: SimulatedAgent, there: bool) -> None:
        del self._verdicts[agent]
        if there:
            del self._failed[agent]
        else:
            self._failed[agent] = None
        self._say(agent)

    def _say(self, agent: SimulatedAgent, *, at_once: bool = False) -> None:
        leader = self._elections.acting
        if leader is None or leader.frozen:
            return
        catalog = leader.store.catalog
        if agent in self._left:
            if agent.name in catalog.nodes:
                leader.propose(Deregister(agent.name))
            return
        check = serf_health(agent.name, agent not in self._failed)
        known = catalog.checks.get(agent.name, {}).get(SERF_HEALTH)
        if known == check:
            return
        service = CONSUL_SERVICE if agent.server is not None else None
        # A node with a new id under an old name is taken in only by its own registration.
        known_id = catalog.node_ids.get(agent.name, agent.node_id)
        node = agent.node if agent.name not in catalog.nodes else None
        command = Register(agent.name, node, known_id, service, (check,))
        if at_once and not leader.pending:
            leader.commit(Proposal(command, None, ()))
        else:
            leader.propose(command)

    def _reaches_majority(self, agent: SimulatedAgent) -> bool:
        if not agent.running or agent.frozen:
            return False
        joined = self._network.joined
        reached = sum(
            agent.server is server or joined(agent.endpoint, server.name)
            for server in self._servers
        )
        return reached >= self._elections.majority

    def _tick(self) -> None:
        self.reconcile()
        self._scheduler.at(self._scheduler.now() + RECONCILE_S, self._tick)

    # --- a client agent's view ---

    def _look_around(self, agent: SimulatedAgent) -> None:
        sees = self._sees_any(agent)
        if sees is not agent.lonely:
            self._cancel(self._lonely, agent)
        elif agent not in self._lonely:
            span = _REJOIN_S if sees else self._lonely_s
            self._lonely[agent] = self._later(span, partial(self._set_lonely, agent, not sees))
        chosen = agent.chosen
        if is_up(chosen) and self._network.joined(agent.endpoint, chosen.name):
            self._cancel(self._stuck, agent)
        elif agent not in self._stuck:
            # A server that is gone is dropped as soon as gossip says so; one that only this agent
            # cannot reach, when the connection to it breaks at last.
            span = self._stuck_s if is_up(chosen) else self._suspicion_s
            self._stuck[agent] = self._later(span, partial(self._unstick, agent))

    def _sees_any(self, agent: SimulatedAgent) -> bool:
        joined = self._network.joined
        return any(is_up(s) and joined(agent.endpoint, s.name) for s in self._servers)

    def _set_lonely(self, agent: SimulatedAgent, lonely: bool) -> None:
        self._lonely.pop(agent, None)
        agent.set_lonely(lonely)

    def _unstick(self, agent: SimulatedAgent) -> None:
        self._stuck.pop(agent, None)
        agent.change_server()
        self._look_around(agent)

    def _later(self, span: Span, call: Callable[[], None]) -> Scheduled:
        low, high = span
        when = self._scheduler.now() + low + (high - low) * self._rng.random()
        return self._scheduler.at(when, call)

    @staticmethod
    def _cancel(table: dict[SimulatedAgent, Scheduled], agent: SimulatedAgent) -> None:
        scheduled = table.pop(agent, None)
        if scheduled is not None:
            scheduled.cancel()
