"""The journal in Consul: the transitions of the election, told by every node, the last 200 kept.

Each entry is a key of its own under ``service/<election>/journal/``, named by wall-clock time,
node, process start and number, so that names sort by time and never collide. Entries are shown in
the order of their times; which of them are the newest, to be kept or to be read, Consul's index
says: by the nodes' clocks, one that is ahead would push out what all the others tell. The journal
is for people; nothing is decided by it.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from coord.consul.api import ConsulApi
from coord.consul.errors import ConsulError, ConsulRefused
from coord.consul.keys import check_key
from coord.consul.types import Consistency, KVEntry, TxnOp
from coord.records import MAX_TERM, Paths, check_name
from coord.telemetry import Event, LeaderChanged, to_dict
from coord.telemetry.lasting_fault import LastingFault

KEPT_ENTRIES = 200
"""How many entries the leader leaves when it prunes."""

QUEUE_SIZE = 500
"""How many entries wait for Consul before the oldest are dropped."""

PRUNE_INTERVAL_S = 60.0
"""How often the leader prunes."""

BACKOFF_S = (0.25, 10.0)
"""The first and the longest wait after a failed write, in seconds."""

FAULT = "journal_not_written"
"""The kind under which failing writes are told."""

PRUNE_FAULT = "journal_not_pruned"
"""The kind under which failing to prune is told."""

_VERSION = 1
_TXN_DELETES = 60
_MAX_TEXT = 1000
_MAX_FIELDS = 64
_MAX_MS = 10**13 - 1
_MAX_NUMBER = 2**63
_KEY = re.compile(r"(?P<ms>[0-9]{13})-(?P<node>[A-Za-z0-9._-]+)-[0-9a-f]{8}-[0-9]{8}")


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One entry as it was read.

    key: its full key.
    at_ms: wall-clock milliseconds since 1970, by the clock of the node that wrote it; None if
        neither the entry nor its key says.
    node: who wrote it; "" if that cannot be told.
    event: the event's full name; "" if the entry cannot be read.
    term: the term it concerns, where there is one.
    details: the event's other fields, and `lost_before`: how many entries that node could not
        write before this one. Text is bounded and free of control characters.
    problem: why the entry cannot be read; "" if it can.
    index: when it came to be, by Consul's CreateIndex; 0 if its key is not named like an entry's.
    """

    key: str
    at_ms: int | None
    node: str
    event: str
    term: int | None = None
    details: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    problem: str = ""
    index: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    key: str
    body: dict[str, Any]


class Journal:
    """Writes this node's transitions. `handle` is its telemetry handler and only enqueues.

    `written` counts the entries that are in Consul, `lost` those that were never written: dropped
    because the queue was full, or refused by Consul for good.

    Raises:
        ValueError: `node` cannot stand in a key.
    """

    def __init__(
        self,
        paths: Paths,
        node: str,
        *,
        faults: LastingFault | None = None,
        queue_size: int = QUEUE_SIZE,
        backoff_s: tuple[float, float] = BACKOFF_S,
    ) -> None:
        self._prefix = paths.journal
        self._node = check_name("node", node)
        self._start = f"{random.getrandbits(32):08x}"
        self._faults = faults
        self._queue_size = queue_size
        self._backoff_s = backoff_s
        self._queue: deque[_Waiting] = deque()
        self._number = 0
        self._latest_ms = 0
        self._untold_losses = 0
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.written = 0
        self.lost = 0

    @property
    def waiting(self) -> int:
        """How many entries are yet to be written."""
        return len(self._queue)

    def handle(self, event: Event) -> None:
        """Enqueue the event if it is a transition; of a change of leader, if we are the new one."""
        if not event.JOURNALED:
            return
        if isinstance(event, LeaderChanged) and not event.told_by_new_leader:
            return
        if len(self._queue) >= self._queue_size:
            self._queue.popleft()
            self._count_loss()
        self._queue.append(_Waiting(self._next_key(event.at_ms), _body(event)))
        self._idle.clear()
        self._work.set()

    async def flushed(self) -> None:
        """Wait until everything enqueued is written; `run` must be running. Bound it in time."""
        await self._idle.wait()

    async def run(self, consul: ConsulApi) -> None:
        """Write what is enqueued, in order, until cancelled. Rides out every ConsulError."""
        backoff_s = self._backoff_s[0]
        while True:
            if not self._queue:
                self._work.clear()
                self._idle.set()
                await self._work.wait()
            entry = self._queue[0]
            try:
                await self._write(consul, entry)
            except ConsulRefused as error:
                # Trying again would change nothing and hold up all the others.
                self._count_loss()
                self._tell(error)
                self._finish(entry)
            except ConsulError as error:
                self._tell(error)
                await asyncio.sleep(backoff_s * random.uniform(0.75, 1.25))
                backoff_s = min(backoff_s * 2, self._backoff_s[1])
            else:
                backoff_s = self._backoff_s[0]
                self.written += 1
                if self._faults is not None:
                    self._faults.over(FAULT)
                self._finish(entry)

    async def _write(self, consul: ConsulApi, entry: _Waiting) -> None:
        untold = self._untold_losses
        body = entry.body if not untold else {**entry.body, "lost_before": untold}
        # A repeated write after an unknown outcome sets the same key again: no harm done.
        await consul.kv_put(entry.key, json.dumps(body, ensure_ascii=False).encode())
        self._untold_losses -= untold

    def _finish(self, entry: _Waiting) -> None:
        """Take it off the queue, unless it was dropped from there while it was being written."""
        if self._queue and self._queue[0] is entry:
            self._queue.popleft()

    def _count_loss(self) -> None:
        self.lost += 1
        self._untold_losses += 1

    def _tell(self, error: ConsulError) -> None:
        if self._faults is not None:
            self._faults.happened(FAULT, str(error))

    def _next_key(self, at_ms: int) -> str:
        # The wall clock may be set back: a node's own entries stay in order all the same.
        self._latest_ms = max(self._latest_ms, min(max(at_ms, 0), _MAX_MS))
        self._number += 1
        return f"{self._prefix}{self._latest_ms:013d}-{self._node}-{self._start}-{self._number:08d}"


def _body(event: Event) -> dict[str, Any]:
    body = {k: _cleaned(v) for k, v in to_dict(event).items() if v is not None}
    return {"v": _VERSION, **body}


async def prune(consul: ConsulApi, paths: Paths, keep: int = KEPT_ENTRIES) -> int:
    """Delete all but the newest `keep` entries; returns how many were deleted. For the leader.

    Keys that are not named like an entry go first; those that no client may name are left.

    Raises:
        ConsulError: Consul did not do it, or not all of it.
        ValueError: `keep` is negative.
    """
    if keep < 0:
        raise ValueError(f"keep is {keep}; it must be zero or more")
    found = await consul.kv_list(paths.journal)
    ordered = sorted(found.value, key=lambda entry: (_index(paths, entry), entry.create_index))
    keys = [entry.key for entry in ordered if _may_be_named(entry.key)]
    surplus = keys[: max(0, len(keys) - keep)]
    for start in range(0, len(surplus), _TXN_DELETES):
        await consul.txn([TxnOp.kv_delete(key) for key in surplus[start : start + _TXN_DELETES]])
    return len(surplus)


async def keep_pruned(
    consul: ConsulApi,
    paths: Paths,
    leads: Callable[[], bool],
    faults: LastingFault,
    *,
    interval_s: float = PRUNE_INTERVAL_S,
) -> None:
    """Prune every `interval_s` while `leads` says that this node does; for ever.

    Whoever else prunes at the same time does no harm: what is gone is gone.
    """
    while True:
        await asyncio.sleep(interval_s)
        if not leads():
            continue
        try:
            await prune(consul, paths)
        except ConsulError as error:
            faults.happened(PRUNE_FAULT, str(error))
        else:
            faults.over(PRUNE_FAULT)


async def read(
    consul: ConsulApi,
    paths: Paths,
    limit: int = KEPT_ENTRIES,
    *,
    consistency: Consistency = Consistency.DEFAULT,
) -> tuple[JournalEntry, ...]:
    """The newest `limit` entries, oldest first by their times. What cannot be read is there with
    its `problem`.

    Empty too when the token may not see the journal. STALE answers without a Consul leader.

    Raises:
        ConsulError: Consul did not answer.
        ValueError: `limit` is less than 1.
    """
    if limit < 1:
        raise ValueError(f"limit is {limit}; it must be at least 1")
    reply = await consul.kv_list(paths.journal, consistency=consistency)
    return newest(decoded(paths, reply.value), limit)


def decoded(paths: Paths, entries: Iterable[KVEntry]) -> tuple[JournalEntry, ...]:
    """Make sense of the keys of the journal, in the order of the times that they are named by; at
    the same time, as they came to be. First those that are not named like an entry."""
    ordered = sorted(entries, key=lambda entry: _by_time(paths, entry))
    return tuple(decode_entry(paths, entry) for entry in ordered)


def newest(entries: Sequence[JournalEntry], limit: int) -> tuple[JournalEntry, ...]:
    """The `limit` that came to be last, in the order in which they are given."""
    by_age = sorted(range(len(entries)), key=lambda i: (entries[i].index, i))
    return tuple(entries[i] for i in sorted(by_age[max(0, len(entries) - limit) :]))


def _may_be_named(key: str) -> bool:
    try:
        check_key(key)
    except ValueError:
        return False
    return True


def _named(paths: Paths, entry: KVEntry) -> re.Match[str] | None:
    return _KEY.fullmatch(entry.key.removeprefix(paths.journal))


def _index(paths: Paths, entry: KVEntry) -> int:
    """As in `JournalEntry`."""
    return entry.create_index if _named(paths, entry) else 0


def _by_time(paths: Paths, entry: KVEntry) -> tuple[int, int, str]:
    match = _named(paths, entry)
    return (int(match["ms"]) if match else -1, entry.create_index, entry.key)


def decode_entry(paths: Paths, entry: KVEntry) -> JournalEntry:
    """Make sense of one key below `paths.journal`. Never fails: what is wrong it says."""
    match = _named(paths, entry)
    key, index = _clean_text(entry.key), _index(paths, entry)
    at_ms = int(match["ms"]) if match else None
    node = match["node"] if match else ""
    try:
        body = json.loads(entry.value)
    except (ValueError, RecursionError):
        return JournalEntry(key, at_ms, node, "", problem="it is not JSON", index=index)
    if not isinstance(body, dict):
        problem = "it is not a JSON object"
        return JournalEntry(key, at_ms, node, "", problem=problem, index=index)
    event = body.pop("event", None)
    if not isinstance(event, str) or not event:
        problem = "its event is not named"
        return JournalEntry(key, at_ms, node, "", problem=problem, index=index)
    term, told_ms, told_node = (body.pop(name, None) for name in ("term", "at_ms", "node"))
    body.pop("v", None)
    told = _whole(told_ms, _MAX_MS)
    return JournalEntry(
        key=key,
        at_ms=at_ms if told is None else told,
        node=_clean_text(told_node) if isinstance(told_node, str) else node,
        event=_clean_text(event),
        term=_whole(term, MAX_TERM),
        details=MappingProxyType(
            {_clean_text(k): _cleaned(v) for k, v in list(body.items())[:_MAX_FIELDS]}
        ),
        index=index,
    )


def _whole(value: object, most: int) -> int | None:
    """The value, if it is a whole number from 0 to `most`."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
        return value
    return None


def _cleaned(value: object) -> Any:
    """A value as an entry may carry it: scalars, or a list of them; text bounded and clean."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        # Neither a number beyond all use nor NaN, which is not JSON, is passed on as a number.
        return value if abs(value) < _MAX_NUMBER else _clean_text(str(value))
    if isinstance(value, list):
        return [_cleaned(v) if not isinstance(v, list | dict) else "…" for v in value[:_MAX_FIELDS]]
    if isinstance(value, dict):
        return "…"
    return _clean_text(str(value))


def _clean_text(text: str) -> str:
    """No control characters (others wrote it, and it ends up on terminals), and not too long."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:_MAX_TEXT])
    return clean if len(text) <= _MAX_TEXT else clean + "…"
