"""A host of its own to type a page's commands on: all ports are free, and nobody else is there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from coord_command import ended

from get_consul import get_consul
from processes import Guard

GENEROUS_S = 90.0
LOOK_S = 0.1


def require_namespaces() -> None:
    """What this machine lacks is a reason to skip; in CI it is a failure."""
    able = sys.platform == "linux" and os.geteuid() == 0
    if able and shutil.which("unshare") and shutil.which("nsenter") and shutil.which("ip"):
        return
    lacking = "a host of one's own takes root on Linux, util-linux and iproute2"
    if os.environ.get("CI"):
        pytest.fail(f"in CI the pages' commands must be run: {lacking}")
    pytest.skip(lacking)


class Lasting:
    """A command that goes on until Ctrl-C, as in a terminal of its own."""

    def __init__(self, command: str, process: subprocess.Popen[bytes], said: Path) -> None:
        self._command = command
        self._process = process
        self._said = said

    @property
    def said(self) -> str:
        """What it has shown until now."""
        return self._said.read_text(errors="replace")

    async def until(self, text: str) -> None:
        """Wait until it has shown that."""
        async with asyncio.timeout(GENEROUS_S):
            while text not in self.said:
                assert self._process.poll() is None, f"{self._command} ended:\n{self.said}"
                await asyncio.sleep(LOOK_S)

    async def interrupted(self) -> int:
        """Press Ctrl-C; how it ends."""
        os.killpg(self._process.pid, signal.SIGINT)
        async with asyncio.timeout(GENEROUS_S):
            return await asyncio.to_thread(self._process.wait)

    def kill(self) -> None:
        """End it, however it is."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        Guard.mine().remove(self._process.pid)


class LoneHost:
    """Made by `lone_host`."""

    def __init__(self, holder: int, directory: Path, env: Mapping[str, str]) -> None:
        self.env = dict(env)
        self._inside = ("nsenter", "--target", str(holder), "--net", "--")
        self._directory = directory
        self._lasting: list[Lasting] = []

    def start(self, command: str, cwd: Path, **more: str) -> Lasting:
        """Type a command that goes on."""
        said = self._directory / f"said-{len(self._lasting)}"
        with said.open("wb") as out:
            # Bash becomes the command itself where it is a single one.
            process = subprocess.Popen(
                (*self._inside, "bash", "-c", command),
                cwd=cwd,
                env=self.env | more,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        Guard.mine().add(process.pid)
        lasting = Lasting(command, process, said)
        self._lasting.append(lasting)
        return lasting

    async def run(self, command: str, cwd: Path, **more: str) -> str:
        """Type a command that ends; what it shows. It has to succeed."""
        status, said = await self._run(command, cwd, more)
        assert status == 0, f"{command}: {status}\n{said}"
        return said

    async def look(self, command: str) -> str:
        """Type a command that may fail as yet; what it shows."""
        return (await self._run(command, self._directory, {}))[1]

    async def _run(self, command: str, cwd: Path, more: Mapping[str, str]) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *(*self._inside, "bash", "-c", f"set -o pipefail; {command}"),
            cwd=cwd,
            env=self.env | dict(more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        async with ended(process), asyncio.timeout(GENEROUS_S):
            said = (await process.communicate())[0].decode()
        assert process.returncode is not None
        return process.returncode, said

    def kill(self) -> None:
        """End all that goes on."""
        for lasting in self._lasting:
            lasting.kill()


@contextlib.asynccontextmanager
async def lone_host(directory: Path, tools: Path) -> AsyncIterator[LoneHost]:
    """A network of its own, with nothing but loopback. `tools`: first on its user's path; a Consul
    binary is put there."""
    require_namespaces()
    guard = Guard.mine()
    holder = await asyncio.create_subprocess_exec(
        *("unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"),
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    guard.add(holder.pid)
    kept = {name: os.environ[name] for name in ("HOME", "USER", "TMPDIR") if name in os.environ}
    (tools / "consul").symlink_to(get_consul())
    env = {"PATH": f"{tools}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "TERM": "dumb"}
    host = LoneHost(holder.pid, directory, kept | env)
    try:
        async with asyncio.timeout(GENEROUS_S):
            assert await holder.stdout.readline() == b"up\n"
        yield host
    finally:
        host.kill()
        holder.kill()
        await holder.wait()
        guard.remove(holder.pid)
