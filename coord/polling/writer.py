"""Fenced writes in batches: many runs end at once, and each transaction is one raft entry.

Nothing waits to fill a batch: while one transaction is under way, what comes meanwhile gathers for
the next. Whoever writes waits for it, so no more can gather than there are writers.

The fence keeps older terms out. What is late within one term is kept out by the sequence: a key
that every batch changes, and only if it is as the batch before left it. So a batch lands once, in
its place, or never: not again when its request arrives a second time, and not over what was
written after it.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from coord.consul import ConsulError, ConsulRefused, KVEntry, TxnError, TxnOp
from coord.leadership import MAX_OPS, FencedWriteFailed, Leadership
from coord.telemetry.lasting_fault import LastingFault

MAX_BATCH_BYTES = 128 * 1024
"""Consul refuses requests over 512 KiB, and values grow by a third on their way there."""

RETRY_S = 0.25

MAX_GROUP_OPS = MAX_OPS - 1
"""One operation of each transaction is the sequence's."""


@dataclass(frozen=True, slots=True)
class _Group:
    ops: tuple[TxnOp, ...]
    done: asyncio.Future[None]

    @property
    def size(self) -> int:
        return sum(len(op.value) + len(op.key) for op in self.ops)


class FencedWriter:
    """Writes groups of operations, each group wholly or not at all, in the order they came.

    `claim`, then `run`: it must run for anything to be written. A write whose outcome is not known
    is repeated while the lease is held, unless the sequence shows that it has landed.

    sequence_key: the key of the sequence. read: reads it, consistently.
    """

    def __init__(
        self,
        leadership: Leadership,
        faults: LastingFault,
        *,
        sequence_key: str,
        read: Callable[[str], Awaitable[KVEntry | None]],
    ) -> None:
        self._leadership = leadership
        self._faults = faults
        self._sequence_key = sequence_key
        self._read = read
        self._own = f"{random.getrandbits(32):08x}"
        self._number = 0
        self._index: int | None = None
        self._waiting: deque[_Group] = deque()
        self._more = asyncio.Event()
        self.transactions = 0

    async def write(self, *ops: TxnOp) -> None:
        """Write these together; returns when it is done.

        Raises:
            FencedWriteFailed, ConsulRefused: Consul refuses these operations for good.
            ValueError: there are none, or too many for one transaction.
        """
        if not 1 <= len(ops) <= MAX_GROUP_OPS:
            raise ValueError(f"ops has {len(ops)} operations; a group takes 1 to {MAX_GROUP_OPS}")
        group = _Group(ops, asyncio.get_running_loop().create_future())
        self._waiting.append(group)
        self._more.set()
        await group.done

    async def claim(self) -> None:
        """Take the sequence over: nothing that was sent before, in this term or an older one, lands
        after this. Read what there is only then.

        Raises:
            LeadershipLost: not leading.
        """
        await self._commit(())

    async def run(self) -> None:
        """Write until cancelled.

        Raises:
            LeadershipLost: not leading; what was not written is not.
        """
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                await self._write_batch(self._next_batch())

    def _next_batch(self) -> list[_Group]:
        batch: list[_Group] = []
        ops = size = 0
        while self._waiting:
            group = self._waiting[0]
            ops += len(group.ops)
            size += group.size
            if batch and (ops > MAX_GROUP_OPS or size > MAX_BATCH_BYTES):
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _write_batch(self, batch: Sequence[_Group]) -> None:
        """All of a batch; if Consul refuses it, its groups one by one: the others are sound."""
        try:
            await self._commit([op for group in batch for op in group.ops])
        except (ConsulRefused, FencedWriteFailed) as error:
            if len(batch) == 1:
                _settle(batch[0], error)
                return
            for group in batch:
                await self._write_batch([group])
            return
        for group in batch:
            _settle(group, None)

    async def _commit(self, ops: Sequence[TxnOp]) -> None:
        self._number += 1
        mark = f"{self._leadership.term} {self._own} {self._number}".encode()
        while True:
            try:
                if self._index is None and await self._landed(mark):
                    break
                step = TxnOp.kv_cas(self._sequence_key, mark, self._index or 0)
                result = await self._leadership.txn((step, *ops))
            except ConsulRefused:
                raise
            except ConsulError as error:
                self._index = None
                self._faults.happened("polls_not_written", str(error))
                await asyncio.sleep(RETRY_S)
                continue
            if result.ok:
                self._index = result.entries[0].modify_index
                break
            if all(error.op_index > 0 for error in result.errors):
                errors = tuple(TxnError(e.op_index - 1, e.what) for e in result.errors)
                raise FencedWriteFailed(self._leadership.term, errors)
            # Somebody was before us: a copy of our own request, or a hand in Consul's keys.
            self._index = None
            await asyncio.sleep(RETRY_S)
        self._faults.over("polls_not_written")
        self.transactions += 1

    async def _landed(self, mark: bytes) -> bool:
        """Read where the sequence stands; whether that is where this batch left it."""
        self._leadership.guard()
        entry = await self._read(self._sequence_key)
        self._index = entry.modify_index if entry is not None else 0
        return entry is not None and entry.value == mark


def _settle(group: _Group, error: Exception | None) -> None:
    if group.done.done():
        return  # whoever waited was cancelled
    if error is None:
        group.done.set_result(None)
    else:
        group.done.set_exception(error)
