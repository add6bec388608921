"""A rolling upgrade on a real Consul: nodes from before operators could act, and those of today."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import pytest
from acceptance import PULSE, Bench, MakeBench
from before_operations import COMMIT, old_code
from consul_agents import ConsulAgent

from coord.clock import SystemClock
from coord.election.reasons import Cause
from coord.records import PauseRecord, RequestKind, RequestRecord, utc

pytestmark = pytest.mark.long

GENEROUS_S = 60.0
QUICK: Mapping[str, str] = {
    "COORDINATOR_LOCK_DELAY": "1500",
    "COORDINATOR_LEASE": "1500",
    "COORDINATOR_CONFIRM_INTERVAL": "300",
}


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The variables that make a node one of the older code."""
    found = old_code(tmp_path_factory.mktemp("before"))
    if found is None:
        pytest.skip(f"commit {COMMIT} is not in this clone")
    return found


@pytest.fixture
async def bench(make_bench: MakeBench) -> Bench:
    return await make_bench(env=QUICK, workloads=PULSE)


async def status_by(env: Mapping[str, str], agent: ConsulAgent, election: str) -> dict[str, Any]:
    """`coord status --json`, as that code says it."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("COORDINATOR_", "CONSUL_"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "coord", "status", "--json", "--election", election),
        env={**clean, "CONSUL_HTTP_ADDR": agent.http_addr, **env},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(GENEROUS_S):
        out, _ = await process.communicate()
    assert process.returncode == 0
    report: dict[str, Any] = json.loads(out)
    return report


async def test_the_older_code_is_the_older_code(old: Mapping[str, str]) -> None:
    look = "import coord, importlib.util as u; print(coord.__file__, u.find_spec('coord.controls'))"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", look), env={**os.environ, **old}, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    where, spec = out.decode().split(maxsplit=1)
    assert where.startswith(old["PYTHONPATH"])
    assert spec.strip() == "None"


async def test_an_upgrade_node_by_node_hands_over_each_time(
    bench: Bench, old: Mapping[str, str]
) -> None:
    """An older leader, a newer standby; the leader goes, comes back newer, and leads again."""
    await bench.fleet.start("core-1", env=old)
    first, term = await bench.working_leader()
    await bench.fleet.start("core-2")
    await bench.fleet["core-2"].state("standby")
    await first.stop()
    second, term = await bench.working_leader(after_term=term)
    assert second.name == "core-2"
    changed = await bench.event(second, "leader_changed", term=term)
    assert (changed["cause"], changed["previous_leader"]) == (Cause.HANDED_OVER, "core-1")

    first.environment.pop("PYTHONSAFEPATH")
    await first.start(env={"PYTHONPATH": second.environment["PYTHONPATH"]})
    await first.state("standby")
    await second.stop()
    third, term = await bench.working_leader(after_term=term)
    assert third.name == "core-1"


async def test_back_to_the_older_code_hands_over_each_time(
    bench: Bench, old: Mapping[str, str]
) -> None:
    await bench.fleet.start("core-1")
    first, term = await bench.working_leader()
    await bench.fleet.start("core-2", env=old)
    await bench.fleet["core-2"].state("standby")
    await first.stop()
    second, term = await bench.working_leader(after_term=term)
    assert second.name == "core-2"
    changed = await bench.event(second, "leader_changed", term=term)
    assert (changed["cause"], changed["previous_leader"]) == (Cause.HANDED_OVER, "core-1")


@pytest.mark.parametrize("older_leads", [True, False])
async def test_after_a_death_the_other_version_waits_and_takes_over(
    bench: Bench, old: Mapping[str, str], older_leads: bool
) -> None:
    envs = (old, {}) if older_leads else ({}, old)
    await bench.fleet.start("core-1", env=envs[0])
    first, term = await bench.working_leader()
    await bench.fleet.start("core-2", env=envs[1])
    await bench.fleet["core-2"].state("standby")
    first.kill()
    second, term = await bench.working_leader(after_term=term)
    changed = await bench.event(second, "leader_changed", term=term)
    assert changed["cause"] == Cause.SESSION_INVALIDATED
    assert changed["quarantine_ms"] >= 2000


async def test_older_nodes_live_with_what_operators_of_today_write(
    bench: Bench, old: Mapping[str, str], consul_agent: ConsulAgent
) -> None:
    """They do not obey, and are none the worse for it; each version shows both kinds of nodes."""
    await bench.fleet.start("core-1", env=old)
    _, term = await bench.working_leader()
    await bench.fleet.start("core-2")
    await bench.fleet["core-2"].state("standby")
    asked: dict[str, Any] = {
        "actor": "ann@desk",
        "reason": "upgrade",
        "request_id": "0123456789abcdef",
        "at": utc(SystemClock().wall_ms()),
    }
    request = RequestRecord(**asked, kind=RequestKind.STEP_DOWN, expected_term=term)
    pause = PauseRecord(**asked, for_ms=60_000)
    assert await bench.consul.kv_put(bench.paths.request, request.encode())
    assert await bench.consul.kv_put(bench.paths.pause, pause.encode())
    for env in (old, {}):
        report = await status_by(env, consul_agent, bench.paths.election)
        assert report["leader_node"] == "core-1"
        assert {each["node"] for each in report["candidates"]["items"]} == {"core-1", "core-2"}
    await bench.witness.work(after=time.monotonic(), term=term)
    assert await bench.held_by() == "core-1"
