"""What a simulated Consul server is asked: answered here, passed on to the leader, or held."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from coord.consul.types import Reply
from coord.testing.consul.commands import Command, Failure, Txn
from coord.testing.consul.queries import Query, TxnRead
from coord.testing.consul.rpc import LEADERSHIP_LOST, NO_LEADER, UNREACHED, Mode, Rpc
from coord.testing.consul.store import Store

if TYPE_CHECKING:
    from coord.testing.consul.cluster import SimulatedConsul

HOLD_S: Final = 7.0
"""How long Consul holds a request that needs a leader while there is none, in seconds."""
JITTER: Final = 16


class Proposal:
    """An entry of a leader's log that no majority has confirmed yet.

    `holders`: the servers that have got it.
    """

    __slots__ = ("command", "holders", "rpc")

    def __init__(self, command: Command, rpc: Rpc | None, holders: tuple[str, ...]) -> None:
        self.command = command
        self.rpc = rpc
        self.holders = holders


class RequestDesk:
    """The part of a server that answers. What it may answer depends on whom it believes to lead.

    Attributes:
        leading: whether it believes to be the leader; more than one may for a while.
        known_leader: whom it believes to lead.
        quorum: whether a majority hears it and is heard, and would follow it.
        hearers: the servers that hear it now.
        pending: what it wrote to its log and no majority has confirmed yet.
    """

    def __init__(self, consul: SimulatedConsul, name: str, address: str) -> None:
        self._consul = consul
        self._scheduler = consul.scheduler
        self._rng: random.Random = consul.rng
        self.name = self.endpoint = name
        self.address = address
        self._clock_rate = 1.0
        self.store = Store()
        self.running = True
        self.frozen = False
        self.leading = False
        self.known_leader: RequestDesk | None = None
        self.quorum = False
        self.hearers: tuple[str, ...] = ()
        self.pending: list[Proposal] = []
        self._forwarded: dict[Rpc, None] = {}
        self._verifying: dict[Rpc, None] = {}
        self._waiting: dict[Waiting, None] = {}
        self._held: dict[Rpc, None] = {}
        self._backlog: list[Callable[[], None]] = []

    @property
    def clock_rate(self) -> float:
        """How many seconds it counts in one: for TTLs of sessions, lock-delays and waits."""
        return self._clock_rate

    @clock_rate.setter
    def clock_rate(self, rate: float) -> None:
        self._clock_rate = self.store.lock_delays.clock_rate = rate

    @property
    def server_address(self) -> str:
        """What it is called in the answers about the cluster."""
        return f"{self.address}:8300"

    def peers(self) -> tuple[str, ...]:
        """Where all servers are."""
        return tuple(server.server_address for server in self._consul.servers)

    def catch_up(self, *, all_of_it: bool = False) -> None:
        """Apply what has come from the leader by now."""
        raise NotImplementedError

    def start_timer(self, session_id: str) -> None:
        """Give the session its TTL anew."""
        raise NotImplementedError

    def commit(self, proposal: Proposal) -> None:
        """A majority has it: carry it out, and tell who asked."""
        raise NotImplementedError

    # --- what is asked of it ---

    def take(self, rpc: Rpc) -> None:
        """A request arrives, from an agent or from another server."""
        if not self.running:
            self._send_back(rpc, rpc.entry, UNREACHED)
        elif self.frozen:
            self._backlog.append(partial(self.take, rpc))
        elif self.leading or rpc.mode is Mode.STALE or rpc.mode is Mode.ANY:
            self._carry_out(rpc)
        elif self.known_leader is not None:
            self._note_forwarded(rpc)
            leader = self.known_leader
            self._consul.network.link(self.name, leader.name).send(partial(leader.take, rpc))
        else:
            self._hold(rpc)

    def answer(self, rpc: Rpc, outcome: object) -> None:
        """Send the outcome back the way the request came."""
        if self.running:
            self._send_back(rpc, rpc.entry, outcome)

    def _send_back(self, rpc: Rpc, entry: RequestDesk, outcome: object) -> None:
        network = self._consul.network
        if entry is not self:
            relay = partial(entry._relay, rpc, outcome)
            network.link(self.name, entry.name).send(relay)
        else:
            self._to_agent(rpc, outcome)

    def _relay(self, rpc: Rpc, outcome: object) -> None:
        if not self.running:
            return
        if self.frozen:
            self._backlog.append(partial(self._relay, rpc, outcome))
            return
        self._forwarded.pop(rpc, None)
        self._to_agent(rpc, outcome)

    def _to_agent(self, rpc: Rpc, outcome: object) -> None:
        agent = rpc.agent
        if agent.server is self:
            agent.hear(rpc, outcome)
        else:
            network = self._consul.network
            network.link(self.name, agent.endpoint).send(partial(agent.hear, rpc, outcome))

    def _note_forwarded(self, rpc: Rpc) -> None:
        if len(self._forwarded) > 256:
            # Answers that a link has lost are never noted here.
            oldest = self._scheduler.now() - 60
            self._forwarded = {r: None for r in self._forwarded if r.started + r.wait_s > oldest}
        self._forwarded[rpc] = None

    def _hold(self, rpc: Rpc) -> None:
        """Wait for a leader to be known, for as long as Consul does."""
        now = self._scheduler.now()
        self._held[rpc] = None
        self._scheduler.at(max(now, rpc.started + HOLD_S), partial(self._give_up, rpc))

    def _give_up(self, rpc: Rpc) -> None:
        if self.frozen:
            self._backlog.append(partial(self._give_up, rpc))
        elif self._held.pop(rpc, rpc) is None and self.running:
            self.answer(rpc, NO_LEADER)

    def _carry_out(self, rpc: Rpc) -> None:
        mode = rpc.mode
        if mode is Mode.WRITE:
            self._write(rpc)
        elif mode is Mode.CONSISTENT:
            self._verify(rpc)
        elif mode is Mode.LEADER or mode is Mode.ANY:
            assert rpc.act is not None
            self.answer(rpc, rpc.act(self))
        else:
            self._read(rpc)

    # --- reads ---

    def _verify(self, rpc: Rpc) -> None:
        """Ask the others whether it still leads; unanswered, it waits until it steps down."""
        self._verifying[rpc] = None
        if len(self._consul.servers) == 1:
            self._verified(rpc)
        elif self.quorum:
            when = self._scheduler.now() + self._consul.round_trip_s()
            self._scheduler.at(when, partial(self._verified, rpc))

    def _verified(self, rpc: Rpc) -> None:
        if self.frozen:
            self._backlog.append(partial(self._verified, rpc))
        elif self.leading and self.quorum and self._verifying.pop(rpc, rpc) is None:
            self._read(rpc)

    def _read(self, rpc: Rpc) -> None:
        if not self.leading:
            self.catch_up()
        query = rpc.query
        assert query is not None
        index, value = query.run(self.store)
        if self._consul.trace is not None:
            self._consul.trace("read", (self.name, rpc.mode.name, query, index))
        known = self.leading or self.known_leader is not None
        if query.__class__ is TxnRead or value.__class__ is Failure:
            self.answer(rpc, value)
        elif rpc.min_index and index <= rpc.min_index:
            waiting = Waiting(self, rpc, query, Reply(value, index or 1, known))
            self._waiting[waiting] = None
            if not self.leading:
                # What is on its way already would wake nobody else.
                self.catch_up()
        else:
            self.answer(rpc, Reply(value, index or 1, known))

    def woken(self, waiting: Waiting) -> None:
        """What a blocking query asked about has changed."""
        rpc = waiting.rpc
        known = self.leading or self.known_leader is not None
        index, value = waiting.query.run(self.store)
        if index <= rpc.min_index:
            waiting.go_on(Reply(value, index or 1, known))
            return
        self.end_waiting(waiting)
        if rpc.mode is not Mode.CONSISTENT:
            self.answer(rpc, Reply(value, index or 1, known))
        elif self.leading:
            self._verify(rpc)
        else:
            self.answer(rpc, LEADERSHIP_LOST)

    def end_waiting(self, waiting: Waiting) -> None:
        """A blocking query hangs no more."""
        self._waiting.pop(waiting, None)
        waiting.timer.cancel()

    def timed_out(self, waiting: Waiting) -> None:
        """A blocking query has hung for as long as it was to."""
        if self.frozen:
            self._backlog.append(partial(self.timed_out, waiting))
        elif waiting in self._waiting:
            self.end_waiting(waiting)
            self.store.waiters.drop(waiting)
            self.answer(waiting.rpc, waiting.reply)

    # --- writes ---

    def _write(self, rpc: Rpc) -> None:
        command = rpc.command
        assert command is not None
        if command.__class__ is Txn:
            now = self._scheduler.now()
            refused = self.store.refused_before(command, now)
            if refused is not None:
                if self._consul.trace is not None:
                    self._consul.trace("refused", (self.name, command, refused))
                self.answer(rpc, refused)
                return
        self.propose(command, rpc)

    def propose(self, command: Command, rpc: Rpc | None = None) -> None:
        """Write it to the log; it counts once a majority has it."""
        proposal = Proposal(command, rpc, self.hearers)
        self.pending.append(proposal)
        when = self._scheduler.now() + self._consul.round_trip_s()
        self._scheduler.at(when, partial(self._confirmed, proposal))

    def _confirmed(self, proposal: Proposal) -> None:
        if self.frozen:
            self._backlog.append(partial(self._confirmed, proposal))
            return
        if not (self.leading and self.quorum and proposal in self.pending):
            return
        while self.pending:
            done = self.pending.pop(0)
            self.commit(done)
            if done is proposal:
                return

    def quorum_is_back(self) -> None:
        """The majority hears it again before it stepped down: what hung goes on."""
        if self.pending:
            last = self.pending[-1]
            for proposal in self.pending:
                proposal.holders = self.hearers
            when = self._scheduler.now() + self._consul.round_trip_s()
            self._scheduler.at(when, partial(self._confirmed, last))
        for rpc in list(self._verifying):
            self._verify(rpc)


class Waiting:
    """A blocking query that hangs at a server. `reply`: what it would be told if it ended now."""

    __slots__ = ("_server", "query", "reply", "rpc", "timer")

    def __init__(self, server: RequestDesk, rpc: Rpc, query: Query, reply: Reply[object]) -> None:
        self._server = server
        self.rpc = rpc
        self.query = query
        self.reply = reply
        scheduler, rng = server._scheduler, server._rng
        wait_s = rpc.wait_s * (1 + rng.random() / JITTER) / server.clock_rate
        self.timer = scheduler.at(scheduler.now() + wait_s, partial(server.timed_out, self))
        query.wait(server.store, self)

    def go_on(self, reply: Reply[object]) -> None:
        """Nothing new for it: wait on, within the same time."""
        self.reply = reply
        self.query.wait(self._server.store, self)

    def look_again(self) -> None:
        """See `Waiter`."""
        self._server.woken(self)

    def abandoned(self) -> None:
        """See `Waiter`."""
        self._server.end_waiting(self)
        self._server.answer(self.rpc, self.reply)
