"""`coord config`."""

from __future__ import annotations

import json
from typing import Any

import click

from coord.cli.config_report import config_lines, config_report
from coord.cli.errors import OFFLINE_EPILOG
from coord.cli.options import SettingsCommand, load_settings
from coord.config import Settings


@click.command(
    name="config",
    cls=SettingsCommand,
    settings_fields=tuple(Settings.model_fields),
    epilog=OFFLINE_EPILOG,
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def config(as_json: bool, **params: Any) -> None:
    """Show the effective settings, where each came from, and what the timing costs.

    Flags beat the environment, which beats the file, which beats the defaults. Secrets are masked.
    Nothing is asked of Consul.
    """
    settings = load_settings(params)
    if as_json:
        click.echo(json.dumps(config_report(settings), indent=2))
    else:
        for line in config_lines(settings):
            click.echo(line)
