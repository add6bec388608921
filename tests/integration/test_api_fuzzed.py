"""Real nodes, asked what their OpenAPI document allows and what it does not, keep to it."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from consul_agents import ConsulAgent
from coord_command import ended
from fault_bench import Bench, bench_on
from openapi_checks import OPENAPI, check, validator
from tcp_proxy import Mode, TcpProxy

from coord.api.app import DOCUMENT
from demo.fleet import Node

CONFIG = Path(__file__).resolve().parents[1] / "data" / "schemathesis.toml"
pytestmark = pytest.mark.long

PATIENT = {"COORDINATOR_CHECK_TTL": "30s"}
"""The agent does not miss a node while Consul is away from it."""

FUZZ_S = 150.0
"""How long a run may take at the most, in seconds; it takes some 7."""


@pytest.fixture
async def bench(consul_agent: ConsulAgent, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(consul_agent, tmp_path) as bench:
        yield bench


async def fuzz(node: Node) -> None:
    """Ask it what `CONFIG` says; every answer keeps to the document."""
    run = ("-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", str(DOCUMENT))
    # In a directory of its own, where nothing of an earlier run is found.
    with tempfile.TemporaryDirectory() as directory:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *run,
            *("--url", node.url),
            cwd=directory,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with ended(process):
            async with asyncio.timeout(FUZZ_S):
                out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()


async def look(node: Node, *, leader: int, ready: int, cluster: int) -> None:
    """Each endpoint once; with which status some of them answer."""
    expected = {
        "/api/health/leader": leader,
        "/api/health/ready": ready,
        "/api/health": ready,
        "/api/cluster": cluster,
        "/api/polls": cluster,
    }
    for path in OPENAPI["paths"]:
        reply = await node.get(path, timeout_s=15.0)
        check(reply)
        assert reply.status_code == expected.get(path, 200), path


async def test_a_leader_a_standby_and_both_without_consul_keep_to_the_document(
    bench: Bench, consul_agent: ConsulAgent
) -> None:
    address = consul_agent.config.address
    async with TcpProxy(address, consul_agent.ports.http) as proxy:
        env = {"consul": proxy.address, "env": PATIENT}
        pair = await bench.pair(env, env)
        await look(pair.leader, leader=200, ready=200, cluster=200)
        await look(pair.standby, leader=503, ready=200, cluster=200)
        await asyncio.gather(fuzz(pair.leader), fuzz(pair.standby))

        await proxy.set(Mode.REFUSE)
        await pair.leader.state("suspended")
        await look(pair.leader, leader=503, ready=503, cluster=503)
        await look(pair.standby, leader=503, ready=503, cluster=503)
        await fuzz(pair.leader)


async def test_each_message_of_a_stream_keeps_to_the_document(bench: Bench) -> None:
    node, _ = await bench.lead("core-1")
    headers = {"accept": "text/event-stream"}
    asked = f"{node.url}/api/events?limit=5"
    promised = OPENAPI["paths"]["/api/events"]["get"]["responses"]["200"]["content"]
    events, told = validator("components", "schemas", "Events"), 0
    async with httpx.AsyncClient() as client, client.stream("GET", asked, headers=headers) as reply:
        assert reply.headers["content-type"].partition(";")[0] in promised
        async for line in reply.aiter_lines():
            name, _, data = line.partition(": ")
            if name == "data":
                events.validate({"events": [json.loads(data)]})
                told += 1
            if told == 5:
                break
    assert told == 5
