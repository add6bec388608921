"""What of the client only a real Consul can show; every call is in tests/conformance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from consul_agents import ConsulAgent, client_of

from coord.consul import ConsulAddress, ConsulApi, ConsulClient


async def test_over_a_unix_socket(make_agent: Callable[..., ConsulAgent]) -> None:
    agent = await asyncio.to_thread(make_agent, start=False)
    socket = agent.config.directory / "http.sock"
    agent.reconfigure(extra={"addresses": {"http": f"127.0.0.1 unix://{socket}"}})
    await asyncio.to_thread(lambda: agent.start().wait_ready())
    async with ConsulClient(ConsulAddress(f"unix://{socket}"), request_timeout_s=10) as consul:
        assert (await consul.agent_self()).node_name == agent.name
        assert await consul.kv_put("k", b"v")


async def test_the_environment_changes_nothing(
    consul_agent: ConsulAgent, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "127.0.0.1:1")
    monkeypatch.setenv("CONSUL_HTTP_SSL", "true")
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "wrong")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with client_of(consul_agent) as consul:
        assert await consul.kv_put(name, b"x")


async def test_blocking_queries_never_starve_short_calls(consul: ConsulApi, name: str) -> None:
    await consul.kv_put(name, b"1")
    index = (await consul.kv_get(name)).index
    async with asyncio.TaskGroup() as group:
        waiting = [
            group.create_task(consul.kv_get(name, index=index, wait_s=60)) for _ in range(120)
        ]
        entry = (await consul.kv_get(name)).value
        assert entry is not None
        assert not any(task.done() for task in waiting)
        await consul.kv_put(name, b"2")
