"""The calls on health, the catalog and the cluster, on a simulated Consul."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from coord.consul.types import Consistency, HealthCheck, NodeInfo, Reply, ServiceInstance
from coord.testing.consul import queries
from coord.testing.consul.client_calls import Call, Calls, checked_key
from coord.testing.consul.commands import Deregister, Failure, Restore
from coord.testing.consul.request_desk import RequestDesk
from coord.testing.consul.rpc import Mode
from coord.testing.consul.snapshot import SnapshotError, unpack

SNAPSHOT_TIMEOUT_S: Final = 30.0


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
        found = await self._get(
            f"/v1/health/service/{checked_key(name)}",
            queries.HealthService(name, passing),
            deadline_s,
            consistency=consistency,
            index=index,
            wait_s=wait_s,
        )
        return cast("Reply[tuple[ServiceInstance, ...]]", found)

    async def health_node(
        self, node: str, *, deadline_s: float | None = None
    ) -> Reply[tuple[HealthCheck, ...]]:
        """See `ConsulApi`."""
        path = f"/v1/health/node/{checked_key(node)}"
        found = await self._get(path, queries.health_node(node), deadline_s)
        return cast("Reply[tuple[HealthCheck, ...]]", found)

    async def health_state(
        self, state: str = "any", *, deadline_s: float | None = None
    ) -> Reply[tuple[HealthCheck, ...]]:
        """See `ConsulApi`."""
        if state not in ("any", "passing", "warning", "critical"):
            raise ValueError(f"state {state!r}: must be any, passing, warning or critical")
        found = await self._get(
            f"/v1/health/state/{state}", queries.health_state(state), deadline_s
        )
        return cast("Reply[tuple[HealthCheck, ...]]", found)

    async def catalog_nodes(
        self, *, deadline_s: float | None = None
    ) -> Reply[tuple[NodeInfo, ...]]:
        """See `ConsulApi`."""
        found = await self._get("/v1/catalog/nodes", queries.CATALOG_NODES, deadline_s)
        return cast("Reply[tuple[NodeInfo, ...]]", found)

    async def catalog_services(
        self, *, deadline_s: float | None = None
    ) -> Mapping[str, tuple[str, ...]]:
        """See `ConsulApi`."""
        found = await self._get("/v1/catalog/services", queries.CATALOG_SERVICES, deadline_s)
        return cast("Mapping[str, tuple[str, ...]]", found.value)

    async def catalog_deregister(
        self, node: str, service_id: str | None = None, *, deadline_s: float | None = None
    ) -> None:
        """See `ConsulApi`."""
        command = Deregister(node, service_id=service_id)
        await self._write("PUT", "/v1/catalog/deregister", command, deadline_s)

    async def service_writable(
        self, node: str, service: str, *, deadline_s: float | None = None
    ) -> bool:
        """See `ConsulApi`. There are no tokens here: whoever reaches a server may."""
        checked_key(service)
        await self._any("/v1/txn", _leader_address, deadline_s)
        return True

    # --- the cluster ---

    async def status_leader(self, *, deadline_s: float | None = None) -> str:
        """See `ConsulApi`."""
        found = await self._any("/v1/status/leader", _leader_address, deadline_s)
        return cast("str", found)

    async def status_peers(self, *, deadline_s: float | None = None) -> tuple[str, ...]:
        """See `ConsulApi`."""
        found = await self._any("/v1/status/peers", lambda s: s.peers(), deadline_s)
        return cast("tuple[str, ...]", found)

    async def _any(
        self, path: str, act: Callable[[RequestDesk], object], deadline_s: float | None
    ) -> Any:
        call = Call(self, "GET", path, read=True, mode=Mode.ANY, act=act)
        return await self._ask(call, deadline_s)

    async def snapshot_save(self, *, deadline_s: float | None = None) -> bytes:
        """See `ConsulApi`; the deadline is 30 s unless named."""
        call = Call(
            self,
            "GET",
            "/v1/snapshot",
            read=True,
            mode=Mode.LEADER,
            act=lambda server: server.store.snapshot(),
        )
        return cast("bytes", await self._ask(call, deadline_s or SNAPSHOT_TIMEOUT_S))

    async def snapshot_restore(self, data: bytes, *, deadline_s: float | None = None) -> None:
        """See `ConsulApi`; the deadline is 30 s unless named."""
        try:
            unpack(data)
        except SnapshotError as error:
            failure = Failure(500, f"failed to read snapshot file: {error}")

            def refuse(server: RequestDesk) -> object:
                return failure

            call = Call(self, "PUT", "/v1/snapshot", mode=Mode.LEADER, act=refuse)
        else:
            call = Call(self, "PUT", "/v1/snapshot", mode=Mode.WRITE, command=Restore(data))
        await self._ask(call, deadline_s or SNAPSHOT_TIMEOUT_S)


def _leader_address(server: RequestDesk) -> str:
    leader = server.known_leader
    return leader.server_address if leader is not None else ""
