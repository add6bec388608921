"""A poller's memory of its answers: a repeated attempt gets the first one, and runs nothing."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from typing import NamedTuple

from coord.polling.records import PollReply, PollRequest

MAX_ANSWERS = 2048
"""How many finished answers are kept."""

KEEP_S = 180.0
"""How long a finished answer is kept, in seconds: longer than any leader waits for one."""


Name = tuple[str, str, int]
"""Election, job, attempt."""


class Attempt(NamedTuple):
    """Which attempt it is, and `checks`, a digest of what it runs."""

    election: str
    job: str
    number: int
    checks: str

    @classmethod
    def of(cls, asked: PollRequest) -> Attempt:
        """The attempt that is asked for."""
        checks = asked.model_dump_json(include={"checks"}).encode()
        return cls(asked.election, asked.job, asked.attempt, hashlib.sha256(checks).hexdigest())

    @property
    def name(self) -> Name:
        """What it is called: no other may be called so."""
        return self[:3]


class OtherChecksError(Exception):
    """An attempt of that name was met before, with other checks: neither is its answer the answer
    to this one, nor may it be run twice."""


class Answers:
    """Answers by attempt, those still to come included.

    One that is still to come is a future; who `begin`s it must `finish` or `drop` it.
    """

    def __init__(self) -> None:
        self._running: dict[Name, tuple[str, asyncio.Future[PollReply]]] = {}
        self._finished: OrderedDict[Name, tuple[str, PollReply, float]] = OrderedDict()

    @property
    def running(self) -> int:
        """How many are still to come."""
        return len(self._running)

    def to_come(self) -> tuple[asyncio.Future[PollReply], ...]:
        """The futures of those that are still to come."""
        return tuple(future for _, future in self._running.values())

    def known(self, attempt: Attempt) -> PollReply | asyncio.Future[PollReply] | None:
        """The answer, or the future of it, if this attempt was met before.

        Raises:
            OtherChecksError: it was, with other checks.
        """
        met = self._finished.get(attempt.name) or self._running.get(attempt.name)
        if met is None:
            return None
        if met[0] != attempt.checks:
            raise OtherChecksError
        return met[1]

    def begin(self, attempt: Attempt) -> None:
        """This attempt is being run."""
        future: asyncio.Future[PollReply] = asyncio.get_running_loop().create_future()
        self._running[attempt.name] = (attempt.checks, future)

    def finish(self, attempt: Attempt, reply: PollReply, now: float) -> None:
        """It is answered, at `now` in monotonic seconds."""
        self._finished[attempt.name] = (attempt.checks, reply, now)
        while self._finished:
            _, _, at = next(iter(self._finished.values()))
            if len(self._finished) <= MAX_ANSWERS and now - at <= KEEP_S:
                break
            self._finished.popitem(last=False)
        _, future = self._running.pop(attempt.name)
        if not future.done():
            future.set_result(reply)

    def drop(self, attempt: Attempt) -> None:
        """It ended without an answer; whoever waits for it is cancelled. Fine if it finished."""
        running = self._running.pop(attempt.name, None)
        if running is not None:
            running[1].cancel()
