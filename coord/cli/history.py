"""`coord history`."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from coord.cli.errors import EPILOG, ExitCode
from coord.cli.options import CONNECTION_FIELDS, SettingsCommand, load_settings
from coord.cli.printing import console_here, lines_of
from coord.clock import SystemClock
from coord.config import Settings
from coord.consul.client import ConsulClient
from coord.history import read_audit, read_history
from coord.history.text import render_audit, render_history
from coord.members import Seen
from coord.operations import AuditEntry
from coord.records import Paths
from coord.status.as_json import encoded, plain_value
from coord.status.read import read_keys

DEFAULT_LIMIT = 20


@click.command(
    name="history", cls=SettingsCommand, settings_fields=CONNECTION_FIELDS, epilog=EPILOG
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=DEFAULT_LIMIT,
    metavar="N",
    help=f"Show the latest N, {DEFAULT_LIMIT} if not given.",
)
@click.option("--audit", is_flag=True, help="Show what operators did instead, with who and why.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def history(ctx: click.Context, /, limit: int, audit: bool, as_json: bool, **params: Any) -> None:
    """Show who led when, how it ended, who asked, and how long nobody led in between.

    It is put together from the journal that the nodes keep in Consul, which holds the latest
    entries only, and from the audit; what cannot be known is said.

    Exits with 3 if Consul cannot be reached, or has no leader and what is shown may be old; with
    4 if the token may not read what is asked for.
    """
    settings = load_settings(params)
    show = _show_audit if audit else _show_history
    ctx.exit(asyncio.run(show(settings, limit, as_json)))


async def _show_history(settings: Settings, limit: int, as_json: bool) -> ExitCode:
    async with ConsulClient(settings.consul_address) as consul:
        paths = Paths(settings.election)
        found = await read_history(consul, paths, clock=SystemClock(), limit=limit)
    if as_json:
        data = plain_value(found)
        for told, tenure in zip(data["tenures"], found.tenures, strict=True):
            told["lasted_ms"] = tenure.lasted_ms(found.at_ms)
        click.echo(encoded(data))
    else:
        _print(render_history(found))
    return _exit_code(found.journal, found.stale)


async def _show_audit(settings: Settings, limit: int, as_json: bool) -> ExitCode:
    async with ConsulClient(settings.consul_address) as consul:
        paths = Paths(settings.election)
        keys = await read_keys(consul, paths)
        seen, entries = await read_audit(consul, paths, consistency=keys.consistency)
    shown = entries[:limit]
    if as_json:
        told = [plain_value(entry) | {"finished": _is_finished(entry)} for entry in shown]
        data = {
            "election": paths.election,
            "seen": seen,
            "stale": keys.stale,
            "omitted": len(entries) - len(shown),
            "entries": told,
        }
        click.echo(encoded(data))
    else:
        _print(render_audit(paths.election, seen, shown, len(entries) - len(shown)))
    return _exit_code(seen, keys.stale)


def _is_finished(entry: AuditEntry) -> bool:
    return entry.record is not None and not entry.begun


def _print(content: Any) -> None:
    console = console_here()
    for line in lines_of(console, content):
        console.print(line)


def _exit_code(seen: Seen, stale: bool) -> ExitCode:
    if stale:
        return ExitCode.CONSUL_UNREACHABLE
    return ExitCode.NOT_PERMITTED if seen is Seen.NOT_PERMITTED else ExitCode.OK
