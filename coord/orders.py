"""What operators ask, from Consul to the election: followed, and kept in order by the leader."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from coord.consul import (
    ConsulApi,
    ConsulError,
    ConsulUnavailable,
    KVEntry,
    Reply,
    WatchError,
    watch,
)
from coord.controls import Controls, controls_of
from coord.election import events as ev
from coord.election.reasons import StepDownReason
from coord.records import Paths, RequestKind

UNKEPT_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0)
"""How long to wait before asking again while the key is missing that makes the watch sleep: longer
each time, and at last as long as the last."""

_REASONS = {
    RequestKind.STEP_DOWN: StepDownReason.REQUESTED,
    RequestKind.TRANSFER: StepDownReason.TRANSFER,
    RequestKind.FORCE_RELEASE: StepDownReason.FORCED,
}


def orders_of(controls: Controls) -> ev.OrdersSeen:
    """What the election is told of the controls."""
    pause, request = controls.pause, controls.request
    return ev.OrdersSeen(
        pause=ev.Pause(pause.request_id, pause.for_ms / 1000) if pause else None,
        drained=frozenset(controls.drained),
        request=ev.Request(
            term=request.expected_term,
            reason=_REASONS[request.kind],
            to=request.to,
            actor=request.actor,
            id=request.request_id,
        )
        if request
        else None,
    )


class Orders:
    """Follows `control/` for one candidate.

    Args:
        leads: whether we lead: then we keep its keys in order.
        on_seen: told all that is asked, whenever that changes, and once after each failure.
        on_error: told (error) of each failure, None when there is none any more.
        on_unreadable: told what is wrong with the records there, "" if nothing is.
    """

    def __init__(
        self,
        consul: ConsulApi,
        paths: Paths,
        *,
        random: Callable[[], float],
        leads: Callable[[], bool],
        on_seen: Callable[[ev.OrdersSeen], None],
        on_error: Callable[[ConsulError | None], None],
        on_unreadable: Callable[[str], None],
        wait_s: float,
    ) -> None:
        self._consul = consul
        self._paths = paths
        self._random = random
        self._leads = leads
        self._on_seen = on_seen
        self._on_error = on_error
        self._on_unreadable = on_unreadable
        self._wait_s = wait_s
        self._controls = Controls()
        self._told: ev.OrdersSeen | None = None

    async def follow(self) -> None:
        """Follow what is asked, for ever."""
        self._told = None
        unkept = 0

        def query(index: int | None) -> Coroutine[Any, Any, Reply[tuple[KVEntry, ...]]]:
            wait_s = None if index is None else self._wait_s
            return self._consul.kv_list(self._paths.control, index=index, wait_s=wait_s)

        async with contextlib.aclosing(watch(query, jitter=self._random)) as replies:
            async for reply in replies:
                if isinstance(reply, WatchError):
                    self._failed(reply.error)
                    continue
                self._on_error(None)
                self._take_in(controls_of(reply.value, self._paths))
                if self._controls.kept:
                    unkept = 0
                    continue
                await self.keep()
                await asyncio.sleep(UNKEPT_PAUSES_S[min(unkept, len(UNKEPT_PAUSES_S) - 1)])
                unkept += 1

    def _failed(self, error: ConsulError) -> None:
        self._on_error(error)
        if not isinstance(error, ConsulUnavailable):
            # Consul is there and will not tell us: nothing is asked that we could know of.
            self._tell(ev.OrdersSeen())
        self._told = None

    def _take_in(self, controls: Controls) -> None:
        self._controls = controls
        self._on_unreadable("; ".join(controls.unreadable.values()))
        self._tell(orders_of(controls))

    def _tell(self, orders: ev.OrdersSeen) -> None:
        if orders != self._told:
            self._told = orders
            self._on_seen(orders)

    async def keep(self) -> None:
        """If we lead, see that the key is there which makes everybody's watch sleep."""
        if self._controls.kept or not self._leads():
            return
        try:
            await self._consul.kv_put(self._paths.keep, b"", cas=0)
        except ConsulError as error:
            self._on_error(error)

    async def forget_pause(self, request_id: str) -> None:
        """Take away the record of a pause that is over, unless another has been put there.

        Raises:
            ConsulError: Consul did not do it.
        """
        pause = self._controls.pause
        if pause is None or pause.request_id != request_id:
            return
        index = self._controls.indices[self._paths.pause]
        await self._consul.kv_delete(self._paths.pause, cas=index)
