"""Who leads the servers of a simulated Consul, who believes so, and for how long.

Consul's leader steps down when it has not heard a majority for its lease; the others elect one
when they have not heard a leader for a while. In between two may believe to lead, and one of them
has no majority: it answers default reads from what it knows, and nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from coord.testing.consul.network import Network, Span
from coord.testing.consul.request_desk import Proposal
from coord.testing.consul.server import SimulatedServer
from coord.testing.scheduler import Scheduled, Scheduler

if TYPE_CHECKING:
    from coord.testing.consul.log import Log

_AT_ONCE: Span = (0.001, 0.05)
_TRANSFER_S: Span = (0.02, 0.2)


class Elections:
    """Looks after the servers whenever something about them or their links has changed.

    Attributes:
        leader: whom a majority elected last; it may be dead, or believe it no more.
    """

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        rng: random.Random,
        network: Network,
        log: Log,
        lease_s: Span,
        heartbeat_s: Span,
        election_s: Span,
    ) -> None:
        self._scheduler = scheduler
        self._rng = rng
        self._network = network
        self._log = log
        self._lease_s = lease_s
        self._heartbeat_s = heartbeat_s
        self._election_s = election_s
        self.leader: SimulatedServer | None = None
        self._election: Scheduled | None = None
        self._step_downs: dict[SimulatedServer, Scheduled] = {}
        self._losses: dict[SimulatedServer, Scheduled] = {}
        self._campaigning: dict[SimulatedServer, None] = {}
        self._leaderless_since: float | None = None
        self._leaderless_s = 0.0

    @property
    def leaderless_s(self) -> float:
        """For how long, all in all, nobody could have anything written: true seconds."""
        since = self._leaderless_since
        return self._leaderless_s + (0.0 if since is None else self._scheduler.now() - since)

    @property
    def majority(self) -> int:
        """How many servers decide."""
        return len(self._log.servers) // 2 + 1

    @property
    def acting(self) -> SimulatedServer | None:
        """The leader that can have things written now."""
        leader = self.leader
        return leader if leader is not None and leader.leading and leader.quorum else None

    def review(self) -> None:
        """Something changed: see who reaches whom, and start what follows from that."""
        for server in self._log.servers:
            server.hearers = self._hearers(server)
            self._review_leader(server)
        for server in self._log.servers:
            self._review_follower(server)
        self._count_leaderless()
        if self.acting is not None:
            self._cancel_election()
        elif self._election is None and self._candidates():
            self._election = self._later(self._election_s, self._elect)

    def _count_leaderless(self) -> None:
        if self.acting is not None:
            self._leaderless_s, self._leaderless_since = self.leaderless_s, None
        elif self._leaderless_since is None:
            self._leaderless_since = self._scheduler.now()

    def elect_at_once(self, server: SimulatedServer) -> None:
        """Make it the leader, as at the very start."""
        self._install(server)

    def transfer(self, to: SimulatedServer | None) -> None:
        """The leader hands over: a short spell without one. Raises ValueError if nobody can."""
        leader = self.acting
        others = [s for s in self._candidates() if s is not leader]
        if leader is None or not others or (to is not None and to not in others):
            raise ValueError("no leader, or nobody to hand over to")
        chosen = to or self._rng.choice(others)
        leader.step_down()
        for server in self._log.servers:
            server.believe(None)
        self._cancel_election()
        self._election = self._later(_TRANSFER_S, partial(self._elect, chosen))
        self.review()

    # --- the leaders ---

    def _review_leader(self, server: SimulatedServer) -> None:
        before, server.quorum = server.quorum, self._has_quorum(server)
        if not server.leading:
            self._cancel(self._step_downs, server)
            return
        if server.quorum:
            self._cancel(self._step_downs, server)
            if not before:
                server.quorum_is_back()
        elif not server.frozen and self._is_told(server):
            self._cancel(self._step_downs, server)
            self._step_downs[server] = self._later(_AT_ONCE, partial(self._step_down, server))
        elif server not in self._step_downs:
            self._step_downs[server] = self._later(self._lease_s, partial(self._step_down, server))

    def _has_quorum(self, server: SimulatedServer) -> bool:
        if not (server.leading and server is self.leader):
            return False
        if len(self._log.servers) == 1:
            return True
        return is_up(server) and len(self._joined(server)) >= self.majority

    def _is_told(self, server: SimulatedServer) -> bool:
        """Whether it hears of a younger leader."""
        leader = self.leader
        return (
            leader is not None
            and leader is not server
            and leader.leading
            and is_up(leader)
            and self._network.joined(server.name, leader.name)
        )

    def _step_down(self, server: SimulatedServer) -> None:
        self._step_downs.pop(server, None)
        # One that stands still steps down when it goes on: `review` sees to it.
        if server.leading and not server.frozen:
            server.step_down()
            self._losses[server] = self._later(self._heartbeat_s, partial(self._lose, server))
            self.review()

    # --- the others ---

    def _review_follower(self, server: SimulatedServer) -> None:
        leader = self.leader
        if server is leader and server.leading:
            server.attached = True
            self._cancel(self._losses, server)
            return
        hears = (
            leader is not None
            and leader.leading
            and is_up(leader)
            and is_up(server)
            and self._network.joined(server.name, leader.name)
        )
        if hears and not server.attached:
            self._log.attach(server, self._scheduler.now())
        elif not hears and server.attached:
            self._log.detach(server)
        if not server.running:
            self._campaigning.pop(server, None)
        if server.leading:
            return
        if hears:
            self._cancel(self._losses, server)
            if self._campaigning.pop(server, self) is None:
                self._later(_AT_ONCE, self._disrupt)
            if server.known_leader is not leader:
                server.believe(leader)
        elif server.known_leader is not None and server not in self._losses:
            self._losses[server] = self._later(self._heartbeat_s, partial(self._lose, server))

    def _lose(self, server: SimulatedServer) -> None:
        self._losses.pop(server, None)
        # One that stands still finds what it was sent meanwhile when it goes on.
        if not server.leading and is_up(server):
            server.believe(None)
            # It stands for election from now on, in ever younger terms, and nobody hears it.
            self._campaigning[server] = None

    def _disrupt(self) -> None:
        """One that has stood for election in vain is back: its term is younger than the leader's.

        So the leader steps down, and there is another election.
        """
        leader = self.acting
        if leader is not None:
            leader.step_down()
            for server in self._log.servers:
                server.believe(None)
            self._cancel_election()
            self._election = self._later(self._heartbeat_s, self._elect)
            self.review()

    # --- elections ---

    def _candidates(self) -> list[SimulatedServer]:
        """Who could be elected now: reaches a majority and has all that was committed."""
        return [
            server
            for server in self._log.servers
            if is_up(server)
            and server.held_position == self._log.end
            and len(self._joined(server)) >= self.majority
        ]

    def _elect(self, chosen: SimulatedServer | None = None) -> None:
        self._election = None
        candidates = self._candidates()
        if self.acting is None and candidates:
            self._install(chosen if chosen in candidates else self._rng.choice(candidates))
        self.review()

    def _install(self, server: SimulatedServer) -> None:
        old, tail = self.leader, []
        if old is server:
            tail, server.pending = server.pending, []
        elif old is not None:
            got = 0
            while got < len(old.pending) and server.name in old.pending[got].holders:
                got += 1
            kept = self._rng.randint(0, got)
            tail = [Proposal(proposal.command, None, ()) for proposal in old.pending[:kept]]
            if not old.leading:
                old.pending.clear()
        self._cancel_election()
        # Whoever takes part in this election has heard of its term.
        for voter in self._joined(server):
            self._campaigning.pop(voter, None)
        self._log.catch_up(server, all_of_it=True)
        self.leader = self._log.leader = server
        server.attached = True
        reached = self._joined(server)
        for other in self._log.servers:
            if other.attached and other not in reached:
                self._log.detach(other)
        server.lead(tail)
        self.review()
        server.established()

    # --- helpers ---

    def _hearers(self, server: SimulatedServer) -> tuple[str, ...]:
        connected = self._network.connected
        return tuple(
            other.name
            for other in self._log.servers
            if other is not server and is_up(other) and connected(server.name, other.name)
        )

    def _joined(self, server: SimulatedServer) -> list[SimulatedServer]:
        joined = self._network.joined
        return [
            other
            for other in self._log.servers
            if is_up(other) and (other is server or joined(server.name, other.name))
        ]

    def _later(self, span: Span, call: Callable[[], None]) -> Scheduled:
        low, high = span
        when = self._scheduler.now() + low + (high - low) * self._rng.random()
        return self._scheduler.at(when, call)

    def _cancel_election(self) -> None:
        if self._election is not None:
            self._election.cancel()
            self._election = None

    @staticmethod
    def _cancel(table: dict[SimulatedServer, Scheduled], server: SimulatedServer) -> None:
        scheduled = table.pop(server, None)
        if scheduled is not None:
            scheduled.cancel()


def is_up(server: SimulatedServer) -> bool:
    """Whether it runs, and does not stand still."""
    return server.running and not server.frozen
