"""A simulated Consul server: leading, following, and what can befall it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from coord.testing.consul.commands import Failure, Nothing, Restore, SessionCreate, SessionDestroy
from coord.testing.consul.request_desk import HOLD_S, JITTER, Proposal, RequestDesk
from coord.testing.consul.rpc import BROKEN, LEADERSHIP_LOST
from coord.testing.scheduler import Scheduled

if TYPE_CHECKING:
    from coord.testing.consul.agent import SimulatedAgent
    from coord.testing.consul.cluster import SimulatedConsul


class SimulatedServer(RequestDesk):
    """One server. Made by `SimulatedConsul`; a test kills, starts, freezes and cuts it.

    Attributes:
        agent: the agent that every server is as well.
        position: up to where it has applied the committed log; -1: it needs all of it.
        held_position: up to where it has the committed log.
        attached: whether the leader reaches it, since `attached_at`.
        lag_s: how much later than the leader it applies.
    """

    agent: SimulatedAgent

    def __init__(self, consul: SimulatedConsul, name: str, address: str) -> None:
        super().__init__(consul, name, address)
        self.position = 0
        self.held_position = 0
        self.attached = False
        self.attached_at = 0.0
        self.lag_s = 0.0
        self._timers: dict[str, Scheduled] = {}
        self._replays = False

    # --- leading ---

    def lead(self, tail: list[Proposal]) -> None:
        """Elected: `tail` is what it has of its predecessor's log that was not confirmed."""
        self.leading, self.known_leader = True, self
        self.replay()
        for proposal in tail:
            self.commit(proposal)
        self.commit(Proposal(Nothing(), None, ()))
        for session_id in self.store.sessions:
            self.start_timer(session_id)
        self._take_up()

    def commit(self, proposal: Proposal) -> None:
        """A majority has it: carry it out, and tell who asked."""
        command = proposal.command
        result = self._consul.committed(self, command)
        if command.__class__ is SessionCreate and not isinstance(result, Failure):
            self.start_timer(str(result))
        elif command.__class__ is SessionDestroy:
            self.stop_timer(command.session_id)
        elif command.__class__ is Restore:
            for session_id in self.store.sessions:
                self.start_timer(session_id)
        if proposal.rpc is not None:
            self.answer(proposal.rpc, result)

    def step_down(self) -> None:
        """It leads no more: what hangs here fails; what it wrote may still count."""
        self.leading, self.known_leader = False, None
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for proposal in self.pending:
            if proposal.rpc is not None:
                self.answer(proposal.rpc, LEADERSHIP_LOST)
                proposal.rpc = None
        if self._consul.elections.leader is not self:
            self.pending.clear()
        verifying, self._verifying = self._verifying, {}
        for rpc in verifying:
            self.answer(rpc, LEADERSHIP_LOST)

    def believe(self, leader: SimulatedServer | None) -> None:
        """Whom it hears as leader now; what was held goes on with one."""
        self.known_leader = leader
        if leader is not None:
            self._take_up()

    def _take_up(self) -> None:
        held, self._held = self._held, {}
        now = self._scheduler.now()
        for rpc in held:
            when = now + self._rng.random() * HOLD_S / JITTER
            self._scheduler.at(when, partial(self.take, rpc))

    # --- sessions' TTLs ---

    def start_timer(self, session_id: str) -> None:
        """Give the session its TTL anew: it dies after twice that, by this server's clock."""
        session = self.store.sessions.get(session_id)
        if session is None or not session.ttl_s:
            return
        self.stop_timer(session_id)
        when = self._scheduler.now() + 2 * session.ttl_s / self.clock_rate
        self._timers[session_id] = self._scheduler.at(when, partial(self._expired, session_id))

    def stop_timer(self, session_id: str) -> None:
        """The session needs no TTL any more."""
        timer = self._timers.pop(session_id, None)
        if timer is not None:
            timer.cancel()

    def _expired(self, session_id: str) -> None:
        if self.frozen:
            self._backlog.append(partial(self._expired, session_id))
            return
        if self._timers.pop(session_id, None) is None:
            return
        if self.leading and session_id in self.store.sessions:
            self.propose(SessionDestroy(session_id, expired=True))

    # --- following ---

    def now(self) -> float:
        """True time in seconds."""
        return self._scheduler.now()

    def look_at(self, when: float) -> None:
        """Apply then what has come by then, for those who wait here."""
        self._scheduler.at(when, self.catch_up)

    def established(self) -> None:
        """It leads, and everybody in reach knows: see that the catalog says who is there."""
        self._consul.gossip.reconcile(at_once=True)

    def catch_up(self, *, all_of_it: bool = False) -> None:
        """Apply what has come from the leader by now."""
        self._consul.log.catch_up(self, all_of_it=all_of_it)

    # --- faults ---

    def freeze(self) -> None:
        """Stand still: what arrives waits."""
        if self.running and not self.frozen:
            self.frozen = True
            self.agent.freeze()
            self._consul.changed()

    def thaw(self) -> None:
        """Go on, with what arrived meanwhile first."""
        if not self.frozen:
            return
        self.frozen = False
        self.agent.thaw()
        self._consul.changed()
        backlog, self._backlog = self._backlog, []
        for call in backlog:
            call()

    def kill(self) -> None:
        """End at once. Whoever waits for an answer from it notices, if he is connected."""
        if not self.running:
            return
        self.running = self.frozen = False
        self.leading, self.known_leader = False, None
        self._backlog = []
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        waiting = {w.rpc: None for w in self._waiting}
        written = {p.rpc: None for p in self.pending if p.rpc is not None}
        broken = {**self._forwarded, **self._held, **self._verifying, **waiting, **written}
        for proposal in self.pending:
            proposal.rpc = None
        for hanging in list(self._waiting):
            self.end_waiting(hanging)
        self._forwarded, self._held, self._verifying = {}, {}, {}
        self.store.waiters.forget()
        self.store.lock_delays.forget()
        for rpc in broken:
            self._send_back(rpc, rpc.entry, BROKEN)
        self.agent.kill()
        self._consul.changed()

    def replay(self) -> None:
        """It knows what was committed: one that has started again carries out its log again."""
        if self._replays:
            self._replays = False
            self.store.lock_delays.replay(self.now())

    def compact(self) -> None:
        """Its log so far is replaced by a snapshot, as Consul does every 16384 entries or so.

        Started again, it carries out only what came after: earlier lock-delays are lost then.
        """
        self.store.lock_delays.compact()

    def start(self, *, wipe: bool = False) -> None:
        """Start again, with the data it had or, wiped, with none.

        With it, each lock-delay that its log has ever started counts anew.
        """
        if self.running:
            return
        if wipe:
            self._consul.log.wipe(self)
        self._replays = True
        self.running = True
        self.agent.start(wipe=wipe)
        self._consul.changed()
