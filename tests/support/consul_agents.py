"""Real Consul agents for tests, and ways to wait on them without sleeping blindly.

The agents themselves are consul-dev's; the tests only add what they ask of them.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from agents import AgentConfig, AgentError, ConsulAgent, Mode
from coord.consul import (
    CheckStatus,
    Consistency,
    ConsulAddress,
    ConsulApi,
    ConsulClient,
    KVEntry,
    ServiceRegistration,
    TtlCheck,
    TxnOp,
)

__all__ = [
    "ROOT_TOKEN",
    "AgentConfig",
    "AgentError",
    "ConsulAgent",
    "Mode",
    "acl_settings",
    "agent_maker",
    "client_of",
    "entry_of",
    "eventually",
    "new_session",
    "session_with_check",
    "take",
]

T = TypeVar("T")

ROOT_TOKEN = "11111111-2222-3333-4444-555555555555"
GENEROUS_S = 30.0


def client_of(
    agent: ConsulAgent, *, token: str | None = None, request_timeout_s: float = 10.0
) -> ConsulClient:
    """A client of that agent; patient unless told otherwise, as test machines are busy."""
    address = ConsulAddress(agent.http_url, token=token)
    return ConsulClient(address, request_timeout_s=request_timeout_s)


async def eventually(
    ask: Callable[[], Awaitable[T]],
    *,
    until: Callable[[T], object] = bool,
    within_s: float = GENEROUS_S,
) -> T:
    """Ask until the answer is right and return it; for what offers nothing to wait on.

    Raises AssertionError with the last answer when it never is.
    """
    now = asyncio.get_running_loop().time
    end = now() + within_s
    while True:
        answer = await ask()
        if until(answer):
            return answer
        if now() > end:
            raise AssertionError(f"not so within {within_s} s; the last answer was {answer!r}")
        await asyncio.sleep(0.02)


def acl_settings() -> dict[str, Any]:
    """What turns ACLs on, all denied but for ROOT_TOKEN.

    The older word for the first token is used; newer agents warn about it and take it.
    """
    tokens = {"master": ROOT_TOKEN, "agent": ROOT_TOKEN}
    return {"acl": {"enabled": True, "default_policy": "deny", "tokens": tokens}}


async def session_with_check(
    consul: ConsulApi, name: str, *, check_ttl_s: float = 60.0, lock_delay_s: float = 1.0
) -> str:
    """Register service `name` with TTL check `name`, passing, and a session tied to it."""
    check = TtlCheck(id=name, name=name, ttl_s=check_ttl_s, status=CheckStatus.PASSING)
    await consul.service_register(ServiceRegistration(id=name, name=name, checks=(check,)))
    node = (await consul.agent_self()).node_name
    # A registration reaches the servers a moment after the agent has answered.
    await eventually(
        lambda: consul.health_node(node),
        until=lambda reply: any(c.check_id == name for c in reply.value),
    )
    return await consul.session_create(
        name=name, checks=["serfHealth", name], lock_delay_s=lock_delay_s
    )


async def entry_of(consul: ConsulApi, key: str) -> KVEntry:
    """The key, which must be there, by a consistent read."""
    entry = (await consul.kv_get(key, consistency=Consistency.CONSISTENT)).value
    assert entry is not None
    return entry


async def new_session(consul: ConsulApi, name: str, *, lock_delay_s: float = 1.0) -> str:
    """A session that only serfHealth can end."""
    return await consul.session_create(name=name, checks=["serfHealth"], lock_delay_s=lock_delay_s)


async def take(consul: ConsulApi, key: str, session: str) -> bool:
    """Whether the lock can be taken now."""
    return (await consul.txn([TxnOp.kv_lock(key, b"", session)])).ok


def agent_maker(directory: Path, started: list[ConsulAgent]) -> Callable[..., ConsulAgent]:
    """A factory of agents under `directory`, each noted in `started` for whoever stops them.

    The agents are ready when returned, unless `start` is False. Keywords are AgentConfig's.
    """
    numbers: Iterator[int] = itertools.count(1)

    def make(*, start: bool = True, **settings: Any) -> ConsulAgent:
        name = settings.pop("name", f"agent-{next(numbers)}")
        agent = ConsulAgent(AgentConfig(name=name, directory=directory / name, **settings))
        started.append(agent)
        if start:
            agent.start().wait_ready()
        return agent

    return make
