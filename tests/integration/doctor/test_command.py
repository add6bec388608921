"""`coord doctor` as people run it, on a real Consul."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable

import pytest
from consul_agents import ROOT_TOKEN, ConsulAgent, acl_settings
from doctor_bench import Ward
from warm_start import warm

from coord.cli.doctor import CRITICAL
from coord.cli.errors import ExitCode
from coord.consul import ConsulClient
from coord.records import Paths

GENEROUS_S = 60.0
ONCE = ("--lease", "0.3s", "--confirm-interval", "0.1s", "--fence-grace", "0.1s")
SOON = (*ONCE, "--lock-delay", "1s", "--consul-addr")
"""Timing that makes the second look come soon; the address follows."""


async def doctor(address: str, name: str, *args: str) -> tuple[int, str, str]:
    """Run it; returns its exit code and what it printed."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("COORDINATOR_", "CONSUL_"))}
    process = await asyncio.create_subprocess_exec(
        *(*warm("coord"), "doctor", "--election", name, *SOON, address, *args),
        env=env | {"TERM": "dumb"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(GENEROUS_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    assert b"Traceback" not in err
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def sound(consul: ConsulClient, name: str) -> Ward:
    ward = Ward(consul, Paths(name))
    await ward.sound()
    return ward


async def test_exit_codes_by_severity(consul_agent: ConsulAgent, sound: Ward, name: str) -> None:
    address = consul_agent.http_addr
    assert (await doctor(address, name))[0] == ExitCode.OK
    await sound.new_session("core-9", ["serfHealth"])
    assert (await doctor(address, name))[0] == ExitCode.NOT_GOOD
    await sound.consul.kv_delete(sound.paths.term)
    assert (await doctor(address, name))[0] == CRITICAL == 6


async def test_json_has_every_finding_whole(
    consul_agent: ConsulAgent, sound: Ward, name: str
) -> None:
    orphan = await sound.new_session("core-9", ["serfHealth"])
    code, out, err = await doctor(consul_agent.http_addr, name, "--json", "--read-only")
    assert (code, err) == (ExitCode.NOT_GOOD, "")
    report = json.loads(out)
    (finding,) = [f for f in report["findings"] if f["code"] == "orphaned_session"]
    assert finding["about"] == [orphan]
    assert finding["runbook"] == "runbooks/debug-election.md#orphaned_session"
    assert all(finding[part] for part in ("severity", "subject", "said", "means", "do", "fixes"))
    assert (report["severity"], report["fixed"]) == ("warning", [])
    assert "keys" in report["fine"]
    assert [skipped["subject"] for skipped in report["skipped"]] == ["rights"]


async def test_fix(consul_agent: ConsulAgent, sound: Ward, name: str) -> None:
    orphan = await sound.new_session("core-9", ["serfHealth"])
    code, out, _ = await doctor(consul_agent.http_addr, name, "--fix", "--json")
    report = json.loads(out)
    assert code == ExitCode.OK
    assert [(each["target"], each["done"]) for each in report["fixed"]] == [(orphan, True)]
    assert await sound.consul.session_info(orphan) is None


async def test_people_read_the_worst_first_and_what_is_fine(
    consul_agent: ConsulAgent, sound: Ward, name: str
) -> None:
    await sound.new_session("core-9", ["serfHealth"])
    await sound.consul.kv_delete(sound.paths.term)
    _, out, _ = await doctor(consul_agent.http_addr, name)
    places = [out.index(word) for word in ("term_key_missing", "orphaned_session", "agent_is_ser")]
    assert places == sorted(places)
    assert "coord runbook debug-election#term_key_missing" in out
    assert "controls" in out
    assert all(line == line.rstrip() for line in out.splitlines())
    assert "\x1b" not in out


async def test_consul_is_not_there(make_agent: Callable[..., ConsulAgent], name: str) -> None:
    agent = make_agent(start=False)
    code, out, _ = await doctor(agent.http_addr, name, "--json")
    assert code == ExitCode.CONSUL_UNREACHABLE
    assert [f["code"] for f in json.loads(out)["findings"]] == ["consul_unreachable"]


async def test_a_token_without_rights(make_agent: Callable[..., ConsulAgent], name: str) -> None:
    agent = await asyncio.to_thread(make_agent, extra=acl_settings(), token=ROOT_TOKEN)
    code, out, _ = await doctor(agent.http_addr, name, "--json")
    assert code == ExitCode.NOT_PERMITTED
    assert "rights_missing" in [f["code"] for f in json.loads(out)["findings"]]


@pytest.mark.parametrize("role", ["candidate", "poller", "operator", "viewer"])
async def test_policy_asks_nothing_of_consul(name: str, role: str) -> None:
    code, out, err = await doctor("127.0.0.1:1", name, "--policy", role)
    assert (code, err) == (ExitCode.OK, "")
    assert f'"service/{name}/' in out


@pytest.mark.parametrize(
    "wrong", [("--fix", "--read-only"), ("--policy", "king"), ("--role", "king")]
)
async def test_wrong_usage(name: str, wrong: tuple[str, ...]) -> None:
    code, out, _ = await doctor("127.0.0.1:1", name, *wrong)
    assert (code, out) == (ExitCode.USAGE, "")
