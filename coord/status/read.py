"""The cluster as Consul shows it: reading `ClusterStatus`, watching it, JSON.

The leader key and the term key are read in one consistent transaction: what they say is true of
one moment. The lists of members are each true of a moment just after. Where the token does not
allow to see something, the snapshot says so and never "there are none"; where that cannot be told
(Consul answers denied lists empty) it says unknown.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

from pydantic import BaseModel

from coord.clock import Clock
from coord.cluster_health import ClusterHealthRecord
from coord.consul import (
    AgentInfo,
    Consistency,
    ConsulApi,
    ConsulError,
    ConsulNotFound,
    ConsulNotPermitted,
    ConsulRefused,
    ConsulUnavailable,
    ServiceInstance,
    TxnOp,
    TxnResult,
)
from coord.consul.changes import Changes, key_query, service_query
from coord.members import (
    Listing,
    Role,
    Seen,
    cut,
    leader_instances,
    members,
    read_instances,
    role_services,
)
from coord.records import Paths, RecordError
from coord.status.model import (
    ClusterStatus,
    ConsulStatus,
    HealthStatus,
    KeyRead,
    Unavailable,
    leader_status,
    term_status,
)
from coord.status.node import NodeStatus
from coord.status.rows import namesakes

REFRESH_S = 5.0
"""How often `watch_status` reads even if no watched thing changed, in seconds."""

PROBE_S = 1.0
"""How long the agent may take to say whether Consul has a leader at all, in seconds."""

RETRY_S = 1.0
"""How soon `watch_status` reads again after Consul could not be read, in seconds."""

SETTLE_S = 0.05
"""How long `watch_status` gathers changes before it reads: a change of leader makes several."""

_CONSUL_SERVICE = "consul"


# --- reading -------------------------------------------------------------------------------------


async def read_status(consul: ConsulApi, paths: Paths, *, clock: Clock) -> ClusterStatus:
    """Read one snapshot.

    Raises:
        ConsulUnavailable: Consul cannot be reached, or what answers is not Consul. Where it is
            there but has no leader, the snapshot is `stale` instead.
    """
    at_ms = clock.wall_ms()
    consistency = Consistency.DEFAULT
    try:
        leader_key, term_key = await _read_keys(consul, paths, Consistency.CONSISTENT)
    except ConsulUnavailable as error:
        if not await _leaderless(consul, error):
            raise
        consistency = Consistency.STALE
        leader_key, term_key = await _read_keys(consul, paths, consistency)
    term = term_status(term_key)
    services = (*role_services(paths).values(), paths.leader_service)
    listed, complete, about, health = await asyncio.gather(
        asyncio.gather(*(read_instances(consul, name, consistency) for name in services)),
        _lists_are_complete(consul),
        _read_consul(consul, sure=leader_key.entry is not None),
        _read_health(consul, paths, consistency),
    )
    candidates, observers, pollers, leaders = (_settled(found, complete) for found in listed)
    return ClusterStatus(
        election=paths.election,
        at_ms=at_ms,
        stale=consistency is Consistency.STALE,
        leader=leader_status(leader_key, term),
        term=term,
        candidates=members(Role.CANDIDATE, candidates, paths.election),
        observers=members(Role.OBSERVER, observers, paths.election),
        pollers=members(Role.POLLER, pollers, paths.election),
        leader_service=leader_instances(leaders),
        consul=about,
        health=health,
    )


async def _read_keys(
    consul: ConsulApi, paths: Paths, consistency: Consistency
) -> tuple[KeyRead, KeyRead]:
    """The leader key and the term key, at one moment where both are there to be read."""
    result: TxnResult | None = None
    with suppress(ConsulNotPermitted, ConsulRefused):
        ops = (TxnOp.kv_get(paths.leader), TxnOp.kv_get(paths.term))
        result = await consul.txn(ops, consistency=consistency)
    if result is not None and result.ok:
        leader, term = result.entry(paths.leader), result.entry(paths.term)
        if leader is not None and term is not None:
            return KeyRead(True, leader), KeyRead(True, term)
    # One of them is missing, or denied: which one, and whether, only single reads tell.
    return (
        await _read_key(consul, paths.leader, consistency),
        await _read_key(consul, paths.term, consistency),
    )


async def _read_key(consul: ConsulApi, key: str, consistency: Consistency) -> KeyRead:
    try:
        return KeyRead(True, (await consul.kv_get(key, consistency=consistency)).value)
    except ConsulNotPermitted:
        return KeyRead(False)


async def _leaderless(consul: ConsulApi, error: ConsulUnavailable) -> bool:
    """Whether Consul is there and says that it has no leader: consistent reads may just hang."""
    if error.no_leader:
        return True
    try:
        return not await consul.status_leader(deadline_s=PROBE_S)
    except ConsulUnavailable as other:
        return other.no_leader
    except ConsulError:
        return False


async def _lists_are_complete(consul: ConsulApi) -> Seen:
    """What an empty list of service instances means for this token.

    Every Consul has a node and the service `consul` on it. Who sees no node sees no instance of
    anything; who sees nodes and services that nobody gave rights to by name is taken to see all.
    """
    try:
        nodes, services = await asyncio.gather(consul.catalog_nodes(), consul.catalog_services())
    except ConsulNotPermitted:
        return Seen.NOT_PERMITTED
    except ConsulError:
        return Seen.UNKNOWN
    if not nodes.value or not services:
        return Seen.NOT_PERMITTED
    return Seen.KNOWN if _CONSUL_SERVICE in services else Seen.UNKNOWN


def _settled(found: Listing[ServiceInstance], complete: Seen) -> Listing[ServiceInstance]:
    return Listing(complete) if found.seen is Seen.UNKNOWN else found


async def _read_consul(consul: ConsulApi, *, sure: bool) -> ConsulStatus:
    leader, agent = "", None
    try:
        leader = await consul.status_leader()
    except ConsulNotFound as error:
        # Every Consul has this; a server that knows nothing would look like one without keys.
        if not sure:
            raise ConsulUnavailable(error.operation, error.detail, status=404) from None
    except ConsulError:
        pass
    with suppress(ConsulError):
        agent = await consul.agent_self()
    return _consul_status(leader, agent)


def _consul_status(leader: str, agent: AgentInfo | None) -> ConsulStatus:
    if agent is None:
        return ConsulStatus(leader=cut(leader))
    return ConsulStatus(
        leader=cut(leader),
        version=cut(agent.version),
        agent=cut(agent.node_name),
        datacenter=cut(agent.datacenter),
    )


async def _read_health(consul: ConsulApi, paths: Paths, consistency: Consistency) -> HealthStatus:
    try:
        entry = (await consul.kv_get(paths.cluster_health, consistency=consistency)).value
    except ConsulNotPermitted:
        return HealthStatus(Seen.NOT_PERMITTED)
    except ConsulError:
        return HealthStatus(Seen.UNAVAILABLE)
    if entry is None:
        return HealthStatus(Seen.KNOWN)
    try:
        return HealthStatus(Seen.KNOWN, ClusterHealthRecord.decode(entry.value))
    except RecordError as error:
        return HealthStatus(Seen.UNKNOWN, detail=cut(str(error)))


async def watch_status(
    consul: ConsulApi,
    paths: Paths,
    *,
    clock: Clock,
    refresh_s: float = REFRESH_S,
    every: bool = False,
) -> AsyncGenerator[ClusterStatus | Unavailable, None]:
    """A snapshot at once, then another whenever the leader key, the term or the members changed.

    It also reads every `refresh_s` seconds, and yields that only if it differs, or if `every`
    reading is asked for. While Consul cannot be read there is one `Unavailable`, then a snapshot
    once it can. `age_ms` counts from before the reading.

    Close it (``contextlib.aclosing``) to end its queries.
    """
    services = (*role_services(paths).values(), paths.leader_service)
    queries = [key_query(consul, key) for key in (paths.leader, paths.term)]
    queries += [service_query(consul, name) for name in services]
    last: ClusterStatus | None = None
    failing = False
    async with Changes(queries) as changes:
        while True:
            began = clock.now()
            try:
                status = await read_status(consul, paths, clock=clock)
            except ConsulError as error:
                last = None
                if not failing:
                    failing = True
                    yield Unavailable(error)
            else:
                failing = False
                if every or not status.same_as(last):
                    last = status
                    yield replace(status, age_ms=round((clock.now() - began) * 1000))
            if await changes.wait(RETRY_S if failing else refresh_s):
                await changes.settle(SETTLE_S)


# --- JSON ----------------------------------------------------------------------------------------


def to_dict(status: ClusterStatus | NodeStatus) -> dict[str, Any]:
    """As JSON has it: fields by name, enums by value, times as ISO 8601.

    A cluster's begins with who leads, whether anybody does, and which names several passing nodes
    have (name -> addresses); a list's `seen` says whether it can
    be relied on.
    """
    data: dict[str, Any] = {}
    if isinstance(status, ClusterStatus):
        data = {
            "leader_node": status.leader_node,
            "election_state": status.leader.condition.value,
            "namesakes": _plain(namesakes(status)),
        }
    return data | dict(_fields(status))


def to_json(status: ClusterStatus | NodeStatus, *, indent: int | None = 2) -> str:
    """The same as text: plain ASCII, so that no name in it can reach a terminal's controls."""
    return json.dumps(to_dict(status), indent=indent, ensure_ascii=True)


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    for field in fields(value):
        yield field.name, _plain(getattr(value, field.name))


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value):
        return dict(_fields(value))
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
