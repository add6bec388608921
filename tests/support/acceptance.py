"""What the acceptance tests stand on: elections led before, who is found, what is waited for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.resolver
from consul_agents import ConsulAgent, eventually

from coord.application import Application
from coord.clock import SystemClock
from coord.config import Settings
from coord.consul import CheckStatus, Consistency, ConsulApi, ServiceInstance, Session
from coord.election.commands import Acquire, Release
from coord.election.reasons import Cause
from coord.election.timing import Timing
from coord.identity import Identity
from coord.leader_key import LeaderKey, Taken
from coord.node_type import EligibleWhy, NodeType
from coord.process import host_of
from coord.records import LeaderRecord, LeaderState, Paths
from demo.fleet import Fleet, Node
from demo.witness import Witness, WitnessReport

__all__ = ["FAST", "PULSE", "Bench", "MakeBench", "hand_over_once", "running_here"]

PULSE = "demo.work:Pulse"

FAST: Mapping[str, str] = {
    "COORDINATOR_TAKEOVER_DELAY": "0",
    "COORDINATOR_LOCK_DELAY": "1500",
    "COORDINATOR_LEASE": "1000",
    "COORDINATOR_FENCE_GRACE": "350",
    "COORDINATOR_CONFIRM_INTERVAL": "250",
    "COORDINATOR_CHECK_TTL": "1000",
}
"""Timing for tests that are not about the default one: takeovers about twice as fast."""

FORMER = "core-0"
"""Who led, by the record, an election that was led before."""


async def hand_over_once(consul: ConsulApi, paths: Paths) -> int:
    """Lead an election for a moment and hand it over: the next to come need not wait. Its term.

    A first election has to wait as long as one after a loss; most tests are not about that.
    """
    identity = Identity(
        node=FORMER,
        node_type=NodeType.CORE,
        election=paths.election,
        eligible=True,
        eligible_why=EligibleWhy.NODE_TYPE_MAY_LEAD,
        boot_id="0" * 32,
        advertise="127.0.0.1:1",
    )
    key = LeaderKey(consul, paths, identity, Timing(), SystemClock())
    await key.create(Cause.FIRST_START, 10.0)
    session = await consul.session_create(name=FORMER, checks=["serfHealth"], lock_delay_s=1.0)
    view = await key.observe(10.0)
    taken = await key.acquire(
        Acquire(
            attempt=1,
            session=session,
            leader_index=view.leader_index,
            term_index=view.term_index,
            term=1,
            successors=(),
            deadline=10.0,
        )
    )
    assert isinstance(taken, Taken), taken
    assert await key.release(Release(session, 1, taken.view.term_index, Cause.HANDED_OVER))
    await consul.session_destroy(session)
    return 1


@contextlib.asynccontextmanager
async def running_here(
    consul: ConsulApi, agent: ConsulAgent, election: str
) -> AsyncIterator[Application]:
    """A node without work of its own in this very process, for what only a program can do."""
    settings = Settings(
        environ={}, node="core-1", election=election, consul_addr=agent.http_addr, workloads=""
    )
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        node = Application(settings, host_of(sock, consul, SystemClock()))
        running = asyncio.create_task(node.run())
        try:
            yield node
        finally:
            node.stop()
            assert await running == 0


@dataclass
class Bench:
    """A fleet of real nodes, the witness of their work, and a look at Consul from outside.

    fleet: start nodes with `await bench.fleet.start("core-1", "core-2")`.
    witness: hears the nodes' `Pulse`.
    consul: a client of the agent that the nodes use.
    dns_port: that agent's.
    """

    fleet: Fleet
    witness: Witness
    consul: ConsulApi
    dns_port: int

    @property
    def paths(self) -> Paths:
        """Where the election's keys are."""
        return self.fleet.paths

    # -- who leads -------------------------------------------------------------------------

    async def working_leader(
        self, *, after_term: int | None = None, timeout_s: float = 30.0
    ) -> tuple[Node, int]:
        """Who holds the key, in which term after that one, once its work in it was heard."""
        record = await self.fleet.leader_record(after_term=after_term, timeout_s=timeout_s)
        await self.witness.work(after=0.0, term=record.term, timeout_s=timeout_s)
        return self.fleet[record.node], record.term

    async def record(self) -> LeaderRecord:
        """What stands at the leader key."""
        entry = (await self.consul.kv_get(self.paths.leader, consistency=_CONSISTENT)).value
        assert entry is not None, "there is no leader key"
        return LeaderRecord.decode(entry.value)

    async def held_by(self) -> str | None:
        """Who holds the leader key; None: nobody, or there is no key."""
        entry = (await self.consul.kv_get(self.paths.leader, consistency=_CONSISTENT)).value
        if entry is None or entry.session is None:
            return None
        record = LeaderRecord.decode(entry.value)
        assert record.state is LeaderState.HELD
        return record.node

    async def vacant(self, *, within_s: float = 30.0) -> LeaderRecord:
        """The record of the vacancy, once nobody holds the leader key."""
        await eventually(self.held_by, until=lambda node: node is None, within_s=within_s)
        return await self.record()

    async def sessions_of(self, node: Node) -> list[Session]:
        """The Consul sessions of that node's candidate."""
        name = f"{self.paths.election} candidate {node.name}"
        return [each for each in await self.consul.session_list() if each.name == name]

    async def index_of(self, key: str) -> int:
        """The ModifyIndex of that key, which must be there."""
        entry = (await self.consul.kv_get(key, consistency=_CONSISTENT)).value
        assert entry is not None, f"there is no {key}"
        return entry.modify_index

    # -- discovery -------------------------------------------------------------------------

    async def passing(self, service: str | None = None) -> set[str]:
        """Nodes whose instance of the leader's service (or another's) is passing."""
        return {
            instance.meta["node"]
            for instance in await self.instances(service)
            if instance.status is CheckStatus.PASSING
        }

    async def instances(self, service: str | None = None) -> tuple[ServiceInstance, ...]:
        """All instances of the leader's service, or of another."""
        name = service or self.paths.leader_service
        return (await self.consul.health_service(name, consistency=_CONSISTENT)).value

    async def dns(self) -> set[int]:
        """The ports that the leader service's DNS name gives: of whom others find by it."""
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], self.dns_port
        try:
            answer = await resolver.resolve(f"{self.paths.leader_service}.service.consul", "SRV")
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return set()
        return {int(each.port) for each in answer}

    # -- waiting ---------------------------------------------------------------------------

    async def event(
        self, node: Node, name: str, *, within_s: float = 30.0, **fields: Any
    ) -> dict[str, Any]:
        """The node's first log line of that event with these fields, once there is one."""

        async def look() -> dict[str, Any] | None:
            found = (e for e in node.events(name) if fields.items() <= e.items())
            return next(found, None)

        event = await eventually(look, until=lambda e: e is not None, within_s=within_s)
        assert event is not None
        return event

    async def report(self) -> WitnessReport:
        """What the witness has seen so far."""
        return await self.witness.report()

    def file(self, name: str) -> Path:
        """A path in the fleet's directory: what the files are that order misbehaviour."""
        return self.fleet.run_dir / name


MakeBench = Callable[..., Awaitable[Bench]]

_CONSISTENT = Consistency.CONSISTENT
