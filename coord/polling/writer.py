"""Fenced writes in batches: many runs end at once, and each transaction is one raft entry.

Nothing waits to fill a batch: while one transaction is under way, what comes meanwhile gathers for
the next. Whoever writes waits for it, so no more can gather than there are writers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from coord.consul import ConsulError, ConsulRefused, TxnOp
from coord.leadership import MAX_OPS, FencedWriteFailed, Leadership
from coord.telemetry.lasting_fault import LastingFault

MAX_BATCH_BYTES = 128 * 1024
"""Consul refuses requests over 512 KiB, and values grow by a third on their way there."""

RETRY_S = 0.25


@dataclass(frozen=True, slots=True)
class _Group:
    ops: tuple[TxnOp, ...]
    done: asyncio.Future[None]

    @property
    def size(self) -> int:
        return sum(len(op.value) + len(op.key) for op in self.ops)


class FencedWriter:
    """Writes groups of operations, each group wholly or not at all, in the order they came.

    `run` must run for anything to be written. A write whose outcome is not known is repeated while
    the lease is held: that does no harm, as all of them set or delete keys of the leader's own, and
    one of an older term does not land.
    """

    def __init__(self, leadership: Leadership, faults: LastingFault) -> None:
        self._leadership = leadership
        self._faults = faults
        self._waiting: deque[_Group] = deque()
        self._more = asyncio.Event()
        self.transactions = 0

    async def write(self, *ops: TxnOp) -> None:
        """Write these together; returns when it is done.

        Raises:
            FencedWriteFailed, ConsulRefused: Consul refuses these operations for good.
            ValueError: there are none, or too many for one transaction.
        """
        if not 1 <= len(ops) <= MAX_OPS:
            raise ValueError(f"ops has {len(ops)} operations; a group takes 1 to {MAX_OPS}")
        group = _Group(ops, asyncio.get_running_loop().create_future())
        self._waiting.append(group)
        self._more.set()
        await group.done

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
            if batch and (ops > MAX_OPS or size > MAX_BATCH_BYTES):
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
        while True:
            try:
                result = await self._leadership.txn(ops)
            except ConsulRefused:
                raise
            except ConsulError as error:
                self._faults.happened("polls_not_written", str(error))
                await asyncio.sleep(RETRY_S)
                continue
            self._faults.over("polls_not_written")
            self.transactions += 1
            if not result.ok:
                raise FencedWriteFailed(self._leadership.term, result.errors)
            return


def _settle(group: _Group, error: Exception | None) -> None:
    if group.done.done():
        return  # whoever waited was cancelled
    if error is None:
        group.done.set_result(None)
    else:
        group.done.set_exception(error)
