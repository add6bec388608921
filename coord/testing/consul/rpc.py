"""One request on its way through a simulated Consul: from an agent to a server and back."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING

from coord.testing.consul.commands import Command, Failure

if TYPE_CHECKING:
    from coord.testing.consul.agent import SimulatedAgent
    from coord.testing.consul.queries import Query
    from coord.testing.consul.request_desk import RequestDesk

NO_LEADER = Failure(500, "No cluster leader")
NO_SERVERS = Failure(500, "No known Consul servers")
LEADERSHIP_LOST = Failure(500, "leadership lost while committing log")
BROKEN = Failure(500, "rpc error making call: EOF")
"""The connection to a server was lost."""
UNREACHED = Failure(500, "rpc error getting client: failed to get conn: connection refused")
"""There is no such server, and so no connection."""


class Mode(enum.Enum):
    """Where a request is answered, and how surely."""

    WRITE = enum.auto()
    """By the leader, once a majority has it."""
    LEADER = enum.auto()
    """By the leader, from what only it keeps."""
    DEFAULT = enum.auto()
    """By whoever believes to be the leader."""
    CONSISTENT = enum.auto()
    """By the leader, once a majority has said that it still leads."""
    STALE = enum.auto()
    """By any server."""
    ANY = enum.auto()
    """By any server, from what it believes."""


class Rpc:
    """A request. What it asks for is in `command`, `query` or `act`, by its mode.

    Attributes:
        life: of the agent, when it sent this; an agent that has restarted knows nothing of it.
        entry: the server that the agent gave it to.
        min_index: of a blocking query, else 0.
        wait_s: how long a blocking query waits at most, in seconds.
        started: when the agent first sent it, in true seconds.
    """

    __slots__ = (
        "act",
        "agent",
        "command",
        "entry",
        "life",
        "min_index",
        "mode",
        "query",
        "started",
        "wait_s",
    )

    entry: RequestDesk

    def __init__(
        self,
        agent: SimulatedAgent,
        mode: Mode,
        *,
        command: Command | None = None,
        query: Query | None = None,
        act: Callable[[RequestDesk], object] | None = None,
        min_index: int = 0,
        wait_s: float = 0.0,
    ) -> None:
        self.agent = agent
        self.mode = mode
        self.command = command
        self.query = query
        self.act = act
        self.min_index = min_index
        self.wait_s = wait_s
        self.life = 0
        self.started = 0.0

    @property
    def is_read(self) -> bool:
        """Whether asking again changes nothing."""
        return self.mode is not Mode.WRITE and self.mode is not Mode.LEADER

    def finish(self, outcome: object) -> None:
        """The agent has the outcome; a `Failure` is one too."""
        raise NotImplementedError

    def broken(self) -> None:
        """The agent ended before it had the outcome."""
        raise NotImplementedError
