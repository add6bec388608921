"""A supervisor under test, and children for it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from virtual_time import LoopClock

from coord.consul import ConsulApi
from coord.leadership import Leadership, Lease
from coord.restart_policy import RestartPolicy
from coord.supervisor import ChildSpec, ChildState, CoordinatorSupervisor

FOREVER = float("inf")


class Bench:
    """A supervisor with everything it tells written down in `told`."""

    def __init__(self, policy: RestartPolicy | None = None) -> None:
        self.clock = LoopClock()
        self.told: list[tuple[object, ...]] = []
        self.lease = Lease(self.clock)
        self.lease.extend(FOREVER)
        self.leadership = self.lead(self.lease)
        self.supervisor = CoordinatorSupervisor(
            policy or RestartPolicy(),
            self.clock,
            on_failed=lambda reason, child: self.told.append(("failed", reason, child)),
            on_child_restarted=lambda child, error, n: self.told.append(
                ("restarted", child, error, n)
            ),
            on_child_ended=lambda child, error: self.told.append(("ended", child, error)),
        )

    def lead(self, lease: Lease) -> Leadership:
        return Leadership(
            term=7,
            term_index=70,
            session="s",
            node="core-1",
            election="coordinator",
            leader_key="service/coordinator/leader",
            term_key="service/coordinator/term",
            consul=cast(ConsulApi, None),
            lease=lease,
            clock=self.clock,
            on_lost=lambda reason: self.told.append(("lost", reason)),
        )

    async def start(self, *specs: ChildSpec) -> None:
        await self.supervisor.start(specs, self.leadership)
        await asyncio.sleep(0)

    def states(self) -> dict[str, ChildState]:
        return {child.id: child.state for child in self.supervisor.status()}

    def kinds_told(self) -> list[object]:
        return [entry[0] for entry in self.told]


class Work:
    """A child that runs until stopped, and can be made to end by itself from outside.

    log: what happened, shared between children where the order matters.
    """

    def __init__(self, name: str = "work", log: list[str] | None = None, cleanup_s: float = 0.0):
        self.name = name
        self.log: list[str] = [] if log is None else log
        self.cleanup_s = cleanup_s
        self.handles: list[Leadership] = []
        self.order: asyncio.Future[BaseException | None] = asyncio.Future()

    async def run(self, leadership: Leadership) -> None:
        self.handles.append(leadership)
        self.log.append(f"{self.name} starts")
        self.order = asyncio.Future()
        try:
            error = await self.order
        except asyncio.CancelledError:
            self.log.append(f"{self.name} is told")
            await asyncio.sleep(self.cleanup_s)
            self.log.append(f"{self.name} stops")
            raise
        if error is not None:
            raise error

    def spec(self, **options: Any) -> ChildSpec:
        return ChildSpec(self.name, self.run, **options)

    @property
    def starts(self) -> int:
        return len(self.handles)


class Stubborn:
    """Swallows cancellations: the first few, or all until let go."""

    def __init__(self, swallows: float = FOREVER) -> None:
        self.swallows = swallows
        self.let_go: asyncio.Future[None] = asyncio.Future()

    async def run(self, leadership: Leadership) -> None:
        swallowed = 0
        while not self.let_go.done():
            try:
                await asyncio.wait((self.let_go,))
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > self.swallows:
                    raise
