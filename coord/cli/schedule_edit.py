"""A change of schedules on the command line: look, show, ask, write, tell."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from coord.cli.errors import BadUsage, CliError, ExitCode, consul_failure
from coord.cli.schedule_text import SENTENCES, changes_json, edit_lines, named
from coord.clock import SystemClock
from coord.config import Settings
from coord.consul.client import ConsulClient
from coord.operations import new_request_id, whoami
from coord.operations.audit import keep_audit_short
from coord.polling.audit import Act, Trail
from coord.polling.editing import (
    TRIES,
    Change,
    Edit,
    EditCode,
    EditRefused,
    Stored,
    Written,
    write,
)
from coord.polling.paths import PollPaths
from coord.polling.shelf import read_schedules
from coord.records import Paths

Make = Callable[[Mapping[str, Stored], PollPaths], tuple[Edit, ...]]


@dataclass(frozen=True, slots=True)
class Plan:
    """act: what it is in the audit.

    make: gives what is to be written, for what stands there; raises EditRefused.
    again: made on whatever somebody else wrote meanwhile, it loses nothing of theirs.
    """

    act: Act
    make: Make
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What was said on the command line. asks: what is asked before something is removed.
    reason: why, for the audit; "" if nothing was."""

    reason: str = ""
    yes: bool = False
    dry_run: bool = False
    as_json: bool = False
    asks: str | None = None


def change(settings: Settings, plan: Plan, said: Said) -> ExitCode:
    """Do it; gives the exit code.

    Raises:
        BadUsage: it has to ask, and cannot.
        CliError: Consul did not do it.
    """
    may_ask = said.asks is not None and not said.yes and not said.dry_run
    if may_ask and said.as_json:
        raise BadUsage("--json asks nothing: say --yes or --dry-run")
    telling = Telling(settings.election, as_json=said.as_json)
    try:
        if may_ask or said.dry_run:
            edits = asyncio.run(_planned(settings, plan))
            if said.dry_run:
                return telling.would_be(edits)
            if any(edit.change is Change.REMOVED for edit in edits) and not _confirmed(edits, said):
                click.echo("nothing was done", err=True)
                return ExitCode.NOT_GOOD
            written = asyncio.run(_written(settings, edits, _trail(settings, plan, said)))
        else:
            edits, written = asyncio.run(_done(settings, plan, _trail(settings, plan, said)))
    except EditRefused as refused:
        return telling.refused(refused.code, refused.ids)
    return telling.outcome(edits, written)


async def _planned(settings: Settings, plan: Plan) -> tuple[Edit, ...]:
    keys = PollPaths(Paths(settings.election))
    async with ConsulClient(settings.consul_address) as consul:
        return plan.make(await read_schedules(consul, keys), keys)


async def _written(settings: Settings, edits: tuple[Edit, ...], trail: Trail) -> Written:
    async with ConsulClient(settings.consul_address) as consul:
        written = await write(consul, edits, trail)
        await keep_audit_short(consul, trail.paths)
    return written


async def _done(settings: Settings, plan: Plan, trail: Trail) -> tuple[tuple[Edit, ...], Written]:
    keys = PollPaths(trail.paths)
    async with ConsulClient(settings.consul_address) as consul:
        for _ in range(TRIES if plan.again else 1):
            edits = plan.make(await read_schedules(consul, keys), keys)
            written = await write(consul, edits, trail)
            if not written.conflicts or written.done:
                break
        await keep_audit_short(consul, trail.paths)
    return edits, written


def _trail(settings: Settings, plan: Plan, said: Said) -> Trail:
    clock = SystemClock()
    return Trail(
        paths=Paths(settings.election),
        act=plan.act,
        actor=whoami(),
        reason=said.reason,
        request_id=new_request_id(),
        at_ms=clock.wall_ms(),
        wall_ms=clock.wall_ms,
    )


def _confirmed(edits: Iterable[Edit], said: Said) -> bool:
    if not sys.stdin.isatty():
        raise BadUsage("there is no terminal to ask on: say --yes or --dry-run")
    for line in edit_lines([edit for edit in edits if edit.change is not Change.UNCHANGED]):
        click.echo(line, err=True)
    return click.confirm(str(said.asks), err=True)


class Telling:
    """Says what came of it, as text or as a line of JSON."""

    def __init__(self, election: str, *, as_json: bool) -> None:
        self._election = election
        self._as_json = as_json

    def would_be(self, edits: tuple[Edit, ...]) -> ExitCode:
        """What would be changed."""
        lines = [*edit_lines(edits), "dry run: nothing was changed"]
        self._say("outcome", lines, outcome="would_be_done", changes=changes_json(edits))
        return ExitCode.OK

    def refused(self, code: EditCode, ids: tuple[str, ...]) -> ExitCode:
        """Nothing was changed."""
        sentence, hint = SENTENCES[code]
        sentence = sentence.format(ids=named(ids))
        lines = [f"refused: {sentence}", f"  {hint}"]
        self._say("refused", lines, code=code.value, ids=ids, sentence=sentence, hint=hint)
        return ExitCode.REFUSED

    def outcome(self, edits: tuple[Edit, ...], written: Written) -> ExitCode:
        """What was changed, and what was not.

        Raises:
            CliError: Consul did not do it.
        """
        if not written.left:
            same = all(edit.op is None for edit in edits)
            word = "unchanged" if same else "done"
            self._say("outcome", edit_lines(edits), outcome=word, changes=changes_json(edits))
            return ExitCode.OK
        if written.error is None and not written.done:
            return self.refused(EditCode.CHANGED_MEANWHILE, written.conflicts)
        if written.done or written.unknown:
            self._tell_part(written)
        if written.error is not None:
            raise _told(written)
        return ExitCode.REFUSED

    def _tell_part(self, written: Written) -> None:
        left = [edit.id for edit in written.left]
        lines = [*edit_lines(written.done), f"not done: {named(left)}"]
        if written.conflicts:
            lines.append(f"  somebody else changed {named(written.conflicts)} meanwhile")
        if written.unknown:
            lines.append("  whether the first of these were written is not known")
        lines.append("  look again before you do what is left")
        self._say(
            "outcome",
            lines,
            outcome="unknown" if written.unknown else "partly",
            changes=changes_json(written.done),
            left=left,
            conflicts=written.conflicts,
        )

    def _say(self, kind: str, lines: Iterable[str], **fields: Any) -> None:
        if self._as_json:
            said = {"kind": kind, "election": self._election, **fields}
            click.echo(json.dumps(said, ensure_ascii=True))
        else:
            for line in lines:
                click.echo(line)


def _told(written: Written) -> CliError:
    assert written.error is not None
    return consul_failure(written.error)
