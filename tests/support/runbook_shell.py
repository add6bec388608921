"""A shell that runs the commands of a runbook one after the other, as a person would."""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from warm_start import warm

from demo import REPO

GENEROUS_S = 90.0


class Shell:
    """One bash, in an empty directory, with `coord` of this checkout on its path.

    env: what its user has set, besides what every user has. Use it as an async context manager.
    """

    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        self._directory = directory
        tools = directory / "bin"
        tools.mkdir(parents=True)
        coord = tools / "coord"
        coord.write_text(f'#!/bin/sh\nexec {shlex.join(warm("coord"))} "$@"\n')
        coord.chmod(0o755)
        kept = {name: os.environ[name] for name in ("HOME", "USER", "TMPDIR") if name in os.environ}
        self._env = {
            **kept,
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPO),
            "LC_ALL": "C.UTF-8",
            "TERM": "dumb",
            **env,
        }
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            "bash",
            "--norc",
            "--noprofile",
            env=self._env,
            cwd=self._directory,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=2**20,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def run(self, command: str) -> tuple[int, str]:
        """Run it; gives its exit status, and what it showed on both outputs."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        mark = f"end-{secrets.token_hex(8)}"
        process.stdin.write(
            f"{{ {command}\n}} </dev/null\nprintf '\\n%s %d\\n' {mark} $?\n".encode()
        )
        await process.stdin.drain()
        said: list[str] = []
        async with asyncio.timeout(GENEROUS_S):
            while not (line := (await process.stdout.readline()).decode()).startswith(mark):
                if not line:
                    raise AssertionError(f"the shell ended in: {command}\n{''.join(said)}")
                said.append(line)
        return int(line.split()[1]), "".join(said).removesuffix("\n").rstrip("\n")
