"""The witness: a process outside the nodes that hears their work and says whether two worked.

``python -m demo.witness [ADDRESS]`` prints where it listens, as one line of JSON, and ends when its
stdin is closed: so it cannot outlive whoever started it. Messages come by UDP, questions by TCP,
one JSON object a line; `Witness` starts it and asks it. Messages may come by TCP too, and then are
answered: whether this one was taken, or refused because a newer term has worked.

It judges from what arrives, in the order of arrival and by its own clock. Datagrams between
processes of one machine arrive in the order in which they were sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from demo import REPO
from demo.judge import WORK, Judge, Message, TermSeen, WitnessReport

__all__ = ["TermSeen", "Witness", "WitnessError", "WitnessReport"]

RECEIVE_BUFFER = 8 * 1024 * 1024
SMALL_BUFFER = 2048
TAKING_S = 0.016
"""How long it is busy with each message that it answers; whoever sends more has to wait, so that
what may happen to a sender happens in the middle of its writing."""
LONGEST_LINE = 16 * 1024 * 1024


class WitnessError(Exception):
    """The witness did not start, is gone, or what was waited for did not happen in time."""


# --- the process ---------------------------------------------------------------------------------


class _Ears(asyncio.DatagramProtocol):
    """Stamps what arrives, has it judged, and wakes whoever waits for work."""

    def __init__(self) -> None:
        self.judge = Judge()
        self.latest: dict[tuple[str, int], tuple[Message, float]] = {}
        self.heard = asyncio.Condition()
        self._waking: asyncio.Task[None] | None = None

    def datagram_received(self, data: bytes, addr: object) -> None:
        at = time.monotonic()
        message = self.judge.hear_raw(data, at)
        if message is not None and message.kind == WORK:
            self._worked(message, at)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection for messages that are answered, one after the other."""
        ended = (OSError, asyncio.CancelledError)
        with contextlib.closing(writer), contextlib.suppress(*ended):
            while line := await reader.readline():
                at = time.monotonic()
                try:
                    message = Message.parse(line)
                except ValueError:
                    return  # whoever speaks otherwise is not ours to answer
                taken = self.judge.hear(message, at)
                if taken:
                    self._worked(message, at)
                newest = self.judge.newest
                answer = {"taken": taken, "newest": newest.term if newest else None}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
                await asyncio.sleep(TAKING_S)

    def _worked(self, message: Message, at: float) -> None:
        self.latest[(message.node, message.term)] = (message, at)
        if self._waking is None or self._waking.done():
            self._waking = asyncio.get_running_loop().create_task(self._wake())

    async def _wake(self) -> None:
        async with self.heard:
            self.heard.notify_all()

    async def until(self, look: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
        """What `look` gives as soon as it gives anything; it looks again at each message."""
        async with self.heard:
            while (found := look()) is None:
                await self.heard.wait()
            return found


class _Desk:
    """Answers questions; each connection asks one after the other."""

    def __init__(self, ears: _Ears) -> None:
        self._ears = ears

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        # Cancelled only when the process ends; asyncio would complain of a cancelled connection.
        ended = (ConnectionError, asyncio.CancelledError)
        with contextlib.closing(writer), contextlib.suppress(*ended):
            while line := await reader.readline():
                answer = await self._answer(json.loads(line))
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()

    async def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        match asked["ask"]:
            case "report":
                return self._ears.judge.report(time.monotonic()).to_dict()
            case "next_leader":
                return await self._ears.until(lambda: self._next_leader(asked["after_term"]))
            case "work":
                return await self._ears.until(
                    lambda: self._work(asked["after"], asked["node"], asked["term"])
                )
            case other:
                return {"error": f"unknown question {other!r}"}

    def _next_leader(self, after_term: int | None) -> dict[str, Any] | None:
        newest = self._ears.judge.newest
        if newest is None or (after_term is not None and newest.term <= after_term):
            return None
        return asdict(newest)

    def _work(self, after: float, node: str | None, term: int | None) -> dict[str, Any] | None:
        for message, at in self._ears.latest.values():
            if at > after and node in (None, message.node) and term in (None, message.term):
                return {"node": message.node, "term": message.term, "at": at}
        return None


async def _stdin_closed() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while await reader.read(1024):
        pass


async def _serve(host: str) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    # Root may have more than the system's limit; everybody gets what the limit allows.
    for option in (getattr(socket, "SO_RCVBUFFORCE", None), socket.SO_RCVBUF):
        with contextlib.suppress(OSError, TypeError):
            sock.setsockopt(socket.SOL_SOCKET, option, RECEIVE_BUFFER)  # type: ignore[arg-type]
            break
    sock.bind((host, 0))
    transport, ears = await asyncio.get_running_loop().create_datagram_endpoint(_Ears, sock=sock)
    server = await asyncio.start_server(_Desk(ears).serve, host, 0, limit=LONGEST_LINE)
    slow = socket.create_server((host, 0))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    writes = await asyncio.start_server(ears.serve, sock=slow, limit=SMALL_BUFFER)
    where = {
        "pid": os.getpid(),
        "address": "{}:{}".format(*sock.getsockname()),
        "control": "{}:{}".format(*server.sockets[0].getsockname()),
        "writes": "{}:{}".format(*writes.sockets[0].getsockname()),
    }
    print(json.dumps(where), flush=True)
    await _stdin_closed()
    server.close()
    writes.close()
    transport.close()


# --- whoever starts and asks it ------------------------------------------------------------------


class Witness:
    """A witness process: `async with Witness() as witness`, or `start` and `stop`.

    Give ``witness.address`` to the nodes as ``COORD_WITNESS`` (a `Fleet` does that).

    host: the address of this machine that it listens on.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._host = host
        self._process: asyncio.subprocess.Process | None = None
        self._where: dict[str, Any] = {}

    @property
    def address(self) -> str:
        """``host:port`` for the work's messages. Raises WitnessError: not started."""
        if not self._where:
            raise WitnessError("the witness was not started")
        return str(self._where["address"])

    @property
    def writes_address(self) -> str:
        """``host:port`` for messages that are answered. Raises WitnessError: not started."""
        if not self._where:
            raise WitnessError("the witness was not started")
        return str(self._where["writes"])

    @property
    def pid(self) -> int:
        """Its process id. Raises WitnessError: not started."""
        if not self._where:
            raise WitnessError("the witness was not started")
        return int(self._where["pid"])

    async def start(self) -> Self:
        """Start it and wait until it listens. Raises WitnessError."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "demo.witness",
            self._host,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=REPO,
            start_new_session=True,  # Ctrl-C is its owner's to answer
        )
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise WitnessError(f"the witness ended at once ({await self._process.wait()})")
        self._where = json.loads(line)
        return self

    async def stop(self) -> None:
        """End it. Stopping a stopped one is fine."""
        process, self._process, self._where = self._process, None, {}
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def next_leader(
        self, after_term: int | None = None, *, timeout_s: float = 30.0
    ) -> TermSeen:
        """Wait until a term newer than `after_term` works; None: any term at all.

        Comes back at once if one does already. Raises WitnessError when none does in time.
        """
        newer = f"a term after {after_term}" if after_term is not None else "any term"
        answer = await self._ask(
            {"ask": "next_leader", "after_term": after_term}, f"work of {newer}", timeout_s
        )
        return TermSeen(**answer)

    async def work(
        self,
        *,
        after: float | None = None,
        node: str | None = None,
        term: int | None = None,
        timeout_s: float = 30.0,
    ) -> float:
        """Wait for a message of work that arrives later than `after`, and say when it arrived.

        after: CLOCK_MONOTONIC (`time.monotonic()`) in seconds; None: now.
        node, term: only theirs; None: whosoever's.

        Raises:
            WitnessError: none arrived in time.
        """
        since = time.monotonic() if after is None else after
        who = "".join(f" of {said}" for said in (node, term and f"term {term}") if said)
        answer = await self._ask(
            {"ask": "work", "after": since, "node": node, "term": term}, f"work{who}", timeout_s
        )
        return float(answer["at"])

    async def report(self) -> WitnessReport:
        """What was seen so far."""
        return WitnessReport.from_dict(await self._ask({"ask": "report"}, "report", 30.0))

    async def _ask(self, question: dict[str, Any], what: str, timeout_s: float) -> dict[str, Any]:
        if not self._where:
            raise WitnessError("the witness was not started")
        host, _, port = self._where["control"].rpartition(":")
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(host, int(port), limit=LONGEST_LINE)
                with contextlib.closing(writer):
                    writer.write(json.dumps(question).encode() + b"\n")
                    line = await reader.readline()
        except TimeoutError:
            raise WitnessError(f"the witness heard no {what} within {timeout_s:g} s") from None
        except OSError as error:
            raise WitnessError(f"the witness does not answer: {error}") from error
        if not line:
            raise WitnessError("the witness ended without an answer")
        answer: dict[str, Any] = json.loads(line)
        return answer


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1"))
