"""A simulated Consul agent: what is asked of it, and what it asks the servers for others."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from coord.consul.types import (
    AgentInfo,
    CheckStatus,
    HealthCheck,
    NodeInfo,
    ServiceInstance,
    ServiceRegistration,
    TtlCheck,
)
from coord.testing.consul.agent_checks import LocalCheck
from coord.testing.consul.agent_sync import AgentSync, AgentTimes
from coord.testing.consul.commands import Failure
from coord.testing.consul.request_desk import HOLD_S, JITTER
from coord.testing.consul.rpc import BROKEN, NO_SERVERS, Rpc

if TYPE_CHECKING:
    from coord.testing.consul.cluster import SimulatedConsul
    from coord.testing.consul.server import SimulatedServer

VERSION: Final = "1.8.7"
"""The Consul whose behaviour is simulated."""
REAP_S: Final = 30.0


class LocalCall(Rpc):
    """A request that the agent answers from what it keeps."""

    __slots__ = ()

    def carry_out(self) -> None:
        """What it keeps is free."""
        raise NotImplementedError


class SimulatedAgent:
    """One agent: a client agent, or the one that every server is (`server`).

    Made by `SimulatedConsul.agent`; a test kills, starts, freezes and cuts it.

    Attributes:
        clock_rate: how many seconds it counts in one; its TTLs run by that.
        lonely: whether it holds all servers to be gone.
        chosen: the server that it asks.
        life: counts its starts: what was asked of an earlier one is forgotten.
    """

    def __init__(
        self,
        consul: SimulatedConsul,
        name: str,
        address: str,
        server: SimulatedServer | None,
        times: AgentTimes,
    ) -> None:
        self._consul = consul
        self.scheduler = consul.scheduler
        self.network = consul.network
        self.rng: random.Random = consul.rng
        self.name = self.endpoint = name
        self.server = server
        self._order = [server] if server else self.rng.sample(consul.servers, len(consul.servers))
        self.chosen = self._order[0]
        self.node = NodeInfo(name, address, {"consul-network-segment": ""})
        self.node_id = self._new_id()
        self.clock_rate = 1.0
        self.running = True
        self.frozen = False
        self.lonely = False
        self.life = 1
        self.services: dict[str, ServiceInstance] = {}
        self.checks: dict[str, LocalCheck] = {}
        self.sync = AgentSync(self, self.rng, times)
        self._open: dict[Rpc, None] = {}
        self._local: dict[LocalCall, None] = {}
        self._backlog: list[Callable[[], None]] = []
        self.sync.start()
        self._reap_later()

    # --- requests for the servers ---

    def ask(self, rpc: Rpc) -> None:
        """Have the servers answer it."""
        rpc.life = self.life
        rpc.started = self.scheduler.now()
        if len(self._open) > 256:
            # Answers that a link has lost: nobody waits for them by now.
            oldest = rpc.started - 60
            self._open = {r: None for r in self._open if r.started + 2 * r.wait_s > oldest}
        self._open[rpc] = None
        self._forward(rpc)

    def hear(self, rpc: Rpc, outcome: object) -> None:
        """A server's answer arrives."""
        if not self.running or rpc.life != self.life:
            return
        if self.frozen:
            self._backlog.append(partial(self.hear, rpc, outcome))
            return
        if outcome.__class__ is Failure:
            # Consul's agents leave a server for any error that it answers with.
            if rpc.entry is self.chosen and self.server is None:
                self._ask_another()
            if outcome is BROKEN and rpc in self._open and self._try_again(rpc):
                return
        if self._open.pop(rpc, rpc) is None:
            rpc.finish(outcome)

    def waits(self, rpc: LocalCall) -> None:
        """It asks for what the agent keeps, which is not free now."""
        self._local[rpc] = None
        self.sync.when_free(partial(self._carry_out, rpc, self.life))

    def write_first(self, rpc: LocalCall, outcome: object) -> None:
        """Answer it once what is new is written to the catalog, or could not be."""
        self._local[rpc] = None
        self.sync.write(lambda came_through: self._finish(rpc, outcome))

    def _carry_out(self, rpc: LocalCall, life: int) -> None:
        if life == self.life:
            self._local.pop(rpc, None)
            rpc.carry_out()

    def _finish(self, rpc: LocalCall, outcome: object) -> None:
        self._local.pop(rpc, None)
        rpc.finish(outcome)

    def forget(self, rpc: Rpc) -> None:
        """Nobody waits for its answer any more."""
        self._open.pop(rpc, None)

    def _forward(self, rpc: Rpc) -> None:
        chosen = self.chosen
        rpc.entry = chosen
        if self.server is chosen:
            chosen.take(rpc)
        elif self.lonely:
            self._open.pop(rpc, None)
            rpc.finish(NO_SERVERS)
        else:
            network = self._consul.network
            network.link(self.endpoint, chosen.name).send(partial(chosen.take, rpc))

    def _try_again(self, rpc: Rpc) -> bool:
        """After the connection broke: a read is asked again, of another server."""
        now = self.scheduler.now()
        if not rpc.is_read or now - rpc.started > HOLD_S:
            return False
        when = now + self.rng.random() * HOLD_S / JITTER
        self.scheduler.at(when, partial(self._ask_again, rpc))
        return True

    def _ask_again(self, rpc: Rpc) -> None:
        if self.frozen:
            self._backlog.append(partial(self._ask_again, rpc))
        elif self.running and rpc.life == self.life and rpc in self._open:
            self._forward(rpc)

    # --- its view of the servers ---

    def set_lonely(self, lonely: bool) -> None:
        """Gossip says that all servers are gone, or that one is there again."""
        self.lonely = lonely
        if not lonely and self.running:
            self.sync.servers_are_back()

    def change_server(self) -> None:
        """The connection to the server it asks broke: what hangs there fails, or is asked anew."""
        if self.server is not None:
            return
        left = self.chosen
        self._ask_another()
        self.network.link(self.endpoint, left.name).forget()
        for rpc in [rpc for rpc in self._open if rpc.entry is left]:
            self.hear(rpc, BROKEN)

    def _ask_another(self) -> None:
        """Go on to the next server in its list that gossip does not hold to be gone."""
        order, gossip = self._order, self._consul.gossip
        for _ in order:
            order.append(order.pop(0))
            if not gossip.is_failed(order[0].agent):
                break
        self.chosen = order[0]

    # --- what it keeps ---

    def info(self) -> AgentInfo:
        """Who it is."""
        return AgentInfo(self.name, self.node.address, "dc1", VERSION, self.server is not None)

    def health_checks(self) -> dict[str, HealthCheck]:
        """Its checks, by id."""
        return {check_id: check.health for check_id, check in self.checks.items()}

    def register(self, registration: ServiceRegistration) -> Failure | None:
        """Register a service; a check that is there keeps its status."""
        if not registration.name:
            return Failure(400, "Missing service name")
        for check in registration.checks:
            if check.ttl_s < 0.0005:
                return Failure(400, "Invalid check: TTL must be > 0 for TTL checks")
        service = ServiceInstance(
            "",
            "",
            registration.id or registration.name,
            registration.name,
            registration.address,
            registration.port,
            tuple(registration.tags),
            dict(registration.meta),
        )
        if self.services.get(service.id) != service:
            self.services[service.id] = service
            self.sync.service_changed(service.id)
        for check in registration.checks:
            self._put_check(check, service)
        return None

    def register_check(self, check: TtlCheck, service_id: str | None) -> Failure | None:
        """Register a check of the node, or of a service that is there; one keeps its status."""
        if check.ttl_s < 0.0005:
            return Failure(400, "Invalid check: TTL must be > 0 for TTL checks")
        service = None
        if service_id is not None:
            service = self.services.get(service_id)
            if service is None:
                return Failure(500, f'ServiceID "{service_id}" does not exist')
        self._put_check(check, service)
        return None

    def deregister(self, service_id: str) -> bool:
        """Forget a service with its checks; False if there is no such service."""
        if self.services.pop(service_id, None) is None:
            return False
        for check_id in [i for i, c in self.checks.items() if c.service_id == service_id]:
            self.checks.pop(check_id).stop()
            self.sync.check_gone(check_id, with_service=True)
        self.sync.service_changed(service_id)
        return True

    def deregister_check(self, check_id: str) -> bool:
        """Forget a check; False if there is no such check."""
        check = self.checks.pop(check_id, None)
        if check is None:
            return False
        check.stop()
        self.sync.check_gone(check_id)
        return True

    def update(self, check_id: str, status: CheckStatus, output: str) -> bool:
        """What is reported of a check; False if there is no such check."""
        check = self.checks.get(check_id)
        if check is None:
            return False
        check.report(status, output)
        return True

    def _put_check(self, check: TtlCheck, service: ServiceInstance | None) -> None:
        old = self.checks.get(check.id)
        if old is not None:
            old.stop()
        new = self.checks[check.id] = LocalCheck(self, check, service, old)
        if old is None or old.health != new.health:
            self.sync.check_changed(check.id)

    def _reap_later(self) -> None:
        when = self.scheduler.now() + REAP_S / self.clock_rate
        self.scheduler.at(when, partial(self._reap, self.life))

    def _reap(self, life: int) -> None:
        """Remove services that were critical for as long as their checks allow."""
        if life != self.life:
            return
        if self.frozen:
            self._backlog.append(partial(self._reap, life))
            return
        for check in list(self.checks.values()):
            if check.is_to_be_reaped() and check.service_id:
                self.deregister(check.service_id)
        self._reap_later()

    # --- faults ---

    def later(self, call: Callable[[], None]) -> bool:
        """Whether it stands still; then `call` is called when it goes on."""
        if self.frozen:
            self._backlog.append(call)
        return self.frozen

    def freeze(self) -> None:
        """Stand still: answer nothing, let no timer fire."""
        if self.running and not self.frozen:
            self.frozen = True
            self._consul.changed()

    def thaw(self) -> None:
        """Go on, with what arrived meanwhile first."""
        if not self.frozen:
            return
        self.frozen = False
        self._consul.changed()
        backlog, self._backlog = self._backlog, []
        for call in backlog:
            call()

    def kill(self) -> None:
        """End at once; who was waiting for an answer is told that the connection broke."""
        if not self.running:
            return
        self.running = self.frozen = False
        self.life += 1
        self._backlog = []
        self.sync.stop()
        for check in self.checks.values():
            check.stop()
        waiting: list[Rpc] = [*self._open, *self._local]
        self._open, self._local = {}, {}
        for rpc in waiting:
            rpc.broken()
        self._consul.changed()

    def leave(self) -> None:
        """End in good order: the servers remove the node, and so its sessions, from the catalog."""
        if self.running:
            self._consul.gossip.left(self)
            self.kill()

    def start(self, wipe: bool = False, *, new_node_id: bool = False) -> None:
        """Start again: with what it kept, or wiped, when it knows of no service or check.

        new_node_id: it comes back as another node under its old name.
        """
        if self.running:
            return
        if new_node_id:
            self.node_id = self._new_id()
        if wipe:
            self.services, self.checks = {}, {}
        self.running = True
        self.life += 1
        self.lonely = False
        self.sync.start()
        for check in self.checks.values():
            check.restore()
        self._reap_later()
        self._consul.changed()

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
