"""Whether Consul has a leader: what a late answer does not tell."""

from __future__ import annotations

from typing import Final

from coord.consul.api import ConsulApi
from coord.consul.errors import ConsulError, ConsulUnavailable

NO_LEADER_DEADLINE_S: Final = 0.5
"""How long `no_leader` waits for the agent, in seconds."""


async def no_leader(consul: ConsulApi, *, deadline_s: float = NO_LEADER_DEADLINE_S) -> bool:
    """Whether the agent answers, and says that Consul's servers have no leader.

    An agent holds back what needs a leader while there is none, for longer than most callers
    wait, and so seems to be away. Who leads the servers it tells at once: ask this after a read
    that got no answer in time. False also when nothing is known; never raises a ConsulError.
    """
    try:
        return await consul.status_leader(deadline_s=deadline_s) == ""
    except ConsulUnavailable as error:
        return error.no_leader
    except ConsulError:
        return False
