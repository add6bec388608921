"""Runs `coord …` as people do: a process of its own, with the environment that it is given."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass

from coord_command import ended
from warm_start import warm

GENEROUS_S = 60.0
_NOT_INHERITED = ("COORDINATOR_", "CONSUL_", "CLUSTER_COORDINATOR")


@dataclass(frozen=True)
class Ran:
    """How a command ended, and all that it printed."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Both of its outputs."""
        return self.out + self.err


async def coord(*words: str, env: Mapping[str, str]) -> Ran:
    """Run ``coord WORDS`` to its end."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
    process = await asyncio.create_subprocess_exec(
        *warm("coord"),
        *words,
        env=kept | dict(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with ended(process):
        async with asyncio.timeout(GENEROUS_S):
            out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(words, process.returncode, out.decode(), err.decode())
