"""The cluster as Consul shows it: reading `ClusterStatus`, and watching it.

The leader key and the term key are read in one consistent transaction: what they say is true of
one moment. The lists of members are each true of a moment just after. Where the token does not
allow to see something, the snapshot says so and never "there are none"; where that cannot be told
(Consul answers denied lists empty) it says unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, replace

from coord.clock import Clock
from coord.consul import (
    AgentInfo,
    Consistency,
    ConsulApi,
    ConsulError,
    ConsulNotFound,
    ConsulNotPermitted,
    ConsulRefused,
    ConsulUnavailable,
    Denied,
    ServiceInstance,
    TxnOp,
    TxnResult,
)
from coord.consul.changes import Changes, Query, key_query, prefix_query, service_query
from coord.controls import controls_of
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
from coord.records.health import ClusterHealthRecord
from coord.status.below import read_below
from coord.status.model import (
    ClusterStatus,
    ConsulStatus,
    ControlStatus,
    HealthStatus,
    KeyRead,
    LeaderStatus,
    TermStatus,
    Unavailable,
    leader_status,
    term_status,
)
from coord.status.rows import in_the_light_of

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
    keys = await read_keys(consul, paths)
    consistency = keys.consistency
    services = (*role_services(paths).values(), paths.leader_service)
    listed, complete, about, health, controls = await asyncio.gather(
        asyncio.gather(*(read_instances(consul, name, consistency) for name in services)),
        _lists_are_complete(consul),
        _read_consul(consul, sure=keys.leader.modify_index > 0),
        _read_health(consul, paths, consistency),
        read_control_status(consul, paths, consistency),
    )
    candidates, observers, pollers, leaders = (_settled(found, complete) for found in listed)
    return ClusterStatus(
        election=paths.election,
        at_ms=at_ms,
        stale=keys.stale,
        leader=keys.leader,
        term=keys.term,
        candidates=in_the_light_of(
            keys.leader, members(Role.CANDIDATE, candidates, paths.election), controls, at_ms
        ),
        observers=members(Role.OBSERVER, observers, paths.election),
        pollers=members(Role.POLLER, pollers, paths.election),
        leader_service=leader_instances(leaders),
        consul=about,
        health=health,
        controls=controls,
        denied=keys.denied or controls.denied,
    )


@dataclass(frozen=True, slots=True)
class Keys:
    """What the leader key and the term key say; stale: Consul has no leader, it may be old.

    denied: what is wrong with the token, where it may not read one of them.
    """

    leader: LeaderStatus
    term: TermStatus
    stale: bool
    denied: Denied | None = None

    @property
    def consistency(self) -> Consistency:
        """How whatever else is of interest can be read just now."""
        return Consistency.STALE if self.stale else Consistency.DEFAULT


async def read_keys(consul: ConsulApi, paths: Paths) -> Keys:
    """Who leads, of the best that Consul can tell. Raises as `read_status`."""
    stale = False
    try:
        leader_key, term_key = await _read_keys(consul, paths, Consistency.CONSISTENT)
    except ConsulUnavailable as error:
        if not await _leaderless(consul, error):
            raise
        stale = True
        leader_key, term_key = await _read_keys(consul, paths, Consistency.STALE)
    term = term_status(term_key)
    denied = leader_key.denied or term_key.denied
    return Keys(leader_status(leader_key, term), term, stale, denied)


async def read_control_status(
    consul: ConsulApi, paths: Paths, consistency: Consistency = Consistency.DEFAULT
) -> ControlStatus:
    """What operators ask. Raises nothing of Consul's: errors are said by `seen`."""
    try:
        below = await read_below(
            consul, paths.control, paths.pause, proof=(paths.keep,), consistency=consistency
        )
    except ConsulError:
        return ControlStatus(Seen.UNAVAILABLE)
    return ControlStatus(below.seen, controls_of(below.entries, paths), below.denied)


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
    except ConsulNotPermitted as error:
        return KeyRead(False, denied=error.denied)


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
    """A snapshot at once, then another whenever the keys, the members or what is asked changed.

    It also reads every `refresh_s` seconds, and yields that only if it differs, or if `every`
    reading is asked for. While Consul cannot be read there is one `Unavailable`, then a snapshot
    once it can. `age_ms` counts from before the reading.

    Close it (``contextlib.aclosing``) to end its queries.
    """
    services = (*role_services(paths).values(), paths.leader_service)
    queries: list[Query] = [key_query(consul, key) for key in (paths.leader, paths.term)]
    queries += [service_query(consul, name) for name in services]
    queries.append(prefix_query(consul, paths.control))
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
