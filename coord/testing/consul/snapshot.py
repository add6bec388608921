"""A simulated Consul's state as bytes and back."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from coord.consul.types import (
    CheckStatus,
    HealthCheck,
    KVEntry,
    NodeInfo,
    ServiceInstance,
    Session,
)

if TYPE_CHECKING:
    from coord.testing.consul.store import Store

_MARK = "simulated-consul-1"


class SnapshotError(ValueError):
    """These bytes are no snapshot of a simulated Consul."""


def pack(store: Store) -> bytes:
    """All of its state but the lock-delays, which Consul does not save either."""
    keys, catalog = store.keys, store.catalog
    said = {
        "mark": _MARK,
        "keys": [_packed_entry(keys.entries[key]) for key in keys.under("")],
        "keys_index": keys.index,
        "reaped": keys.reaped,
        "tombstones": keys.tombstones,
        "sessions": [_fields(session) for session in store.sessions.values()],
        "sessions_index": store.sessions_index,
        "nodes": [_fields(node) for node in catalog.nodes.values()],
        "node_ids": catalog.node_ids,
        "services": {
            node: [_fields(service) for service in services.values()]
            for node, services in catalog.services.items()
        },
        "checks": {
            node: [_fields(check) for check in checks.values()]
            for node, checks in catalog.checks.items()
        },
        "catalog_indexes": [
            catalog.nodes_index,
            catalog.services_index,
            catalog.checks_index,
            catalog.extinct_index,
        ],
        "service_indexes": catalog.service_indexes,
    }
    return json.dumps(said).encode()


def unpack(data: bytes) -> Store:
    """The state that was packed; raises SnapshotError."""
    from coord.testing.consul.store import Store  # stores pack themselves

    try:
        said = json.loads(data)
        if said["mark"] != _MARK:
            raise SnapshotError("no snapshot of a simulated Consul")
        store = Store()
        _unpack_keys(store, said)
        _unpack_catalog(store, said)
    except SnapshotError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise SnapshotError("no snapshot of a simulated Consul") from error
    return store


def _unpack_keys(store: Store, said: Any) -> None:
    keys = store.keys
    for packed in said["keys"]:
        packed["value"] = base64.b64decode(packed["value"])
        keys.replace(packed["key"], KVEntry(**packed))
    keys.index, keys.reaped = said["keys_index"], said["reaped"]
    keys.tombstones = said["tombstones"]
    for packed in said["sessions"]:
        packed["checks"] = tuple(packed["checks"])
        store.sessions[packed["id"]] = Session(**packed)
    store.sessions_index = said["sessions_index"]


def _unpack_catalog(store: Store, said: Any) -> None:
    catalog = store.catalog
    for packed in said["nodes"]:
        catalog.nodes[packed["name"]] = NodeInfo(**packed)
    catalog.node_ids = said["node_ids"]
    for node, services in said["services"].items():
        found = {}
        for packed in services:
            packed["tags"], packed["checks"] = tuple(packed["tags"]), ()
            found[packed["id"]] = ServiceInstance(**packed)
        catalog.services[node] = found
    for node, checks in said["checks"].items():
        catalog.checks[node] = {}
        for packed in checks:
            packed["status"] = CheckStatus(packed["status"])
            catalog.checks[node][packed["check_id"]] = HealthCheck(**packed)
    indexes = said["catalog_indexes"]
    catalog.nodes_index, catalog.services_index, catalog.checks_index = indexes[:3]
    catalog.extinct_index = indexes[3]
    catalog.service_indexes = said["service_indexes"]
    catalog.named_anew()


def _packed_entry(entry: KVEntry) -> dict[str, Any]:
    return {**_fields(entry), "value": base64.b64encode(entry.value).decode()}


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}
