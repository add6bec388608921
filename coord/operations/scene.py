"""One look at what an operation waits for: who leads, who works, what is asked, what is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from coord.consul import (
    Consistency,
    ConsulApi,
    ConsulError,
    ConsulNotPermitted,
    ConsulRefused,
    KVEntry,
    Reply,
    TxnOp,
)
from coord.consul.changes import WAIT_S, Query, key_query, service_query
from coord.members import Listing, Member, Role, Seen, leader_instances, members, read_instances
from coord.records import Control, Paths, RecordError
from coord.status.model import KeyRead, LeaderStatus, TermStatus, leader_status, term_status
from coord.telemetry.journal import JournalEntry
from coord.telemetry.journal import read as read_journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One look.

    asked_by: the request id at the operation's control key; "" if there is no key, None if what is
        there cannot be read.
    working: node and term of the passing instances of the leader's service.
    journal: the newest entries, empty where they may not be read.
    """

    leader: LeaderStatus
    term: TermStatus
    asked_by: str | None
    working: frozenset[tuple[str, int]]
    candidates: Listing[Member]
    journal: tuple[JournalEntry, ...]


async def read_scene(consul: ConsulApi, paths: Paths, control_key: str) -> Scene:
    """Look once; the leader key and the term key by a consistent read.

    Raises:
        ConsulError: Consul did not answer.
    """
    leader_key, term_key = await _read_keys(consul, paths)
    control, leaders, candidates, journal = await asyncio.gather(
        consul.kv_get(control_key),
        read_instances(consul, paths.leader_service),
        read_instances(consul, paths.candidate_service),
        _journal(consul, paths),
    )
    term = term_status(term_key)
    working = (i for i in leader_instances(leaders).items if i.passing and i.term is not None)
    return Scene(
        leader=leader_status(leader_key, term),
        term=term,
        asked_by=_asked_by(control.value),
        working=frozenset((i.node, i.term or 0) for i in working),
        candidates=members(Role.CANDIDATE, candidates, paths.election),
        journal=journal,
    )


def scene_queries(consul: ConsulApi, paths: Paths, control_key: str) -> Sequence[Query]:
    """What changes whenever a scene may have."""

    def journal(index: int | None) -> Awaitable[Reply[tuple[KVEntry, ...]]]:
        wait_s = None if index is None else WAIT_S
        return consul.kv_list(paths.journal, index=index, wait_s=wait_s)

    return (
        key_query(consul, paths.leader),
        key_query(consul, control_key),
        service_query(consul, paths.leader_service),
        service_query(consul, paths.candidate_service),
        journal,
    )


async def read_control(consul: ConsulApi, key: str) -> tuple[str | None, int]:
    """Whose request stands at a control key, as in `Scene`, and its ModifyIndex.

    Raises:
        ConsulError: Consul did not answer.
    """
    entry = (await consul.kv_get(key, consistency=Consistency.CONSISTENT)).value
    return _asked_by(entry), entry.modify_index if entry is not None else 0


async def _read_keys(consul: ConsulApi, paths: Paths) -> tuple[KeyRead, KeyRead]:
    ops = (TxnOp.kv_get(paths.leader), TxnOp.kv_get(paths.term))
    try:
        result = await consul.txn(ops, consistency=Consistency.CONSISTENT)
    except (ConsulNotPermitted, ConsulRefused):
        result = None
    if result is not None and result.ok:
        return KeyRead(True, result.entry(paths.leader)), KeyRead(True, result.entry(paths.term))
    # One of them is missing. The term first: it changes only together with the leader key, so
    # what is then read of that key is no older.
    term = await _read_key(consul, paths.term)
    return await _read_key(consul, paths.leader), term


async def _read_key(consul: ConsulApi, key: str) -> KeyRead:
    try:
        return KeyRead(True, (await consul.kv_get(key, consistency=Consistency.CONSISTENT)).value)
    except ConsulNotPermitted:
        return KeyRead(False)


async def _journal(consul: ConsulApi, paths: Paths) -> tuple[JournalEntry, ...]:
    try:
        return await read_journal(consul, paths)
    except ConsulError:
        return ()  # for the telling alone: nothing hangs on it


def _asked_by(entry: KVEntry | None) -> str | None:
    if entry is None:
        return ""
    try:
        return Control.decode(entry.value).request_id
    except RecordError:
        return None


def why_not_by_node(candidates: Listing[Member]) -> dict[str, str]:
    """Why each candidate does not lead, as it says."""
    if candidates.seen not in (Seen.KNOWN, Seen.UNKNOWN):
        return {}
    found: dict[str, str] = {}
    for member in candidates.items:
        said = member.reason.value if member.reason is not None else member.why_not
        found.setdefault(member.node, said or member.state)
    return found
