"""Transactions on the keys of a simulated Consul: each verb as Consul's own state store does it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Container, Sequence

from coord.consul.types import KVEntry, TxnError, TxnOp, TxnResult, TxnVerb
from coord.testing.consul.key_table import KeyTable

WRITES = frozenset(
    {
        TxnVerb.SET,
        TxnVerb.CAS,
        TxnVerb.LOCK,
        TxnVerb.UNLOCK,
        TxnVerb.DELETE,
        TxnVerb.DELETE_CAS,
        TxnVerb.DELETE_TREE,
    }
)
Sessions = Container[str]


class StepError(Exception):
    """A step that fails; the text is Consul's."""


def writes(ops: Sequence[TxnOp]) -> bool:
    """Whether it must go through the log."""
    return any(_STEPS[op.verb._value_][0] for op in ops)


def run(
    keys: KeyTable,
    sessions: Sessions,
    index: int,
    ops: Sequence[TxnOp],
    known_leader: bool | None = None,
) -> TxnResult:
    """Carry out all steps, each on what the ones before left; one that fails undoes them all.

    The steps after one that failed are tried too: each that fails is named in the result.
    """
    before: _Before | None = None
    entries: list[KVEntry] = []
    errors: list[TxnError] = []
    for number, op in enumerate(ops):
        may_write, step = _STEPS[op.verb._value_]
        if may_write:
            before = before or _Before(keys)
            before.note(op)
        try:
            entry = step(keys, sessions, index, op)
        except StepError as error:
            errors.append(TxnError(number, str(error)))
        else:
            if entry is not None:
                entries.append(entry if op.verb is TxnVerb.GET else _without_value(entry))
    if errors:
        if before is not None:
            before.put_back()
        return TxnResult(False, (), tuple(errors), known_leader)
    return TxnResult(True, tuple(entries), (), known_leader)


class _Before:
    """What was there before the steps."""

    __slots__ = ("_entries", "_index", "_keys", "_tombstones", "_touched")

    def __init__(self, keys: KeyTable) -> None:
        self._keys = keys
        self._entries: list[tuple[str, KVEntry | None]] = []
        self._index = keys.index
        self._touched = len(keys.touched)
        self._tombstones: dict[str, int] | None = None

    def note(self, op: TxnOp) -> None:
        """A step that may change something is about to be carried out."""
        keys = self._keys
        if op.verb is TxnVerb.DELETE_TREE:
            self._entries += [(key, keys.entries[key]) for key in keys.under(op.key)]
        else:
            self._entries.append((op.key, keys.entries.get(op.key)))
        if self._tombstones is None and op.verb in _DELETES:
            self._tombstones = dict(keys.tombstones)

    def put_back(self) -> None:
        """Undo the steps, the last first."""
        keys = self._keys
        for key, entry in reversed(self._entries):
            keys.replace(key, entry)
        keys.index = self._index
        del keys.touched[self._touched :]
        if self._tombstones is not None:
            keys.tombstones = self._tombstones


_DELETES = (TxnVerb.DELETE, TxnVerb.DELETE_CAS, TxnVerb.DELETE_TREE)


def _without_value(entry: KVEntry) -> KVEntry:
    return KVEntry(
        entry.key,
        b"",
        entry.flags,
        entry.session,
        entry.lock_index,
        entry.create_index,
        entry.modify_index,
    )


def _set(keys: KeyTable, sessions: Sessions, index: int, op: TxnOp) -> KVEntry:
    return keys.set(index, op.key, op.value, op.flags)


def _cas(keys: KeyTable, sessions: Sessions, index: int, op: TxnOp) -> KVEntry:
    if not may_set(keys, op.key, op.index):
        raise StepError(f'failed to set key "{op.key}", index is stale')
    return keys.set(index, op.key, op.value, op.flags)


def may_set(keys: KeyTable, key: str, cas: int) -> bool:
    """Whether a write at that ModifyIndex may happen; 0: only where there is no key."""
    entry = keys.entries.get(key)
    return entry.modify_index == cas if entry else cas == 0


def may_delete(keys: KeyTable, key: str, cas: int) -> bool:
    """Whether a deletion at that ModifyIndex may happen: also of what is not there."""
    entry = keys.entries.get(key)
    return entry is None or entry.modify_index == cas


def session_error(session: str | None, sessions: Sessions) -> str | None:
    """What Consul says of a session that cannot take a lock; None if it can."""
    if not session:
        return "missing session"
    if session in sessions:
        return None
    return malformed(session) or f'invalid session "{session}"'


def malformed(session: str) -> str | None:
    """What Consul says of an id that is no UUID; None for one that is."""
    try:
        fine = len(session) == 36 and str(uuid.UUID(session)) == session.lower()
    except ValueError:
        fine = False
    if fine:
        return None
    if len(session) != 36:
        return "failed session lookup: index error: UUID must be 36 characters"
    return "failed session lookup: index error: Invalid UUID"


def _lock(keys: KeyTable, sessions: Sessions, index: int, op: TxnOp) -> KVEntry:
    error = session_error(op.session, sessions)
    if error is not None:
        raise StepError(error)
    entry = keys.entries.get(op.key)
    lock_index = 1 if entry is None else entry.lock_index
    if entry is not None and entry.session != op.session:
        if entry.session is not None:
            raise StepError(f'failed to lock key "{op.key}", lock is already held')
        lock_index += 1
    return keys.put(index, op.key, op.value, op.flags, op.session, lock_index)


def _unlock(keys: KeyTable, sessions: Sessions, index: int, op: TxnOp) -> KVEntry:
    if not op.session:
        raise StepError("missing session")
    entry = keys.entries.get(op.key)
    if entry is None or entry.session != op.session:
        raise StepError(
            f'failed to unlock key "{op.key}", lock isn\'t held, or is held by another session'
        )
    return keys.put(index, op.key, op.value, op.flags, None, entry.lock_index)


def _get(keys: KeyTable, sessions: Sessions, index: int, op: TxnOp) -> KVEntry:
    entry = keys.entries.get(op.key)
    if entry is None:
        raise StepError(f'key "{op.key}" doesn\'t exist')
    return entry


def _delete(keys: KeyTable, sessions: Sessions, index: int, op: TxnOp) -> None:
    keys.delete(index, op.key)


def _delete_cas(keys: KeyTable, sessions: Sessions, index: int, op: TxnOp) -> None:
    if not may_delete(keys, op.key, op.index):
        raise StepError(f'failed to delete key "{op.key}", index is stale')
    keys.delete(index, op.key)


def _delete_tree(keys: KeyTable, sessions: Sessions, index: int, op: TxnOp) -> None:
    keys.delete_under(index, op.key)


def _check_index(keys: KeyTable, sessions: Sessions, index: int, op: TxnOp) -> KVEntry:
    entry = keys.entries.get(op.key)
    if entry is None:
        raise StepError(f'failed to check index, key "{op.key}" doesn\'t exist')
    if entry.modify_index != op.index:
        raise StepError(
            f'failed index check for key "{op.key}", '
            f"current modify index {entry.modify_index} != {op.index}"
        )
    return entry


def _check_session(keys: KeyTable, sessions: Sessions, index: int, op: TxnOp) -> KVEntry:
    entry = keys.entries.get(op.key)
    if entry is None:
        raise StepError(f'failed to check session, key "{op.key}" doesn\'t exist')
    held, asked = entry.session or "", op.session or ""
    if held != asked:
        raise StepError(
            f'failed session check for key "{op.key}", current session "{held}" != "{asked}"'
        )
    return entry


def _check_not_exists(keys: KeyTable, sessions: Sessions, index: int, op: TxnOp) -> None:
    if op.key in keys.entries:
        raise StepError(f'key "{op.key}" exists')


_Step = Callable[[KeyTable, Sessions, int, TxnOp], KVEntry | None]
_BY_VERB: dict[TxnVerb, _Step] = {
    TxnVerb.SET: _set,
    TxnVerb.CAS: _cas,
    TxnVerb.LOCK: _lock,
    TxnVerb.UNLOCK: _unlock,
    TxnVerb.GET: _get,
    TxnVerb.DELETE: _delete,
    TxnVerb.DELETE_CAS: _delete_cas,
    TxnVerb.DELETE_TREE: _delete_tree,
    TxnVerb.CHECK_INDEX: _check_index,
    TxnVerb.CHECK_SESSION: _check_session,
    TxnVerb.CHECK_NOT_EXISTS: _check_not_exists,
}
# By the verb's word: an enum's own hash is slow, and this is asked for every step.
_STEPS: dict[str, tuple[bool, _Step]] = {
    verb.value: (verb in WRITES, step) for verb, step in _BY_VERB.items()
}
