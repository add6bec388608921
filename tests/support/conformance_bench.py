"""Where a fact about Consul is looked at: on real agents, or on simulated ones in virtual time."""

from __future__ import annotations

import asyncio
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from consul_agents import ConsulAgent, Mode, client_of, eventually

from cluster import Cluster, ClusterConfig
from coord.consul import ConsulApi, ConsulError
from coord.testing import SimulatedConsul
from coord.testing.consul.agent import SimulatedAgent


def now() -> float:
    """Seconds on the running loop's clock, real or virtual."""
    return asyncio.get_running_loop().time()


class Node(Protocol):
    """An agent that a test may do things to."""

    @property
    def name(self) -> str:
        """Its node's name."""
        ...

    @property
    def address(self) -> str:
        """Its node's address."""
        ...

    @property
    def server_address(self) -> str:
        """What it is called among the servers."""
        ...

    def client(self, request_timeout_s: float = 10.0) -> ConsulApi:
        """Somebody who asks it; closed by the bench."""
        ...

    async def kill(self) -> None:
        """End it with SIGKILL."""
        ...

    async def stop(self) -> None:
        """End it with SIGTERM; it was told not to leave."""
        ...

    async def leave(self) -> None:
        """End a client agent as Consul does by default on SIGTERM: it leaves the cluster."""
        ...

    async def start(self, *, wipe: bool = False, ready: bool = True) -> None:
        """Start it again; `ready`: and wait until the servers know it."""
        ...

    async def become_another(self) -> None:
        """Start it again with no data and a new node id, under its old name."""
        ...

    async def freeze(self) -> None:
        """Let it stand still, as SIGSTOP does; it does so when this returns."""
        ...

    async def thaw(self) -> None:
        """Let it go on."""
        ...

    async def log_index(self) -> int:
        """The index of the last entry of the log."""
        ...


class Bench(Protocol):
    """Makes agents; all end with the test.

    Attributes:
        shared: a dev agent, the only one of its cluster, that tests leave as it is.
    """

    shared: Node

    async def dev(self) -> Node:
        """A dev agent of its own: keeps nothing when it restarts."""
        ...

    async def server(self) -> Node:
        """A single server that keeps its data."""
        ...

    async def absent(self) -> Node:
        """An agent that was never started."""
        ...

    async def fleet(self) -> tuple[Node, Node]:
        """A server, and a client agent that is a node of its own."""
        ...

    async def cluster(self) -> tuple[list[Node], Node]:
        """Three servers, and a client agent."""
        ...


class RealNode:
    """A Consul process."""

    def __init__(self, agent: ConsulAgent, clients: list[ConsulApi]) -> None:
        self.agent = agent
        self._clients = clients

    @property
    def name(self) -> str:
        return self.agent.name

    @property
    def address(self) -> str:
        return self.agent.config.address

    @property
    def server_address(self) -> str:
        return f"{self.address}:{self.agent.ports.server}"

    def client(self, request_timeout_s: float = 10.0) -> ConsulApi:
        client = client_of(self.agent, request_timeout_s=request_timeout_s)
        self._clients.append(client)
        return client

    async def kill(self) -> None:
        await asyncio.to_thread(self.agent.kill)

    async def stop(self) -> None:
        await asyncio.to_thread(self.agent.stop)

    async def leave(self) -> None:
        command = [str(self.agent.binary), "leave", f"-http-addr={self.agent.http_addr}"]
        await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
        await self.stop()

    async def start(self, *, wipe: bool = False, ready: bool = True) -> None:
        await asyncio.to_thread(self.agent.start, wipe=wipe)
        if ready:
            await asyncio.to_thread(self.agent.wait_ready)

    async def become_another(self) -> None:
        self.agent.node_id = str(uuid.uuid4())
        self.agent.reconfigure()
        await asyncio.to_thread(self.agent.start, wipe=True)
        await eventually(self._tried_to_report)

    async def _tried_to_report(self) -> bool:
        return "is reserved by node" in await asyncio.to_thread(self.agent.log_tail, 50)

    async def freeze(self) -> None:
        await asyncio.to_thread(self.agent.freeze)

    async def thaw(self) -> None:
        self.agent.wake()

    async def log_index(self) -> int:
        said = await asyncio.to_thread(self.agent.get_json, "/v1/agent/self")
        return int(said["Stats"]["raft"]["last_log_index"])


class RealBench:
    """Consul's own binary."""

    def __init__(
        self,
        shared: ConsulAgent,
        make: Callable[..., ConsulAgent],
        binary: Path,
        directory: Path,
    ) -> None:
        self._clients: list[ConsulApi] = []
        self.shared: Node = RealNode(shared, self._clients)
        self._make = make
        self._binary = binary
        self._directory = directory
        self._agents: list[ConsulAgent] = []

    async def dev(self) -> Node:
        return await self._made()

    async def server(self) -> Node:
        return await self._made(mode=Mode.SERVER)

    async def absent(self) -> Node:
        return await self._made(start=False)

    async def fleet(self) -> tuple[Node, Node]:
        server = await self._made(mode=Mode.SERVER)
        join = (server.agent.serf_addr,)
        return server, await self._made(mode=Mode.CLIENT, retry_join=join)

    async def cluster(self) -> tuple[list[Node], Node]:
        directory = self._directory / "cluster"
        made = Cluster(ClusterConfig(directory=directory, binary=self._binary, clients=1))
        self._agents += made.agents
        await asyncio.to_thread(lambda: made.start().wait_ready())
        servers: list[Node] = [RealNode(agent, self._clients) for agent in made.servers]
        return servers, RealNode(made.clients[0], self._clients)

    async def _made(self, **settings: Any) -> RealNode:
        return RealNode(await asyncio.to_thread(self._make, **settings), self._clients)

    async def aclose(self) -> None:
        """End what was made."""
        for client in self._clients:
            await client.aclose()
        for agent in reversed(self._agents):
            await asyncio.to_thread(agent.kill)


class SimulatedNode:
    """An agent of a simulated Consul. `keeps`: its data, when it restarts."""

    def __init__(self, consul: SimulatedConsul, agent: SimulatedAgent, keeps: bool = True) -> None:
        self._consul = consul
        self.agent = agent
        self._keeps = keeps

    @property
    def name(self) -> str:
        return self.agent.name

    @property
    def address(self) -> str:
        return self.agent.node.address

    @property
    def server_address(self) -> str:
        assert self.agent.server is not None
        return self.agent.server.server_address

    def client(self, request_timeout_s: float = 10.0) -> ConsulApi:
        return self._consul.client(self.agent, request_timeout_s=request_timeout_s)

    async def kill(self) -> None:
        (self.agent.server or self.agent).kill()

    async def stop(self) -> None:
        await self.kill()

    async def leave(self) -> None:
        self.agent.leave()

    async def start(self, *, wipe: bool = False, ready: bool = True) -> None:
        (self.agent.server or self.agent).start(wipe=wipe or not self._keeps)
        if ready:
            await eventually(self._is_ready)

    async def become_another(self) -> None:
        self.agent.start(wipe=True, new_node_id=True)

    async def _is_ready(self) -> bool:
        try:
            checks = (await self.client().health_node(self.name)).value
        except ConsulError:
            return False
        return any(c.check_id == "serfHealth" and c.status.value == "passing" for c in checks)

    async def freeze(self) -> None:
        (self.agent.server or self.agent).freeze()

    async def thaw(self) -> None:
        (self.agent.server or self.agent).thaw()

    async def log_index(self) -> int:
        return self._consul.log.index


class SimulatedBench:
    """The simulation, on the running loop's virtual time."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self.shared: Node = self._lone("shared", keeps=False)

    async def dev(self) -> Node:
        return self._lone("agent-1", keeps=False)

    async def server(self) -> Node:
        return self._lone("agent-1")

    async def absent(self) -> Node:
        node = self._lone("agent-1")
        await node.kill()
        return node

    async def fleet(self) -> tuple[Node, Node]:
        server = self._lone("agent-1")
        return server, SimulatedNode(server._consul, server._consul.agent("agent-2"))

    async def cluster(self) -> tuple[list[Node], Node]:
        consul = SimulatedConsul.on_loop(self._seed, servers=3)
        servers: list[Node] = [SimulatedNode(consul, server.agent) for server in consul.servers]
        return servers, SimulatedNode(consul, consul.agent("client-1"))

    def _lone(self, name: str, *, keeps: bool = True) -> SimulatedNode:
        consul = SimulatedConsul.on_loop(self._seed, names=(name,))
        return SimulatedNode(consul, consul.servers[0].agent, keeps)


@asynccontextmanager
async def closing(bench: RealBench) -> AsyncIterator[RealBench]:
    """End what the test had made."""
    try:
        yield bench
    finally:
        await bench.aclose()
