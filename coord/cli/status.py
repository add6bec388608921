"""`coord status`."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, suppress
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live

from coord.cli.errors import EPILOG, ExitCode
from coord.cli.options import CONNECTION_FIELDS, SettingsCommand, load_settings
from coord.clock import SystemClock
from coord.config import Settings
from coord.consul.client import ConsulClient
from coord.members import Seen
from coord.records import Paths
from coord.status import (
    ClusterStatus,
    NodeStatus,
    Unavailable,
    node_status,
    read_status,
    to_json,
    watch_status,
)
from coord.status.model import Condition
from coord.status.text import render_error, render_node, render_status

View = ClusterStatus | NodeStatus
"""What is shown: everything, or one node out of it."""

PIPED_WIDTH = 120
"""How many columns to fill where there is no terminal to ask."""


@click.command(name="status", cls=SettingsCommand, settings_fields=CONNECTION_FIELDS, epilog=EPILOG)
@click.argument("node", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --watch a line a change.")
@click.option("--watch", is_flag=True, help="Go on, and show each change, until Ctrl-C (exit 0).")
@click.pass_context
def status(
    ctx: click.Context, /, node: str | None, as_json: bool, watch: bool, **params: Any
) -> None:
    """Show the cluster as Consul has it, or one NODE and why it does not lead.

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
    view = _view(snapshot, node)
    if as_json:
        click.echo(to_json(view))
    else:
        console = _console()
        console.print(_rendered(view, console))
    return status_exit_code(snapshot, node)


async def _show_changes(settings: Settings, node: str | None, as_json: bool) -> None:
    async with ConsulClient(settings.consul_address) as consul:
        changes = watch_status(consul, Paths(settings.election), clock=SystemClock())
        async with aclosing(changes) as snapshots:
            with _Shower(as_json) as shower:
                async for snapshot in snapshots:
                    if isinstance(snapshot, Unavailable):
                        shower.unavailable(snapshot)
                    else:
                        shower.show(_view(snapshot, node))


class _Shower:
    """Shows one view after another: in place on a terminal, else one below the other."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._console = _console()
        self._live: Live | None = None
        self._last: View | None = None
        self._failing = False

    def __enter__(self) -> _Shower:
        if not self._as_json and self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, view: View) -> None:
        """Show a view, unless it says what is shown already."""
        if view == self._last and not self._failing:
            return
        self._last, self._failing = view, False
        if self._as_json:
            click.echo(to_json(view, indent=None))
        else:
            self._put(_rendered(view, self._console))

    def unavailable(self, what: Unavailable) -> None:
        """Say that Consul cannot be read; a terminal keeps what was last known below it."""
        self._failing = True
        if self._as_json:
            kind = type(what.error).__name__
            click.echo(json.dumps({"unavailable": kind, "detail": str(what.error)}))
            return
        error = render_error(what.error)
        if self._live is not None and self._last is not None:
            self._put(Group(error, "", _rendered(self._last, self._console)))
        else:
            self._put(error)

    def _put(self, content: RenderableType) -> None:
        if self._live is not None:
            self._live.update(content, refresh=True)
        else:
            self._console.print(content)
            self._console.print()


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPED_WIDTH)


def _view(snapshot: ClusterStatus, node: str | None) -> View:
    return snapshot if node is None else node_status(snapshot, node)


def _rendered(view: View, console: Console) -> RenderableType:
    if isinstance(view, ClusterStatus):
        return render_status(view, width=console.width)
    return render_node(view)
