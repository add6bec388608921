"""`SteppedWrites`: work whose writes take a while, so that a fault can strike in the middle of one.

It looks at its lease, then writes to the witness in several steps without looking again, as a
program does that sends a file. It does so on several connections at once, each with a thread of its
own; the witness is slow and the sockets' buffers are small, so nearly always each of them waits in
the kernel with a step in hand: a process that is stopped there and goes on later sends that step
before anything can keep it from doing so. Each step carries the term, and the witness, which has
seen all terms, takes it or refuses it: that is fencing by whoever receives. Name it in
``COORDINATOR_WORKLOADS`` as ``tests.chaos.work:SteppedWrites``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator

from coord.leadership import FENCED_TERM, Leadership, LeadershipLost, to_thread
from coord.workloads import WorkContext
from demo.judge import HEARD, STEP
from demo.line import Line

WRITES_VARIABLE = "COORD_WITNESS_WRITES"
"""The environment variable with the witness's ``host:port`` for what it answers."""

WRITERS = 4
STEPS = 12
"""Of one write: it must end in less than the fence's grace, with the witness as slow as it is."""
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

    async def run(self, leadership: Leadership) -> None:
        """Write, on every connection.

        Raises:
            LeadershipLost: the lease is over, or the witness has refused a step.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(WRITERS):
                    group.create_task(self._keep_writing(leadership))
        except BaseExceptionGroup as group:
            # The supervisor tells lost leadership from a crash; a group it would not know.
            lost, _ = group.split(LeadershipLost)
            raise (lost or group).exceptions[0] from None

    async def _keep_writing(self, leadership: Leadership) -> None:
        with contextlib.closing(_Connection(self._address)) as connection:
            while True:
                taken = await to_thread(connection.write, leadership)
                if not taken:
                    # At once: this process may be about to be ended.
                    with contextlib.suppress(OSError):
                        self._line.send(self._line.message(HEARD, leadership.node, leadership.term))
                    # A newer term has worked: Consul will say so too, but why wait for it.
                    leadership.lost(FENCED_TERM)
                    raise LeadershipLost(leadership.term, FENCED_TERM)
                leadership.progress()
                await asyncio.sleep(BETWEEN_S)


@contextlib.contextmanager
def _first_in_line() -> Iterator[None]:
    """Let this thread go before all others.

    When a stopped process goes on, this thread and the one that ends the process are both ready to
    run. Which is first is up to the kernel; what must be shown is the order that is worse.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


class _Connection:
    """One connection to the witness.

    The answers to a write are read after the next one: the buffers are full all the time, and who
    sends has to wait in the middle of it.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=CONNECT_S)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, STEP_BYTES)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        # Without any timeout a send that is stopped goes on by itself; with one it would fail.
        self._socket.settimeout(None)
        self._number = 0
        self._owed = 0
        self._unread = b""

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def write(self, leadership: Leadership) -> bool:
        """One write, of several steps; False: one of the write before was refused."""
        looked_at = time.monotonic()
        leadership.guard()
        with _first_in_line():
            for _ in range(STEPS):
                self._socket.sendall(self._step(leadership, looked_at))
        owed, self._owed = self._owed, STEPS
        return self._answers(owed)

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

    def _answers(self, count: int) -> bool:
        """Whether so many answers all say that it was taken."""
        while self._unread.count(b"\n") < count:
            part = self._socket.recv(4096)
            if not part:
                raise ConnectionError("the witness closed the connection")
            self._unread += part
        *answers, self._unread = self._unread.split(b"\n", count)
        return all(json.loads(answer)["taken"] for answer in answers)
