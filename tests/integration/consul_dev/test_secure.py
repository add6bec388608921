"""consul-dev with ACLs and TLS: agents and clusters, by command and as objects."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import agents
import processes
from agents import AgentConfig, ConsulAgent, Mode
from cluster import Cluster, ClusterConfig
from rundir import RunDirectory
from secure import MANAGEMENT, ROLES, SecureError, make_policy, make_tls, make_token, make_tokens

FOLDER = Path(agents.__file__).parent
ROOT = "11111111-2222-3333-4444-555555555555"


def run(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / name), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


@pytest.fixture
def rundir(tmp_path: Path) -> Iterator[Path]:
    """A run directory; what a failed test left running in it is killed."""
    directory = tmp_path / "run"
    yield directory
    for entry in RunDirectory(directory).running():
        if entry.alive:
            os.kill(entry.pid, signal.SIGKILL)


def told(output: str) -> dict[str, str]:
    """The variables of the line that says how to use it."""
    (line,) = re.findall(r"use it +export (.*)", output)
    return dict(word.partition("=")[::2] for word in shlex.split(line))


def coord(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CONSUL_", "COORDINATOR_"))}
    command = [sys.executable, "-m", "coord", *words]
    return subprocess.run(
        command, env=kept | env, capture_output=True, text=True, timeout=60, check=False
    )


def is_private(path: Path) -> bool:
    return stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_an_agent_with_acls_and_mutual_tls_is_usable_as_it_says(rundir: Path) -> None:
    words = ("--detach", "--dir", str(rundir), "--http-port", "0", "--dns-port", "0")
    started = run("dev_agent.py", "start", *words, "--acl", "--mtls")
    assert started.returncode == 0, started.stderr
    env = told(started.stdout)
    assert env["CONSUL_HTTP_ADDR"].startswith("https://")
    looked = coord(env, "status")
    assert looked.returncode == 1, looked.stderr  # nobody leads
    for role in ROLES:
        token = rundir / "tokens" / role
        assert is_private(token)
        looked = coord(env | {"CONSUL_HTTP_TOKEN_FILE": str(token)}, "status")
        assert looked.returncode == 1, looked.stderr
        assert token.read_text().strip() not in started.stdout
    none = {k: v for k, v in env.items() if k != "CONSUL_HTTP_TOKEN_FILE"}
    assert coord(none, "status").returncode == 4
    bare = {k: v for k, v in env.items() if not k.startswith("CONSUL_CLIENT")}
    assert coord(bare, "status").returncode == 3
    assert is_private(rundir / "tokens" / MANAGEMENT)
    assert is_private(rundir / "agent.json"), "it has that token too"
    assert run("dev_agent.py", "stop", "--dir", str(rundir)).returncode == 0


def test_a_cluster_with_acls_and_tls_is_usable_as_it_says(rundir: Path) -> None:
    words = ("--detach", "--dir", str(rundir), "--servers", "3", "--clients", "1")
    started = run("cluster.py", "start", *words, "--acl", "--tls")
    assert started.returncode == 0, started.stderr
    env = told(started.stdout)
    looked = coord(env, "status")
    assert looked.returncode == 1, looked.stderr
    assert run("cluster.py", "stop", "--dir", str(rundir)).returncode == 0


def test_without_a_token_for_everything_there_are_no_acls(tmp_path: Path) -> None:
    with pytest.raises(agents.AgentError, match="token"):
        AgentConfig(name="one", directory=tmp_path, acl=True)


def test_tokens_and_certificates_outlast_a_restart(tmp_path: Path, consul_binary: Path) -> None:
    tls = make_tls(consul_binary, tmp_path / "tls")
    config = AgentConfig(
        name="one",
        directory=tmp_path / "one",
        mode=Mode.SERVER,
        acl=True,
        token=ROOT,
        tls=tls,
    )
    with ConsulAgent(config) as agent:
        url = agent.http_url
        files = make_tokens(agent, tmp_path / "tokens")
        before = {role: path.read_text() for role, path in files.items()}
        agent.kill()
        agent.start().wait_ready()
        again = make_tokens(agent, tmp_path / "tokens")
        assert {role: path.read_text() for role, path in again.items()} == before
    assert make_tls(consul_binary, tmp_path / "tls") == tls
    assert ConsulAgent(config).http_url == url, "the port is kept as the others are"


def test_a_policy_can_be_given_other_rules(tmp_path: Path) -> None:
    config = AgentConfig(name="one", directory=tmp_path, acl=True, token=ROOT)
    with ConsulAgent(config) as agent:
        agent.wait_until(lambda: agent.request("GET", "/v1/acl/policies")[0] == 200, "have ACLs")
        make_policy(agent, "some", 'key_prefix "a/" { policy = "read" }')
        make_policy(agent, "some", 'key_prefix "b/" { policy = "read" }')
        status, body = agent.request("GET", "/v1/acl/policy/name/some")
        assert (status, json.loads(body)["Rules"]) == (200, 'key_prefix "b/" { policy = "read" }')
        with pytest.raises(SecureError):
            make_policy(agent, "wrong", "no such rule")
        with pytest.raises(SecureError):
            make_token(agent, "wrong", "no-such-policy")


def test_a_cluster_whose_servers_speak_tls_is_one(tmp_path: Path, consul_binary: Path) -> None:
    tls = make_tls(consul_binary, tmp_path / "tls", addresses=[f"127.0.0.{n}" for n in range(2, 5)])
    config = ClusterConfig(directory=tmp_path / "cluster", fast_gossip=True, tls=tls)
    with Cluster(config) as cluster:
        assert cluster.voters() == 3
        pids = [agent.pid for agent in cluster.agents]
        assert all(agent.http_url.startswith("https://") for agent in cluster.agents)
    assert all(processes.wait_gone(pid, 20) for pid in pids)
