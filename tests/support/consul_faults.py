"""A simulated Consul under random faults, with processes that use it, and what must hold then."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from stepped import SteppedScheduler

from coord.consul import (
    Consistency,
    ConsulError,
    ConsulUnavailable,
    ServiceRegistration,
    TtlCheck,
    TxnOp,
)
from coord.testing import SimulatedClient, SimulatedConsul
from coord.testing.consul.agent import SimulatedAgent
from coord.testing.consul.commands import Command, Txn
from coord.testing.consul.server import SimulatedServer

KEY = "counter"


@dataclass(slots=True)
class Seen:
    """What is known of the counter, by who may know it.

    committed: its value after each commit that raised it, in order.
    told: the largest value that somebody was told is written.
    wrong: what must not happen, and did.
    """

    committed: list[int] = field(default_factory=list)
    told: int = 0
    reads: int = 0
    writes: int = 0
    unknown: int = 0
    wrong: list[str] = field(default_factory=list)


class Stage:
    """Three servers, some agents, and on each a process that counts in one key.

    consistency: how they read it before they write. settings: the cluster's.
    """

    def __init__(
        self,
        seed: int,
        *,
        agents: int = 3,
        consistency: Consistency = Consistency.CONSISTENT,
        **settings: Any,
    ) -> None:
        self._consistency = consistency
        self._over = False
        self.rng = random.Random(seed)
        self.scheduler = SteppedScheduler()
        self.consul = SimulatedConsul(self.scheduler, rng=random.Random(seed + 1), **settings)
        self.agents = [self.consul.agent(f"node-{number}") for number in range(agents)]
        self.clients = [self.consul.client(agent) for agent in self.agents]
        self.seen = Seen()
        self.history: list[tuple[Any, ...]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.consul.on_commit(self._committed)
        self.consul.trace = lambda what, said: self.history.append(
            (round(self.scheduler.now(), 9), what, repr(said))
        )

    def _committed(self, index: int, command: Command, result: object) -> None:
        if isinstance(command, Txn) and getattr(result, "ok", False):
            self.seen.committed.append(int(command.ops[0].value))

    async def run(self, seconds: float) -> None:
        """Let them count for so long, with faults for the most of it."""
        self.scheduler.at(0.0, self._fault)
        for client in self.clients:
            self._start(self._count(client, seconds))
        await self.scheduler.pass_time(seconds)
        await asyncio.gather(*self._tasks)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def pause(self, seconds: float) -> None:
        """Let so much virtual time pass for this process."""
        done = asyncio.get_running_loop().create_future()
        self.scheduler.at(self.scheduler.now() + seconds, lambda: done.set_result(None))
        await done

    async def _count(self, client: SimulatedClient, seconds: float) -> None:
        seen = self.seen
        name = client.agent.name
        while self.scheduler.now() < seconds - 15:
            await self.pause(self.rng.uniform(0.05, 0.5))
            try:
                await client.service_register(
                    ServiceRegistration(name, name, checks=(TtlCheck(name, name, 3.0),))
                )
                await client.check_pass(name, "well")
                before = seen.told
                entry = (await client.kv_get(KEY, consistency=self._consistency)).value
                value = int(entry.value) if entry else 0
                if value < before:
                    seen.wrong.append(f"a read of {value} after {before} was told")
                seen.reads += 1
                op = TxnOp.kv_cas(KEY, b"%d" % (value + 1), entry.modify_index if entry else 0)
                if (await client.txn([op])).ok:
                    seen.told = max(seen.told, value + 1)
                    seen.writes += 1
            except ConsulUnavailable as error:
                seen.unknown += error.outcome_unknown
            except ConsulError as error:
                seen.wrong.append(repr(error))

    # --- faults ---

    def _fault(self) -> None:
        """Something breaks, and is whole again some time later."""
        if self._over:
            return
        now, rng = self.scheduler.now(), self.rng
        undo = rng.choice(
            (self._cut, self._cut, self._kill_server, self._freeze_server, self._agent, self._noise)
        )()
        self.history.append((round(now, 9), "fault", str(self.consul.describe())))
        self.scheduler.at(now + rng.uniform(0.2, 12), undo)
        self.scheduler.at(now + rng.uniform(0.5, 10), self._fault)

    def _cut(self) -> Any:
        network = self.consul.network
        names = [server.name for server in self.consul.servers]
        ends = [*names, *(agent.name for agent in self.agents)]
        one = self.rng.choice(names)
        cut = [(one, other) for other in ends if other != one and self.rng.random() < 0.7]
        both = self.rng.random() < 0.7
        for source, target in cut:
            network.cut(source, target)
            if both:
                network.cut(target, source)

        def heal() -> None:
            for source, target in cut:
                network.heal_both(source, target)

        return heal

    def _kill_server(self) -> Any:
        server: SimulatedServer = self.rng.choice(self.consul.servers)
        server.kill()
        wipe = self.rng.random() < 0.2
        return lambda: server.start(wipe=wipe and self._is_safe(server))

    def _is_safe(self, server: SimulatedServer) -> bool:
        """Whether a majority keeps what was committed if this one loses it."""
        others = [s for s in self.consul.servers if s is not server]
        return all(s.held_position == self.consul.log.end for s in others)

    def _freeze_server(self) -> Any:
        server: SimulatedServer = self.rng.choice(self.consul.servers)
        server.freeze()
        return server.thaw

    def _agent(self) -> Any:
        agent: SimulatedAgent = self.rng.choice(self.agents)
        if self.rng.random() < 0.5:
            agent.freeze()
            return agent.thaw
        agent.kill()
        wipe = self.rng.random() < 0.5
        return lambda: agent.start(wipe)

    def _noise(self) -> Any:
        network = self.consul.network
        agent = self.rng.choice(self.agents)
        source, target = self.rng.choice(
            ((agent.name, agent.chosen.name), (f"{agent.name}/process", agent.name))
        )
        if self.rng.random() < 0.5:
            source, target = target, source
        kind = self.rng.choice(("loss", "double", "late"))
        network.set(source, target, **{kind: self.rng.uniform(0.1, 0.9)})
        return lambda: network.set(source, target, **{kind: 0.0})

    # --- afterwards ---

    async def heal(self) -> None:
        """Everything whole again, and time enough for all to be settled."""
        self._over = True
        self.consul.network.heal_all()
        for server in self.consul.servers:
            server.thaw()
            server.start()
        for agent in self.agents:
            agent.thaw()
            agent.start()
        await self.scheduler.pass_time(200)
