"""A terminal that can be looked at: a tmux server of the test's own."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

GENEROUS_S = 60.0
LOOK_S = 0.1
"""Pause between two looks: tmux tells nobody when its picture changes."""


def require_tmux() -> None:
    """What this machine lacks is a reason to skip; in CI it is a failure."""
    if shutil.which("tmux"):
        return
    lacking = "tmux is not installed: apt-get install tmux"
    if os.environ.get("CI"):
        pytest.fail(f"in CI the console must be tried in a terminal: {lacking}")
    pytest.skip(lacking)


class Pane:
    """What runs in it, as somebody before it sees it."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def tmux(self, *words: str) -> str:
        """One command of tmux's."""
        process = await asyncio.create_subprocess_exec(
            *("tmux", "-f", "/dev/null", "-S", str(self._socket), *words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    async def picture(self) -> str:
        """What is on the screen."""
        return await self.tmux("capture-pane", "-p")

    async def until(self, *texts: str, timeout_s: float = GENEROUS_S) -> str:
        """Wait until all of these are on the screen at once."""
        return await self._until(
            lambda shown: all(text in shown for text in texts), f"{texts} did not come", timeout_s
        )

    async def until_gone(self, text: str) -> None:
        """Wait until that is not on the screen any more.

        A key after Escape must wait for this: sent together, the two are one.
        """
        await self._until(lambda shown: text not in shown, f"{text} stayed", GENEROUS_S)

    async def _until(self, is_right: Callable[[str], bool], else_: str, timeout_s: float) -> str:
        shown = ""
        try:
            async with asyncio.timeout(timeout_s):
                shown = await self.picture()
                while not is_right(shown):
                    await asyncio.sleep(LOOK_S)
                    shown = await self.picture()
        except TimeoutError:
            raise AssertionError(f"{else_}:\n{shown}") from None
        return shown

    async def typing_in(self, field: str) -> None:
        """Wait until the cursor has gone on to that field."""
        line = ""
        try:
            async with asyncio.timeout(GENEROUS_S):
                while not line.lstrip(" │").startswith(field):
                    await asyncio.sleep(LOOK_S)
                    place = int(await self.tmux("display-message", "-p", "#{cursor_y}"))
                    line = (await self.picture()).splitlines()[place]
        except TimeoutError:
            raise AssertionError(f"nobody types in {field}:\n{await self.picture()}") from None

    async def styled(self, text: str) -> str:
        """The last line with that in it, with its colours: they tell which button has the keys."""
        lines = (await self.tmux("capture-pane", "-p", "-e")).splitlines()
        return next((line for line in reversed(lines) if text in line), "")

    async def until_styled_otherwise(self, text: str, before: str) -> None:
        """Wait until it looks otherwise."""
        try:
            async with asyncio.timeout(GENEROUS_S):
                line = before
                while line in ("", before):
                    await asyncio.sleep(LOOK_S)
                    line = await self.styled(text)
        except TimeoutError:
            raise AssertionError(f"{text} stayed:\n{await self.picture()}") from None

    async def keys(self, *names: str) -> None:
        """Press keys, by tmux's names."""
        await self.tmux("send-keys", *names)

    async def type(self, text: str) -> None:
        """Type a text as it is."""
        await self.tmux("send-keys", "-l", text)


@asynccontextmanager
async def pane(
    directory: Path,
    command: Sequence[str],
    env: Mapping[str, str],
    size: tuple[int, int] = (120, 40),
) -> AsyncIterator[Pane]:
    """A terminal in which that runs, with its exit status on the screen in the end."""
    found = Pane(directory / "tmux")
    unset = ("-u", "COLUMNS", "-u", "LINES")  # else they are taken for its size
    said = shlex.join(
        ["env", *unset, *(f"{name}={value}" for name, value in env.items()), *command]
    )
    width, height = (str(each) for each in size)
    line = f"{said}; echo ended with $?; exec sleep infinity"
    await found.tmux("new-session", "-d", "-x", width, "-y", height, "sh", "-c", line)
    try:
        yield found
    finally:
        await found.tmux("kill-server")
