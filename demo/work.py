"""`Pulse`: the least work that shows who works, and an example of how a workload is written.

Name it in ``COORDINATOR_WORKLOADS`` as ``demo.work:Pulse``.
"""

from __future__ import annotations

import asyncio

from coord.leadership import Leadership
from coord.workloads import WorkContext
from demo.line import Line
from demo.misbehaviour import Misbehaviour

INTERVAL_S = 0.02
"""Seconds from one message to the next."""


class Pulse:
    """Tells the witness every 20 ms that this node works, and under which term."""

    name = "pulse"

    def __init__(self, context: WorkContext) -> None:
        self._line = Line.from_environment()
        self._misbehaviour = Misbehaviour.from_environment(self._line)

    async def run(self, leadership: Leadership) -> None:
        """Work until cancelled, or until the lease is over: then `guard` raises."""
        async with self._misbehaviour.during(leadership) as misbehave:
            while True:
                message = self._line.message("work", leadership.node, leadership.term)
                leadership.guard()  # as late as can be: right before others see what we do
                self._line.send(message)
                leadership.progress()
                misbehave()  # nothing at all, unless a test asked for it
                await asyncio.sleep(INTERVAL_S)
