"""Every shell block of README and docs is run as it stands there, on a host of its own.

Some are run elsewhere: `ELSEWHERE` says where. Of `make` those are run in a small size that take
long in the size that the page names, and CI runs the rest.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from consul_agents import eventually
from coord_command import ended
from lone_host import GENEROUS_S, LoneHost, lone_host
from shell_blocks import shell_blocks

from demo import REPO

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

PAGES = (
    *(REPO / name for name in ("README.md", "CONTRIBUTING.md", "consul-dev/README.md")),
    *sorted((REPO / "docs").rglob("*.md")),
)
ELSEWHERE = {
    "docs/docker.md": "tests/docker/test_page.py",
    "docs/polling.md": "tests/integration/acceptance/test_polling_page.py",
    "docs/operations.md": "tests/browser/test_console_page.py",
}
NOT_SHELL = {
    "(lease + fence_grace) * 1.11 <= lock_delay + takeover_delay",
    "2 * confirm_interval <= lease",
    "LoadCredential=consul-token:/etc/coord/consul-token",
    "Environment=CONSUL_HTTP_TOKEN_FILE=%d/consul-token",
    "LoadCredential=poller-token:/etc/coord/poller-token",
    "Environment=COORDINATOR_POLLER_TOKEN_FILE=%d/poller-token",
}
NOT_RUN = {
    "systemctl daemon-reload": "there is no systemd to be told",
    "systemctl enable --now coord-node": "the unit is judged by systemd-analyze instead",
}
SMALL = {
    "make simulate": "make simulate SEEDS=2",
    "make simulate SEEDS=2000": "make simulate SEEDS=2",
    'make simulate ARGS="--seed 17"': 'make simulate ARGS="--seed 17"',
    "make simulate SEEDS=200 ARGS=--storm": 'make simulate SEEDS=1 ARGS="--storm --seconds 60"',
    "make storm": 'make storm ARGS="--elections 2000"',
    "make consul": "make consul",
}


def plain(command: str) -> str:
    """Without what is said about it."""
    return command.split("  #")[0].strip()


def commands(name: str) -> list[str]:
    """Of a page, by its path in the repository."""
    found = [plain(each) for block in shell_blocks(REPO / name) for each in block]
    return [each for each in found if each not in NOT_SHELL]


def is_make(command: str) -> bool:
    return command.startswith(("make ", ".ci/run"))


RUN = {
    "README.md": ("test_a_first_node_by_hand", 9),
    "docs/first-steps.md": ("test_first_steps", 6),
    "docs/monitoring.md": ("test_a_first_node_by_hand", 2),
    "docs/migration.md": ("test_a_migration", 7),
    "docs/deployment.md": ("test_it_is_installed_as_a_service", 11),
    "consul-dev/README.md": ("test_agents_for_development", 3),
}
"""Which test runs the commands of a page other than make's, and how many there are."""


def test_there_is_no_command_that_nothing_runs() -> None:
    pages = {page.relative_to(REPO).as_posix() for page in PAGES}
    found = {name: len([c for c in commands(name) if not is_make(c)]) for name in pages}
    assert {name: count for name, count in found.items() if count and name not in ELSEWHERE} == {
        name: count for name, (_, count) in RUN.items()
    }
    assert {test for test, _ in RUN.values()} <= set(globals())
    for test in ELSEWHERE.values():
        assert (REPO / test).is_file()


MAKE = {
    command
    for page in PAGES
    for command in commands(page.relative_to(REPO).as_posix())
    if is_make(command)
}


@pytest.mark.parametrize("command", sorted(MAKE))
def test_what_make_is_asked_for_is_there(command: str) -> None:
    if command == ".ci/run":
        assert (REPO / command).stat().st_mode & 0o100
        return
    subprocess.run(f"{command} --dry-run", shell=True, cwd=REPO, check=True, capture_output=True)
    if command in SMALL:
        subprocess.run(SMALL[command], shell=True, cwd=REPO, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of this checkout, without what is not in it."""
    listed = subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
        cwd=REPO,
        check=True,
        capture_output=True,
    )
    clone = tmp_path / "clone"
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (REPO / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPO / name, clone / name)
    return clone


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Where `coord` and `python3` are this checkout's."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("coord", "python3"):
        (tools / name).write_text(f'#!/bin/sh\nexec {Path(sys.executable).parent / name} "$@"\n')
        (tools / name).chmod(0o755)
    return tools


async def until_shown(host: LoneHost, command: str, text: str) -> None:
    """Type it until it shows that: what was begun takes its time."""

    async def shown() -> bool:
        return text in await host.look(command)

    await eventually(shown, within_s=GENEROUS_S)


async def test_a_first_node_by_hand(clone: Path, tools: Path, tmp_path: Path) -> None:
    """README's, from the virtual environment on; then the metrics of docs/monitoring.md."""
    rest = [each for each in commands("README.md") if each not in ("make demo", "make test")]
    make_venv, install, agent, first, second, watch, config, why, history, events = rest
    coord = "source venv/bin/activate && exec "
    await run_outside(f"{make_venv} && {install}", clone)
    async with lone_host(tmp_path, tools) as host:
        consul = host.start(agent, clone)
        await consul.until("http://127.0.0.1:8500")
        one = host.start(coord + first, clone)
        await until_shown(host, "curl -s 127.0.0.1:8610/api/health", '"leading"')
        two = host.start(coord + second, clone)
        await until_shown(host, "curl -s 127.0.0.1:8611/api/health", '"standby"')
        watching = host.start(coord + watch, clone)
        await watching.until("core-1  leading")
        assert "Timing budget" in await host.run(coord + config, clone)
        assert "standby" in await host.run(coord + why, clone)
        assert "core-1" in await host.run(coord + history, clone)
        following = host.start(coord + events, clone)
        await following.until("became_leader")
        series, size = [await host.run(each, clone) for each in commands("docs/monitoring.md")]
        assert 100 < int(series) < int(size)
        assert await one.interrupted() == 0
        await watching.until("core-2  leading")
        assert [await each.interrupted() for each in (watching, following, two)] == [0, 0, 0]
        await consul.interrupted()  # make itself ends by the signal


async def test_first_steps(clone: Path, tools: Path, tmp_path: Path) -> None:
    """What docs/first-steps.md adds to README: a poller, a schedule, the rights of each role."""
    node, put, result, policy, token, agent = commands("docs/first-steps.md")
    async with lone_host(tmp_path, tools) as host:
        consul = host.start("make consul-agent", clone)
        await consul.until("http://127.0.0.1:8500")
        host.start("exec coord node --node core-1", clone)
        host.start("exec " + node, clone)
        assert "true" in await host.run(put, clone)
        await until_shown(host, result, '"ok": true')
        await consul.interrupted()
        secured = host.start(agent, clone)
        await secured.until("CONSUL_HTTP_TOKEN_FILE")
        env = dict(re.findall(r"(CONSUL_\w+)=(\S+)", secured.said))
        # Whoever makes tokens may do everything.
        file = Path(env["CONSUL_HTTP_TOKEN_FILE"]).with_name("management")
        env["CONSUL_HTTP_TOKEN_FILE"] = str(file)
        # This agent has it already.
        await host.run("consul acl policy delete -name coord-candidate", clone, **env)
        assert "coord-candidate" in await host.run(policy, clone, **env)
        assert "coord-candidate" in await host.run(token, clone, **env)


async def test_a_migration(clone: Path, tools: Path, tmp_path: Path) -> None:
    """What docs/migration.md says of each step, on one host."""
    observe, status, doctor, elect, history, may_lead, health = commands("docs/migration.md")
    async with lone_host(tmp_path, tools) as host:
        consul = host.start("make consul-agent", clone)
        await consul.until("http://127.0.0.1:8500")
        observer = host.start("exec env " + observe, clone)
        await until_shown(host, status, "Observers")
        assert "ends with 1" in await host.run(f"{status}; echo ends with $?", clone)
        found = await host.run(f"{doctor}; echo ends with $?", clone)
        assert "CRITICAL" in found
        assert "no_candidates" in found
        assert "ends with 6" in found
        assert "ends with 22" in await host.run(f"{may_lead}; echo ends with $?", clone)
        assert json.loads(await host.run(health, clone))["term"] is None
        assert await observer.interrupted() == 0
        leader = host.start("exec env " + elect, clone)
        await until_shown(host, health, '"leading"')
        await host.run(may_lead, clone)
        answer = json.loads(await host.run(health, clone))
        assert answer["term"] > 0
        assert answer["work"] == []
        assert "core-1" in await host.run(history, clone)
        assert await leader.interrupted() == 0
        await consul.interrupted()


async def test_agents_for_development(clone: Path, tools: Path, tmp_path: Path) -> None:
    detached, cluster, _ = [c for c in commands("consul-dev/README.md") if not is_make(c)]
    async with lone_host(tmp_path, tools) as host:
        status, stop = (detached.replace("start --detach", each) for each in ("status", "stop"))
        try:
            await host.run(detached, clone)
            assert "127.0.0.1:8500" in await host.run(status, clone)
        finally:
            await host.run(stop, clone)
        several = host.start(cluster, clone)
        await several.until("client-2")
        assert await several.interrupted() == 0


async def test_it_is_installed_as_a_service(clone: Path, tmp_path: Path) -> None:
    """docs/deployment.md, with another root than this machine's."""
    root = tmp_path / "root"
    (root / "etc/systemd/system").mkdir(parents=True)
    (root / "opt").mkdir()
    for command in commands("docs/deployment.md"):
        if command not in NOT_RUN:
            here = command.replace("/opt/", f"{root}/opt/").replace(" /etc/", f" {root}/etc/")
            await run_outside(here, clone)
    unit = root / "etc/systemd/system/coord-node.service"
    assert (root / "etc/coord/node.env").read_text().startswith("COORDINATOR_NODE=core-1\n")
    said = unit.read_text()
    program = re.search(r"^ExecStart=(/opt/coord/bin/coord) node$", said, re.MULTILINE)
    assert program is not None
    assert "coord " in await run_outside(f"{root}{program[1]} --version", clone)
    if shutil.which("systemd-analyze") is None:
        assert not os.environ.get("CI"), "in CI the unit must be judged: install systemd"
        pytest.skip("there is no systemd-analyze to judge the unit")
    unit.write_text(said.replace("/opt/coord", f"{root}/opt/coord"))
    assert await run_outside(f"systemd-analyze verify {unit}", clone) == ""


async def run_outside(command: str, cwd: Path) -> str:
    """With this machine's network, and none of this environment."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", command),
        cwd=cwd,
        env={k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    async with ended(process), asyncio.timeout(300):
        said = (await process.communicate())[0].decode()
    assert process.returncode == 0, f"{command}: {process.returncode}\n{said}"
    return said
