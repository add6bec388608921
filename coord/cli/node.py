"""`coord node`."""

from __future__ import annotations

from typing import Any

import click

from coord.cli.errors import EPILOG, cannot_listen
from coord.cli.loading import loading
from coord.cli.options import SettingsCommand, load_settings
from coord.config import Settings


@click.command(
    name="node", cls=SettingsCommand, settings_fields=tuple(Settings.model_fields), epilog=EPILOG
)
@click.pass_context
def node(ctx: click.Context, /, **params: Any) -> None:
    """Run one node in the foreground.

    SIGTERM and SIGINT end it gracefully: work is stopped, then leadership handed over. A second
    one ends it at once.
    """
    settings = load_settings(params)
    with loading():
        from coord.process import ListenError, run_node

    try:
        ctx.exit(run_node(settings))
    except ListenError as error:
        raise cannot_listen(error.where, error.error) from None
