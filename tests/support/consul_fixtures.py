"""A real Consul for tests.

One dev agent serves a whole run (each worker of it); a test that stops, restarts or configures an
agent makes its own with `make_agent`. Every agent has random ports and is stopped by its pid.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from consul_agents import ROOT_TOKEN, AgentConfig, ConsulAgent, agent_maker, client_of
from rights_bench import Rights, allow_dns, tokens_for

from coord.consul import ConsulClient
from coord.rights import Role
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


@pytest.fixture(scope="session")
def locked_agent(
    consul_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConsulAgent]:
    """One dev agent that denies what is not allowed, but for DNS; for all tests, as above.

    A change of what somebody may do is felt at once, and whoever lists keys must be allowed to: the
    strictest that Consul can be told to be.
    """
    quick = {"token_ttl": "500ms", "policy_ttl": "500ms"}
    config = AgentConfig(
        name="locked",
        directory=tmp_path_factory.mktemp("locked"),
        binary=consul_binary,
        token=ROOT_TOKEN,
        acl=True,
        extra={"acl": {**quick, "enable_key_list_policy": True}},
    )
    with ConsulAgent(config) as agent:
        agent.wait_until(lambda: agent.request("GET", "/v1/acl/policies")[0] == 200, "have ACLs")
        allow_dns(agent)
        yield agent


@pytest.fixture
def rights(request: pytest.FixtureRequest, name: str) -> Rights:
    """Who may do what in the test's own election; see `rights_bench`."""
    if getattr(request, "param", "open") == "open":
        return Rights(request.getfixturevalue("consul_agent"), name)
    agent: ConsulAgent = request.getfixturevalue("locked_agent")
    marker = request.node.get_closest_marker("also_with_acls")
    further = {Role(role): rules for role, rules in marker.kwargs.items()}
    return Rights(agent, name, agent.config.token, tokens_for(agent, name, further))


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
