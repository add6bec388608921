"""`coord-console` in a real terminal: keys in, what is drawn out."""

from __future__ import annotations

import asyncio
import fcntl
import functools
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from coord_command import GENEROUS_S, environment

_CONTROLS = re.compile(r"\x1b\[[0-9;?>=]*[A-Za-z]")


class Terminal:
    """A real terminal with `coord-console` in it. It takes all that is drawn, all the time, as one
    on a desk does: who draws on one that takes nothing has to wait, and cannot end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._loop.add_reader(fd, self._take)
        self.seen = ""

    def _take(self) -> None:
        try:
            drawn = os.read(self._fd, 65536)
        except OSError:  # EIO: nobody has it open
            drawn = b""
        if not drawn:
            self._loop.remove_reader(self._fd)
        self.seen += drawn.decode(errors="replace")
        self._news.set()

    async def until(self, text: str) -> None:
        """Wait until that was drawn."""
        async with asyncio.timeout(GENEROUS_S):
            while text not in _CONTROLS.sub("", self.seen):
                self._news.clear()
                await self._news.wait()

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def close(self) -> None:
        """Close its window; whoever is in it is told by SIGHUP."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


@contextmanager
def terminal() -> Iterator[tuple[Terminal, int]]:
    """To be had within a running loop."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    screen = Terminal(ours)
    try:
        yield screen, theirs
    finally:
        screen.close()
        os.close(theirs)


async def opened(theirs: int, address: str, *args: str, **extra: str) -> asyncio.subprocess.Process:
    """Start it there, in a session of its own; `extra` are variables of its environment."""
    take_it = functools.partial(fcntl.ioctl, 0, termios.TIOCSCTTY, 0)
    return await _started(theirs, address, args, extra, take_it)


async def detached(theirs: int, address: str, *args: str) -> asyncio.subprocess.Process:
    """The same, but no terminal controls it, as under setsid."""
    return await _started(theirs, address, args, {}, None)


async def _started(
    theirs: int,
    address: str,
    args: Sequence[str],
    extra: Mapping[str, str],
    first: Callable[[], object] | None,
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "console", *args),
        env=environment(address, **extra),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=first,
    )
