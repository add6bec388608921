"""Ports, configuration and pid handling of consul-dev, without an agent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import astuple
from pathlib import Path

import pytest

import processes
from agents import (
    AgentConfig,
    AgentError,
    ConsulAgent,
    Mode,
    Ports,
    agent_settings,
    merge,
    port_is_free,
)
from cluster import ClusterConfig
from rundir import RunDirectory

SLEEPER = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]


def sleeper(*words: str) -> subprocess.Popen[str]:
    """Start a process that waits for a signal, with ``words`` on its command line."""
    process = subprocess.Popen([*SLEEPER, *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_every_port_is_chosen_and_none_twice() -> None:
    ports = astuple(Ports().fill("127.0.0.1"))
    assert len(set(ports)) == len(ports)
    assert all(port > 0 for port in ports)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_taken_either_way_is_refused_by_name(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        number = taken.getsockname()[1]
        assert not port_is_free("127.0.0.1", number)
        with pytest.raises(AgentError, match=rf"port {number} \(serf_lan\)"):
            Ports(serf_lan=number).fill("127.0.0.1")


def test_an_agent_that_runs_elsewhere_needs_all_its_ports(tmp_path: Path) -> None:
    """What is free there cannot be found out from here."""
    ports = Ports(http=8500, dns=8600, serf_lan=8301)
    config = AgentConfig(
        name="n", directory=tmp_path, binary=Path(sys.executable), prefix=("env",), ports=ports
    )
    with pytest.raises(AgentError, match="serf_wan, server"):
        ConsulAgent(config)


def test_settings_merge_objects_and_replace_the_rest() -> None:
    merged = merge({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"c": 3}, "d": [2], "e": 4})
    assert merged == {"a": {"b": 1, "c": 3}, "d": [2], "e": 4}


@pytest.mark.parametrize(
    ("version", "named"), [("1.8.7", False), ("1.13.9", False), ("1.14.0", True), ("1.22.1", True)]
)
def test_grpc_tls_is_named_only_where_consul_knows_it(
    tmp_path: Path, version: str, named: bool
) -> None:
    config = AgentConfig(name="n", directory=tmp_path)
    ports = agent_settings(config, Ports(), "id", version)["ports"]
    assert ports["grpc"] == -1
    assert ("grpc_tls" in ports) is named


def test_settings_of_a_client_agent_keep_it_and_its_sessions(tmp_path: Path) -> None:
    config = AgentConfig(
        name="n", directory=tmp_path, mode=Mode.CLIENT, extra={"ports": {"https": 1}}
    )
    settings = agent_settings(config, Ports(), "id", "1.8.7")
    assert settings["leave_on_terminate"] is False
    assert settings["data_dir"] == str(tmp_path / "data")
    assert settings["telemetry"]["prometheus_retention_time"] != "0s"
    assert settings["ports"]["https"] == 1
    assert "server" not in settings


@pytest.mark.parametrize(("servers", "clients"), [(0, 1), (3, -1), (200, 1)])
def test_a_cluster_that_cannot_be_is_refused(tmp_path: Path, servers: int, clients: int) -> None:
    with pytest.raises(AgentError, match=f"servers={servers}, clients={clients}"):
        ClusterConfig(directory=tmp_path, servers=servers, clients=clients)


def test_a_token_is_not_shown(tmp_path: Path) -> None:
    assert "secret" not in repr(AgentConfig(name="n", directory=tmp_path, token="secret"))


def test_a_stranger_with_a_recorded_pid_is_left_alone() -> None:
    process = sleeper("somebody-else")
    try:
        assert processes.end_pid(process.pid, "the-agent-we-recorded") is False
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_a_frozen_process_is_ended_by_pid() -> None:
    process = sleeper("ours")
    processes.freeze_child(process.pid)
    assert processes.end_pid(process.pid, "ours") is True
    assert process.wait(10) == -signal.SIGTERM


SPINNER = """
import sys, threading
sys.setswitchinterval(1e-4)
def spin():
    while True:
        pass
for _ in range(30):
    threading.Thread(target=spin, daemon=True).start()
print("up", flush=True)
spin()
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at threads in /proc")
def test_a_frozen_process_has_no_thread_that_goes_on() -> None:
    process = subprocess.Popen([sys.executable, "-c", SPINNER], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        for _ in range(50):
            processes.freeze_child(process.pid)
            tasks = Path(f"/proc/{process.pid}/task")
            states = {
                (t / "stat").read_text().rpartition(")")[2].split()[0] for t in tasks.iterdir()
            }
            os.kill(process.pid, signal.SIGCONT)
            assert states == {"T"}
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_what_has_ended_is_not_waited_for() -> None:
    process = sleeper("ours")
    process.kill()
    assert processes.wait_gone(process.pid, 10)
    processes.freeze_child(process.pid)
    process.wait()
    with pytest.raises(ProcessLookupError):
        processes.freeze_child(process.pid)


def test_a_process_that_ended_unreaped_counts_as_gone() -> None:
    process = sleeper("ours")
    process.kill()
    assert processes.wait_gone(process.pid, 10)
    assert processes.command_of(process.pid) is None
    assert processes.end_pid(process.pid, "ours") is False
    process.wait()


OWNER = """
import subprocess, sys, signal
sys.path.insert(0, sys.argv[1])
from processes import Guard
guard = Guard.mine()
watched, released = (subprocess.Popen(["sleep", "600"]) for _ in range(2))
guard.add(watched.pid)
guard.add(released.pid)
guard.remove(released.pid)
print(watched.pid, released.pid, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_guard_ends_what_a_dead_owner_left_and_nothing_else(number: signal.Signals) -> None:
    folder = str(Path(processes.__file__).parent)
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, folder], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    watched, released = (int(word) for word in owner.stdout.readline().split())
    try:
        owner.send_signal(number)
        owner.wait(10)
        assert processes.wait_gone(watched, 20)
        assert processes.command_of(released) is not None
    finally:
        os.kill(released, signal.SIGKILL)


def test_a_record_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "running.json").write_text("{")
    with pytest.raises(AgentError, match=r"running\.json cannot be read"):
        RunDirectory(tmp_path).stop()


def test_stopping_nothing_is_fine(tmp_path: Path) -> None:
    assert RunDirectory(tmp_path / "never").stop() == []
