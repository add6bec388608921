"""How a simulated agent keeps the catalog equal to what it knows (Consul's anti-entropy)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from coord.consul.types import HealthCheck, Reply
from coord.testing.consul.catalog import SERF_HEALTH
from coord.testing.consul.commands import Command, Deregister, Failure, Register
from coord.testing.consul.network import Span
from coord.testing.consul.queries import NodeState, node_state
from coord.testing.consul.rpc import Mode, Rpc
from coord.testing.scheduler import Scheduled

if TYPE_CHECKING:
    from coord.testing.consul.agent import SimulatedAgent


CONSUL: Final = "consul"
"""The service of the servers themselves, which no agent removes."""


@dataclass(frozen=True, slots=True)
class AgentTimes:
    """How soon an agent writes what it knows; spans in seconds of its own clock.

    soon_s: after a change.
    full_s: between two comparisons with all that the catalog has, with nothing going on.
    failed_s: until it tries again after the servers refused or could not.
    lost_s: until what got no answer is sent again: longer than a server holds a request, so that
        the older one is not carried out after the younger.
    back_s: until it compares once servers are there again.
    note_s: how long a note without a change of status is held back.
    """

    soon_s: Span = (0.0005, 0.003)
    full_s: Span = (60.0, 90.0)
    failed_s: Span = (15.0, 30.0)
    lost_s: Span = (12.0, 20.0)
    back_s: Span = (0.0, 3.0)
    note_s: Span = (150.0, 450.0)


class _SyncRpc(Rpc):
    """A request of the agent's own."""

    __slots__ = ("done",)

    def __init__(self, sync: AgentSync, command: Command | None) -> None:
        agent = sync.agent
        if command is None:
            super().__init__(agent, Mode.DEFAULT, query=node_state(agent.name))
        else:
            super().__init__(agent, Mode.WRITE, command=command)
        self.done = sync.heard

    def finish(self, outcome: object) -> None:
        self.done(self, outcome)

    def broken(self) -> None:
        """The agent is gone, and all that it waited for."""


class AgentSync:
    """Writes to the catalog what is new, one thing at a time, and compares all of it now and then.

    Changes wait for one another; one that the servers cannot take now is tried again with the next
    change, or after `failed_s`.
    """

    def __init__(self, agent: SimulatedAgent, rng: random.Random, times: AgentTimes) -> None:
        self.agent = agent
        self._rng = rng
        self._times = times
        self._services: dict[str, None] = {}
        self._checks: dict[str, None] = {}
        self._notes: dict[str, Scheduled] = {}
        self._asked: _SyncRpc | None = None
        self._asking: tuple[str, str, object] = ("", "", None)
        self._resend: Scheduled | None = None
        self._next: Scheduled | None = None
        self._full: Scheduled | None = None
        self._full_due = False
        self._node_is_off = False

    # --- what has changed ---

    def service_changed(self, service_id: str) -> None:
        """A service was registered, registered again, or is gone."""
        self._services[service_id] = None
        self._soon()

    def check_changed(self, check_id: str) -> None:
        """A check was registered, or its status is another."""
        self._checks[check_id] = None
        self._soon()

    def check_gone(self, check_id: str, *, with_service: bool = False) -> None:
        """A check was deregistered; with its service, that removes it."""
        self._forget_note(check_id)
        if with_service:
            self._checks.pop(check_id, None)
        else:
            self.check_changed(check_id)

    def note_changed(self, check_id: str) -> None:
        """What is said of a check is new, its status is not: no hurry."""
        if check_id not in self._notes:
            self._notes[check_id] = self._later(
                self._times.note_s, partial(self._note_due, check_id)
            )

    def servers_are_back(self) -> None:
        """Gossip says so: compare soon."""
        self._plan_full(self._times.back_s)

    # --- the agent's life ---

    def start(self) -> None:
        """The agent runs: compare at once."""
        self._plan_full(self._times.soon_s)

    def stop(self) -> None:
        """The agent is gone."""
        for scheduled in (self._resend, self._next, self._full, *self._notes.values()):
            if scheduled is not None:
                scheduled.cancel()
        self._resend = self._next = self._full = self._asked = None
        self._notes.clear()
        self._services.clear()
        self._checks.clear()
        self._full_due = False

    # --- one thing after the other ---

    def _soon(self) -> None:
        if self._asked is None and self._next is None:
            self._next = self._later(self._times.soon_s, self._go_on)

    def _go_on(self) -> None:
        self._next = None
        if self.agent.later(self._go_on) or self._asked is not None:
            return
        if self._full_due:
            self._full_due = False
            self._send("full", "", None, None)
        elif self._node_is_off:
            agent = self.agent
            self._send("node", "", None, Register(agent.name, agent.node, agent.node_id))
        elif self._services:
            service_id = next(iter(self._services))
            self._send_service(service_id)
        elif self._checks:
            self._send_check(next(iter(self._checks)))
        elif self._full is None:
            self._plan_full(self._times.full_s)

    def _send_service(self, service_id: str) -> None:
        agent, node = self.agent, self.agent.name
        service = agent.services.get(service_id)
        command: Command
        if service is None:
            command = Deregister(node, service_id=service_id)
        else:
            checks = tuple(
                agent.checks[check_id].health
                for check_id in self._checks
                if check_id in agent.checks and agent.checks[check_id].service_id == service_id
            )
            command = Register(node, agent.node, agent.node_id, service, checks)
        self._send("service", service_id, service, command)

    def _send_check(self, check_id: str) -> None:
        agent, node = self.agent, self.agent.name
        check = agent.checks.get(check_id)
        command: Command
        if check is None:
            command = Deregister(node, check_id=check_id)
        else:
            service = agent.services.get(check.service_id)
            command = Register(node, agent.node, agent.node_id, service, (check.health,))
        self._send("check", check_id, check.health if check else None, command)

    def _send(self, kind: str, name: str, value: object, command: Command | None) -> None:
        self._asking = kind, name, value
        self._asked = _SyncRpc(self, command)
        self._resend = self._later(self._times.lost_s, self._lost)
        self.agent.ask(self._asked)

    def heard(self, rpc: Rpc, outcome: object) -> None:
        """The servers have answered, or the request failed on the way."""
        if rpc is not self._asked:
            return
        self._asked = None
        if self._resend is not None:
            self._resend.cancel()
            self._resend = None
        if isinstance(outcome, Failure):
            self._full_due = False
            self._plan_full(self._times.failed_s)
            return
        kind, name, value = self._asking
        if isinstance(outcome, Reply):
            self._compare(outcome.value)
        elif kind == "node":
            self._node_is_off = False
        elif kind == "service":
            self._service_is_in(name, value, rpc.command)
        elif kind == "check":
            self._check_is_in(name, value)
        self._go_on()

    def _lost(self) -> None:
        """No answer, so that a link has lost it."""
        self._resend = None
        if self.agent.later(self._lost) or self._asked is None:
            return
        self.agent.forget(self._asked)
        self._asked = None
        if self._asking[0] == "full":
            self._full_due = True
        self._go_on()

    def _service_is_in(self, name: str, value: object, command: Command | None) -> None:
        if self.agent.services.get(name) is value:
            self._services.pop(name, None)
        if isinstance(command, Register):
            for health in command.checks:
                self._check_is_in(health.check_id, health)

    def _check_is_in(self, check_id: str, value: object) -> None:
        check = self.agent.checks.get(check_id)
        if (check.health if check else None) is value:
            self._checks.pop(check_id, None)
            self._forget_note(check_id)

    # --- all of it ---

    def _plan_full(self, span: Span) -> None:
        if self._full is not None:
            self._full.cancel()
        self._full = self._later(span, self._full_is_due)

    def _full_is_due(self) -> None:
        self._full = None
        if self.agent.later(self._full_is_due):
            return
        self._full_due = True
        self._soon()

    def _compare(self, state: object) -> None:
        assert isinstance(state, NodeState)
        agent = self.agent
        # What it must say of itself comes first: refused, nothing else is tried.
        self._node_is_off = (state.node, state.node_id) != (agent.node, agent.node_id)
        for service_id, service in agent.services.items():
            if state.services.get(service_id) != service:
                self._services[service_id] = None
        for service_id in state.services:
            if service_id not in agent.services and service_id != CONSUL:
                self._services[service_id] = None
        for check_id, check in agent.checks.items():
            if not self._is_same(check.health, check.deferred, state.checks.get(check_id)):
                self._checks[check_id] = None
        for check_id, known in state.checks.items():
            gone_with_service = known.service_id in self._services and (
                known.service_id not in agent.services
            )
            if check_id not in agent.checks and check_id != SERF_HEALTH and not gone_with_service:
                self._checks[check_id] = None

    @staticmethod
    def _is_same(ours: HealthCheck, deferred: bool, theirs: HealthCheck | None) -> bool:
        if theirs is not None and deferred:
            theirs = replace(theirs, output=ours.output)
        return ours == theirs

    def _note_due(self, check_id: str) -> None:
        self._notes.pop(check_id, None)
        if self.agent.later(partial(self._note_due, check_id)):
            return
        check = self.agent.checks.get(check_id)
        if check is not None:
            check.deferred = False
            self.check_changed(check_id)

    def _forget_note(self, check_id: str) -> None:
        note = self._notes.pop(check_id, None)
        if note is not None:
            note.cancel()
        check = self.agent.checks.get(check_id)
        if check is not None:
            check.deferred = False

    def _later(self, span: Span, call: Callable[[], None]) -> Scheduled:
        low, high = span
        scheduler = self.agent.scheduler
        wait_s = (low + (high - low) * self._rng.random()) / self.agent.clock_rate
        return scheduler.at(scheduler.now() + wait_s, call)
