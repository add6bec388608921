"""`SimulatedConsul`: servers, agents, the network between them, and the clients that ask."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Self

from coord.testing.consul.agent import SimulatedAgent
from coord.testing.consul.agent_sync import AgentTimes
from coord.testing.consul.client import SimulatedClient
from coord.testing.consul.commands import Command
from coord.testing.consul.elections import Elections
from coord.testing.consul.gossip import Gossip
from coord.testing.consul.log import Log
from coord.testing.consul.network import CONNECTION, LOCAL, LinkSettings, Network, Span
from coord.testing.consul.server import SimulatedServer
from coord.testing.scheduler import LoopScheduler, Scheduler

OnCommit = Callable[[int, Command, object], None]
Trace = Callable[[str, tuple[Any, ...]], None]


class SimulatedConsul:
    """A Consul cluster in one process, driven by a scheduler alone.

    Its servers have elected a leader and know their own nodes when this is made.

    servers: how many; an odd number. With one, its own agent answers as a dev agent does.
    names: of the servers, which are their endpoints and their nodes' names as well.
    lease_s: how long Consul's leader goes on believing that it leads without a majority.
    heartbeat_s: after how long the others hold it to be gone.
    election_s: after how long they have another; at `raft_multiplier` 1.
    suspicion_s: after how long a silent agent is marked failed.
    stuck_s: after how long an agent's connection to a server that it cannot reach breaks.
    lonely_s: after how long an agent that reaches no server says at once that it knows of none.
    commit_s: how long it takes to hear from a majority.
    lag_s: how much later than the leader the other servers apply what was committed.

    Attributes:
        network: every link; faults are set there.
        trace: called with what servers read, refuse and commit, when set.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        rng: random.Random,
        servers: int = 3,
        names: tuple[str, ...] | None = None,
        raft_multiplier: float = 1.0,
        lease_s: Span = (0.5, 2.5),
        heartbeat_s: Span = (1.0, 2.0),
        election_s: Span = (2.0, 4.0),
        suspicion_s: Span = (5.7, 7.3),
        stuck_s: Span = (10.0, 40.0),
        lonely_s: Span = (30.0, 90.0),
        commit_s: Span = (0.0006, 0.003),
        lag_s: Span = (0.001, 0.06),
        agent_times: AgentTimes | None = None,
    ) -> None:
        if servers < 1 or servers % 2 == 0:
            raise ValueError(f"servers {servers}: must be an odd number")
        self.scheduler = scheduler
        self.rng = rng
        self.network = Network(scheduler, rng)
        self.trace: Trace | None = None
        self._agent_times = agent_times or AgentTimes()
        self._commit_low, self._commit_span = commit_s[0], commit_s[1] - commit_s[0]
        self._on_commit: list[OnCommit] = []
        self.log = Log(rng, lag_s)
        names = names or tuple(f"server-{number}" for number in range(1, servers + 1))
        self.servers = [
            SimulatedServer(self, name, f"10.0.0.{number}")
            for number, name in enumerate(names, start=1)
        ]
        self.log.servers = self.servers
        self.elections = Elections(
            scheduler=scheduler,
            rng=rng,
            network=self.network,
            log=self.log,
            lease_s=_times(lease_s, raft_multiplier),
            heartbeat_s=_times(heartbeat_s, raft_multiplier),
            election_s=_times(election_s, raft_multiplier),
        )
        self.gossip = Gossip(
            scheduler=scheduler,
            rng=rng,
            network=self.network,
            elections=self.elections,
            servers=self.servers,
            suspicion_s=suspicion_s,
            stuck_s=stuck_s,
            lonely_s=lonely_s,
        )
        self._agents: dict[str, SimulatedAgent] = {}
        for server in self.servers:
            server.agent = self._add(server.name, server.address, server)
        self.network.kind = self._kind
        self.network.on_change(self.changed)
        self.elections.elect_at_once(rng.choice(self.servers))

    @classmethod
    def on_loop(cls, seed: int = 0, *, servers: int = 1, **settings: Any) -> Self:
        """One on the running event loop's time; see the class for `settings`."""
        scheduler = LoopScheduler(asyncio.get_running_loop())
        return cls(scheduler, rng=random.Random(seed), servers=servers, **settings)

    # --- who is there ---

    def agent(self, name: str) -> SimulatedAgent:
        """The agent of that name; a new client agent, which has joined, if there is none."""
        found = self._agents.get(name)
        if found is None:
            found = self._add(name, f"10.0.1.{len(self._agents) + 1}", None)
        return found

    @property
    def agents(self) -> list[SimulatedAgent]:
        """All agents, the servers' first."""
        return list(self._agents.values())

    def client(
        self,
        agent: SimulatedAgent | None = None,
        source: str | None = None,
        *,
        clock_rate: float = 1.0,
        request_timeout_s: float | None = None,
    ) -> SimulatedClient:
        """A client of `agent` (the first server's by default).

        source: the endpoint of the process that asks; one on the agent's machine by default.
        clock_rate: how many seconds that process counts in one.
        """
        asked = agent or self.servers[0].agent
        source = source or f"{asked.endpoint}/process"
        self.network.add(source)
        return SimulatedClient(
            asked,
            source,
            clock_rate=clock_rate,
            request_timeout_s=request_timeout_s,
        )

    def leader(self) -> SimulatedServer | None:
        """The server that can have things written now."""
        return self.elections.acting

    def transfer_leader(self, to: SimulatedServer | None = None) -> None:
        """Consul's leader hands over to `to`, or to any other: a spell of some 0.1 s without one.

        Raises ValueError when there is nobody to do so.
        """
        self.elections.transfer(to)

    def forget_lock_delays(self) -> None:
        """Every server forgets its lock-delays, as after a restore."""
        for server in self.servers:
            server.catch_up()
            server.store.lock_delays.forget()

    # --- watching it ---

    def on_commit(self, call: OnCommit) -> None:
        """Call `call` with the index, the command and what came of it, at each commit."""
        self._on_commit.append(call)

    def describe(self) -> dict[str, object]:
        """Who leads, who believes so, who is away and what is cut, for histories."""
        leader = self.leader()
        clients = [agent for agent in self._agents.values() if agent.server is None]
        processes: list[SimulatedServer | SimulatedAgent] = [*self.servers, *clients]
        return {
            "leader": leader.name if leader else None,
            "believe": [server.name for server in self.servers if server.leading],
            "down": [x.name for x in processes if not x.running],
            "frozen": [x.name for x in processes if x.frozen],
            "failed": [a.name for a in self._agents.values() if self.gossip.is_failed(a)],
            "cuts": [f"{source}>{target}" for source, target in self.network.cuts()],
            "index": self.log.index,
        }

    # --- for its parts ---

    def round_trip_s(self) -> float:
        """How long it takes to hear from a majority now."""
        return self._commit_low + self._commit_span * self.rng.random()

    def committed(self, leader: SimulatedServer, command: Command) -> object:
        """A majority has it: carry it out. What came of it."""
        result = self.log.append(leader, command, self.scheduler.now())
        for call in self._on_commit:
            call(self.log.index, command, result)
        if self.trace is not None:
            self.trace("commit", (leader.name, self.log.index, command, result))
        return result

    def changed(self) -> None:
        """A server, an agent or a link changed."""
        self.elections.review()
        self.gossip.review()

    def _kind(self, source: str, target: str) -> LinkSettings:
        """Agents and servers keep connections; a process and its agent share a machine."""
        apart = source in self._agents and target in self._agents
        return CONNECTION if apart else LOCAL

    def _add(self, name: str, address: str, server: SimulatedServer | None) -> SimulatedAgent:
        agent = SimulatedAgent(self, name, address, server, self._agent_times)
        self._agents[name] = agent
        self.network.add(agent.endpoint, f"{agent.endpoint}/process")
        self.gossip.add(agent)
        return agent


def _times(span: Span, factor: float) -> Span:
    return span[0] * factor, span[1] * factor
