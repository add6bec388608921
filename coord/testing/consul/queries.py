"""What can be read of a simulated Consul server's state, each with the index Consul gives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from coord.consul.types import (
    HealthCheck,
    KVEntry,
    NodeInfo,
    ServiceInstance,
    Session,
    TxnOp,
    TxnResult,
)
from coord.testing.consul.commands import Failure
from coord.testing.consul.store import Store
from coord.testing.consul.txns import malformed
from coord.testing.consul.waiters import Waiter


class Query(Protocol):
    """A read. Blocking ones can also say what they wait for."""

    def run(self, store: Store) -> tuple[int, object]:
        """The index and the value."""
        ...

    def wait(self, store: Store, waiter: Waiter) -> None:
        """Have `waiter` woken when the answer may have changed."""
        ...


@dataclass(frozen=True, slots=True)
class KvGet:
    """One key; a missing one has the index of all keys, and wakes with its neighbours."""

    key: str

    def run(self, store: Store) -> tuple[int, KVEntry | None]:
        """See `Query`."""
        entry = store.keys.entries.get(self.key)
        return (store.keys.last_index if entry is None else entry.modify_index), entry

    def wait(self, store: Store, waiter: Waiter) -> None:
        """See `Query`."""
        if self.key in store.keys.entries:
            store.waiters.on_key(self.key, waiter)
        else:
            store.waiters.on_prefix(store.keys.common_prefix(self.key), waiter)


@dataclass(frozen=True, slots=True)
class KvList:
    """All keys under a prefix."""

    prefix: str

    def run(self, store: Store) -> tuple[int, tuple[KVEntry, ...]]:
        """See `Query`."""
        entries = store.keys.entries
        found = [entries[key] for key in store.keys.under(self.prefix)]
        return store.keys.list_index(self.prefix, found), tuple(found)

    def wait(self, store: Store, waiter: Waiter) -> None:
        """See `Query`."""
        some = bool(store.keys.under(self.prefix))
        prefix = self.prefix if some else store.keys.common_prefix(self.prefix)
        store.waiters.on_prefix(prefix, waiter)


@dataclass(frozen=True, slots=True)
class HealthService:
    """The instances of a service."""

    name: str
    passing: bool

    def run(self, store: Store) -> tuple[int, tuple[ServiceInstance, ...]]:
        """See `Query`."""
        found = store.catalog.health(self.name)
        if self.passing:
            found = tuple(i for i in found if i.status.severity == 0)
        return store.catalog.health_index(self.name), found

    def wait(self, store: Store, waiter: Waiter) -> None:
        """See `Query`."""
        store.waiters.on_service(self.name, waiter)


@dataclass(frozen=True, slots=True)
class Look:
    """A read that cannot be waited on. `what` says what is read."""

    what: str
    look: Callable[[Store], tuple[int, object]] = field(repr=False)

    def run(self, store: Store) -> tuple[int, object]:
        """See `Query`."""
        return self.look(store)

    def wait(self, store: Store, waiter: Waiter) -> None:
        """Never: nothing asks for that."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class TxnRead:
    """A transaction of reads."""

    ops: tuple[TxnOp, ...]

    def run(self, store: Store) -> tuple[int, TxnResult]:
        """See `Query`."""
        return 0, store.txn_read(self.ops, True)

    def wait(self, store: Store, waiter: Waiter) -> None:
        """Never: transactions do not block."""
        raise NotImplementedError


def kv_keys(prefix: str, separator: str = "") -> Look:
    """The names of all keys under a prefix, each up to the separator after it, and once."""

    def look(store: Store) -> tuple[int, tuple[str, ...]]:
        index, entries = KvList(prefix).run(store)
        names = (entry.key for entry in entries)
        return index, tuple(dict.fromkeys(_up_to(name, prefix, separator) for name in names))

    return Look(f"kv_keys {prefix}", look)


def _up_to(name: str, prefix: str, separator: str) -> str:
    if not separator:
        return name
    before, found, _ = name.removeprefix(prefix).partition(separator)
    return prefix + before + found


def health_node(node: str) -> Look:
    """All checks of a node."""

    def look(store: Store) -> tuple[int, tuple[HealthCheck, ...]]:
        return store.catalog.checks_index, store.catalog.node_checks(node)

    return Look(f"health_node {node}", look)


def health_state(state: str) -> Look:
    """All checks in a state."""

    def look(store: Store) -> tuple[int, tuple[HealthCheck, ...]]:
        return store.catalog.checks_index, store.catalog.all_checks(state)

    return Look(f"health_state {state}", look)


def _catalog_nodes(store: Store) -> tuple[int, tuple[NodeInfo, ...]]:
    nodes = store.catalog.nodes
    return store.catalog.nodes_index, tuple(nodes[name] for name in sorted(nodes, key=str.lower))


CATALOG_NODES = Look("catalog_nodes", _catalog_nodes)
CATALOG_SERVICES = Look("catalog_services", lambda store: (0, store.catalog.service_tags()))
SESSION_LIST = Look(
    "session_list",
    lambda store: (
        store.sessions_index,
        tuple(store.sessions[session_id] for session_id in sorted(store.sessions)),
    ),
)


def session_info(session_id: str) -> Look:
    """One session, or None."""

    def look(store: Store) -> tuple[int, Session | Failure | None]:
        wrong = malformed(session_id)
        if wrong is not None:
            return 0, Failure(500, wrong)
        return store.sessions_index, store.sessions.get(session_id)

    return Look(f"session_info {session_id}", look)


def session_node(node: str) -> Look:
    """All sessions of a node."""
    return Look(
        f"session_node {node}",
        lambda store: (
            store.sessions_index,
            tuple(s for _, s in sorted(store.sessions.items()) if s.node == node),
        ),
    )


@dataclass(frozen=True, slots=True)
class NodeState:
    """What the catalog has of a node, for the node's own agent to compare with."""

    node: NodeInfo | None
    node_id: str
    services: dict[str, ServiceInstance]
    checks: dict[str, HealthCheck]


def node_state(node: str) -> Look:
    """What the catalog has of a node."""

    def look(store: Store) -> tuple[int, NodeState]:
        catalog = store.catalog
        services, checks = catalog.services.get(node, {}), catalog.checks.get(node, {})
        return 0, NodeState(
            catalog.nodes.get(node), catalog.node_ids.get(node, ""), dict(services), dict(checks)
        )

    return Look(f"node_state {node}", look)
