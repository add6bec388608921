"""How a node starts, and what it says where it cannot."""

from __future__ import annotations

import asyncio
import socket

import pytest
from acceptance import MakeBench, hand_over_once
from consul_agents import ConsulAgent, eventually

from coord.application import Application
from coord.clock import SystemClock
from coord.config import Settings
from coord.consul import ConsulAddress, ConsulClient
from coord.records import Paths
from demo.fleet import NodeError


class _SlowToSayNo(ConsulClient):
    """Its first "no such check" arrives late, when the candidate has long gone on."""

    told = False

    async def check_pass(
        self, check_id: str, note: str = "", *, deadline_s: float | None = None
    ) -> bool:
        passed = await super().check_pass(check_id, note, deadline_s=deadline_s)
        if not passed and not self.told:
            self.told = True
            await asyncio.sleep(0.5)
        return passed


async def test_a_first_heartbeat_that_is_answered_late_costs_no_leadership(
    consul_agent: ConsulAgent, name: str
) -> None:
    """It says that the agent does not know the check, which is registered by then."""
    settings = Settings(
        environ={}, node="core-1", election=name, consul_addr=consul_agent.http_addr, workloads=""
    )
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        async with _SlowToSayNo(ConsulAddress(consul_agent.http_url)) as consul:
            await hand_over_once(consul, Paths(name))
            node = Application(settings, sock, consul, SystemClock())
            running = asyncio.create_task(node.run())

            async def told() -> list[str]:
                return [event.NAME for event in node.telemetry.recent]

            try:
                await eventually(told, until=lambda names: "became_leader" in names)
                await asyncio.sleep(1.0)  # what must not happen would have by then
                assert "lost_leadership" not in await told()
            finally:
                node.stop()
                assert await running == 0


async def test_a_workload_that_cannot_be_used_is_told_as_a_setting_that_is_wrong(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench(workloads="no-such-work")
    node = bench.fleet.add("core-1")
    with pytest.raises(NodeError):
        await node.start()
    assert await node.wait_exit() == 2
    said = node.log_tail()
    assert "no-such-work" in said
    assert "internal error" not in said
    assert "Traceback" not in said
