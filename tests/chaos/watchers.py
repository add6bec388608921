"""What goes on beside the scenarios: every version of the leaders' key, every change in discovery.

Each of the three servers is asked, so that one that is hurt leaves no hole. All reads are
consistent: what they see is so, whichever server says it.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from coord.consul import CheckStatus, Consistency, ConsulClient, ConsulError
from demo.judge import WitnessReport
from demo.ledger import Ledger, WentBack
from tests.chaos.stage import Stage

WAIT_S = 10.0
RETRY_S = 0.1

SWEEP_S = 5.0
"""How long a new leader may take, on a busy machine, to be the only one that is found."""


MOMENT_S = 1.0
"""For how long discovery may name a former leader beside the present one. When a host is back, its
agent first carries out what hung in it, and that may be a pass of the leader's check; the node then
takes it back at once."""


@dataclass(frozen=True, slots=True)
class Look:
    """Who was passing as the leader: nodes with their terms. at: CLOCK_MONOTONIC, in seconds."""

    at: float
    passing: tuple[tuple[str, int], ...]


@dataclass(slots=True)
class Watchers:
    """Follow both, on every server, until cancelled; `take` gives what came since it was asked."""

    ledgers: list[Ledger] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    _back_told: set[int] = field(default_factory=set)

    @classmethod
    @asynccontextmanager
    async def running(cls, stage: Stage) -> AsyncIterator[Self]:
        """Watchers at work."""
        watchers = cls()
        tasks = []
        for consul in stage.consuls.values():
            ledger = Ledger()
            watchers.ledgers.append(ledger)
            tasks.append(asyncio.create_task(ledger.follow(consul)))
            follow = watchers._follow_discovery(consul, stage.paths.leader_service)
            tasks.append(asyncio.create_task(follow))
        try:
            yield watchers
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        broken = [e for e in ended if e and not isinstance(e, asyncio.CancelledError)]
        if broken:
            raise broken[0]

    async def _follow_discovery(self, consul: ConsulClient, service: str) -> None:
        index: int | None = None
        while True:
            try:
                reply = await consul.health_service(
                    service,
                    consistency=Consistency.CONSISTENT,
                    index=index,
                    wait_s=None if index is None else WAIT_S,
                )
            except ConsulError:
                index = None
                await asyncio.sleep(RETRY_S)
                continue
            index = reply.index if index is None or reply.index >= index else None
            passing = tuple(
                (each.meta["node"], int(each.meta["term"]))
                for each in reply.value
                if each.status is CheckStatus.PASSING
            )
            self.looks.append(Look(time.monotonic(), passing))

    def written_back(self) -> list[WentBack]:
        """Writes of an older term that landed after those of a newer one, since last asked."""
        found = {
            back.modify_index: back
            for ledger in self.ledgers
            for back in ledger.went_back
            if back.modify_index not in self._back_told
        }
        self._back_told |= set(found)
        return list(found.values())

    def misled(self, report: WitnessReport, since: float = 0.0) -> tuple[list[str], int]:
        """Where discovery named two leaders for long, or one long after another worked, since last
        asked; and in how many moments it named two, for however short a time. Times are told in
        seconds after `since`."""
        looks, self.looks = self.looks, []
        found = [
            f"discovery still named {node}, of term {term}, {look.at - since:.2f} s after the "
            "beginning"
            for look in looks
            for node, term in look.passing
            if any(
                newer.term > term and newer.first_at + SWEEP_S < look.at < newer.last_at
                for newer in report.terms
            )
        ]
        doubles = _doubles(looks)
        found += [
            f"discovery had several leaders for {last - first:.2f} s: {passing}"
            for passing, (first, last) in doubles.items()
            if last - first > MOMENT_S
        ]
        return list(dict.fromkeys(found)), len(doubles)


def _doubles(looks: Iterable[Look]) -> dict[tuple[tuple[str, int], ...], tuple[float, float]]:
    """Each several that were named together, with from when until when, as far as it was seen."""
    found: dict[tuple[tuple[str, int], ...], tuple[float, float]] = {}
    ordered = sorted(looks, key=lambda look: look.at)
    for look, after in itertools.zip_longest(ordered, ordered[1:]):
        if len(look.passing) > 1:
            together = tuple(sorted(look.passing))
            first = found.get(together, (look.at, look.at))[0]
            found[together] = (first, look.at if after is None else after.at)
    return found
