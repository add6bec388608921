"""A Consul that denies everything to a token that does not have it, and a fleet to act on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from consul_agents import ROOT_TOKEN, AgentConfig, ConsulAgent, acl_settings


@pytest.fixture(scope="module")
def acl_agent(
    consul_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConsulAgent]:
    """An agent with ACLs on and everything denied by default."""
    config = AgentConfig(
        name="acl",
        directory=tmp_path_factory.mktemp("acl"),
        binary=consul_binary,
        token=ROOT_TOKEN,
        extra=acl_settings(),
    )
    with ConsulAgent(config) as agent:
        yield agent
