"""Acting in a real terminal: what is begun is brought to an end, however the console is left."""

from __future__ import annotations

import asyncio
import signal

import pytest
from console_terminal import Terminal, opened, terminal
from consul_agents import ConsulAgent, eventually
from control_bench import GENEROUS_S, standing
from coord_command import ended

from coord.consul import ConsulClient
from coord.controls import read_controls
from coord.operations import AuditEntry, read_audit
from coord.records import Paths

pytestmark = pytest.mark.long


async def begun(screen: Terminal, consul: ConsulClient, paths: Paths) -> None:
    """A step-down that nobody answers."""
    await screen.until("core-1 LEADS")
    await screen.until("core-2")
    screen.type("a")
    await screen.until("Step down")
    screen.type("s")
    await screen.until("nothing is done before")
    screen.type("\ta test\r\r")

    async def asked() -> object:
        return (await read_controls(consul, paths)).request

    await eventually(asked)


async def only_entry(consul: ConsulClient, paths: Paths) -> AuditEntry:
    (entry,) = await read_audit(consul, paths)
    return entry


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_takes_back_what_nobody_has_answered(
    consul: ConsulClient, consul_agent: ConsulAgent, name: str, number: signal.Signals
) -> None:
    paths = Paths(name)
    await standing(consul, paths, "core-2")
    args = ("--election", name, "--actor", "bob@ops")
    with terminal() as (screen, theirs):
        process = await opened(theirs, consul_agent.http_addr, *args)
        async with ended(process):
            await begun(screen, consul, paths)
            process.send_signal(number)
            await screen.until("coord-console: interrupted")
            async with asyncio.timeout(GENEROUS_S):
                assert await process.wait() == 0
    assert (await read_controls(consul, paths)).request is None
    record = (await only_entry(consul, paths)).record
    assert record is not None
    assert (record.actor, record.reason, record.outcome) == ("bob@ops", "a test", "interrupted")


@pytest.mark.parametrize(
    ("args", "extra"), [(("--read-only",), {}), ((), {"COORDINATOR_READ_ONLY": "true"})]
)
async def test_read_only_by_flag_and_by_setting(
    consul: ConsulClient,
    consul_agent: ConsulAgent,
    name: str,
    args: tuple[str, ...],
    extra: dict[str, str],
) -> None:
    await standing(consul, Paths(name), "core-2")
    with terminal() as (screen, theirs):
        address = consul_agent.http_addr
        process = await opened(theirs, address, "--election", name, *args, **extra)
        async with ended(process):
            await screen.until("core-1 LEADS")
            await screen.until("Act ✖")
            screen.type("q")
            async with asyncio.timeout(GENEROUS_S):
                assert await process.wait() == 0


@pytest.mark.parametrize(
    ("args", "extra", "said"),
    [
        (("--actor", ""), {}, "actor: say who asks"),
        ((), {"COORDINATOR_READ_ONLY": "perhaps"}, "read_only"),
    ],
)
async def test_what_cannot_be_used_is_named(
    consul_agent: ConsulAgent, args: tuple[str, ...], extra: dict[str, str], said: str
) -> None:
    with terminal() as (screen, theirs):
        process = await opened(theirs, consul_agent.http_addr, *args, **extra)
        async with asyncio.timeout(GENEROUS_S):
            assert await process.wait() == 2
        await screen.until(said)
