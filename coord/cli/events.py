"""`coord events`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import click

from coord.cli.errors import EPILOG, ConsulUnreachable, ExitCode, NotPermitted, consul_failure
from coord.cli.options import CONNECTION_FIELDS, SettingsCommand, load_settings
from coord.cli.screen import console_here
from coord.config import Settings
from coord.consul.client import ConsulClient
from coord.history.events import KINDS, as_json, is_wanted, line
from coord.history.follow import follow
from coord.history.read import read_journal
from coord.members import Seen
from coord.records import Paths
from coord.status import Unavailable
from coord.status.words import plain
from coord.telemetry.journal import JournalEntry, newest

DEFAULT_LIMIT = 50


@click.command(name="events", cls=SettingsCommand, settings_fields=CONNECTION_FIELDS, epilog=EPILOG)
@click.option("--follow", "-f", "follows", is_flag=True, help="Go on until Ctrl-C (exit 0).")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="K",
    help="Only events of this kind; may be given again. "
    "One of: " + ", ".join(KINDS) + "; or what your own work tells.",
)
@click.option(
    "--node", "nodes", multiple=True, metavar="N", help="Only what node N told; may be given again."
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=DEFAULT_LIMIT,
    metavar="N",
    help=f"Show the latest N of what is there, {DEFAULT_LIMIT} if not given.",
)
@click.option("--json", "as_json_", is_flag=True, help="Print JSON, one object a line.")
@click.pass_context
def events(
    ctx: click.Context,
    /,
    follows: bool,
    kinds: tuple[str, ...],
    nodes: tuple[str, ...],
    limit: int,
    as_json_: bool,
    **params: Any,
) -> None:
    """Show what the nodes wrote in the election's journal, the latest last; times are UTC.

    The journal holds the latest entries only. What is said besides goes to stderr.

    Exits with 3 if Consul cannot be reached, or has no leader and what is shown may be old (with
    --follow it is waited for instead); with 4 if the token may not read the journal.
    """
    settings = load_settings(params)
    printer = _Printer(frozenset(kinds), frozenset(nodes), limit, as_json_)
    printer.tell_unknown()
    if not follows:
        ctx.exit(asyncio.run(_show(settings, printer)))
    with suppress(KeyboardInterrupt):
        asyncio.run(_follow(settings, printer))


@dataclass(frozen=True, slots=True)
class _Printer:
    """Prints what is wanted."""

    kinds: frozenset[str]
    nodes: frozenset[str]
    limit: int
    as_json: bool

    def tell_unknown(self) -> None:
        """Say of which kinds none is known: it may be a slip, or an event of somebody's work."""
        for kind in sorted(self.kinds):
            if kind.rpartition(".")[2] not in KINDS:
                notice(f"no event that coord itself keeps is called {plain(kind)}")

    def show(self, entries: Iterable[JournalEntry], *, all_: bool) -> None:
        """Print those that are wanted; unless all of them, the latest only."""
        wanted = tuple(entry for entry in entries if is_wanted(entry, self.kinds, self.nodes))
        console = console_here()
        for entry in wanted if all_ else newest(wanted, self.limit):
            if self.as_json:
                click.echo(as_json(entry))
            else:
                console.print(line(entry), soft_wrap=True)


def notice(text: str) -> None:
    """Say something that is no event."""
    click.echo(f"coord: {text}", err=True)


async def _show(settings: Settings, printer: _Printer) -> ExitCode:
    paths = Paths(settings.election)
    async with ConsulClient(settings.consul_address) as consul:
        journal = await read_journal(consul, paths)
    printer.show(journal.entries, all_=False)
    if journal.stale:
        raise ConsulUnreachable("Consul has no leader: what is shown may be of any age")
    if journal.seen is Seen.NOT_PERMITTED:
        raise NotPermitted("not permitted: the token may not read the journal (key_prefix, read)")
    return ExitCode.OK


async def _follow(settings: Settings, printer: _Printer) -> None:
    paths = Paths(settings.election)
    begun = failing = False
    async with (
        ConsulClient(settings.consul_address) as consul,
        aclosing(follow(consul, paths)) as news,
    ):
        async for told in news:
            if isinstance(told, Unavailable):
                failing = True
                notice(f"{consul_failure(told.error).message}; trying on")
                continue
            if failing:
                failing = False
                notice("Consul answers again")
            if told.missed:
                notice("some events may have been pruned before they could be read")
            printer.show(told.entries, all_=begun)
            begun = True
