"""The keys of a simulated Consul server: what a key's entry becomes by each kind of write."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from coord.consul.types import KVEntry


class KeyTable:
    """Keys in order, who holds the lock on each, and what was deleted at which index.

    Entries are never changed, only replaced: they may be shared by whoever reads.

    Attributes:
        entries: by key.
        index: of the last write to any key.
        reaped: the index at which deletions were last forgotten.
        touched: the keys written since somebody last emptied it.
    """

    __slots__ = ("_order", "entries", "held", "index", "reaped", "tombstones", "touched")

    def __init__(self) -> None:
        self.entries: dict[str, KVEntry] = {}
        self._order: list[str] = []
        self.held: dict[str, dict[str, None]] = {}
        self.tombstones: dict[str, int] = {}
        self.index = 0
        self.reaped = 0
        self.touched: list[str] = []

    # --- reading ---

    @property
    def last_index(self) -> int:
        """What a read of something that is not there is answered with."""
        return max(self.index, self.reaped)

    def under(self, prefix: str) -> list[str]:
        """All keys that start with `prefix`, in order."""
        return list(self._under(prefix))

    def list_index(self, prefix: str, found: list[KVEntry]) -> int:
        """The index of a list: of its youngest key or deletion, or of all keys if it has none."""
        if not prefix:
            return self.last_index
        index = max((e.modify_index for e in found), default=0)
        for key, deleted in self.tombstones.items():
            if deleted > index and key.startswith(prefix):
                index = deleted
        return index or self.last_index

    def common_prefix(self, key: str) -> str:
        """The longest start of `key` that some key has: a write below it wakes who waits for it."""
        at = bisect_left(self._order, key)
        longest = 0
        for near in self._order[max(0, at - 1) : at + 1]:
            shared = 0
            for ours, theirs in zip(key, near, strict=False):
                if ours != theirs:
                    break
                shared += 1
            longest = max(longest, shared)
        return key[:longest]

    def _under(self, prefix: str) -> Iterator[str]:
        at = bisect_left(self._order, prefix)
        while at < len(self._order) and self._order[at].startswith(prefix):
            yield self._order[at]
            at += 1

    # --- writing ---

    def put(
        self,
        index: int,
        key: str,
        value: bytes,
        flags: int,
        session: str | None,
        lock_index: int,
    ) -> KVEntry:
        """Write; a write that changes nothing leaves the entry as it is, ModifyIndex too."""
        old = self.entries.get(key)
        if old is None:
            entry = KVEntry(key, value, flags, session, lock_index, index, index)
        elif (
            old.value == value
            and old.session == session
            and old.flags == flags
            and old.lock_index == lock_index
        ):
            return old
        else:
            entry = KVEntry(key, value, flags, session, lock_index, old.create_index, index)
        self.replace(key, entry)
        self.index = index
        self.touched.append(key)
        return entry

    def set(self, index: int, key: str, value: bytes, flags: int) -> KVEntry:
        """A plain write: LockIndex goes back to 0, the session stays."""
        old = self.entries.get(key)
        return self.put(index, key, value, flags, old.session if old else None, 0)

    def delete(self, index: int, key: str) -> None:
        """Remove it and remember that; nothing if it is not there."""
        if key in self.entries:
            self.replace(key, None)
            self.tombstones[key] = index
            self.index = index
            self.touched.append(key)

    def delete_under(self, index: int, prefix: str) -> None:
        """Remove all that start with `prefix`; one deletion is remembered, of the prefix."""
        keys = self.under(prefix)
        for key in keys:
            self.replace(key, None)
        if keys:
            if prefix:
                self.tombstones[prefix] = index
            self.index = index
            self.touched += keys

    def replace(self, key: str, entry: KVEntry | None) -> None:
        """Put `entry` where `key` is, None to remove it; nothing else but who holds what."""
        old = self.entries.get(key)
        if old is None:
            if entry is None:
                return
            insort(self._order, key)
        if old is not None and old.session is not None:
            keys = self.held[old.session]
            del keys[key]
            if not keys:
                del self.held[old.session]
        if entry is None:
            del self.entries[key]
            del self._order[bisect_left(self._order, key)]
            return
        self.entries[key] = entry
        if entry.session is not None:
            self.held.setdefault(entry.session, {})[key] = None

    def reap(self, index: int, up_to: int) -> None:
        """Forget the deletions up to that index."""
        self.tombstones = {k: at for k, at in self.tombstones.items() if at > up_to}
        self.reaped = index
