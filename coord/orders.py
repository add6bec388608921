"""What operators ask, from Consul to the election: followed, and kept in order by the leader."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from coord.clock import Clock
from coord.consul import Consistency, ConsulApi, ConsulError, KVEntry, Reply, WatchError, watch
from coord.controls import PAUSE_MARGIN_S, Controls, controls_of, read_controls
from coord.election import events as ev
from coord.election.reasons import StepDownReason
from coord.records import Paths, PauseRecord, RequestKind

FORGET_SPREAD_S = 2.0
"""Over how long the candidates spread their tries to take away a pause that is over, so that most
find it gone."""

SURE_AGAIN_S = (0.2, 5.0)
"""How long after what was read could not be made sure of that is tried again: twice as long each
time, from the first of these to the second."""

UNKEPT_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0)
"""How long to wait before asking again while the key is missing that makes the watch sleep: longer
each time, and at last as long as the last."""

_REASONS = {
    RequestKind.STEP_DOWN: StepDownReason.REQUESTED,
    RequestKind.TRANSFER: StepDownReason.TRANSFER,
    RequestKind.FORCE_RELEASE: StepDownReason.FORCED,
}


def long_over(pause: PauseRecord, wall_ms: int) -> bool:
    """Whether its end is so long ago that no clock can be wrong by so much."""
    ends_ms = pause.at.timestamp() * 1000 + pause.for_ms
    return wall_ms > ends_ms + PAUSE_MARGIN_S * 1000


def orders_of(controls: Controls, wall_ms: int) -> ev.OrdersSeen:
    """What the election is told of the controls.

    A pause is counted from when it is first seen, by whoever sees it. The wall clock (milliseconds
    since 1970) only keeps one that is long over from being counted anew by a node that starts.
    """
    pause, request = controls.pause, controls.request
    if pause is not None and long_over(pause, wall_ms):
        pause = None
    return ev.OrdersSeen(
        pause=ev.Pause(pause.request_id, pause.for_ms / 1000) if pause else None,
        drained=frozenset(controls.drained),
        request=ev.Request(
            term=request.expected_term,
            reason=_REASONS[request.kind],
            to=request.to,
            actor=request.actor,
            id=request.request_id,
            said=request.reason,
        )
        if request
        else None,
    )


class Orders:
    """Follows `control/` for one candidate.

    What cannot be read, for whatever reason, changes nothing: what was asked last goes on being
    asked, and a pause ends by itself.

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
        clock: Clock,
        random: Callable[[], float],
        leads: Callable[[], bool],
        on_seen: Callable[[ev.OrdersSeen], None],
        on_error: Callable[[ConsulError | None], None],
        on_unreadable: Callable[[str], None],
        wait_s: float,
    ) -> None:
        self._consul = consul
        self._paths = paths
        self._clock = clock
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
                    self._on_error(reply.error)
                    self._told = None
                    continue
                await self._take_in(controls_of(reply.value, self._paths))
                if self._controls.kept:
                    unkept = 0
                    continue
                await asyncio.sleep(UNKEPT_PAUSES_S[min(unkept, len(UNKEPT_PAUSES_S) - 1)])
                unkept += 1

    async def _take_in(self, controls: Controls) -> None:
        """Tell what is asked, once it is certain."""
        pause_s, longest_s = SURE_AGAIN_S
        while True:
            try:
                self._controls = await self._certain(controls)
                break
            except ConsulError as error:
                self._on_error(error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, longest_s)
        self._on_error(None)
        self._on_unreadable("; ".join(self._controls.unreadable.values()))
        orders = orders_of(self._controls, self._clock.wall_ms())
        if orders != self._told:
            self._told = orders
            self._on_seen(orders)
        await self.tidy()

    async def _certain(self, controls: Controls) -> Controls:
        """What a reply said, if that needs no second look.

        A request may have been taken back while the reply lay about, above all where the process
        stood still: whoever is to obey it asks once more. And where there is nothing at all, that
        may be for lack of rights: Consul leaves out of a list what may not be read.

        Raises:
            ConsulError: it could not be found out.
        """
        if controls.request is not None and self._leads():
            return await read_controls(
                self._consul, self._paths, consistency=Consistency.CONSISTENT
            )
        if not controls.kept:
            await self._consul.kv_get(self._paths.keep)
        return controls

    async def tidy(self) -> None:
        """If we lead, see that the key is there which makes everybody's watch sleep, and that no
        pause is which was over long ago."""
        if not self._leads():
            return
        pause = self._controls.pause
        try:
            if not self._controls.kept:
                await self._consul.kv_put(self._paths.keep, b"", cas=0)
            if pause is not None and long_over(pause, self._clock.wall_ms()):
                await self.forget_pause(pause.request_id)
        except ConsulError as error:
            self._on_error(error)

    async def forget_pause(self, request_id: str) -> None:
        """Take away the record of a pause that is over, unless another has been put there.

        Raises:
            ConsulError: Consul did not do it.
        """
        if not self._leads():
            await asyncio.sleep(self._random() * FORGET_SPREAD_S)
        pause = self._controls.pause
        if pause is None or pause.request_id != request_id:
            return
        index = self._controls.indices[self._paths.pause]
        await self._consul.kv_delete(self._paths.pause, cas=index)
