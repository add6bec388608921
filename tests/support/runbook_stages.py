"""The stages of the runbooks: a real Consul and real nodes, in the state of the symptom.

`STAGES` has them by name. A stage sets itself up, says which environment its shell has, and does
what the text tells people to do without a command (`Stage.do`).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from acceptance import hand_over_once
from consul_agents import ROOT_TOKEN, ConsulAgent, acl_settings, client_of, eventually

from agents import AgentConfig
from cluster import Cluster, ClusterConfig
from coord.clock import SystemClock
from coord.consul import CheckStatus, ConsulClient, ConsulError
from coord.election.reasons import WhyNot
from coord.members import Role, members, read_instances
from coord.records import DrainRecord, Paths, PauseRecord, utc
from demo.fleet import Fleet

ELECTION = Paths("coordinator")
WORKLOADS = "cluster-health,poll-orchestrator"


@dataclass
class Stage:
    """What stands, and what can be done to it.

    agents: Consul's; the first is the one that the shell and the nodes talk to.
    token: what Consul asks for; None: nothing.
    """

    agents: list[ConsulAgent]
    token: str | None
    fleet: Fleet
    consul: ConsulClient
    stack: contextlib.AsyncExitStack

    async def lead(self, leader: str, *standbys: str) -> None:
        """Have that node lead and the others stand by, all of them known to Consul as such."""
        await hand_over_once(self.consul, ELECTION)
        await self.fleet.start(leader)
        await self.fleet.leader()
        await self.fleet.start(*standbys)
        for name in standbys:
            await self.fleet[name].state("standby")

        # What a node knows of itself, Consul is told a moment later.
        async def ready() -> set[str]:
            found = members(
                Role.CANDIDATE,
                await read_instances(self.consul, ELECTION.candidate_service),
                ELECTION.election,
            )
            return {m.node for m in found.items if m.passing and m.reason is WhyNot.HELD_BY_OTHER}

        await eventually(ready, until=lambda nodes: nodes >= set(standbys))

    async def do(self, action: str, words: tuple[str, ...]) -> None:
        """Do what a runbook tells people to do without a command."""
        deed: Callable[..., Awaitable[None]] = getattr(self, f"do_{action.replace('-', '_')}")
        await deed(*words)

    async def do_stop(self, *names: str) -> None:
        """End these nodes gracefully; without a name, all of them."""
        nodes = [self.fleet[name] for name in names] or list(self.fleet.nodes.values())
        await asyncio.gather(*(node.stop() for node in nodes))

    async def do_start(self, *names: str) -> None:
        """Start these nodes; without a name, all of them."""
        await self.fleet.start(*(names or self.fleet.nodes))

    async def do_restart(self, name: str) -> None:
        """Restart that node gracefully, and wait until it stands by or leads."""
        await (await self.fleet[name].restart()).state("standby", "leading", "cooling")

    async def do_kill(self, name: str) -> None:
        """SIGKILL that node."""
        await self.fleet[name].stop(grace_s=0.0)

    async def do_pause(self, for_ms: str) -> None:
        """Pause the election, as another operator might have."""
        record = PauseRecord(
            actor="ann@desk",
            reason="network maintenance",
            request_id="0" * 16,
            at=utc(SystemClock().wall_ms()),
            for_ms=int(for_ms),
        )
        assert await self.consul.kv_put(ELECTION.pause, record.encode())

    async def do_drain(self, node: str) -> None:
        """Drain a node, as another operator might have."""
        record = DrainRecord(
            actor="ann@desk",
            reason="new disk",
            request_id="0" * 16,
            at=utc(SystemClock().wall_ms()),
        )
        assert await self.consul.kv_put(ELECTION.drain(node), record.encode())

    async def do_stop_consul(self, *names: str) -> None:
        """Kill these agents of Consul's."""
        for agent in self._named(names):
            await asyncio.to_thread(agent.kill)

    async def do_start_consul(self, *names: str) -> None:
        """Start these agents of Consul's again."""
        for agent in self._named(names):
            agent.start()

    def _named(self, names: tuple[str, ...]) -> list[ConsulAgent]:
        return [agent for agent in self.agents if agent.name in names]

    async def do_orphan_a_session(self) -> None:
        """Leave a session in the name of the election that belongs to nobody."""
        name = f"{ELECTION.election} candidate core-9"
        await self.consul.session_create(name=name, checks=["serfHealth"], lock_delay_s=2.0)

    async def do_hang(self, name: str) -> None:
        """Have that leader hang so that Consul does not see it: its checks pass, its session lives.

        Until another session holds the lock; then its checks fail.
        """
        node = self.fleet[name]
        entry = (await self.consul.kv_get(ELECTION.leader)).value
        assert entry is not None
        assert entry.session is not None
        checks = [check for check in await self.consul.agent_checks() if f"-{name}-" in check]
        node.freeze()
        passing = asyncio.create_task(self._keep_passing(checks, entry.session))
        self.stack.push_async_callback(_end, passing)

    async def _keep_passing(self, checks: list[str], session: str) -> None:
        while await self.consul.session_renew(session) is not None:
            for check in checks:
                await self.consul.check_pass(check, "")
            await asyncio.sleep(0.3)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, ConsulError):
        await task


# --- the stages ------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _on(
    agents: list[ConsulAgent], directory: Path, token: str | None = None
) -> AsyncIterator[Stage]:
    async with contextlib.AsyncExitStack() as stack:
        consul = await stack.enter_async_context(client_of(agents[0], token=token))
        fleet = Fleet(agents[0].http_addr, directory / "fleet", workloads=WORKLOADS, token=token)
        await stack.enter_async_context(_ending(fleet))
        yield Stage(agents, token, fleet, consul, stack)


@contextlib.asynccontextmanager
async def _ending(fleet: Fleet) -> AsyncIterator[None]:
    """Nobody has need of a graceful end."""
    try:
        yield
    finally:
        await fleet.stop(grace_s=0.0)
        for node in fleet.nodes.values():
            node.close()


@contextlib.asynccontextmanager
async def _one_agent(binary: Path, directory: Path) -> AsyncIterator[Stage]:
    """It denies everything to who brings no token: so that the way a command gives it is tried."""
    config = AgentConfig(
        name="consul-1",
        directory=directory / "consul",
        binary=binary,
        token=ROOT_TOKEN,
        extra=acl_settings(),
    )
    config.directory.mkdir()
    agent = await asyncio.to_thread(lambda: ConsulAgent(config).start().wait_ready())
    try:
        async with _on([agent], directory, ROOT_TOKEN) as stage:
            yield stage
    finally:
        await asyncio.to_thread(agent.kill)


@contextlib.asynccontextmanager
async def leading(binary: Path, directory: Path) -> AsyncIterator[Stage]:
    """core-1 leads, core-2 stands by: all is well."""
    async with _one_agent(binary, directory) as stage:
        await stage.lead("core-1", "core-2")
        yield stage


@contextlib.asynccontextmanager
async def hanging(binary: Path, directory: Path) -> AsyncIterator[Stage]:
    """core-1 leads and hangs, and Consul does not see it; core-2 stands by."""
    async with leading(binary, directory) as stage:
        await stage.do_hang("core-1")
        yield stage


@contextlib.asynccontextmanager
async def vanished(binary: Path, directory: Path) -> AsyncIterator[Stage]:
    """Nobody leads, and nobody could: the only node that led was killed."""
    async with _one_agent(binary, directory) as stage:
        await stage.lead("core-1")
        await stage.do_kill("core-1")

        async def found() -> list[CheckStatus]:
            reply = await stage.consul.health_service(ELECTION.candidate_service)
            return [each.status for each in reply.value]

        await eventually(found, until=lambda states: CheckStatus.PASSING not in states)
        yield stage


@contextlib.asynccontextmanager
async def three_servers(binary: Path, directory: Path) -> AsyncIterator[Stage]:
    """Three servers of Consul's; core-1 leads and core-2 stands by, on the first server."""
    cluster = Cluster(ClusterConfig(directory=directory / "consul", binary=binary))
    try:
        await asyncio.to_thread(lambda: cluster.start().wait_ready())
        async with _on(list(cluster.servers), directory) as stage:
            await stage.lead("core-1", "core-2")
            yield stage
    finally:
        await asyncio.to_thread(cluster.kill)


MakeStage = Callable[[Path, Path], contextlib.AbstractAsyncContextManager[Stage]]

STAGES: dict[str, MakeStage] = {
    "leading": leading,
    "hanging": hanging,
    "vanished": vanished,
    "three-servers": three_servers,
}


def environment(stage: Stage) -> dict[str, str]:
    """What the shell's user has set."""
    token = {"CONSUL_HTTP_TOKEN": stage.token} if stage.token else {}
    return {"CONSUL_HTTP_ADDR": stage.agents[0].http_addr, **token}


def presentable(stage: Stage, shown: str) -> str:
    """What was shown, as it would be where the nodes are hosts of their own."""
    for number, node in enumerate(stage.fleet.nodes.values(), start=1):
        shown = shown.replace(node.address, f"10.0.0.1{number}:8610")
    for number, agent in enumerate(stage.agents, start=1):
        for port, usual in ((agent.ports.http, 8500), (agent.ports.server, 8300)):
            shown = shown.replace(f"{agent.config.address}:{port}", f"10.0.0.{number}:{usual}")
    return re.sub(r"[\w.-]+@[\w.-]+", "you@desk", shown)
