"""A fleet in a simulated world: its nodes, its Consul, what stands outside, and its history."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import fields
from random import Random
from typing import Any

from coord.config import Settings
from coord.consul import CheckStatus, ConsulApi, ConsulError, ServiceRegistration, TtlCheck
from coord.election.timing import Timing
from coord.polling.records import ScheduleRecord
from coord.polling.store import PollPaths, put_schedule
from coord.records import POLLER_SERVICE, Paths
from coord.supervisor import ChildSpec
from coord.telemetry import ClusterHealthCheck, ElectionCheck, Event, PollFinished
from coord.testing import SimulatedConsul
from coord.testing.consul.network import LinkSettings
from coord.testing.node import EPOCH_MS, SimulatedNode
from coord.testing.world import ProcessLoop, World
from coord.workloads import WorkContext
from tests.simulation.commits import Commits
from tests.simulation.history import History, What, own_fields
from tests.simulation.operator import Operator, act
from tests.simulation.outside import PollerWires, Receiver
from tests.simulation.plan import Plan
from tests.simulation.work import LEAST_GRACE_S, ShownWork, Temper

WORKLOADS = ("coord.cluster_health:ClusterHealth", "coord.polling.orchestrator:PollOrchestrator")
SCHEDULES = {"s0": 3.0, "s1": 12.0}
"""Schedules by name: seconds between runs."""
POLLERS = 2
PULSE_S = 0.4
"""Mean time between two acts of the work."""

TO_RECEIVER = LinkSettings(late=0.05, late_s=(0.5, 15.0), double=0.02)
"""Some of what the work sends arrives when its sender has long been dead, or replaced."""

NOT_TOLD = frozenset({ElectionCheck, ClusterHealthCheck, PollFinished})
"""Events that tell of no transition."""


@functools.lru_cache(maxsize=256)
def settings_of(node: str, timing: Timing) -> Settings:
    """A node's settings. Made once: reading them costs more than a minute of simulation."""
    durations = {
        field.name: f"{getattr(timing, field.name) * 1000:g}ms"
        for field in fields(timing)
        if field.name in Settings.model_fields
    }
    return Settings(
        environ={}, node=node, node_type="core", workloads=",".join(WORKLOADS), **durations
    )


class Member:
    """One node of the fleet, with its agent, its work and its way to both."""

    def __init__(self, fleet: Fleet, number: int, plan: Plan) -> None:
        self._fleet = fleet
        self.name = f"core-{number + 1}"
        self.temper = Temper(stop_s=plan.stop_s[number])
        self._random = Random(f"node {plan.seed} {number}")
        self.agent = fleet.consul.agent(f"host-{number + 1}")
        self.agent.clock_rate = plan.agent_rates[number]
        self.node_ways = ((self.name, self.agent.endpoint), (self.agent.endpoint, self.name))
        self.harmed = self.temper.stop_s > LEAST_GRACE_S
        self.node = SimulatedNode(
            fleet.world,
            settings_of(self.name, plan.timings[number]),
            self._connect,
            random=self._random,
            rate=plan.rates[number],
            wall_skew_ms=self._random.choice((0, 0, -300, 300)),
            http=PollerWires(fleet.world, fleet.network, self._random, self.name, fleet.polled_in),
            extra_work=self._work,
            on_event=self._on_event,
            on_exit=self._on_exit,
            on_error=self._on_error,
        )

    def _connect(self, loop: ProcessLoop) -> tuple[ConsulApi, Any]:
        client = self._fleet.consul.client(self.agent, source=self.name, clock_rate=loop.rate)
        return client, client.kill

    def _work(self, context: WorkContext) -> Sequence[ChildSpec]:
        return ShownWork(
            self.temper, self._random, self._tell_work, self._send, pulse_s=PULSE_S
        ).specs()

    def _tell_work(self, what: What, term: int) -> None:
        if not self.node.running:
            return
        if what is What.BEGUN:
            self._fleet.work_begins(self, term)
        elif what is What.ENDED:
            self._fleet.working.pop(self.name, None)
        self.tell(what, term)

    def _send(self, term: int) -> None:
        fleet = self._fleet
        fleet.network.send(self.name, "receiver", lambda: fleet.receiver.take(self.name, term))

    def tell(self, what: What, *details: Any) -> None:
        """Write the history."""
        self._fleet.tell(what, self.name, *details)

    # -- its life --------------------------------------------------------------------------

    def start(self) -> None:
        """Start its process, if it has none."""
        if not self.node.running:
            self.tell(What.STARTED, self.node.boots + 1, self.harmed)
            self.node.start()

    def stop(self) -> None:
        """Ask its process to end."""
        if self.node.running:
            self.tell(What.STOPPING)
            self.node.stop()

    def freeze(self) -> None:
        """Let it stand still."""
        if self.node.running and not self.node.frozen:
            self.tell(What.FROZEN)
            self.node.freeze()

    def hang(self) -> None:
        """Let its event loop block."""
        if self.node.running and not self.node.frozen:
            self.tell(What.HUNG)
            self.node.hang()

    def thaw(self) -> None:
        """Let it go on."""
        if self.node.frozen:
            self.tell(What.THAWED)
            self.node.thaw()

    def step_down(self) -> None:
        """Ask it to step down."""
        application = self.node.application
        if application is not None and not self.node.frozen:
            step_down = getattr(application.loop, "step_down", None)
            if step_down is not None:
                step_down()

    def _on_event(self, event: Event) -> None:
        if type(event) not in NOT_TOLD:
            self.tell(What.TOLD, event.NAME, event.term, *_details(event))

    def _on_exit(self, status: int) -> None:
        self._fleet.work_ends(self)
        self.tell(What.EXITED, status)

    def _on_error(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.tell(What.FAILED, context.get("message", ""), repr(error) if error else "")


def _details(event: Event) -> tuple[Any, ...]:
    return tuple(getattr(event, name) for name in own_fields(type(event)))


class Fleet:
    """Everything of one seed's world."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.world = World()
        self.history = History()
        self.paths = Paths("coordinator")
        self.consul = SimulatedConsul(
            self.world,
            rng=Random(f"consul {plan.seed}"),
            servers=len(plan.server_rates),
            lease_s=plan.consul_lease_s,
        )
        for server, rate in zip(self.consul.servers, plan.server_rates, strict=True):
            server.clock_rate = rate
        self.network = self.consul.network
        usual = self.network.kind
        self.network.kind = lambda source, target: (
            TO_RECEIVER if target == "receiver" else usual(source, target)
        )
        self.receiver = Receiver(
            lambda sender, term, taken: self.tell(What.RECEIVED, sender, term, taken)
        )
        self.server_endpoints = tuple(server.endpoint for server in self.consul.servers)
        self.schedules = SCHEDULES
        self.working: dict[str, int] = {}
        """The term in which each node's work runs; while it stands still too."""
        self.polled_in: dict[str, int] = {}
        """The newest term that each poller was asked in."""
        self.begun = 0
        """How often work has begun."""
        self._worker: Member | None = None
        self.members = [Member(self, number, plan) for number in range(plan.nodes)]
        self._operator_loop = self.world.process("operator")
        operator = self.consul.client(self.consul.agent("host-0"), source="operator")
        self.operator_client = operator
        names = tuple(member.name for member in self.members)
        self.operator = Operator(operator, self.paths, Random(f"operator {plan.seed}"), names)
        self.commits = Commits(self.consul, self.paths, self.tell)

    def tell(self, what: What, who: str, *details: Any) -> None:
        """Write the history."""
        self.history.add(self.world.time, what, who, *details)

    def run_for(self, seconds: float, *, stop: Callable[[], bool] | None = None) -> bool:
        """Let so much time pass; whether `stop` ended it before."""
        return self.world.run_until(self.world.time + seconds, stop=stop)

    # -- who works -------------------------------------------------------------------------

    @property
    def at_work(self) -> Member | None:
        """Whose work was the last to begin, while its process lives."""
        return self._worker

    def work_begins(self, member: Member, term: int) -> None:
        """Its work has begun."""
        self._worker = member
        self.begun += 1
        self.working[member.name] = term

    def work_ends(self, member: Member) -> None:
        """Its process has ended."""
        self.working.pop(member.name, None)
        if self._worker is member:
            self._worker = None

    # -- what faults need ------------------------------------------------------------------

    def ways(self, one: str, others: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """All ways between one end and several, there and back."""
        return tuple(way for other in others for way in ((one, other), (other, one)))

    def leading_server(self) -> int:
        """The number of the server that leads Consul; any if none does."""
        leader = self.consul.leader()
        return self.consul.servers.index(leader) if leader is not None else 0

    def operate(self, name: str) -> None:
        """Let an operator do that."""

        async def doing() -> None:
            what = await act(self.operator, name)
            self.tell(What.FAULT, "operator", name, what)
            if name in ("delete_prefix", "restore"):
                await self.put_schedules()

        self.run_operator(doing())

    async def withdraw(self) -> None:
        """Let the operator ask nothing any more, as soon as Consul listens."""
        while True:
            try:
                await self.operator.withdraw()
                return
            except ConsulError:
                await asyncio.sleep(0.2)

    # -- polls -----------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Register the pollers, and write the schedules."""
        for number in range(POLLERS):
            name = f"poller-{number + 1}"
            check = TtlCheck(id=name, name=name, ttl_s=86_400.0, status=CheckStatus.PASSING)
            await self.operator_client.service_register(
                ServiceRegistration(
                    id=name,
                    name=POLLER_SERVICE,
                    address="127.0.0.1",
                    port=9000 + number,
                    meta={"election": self.paths.election, "node": name, "capacity": "2"},
                    checks=(check,),
                )
            )
        await self.put_schedules()

    async def put_schedules(self) -> None:
        """Write the schedules, as an operator does: again, where they were deleted."""
        for name, interval_s in self.schedules.items():
            raw = {
                "id": name,
                "interval": f"{interval_s}s",
                "checks": [{"kind": "tcp", "target": "10.0.0.1:80", "timeout": "1s"}],
            }
            schedule = ScheduleRecord.decode(json.dumps(raw).encode())
            now_ms = EPOCH_MS + round(self.world.time * 1000)
            await put_schedule(self.operator_client, self.paths, schedule, now_ms=now_ms)

    @property
    def poll_paths(self) -> PollPaths:
        """Where the polls are in Consul."""
        return PollPaths(self.paths)

    def run_operator(self, doing: Coroutine[Any, Any, None]) -> None:
        """Let an operator do something, in a process of his."""
        self._operator_loop.create_task(self._told(doing))

    async def _told(self, doing: Coroutine[Any, Any, None]) -> None:
        """An operator tries once; what is no answer of Consul's is a mistake of the test's."""
        try:
            await doing
        except ConsulError:
            pass
        except Exception as error:
            self.tell(What.FAILED, "operator", "an operator failed", repr(error))
