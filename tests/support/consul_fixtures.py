"""A real Consul for tests.

One dev agent serves a whole run (each worker of it); a test that stops, restarts or configures an
agent makes its own with `make_agent`. Every agent has random ports and is stopped by its pid.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from consul_agents import AgentConfig, ConsulAgent, agent_maker, client_of

from coord.consul import ConsulClient
from get_consul import get_consul


@pytest.fixture(scope="session")
def consul_binary() -> Path:
    """The Consul binary, obtained and verified as consul-dev does it."""
    return Path(get_consul())


@pytest.fixture(scope="session")
def consul_agent(
    consul_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConsulAgent]:
    """One dev agent for all tests that leave it as it is."""
    directory = tmp_path_factory.mktemp("consul")
    config = AgentConfig(name="shared", directory=directory, binary=consul_binary)
    with ConsulAgent(config) as agent:
        yield agent


@pytest.fixture
async def consul(consul_agent: ConsulAgent) -> AsyncIterator[ConsulClient]:
    """A client of the shared agent."""
    async with client_of(consul_agent) as client:
        yield client


@pytest.fixture
def make_agent(consul_binary: Path, tmp_path: Path) -> Iterator[Callable[..., ConsulAgent]]:
    """A factory of agents of the test's own; see `consul_agents.agent_maker`."""
    started: list[ConsulAgent] = []
    make = agent_maker(tmp_path, started)
    try:
        yield lambda **settings: make(binary=consul_binary, **settings)
    finally:
        for agent in started:
            agent.kill()


@pytest.fixture
def name() -> str:
    """A name that no other test uses, for keys, services and checks."""
    return f"t-{uuid.uuid4().hex[:12]}"
