"""Reads and writes what is kept of polls, as the leader of one term."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from coord.consul import Consistency, ConsulError, ConsulRefused, KVEntry, TxnOp
from coord.leadership import FencedWriteFailed, Leadership
from coord.polling.writer import FencedWriter
from coord.telemetry.lasting_fault import LastingFault
from coord.workloads import WorkContext

_READ_RETRY_S = 0.25


class Keeper:
    """`claim` first; `run` must run for anything to be written.

    sequence_key: the key of the writer's sequence.
    """

    def __init__(
        self,
        context: WorkContext,
        leadership: Leadership,
        faults: LastingFault,
        *,
        sequence_key: str,
    ) -> None:
        self._consul = context.consul
        self._leadership = leadership
        self._faults = faults
        self._writer = FencedWriter(leadership, faults, sequence_key=sequence_key, read=self.get)

    async def claim(self) -> None:
        """As `FencedWriter.claim`: read what there is only then."""
        await self._writer.claim()

    async def run(self) -> None:
        """Write until cancelled; as `FencedWriter.run`."""
        await self._writer.run()

    async def get(self, key: str) -> KVEntry | None:
        """Read a key consistently.

        Raises:
            ConsulError: as any call to Consul.
        """
        return (await self._consul.kv_get(key, consistency=Consistency.CONSISTENT)).value

    async def list(self, prefix: str) -> tuple[KVEntry, ...]:
        """Read what stands below a prefix consistently, trying for as long as the lease is held.

        Raises:
            LeadershipLost: it is not.
        """
        while True:
            self._leadership.guard()
            self._leadership.progress()
            try:
                reply = await self._consul.kv_list(prefix, consistency=Consistency.CONSISTENT)
            except ConsulError as error:
                self._faults.happened("polls_not_read", str(error))
                await asyncio.sleep(_READ_RETRY_S)
            else:
                self._faults.over("polls_not_read")
                return reply.value

    async def write(self, *ops: TxnOp) -> bool:
        """Write these together, fenced; False: Consul refuses that for good.

        Such a refusal is told and left: it must not stop the rest.
        """
        try:
            await self._writer.write(*ops)
        except (FencedWriteFailed, ConsulRefused) as error:
            self._faults.happened("poll_write_refused", f"{ops[0].key}: {error}")
            return False
        self._faults.over("poll_write_refused")
        return True

    async def write_all(self, groups: Iterable[tuple[TxnOp, ...]]) -> None:
        """Write each of these groups."""
        async with asyncio.TaskGroup() as tasks:
            for ops in groups:
                tasks.create_task(self.write(*ops))
