"""A cluster of three servers that loses its quorum says so, where it is asked for that."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from consul_agents import client_of, eventually

from cluster import Cluster, ClusterConfig
from coord.consul import Consistency, ConsulAddress, ConsulClient, ConsulUnavailable, no_leader


@pytest.fixture
def cluster(consul_binary: Path, tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(ClusterConfig(directory=tmp_path / "cluster", binary=consul_binary, clients=1))
    try:
        made.start().wait_ready()
        yield made
    finally:
        for agent in made.agents:
            agent.kill()


async def test_no_leader_is_told_apart_from_no_answer(cluster: Cluster) -> None:
    here, *others = cluster.servers
    (beside,) = cluster.clients
    async with client_of(here) as server, client_of(beside) as client:
        for consul in (server, client):
            assert not await no_leader(consul, deadline_s=10.0)
        for other in others:
            await asyncio.to_thread(other.kill)

        await eventually(lambda: no_leader(server), within_s=60.0)
        # A client agent may first ask the servers that are gone.
        await eventually(lambda: no_leader(client), within_s=60.0)
        with pytest.raises(ConsulUnavailable) as caught:
            await server.kv_get("a", consistency=Consistency.CONSISTENT, deadline_s=0.5)
        assert not caught.value.no_leader, "the agent holds it back: this alone does not tell"

        here.send(signal.SIGSTOP)
        try:
            assert not await no_leader(server)
        finally:
            here.send(signal.SIGCONT)
    async with ConsulClient(ConsulAddress("http://127.0.0.1:1")) as nobody:
        assert not await no_leader(nobody)
