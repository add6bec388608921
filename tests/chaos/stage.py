"""The cluster: three Consul servers, five hosts with an agent and a node or two, and the witness.

    async with Stage(directory, seed=1) as stage:
        await stage.settle()

Every server and every node's host is a network namespace. The witness and whoever steers all this
are on the line that no fault touches. See `tests.chaos.settled` for what a settled cluster is.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from agents import AgentConfig, AgentError, ConsulAgent, Mode, Ports
from coord.consul import ConsulAddress, ConsulClient
from coord.polling.records import Check, CheckKind, HttpCheck, TcpCheck
from coord.records import Paths
from demo.fleet import DEFAULT_WORKLOADS, Fleet, Node, Place
from demo.ledger import KEY
from demo.misbehaviour import WRITE_KEY
from demo.polls import Polls
from demo.witness import Witness
from tests.chaos.network import HUB_ADDRESS, Network
from tests.chaos.work import WRITES_VARIABLE

SERVERS = ("server-1", "server-2", "server-3")
HOSTS = ("node-1", "node-2", "node-3", "node-4", "node-5")
PLACES: Mapping[str, str] = {
    "core-1": "node-1",
    "core-2": "node-2",
    "web-1": "node-3",
    "web-2": "node-4",
    "poller-1": "node-5",
    "poller-2": "node-3",
}
"""On which host each node runs. The pollers are on two, so that one is there in any fault."""

CANDIDATES = tuple(name for name in PLACES if not name.startswith("poller"))
POLLERS = tuple(name for name in PLACES if name.startswith("poller"))
WORKLOADS = f"{DEFAULT_WORKLOADS},tests.chaos.work:SteppedWrites"

PORTS = Ports(http=8500, dns=8600, serf_lan=8301, serf_wan=8302, server=8300)
API_PORT = 8610
_TOKEN = "chaos"
READY_S = 60.0
LOOK_S = 0.1


class StageError(Exception):
    """The cluster does not come to where it must: a takeover that is stuck, or a broken stage."""


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that was done or seen. at: CLOCK_MONOTONIC, in seconds."""

    at: float
    wall: float
    what: str


class Stage:
    """All of it; use it as an async context manager, on the main thread.

    Attributes:
        timeline: what was done and seen, in order; `on_note` is told each at once.
        broken: why it could not be settled any more; "" as long as it could.
        ending: nodes that were asked to end; they may take their time.
        fleet: the nodes; `polls`: their schedules; `witness`: whoever receives their work.
    """

    def __init__(self, directory: Path, *, seed: int = 0) -> None:
        self.directory = directory
        self.network = Network((*SERVERS, *HOSTS), seed=seed)
        self.agents: dict[str, ConsulAgent] = {}
        self.consuls: dict[str, ConsulClient] = {}
        self.timeline: list[Happened] = []
        self.on_note: Callable[[str], None] = lambda what: None
        self.broken = ""
        self.ending: set[str] = set()
        self.paths = Paths("coordinator")
        self.witness: Witness
        self.fleet: Fleet
        self.polls: Polls
        self._stack = contextlib.AsyncExitStack()

    def note(self, what: str) -> float:
        """Put something into the timeline; gives the moment, in CLOCK_MONOTONIC seconds."""
        now = time.monotonic()
        self.timeline.append(Happened(now, time.time(), what))
        self.on_note(what)
        return now

    # -- from nothing to running -----------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            await self._build()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _build(self) -> None:
        self.network.open()
        self._stack.callback(self.network.close)
        self.witness = await self._stack.enter_async_context(Witness(HUB_ADDRESS))
        await self._start_consul()
        await self._start_nodes()

    async def _start_consul(self) -> None:
        self._stack.callback(self._kill_agents)
        for name in (*SERVERS, *HOSTS):
            self.agents[name] = self._agent(name)
        for agent in self.agents.values():
            agent.start()
        self.note("agents started")
        await self.ready(*self.agents)
        for name in SERVERS:
            address = ConsulAddress(self.agents[name].http_url)
            client = await self._stack.enter_async_context(ConsulClient(address))
            self.consuls[name] = client

    def _agent(self, name: str) -> ConsulAgent:
        host = self.network.hosts[name]
        server = name in SERVERS
        return ConsulAgent(
            AgentConfig(
                name=name,
                directory=self.directory / name,
                mode=Mode.SERVER if server else Mode.CLIENT,
                address=host.work,
                ports=PORTS,
                bootstrap_expect=len(SERVERS),
                retry_join=tuple(self.network.hosts[each].work for each in SERVERS),
                prefix=host.prefix,
                http_host=host.line,
                extra={"client_addr": f"127.0.0.1 {host.line}", "ports": {"serf_wan": -1}},
            )
        )

    def _kill_agents(self) -> None:
        for agent in self.agents.values():
            agent.kill()

    async def _start_nodes(self) -> None:
        self.polls = Polls(self.consuls[SERVERS[0]], self.paths)
        await self.polls.seed(self._checks())
        self.fleet = await self._stack.enter_async_context(
            Fleet(
                self.agents[SERVERS[0]].http_addr,
                self.directory / "nodes",
                witness=self.witness,
                workloads=WORKLOADS,
                env={
                    "CONSUL_HTTP_ADDR": f"127.0.0.1:{PORTS.http}",
                    "COORDINATOR_POLLER_TOKEN": _TOKEN,
                    WRITE_KEY: KEY,
                    WRITES_VARIABLE: self.witness.writes_address,
                },
            )
        )
        for number, (name, where) in enumerate(PLACES.items()):
            host, port = self.network.hosts[where], API_PORT + number
            self.fleet.add(
                name,
                env={
                    "COORDINATOR_LISTEN": f"0.0.0.0:{port}",
                    "COORDINATOR_ADVERTISE": f"{host.work}:{port}",
                    # There a poller says what it runs.
                    "COORDINATOR_LOG_LEVEL": "debug" if name in POLLERS else "info",
                },
                place=Place(prefix=host.prefix, reach=f"{host.line}:{port}"),
            )
        await self.fleet.start(*PLACES)
        self.note("nodes started")

    def _checks(self) -> dict[str, Check]:
        """What is polled: the hub, that no fault touches, and what faults do touch."""
        hub, _, port = self.witness.writes_address.rpartition(":")
        targets: dict[str, Check] = {"hub": _tcp(f"{hub}:{port}")}
        for name in SERVERS:
            targets[name] = _tcp(f"{self.network.hosts[name].work}:{PORTS.server}")
        core = self.network.hosts[PLACES["core-1"]].work
        url = f"http://{core}:{API_PORT}/api/health/live"
        targets["core-1"] = HttpCheck.model_validate(
            {"kind": CheckKind.HTTP, "target": url, "timeout": "500ms"}
        )
        return targets

    # -- steering --------------------------------------------------------------------------

    def host_of(self, node: str) -> str:
        """The host that this node runs on."""
        return PLACES[node]

    async def ready(self, *names: str) -> None:
        """Wait until these agents are known and passing. Raises StageError."""
        try:
            await asyncio.gather(
                *(asyncio.to_thread(self.agents[name].wait_ready, READY_S) for name in names)
            )
        except AgentError as error:
            raise StageError(str(error)) from error

    def rejoin(self, name: str, others: Iterable[str]) -> None:
        """Have an agent join others at once, as an operator would."""
        for other in others:
            address = self.network.hosts[other].work
            with contextlib.suppress(OSError, AgentError):
                self.agents[name].request("PUT", f"/v1/agent/join/{address}", timeout_s=5.0)

    async def consul_leader(self) -> str | None:
        """The server that leads Consul, if all three servers that answer say the same."""
        said = set()
        for name in SERVERS:
            try:
                said.add(await asyncio.to_thread(self.agents[name].get_json, "/v1/status/leader"))
            except (OSError, AgentError):
                continue
        if len(said) != 1:
            return None
        address = str(said.pop()).rpartition(":")[0]
        return next((n for n in SERVERS if self.network.hosts[n].work == address), None)

    async def other_consul_leader(self, than: str) -> str:
        """Wait until another server than that one leads Consul. Raises StageError."""
        end = time.monotonic() + READY_S
        while True:
            leader = await self.consul_leader()
            if leader not in (None, than):
                return str(leader)
            if time.monotonic() > end:
                raise StageError(f"Consul has no other leader than {than} within {READY_S:g} s")
            await asyncio.sleep(LOOK_S)

    def running_nodes(self) -> list[Node]:
        """The nodes whose process is there."""
        return [node for node in self.fleet.nodes.values() if node.running]

    def ended_nodes(self, but: Collection[str] = ()) -> dict[str, int]:
        """Nodes whose process has ended, with how it did."""
        return {
            name: status
            for name, node in self.fleet.nodes.items()
            if name not in but and (status := node.returncode) is not None
        }


def _tcp(target: str) -> TcpCheck:
    return TcpCheck.model_validate({"kind": CheckKind.TCP, "target": target, "timeout": "500ms"})
