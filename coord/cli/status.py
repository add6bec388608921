"""`coord status`."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import Any

import click

from coord.cli.errors import EPILOG, ExitCode
from coord.cli.options import CONNECTION_FIELDS, SettingsCommand, load_settings
from coord.cli.printing import console_here, lines_of
from coord.cli.screen import Shower, rendered, view_of
from coord.clock import SystemClock
from coord.config import Settings
from coord.consul.client import ConsulClient
from coord.members import Seen
from coord.records import Paths
from coord.status import ClusterStatus, node_status, read_status, to_json, watch_status
from coord.status.model import Condition


@click.command(name="status", cls=SettingsCommand, settings_fields=CONNECTION_FIELDS, epilog=EPILOG)
@click.argument("node", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --watch a line a change.")
@click.option("--watch", is_flag=True, help="Go on, and show each change, until Ctrl-C (exit 0).")
@click.pass_context
def status(
    ctx: click.Context, /, node: str | None, as_json: bool, watch: bool, **params: Any
) -> None:
    """Show the cluster as Consul has it, or one NODE (name or host:port) and why it does not lead.

    Exits with 0 if somebody leads, or NODE is there; with 1 if nobody leads, or NODE is not there;
    with 3 if Consul cannot be reached, or has no leader and what is shown may be old; with 4 if
    the token may not see what would tell.
    """
    settings = load_settings(params)
    if not watch:
        ctx.exit(asyncio.run(_show_once(settings, node, as_json)))
    with suppress(KeyboardInterrupt):
        asyncio.run(_show_changes(settings, node, as_json))


def status_exit_code(snapshot: ClusterStatus, node: str | None = None) -> ExitCode:
    """What `coord status` exits with after showing a snapshot, or one node out of it."""
    if snapshot.stale:
        return ExitCode.CONSUL_UNREACHABLE
    if node is None:
        good = snapshot.leader.locked
        denied = snapshot.leader.condition is Condition.NOT_PERMITTED
    else:
        view = node_status(snapshot, node)
        good, denied = view.found, view.seen is Seen.NOT_PERMITTED
    if good:
        return ExitCode.OK
    return ExitCode.NOT_PERMITTED if denied else ExitCode.NOT_GOOD


async def _show_once(settings: Settings, node: str | None, as_json: bool) -> ExitCode:
    async with ConsulClient(settings.consul_address) as consul:
        snapshot = await read_status(consul, Paths(settings.election), clock=SystemClock())
    view = view_of(snapshot, node)
    if as_json:
        click.echo(to_json(view))
    else:
        console = console_here()
        for line in lines_of(console, rendered(view, console.width)):
            console.print(line)
    return status_exit_code(snapshot, node)


async def _show_changes(settings: Settings, node: str | None, as_json: bool) -> None:
    clock = SystemClock()
    async with ConsulClient(settings.consul_address) as consul:
        changes = watch_status(consul, Paths(settings.election), clock=clock, every=True)
        async with aclosing(changes) as snapshots:
            with Shower(node, clock, as_json=as_json) as shower:
                ticking = asyncio.create_task(shower.tick(), name="redraw")
                try:
                    async for snapshot in snapshots:
                        shower.show(snapshot)
                finally:
                    ticking.cancel()
                    await asyncio.gather(ticking, return_exceptions=True)
