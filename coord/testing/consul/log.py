"""The committed log of a simulated Consul, and how servers other than the leader follow it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from coord.testing.consul.commands import Command
from coord.testing.consul.network import Span
from coord.testing.consul.snapshot import unpack
from coord.testing.consul.store import Store

if TYPE_CHECKING:
    from coord.testing.consul.server import SimulatedServer

_KEPT = 512
_TRIMMED_EVERY = 64


class Log:
    """What a majority has agreed on, in order; positions count from 0 and never go back.

    A server applies an entry a moment after it was committed, if it can be reached then; it does
    so when somebody looks (`catch_up`), as of the moment at which it should have.

    Attributes:
        index: of the last entry.
        end: the position after the last entry.
    """

    def __init__(self, rng: random.Random, lag_s: Span) -> None:
        self._rng = rng
        self._lag_s = lag_s
        self._entries: list[tuple[int, Command, float]] = []
        self._base = 0
        self.index = 0
        self.leader: SimulatedServer | None = None
        self.servers: list[SimulatedServer] = []

    @property
    def end(self) -> int:
        """The position after the last entry."""
        return self._base + len(self._entries)

    def append(self, leader: SimulatedServer, command: Command, now: float) -> object:
        """Commit a command: the leader carries it out at once. What came of it."""
        self.index += 1
        if len(self.servers) == 1:
            return leader.store.apply(self.index, command, now)
        self._entries.append((self.index, command, now))
        # First of all: another server may copy the leader's state as of this entry.
        result = leader.store.apply(self.index, command, now)
        self._note_holders(leader, now)
        return result

    def _note_holders(self, leader: SimulatedServer, now: float) -> None:
        end = self._base + len(self._entries)
        for server in self.servers:
            if server is leader:
                server.position = server.held_position = end
            elif server.attached:
                server.held_position = end
                if server.store.waiters.any:
                    self.look_later(server, now)
        if len(self._entries) > _KEPT and end % _TRIMMED_EVERY == 0:
            self._trim()

    def attach(self, server: SimulatedServer, now: float) -> None:
        """The leader reaches this server again."""
        server.replay()
        server.attached = True
        server.attached_at = now + self._draw()
        server.held_position = self.end
        self.look_later(server, now)

    def detach(self, server: SimulatedServer) -> None:
        """The leader reaches it no more; what it has by now, it has."""
        self.catch_up(server)
        server.attached = False

    def look_later(self, server: SimulatedServer, now: float) -> None:
        """Apply what is there now once its time has come, for those who wait at that server."""
        when = max(now, server.attached_at) + server.lag_s
        server.look_at(when)

    def catch_up(self, server: SimulatedServer, *, all_of_it: bool = False) -> None:
        """Apply what the server has by now; `all_of_it`: also what would still take a moment."""
        end = self.end
        if server.position == end or server is self.leader:
            return
        now = server.now()
        reached = server.attached and server.running and not server.frozen
        if not all_of_it and (not reached or now < server.attached_at):
            return
        if server.position < self._base:
            self._install(server)
            return
        applied = False
        while server.position < end:
            index, command, at = self._entries[server.position - self._base]
            due = max(at + server.lag_s, server.attached_at)
            if due > now and not all_of_it:
                if server.store.waiters.any:
                    server.look_at(due)
                break
            server.position += 1
            applied = True
            server.store.apply(index, command, min(due, now))
        if applied:
            server.lag_s = self._draw()

    def wipe(self, server: SimulatedServer) -> None:
        """The server has lost all it had. Raises ValueError when nobody else has it."""
        others = [s for s in self.servers if s is not server and s.held_position == self.end]
        server.pending.clear()
        server.store = Store(server.clock_rate)
        if len(self.servers) == 1:
            self.index = 0
            return
        if not others:
            raise ValueError(f"{server.name}: nobody else has all that was committed")
        server.position = server.held_position = -1

    def _install(self, server: SimulatedServer) -> None:
        leader = self.leader
        if leader is None or leader.position != self.end:
            return
        server.store.become(unpack(leader.store.snapshot()))
        # It gets the log as well, and carries all of that out now.
        server.store.lock_delays.logged.update(leader.store.lock_delays.logged)
        server.store.lock_delays.replay(server.now())
        server.position = self.end

    def _trim(self) -> None:
        for server in self.servers:
            self.catch_up(server)
        least = min(server.position for server in self.servers if server.position >= 0)
        if least - self._base > _KEPT // 2:
            del self._entries[: least - self._base]
            self._base = least

    def _draw(self) -> float:
        low, high = self._lag_s
        return low + (high - low) * self._rng.random()
