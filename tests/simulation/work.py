"""The work that shows itself: when it runs, in which term, and what it does that others see."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from coord.consul import ConsulError
from coord.leadership import FencedWriteFailed, Leadership
from coord.supervisor import ChildSpec
from tests.simulation.history import What

LEAST_GRACE_S = 0.25
"""Work that takes longer to stop may end with its process, where it has to stop at once."""

WRITES_KEY = "service/{election}/work/value"


@dataclass(slots=True)
class Temper:
    """How a node's work behaves; to be changed while it runs.

    stop_s: how long it takes to stop. crash, stall: do so, once: raise, or report no progress.
    """

    stop_s: float = 0.0
    crash: bool = False
    stall: bool = False


class Shown(Exception):  # noqa: N818 - a crash that was asked for
    """The work crashes because it was asked to."""


class ShownWork:
    """One node's work.

    tell: writes the history: (what, details).
    send: sends a message with its term to the receiver.
    """

    def __init__(
        self,
        temper: Temper,
        random: Random,
        tell: Callable[..., None],
        send: Callable[[int], None],
        *,
        pulse_s: float,
    ) -> None:
        self._temper = temper
        self._random = random
        self._tell = tell
        self._send = send
        self._pulse_s = pulse_s

    def specs(self) -> tuple[ChildSpec, ...]:
        """The children to run."""
        shown = ChildSpec("shown", self._run, stop_timeout_s=60.0, progress_timeout_s=10.0)
        return (shown, ChildSpec("writer", self._write))

    async def _run(self, leadership: Leadership) -> None:
        self._tell(What.BEGUN, leadership.term)
        try:
            while True:
                await self._act(leadership)
        finally:
            try:
                # Whatever stops it, and however often: it takes its time.
                await _insist(self._temper.stop_s)
            finally:
                self._tell(What.ENDED, leadership.term)

    async def _act(self, leadership: Leadership) -> None:
        temper = self._temper
        if temper.crash:
            temper.crash = False
            raise Shown
        leadership.guard()
        self._tell(What.ACTED, leadership.term)
        if temper.stall:
            temper.stall = False
            await asyncio.Event().wait()
        leadership.progress()
        if self._random.random() < 0.3:
            # Between asking and sending a process may stand still: what the receiver fences.
            leadership.guard()
            await asyncio.sleep(self._random.uniform(0, 0.01))
            self._send(leadership.term)
        await asyncio.sleep(self._pulse_s * self._random.uniform(0.5, 1.5))

    async def _write(self, leadership: Leadership) -> None:
        key = WRITES_KEY.format(election=leadership.election)
        number = 0
        while True:
            number += 1
            with contextlib.suppress(FencedWriteFailed, ConsulError):
                await leadership.put(key, f"{leadership.term} {leadership.node} {number}")
            await asyncio.sleep(self._random.uniform(0.5, 3.0))


async def _insist(seconds: float) -> None:
    """Take that long, whoever cancels meanwhile."""
    if seconds <= 0:
        return
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    cancelled: asyncio.CancelledError | None = None
    while (left := end - loop.time()) > 1e-6:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
