"""Reading the history and the audit of an election from Consul."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from coord.clock import Clock
from coord.consul import Consistency, ConsulApi, ConsulNotPermitted, Denied
from coord.history.assemble import tenures, vacant
from coord.history.model import History, Pause
from coord.history.operated import operations_of
from coord.history.pauses import pauses
from coord.history.told import whole
from coord.members import Seen
from coord.operations import AuditEntry
from coord.operations import read_audit as read_operations
from coord.records import Paths
from coord.status import Condition, ControlStatus
from coord.status.below import Below, read_below
from coord.status.read import read_control_status, read_keys
from coord.telemetry.journal import KEPT_ENTRIES, JournalEntry, decoded

_PROBE = "0"
"""A key that nobody writes: whether it may be read tells whether the others may."""


def journal_probe(paths: Paths) -> str:
    """A key beside the journal's entries that may be read if they may."""
    return paths.journal + _PROBE


@dataclass(frozen=True, slots=True)
class JournalRead:
    """All entries of the journal, oldest first; stale: Consul has no leader, they may be old.

    denied: what is wrong with the token, where it may not read them.
    """

    seen: Seen
    entries: tuple[JournalEntry, ...]
    stale: bool
    denied: Denied | None = None


async def read_journal(consul: ConsulApi, paths: Paths) -> JournalRead:
    """What the nodes wrote down.

    Raises:
        ConsulError: Consul cannot be read; a lack of rights is said by `seen`.
    """
    keys = await read_keys(consul, paths)
    below = await _read_journal(consul, paths, keys.consistency)
    return JournalRead(below.seen, decoded(paths, below.entries), keys.stale, below.denied)


async def _read_journal(consul: ConsulApi, paths: Paths, consistency: Consistency) -> Below:
    return await read_below(consul, paths.journal, journal_probe(paths), consistency=consistency)


@dataclass(frozen=True, slots=True)
class Past:
    """The history, and what it was made of: the journal's entries, oldest first, and what operators
    did, the latest first."""

    history: History
    entries: tuple[JournalEntry, ...]
    operations: tuple[AuditEntry, ...] = ()


async def read_history(
    consul: ConsulApi, paths: Paths, *, clock: Clock, limit: int = KEPT_ENTRIES
) -> History:
    """Who led when, the latest `limit` tenures.

    Raises:
        ConsulError: Consul cannot be read. What the token may not see is said in the result.
        ValueError: `limit` is less than 1.
    """
    return (await read_past(consul, paths, clock=clock, limit=limit)).history


async def read_past(
    consul: ConsulApi, paths: Paths, *, clock: Clock, limit: int = KEPT_ENTRIES
) -> Past:
    """The same with the journal and the audit, all read at once. Raises as `read_history`."""
    if limit < 1:
        raise ValueError(f"limit is {limit}; it must be at least 1")
    at_ms = clock.wall_ms()
    keys = await read_keys(consul, paths)
    journal, (audit, operations), controls = await asyncio.gather(
        _read_journal(consul, paths, keys.consistency),
        read_audit(consul, paths, consistency=keys.consistency),
        read_control_status(consul, paths, keys.consistency),
    )
    entries = decoded(paths, journal.entries)
    denied = keys.leader.condition is Condition.NOT_PERMITTED
    paused = _pauses(operations, controls, at_ms)
    found = tenures(entries, operations, None if denied else keys.leader, paused)
    history = History(
        election=paths.election,
        at_ms=at_ms,
        stale=keys.stale,
        journal=journal.seen,
        audit=audit,
        denied=keys.denied or journal.denied,
        vacant=vacant(found, keys.leader, paused, at_ms),
        tenures=found[:limit],
        oldest_ms=min((each.at_ms for each in entries if each.at_ms is not None), default=None),
        pruned=len(entries) >= KEPT_ENTRIES,
        omitted=max(0, len(found) - limit),
        unreadable=sum(bool(each.problem) for each in entries),
        audit_unreadable=sum(each.record is None for each in operations),
        unwritten=MappingProxyType(_unwritten(entries)),
    )
    return Past(history, entries, operations)


async def read_pauses(
    consul: ConsulApi, paths: Paths, *, clock: Clock, consistency: Consistency = Consistency.DEFAULT
) -> tuple[Pause, ...]:
    """When the election was paused, as far as the token may see that.

    Raises:
        ConsulError: Consul cannot be read.
    """
    (_, operations), controls = await asyncio.gather(
        read_audit(consul, paths, consistency=consistency),
        read_control_status(consul, paths, consistency),
    )
    return _pauses(operations, controls, clock.wall_ms())


def _pauses(
    operations: Sequence[AuditEntry], controls: ControlStatus, now_ms: int
) -> tuple[Pause, ...]:
    known = controls.seen is Seen.KNOWN
    return pauses(operations_of(operations), controls.asked.pause, now_ms, known=known)


async def read_audit(
    consul: ConsulApi, paths: Paths, *, consistency: Consistency = Consistency.DEFAULT
) -> tuple[Seen, tuple[AuditEntry, ...]]:
    """What operators did, the latest first, and whether that is all there is.

    Raises:
        ConsulError: Consul cannot be read.
    """
    try:
        entries = await read_operations(consul, paths, consistency=consistency)
        if not entries:
            await consul.kv_get(paths.audit + _PROBE, consistency=consistency)
    except ConsulNotPermitted:
        return Seen.NOT_PERMITTED, ()
    return Seen.KNOWN, entries[::-1]


def _unwritten(entries: Sequence[JournalEntry]) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in entries:
        lost = whole(entry, "lost_before")
        if lost:
            found[entry.node] = found.get(entry.node, 0) + lost
    return found
