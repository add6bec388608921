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

    soon_s: after a change, if nobody waits for that.
    full_s: between two comparisons with all that the catalog has.
    failed_s: until the next comparison after one that did not come through.
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
    """Writes to the catalog what is new, and compares all of it now and then.

    Consul's agent holds the lock on what it keeps for as long as a pass over all that is new
    takes, the servers' answers included: whatever is asked of it meanwhile waits (`busy`). Who
    registers something, or says something new of a check, is answered after such a pass, whether
    it came through or not. So while the servers cannot take what is new, all of it is slow.
    """

    def __init__(self, agent: SimulatedAgent, rng: random.Random, times: AgentTimes) -> None:
        self.agent = agent
        self._rng = rng
        self._times = times
        self._services: dict[str, None] = {}
        self._checks: dict[str, None] = {}
        self._node_is_off = False
        self._notes: dict[str, Scheduled] = {}
        self.busy = False
        self._queue: list[Callable[[], None]] = []
        self._after: Callable[[bool], None] | None = None
        self._asked: _SyncRpc | None = None
        self._resend: Scheduled | None = None
        self._soon: Scheduled | None = None
        self._full: Scheduled | None = None

    @property
    def dirty(self) -> bool:
        """Whether anything is new."""
        return bool(self._services or self._checks or self._node_is_off)

    # --- what has changed ---

    def service_changed(self, service_id: str) -> None:
        """A service was registered, registered again, or is gone."""
        self._services[service_id] = None
        self._trigger()

    def check_changed(self, check_id: str) -> None:
        """A check was registered, or its status is another."""
        self._checks[check_id] = None
        self._trigger()

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
        for scheduled in (self._resend, self._soon, self._full, *self._notes.values()):
            if scheduled is not None:
                scheduled.cancel()
        self._resend = self._soon = self._full = self._asked = self._after = None
        self._notes.clear()
        self._services.clear()
        self._checks.clear()
        self._queue.clear()
        self.busy = self._node_is_off = False

    # --- one pass after the other ---

    def when_free(self, call: Callable[[], None]) -> None:
        """Call `call` once what the agent keeps is free: now, or after what waits already."""
        if self.busy:
            self._queue.append(call)
        else:
            call()

    def write(self, after: Callable[[bool], None]) -> None:
        """Write all that is new, and then call `after` with whether it came through.

        The agent's own pass, which each change brings about, comes first or after this one.
        """
        if self._soon is not None and self._rng.random() < 0.5:
            self._soon.cancel()
            self._soon_due()
        self.when_free(partial(self._begin, after))

    def _trigger(self) -> None:
        if self._soon is None:
            self._soon = self._later(self._times.soon_s, self._soon_due)

    def _soon_due(self) -> None:
        self._soon = None
        if not self.agent.later(self._soon_due):
            self.when_free(partial(self._begin, None))

    def _begin(self, after: Callable[[bool], None] | None) -> None:
        self.busy, self._after = True, after
        self._go_on()

    def _end(self, came_through: bool) -> None:
        after, self._after = self._after, None
        self.busy = False
        if after is not None:
            after(came_through)
        while self._queue and not self.busy:
            self._queue.pop(0)()

    def _go_on(self) -> None:
        agent = self.agent
        if self._node_is_off:
            self._send(Register(agent.name, agent.node, agent.node_id))
        elif self._services:
            self._send_service(next(iter(self._services)))
        elif self._checks:
            self._send_check(next(iter(self._checks)))
        else:
            self._end(True)

    def _send_service(self, service_id: str) -> None:
        agent, node = self.agent, self.agent.name
        service = agent.services.get(service_id)
        if service is None:
            self._send(Deregister(node, service_id=service_id))
            return
        checks = tuple(
            agent.checks[check_id].health
            for check_id in self._checks
            if check_id in agent.checks and agent.checks[check_id].service_id == service_id
        )
        self._send(Register(node, agent.node, agent.node_id, service, checks))

    def _send_check(self, check_id: str) -> None:
        agent, node = self.agent, self.agent.name
        check = agent.checks.get(check_id)
        if check is None:
            self._send(Deregister(node, check_id=check_id))
            return
        service = agent.services.get(check.service_id)
        self._send(Register(node, agent.node, agent.node_id, service, (check.health,)))

    def _send(self, command: Command) -> None:
        self._asked = _SyncRpc(self, command)
        self._resend = self._later(self._times.lost_s, self._lost)
        self.agent.ask(self._asked)

    def heard(self, rpc: Rpc, outcome: object) -> None:
        """The servers have answered, or the request failed on the way."""
        if rpc.command is None:
            self._have_state(outcome)
            return
        if rpc is not self._asked:
            return
        self._asked = None
        if self._resend is not None:
            self._resend.cancel()
            self._resend = None
        if isinstance(outcome, Failure):
            self._end(False)
            return
        self._is_in(rpc.command)
        self._go_on()

    def _lost(self) -> None:
        """No answer, so that a link has lost it."""
        self._resend = None
        if self.agent.later(self._lost) or self._asked is None:
            return
        self.agent.forget(self._asked)
        self._asked = None
        self._go_on()

    def _is_in(self, command: Command) -> None:
        """The servers have taken it. Nothing has changed meanwhile: the pass has the lock."""
        if isinstance(command, Deregister):
            self._services.pop(command.service_id or "", None)
            self._checks.pop(command.check_id or "", None)
            return
        assert isinstance(command, Register)
        if command.service is None and not command.checks:
            self._node_is_off = False
        if command.service is not None:
            self._services.pop(command.service.id, None)
        for health in command.checks:
            self._checks.pop(health.check_id, None)
            self._forget_note(health.check_id)

    # --- all of it ---

    def _plan_full(self, span: Span) -> None:
        if self._full is not None:
            self._full.cancel()
        self._full = self._later(span, self._full_is_due)

    def _full_is_due(self) -> None:
        self._full = None
        if self.agent.later(self._full_is_due):
            return
        self._plan_full(self._times.full_s)
        self.agent.ask(_SyncRpc(self, None))

    def _have_state(self, outcome: object) -> None:
        if isinstance(outcome, Reply):
            self.when_free(partial(self._compare_and_write, outcome.value))
        else:
            self._plan_full(self._times.failed_s)

    def _compare_and_write(self, state: object) -> None:
        self._compare(state)
        self._begin(self._full_ended)

    def _full_ended(self, came_through: bool) -> None:
        if not came_through:
            self._plan_full(self._times.failed_s)

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
