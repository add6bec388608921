"""Work and faults for the acceptance tests, run inside real nodes beside `demo.work:Pulse`.

A node takes them by reference: ``COORDINATOR_WORKLOADS=demo.work:Pulse,acceptance_work:Sibling``.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import structlog

import coord.application
from coord.election.commands import Command
from coord.election.events import Event
from coord.election.machine import Election
from coord.leadership import Leadership
from coord.supervisor import ChildSpec
from coord.workloads import WorkContext
from demo.line import Line
from demo.misbehaviour import OnFile
from demo.work import INTERVAL_S

RELENTLESS_FILE = "ACCEPTANCE_RELENTLESS_FILE"
CLOSING_S = "ACCEPTANCE_CLOSING_S"
CANDIDATE_CRASH_FILE = "ACCEPTANCE_CANDIDATE_CRASH_FILE"

_log = structlog.stdlib.get_logger("acceptance.work")


class _Work:
    """Work that tells the witness of each step."""

    def __init__(self, context: WorkContext) -> None:
        self.name = type(self).__name__.lower()
        self.context = context
        self._line = Line.from_environment()

    def tell(self, leadership: Leadership) -> None:
        self._line.send(self._line.message("work", leadership.node, leadership.term))


class Sibling(_Work):
    """Works, and logs each start of its own."""

    async def run(self, leadership: Leadership) -> None:
        _log.info("work starts", child=self.name, term=leadership.term, pid=os.getpid())
        while True:
            leadership.guard()
            self.tell(leadership)
            await asyncio.sleep(INTERVAL_S)


class Relentless(_Work):
    """When its file appears: blocks the event loop and goes on working, for ever, unasked."""

    async def run(self, leadership: Leadership) -> None:
        def block() -> None:
            while True:
                self.tell(leadership)
                time.sleep(INTERVAL_S)

        look = _on_file(RELENTLESS_FILE, block)
        while True:
            leadership.guard()
            self.tell(leadership)
            look()
            await asyncio.sleep(INTERVAL_S)


class Closing(_Work):
    """Asked to stop, it works on for ACCEPTANCE_CLOSING_S, and then writes a last key."""

    stop_timeout_s = 60.0

    async def run(self, leadership: Leadership) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            end = self.context.clock.now() + float(os.environ.get(CLOSING_S, "0"))
            while self.context.clock.now() < end:
                leadership.guard()
                self.tell(leadership)
                await asyncio.sleep(INTERVAL_S)
            await leadership.put(closed_key(self.context.paths.root, leadership.term), "closed")
            _log.info("work has closed", term=leadership.term)


class Stubborn(_Work):
    """Never stops, whoever asks."""

    stop_timeout_s = 60.0

    async def run(self, leadership: Leadership) -> None:
        while True:
            try:
                if leadership.held():
                    self.tell(leadership)
                await asyncio.sleep(INTERVAL_S)
            except asyncio.CancelledError:
                _log.info("work does not stop", term=leadership.term)


def closed_key(root: str, term: int) -> str:
    """What `Closing` writes last in that term."""
    return f"{root}work/closed/{term}"


def _on_file(variable: str, act: Callable[[], None]) -> Callable[[], None]:
    path = os.environ.get(variable)
    return OnFile(Path(path), act) if path else lambda: None


def _crash() -> None:
    raise RuntimeError("the candidate crashes because a test asked for it")


class _CrashingElection(Election):
    """Crashes when its file appears, so many times as stand in it."""

    def handle(self, event: Event, now: float) -> list[Command]:
        _on_file(CANDIDATE_CRASH_FILE, _crash)()
        return super().handle(event, now)


def faulty_candidate(context: WorkContext) -> ChildSpec:
    """Work that only waits: where it is loaded, the candidate can be ordered to crash.

    Workloads are loaded before the candidate is made, which then gets the faulty election.
    """
    setattr(coord.application, "Election", _CrashingElection)  # noqa: B010 - a name it imports

    async def run(leadership: Leadership) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.1)  # ending takes a moment
            _log.info("work has ended", term=leadership.term)

    return ChildSpec("faulty-candidate", run)
