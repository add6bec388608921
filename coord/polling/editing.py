"""Changing schedules: what has to be written is planned purely, then written by check-and-set.

Each plan is made on what was read, and every write names the version that was seen: whoever came
meanwhile is not overwritten. As many changes as a transaction takes are made together or not at
all; more go in several, one after the other, and what was done is told.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from coord.consul import ConsulApi, ConsulError, KVEntry, TxnOp
from coord.polling.audit import Trail
from coord.polling.records import MAX_SCHEDULE_BYTES, ScheduleRecord, UnreadableRecord
from coord.polling.store import (
    MAX_CHECKS_IN_ALL,
    MAX_SCHEDULES,
    PollPaths,
    encode_schedule,
    load_schedules,
)
from coord.polling.writer import MAX_BATCH_BYTES
from coord.records import is_name

MAX_CHANGES = 63
"""How many changes are made together: Consul takes 64 operations in a transaction, and one is the
audit's."""

TRIES = 5
"""How often a change of one field is tried anew, when others write the same schedule."""


class Change(StrEnum):
    """What becomes of a schedule."""

    ADDED = "added"
    REPLACED = "replaced"
    REMOVED = "removed"
    ENABLED = "enabled"
    DISABLED = "disabled"
    UNCHANGED = "unchanged"


class EditCode(StrEnum):
    """Why nothing was changed."""

    EXISTS = "exists"
    NOT_FOUND = "not_found"
    UNREADABLE = "unreadable"
    CHANGED_MEANWHILE = "changed_meanwhile"
    NO_LEADER = "no_leader"
    ASKED_ALREADY = "asked_already"
    TOO_MANY = "too_many"
    TOO_LARGE = "too_large"


class EditRefused(Exception):  # noqa: N818 - an answer, not a fault
    """Things are not as they were thought to be. ids: the schedules that this is about."""

    def __init__(self, code: EditCode, ids: Iterable[str]) -> None:
        super().__init__(code, tuple(ids))
        self.code = code
        self.ids = tuple(ids)


@dataclass(frozen=True, slots=True)
class Stored:
    """A schedule as it stands in Consul: its record, or why it cannot be read."""

    entry: KVEntry
    record: ScheduleRecord | None
    unreadable: UnreadableRecord | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one schedule. op: what writes it; None: there is nothing to write."""

    id: str
    change: Change
    op: TxnOp | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a plan.

    done: what was changed. left: what was not. conflicts: of these, those that somebody else
    changed meanwhile. error: why not, if Consul did not do it; then the first of `left` may have
    been changed all the same if `unknown`.
    """

    done: tuple[Edit, ...]
    left: tuple[Edit, ...] = ()
    conflicts: tuple[str, ...] = ()
    error: ConsulError | None = None

    @property
    def unknown(self) -> bool:
        """Whether what Consul was asked last may have been done."""
        return bool(getattr(self.error, "outcome_unknown", False))


def stored(entries: Iterable[KVEntry], prefix: str) -> dict[str, Stored]:
    """What stands below the prefix, by the last part of its key."""
    by_key = {entry.key: entry for entry in entries}
    loaded = load_schedules(by_key.values(), prefix)
    found = {
        schedule_id: Stored(by_key[prefix + schedule_id], record)
        for schedule_id, record in loaded.records.items()
    }
    for key, (told, _) in loaded.unreadable.items():
        found[key.removeprefix(prefix)] = Stored(by_key[key], None, told)
    return found


# --- plans -----------------------------------------------------------------------------------


def plan_add(
    found: Mapping[str, Stored], record: ScheduleRecord, keys: PollPaths, *, replace: bool
) -> tuple[Edit, ...]:
    """Write a schedule.

    Raises:
        EditRefused: it is there, and not to be replaced; or there would be too many.
    """
    if record.id in found and not replace:
        raise EditRefused(EditCode.EXISTS, (record.id,))
    _refuse_too_many(found, (record,))
    return (_set(found.get(record.id), record, keys),)


def plan_import(
    found: Mapping[str, Stored], records: Sequence[ScheduleRecord], keys: PollPaths, *, prune: bool
) -> tuple[Edit, ...]:
    """Make Consul's schedules those; prune: and remove all others.

    Keys there that no schedule can have stay: whoever made them by hand removes them so.

    Raises:
        EditRefused: there would be too many.
    """
    others = found.keys() - {record.id for record in records}
    removed = sorted(name for name in others if is_name(name)) if prune else []
    _refuse_too_many(found, records, removed)
    edits = [_set(found.get(record.id), record, keys) for record in records]
    return (*edits, *(_removal(name, found[name]) for name in removed))


def plan_switch(
    found: Mapping[str, Stored], ids: Sequence[str], *, enabled: bool, now_ms: int
) -> tuple[Edit, ...]:
    """Enable or disable schedules. What is enabled is due from now on.

    Raises:
        EditRefused: one is not there, or cannot be read, or could not be once it is switched.
    """
    _refuse_missing(found, ids)
    unreadable = [name for name in ids if found[name].record is None]
    if unreadable:
        raise EditRefused(EditCode.UNREADABLE, unreadable)
    edits = tuple(_switch(name, found[name], enabled, now_ms) for name in ids)
    large = [e.id for e in edits if e.op is not None and len(e.op.value) > MAX_SCHEDULE_BYTES]
    if large:
        raise EditRefused(EditCode.TOO_LARGE, large)
    return edits


def plan_remove(found: Mapping[str, Stored], ids: Sequence[str]) -> tuple[Edit, ...]:
    """Remove schedules, readable or not.

    Raises:
        EditRefused: one is not there.
    """
    _refuse_missing(found, ids)
    return tuple(_removal(name, found[name]) for name in ids)


def _refuse_missing(found: Mapping[str, Stored], ids: Sequence[str]) -> None:
    missing = [name for name in ids if name not in found]
    if missing:
        raise EditRefused(EditCode.NOT_FOUND, missing)


def _refuse_too_many(
    found: Mapping[str, Stored], records: Iterable[ScheduleRecord], removed: Iterable[str] = ()
) -> None:
    """More than are run must not be written; where there are too many already, not even more."""
    before = {name: _checks(old.record) for name, old in found.items()}
    after = before | {record.id: _checks(record) for record in records}
    for name in removed:
        del after[name]
    if len(after) > max(MAX_SCHEDULES, len(before)) or sum(after.values()) > max(
        MAX_CHECKS_IN_ALL, sum(before.values())
    ):
        more = [name for name, checks in after.items() if checks > before.get(name, 0)]
        raise EditRefused(EditCode.TOO_MANY, more)


def _checks(record: ScheduleRecord | None) -> int:
    return 0 if record is None else len(record.checks)


def _set(old: Stored | None, record: ScheduleRecord, keys: PollPaths) -> Edit:
    if old is not None and old.record is not None and _says_the_same(old.record, record):
        return Edit(record.id, Change.UNCHANGED)
    change = Change.ADDED if old is None else Change.REPLACED
    index = 0 if old is None else old.entry.modify_index
    op = TxnOp.kv_cas(keys.schedule(record.id), encode_schedule(record), index)
    return Edit(record.id, change, op)


def _says_the_same(one: ScheduleRecord, other: ScheduleRecord) -> bool:
    return one.model_copy(update={"since_ms": 0, "v": 1}) == other.model_copy(
        update={"since_ms": 0, "v": 1}
    )


def _removal(name: str, old: Stored) -> Edit:
    op = TxnOp.kv_delete_cas(old.entry.key, old.entry.modify_index)
    return Edit(name, Change.REMOVED, op)


def _switch(name: str, old: Stored, enabled: bool, now_ms: int) -> Edit:
    assert old.record is not None
    if old.record.enabled is enabled:
        return Edit(name, Change.UNCHANGED)
    # In the text as it stands: what a newer writer has put into it stays.
    data = {**json.loads(old.entry.value), "enabled": enabled}
    if enabled:
        data["since_ms"] = now_ms
    value = json.dumps(data, ensure_ascii=False).encode()
    if len(value) > MAX_SCHEDULE_BYTES:
        value = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    change = Change.ENABLED if enabled else Change.DISABLED
    return Edit(name, change, TxnOp.kv_cas(old.entry.key, value, old.entry.modify_index))


# --- writing ---------------------------------------------------------------------------------


def batches(edits: Iterable[Edit]) -> Iterator[tuple[Edit, ...]]:
    """The changes in groups that one transaction takes each, in their order."""
    batch: list[Edit] = []
    size = 0
    for edit in edits:
        if edit.op is None:
            continue
        own = len(edit.op.key) + len(edit.op.value)
        if batch and (len(batch) == MAX_CHANGES or size + own > MAX_BATCH_BYTES):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(edit)
        size += own
    if batch:
        yield tuple(batch)


async def write(consul: ConsulApi, edits: Sequence[Edit], trail: Trail | None = None) -> Written:
    """Write a plan: each batch wholly or not at all, and none after one that was refused.

    trail: the audit's entry of it, written with each batch; none where nothing is changed.
    """
    groups = list(batches(edits))
    done: list[Edit] = []
    for number, group in enumerate(groups):
        left = tuple(edit for rest in groups[number:] for edit in rest)
        ops = [edit.op for edit in group if edit.op is not None]
        if trail is not None:
            last = number == len(groups) - 1
            ops.append(trail.op(_named((*done, *group)), first=number == 0, last=last))
        try:
            result = await consul.txn(ops)
        except ConsulError as error:
            written = Written(tuple(done), left, error=error)
            break
        if not result.ok:
            failed = {error.op_index for error in result.errors}
            conflicts = tuple(edit.id for n, edit in enumerate(group) if n in failed)
            written = Written(tuple(done), left, conflicts)
            break
        done += group
    else:
        return Written(tuple(done))
    await _end_early(consul, trail, written)
    return written


async def _end_early(consul: ConsulApi, trail: Trail | None, written: Written) -> None:
    """Say in the audit how far a plan came that was begun. If that fails, the entry goes on saying
    that it was begun, and what was changed by then."""
    if trail is None or not written.done:
        return
    word = "unknown" if written.unknown else "partly"
    record = trail.record(_named(written.done), word)
    with suppress(ConsulError):
        await consul.kv_put(record.key(trail.paths), record.encode())


def _named(edits: Iterable[Edit]) -> list[tuple[str, str]]:
    return [(edit.id, edit.change.value) for edit in edits]
