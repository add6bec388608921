"""How a node starts, and what it says where it cannot."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from acceptance import MakeBench, hand_over_once, running_here
from consul_agents import ConsulAgent, eventually

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
    async with _SlowToSayNo(ConsulAddress(consul_agent.http_url)) as consul:
        await hand_over_once(consul, Paths(name))
        async with running_here(consul, consul_agent, name) as node:

            async def told() -> list[str]:
                return [event.NAME for event in node.telemetry.recent]

            await eventually(told, until=lambda names: "became_leader" in names)
            await asyncio.sleep(1.0)  # what must not happen would have by then
            assert "lost_leadership" not in await told()


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


async def test_systemd_is_told_that_it_is_ready_that_it_lives_what_it_does_and_that_it_ends(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.setblocking(False)
        bench = await make_bench()
        node = bench.fleet.add("core-1", env={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "400000"})
        told: list[bytes] = []

        async def until(message: bytes) -> None:
            async with asyncio.timeout(30):
                while message not in told:
                    told.append(await asyncio.get_running_loop().sock_recv(listener, 4096))

        await node.start()
        await until(b"READY=1")
        await until(b"WATCHDOG=1")
        await until(b"STATUS=leading")
        told.clear()
        await until(b"WATCHDOG=1")
        node.terminate()
        await until(b"STOPPING=1")
        await node.wait_exit()
