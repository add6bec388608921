"""Two candidates on a Consul of their own, and a browser to look at them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from browser import browser, require_chromium
from consul_agents import ConsulAgent
from playwright.async_api import Page

from coord.records import LeaderRecord
from demo.console import running_fleet
from demo.fleet import Fleet

NODES = ("core-1", "core-2")

Stage = tuple[ConsulAgent, Fleet]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """The agent and the fleet, one of which leads."""
    require_chromium()
    async with running_fleet(tmp_path_factory.mktemp("fleet"), NODES) as found:
        yield found


@pytest.fixture
def agent(stage: Stage) -> ConsulAgent:
    """The fleet's Consul, with its UI."""
    return stage[0]


@pytest.fixture
def fleet(stage: Stage) -> Fleet:
    """The two nodes."""
    return stage[1]


@pytest_asyncio.fixture(loop_scope="session")
async def leader(fleet: Fleet) -> LeaderRecord:
    """Who leads now, as the key says."""
    return await fleet.leader_record()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def page(stage: Stage) -> AsyncIterator[Page]:
    """A page of Chromium's."""
    del stage
    async with browser() as found:
        yield found
