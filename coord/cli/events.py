"""`coord events`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import click

from coord.cli.errors import EPILOG, ConsulUnreachable, ExitCode, NotPermitted, consul_failure
from coord.cli.options import CONNECTION_FIELDS, SettingsCommand, load_settings
from coord.cli.printing import console_here, lines_of
from coord.clock import SystemClock
from coord.config import Settings
from coord.consul import Consistency, ConsulError, Denied
from coord.consul.client import ConsulClient
from coord.history import Pause, PauseEnd
from coord.history.events import KINDS, as_json, is_wanted, lines, paused_before, tells_of_a_gap
from coord.history.follow import follow
from coord.history.read import read_journal, read_pauses
from coord.history.text import paused_words
from coord.members import Seen
from coord.records import Paths
from coord.status import Unavailable
from coord.status.denial import WORDS
from coord.status.words import plain
from coord.telemetry.journal import JournalEntry, newest

DEFAULT_LIMIT = 50
PIPED_WIDTH = 80
"""How many columns to fill where there is no terminal to ask: whoever reads it may have no more."""


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

    The journal holds the latest entries only. Where nobody led because somebody had paused the
    election, the change of leader says so. What is said besides goes to stderr, as that the
    election is paused now.

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

    def show(self, entries: Iterable[JournalEntry], pauses: Sequence[Pause], *, all_: bool) -> None:
        """Print those that are wanted; unless all of them, the latest only."""
        wanted = tuple(entry for entry in entries if is_wanted(entry, self.kinds, self.nodes))
        console = console_here(piped_width=PIPED_WIDTH)
        for entry in wanted if all_ else newest(wanted, self.limit):
            paused = paused_before(entry, pauses)
            if self.as_json:
                click.echo(as_json(entry, paused))
                continue
            for text in lines_of(console, lines(entry, console.width, paused)):
                console.print(text)


def notice(text: str) -> None:
    """Say something that is no event."""
    click.echo(f"coord: {text}", err=True)


async def _show(settings: Settings, printer: _Printer) -> ExitCode:
    paths = Paths(settings.election)
    async with ConsulClient(settings.consul_address) as consul:
        journal = await read_journal(consul, paths)
        pauses = await _pauses(consul, paths, stale=journal.stale)
    printer.show(journal.entries, pauses, all_=False)
    tell_paused(pauses, set())
    if journal.stale:
        raise ConsulUnreachable("Consul has no leader: what is shown may be of any age")
    if journal.seen is Seen.NOT_PERMITTED:
        why = WORDS[journal.denied or Denied.LACKS_RIGHTS]
        raise NotPermitted(f"not permitted to read the journal (key_prefix, read): {why}")
    return ExitCode.OK


async def _pauses(consul: ConsulClient, paths: Paths, *, stale: bool = False) -> tuple[Pause, ...]:
    """When the election was paused, where that can be read: it only explains what is shown."""
    consistency = Consistency.STALE if stale else Consistency.DEFAULT
    with suppress(ConsulError):
        return await read_pauses(consul, paths, clock=SystemClock(), consistency=consistency)
    return ()


def tell_paused(pauses: Sequence[Pause], told: set[str]) -> None:
    """Say that the election is paused now, unless that was told: nobody follows until it ends."""
    for pause in pauses:
        if pause.end is PauseEnd.STANDS and pause.request_id not in told:
            told.add(pause.request_id)
            notice(f"the election is {paused_words(pause).plain}")


async def _follow(settings: Settings, printer: _Printer) -> None:
    paths = Paths(settings.election)
    begun = failing = False
    paused: set[str] = set()
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
            matters = not begun or any(map(tells_of_a_gap, told.entries))
            pauses = await _pauses(consul, paths) if matters else ()
            printer.show(told.entries, pauses, all_=begun)
            tell_paused(pauses, paused)
            begun = True
