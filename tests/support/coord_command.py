"""`coord …` as people run it: processes of its own, with nothing of this one's settings."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from warm_start import warm

GENEROUS_S = 60.0


def environment(address: str, **extra: str) -> dict[str, str]:
    """This process's, without any setting; `address` is Consul's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COORDINATOR_", "CONSUL_"))
    }
    return kept | {"CONSUL_HTTP_ADDR": address, "TERM": "xterm-256color"} | extra


@asynccontextmanager
async def ended(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    """With the block it is killed, if it still runs."""
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def coord(address: str, *args: str, **extra: str) -> tuple[int, str, str]:
    """Run a command to its end: its exit code, what it printed, and what it said on stderr."""
    process = await asyncio.create_subprocess_exec(
        *warm("coord"),
        *args,
        env=environment(address, **extra),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(GENEROUS_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    assert b"Traceback" not in err
    return process.returncode, out.decode(), err.decode()


class Running:
    """A command that goes on."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None
        async with asyncio.timeout(GENEROUS_S):
            return (await self._process.stdout.readline()).decode()

    async def said(self) -> str:
        """The next line on stderr."""
        assert self._process.stderr is not None
        async with asyncio.timeout(GENEROUS_S):
            return (await self._process.stderr.readline()).decode()

    async def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C: its exit code, and what it printed besides."""
        self._process.send_signal(signal.SIGINT)
        async with asyncio.timeout(GENEROUS_S):
            out, err = await self._process.communicate()
        assert b"Traceback" not in err
        assert self._process.returncode is not None
        return self._process.returncode, out.decode()


@asynccontextmanager
async def running(address: str, *args: str, **extra: str) -> AsyncIterator[Running]:
    """Run a command that goes on by itself; it is ended with the block."""
    process = await asyncio.create_subprocess_exec(
        *warm("coord"),
        *args,
        env=environment(address, **extra),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
