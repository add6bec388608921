"""The commands as their `--help` has them: written into docs/cli.md."""

from __future__ import annotations

from collections.abc import Iterator

import click

from console.cli import main as console
from coord.cli import main

WIDTH = 96


def cli_text() -> str:
    """A section for each command, with what it prints for `--help`."""
    lines = ["# Commands", ""]
    lines += ["What each command prints for `--help`. Written by `make docs`.", ""]
    lines += _of(main, "coord", None)
    lines += _of(console, "coord-console", None)
    return "\n".join(lines)


def _of(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    given = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    context = click.Context(command, info_name=name, parent=parent, **given)
    yield from _section(context.command_path, context)
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            assert found is not None
            yield from _of(found, each, context)


def _section(title: str, context: click.Context) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield "```text"
    yield from (line.rstrip() for line in context.command.get_help(context).splitlines())
    yield "```"
    yield ""
