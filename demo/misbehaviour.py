"""What can go wrong with work, on request: each fault is asked for by an environment variable.

=========================  ========================================================================
COORD_PULSE_STOP_SLOW_S    the work takes that many seconds to stop
COORD_PULSE_BLOCK_FILE     when this file appears, the event loop blocks and never goes on
COORD_PULSE_GIL_FILE       when this file appears, a regular expression holds the GIL for hours
COORD_PULSE_CRASH_FILE     when this file appears, the work raises; a number in it: so many times
COORD_PULSE_WRITE          write this key, fenced, every 100 ms; the witness is told
=========================  ========================================================================

A file is removed before its fault begins, so that the next leader does not catch it too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from coord.consul import ConsulError
from coord.leadership import FencedWriteFailed, Leadership, LeadershipLost
from demo.line import Line

STOP_SLOW = "COORD_PULSE_STOP_SLOW_S"
BLOCK_FILE = "COORD_PULSE_BLOCK_FILE"
GIL_FILE = "COORD_PULSE_GIL_FILE"
CRASH_FILE = "COORD_PULSE_CRASH_FILE"
WRITE_KEY = "COORD_PULSE_WRITE"

WRITE_INTERVAL_S = 0.1


class AskedToCrash(Exception):  # noqa: N818 - it says what happened; there is no error to name
    """The work crashes because a test asked for it."""


def block_the_loop() -> None:
    """Never give the event loop back; other threads go on."""
    while True:
        time.sleep(3600)


def hold_the_gil() -> None:
    """Keep every thread from running Python for hours: a pattern that backtracks without end."""
    re.match(r"(a+)+$", "a" * 60 + "b")


def crash() -> None:
    """Raise."""
    raise AskedToCrash


@dataclass(frozen=True, slots=True)
class OnFile:
    """Does something once for each time that the file is found."""

    path: Path
    act: Callable[[], None]

    def __call__(self) -> None:
        """Look, and act; a number above 1 in the file is counted down instead of its removal."""
        try:
            times = self.path.read_text().strip()
        except OSError:
            return
        if times.isdigit() and int(times) > 1:
            self.path.write_text(str(int(times) - 1))
        else:
            self.path.unlink(missing_ok=True)
        self.act()


class Writer:
    """Writes one key, fenced, again and again, and tells the witness what came of it."""

    def __init__(self, key: str, line: Line) -> None:
        self._key = key
        self._line = line

    async def run(self, leadership: Leadership) -> None:
        """Write until cancelled, or until a write is refused because leading is over."""
        for number in range(1_000_000_000):
            try:
                await leadership.put(self._key, f"term {leadership.term}, write {number}")
            except LeadershipLost as lost:
                self._tell(leadership, "refused", lost.reason)
                raise
            except (FencedWriteFailed, ConsulError) as error:
                self._tell(leadership, "failed", str(error))
            else:
                self._tell(leadership, "wrote", "")
            await asyncio.sleep(WRITE_INTERVAL_S)

    def _tell(self, leadership: Leadership, kind: str, why: str) -> None:
        self._line.send(self._line.message(kind, leadership.node, leadership.term, why=why[:500]))


class Misbehaviour:
    """All that was asked for; most often nothing."""

    def __init__(
        self,
        *,
        on_files: tuple[OnFile, ...] = (),
        stop_slow_s: float = 0.0,
        writer: Writer | None = None,
    ) -> None:
        self._on_files = on_files
        self._stop_slow_s = stop_slow_s
        self._writer = writer

    @classmethod
    def from_environment(cls, line: Line, environ: Mapping[str, str] = os.environ) -> Misbehaviour:
        """Read the variables. Raises ValueError naming one that cannot be used."""
        acts = {BLOCK_FILE: block_the_loop, GIL_FILE: hold_the_gil, CRASH_FILE: crash}
        slow = environ.get(STOP_SLOW) or "0"
        try:
            stop_slow_s = float(slow)
        except ValueError:
            raise ValueError(f"{STOP_SLOW} is {slow!r}; write a number of seconds") from None
        key = environ.get(WRITE_KEY)
        return cls(
            on_files=tuple(
                OnFile(Path(environ[n]), act) for n, act in acts.items() if n in environ
            ),
            stop_slow_s=stop_slow_s,
            writer=Writer(key, line) if key else None,
        )

    @contextlib.asynccontextmanager
    async def during(self, leadership: Leadership) -> AsyncIterator[Callable[[], None]]:
        """Misbehave while the body runs; it calls what it is given between its own steps."""
        try:
            if self._writer is None:
                yield self._look
            else:
                async with asyncio.TaskGroup() as group:
                    writing = group.create_task(self._writer.run(leadership), name="writer")
                    try:
                        yield self._look
                    finally:
                        writing.cancel()
        finally:
            if self._stop_slow_s:
                await asyncio.sleep(self._stop_slow_s)

    def _look(self) -> None:
        for on_file in self._on_files:
            on_file()
