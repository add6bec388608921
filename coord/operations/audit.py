"""The audit: what operators did, each operation an entry of its own, the newest 1000 kept.

An entry is written as "begun" in the very transaction that begins the operation: who may not write
it does nothing. What came of it is written over it at the end; an entry that says "begun" long
after belongs to an operator who was killed, or lost Consul.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass

from coord.consul import Consistency, ConsulApi, ConsulError, KVEntry, TxnOp, check_key
from coord.operations.asks import Operation
from coord.operations.model import Preview
from coord.operations.outcomes import Outcome
from coord.records import AuditRecord, Paths, RecordError, utc

KEPT_ENTRIES = 1000
"""How many entries are left when the audit is pruned."""

BEGUN = "begun"
"""The outcome of an entry whose operation has not ended, as far as anybody wrote."""

_PRUNE_S = 2.0
"""How long pruning may take in passing, in seconds."""

_TXN_DELETES = 60
_MAX_DETAIL = 1000
_KEY = re.compile(r"(?P<ms>[0-9]{13})-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry as it was read. record None: it cannot be read, and `problem` says why."""

    key: str
    record: AuditRecord | None
    problem: str = ""

    @property
    def begun(self) -> bool:
        """Whether nobody wrote what came of it."""
        return self.record is not None and self.record.outcome == BEGUN


def begun(plan: Preview, wall_ms: int) -> AuditRecord:
    """The entry of an operation that is about to begin."""
    ask = plan.ask
    about_leader = ask.operation.of_leader and plan.leader is not None
    node = plan.leader.node if about_leader and plan.leader is not None else ask.node
    return AuditRecord(
        operation=ask.operation.value,
        node=node,
        to=ask.node if ask.operation is Operation.TRANSFER else "",
        actor=ask.actor,
        reason=ask.reason,
        request_id=ask.request_id,
        at=utc(wall_ms),
        expected_term=plan.basis.term if plan.leader is not None else 0,
        for_ms=ask.for_ms if ask.operation is Operation.PAUSE else None,
    )


def begin_op(paths: Paths, record: AuditRecord) -> TxnOp:
    """The step of the beginning transaction that writes it; fails if it was begun before."""
    return TxnOp.kv_cas(record.key(paths), record.encode(), 0)


def finished(record: AuditRecord, outcome: Outcome, wall_ms: int) -> AuditRecord:
    """The entry with what came of it."""
    return record.model_copy(
        update={
            "outcome": outcome.word.value,
            "detail": outcome.detail[:_MAX_DETAIL],
            "finished_at": utc(wall_ms),
            "new_leader": outcome.new_leader,
            "new_term": outcome.new_term,
            "gap_ms": outcome.gap_ms,
        }
    )


async def read_audit(
    consul: ConsulApi,
    paths: Paths,
    limit: int = KEPT_ENTRIES,
    *,
    consistency: Consistency = Consistency.DEFAULT,
) -> tuple[AuditEntry, ...]:
    """The newest `limit` entries by Consul's index, in the order of their times. What cannot be
    read is there with its `problem`.

    Empty too when the token may not see the audit.

    Raises:
        ConsulError: Consul did not answer, or said no.
        ValueError: `limit` is less than 1.
    """
    if limit < 1:
        raise ValueError(f"limit is {limit}; it must be at least 1")
    reply = await consul.kv_list(paths.audit, consistency=consistency)
    newest = sorted(reply.value, key=lambda entry: _age_key(paths, entry))[-limit:]
    ordered = sorted(newest, key=lambda entry: _sort_key(paths, entry.key))
    return tuple(_decoded(entry) for entry in ordered)


async def prune_audit(consul: ConsulApi, paths: Paths, keep: int = KEPT_ENTRIES) -> int:
    """Delete all but the newest `keep` entries; returns how many were deleted.

    Which are the newest Consul's index says, whatever the operators' clocks say. Keys that are not
    named like an entry go first; those that no client may name are left.

    Raises:
        ConsulError: Consul did not do it, or not all of it.
    """
    found = (await consul.kv_list(paths.audit)).value
    ordered = sorted(found, key=lambda entry: _age_key(paths, entry))
    keys = [entry.key for entry in ordered if _may_be_named(entry.key)]
    surplus = keys[: max(0, len(keys) - keep)]
    for start in range(0, len(surplus), _TXN_DELETES):
        await consul.txn([TxnOp.kv_delete(key) for key in surplus[start : start + _TXN_DELETES]])
    return len(surplus)


async def keep_audit_short(consul: ConsulApi, paths: Paths) -> None:
    """As `prune_audit`, for a while; where that fails, whoever comes next does it."""
    with suppress(ConsulError, TimeoutError):
        async with asyncio.timeout(_PRUNE_S):
            await prune_audit(consul, paths)


def _decoded(entry: KVEntry) -> AuditEntry:
    try:
        return AuditEntry(entry.key, AuditRecord.decode(entry.value))
    except RecordError as error:
        return AuditEntry(entry.key, None, str(error))


def _age_key(paths: Paths, entry: KVEntry) -> tuple[bool, int, tuple[int, str]]:
    """In the order in which they came to be; what is named like no entry before all that is."""
    by_time = _sort_key(paths, entry.key)
    return (by_time[0] >= 0, entry.create_index, by_time)


def _sort_key(paths: Paths, key: str) -> tuple[int, str]:
    match = _KEY.fullmatch(key.removeprefix(paths.audit))
    return (int(match["ms"]) if match else -1, key)


def _may_be_named(key: str) -> bool:
    try:
        check_key(key)
    except ValueError:
        return False
    return True
