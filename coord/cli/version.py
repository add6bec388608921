"""`--version`, of both commands."""

from __future__ import annotations

import click


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("coord")
    except PackageNotFoundError:
        number = "unknown (not installed)"
    click.echo(f"{ctx.command.name} {number}")
    ctx.exit()


version_option = click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version.",
)
"""Print the command's name and the version of what is installed, and end."""
