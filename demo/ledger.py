"""What Consul itself saw of the leaders' writes: every version of the key that `Pulse` writes.

The work writes ``term N, write M`` through its handle, fenced. Whoever reads along sees the terms
go up and never down, unless a write of an old leader landed in a newer term.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from coord.consul import Consistency, ConsulClient, ConsulError

KEY = "demo/pulse"
"""The key that the demo's leaders write."""

_VALUE = re.compile(rb"term (\d+), write (\d+)")
_WAIT_S = 10.0
_RETRY_S = 0.1


@dataclass(frozen=True, slots=True)
class WentBack:
    """A write of `term` landed after one of `newer_term`."""

    term: int
    newer_term: int
    modify_index: int


@dataclass(slots=True)
class Ledger:
    """Follows the key; `note` judges one version after the other.

    seen: how many versions; unseen: how many numbers between them were never shown to us, because
    two writes came faster than we asked.
    """

    seen: int = 0
    unseen: int = 0
    newest_term: int = 0
    went_back: tuple[WentBack, ...] = ()
    _last: tuple[int, int, int] = (0, 0, 0)

    def note(self, value: bytes, modify_index: int) -> None:
        """Judge a version of the key; the same one twice counts once."""
        found = _VALUE.fullmatch(value)
        term, write = (int(found[1]), int(found[2])) if found else (0, 0)
        last_term, last_write, last_index = self._last
        if modify_index == last_index:
            return
        self.seen += 1
        if term < self.newest_term:
            self.went_back += (WentBack(term, self.newest_term, modify_index),)
        elif term == last_term:
            self.unseen += max(0, write - last_write - 1)
        self.newest_term = max(self.newest_term, term)
        self._last = (term, write, modify_index)

    async def follow(self, consul: ConsulClient) -> None:
        """Read along until cancelled."""
        index: int | None = None
        while True:
            try:
                reply = await consul.kv_get(
                    KEY,
                    consistency=Consistency.CONSISTENT,
                    index=index,
                    wait_s=None if index is None else _WAIT_S,
                )
            except ConsulError:
                index = None
                await asyncio.sleep(_RETRY_S)
                continue
            index = reply.index if index is None or reply.index >= index else None
            if reply.value is not None:
                self.note(reply.value.value, reply.value.modify_index)
