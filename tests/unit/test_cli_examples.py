"""The examples in the help of each command: that each has some, and that they are ones."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from console.cli import main as console_main
from coord.cli import main
from coord.cli.examples import EXAMPLES


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """It and all below it, by what is typed."""
    yield path, command
    if isinstance(command, click.Group):
        with click.Context(command) as ctx:
            for name in command.list_commands(ctx):
                below = command.get_command(ctx, name)
                assert below is not None
                yield from commands(below, f"{path} {name}")


ALL = {**dict(commands(main, "coord")), **dict(commands(console_main, "coord-console"))}


def test_every_command_has_examples_and_there_are_none_of_others() -> None:
    assert set(EXAMPLES) == set(ALL) - {"coord"}


@pytest.mark.parametrize("path", EXAMPLES)
def test_the_examples_stand_in_the_help_and_are_understood(path: str) -> None:
    command = ALL[path]
    parent = click.Context(main, info_name=path.rpartition(" ")[0]) if " " in path else None
    shown = command.get_help(click.Context(command, info_name=path.split()[-1], parent=parent))
    for example in EXAMPLES[path]:
        assert f"\n  {example}\n" in shown
        words = shlex.split(re.sub(r" > \S+$", "", example))
        assert " ".join(words).startswith(path)
        parsed(words)


def parsed(words: list[str]) -> None:
    """Raises what click says of words that it does not understand; nothing is run."""
    program, *rest = words
    command = ALL[program]
    path = program
    while isinstance(command, click.Group):
        path = f"{path} {rest.pop(0)}"
        command = ALL[path]
    command.make_context(path, rest)


def test_one_that_is_not_understood_is_noticed() -> None:
    with pytest.raises(click.UsageError):
        parsed(["coord", "status", "--wach"])
