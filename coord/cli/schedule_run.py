"""`coord schedule run`: ask, wait, tell."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from enum import StrEnum

import click

from coord.cli.errors import ExitCode
from coord.cli.schedule_edit import Telling, pruned
from coord.cli.schedule_text import result_json, result_lines
from coord.clock import SystemClock
from coord.config import Settings
from coord.consul.client import ConsulClient
from coord.operations import new_request_id, whoami
from coord.polling.asking import answer, ask, withdraw
from coord.polling.editing import EditRefused
from coord.polling.paths import PollPaths
from coord.polling.records import AskedRecord, ResultRecord
from coord.records import Paths


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


_SENTENCES = {
    RunWord.ASKED: "{id}: asked for a run; `coord schedule show {id}` tells what comes of it",
    RunWord.RUN: "{id}: run",
    RunWord.NOT_RUN: "{id}: not run: the request came too late, by the leader's clock",
    RunWord.TAKEN_BACK: "{id}: not run: nobody took the request up, and it is taken back",
    RunWord.RUNNING: "{id}: still running; `coord schedule show {id}` tells what comes of it",
}


@dataclass(frozen=True, slots=True)
class _Came:
    word: RunWord
    result: ResultRecord | None = None


def run_now(
    settings: Settings,
    schedule_id: str,
    *,
    wait_s: float | None,
    as_json: bool,
    reason: str = "",
) -> ExitCode:
    """Ask for a run; wait_s: for its result, at most so long; None: not at all. reason: why, for
    the audit.

    Raises:
        ConsulError: as any call to Consul.
    """
    asked = AskedRecord(
        schedule=schedule_id,
        actor=whoami(),
        request_id=new_request_id(),
        at_ms=SystemClock().wall_ms(),
    )
    try:
        came = asyncio.run(_asked(settings, asked, wait_s, reason))
    except EditRefused as refused:
        return Telling(settings.election, as_json=as_json).refused(refused.code, refused.ids)
    if as_json:
        last = None if came.result is None else result_json(came.result)
        said = {"kind": "outcome", "election": settings.election, "outcome": came.word.value}
        said |= {"id": schedule_id, "request_id": asked.request_id}
        click.echo(json.dumps(said | {"last": last}, ensure_ascii=True))
    else:
        click.echo(_SENTENCES[came.word].format(id=schedule_id))
        for line in result_lines(came.result, asked) if came.result is not None else ():
            click.echo(line)
    good = came.word is RunWord.ASKED or (came.result is not None and came.result.ok is True)
    return ExitCode.OK if good else ExitCode.NOT_GOOD


async def _asked(
    settings: Settings, asked: AskedRecord, wait_s: float | None, reason: str
) -> _Came:
    keys = PollPaths(Paths(settings.election))
    async with ConsulClient(settings.consul_address) as consul:
        await ask(consul, keys, asked, reason=reason)
        await pruned(consul, keys.paths)
        if wait_s is None:
            return _Came(RunWord.ASKED)
        try:
            async with asyncio.timeout(wait_s):
                result = await answer(consul, keys, asked)
        except TimeoutError:
            back = await withdraw(consul, keys, asked)
            return _Came(RunWord.TAKEN_BACK if back else RunWord.RUNNING)
        return _Came(RunWord.NOT_RUN if result is None else RunWord.RUN, result)
