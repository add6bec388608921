"""The engine takes nothing of the machine, and leaves nothing on it. Before the fleet has one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from consul_agents import eventually

from demo import REPO
from processes import command_of
from tests.docker.engine import DATA, PREFIX, Engine, remove_leftovers
from tests.docker.obtain import Obtained

pytestmark = pytest.mark.timeout(900)

OWNER = """
import sys, time
from pathlib import Path
from tests.docker.engine import Engine
from tests.docker.obtain import CACHE, Docker
with Engine(Docker(CACHE / "programs", CACHE / "config"), Path(sys.argv[1])) as engine:
    print(engine.inside(), flush=True)
    time.sleep(600)
"""


def interfaces() -> set[str]:
    """The names of this thread's network's interfaces, of Docker's kind."""
    lines = Path("/proc/thread-self/net/dev").read_text().splitlines()[2:]
    names = {line.split(":")[0].strip() for line in lines}
    return {name for name in names if name.startswith(("docker", "br-"))}


def traces(owner: int) -> list[str]:
    """What of an engine of that process is to be seen on the machine."""
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    name = f"{PREFIX}-{owner}-"
    found = [line for line in mounts if name in line or str(DATA) in line]
    for place in (Path("/tmp"), Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*/")):
        found += map(str, place.glob(f"{name}*"))
    return found


def test_its_networks_are_not_the_machines(obtained: Obtained, tmp_path: Path) -> None:
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    before = (interfaces(), forwarding.read_text(), Path("/run/docker").exists())
    with Engine(obtained.docker, tmp_path / "log") as engine:
        with engine.network():
            assert interfaces() == {"docker0"}
            assert forwarding.read_text() == "1\n"
        assert (interfaces(), forwarding.read_text(), Path("/run/docker").exists()) == before
    assert traces(os.getpid()) == []


def owner_of_an_engine(log: Path) -> subprocess.Popen[str]:
    """A process that has an engine, and prints its number."""
    return subprocess.Popen(
        [sys.executable, "-c", OWNER, str(log)],
        env={**os.environ, "PYTHONPATH": f"{REPO}:{REPO / 'consul-dev'}"},
        stdout=subprocess.PIPE,
        text=True,
    )


async def test_it_ends_with_its_owner_however_that_ends(obtained: Obtained, tmp_path: Path) -> None:
    owner = owner_of_an_engine(tmp_path / "log")
    try:
        assert owner.stdout is not None
        inside = int(owner.stdout.readline())
        assert "dockerd" in (command_of(inside) or "")
        assert traces(owner.pid) != []
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()

    async def gone() -> bool:
        return command_of(inside) is None

    await eventually(gone)
    remove_leftovers()
    assert traces(owner.pid) == []
