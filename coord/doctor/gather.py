"""Looks at an election in Consul and gathers the facts. Reads only, and never fails."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType

from coord.clock import Clock
from coord.consul import (
    AgentInfo,
    CheckStatus,
    Consistency,
    ConsulApi,
    ConsulError,
    ConsulNotPermitted,
    ConsulUnavailable,
    KVEntry,
    ServiceInstance,
    no_leader,
)
from coord.controls import controls_of
from coord.doctor.facts import (
    SERF_CHECK,
    Audit,
    Contact,
    Facts,
    Here,
    Journal,
    JournalKey,
    Sessions,
)
from coord.members import Listing, Seen, cut, read_instances
from coord.records import ROOT, AuditRecord, Paths, RecordError, is_name
from coord.rights import CONSUL_SERVICE
from coord.status import ClusterStatus, Condition, read_status
from coord.status.sessions import on_candidate, session_name
from coord.telemetry.journal import decode_entry

MAX_ENTRIES = 1000
"""So many of the journal's and of the audit's newest entries are looked at."""

SURE_DEADLINE_S = 10.0
"""How long the doctor waits for an answer: being slow is a finding, not the end."""


async def gather(consul: ConsulApi, paths: Paths, here: Here, *, clock: Clock) -> Facts:
    """Look at everything once. What Consul does not answer, or keeps back, the facts say."""
    at_ms = clock.wall_ms()
    try:
        status = await read_status(consul, paths, clock=clock)
        read_ms = await _time_a_read(consul, paths, clock)
    except ConsulError as error:
        return await _out_of_contact(consul, paths, here, error, at_ms)
    if status.stale:
        return Facts(
            at_ms=at_ms,
            election=paths.election,
            here=here,
            contact=Contact.NO_LEADER,
            status=status,
        )
    candidates, leaders, consuls = await asyncio.gather(
        *(
            read_instances(consul, name)
            for name in (paths.candidate_service, paths.leader_service, CONSUL_SERVICE)
        )
    )
    agent, local, keys = await asyncio.gather(
        _agent(consul), _local_services(consul), _keys(consul, paths)
    )
    every = (*candidates.items, *leaders.items)
    sessions = await _sessions(consul, paths, status, keys)
    never_was = status.leader.condition is Condition.MISSING and keys.empty
    return Facts(
        at_ms=at_ms,
        election=paths.election,
        here=here,
        status=_not_blind(status, sessions),
        read_ms=read_ms,
        agent=agent,
        servers=frozenset(instance.node for instance in consuls.items),
        versions=_versions(agent, consuls.items),
        check_ids=MappingProxyType({i.id: _own_checks(i) for i in candidates.items}),
        lost_nodes=frozenset(i.node for i in every if _lost(i)),
        local_services=local,
        sessions=sessions,
        controls_seen=keys.seen(paths.control),
        controls=controls_of(keys.below(paths.control), paths),
        journal=_journal(keys, paths),
        audit=_audit(keys, paths),
        never_was=never_was,
        elections=await _elections(consul) if never_was else (),
    )


def _not_blind(status: ClusterStatus, sessions: Sessions) -> ClusterStatus:
    """Where no candidate is seen, but sessions that hang on the checks of some: they were kept
    back, and nobody must say that there are none."""
    there = any(on_candidate(session, status.election) for session in sessions.named)
    if status.candidates.items or not there:
        return status
    return replace(status, candidates=Listing(Seen.UNKNOWN))


async def _out_of_contact(
    consul: ConsulApi, paths: Paths, here: Here, error: ConsulError, at_ms: int
) -> Facts:
    leaderless = isinstance(error, ConsulUnavailable) and error.no_leader
    if not leaderless:
        leaderless = await no_leader(consul)
    return Facts(
        at_ms=at_ms,
        election=paths.election,
        here=here,
        contact=Contact.NO_LEADER if leaderless else Contact.UNREACHABLE,
        detail=cut(str(error)),
    )


async def _time_a_read(consul: ConsulApi, paths: Paths, clock: Clock) -> int:
    began = clock.now()
    with suppress(ConsulNotPermitted):
        await consul.kv_get(
            paths.leader, consistency=Consistency.CONSISTENT, deadline_s=SURE_DEADLINE_S
        )
    return round((clock.now() - began) * 1000)


# --- Consul's own ---


async def _agent(consul: ConsulApi) -> AgentInfo | None:
    with suppress(ConsulError):
        return await consul.agent_self()
    return None


async def _local_services(consul: ConsulApi) -> frozenset[str]:
    with suppress(ConsulError):
        return frozenset(await consul.agent_services())
    return frozenset()


def _versions(agent: AgentInfo | None, servers: tuple[ServiceInstance, ...]) -> frozenset[str]:
    told = {cut(server.meta.get("version", "")) for server in servers}
    if agent is not None:
        told.add(cut(agent.version))
    return frozenset(told - {""})


def _own_checks(instance: ServiceInstance) -> frozenset[str]:
    return frozenset(c.check_id for c in instance.checks if c.service_id == instance.id)


def _lost(instance: ServiceInstance) -> bool:
    return any(
        check.check_id == SERF_CHECK and check.status is CheckStatus.CRITICAL
        for check in instance.checks
    )


# --- what stands below the election's root ---


@dataclass(frozen=True, slots=True)
class _Keys:
    """Every key of the election that the token may see, in the order of their creation."""

    entries: tuple[KVEntry, ...]
    seen_of: Mapping[str, Seen]

    def seen(self, prefix: str) -> Seen:
        return self.seen_of[prefix]

    @property
    def empty(self) -> bool:
        """There is nothing, and the token would see it."""
        return not self.entries and all(seen is Seen.KNOWN for seen in self.seen_of.values())

    def below(self, prefix: str) -> tuple[KVEntry, ...]:
        return tuple(entry for entry in self.entries if entry.key.startswith(prefix))


async def _keys(consul: ConsulApi, paths: Paths) -> _Keys:
    prefixes = (paths.control, paths.journal, paths.audit)
    try:
        found = (await consul.kv_list(paths.root, deadline_s=SURE_DEADLINE_S)).value
    except ConsulNotPermitted:
        return _Keys((), dict.fromkeys(prefixes, Seen.NOT_PERMITTED))
    except ConsulError:
        return _Keys((), dict.fromkeys(prefixes, Seen.UNAVAILABLE))
    seen = await asyncio.gather(*(_may_read(consul, prefix) for prefix in prefixes))
    ordered = sorted(found, key=lambda entry: entry.create_index)
    return _Keys(tuple(ordered), dict(zip(prefixes, seen, strict=True)))


async def _elections(consul: ConsulApi) -> tuple[str, ...]:
    """The elections whose keys the token sees: other programs, too, keep theirs below service/."""
    try:
        keys = (await consul.kv_keys(ROOT, deadline_s=SURE_DEADLINE_S)).value
    except ConsulError:
        return ()
    there = frozenset(keys)
    named = {key.removeprefix(ROOT).partition("/")[0] for key in keys}
    paths = (Paths(name) for name in sorted(named) if is_name(name))
    return tuple(each.election for each in paths if {each.leader, each.term} <= there)


async def _may_read(consul: ConsulApi, prefix: str) -> Seen:
    """What is denied is left out of a list, without a word: of a single key it is told."""
    try:
        await consul.kv_get(f"{prefix}doctor")
    except ConsulNotPermitted:
        return Seen.NOT_PERMITTED
    except ConsulError:
        return Seen.UNAVAILABLE
    return Seen.KNOWN


def _journal(keys: _Keys, paths: Paths) -> Journal:
    entries = keys.below(paths.journal)
    return Journal(
        seen=keys.seen(paths.journal),
        count=len(entries),
        entries=tuple(
            JournalKey(decode_entry(paths, entry), entry.create_index)
            for entry in entries[-MAX_ENTRIES:]
        ),
    )


def _audit(keys: _Keys, paths: Paths) -> Audit:
    entries: list[AuditRecord] = []
    unreadable: dict[str, str] = {}
    for entry in keys.below(paths.audit)[-MAX_ENTRIES:]:
        try:
            entries.append(AuditRecord.decode(entry.value))
        except RecordError as error:
            unreadable[cut(entry.key)] = cut(str(error))
    return Audit(
        seen=keys.seen(paths.audit),
        entries=tuple(entries),
        unreadable=MappingProxyType(unreadable),
    )


# --- sessions ---


async def _sessions(
    consul: ConsulApi, paths: Paths, status: ClusterStatus, keys: _Keys
) -> Sessions:
    """The list is empty, too, where the token may not see it: then what must be there is not."""
    try:
        every = await consul.session_list()
    except ConsulNotPermitted:
        return Sessions(seen=Seen.NOT_PERMITTED)
    except ConsulError:
        return Sessions(seen=Seen.UNAVAILABLE)
    must_be = status.leader.locked or any(m.passing for m in status.candidates.items)
    if not every and must_be:
        return Sessions(seen=Seen.UNKNOWN)
    prefix = session_name(paths.election)
    return Sessions(
        named=tuple(session for session in every if session.name.startswith(prefix)),
        holder=next((s for s in every if s.id == status.leader.session), None),
        holding=frozenset(entry.session for entry in keys.entries if entry.session),
        hung_on=frozenset(check for session in every for check in session.checks),
    )
