"""Viewers never disturb: every command that only looks runs with a viewer's token, and changes
nothing. Consul's raft log, which every write lengthens, and all that stands in Consul are compared
before and after, on a Consul that has nothing else to do.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from command_run import Ran, coord
from consul_agents import ROOT_TOKEN, ConsulAgent, client_of, eventually
from coord_command import ended
from look_commands import look_commands
from rights_bench import Rights, tokens_for
from warm_start import warm

from coord.cli.errors import ExitCode
from coord.consul import CheckStatus, ConsulClient
from coord.records import AuditRecord, DrainRecord, Paths, PauseRecord, Record
from coord.rights import Role
from demo.fleet import Fleet

REFUSED = (
    ExitCode.USAGE,
    ExitCode.CONSUL_UNREACHABLE,
    ExitCode.NOT_PERMITTED,
    ExitCode.INTERNAL,
)
IDLE_S = 2.0
"""For so long nothing may happen before the first look."""

ABOUT: dict[str, Any] = {
    "actor": "ann",
    "reason": "a test",
    "request_id": "0123456789abcdef",
    "at": datetime.now(UTC),
}


async def everything(agent: ConsulAgent) -> dict[str, Any]:
    """All that a write or a registration would change, with the indices that Consul gives."""

    def read() -> dict[str, Any]:
        paths = (
            "/v1/kv/?recurse",
            "/v1/session/list",
            "/v1/catalog/nodes",
            "/v1/catalog/services",
            "/v1/health/state/any",
            "/v1/agent/services",
            "/v1/agent/checks",
            "/v1/acl/policies",
            "/v1/acl/tokens",
        )
        found: dict[str, Any] = {path: agent.get_json(path) for path in paths}
        raft = agent.get_json("/v1/agent/self")["Stats"]["raft"]
        return found | {"raft": raft["last_log_index"]}

    return await asyncio.to_thread(read)


async def idle(agent: ConsulAgent) -> dict[str, Any]:
    """What there is, once nothing has happened for a while."""
    before = await everything(agent)

    async def still() -> bool:
        nonlocal before
        await asyncio.sleep(IDLE_S)
        last, before = before, await everything(agent)
        return last == before

    await eventually(still)
    return before


async def led_and_left(agent: ConsulAgent, rights: Rights, directory: Path) -> None:
    """Let an election be led, with work and a poller, then let everybody die."""
    async with Fleet(
        agent.http_addr,
        directory,
        token=ROOT_TOKEN,
        election=rights.election,
        workloads="cluster-health,poll-orchestrator",
        more=rights.of_node,
    ) as fleet:
        await fleet.start("core-1", "core-2", "poller-1")
        leader = await fleet.leader()
        for node in fleet.nodes.values():
            await node.state("leading", "standby", "observer")
        await eventually(lambda: has_health(fleet))
        leader.kill()
        await fleet.leader_record(after_term=(await fleet.leader_record()).term)
        for node in fleet.nodes.values():
            if node.running:
                node.kill()
            await node.wait_exit()


async def has_health(fleet: Fleet) -> bool:
    async with fleet.consul() as consul:
        return (await consul.kv_get(fleet.paths.cluster_health)).value is not None


async def gone(consul: ConsulClient, paths: Paths) -> bool:
    """Whether the catalog knows that they all have died."""
    services = (paths.candidate_service, paths.leader_service, paths.observer_service, "poller")
    found = [each for name in services for each in (await consul.health_service(name)).value]
    sessions = await consul.session_list()
    return not sessions and all(each.status is CheckStatus.CRITICAL for each in found)


@pytest.fixture
async def scene(make_agent: Callable[..., ConsulAgent], name: str, tmp_path: Path) -> Rights:
    """A Consul with all that an election leaves there, and with nobody who writes any more."""
    # An agent tells the servers now and then how far away it is: a write as well.
    agent = await asyncio.to_thread(
        make_agent, acl=True, token=ROOT_TOKEN, extra={"disable_coordinates": True}
    )
    rights = Rights(agent, name, ROOT_TOKEN, tokens_for(agent, name))
    await led_and_left(agent, rights, tmp_path / "fleet")
    paths = Paths(name)
    records: dict[str, Record] = {
        paths.pause: PauseRecord(for_ms=60_000, **ABOUT),
        paths.drain("core-2"): DrainRecord(**ABOUT),
    }
    audit = AuditRecord(operation="pause", outcome="done", **ABOUT)
    records[audit.key(paths)] = audit
    async with client_of(agent, token=ROOT_TOKEN) as root:
        for key, record in records.items():
            assert await root.kv_put(key, record.encode())
        await eventually(lambda: gone(root, paths), within_s=90.0)
    return rights


@pytest.mark.long
@pytest.mark.timeout(400)  # many commands, one after the other
async def test_all_that_looks_looks_with_a_viewers_token_and_changes_nothing(
    scene: Rights,
) -> None:
    env = {
        "CONSUL_HTTP_ADDR": scene.agent.http_addr,
        "COORDINATOR_ELECTION": scene.election,
        **scene.of(Role.VIEWER),
    }
    await idle(scene.agent)
    for words in look_commands():
        ran, changed = await undisturbed(scene.agent, words, env)
        assert not changed, f"coord {' '.join(words)} changed {changed}"
        assert ran.code not in REFUSED, ran
        assert "Traceback" not in ran.err
        if words[0] != "runbook":  # these speak of everything, and ask Consul nothing
            assert "not permitted" not in ran.said.lower().replace("_", " "), ran
    before = await everything(scene.agent)
    for words in (("status", "--watch"), ("events", "--follow")):
        assert await first_line(env, *words)
    assert differing(await everything(scene.agent), before) <= {"raft"}

    # And a write would have been seen.
    async with client_of(scene.agent, token=ROOT_TOKEN) as root:
        assert await root.kv_put("elsewhere", b"x")
        written = await everything(scene.agent)
        assert await root.kv_delete("elsewhere")
    deleted = await everything(scene.agent)
    assert before["raft"] < written["raft"] < deleted["raft"]
    assert differing(before, written) == {"/v1/kv/?recurse", "raft"}
    assert differing(before, deleted) == {"raft"}


async def undisturbed(
    agent: ConsulAgent, words: tuple[str, ...], env: dict[str, str]
) -> tuple[Ran, set[str]]:
    """Run the command; gives what has changed by then.

    Consul's leader lengthens its log by itself, by a barrier once a minute: where only the log is
    longer the command is run again. One that writes does so each time.
    """
    for _ in range(4):
        before = await everything(agent)
        ran = await coord(*words, env=env)
        changed = differing(before, await everything(agent))
        if changed != {"raft"}:
            break
    return ran, changed


def differing(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    """The names of what is not the same."""
    return {name for name in one if one[name] != other[name]}


async def first_line(env: dict[str, str], *words: str) -> dict[str, Any]:
    """The first thing that a command says which goes on and on, before it is ended."""
    process = await asyncio.create_subprocess_exec(
        *(*warm("coord"), *words, "--json"),
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ".", **env},
        stdout=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    assert process.stdout is not None
    async with ended(process):
        async with asyncio.timeout(60):
            said: dict[str, Any] = json.loads(await process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert await process.wait() == ExitCode.OK
    return said


async def test_the_table_names_the_commands_that_look() -> None:
    """They are found in coord's own table, so a new one is tried above without a word here."""
    names = {words[0] for words in look_commands()}
    assert {"status", "config"} <= names
