"""`ConsulClient`: the calls of `ConsulApi` over HTTP.

Each call builds a request with python-consul2's endpoint where that can express it, and by hand
where it cannot, sends it once, and reads the reply through `replies`. Keys, sessions and the
local agent are in `kv_calls` and `agent_calls`; the catalog and the cluster are here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from coord.consul import replies
from coord.consul.agent_calls import AgentCalls, SessionCalls
from coord.consul.calls import Calls, parse, reply_of, with_consistency
from coord.consul.keys import check_key
from coord.consul.kv_calls import KeyCalls
from coord.consul.types import Consistency, HealthCheck, NodeInfo, Reply, ServiceInstance

_SNAPSHOT_TIMEOUT_S = 30.0
_NEVER = "coord-never-registered"
_NEVER_INDEX = 2**62


class ClusterCalls(Calls):
    """The part of `ConsulApi` about health, the catalog and the cluster itself."""

    async def health_service(
        self,
        name: str,
        *,
        passing: bool = False,
        consistency: Consistency = Consistency.DEFAULT,
        index: int | None = None,
        wait_s: float | None = None,
        deadline_s: float | None = None,
    ) -> Reply[tuple[ServiceInstance, ...]]:
        """See `ConsulApi`."""
        request = self._endpoints.health.service(check_key(name), passing=passing)
        request = with_consistency(request, consistency)
        answer = await self._read(request, index, wait_s, deadline_s)
        return reply_of(answer, parse(request, answer, _instances))

    async def health_node(
        self, node: str, *, deadline_s: float | None = None
    ) -> Reply[tuple[HealthCheck, ...]]:
        """See `ConsulApi`."""
        return await self._get(self._endpoints.health.node(check_key(node)), deadline_s, _checks)

    async def health_state(
        self, state: str = "any", *, deadline_s: float | None = None
    ) -> Reply[tuple[HealthCheck, ...]]:
        """See `ConsulApi`."""
        if state not in ("any", "passing", "warning", "critical"):
            raise ValueError(f"state {state!r}: must be any, passing, warning or critical")
        return await self._get(self._endpoints.health.state(state), deadline_s, _checks)

    async def catalog_nodes(
        self, *, deadline_s: float | None = None
    ) -> Reply[tuple[NodeInfo, ...]]:
        """See `ConsulApi`."""
        return await self._get(self._endpoints.catalog.nodes(), deadline_s, _nodes)

    async def catalog_services(
        self, *, deadline_s: float | None = None
    ) -> Mapping[str, tuple[str, ...]]:
        """See `ConsulApi`."""
        return (await self._get(self._endpoints.catalog.services(), deadline_s, _services)).value

    async def catalog_deregister(
        self, node: str, service_id: str | None = None, *, deadline_s: float | None = None
    ) -> None:
        """See `ConsulApi`."""
        request = self._endpoints.catalog.deregister(node, service_id=service_id)
        await self._do(request, deadline_s)

    async def service_writable(
        self, node: str, service: str, *, deadline_s: float | None = None
    ) -> bool:
        """See `ConsulApi`."""
        # A service of that index does not exist, and none has an id that says what it is not.
        wanted = {"ID": _NEVER, "Service": check_key(service), "ModifyIndex": _NEVER_INDEX}
        step = {"Service": {"Verb": "cas", "Node": node, "Service": wanted}}
        request = self._build.put(None, "/v1/txn", data=json.dumps([step]))
        answer = await self._send(request, deadline_s)
        if answer.status != 409:
            raise replies.refusal(request, answer)
        _, errors = parse(request, answer, replies.txn_parts)
        return not any(text in e.what for e in errors for text in replies.NOT_PERMITTED)

    # --- the cluster ---

    async def status_leader(self, *, deadline_s: float | None = None) -> str:
        """See `ConsulApi`."""
        request = self._endpoints.status.leader()
        return (await self._get(request, deadline_s, replies.text)).value

    async def status_peers(self, *, deadline_s: float | None = None) -> tuple[str, ...]:
        """See `ConsulApi`."""
        request = self._endpoints.status.peers()
        return (await self._get(request, deadline_s, replies.texts)).value

    async def snapshot_save(self, *, deadline_s: float | None = None) -> bytes:
        """See `ConsulApi`; the deadline is 30 s unless named."""
        request = self._endpoints.snapshot.get()
        return (await self._do(request, deadline_s or _SNAPSHOT_TIMEOUT_S)).body

    async def snapshot_restore(self, data: bytes, *, deadline_s: float | None = None) -> None:
        """See `ConsulApi`; the deadline is 30 s unless named."""
        await self._do(self._endpoints.snapshot.put(data), deadline_s or _SNAPSHOT_TIMEOUT_S)


class ConsulClient(KeyCalls, SessionCalls, AgentCalls, ClusterCalls):
    """Consul's agent at `address`, as `ConsulApi`; an async context manager.

    request_timeout_s: the deadline of calls that name none, in seconds.
    http: what carries the requests instead of a real connection, for tests.

    Raises ValueError when a TLS file cannot be used.
    """


def _checks(value: object) -> tuple[HealthCheck, ...]:
    return replies.listed(value, replies.check, "the body")


def _nodes(value: object) -> tuple[NodeInfo, ...]:
    return replies.listed(value, replies.node_info, "the body")


def _instances(value: object) -> tuple[ServiceInstance, ...]:
    return replies.listed(value, replies.health_instance, "the body")


def _services(value: object) -> dict[str, tuple[str, ...]]:
    return replies.named(value, replies.tags, "the body")
