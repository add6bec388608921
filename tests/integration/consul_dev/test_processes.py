"""consul-dev's commands on a real Consul: started, found, stopped by pid, nothing left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import agents
import get_consul
import processes
from agents import AgentConfig, ConsulAgent, Mode
from cluster import Cluster, ClusterConfig
from debian_package import DEBIAN_KEYRING, ObtainError

FOLDER = Path(agents.__file__).parent


def command(name: str, *words: str) -> list[str]:
    return [sys.executable, str(FOLDER / name), *words]


def run(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(name, *words), capture_output=True, text=True, timeout=110, check=False
    )


def pids_of(directory: Path) -> list[int]:
    """Return every living process whose command line names ``directory``'s files."""
    listed = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and f"{directory}/" in (
            processes.command_of(int(entry.name)) or ""
        ):
            listed.append(int(entry.name))
    return listed


@pytest.fixture
def rundir(tmp_path: Path) -> Iterator[Path]:
    """Return a run directory; whatever a failed test left in it is killed."""
    directory = tmp_path / "run"
    yield directory
    for pid in pids_of(directory):
        os.kill(pid, signal.SIGKILL)


def test_a_detached_dev_agent_serves_its_ui_and_stops_by_pid(rundir: Path) -> None:
    ports = ("--http-port", "0", "--dns-port", "0")
    started = run("dev_agent.py", "start", "--detach", "--dir", str(rundir), *ports)
    assert started.returncode == 0, started.stderr
    match = re.search(r"UI +(\S+)", started.stdout)
    assert match is not None
    with urllib.request.urlopen(match.group(1), timeout=10) as page:
        assert page.status == 200
        assert b"<html" in page.read().lower()

    again = run("dev_agent.py", "start", "--detach", "--dir", str(rundir), *ports)
    assert again.returncode == 1
    assert "already running" in again.stderr
    assert run("dev_agent.py", "status", "--dir", str(rundir)).returncode == 0
    assert len(pids_of(rundir)) == 1

    stopped = run("dev_agent.py", "stop", "--dir", str(rundir))
    assert stopped.returncode == 0
    assert "stopped dev" in stopped.stdout
    assert pids_of(rundir) == []
    assert run("dev_agent.py", "status", "--dir", str(rundir)).returncode == 3


def in_foreground(rundir: Path) -> subprocess.Popen[str]:
    """Start a dev agent in the foreground and return its owner once it said that it is up."""
    words = ("start", "--dir", str(rundir), "--http-port", "0", "--dns-port", "0")
    owner = subprocess.Popen(
        command("dev_agent.py", *words),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert owner.stdout is not None
    assert any("Ctrl-C" in line for line in owner.stdout)
    return owner


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_agent_outlives_its_owner(rundir: Path, number: signal.Signals) -> None:
    owner = in_foreground(rundir)
    agent = json.loads((rundir / "running.json").read_text())[0]["pid"]

    os.killpg(owner.pid, number)  # as a terminal does it

    assert owner.wait(40) == (-signal.SIGKILL if number is signal.SIGKILL else 0)
    assert processes.wait_gone(agent, 40)


def test_a_foreground_agent_is_stopped_from_elsewhere(rundir: Path) -> None:
    owner = in_foreground(rundir)
    assert run("dev_agent.py", "stop", "--dir", str(rundir)).returncode == 0
    assert owner.wait(40) == 0
    assert pids_of(rundir) == []


def test_an_agent_that_dies_unasked_ends_its_owner_with_an_error(rundir: Path) -> None:
    owner = in_foreground(rundir)
    os.kill(json.loads((rundir / "running.json").read_text())[0]["pid"], signal.SIGKILL)
    assert owner.wait(40) == 1


def test_a_taken_port_is_named(rundir: Path) -> None:
    with ConsulAgent(AgentConfig(name="one", directory=rundir / "one")) as agent:
        port = str(agent.ports.http)
        done = run("dev_agent.py", "start", "--dir", str(rundir / "two"), "--http-port", port)
    assert done.returncode == 1
    assert f"port {port} (http) on 127.0.0.1 is taken" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_agent_that_cannot_start_shows_its_log(rundir: Path) -> None:
    config = AgentConfig(name="one", directory=rundir, extra={"no_such_setting": 1})
    with pytest.raises(agents.AgentError, match="no_such_setting"):
        ConsulAgent(config).start().wait_ready()


def test_a_restarted_agent_keeps_data_ports_and_node_id_until_wiped(rundir: Path) -> None:
    config = AgentConfig(name="one", directory=rundir, mode=Mode.SERVER)
    with ConsulAgent(config) as agent:
        agent.request("PUT", "/v1/kv/here", b"1")
        identity = agent.get_json("/v1/agent/self")["Config"]["NodeID"], agent.http_url

        agent.kill()
        agent.start().wait_ready()
        assert agent.request("GET", "/v1/kv/here?raw")[1] == b"1"

        agent.kill()
        agent.start(wipe=True).wait_ready()
        assert agent.request("GET", "/v1/kv/here?raw")[0] == 404
        assert (
            agent.get_json("/v1/agent/self")["Config"]["NodeID"],
            agent.http_url,
        ) == identity

    assert ConsulAgent(config).http_url == identity[1]


def test_a_cluster_elects_its_clients_join_and_stop_leaves_nothing(rundir: Path) -> None:
    words = ("--detach", "--clients", "2", "--dir", str(rundir))
    started = run("cluster.py", "start", *words)
    assert started.returncode == 0, started.stderr
    url = re.search(r"client-2 +(http://\S+)", started.stdout)
    assert url is not None
    with urllib.request.urlopen(f"{url.group(1)}/v1/status/leader", timeout=10) as reply:
        assert json.loads(reply.read()) != ""
    with urllib.request.urlopen(f"{url.group(1)}/v1/agent/members", timeout=10) as reply:
        members = {member["Name"]: member["Status"] for member in json.loads(reply.read())}
    names = ["server-1", "server-2", "server-3", "client-1", "client-2"]
    assert members == dict.fromkeys(names, 1)  # 1: alive, in serf's numbers
    assert len(pids_of(rundir)) == 5

    stopped = run("cluster.py", "stop", "--dir", str(rundir))
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stdout.count("stopped ") == 5
    assert pids_of(rundir) == []


def test_a_cluster_replaces_its_leader_and_takes_the_old_one_back(rundir: Path) -> None:
    with Cluster(ClusterConfig(directory=rundir, fast_gossip=True)) as cluster:
        old = cluster.leader()
        assert old is not None
        old.kill()
        other = next(server for server in cluster.servers if server is not old)
        other.wait_until(lambda: cluster.leader() not in (None, old), "see another leader")

        old.start()
        cluster.wait_ready()
        assert cluster.voters() == 3
    assert pids_of(rundir) == []


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.skipif(
    not (DEBIAN_KEYRING.is_file() and Path("/usr/bin/apt-get").exists()),
    reason="only Debian has Debian's package, and the keyring to verify it with",
)
def test_a_debian_mirror_without_debians_signature_is_refused(tmp_path: Path) -> None:
    suite = tmp_path / "mirror" / "dists" / get_consul.DEBIAN_SUITE
    suite.mkdir(parents=True)
    (suite / "Release").write_text("Suite: bullseye\nCodename: bullseye\nComponents: main\n")
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "mirror"))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        options = get_consul.Options(
            cache=tmp_path / "cache",
            search_path=os.environ["PATH"],
            debian_mirror=f"http://127.0.0.1:{server.server_port}/",
            sources=("debian",),
        )
        with pytest.raises(ObtainError, match="not signed"):
            get_consul.obtain(options)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert list((tmp_path / "cache").iterdir()) == []
