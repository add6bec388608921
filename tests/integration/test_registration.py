"""What a node registers in a real Consul: what its session hangs on, and its leader's service."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from acceptance import hand_over_once
from consul_agents import ConsulAgent, eventually

from coord.application import Application
from coord.clock import SystemClock
from coord.config import Settings
from coord.consul import (
    CheckStatus,
    Consistency,
    ConsulAddress,
    ConsulApi,
    ConsulClient,
    ServiceInstance,
    ServiceRegistration,
    Session,
    TtlCheck,
    TxnOp,
    TxnResult,
    TxnVerb,
)
from coord.process import host_of
from coord.records import Paths

NODE = "core-1"


@contextlib.asynccontextmanager
async def leading_node(
    consul: ConsulApi, agent: ConsulAgent, election: str, **settings: Any
) -> AsyncIterator[Application]:
    """A node with these settings in this very process, once its work runs."""
    await hand_over_once(consul, Paths(election))
    said = Settings(
        environ={},
        node=NODE,
        election=election,
        consul_addr=agent.http_addr,
        workloads="",
        **settings,
    )
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        node = Application(said, host_of(sock, consul, SystemClock()))
        running = asyncio.create_task(node.run())
        try:
            await eventually(lambda: leads(node))
            yield node
        finally:
            node.stop()
            assert await running == 0


async def leads(node: Application) -> bool:
    return node.supervisor is not None and node.supervisor.running


async def session_of(consul: ConsulApi, election: str) -> Session:
    """The one session that there is of that election."""
    name = f"{election} candidate {NODE}"
    (session,) = (each for each in await consul.session_list() if each.name == name)
    return session


async def instances(consul: ConsulApi, service: str) -> dict[str, ServiceInstance]:
    """By node in the catalog."""
    reply = await consul.health_service(service, consistency=Consistency.CONSISTENT)
    return {each.node: each for each in reply.value}


# --- the session ---


@pytest.fixture
async def node_check(consul: ConsulClient, name: str) -> AsyncIterator[str]:
    """A passing check of the host, such as an operator has for its disk."""
    check_id = f"{name}-disk"
    status = CheckStatus.PASSING
    await consul.check_register(TtlCheck(check_id, check_id, ttl_s=600.0, status=status))
    node = (await consul.agent_self()).node_name
    await eventually(
        lambda: consul.health_node(node),
        until=lambda reply: any(each.check_id == check_id for each in reply.value),
    )
    yield check_id
    await consul.check_deregister(check_id)


async def test_a_session_hangs_on_its_host_its_candidate_and_the_checks_that_are_named(
    consul: ConsulClient, consul_agent: ConsulAgent, name: str, node_check: str
) -> None:
    settings = {"session_checks": node_check, "session_ttl": "20s", "lock_delay": "2500ms"}
    async with leading_node(consul, consul_agent, name, **settings) as node:
        session = await session_of(consul, name)
        candidates = await consul.health_service(Paths(name).candidate_service)
        (own,) = (
            check.check_id
            for candidate in candidates.value
            for check in candidate.checks
            if check.service_id == candidate.id
        )
        assert set(session.checks) == {"serfHealth", own, node_check}
        assert session.ttl_s == 20.0
        assert session.lock_delay_s == 2.5
        assert session.behavior == "release"

        assert await consul.check_fail(node_check, "the disk is full")
        await eventually(lambda: leads(node), until=lambda leads: not leads)
        held = (await consul.kv_get(Paths(name).leader)).value
        assert held is not None
        assert held.session is None
        assert await consul.session_info(session.id) is None


# --- the leader's service ---


def leave_behind(agent: ConsulAgent, node: str, service: str) -> None:
    """What a leader leaves in the catalog whose host is cut off: it seems to be passing."""
    id_ = f"{service}-{node}-00000000-7"
    meta = {"node": node, "node_type": "core", "term": "7"}
    entry = {
        "Node": node,
        "Address": "127.0.0.1",
        "Service": {"ID": id_, "Service": service, "Port": 1, "Meta": meta},
        "Check": {
            "Node": node,
            "CheckID": f"{id_}-working",
            "Name": id_,
            "ServiceID": id_,
            "Status": "passing",
        },
    }
    status, answer = agent.request("PUT", "/v1/catalog/register", json.dumps(entry).encode())
    assert status == 200, answer


class AtAnnouncement(ConsulClient):
    """A real client that looks, before it registers a service, at who is in the catalog for it."""

    def __init__(self, agent: ConsulAgent) -> None:
        super().__init__(ConsulAddress(agent.http_url), request_timeout_s=10.0)
        self.found: dict[str, set[str]] = {}
        """The nodes, by service, before its first registration."""

    async def service_register(
        self, registration: ServiceRegistration, *, deadline_s: float | None = None
    ) -> None:
        if registration.name not in self.found:
            self.found[registration.name] = set(await instances(self, registration.name))
        await super().service_register(registration, deadline_s=deadline_s)


async def test_a_new_leader_clears_away_what_former_ones_of_its_election_left(
    consul: ConsulClient, consul_agent: ConsulAgent, name: str
) -> None:
    ours, others = Paths(name).leader_service, Paths(f"{name}-b").leader_service
    ghost = f"{name}-ghost"
    host = (await consul.agent_self()).node_name
    for service in (ours, others):
        leave_behind(consul_agent, ghost, service)
        assert (await instances(consul, service))[ghost].status is CheckStatus.PASSING
    try:
        async with (
            AtAnnouncement(consul_agent) as noting,
            leading_node(noting, consul_agent, name) as node,
        ):
            found = await eventually(
                lambda: instances(consul, ours),
                until=lambda found: host in found and found[host].status is CheckStatus.PASSING,
            )
            assert found.keys() == {host}
            assert noting.found[ours] == set(), "two are never found"
            assert found[host].meta["term"] == str(node.election_view().term)
            assert (await instances(consul, others)).keys() == {ghost}
    finally:
        await consul.catalog_deregister(ghost)


class AtRelease(ConsulClient):
    """A slow client that looks, before it gives a lock back, at the agent's checks."""

    seen: dict[str, CheckStatus] | None = None

    async def check_fail(
        self, check_id: str, note: str = "", *, deadline_s: float | None = None
    ) -> bool:
        await asyncio.sleep(0.3)  # whoever does not wait for the answer is found out
        return await super().check_fail(check_id, note, deadline_s=deadline_s)

    async def txn(
        self,
        ops: Sequence[TxnOp],
        *,
        consistency: Consistency = Consistency.DEFAULT,
        deadline_s: float | None = None,
    ) -> TxnResult:
        if any(op.verb is TxnVerb.UNLOCK for op in ops):
            checks = await self.agent_checks()
            self.seen = {check.service_name: check.status for check in checks.values()}
        return await super().txn(ops, consistency=consistency, deadline_s=deadline_s)


async def test_a_leader_is_passing_no_longer_when_it_gives_the_lock_back(
    consul_agent: ConsulAgent, name: str
) -> None:
    """Whoever takes over may be passing at once; two would be found."""
    service = Paths(name).leader_service
    async with AtRelease(ConsulAddress(consul_agent.http_url), request_timeout_s=10.0) as consul:
        async with leading_node(consul, consul_agent, name):
            passing = CheckStatus.PASSING
            await eventually(
                lambda: instances(consul, service),
                until=lambda found: [each.status for each in found.values()] == [passing],
            )
            consul.seen = None
        assert consul.seen is not None
        assert consul.seen[service] is CheckStatus.CRITICAL
        await eventually(lambda: instances(consul, service), until=lambda found: not found)


async def test_a_process_that_ends_leaves_nothing_of_any_of_its_terms(
    consul: ConsulClient, consul_agent: ConsulAgent, name: str
) -> None:
    """An agent that did not answer when a term was given back may have its entry still, or may get
    it by a request that was given up."""
    paths = Paths(name)
    async with leading_node(consul, consul_agent, name) as node:
        boot = node.identity.boot_id[:8]
        own = f"{paths.leader_service}-{NODE}-{boot}-1"
        of_another_start = f"{paths.leader_service}-{NODE}-{'0' * 8}-1"
        for service_id in (own, of_another_start):
            await consul.service_register(ServiceRegistration(service_id, paths.leader_service))
    left = [each for each in await consul.agent_services() if each.startswith(name)]
    assert left == [of_another_start]
    await consul.service_deregister(of_another_start)
