"""The commands of docs/docker.md are run as they stand there, in a clone, in a terminal."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from console_terminal import Terminal, terminal
from shell_blocks import shell_blocks

from demo import REPO
from processes import Guard
from tests.docker.engine import Engine
from tests.docker.fleet import CANDIDATES, CONSUL_URL, within
from tests.docker.images import BASE, IMAGES

pytestmark = pytest.mark.timeout(900)

COMMAND_S = 180.0


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of what is in this repository."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=REPO, check=True, capture_output=True, text=True).stdout
    clone = tmp_path / "clone"
    for name in filter(None, listed.split("\0")):
        if (REPO / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPO / name, clone / name)
    # Built as it was before, and so of what is there: this engine can fetch nothing.
    shutil.copy(Path(__file__).with_name("build.yml"), clone / "docker-compose.override.yml")
    return clone


async def leader() -> tuple[str, int]:
    """Who leads and works, by discovery, and under which term."""

    async def asked() -> list[Any]:
        url = f"{CONSUL_URL}/v1/health/service/coordinator?passing"
        async with httpx.AsyncClient(trust_env=False, timeout=10.0) as client:
            try:
                told: list[Any] = (await client.get(url)).json()
            except (httpx.HTTPError, ValueError):
                return []
            return told

    (entry,) = await within(asked, until=lambda found: len(found) == 1)
    return entry["Service"]["Address"], int(entry["Service"]["Meta"]["term"])


class Desk:
    """Where somebody types these commands."""

    def __init__(self, clone: Path, env: Mapping[str, str]) -> None:
        self._clone = clone
        self._env = env

    async def type(self, command: str, *, until: str = "", keys: str = "") -> str:
        """Run it to its end, which has to be a good one; gives what it shows.

        until: a text, at which these keys are typed.
        """
        with terminal() as (screen, theirs):
            process = await asyncio.create_subprocess_exec(
                *("setsid", "--ctty", "--wait", "bash", "-c", command),
                cwd=self._clone,
                env=dict(self._env),
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
            )
            Guard.mine().add(process.pid)
            try:
                async with asyncio.timeout(COMMAND_S):
                    status = await self._ended(process, screen, until, keys)
            finally:
                if process.returncode is None:
                    process.kill()
                Guard.mine().remove(process.pid)
            assert status == 0, f"{command}: {status}\n{screen.seen[-3000:]}"
            return screen.seen

    async def _ended(
        self, process: asyncio.subprocess.Process, screen: Terminal, until: str, keys: str
    ) -> int:
        if until:
            await screen.until(until)
            screen.type(keys)
        return await process.wait()


async def test_what_the_page_says(engine: Engine, clone: Path) -> None:
    commands = [each for block in shell_blocks(REPO / "docs" / "docker.md") for each in block]
    token, up, console, status, build, update, cut, mend, down, again, delete = commands
    env = {k: v for k, v in engine.environment.items() if k not in IMAGES}
    env |= {**IMAGES, "BASE_IMAGE": BASE, "DOCKER_BUILDKIT": "1", "TERM": "xterm-256color"}
    desk = Desk(clone, env)
    try:
        await desk.type(token)
        await desk.type(up)
        node, term = await leader()
        assert node in CANDIDATES
        await desk.type(console, until=f"{node} LEADS", keys="q")
        assert "Candidates" in await desk.type(status)
        await desk.type(build)
        await desk.type(update)

        await desk.type(cut)
        await desk.type(mend)
        names = json.loads(
            engine.docker(
                "inspect",
                "--format",
                "{{json .NetworkSettings.Networks.coord_default.Aliases}}",
                "coord-core-1-1",
            )
        )
        assert "core-1" in names

        _, term = await leader()
        await desk.type(down)
        await desk.type(again)
        _, later = await leader()
        assert later > term, "Consul's servers have other addresses, and know what was"
        await desk.type(delete)
        assert engine.docker("volume", "ls", "--quiet").split() == []
        assert engine.docker("ps", "--all", "--quiet").split() == []
    except BaseException:
        print(engine.docker("compose", f"--project-directory={clone}", "logs", "--tail=40"))
        raise
    finally:
        engine.docker(
            *("compose", f"--project-directory={clone}", "down", "--volumes", "--timeout=10")
        )
