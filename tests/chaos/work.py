"""`SteppedWrites`: work whose writes take a while, so that a fault can strike in the middle of one.

It looks at its lease, then writes to the witness in many small steps without looking again, as a
program does that sends a file. The witness is slow and the socket's buffers are small, so most of
the time a step waits in the kernel: a process that is stopped there and goes on later sends that
step before anything can keep it from doing so. Each step carries the term, and the witness, which
has seen all terms, takes it or refuses it: that is fencing by whoever receives. Name it in
``COORDINATOR_WORKLOADS`` as ``tests.chaos.work:SteppedWrites``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import time

from coord.leadership import FENCED_TERM, Leadership, LeadershipLost, to_thread
from coord.workloads import WorkContext
from demo.judge import HEARD, STEP
from demo.line import Line

WRITES_VARIABLE = "COORD_WITNESS_WRITES"
"""The environment variable with the witness's ``host:port`` for what it answers."""

STEPS = 40
STEP_BYTES = 1000
"""Of padding: a step fits in one packet, so one that waits in the kernel goes wholly or not."""
BETWEEN_S = 0.01
CONNECT_S = 2.0


class SteppedWrites:
    """Writes in steps, one write after the other, until cancelled or refused."""

    name = "stepped-writes"

    def __init__(self, context: WorkContext) -> None:
        host, _, port = os.environ[WRITES_VARIABLE].rpartition(":")
        self._address = (host, int(port))
        self._line = Line.from_environment()
        self._number = 0

    async def run(self, leadership: Leadership) -> None:
        """Write.

        Raises:
            LeadershipLost: the lease is over, or the witness has refused a step.
        """
        with self._connected() as connection:
            while True:
                taken = await to_thread(self._write, leadership, connection)
                if not taken:
                    # A newer term has worked: Consul will say so too, but why wait for it.
                    leadership.lost(FENCED_TERM)
                    raise LeadershipLost(leadership.term, FENCED_TERM)
                leadership.progress()
                await asyncio.sleep(BETWEEN_S)

    def _connected(self) -> socket.socket:
        connection = socket.create_connection(self._address, timeout=CONNECT_S)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, STEP_BYTES)
        # Without any timeout a send that is stopped goes on by itself; with one it would fail.
        connection.settimeout(None)
        return connection

    def _write(self, leadership: Leadership, connection: socket.socket) -> bool:
        """One write, of many steps; False: one of them was refused."""
        looked_at = time.monotonic()
        leadership.guard()
        for _ in range(STEPS):
            connection.sendall(self._step(leadership, looked_at))
        taken = self._answers(connection, STEPS)
        if not taken:
            # At once: this process may be about to be ended.
            with contextlib.suppress(OSError):
                self._line.send(self._line.message(HEARD, leadership.node, leadership.term))
        return taken

    def _step(self, leadership: Leadership, looked_at: float) -> bytes:
        step = {
            "kind": STEP,
            "node": leadership.node,
            "term": leadership.term,
            "pid": os.getpid(),
            "seq": self._number,
            "sent": looked_at,
            "why": "x" * STEP_BYTES,
        }
        self._number += 1
        return json.dumps(step).encode() + b"\n"

    def _answers(self, connection: socket.socket, count: int) -> bool:
        """Whether so many answers all say that it was taken."""
        answers = b""
        while answers.count(b"\n") < count:
            part = connection.recv(4096)
            if not part:
                raise ConnectionError("the witness closed the connection")
            answers += part
        return all(json.loads(answer)["taken"] for answer in answers.splitlines())
