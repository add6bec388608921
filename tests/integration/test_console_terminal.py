"""The console in a real terminal, before a real fleet: a killed leader, then a forced release."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from tmux import Pane, pane, require_tmux

from coord.operations import read_audit
from demo import REPO
from demo.console import running_fleet

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

NODES = ("core-1", "core-2", "core-3")


HANDS_S = 1.0
"""How long hands take from what the eyes have seen to the next key: nothing on the screen says that
the dialog has put the keys where they belong."""


async def confirm(terminal: Pane, name: str, reason: str) -> None:
    """Type the leader's name and why, and press the button."""
    await asyncio.sleep(HANDS_S)
    await terminal.keys("Tab")
    await terminal.type(name)
    await terminal.until(f"name    {name} ")
    await terminal.keys("Enter")
    await terminal.typing_in("reason")
    await terminal.type(reason)
    await terminal.until(f"reason  {reason} ")
    buttons = await terminal.styled("Force release")
    await terminal.keys("Enter")
    await terminal.until_styled_otherwise("Force release", buttons)
    await terminal.keys("Enter")


async def test_a_killed_leader_and_a_forced_release_are_seen_to_their_end(tmp_path: Path) -> None:
    require_tmux()
    async with running_fleet(tmp_path, NODES) as (agent, fleet), fleet.consul() as consul:
        first = await fleet.leader_record()
        command = (sys.executable, "-m", "console", "--actor", "ann@ops")
        env = {"CONSUL_HTTP_ADDR": agent.http_addr, "PYTHONPATH": str(REPO)}
        async with pane(tmp_path, command, env) as terminal:
            await terminal.until(f"{first.node} LEADS · term {first.term}", "standby")
            fleet[first.node].kill()
            second = await fleet.leader_record(after_term=first.term)
            await terminal.until(f"{second.node} LEADS · term {second.term}", "gone")

            await terminal.keys("a")
            await terminal.until("Force release")
            await terminal.keys("f")
            await terminal.until("Cancel", f"type {second.node}")
            await confirm(terminal, second.node, "it hangs")
            third = await fleet.leader_record(after_term=second.term)
            assert third.node not in (first.node, second.node)
            await terminal.until("✔  done", f"{third.node} leads", "Close")
            await terminal.keys("Escape")
            await terminal.until_gone("✔  done")
            await terminal.until(f"{third.node} LEADS · term {third.term}")
            await terminal.keys("q")
            await terminal.until("ended with 0")

        (entry,) = await read_audit(consul, fleet.paths)
        assert entry.record is not None
        assert (entry.record.operation, entry.record.actor, entry.record.reason) == (
            "force_release",
            "ann@ops",
            "it hangs",
        )
        assert (entry.record.new_leader, entry.record.new_term) == (third.node, third.term)


async def test_make_console_opens_it_on_a_fleet_and_ends_the_fleet(tmp_path: Path) -> None:
    require_tmux()
    command = (sys.executable, "-m", "demo.console", "--read-only")
    env = {"PYTHONPATH": f"{REPO}:{REPO / 'consul-dev'}"}
    if "CONSUL_BIN" in os.environ:
        env["CONSUL_BIN"] = os.environ["CONSUL_BIN"]
    async with pane(tmp_path, command, env) as terminal:
        await terminal.until("LEADS · term", "read-only", "poller-2", timeout_s=120)
        await terminal.keys("q")
        await terminal.until("ending the fleet", "ended with 0")
