"""A fleet, a witness and a look at discovery, for tests that hurt what a fleet stands on.

What must hold whatever was hurt is judged in one place: `Bench.settled`.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acceptance import PULSE, hand_over_once
from consul_agents import ConsulAgent, client_of, eventually
from discovery import Discovery, Look
from rights_bench import Rights, denials

from coord.consul import ConsulClient, ConsulError, TxnOp, TxnResult
from coord.records import Paths
from demo.fleet import Fleet, Node
from demo.judge import TermSeen, WitnessReport
from demo.witness import Witness

QUICK: Mapping[str, str] = {
    "COORDINATOR_ELECTION_INTERVAL": "1s",
    "COORDINATOR_LEASE": "1500ms",
    "COORDINATOR_CONFIRM_INTERVAL": "300ms",
    "COORDINATOR_FENCE_GRACE": "500ms",
    "COORDINATOR_LOCK_DELAY": "1500ms",
    "COORDINATOR_TAKEOVER_DELAY": "1s",
}
"""Timing that keeps tests short where they are not about the defaults."""

WITHIN_S = 20.0
"""How soon somebody works again, at the most: a budget of some 5 s, on a machine that is busy."""

STALE_S = 4.5
"""How long a stopped leader's check may pass yet: its TTL of 2 s, on a machine that is busy."""


@dataclass
class Bench:
    """What a test works with.

    consul: of an agent that the test leaves alone; may do everything.
    """

    consul: ConsulClient
    paths: Paths
    fleet: Fleet
    witness: Witness
    discovery: Discovery
    ports: dict[int, str]

    async def start(
        self, name: str, *, consul: str | None = None, env: Mapping[str, str] | None = None
    ) -> Node:
        """Start a node. `consul`: ``host:port`` of its agent, where it has one of its own."""
        own = {"CONSUL_HTTP_ADDR": consul} if consul else {}
        if name not in self.fleet.nodes:
            node = self.fleet.add(name)
            self.ports[int(node.address.rpartition(":")[2])] = name
        (node,) = await self.fleet.start(name, env=own | dict(env or {}))
        return node

    async def lead(self, name: str, **how: Any) -> tuple[Node, TermSeen]:
        """Start the first node of all and wait until it works and is found."""
        node = await self.start(name, **how)
        seen = await self.witness.next_leader(None)
        assert seen.node == name
        await self.found(name)
        return node, seen

    async def standby(self, name: str, **how: Any) -> Node:
        """Start a node and wait until it stands by, known to all as a candidate."""
        node = await self.start(name, **how)
        await node.state("standby")
        return node

    async def pair(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> Pair:
        """core-1 leads, core-2 stands by; each started with those arguments of `start`."""
        leader, seen = await self.lead("core-1", **first)
        return Pair(leader, await self.standby("core-2", **second), seen)

    async def found(self, name: str, within_s: float = WITHIN_S) -> Look:
        """Wait until discovery and DNS name that node and no other."""

        async def look() -> Look | None:
            with contextlib.suppress(ConsulError):
                return await self.discovery.look()
            return None

        found = await eventually(
            look,
            until=lambda look: (
                look is not None
                and [each.node for each in look.passing] == [name]
                and look.dns == (name,)
            ),
            within_s=within_s,
        )
        assert found is not None
        return found

    async def next_leader(self, after: TermSeen, within_s: float = WITHIN_S) -> TermSeen:
        """Wait until a newer term works."""
        return await self.witness.next_leader(after.term, timeout_s=within_s)

    async def works(self, seen: TermSeen, within_s: float = WITHIN_S) -> float:
        """Wait for a unit of work of that term that is done from now on; gives the moment."""
        return await self.witness.work(node=seen.node, term=seen.term, timeout_s=within_s)

    async def settled(self, seen: TermSeen, *, stale_s: float = STALE_S) -> WitnessReport:
        """That term works and is found, alone; and nothing went wrong on the way there.

        stale_s: see `Discovery.violations`.
        """
        await self.works(seen)
        await self.found(seen.node)
        states = {n.name: await n.state() for n in self.fleet.nodes.values() if n.running}
        leading = [name for name, state in states.items() if state == "leading"]
        assert leading == [seen.node], states
        report = await self.witness.report()
        assert not report.overlapped, (report.stale, report.doubles)
        terms = [each.term for each in report.terms]
        assert terms == sorted(terms), "a term went back"
        assert terms[-1] == seen.term
        assert not (said := self.discovery.violations(report, stale_s=stale_s)), said[:5]
        return report

    async def txn(self, *ops: TxnOp) -> TxnResult:
        """A transaction by somebody else than the nodes."""
        return await self.consul.txn(ops, deadline_s=5.0)

    async def holder(self) -> str | None:
        """The session on the leader key."""
        entry = (await self.consul.kv_get(self.paths.leader)).value
        return entry.session if entry is not None else None


@dataclass(frozen=True)
class Pair:
    """A leader and a standby, and the leader's term as the witness saw it begin."""

    leader: Node
    standby: Node
    seen: TermSeen


@contextlib.asynccontextmanager
async def bench_on(
    agent: ConsulAgent,
    directory: Path,
    *,
    env: Mapping[str, str] | None = None,
    token: str | None = None,
    workloads: str = PULSE,
    rights: Rights | None = None,
) -> AsyncIterator[Bench]:
    """A bench for an election of its own on that agent, which the test leaves alone.

    rights: for that election on that agent: each node has those of its role, and it is seen to it
    that they are enough.
    """
    election = rights.election if rights else f"t-{uuid.uuid4().hex[:10]}"
    more = None
    if rights is not None and rights.on:
        token, more = rights.token, rights.of_node
    ports: dict[int, str] = {}
    async with contextlib.AsyncExitStack() as stack:
        consul = await stack.enter_async_context(client_of(agent, token=token))
        witness = await stack.enter_async_context(Witness())
        fleet = Fleet(
            agent.http_addr,
            directory / election,
            witness=witness,
            env=dict(QUICK) | dict(env or {}),
            workloads=workloads,
            election=election,
            token=token if more else None,
            more=more,
        )
        paths = fleet.paths
        discovery = Discovery(
            consul,
            paths.leader_service,
            dns_host=agent.config.address,
            dns_port=agent.ports.dns,
            nodes=ports,
        )
        await hand_over_once(consul, paths)
        looking = asyncio.create_task(discovery.run())
        stack.push_async_callback(_end, looking)
        await stack.enter_async_context(fleet)
        stack.callback(_show_logs, fleet)
        yield Bench(consul, paths, fleet, witness, discovery, ports)
        denied = denials(fleet) if more else []
    assert not denied, "a right is missing"


def _show_logs(fleet: Fleet) -> None:
    """Shown where the test has failed."""
    for node in fleet.nodes.values():
        print(f"--- the log of {node.name} ends with\n{node.log_tail(40)}")


async def _end(task: asyncio.Task[None]) -> None:
    # Again and again: the resolver's timeouts may swallow a cancellation that comes with an answer.
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.2)
    if not task.cancelled():
        task.result()


async def said(
    node: Node, event: str, within_s: float = WITHIN_S, **fields: object
) -> dict[str, Any]:
    """Wait until the node has logged that event with these fields; gives the last such line."""

    async def look() -> dict[str, Any] | None:
        lines = [
            line
            for line in node.events(event)
            if all(line.get(name) == value for name, value in fields.items())
        ]
        return lines[-1] if lines else None

    try:
        line = await eventually(look, within_s=within_s)
    except AssertionError:
        raise AssertionError(
            f"{node.name} never said {event} {fields}; its log ends with\n{node.log_tail(30)}"
        ) from None
    assert line is not None
    return line
