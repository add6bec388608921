"""A simulated Consul for tests of the simulation itself: time passes when the test says so."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, TypeVar

from stepped import SteppedScheduler

from coord.consul import (
    CheckStatus,
    ConsulApi,
    ServiceRegistration,
    TtlCheck,
)
from coord.testing import SimulatedClient, SimulatedConsul
from coord.testing.consul.server import SimulatedServer

T = TypeVar("T")


class Room:
    """A cluster, and its time."""

    def __init__(self, seed: int = 0, **settings: Any) -> None:
        self.scheduler = SteppedScheduler()
        self.consul = SimulatedConsul(self.scheduler, rng=random.Random(seed), **settings)
        self.network = self.consul.network

    def now(self) -> float:
        """True time in seconds."""
        return self.scheduler.now()

    async def do(self, call: Coroutine[Any, Any, T]) -> T:
        """What `call` returns, letting time pass for as long as it takes."""
        return await self.scheduler.until_done(call)

    async def start(self, call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin `call`: its request is sent, no time has passed."""
        task = asyncio.create_task(call)
        await asyncio.sleep(0)
        return task

    async def result(self, task: asyncio.Task[T]) -> T:
        """What a call that was begun returns, letting time pass for as long as it takes."""

        async def awaited() -> T:
            return await task

        return await self.do(awaited())

    async def wait(self, seconds: float) -> None:
        """Let so much time pass."""
        await self.scheduler.pass_time(seconds)

    def leader(self) -> SimulatedServer:
        """Consul's leader, which there must be."""
        leader = self.consul.leader()
        assert leader is not None
        return leader

    def followers(self) -> list[SimulatedServer]:
        """The other servers."""
        return [server for server in self.consul.servers if server is not self.leader()]

    def at_server(self, server: SimulatedServer) -> SimulatedClient:
        """Somebody who asks that server's own agent."""
        return self.consul.client(server.agent)

    def isolate(self, server: SimulatedServer) -> None:
        """Cut it off from the other servers."""
        for other in self.consul.servers:
            if other is not server:
                self.network.cut_both(server.name, other.name)

    async def with_check(self, consul: ConsulApi, name: str, ttl_s: float = 60.0) -> str:
        """Register a passing service, and create a session tied to it."""
        check = TtlCheck(name, name, ttl_s, status=CheckStatus.PASSING)
        await self.do(consul.service_register(ServiceRegistration(name, name, checks=(check,))))
        await self.do(consul.check_pass(name))
        await self.wait(0.1)
        return await self.do(
            consul.session_create(name=name, checks=["serfHealth", name], lock_delay_s=15)
        )
