"""`coord runbook`."""

from __future__ import annotations

import click
from rich.markdown import Markdown

from coord.cli.errors import OFFLINE_EPILOG
from coord.cli.examples import Exemplified
from coord.cli.printing import console_here, lines_of
from coord.runbooks import RunbookError, find, read_runbook, runbook_names


def _complete(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    """The runbooks; after a `#` the sections of that one."""
    books = runbook_names()
    name, hash_, _ = begun.partition("#")
    if hash_ and name in books:
        books = tuple(f"{name}#{each.anchor}" for each in read_runbook(name).sections)
    return [each for each in books if each.startswith(begun)]


@click.command(name="runbook", cls=Exemplified, epilog=OFFLINE_EPILOG)
@click.argument("name", metavar="[NAME[#SECTION]]", required=False, shell_complete=_complete)
@click.option("--raw", is_flag=True, help="Print the Markdown as it stands.")
def command(name: str | None, raw: bool) -> None:
    """Show a runbook, one section of it, or which there are.

    Nothing is asked of Consul: this works when everything else is down. The runbooks are part of
    the installation.
    """
    if name is None:
        for book in map(read_runbook, runbook_names()):
            click.echo(f"{book.name}: {book.title}")
            for each in book.sections:
                click.echo(f"  {book.name}#{each.anchor}")
        return
    try:
        book, section = find(name)
    except RunbookError as error:
        raise click.UsageError(str(error)) from None
    text = section.text if section else book.text
    if raw:
        click.echo(text, nl=False)
    else:
        console = console_here()
        for line in lines_of(console, Markdown(text)):
            console.print(line)
