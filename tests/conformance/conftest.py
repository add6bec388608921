"""One fact a test, each looked at twice: on a real Consul, and on the simulated one.

Where they differ the simulation is wrong. The simulated half runs in virtual time; a test asks for
the time by `conformance_bench.now` and waits with `asyncio.sleep`, and so fits both.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
from conformance_bench import Bench, RealBench, SimulatedBench, closing
from consul_fixtures import consul_agent, consul_binary, make_agent, name
from virtual_time import VirtualLoop

from coord.consul import ConsulApi

__all__ = ["consul_agent", "consul_binary", "make_agent", "name"]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test on each."""
    return {"real": asyncio.SelectorEventLoop, "simulated": VirtualLoop}


@pytest.fixture
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """Agents of the kind that the test is run on."""
    if isinstance(asyncio.get_running_loop(), VirtualLoop):
        yield SimulatedBench()
        return
    # Not asked for by name in the signature: the simulated half needs no binary.
    shared, make, binary = (
        request.getfixturevalue(wanted)
        for wanted in ("consul_agent", "make_agent", "consul_binary")
    )
    async with closing(RealBench(shared, make, binary, tmp_path)) as real:
        yield real


@pytest.fixture
def consul(bench: Bench) -> ConsulApi:
    """A client of the shared agent."""
    return bench.shared.client()
