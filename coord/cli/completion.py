"""`coord completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from coord.cli.errors import OFFLINE_EPILOG
from coord.cli.examples import Exemplified

SHELLS = ("bash", "zsh", "fish")
_PROGRAMS = ("coord", "coord-console")


@click.command(name="completion", cls=Exemplified, epilog=OFFLINE_EPILOG)
@click.argument("shell", type=click.Choice(SHELLS), metavar="|".join(SHELLS))
def command(shell: str) -> None:
    """Print what makes your shell complete the words of coord and coord-console.

    For zsh, ~/.zfunc has to be in fpath. In this shell alone, at once:

    \b
    eval "$(coord completion bash)"
    """
    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    for program in _PROGRAMS:
        variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
        click.echo(kind(root, {}, program, variable).source())
