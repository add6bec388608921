"""What the rest of `coord` asks of Consul, as a protocol.

`ConsulClient` implements it over HTTP. Everything else is typed against this protocol, so that a
simulated Consul can stand in its place.

Every call takes `deadline_s`, its own total deadline in seconds (None: the client's default), and
raises only subclasses of `ConsulError`, besides `asyncio.CancelledError`; ValueError is kept for
arguments that no Consul could accept (an empty key, ``..`` in a path). Nothing is retried here.

With `index`, a read is a blocking query: it answers when the index passes `index` or after
`wait_s` (Consul adds up to a sixteenth), and its deadline grows by that much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from coord.consul.types import (
    AgentInfo,
    Consistency,
    HealthCheck,
    KVEntry,
    NodeInfo,
    Reply,
    ServiceInstance,
    ServiceRegistration,
    Session,
    TtlCheck,
    TxnOp,
    TxnResult,
)


class ConsulApi(Protocol):
    """The calls to Consul; see the module for deadlines, errors and blocking queries."""

    # --- keys ---

    async def kv_get(
        self,
        key: str,
        *,
        consistency: Consistency = Consistency.DEFAULT,
        index: int | None = None,
        wait_s: float | None = None,
        deadline_s: float | None = None,
    ) -> Reply[KVEntry | None]:
        """One key; value None where there is none."""
        ...

    async def kv_list(
        self,
        prefix: str,
        *,
        consistency: Consistency = Consistency.DEFAULT,
        index: int | None = None,
        wait_s: float | None = None,
        deadline_s: float | None = None,
    ) -> Reply[tuple[KVEntry, ...]]:
        """All keys under a prefix, in key order. Empty too when the token may not see them."""
        ...

    async def kv_keys(
        self, prefix: str, *, separator: str = "", deadline_s: float | None = None
    ) -> Reply[tuple[str, ...]]:
        """The names of all keys under a prefix. Empty too when the token may not see them.

        separator: what follows its first occurrence after the prefix is left out, and what is left
        of several names that are the same then stands there once.
        """
        ...

    async def kv_put(
        self,
        key: str,
        value: bytes,
        *,
        cas: int | None = None,
        flags: int = 0,
        deadline_s: float | None = None,
    ) -> bool:
        """Write a key; with `cas`, only if its ModifyIndex is that (0: if it does not exist).

        False: the cas did not match.
        """
        ...

    async def kv_delete(
        self,
        key: str,
        *,
        cas: int | None = None,
        recurse: bool = False,
        deadline_s: float | None = None,
    ) -> bool:
        """Delete a key, or all under it as a prefix; False: the cas did not match."""
        ...

    async def txn(
        self,
        ops: Sequence[TxnOp],
        *,
        consistency: Consistency = Consistency.DEFAULT,
        deadline_s: float | None = None,
    ) -> TxnResult:
        """All of `ops` or nothing; a failed one is a result (ok False), not an error.

        `consistency` counts only when every operation is a `get`: then it is a read.
        ConsulNotPermitted when the token may not do one of them; at most 64 operations.
        """
        ...

    # --- sessions ---

    async def session_create(
        self,
        *,
        name: str,
        checks: Sequence[str],
        lock_delay_s: float,
        node: str | None = None,
        ttl_s: float | None = None,
        behavior: str = "release",
        deadline_s: float | None = None,
    ) -> str:
        """A new session's id. `checks` is the full list of check ids (also ``serfHealth``).

        ConsulRefused when a check is unknown to the servers or critical.
        """
        ...

    async def session_destroy(self, session_id: str, *, deadline_s: float | None = None) -> bool:
        """Destroy it; True also when it was gone already."""
        ...

    async def session_renew(
        self, session_id: str, *, deadline_s: float | None = None
    ) -> Session | None:
        """Start its TTL anew; None: the session is gone."""
        ...

    async def session_info(
        self,
        session_id: str,
        *,
        consistency: Consistency = Consistency.DEFAULT,
        deadline_s: float | None = None,
    ) -> Session | None:
        """The session, or None when there is none (or none to be seen)."""
        ...

    async def session_list(self, *, deadline_s: float | None = None) -> tuple[Session, ...]:
        """All sessions of the datacenter that the token may see."""
        ...

    async def session_node(
        self, node: str, *, deadline_s: float | None = None
    ) -> tuple[Session, ...]:
        """All sessions of one node that the token may see."""
        ...

    # --- the local agent ---

    @property
    def token_changes(self) -> int:
        """How often the token has become another one: a token file may rotate.

        An agent tells the servers of a service and its checks with the token of its last
        registration. Once that is gone it cannot tell that a check fails, and then no session
        ends with it: whoever is registered does so again after a change.
        """
        ...

    async def agent_self(self, *, deadline_s: float | None = None) -> AgentInfo:
        """The agent we talk to."""
        ...

    async def agent_services(
        self, *, deadline_s: float | None = None
    ) -> Mapping[str, ServiceInstance]:
        """What is registered on this agent, by service id."""
        ...

    async def agent_checks(self, *, deadline_s: float | None = None) -> Mapping[str, HealthCheck]:
        """The checks of this agent, by check id."""
        ...

    async def service_register(
        self, registration: ServiceRegistration, *, deadline_s: float | None = None
    ) -> None:
        """Register, or register again: a check that is there keeps its status."""
        ...

    async def service_deregister(self, service_id: str, *, deadline_s: float | None = None) -> None:
        """Deregister from this agent, with its checks; nothing happens if it is not there."""
        ...

    async def check_register(
        self, check: TtlCheck, *, service_id: str | None = None, deadline_s: float | None = None
    ) -> None:
        """Register a check on this agent: of the node, or of one of its services."""
        ...

    async def check_deregister(self, check_id: str, *, deadline_s: float | None = None) -> None:
        """Deregister from this agent; nothing happens if it is not there."""
        ...

    async def check_pass(
        self, check_id: str, note: str = "", *, deadline_s: float | None = None
    ) -> bool:
        """Mark passing, and start its TTL anew. False: the agent does not know this check."""
        ...

    async def check_fail(
        self, check_id: str, note: str = "", *, deadline_s: float | None = None
    ) -> bool:
        """Mark critical. False: the agent does not know this check."""
        ...

    # --- health and catalog ---

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
        """The instances of a service; `passing`: only those all of whose checks pass."""
        ...

    async def health_node(
        self, node: str, *, deadline_s: float | None = None
    ) -> Reply[tuple[HealthCheck, ...]]:
        """All checks of a node, its services' too."""
        ...

    async def health_state(
        self, state: str = "any", *, deadline_s: float | None = None
    ) -> Reply[tuple[HealthCheck, ...]]:
        """All checks in that state: any, passing, warning or critical."""
        ...

    async def catalog_nodes(
        self, *, deadline_s: float | None = None
    ) -> Reply[tuple[NodeInfo, ...]]:
        """All nodes, in name order as Consul gives them."""
        ...

    async def catalog_services(
        self, *, deadline_s: float | None = None
    ) -> Mapping[str, tuple[str, ...]]:
        """The tags of every service, by service name."""
        ...

    async def catalog_deregister(
        self, node: str, service_id: str | None = None, *, deadline_s: float | None = None
    ) -> None:
        """Remove a service, or a whole node, from the catalog.

        An agent that still knows it will write it back: for what a dead agent left behind.
        """
        ...

    async def service_writable(
        self, node: str, service: str, *, deadline_s: float | None = None
    ) -> bool:
        """Whether the token may register that service. Changes nothing: it asks the servers for a
        write that cannot be, and rights are looked at first."""
        ...

    # --- the cluster ---

    async def status_leader(self, *, deadline_s: float | None = None) -> str:
        """``address:port`` of Consul's own leader; "" where there is none."""
        ...

    async def status_peers(self, *, deadline_s: float | None = None) -> tuple[str, ...]:
        """``address:port`` of Consul's servers."""
        ...

    async def snapshot_save(self, *, deadline_s: float | None = None) -> bytes:
        """All of Consul's state, as Consul packs it."""
        ...

    async def snapshot_restore(self, data: bytes, *, deadline_s: float | None = None) -> None:
        """Put all of Consul's state back; every index may go backwards."""
        ...

    # --- life ---

    async def aclose(self) -> None:
        """Close every connection."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
