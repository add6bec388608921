"""A run of a schedule that somebody asks for, from the request to what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from coord.consul import ConsulApi
from coord.operations.audit import keep_audit_short
from coord.polling.asking import answer, ask, withdraw
from coord.polling.editing import EditCode
from coord.polling.editing import EditRefused as EditRefused
from coord.polling.paths import PollPaths
from coord.polling.records import AskedRecord as AskedRecord
from coord.polling.records import ResultRecord
from coord.records import Paths

REFUSALS: Mapping[EditCode, tuple[str, str]] = MappingProxyType(
    {
        EditCode.NOT_FOUND: ("there is no schedule {ids}", "`coord schedule list` shows all"),
        EditCode.UNREADABLE: (
            "{ids} cannot be read",
            "`coord schedule show ID` says why; `coord schedule add ID --replace` writes it anew",
        ),
        EditCode.NO_LEADER: (
            "nobody leads, so nobody would run {ids}",
            "`coord status` says why; ask again once somebody leads",
        ),
        EditCode.ASKED_ALREADY: (
            "a run of {ids} is asked for already",
            "`coord schedule show ID` tells what comes of it",
        ),
    }
)
"""What is said where a run is refused, and what helps."""


class RunWord(StrEnum):
    """What came of asking for a run."""

    ASKED = "asked"
    """It is asked for; nobody waited."""
    RUN = "run"
    NOT_RUN = "not_run"
    """The leader took the request away: it came too late, by its clock."""
    TAKEN_BACK = "taken_back"
    """Nobody took it up in time, so it was taken back."""
    RUNNING = "running"
    """It was taken up, and has no result yet."""


@dataclass(frozen=True, slots=True)
class Came:
    """What came of it. result: what the run found, where it was run."""

    word: RunWord
    result: ResultRecord | None = None


async def run_now(
    consul: ConsulApi,
    paths: Paths,
    asked: AskedRecord,
    *,
    wait_s: float | None,
    reason: str = "",
    stop: asyncio.Event | None = None,
    tell: Callable[[], object] = lambda: None,
) -> Came:
    """Ask for a run, and wait for what comes of it; what nobody has taken up by then is taken back.

    wait_s: for its result, at most so long, in seconds; None: not at all.
    reason: why, for the audit.
    stop: when set, nobody waits any longer. tell: called once it is asked for.

    Raises:
        EditRefused: nobody leads, there is no such schedule or it cannot be read, or another
            request for it is on its way.
        ConsulError: as any call to Consul.
    """
    keys = PollPaths(paths)
    await ask(consul, keys, asked, reason=reason)
    tell()
    await keep_audit_short(consul, paths)
    if wait_s is None:
        return Came(RunWord.ASKED)
    answering = asyncio.ensure_future(answer(consul, keys, asked))
    stopping = asyncio.ensure_future((stop or asyncio.Event()).wait())
    both = (answering, stopping)
    try:
        await asyncio.wait(both, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            result = answering.result()
            return Came(RunWord.NOT_RUN if result is None else RunWord.RUN, result)
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
    back = await withdraw(consul, keys, asked)
    return Came(RunWord.TAKEN_BACK if back else RunWord.RUNNING)
