"""`coord schedule run`: ask, wait, tell."""

from __future__ import annotations

import asyncio
import json

import click

from coord.cli.errors import ExitCode
from coord.cli.schedule_edit import Telling
from coord.cli.schedule_text import result_json, result_lines
from coord.clock import SystemClock
from coord.config import Settings
from coord.consul.client import ConsulClient
from coord.operations import new_request_id, whoami
from coord.polling import running
from coord.polling.running import AskedRecord, Came, EditRefused, RunWord
from coord.records import Paths

_SENTENCES = {
    RunWord.ASKED: "{id}: asked for a run; `coord schedule show {id}` tells what comes of it",
    RunWord.RUN: "{id}: run",
    RunWord.NOT_RUN: "{id}: not run: the request came too late, by the leader's clock",
    RunWord.TAKEN_BACK: "{id}: not run: nobody took the request up, and it is taken back",
    RunWord.RUNNING: "{id}: still running; `coord schedule show {id}` tells what comes of it",
}


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


async def _asked(settings: Settings, asked: AskedRecord, wait_s: float | None, reason: str) -> Came:
    async with ConsulClient(settings.consul_address) as consul:
        paths = Paths(settings.election)
        return await running.run_now(consul, paths, asked, wait_s=wait_s, reason=reason)
