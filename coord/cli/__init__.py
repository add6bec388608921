"""`coord …`: parses, calls, prints.

Commands live in modules of their own, imported only when they are used: `coord --help` and
`coord --version` must not wait for an HTTP client.

Exit codes, of every command:
    0   done
    1   an answer that is not good news; each command says which
    2   wrong usage, or settings that cannot be used
    3   Consul cannot be reached, or has no leader
    4   the Consul token does not permit this
    5   refused: nothing was changed, as things are not as they were thought to be (Act alone)
    6   `coord doctor` found something critical
    70  an internal error, or a node that had to end
    130 interrupted
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import click

from coord.cli.errors import EVERY_EPILOG, cli_errors
from coord.cli.loading import loading
from coord.cli.version import version_option

__all__ = ["main"]


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a command is, and what the help says of it before it is imported."""

    section: str
    target: str
    help: str


_COMMANDS: dict[str, _Entry] = {
    "node": _Entry("Run", "coord.cli.node:node", "Run one node in the foreground."),
    "status": _Entry("Look", "coord.cli.status:status", "Show the cluster as Consul has it."),
    "history": _Entry(
        "Look", "coord.cli.history:history", "Show who led when, how it ended and who asked."
    ),
    "events": _Entry("Look", "coord.cli.events:events", "Show what happened, and go on with it."),
    "doctor": _Entry(
        "Look", "coord.cli.doctor:doctor", "Find what is wrong, and what to do about it."
    ),
    "config": _Entry(
        "Look", "coord.cli.config:config", "Show the effective settings and the timing budget."
    ),
    "runbook": _Entry("Look", "coord.cli.runbook:command", "Show what to do when it needs you."),
    "completion": _Entry(
        "Look", "coord.cli.completion:command", "Make your shell complete the words of commands."
    ),
    "step-down": _Entry(
        "Act", "coord.cli.act:step_down", "Have the leader stop its work and hand over."
    ),
    "transfer": _Entry("Act", "coord.cli.act:transfer", "Have the leader hand over to one node."),
    "force-release": _Entry(
        "Act",
        "coord.cli.act:force_release",
        "Take the lock from a leader that does not answer.",
    ),
    "pause": _Entry("Act", "coord.cli.act:pause", "Keep everybody from campaigning for a while."),
    "resume": _Entry("Act", "coord.cli.act:resume", "End a pause."),
    "drain": _Entry("Act", "coord.cli.act:drain", "Keep one node from leading."),
    "undrain": _Entry("Act", "coord.cli.act:undrain", "Let one node lead again."),
    "schedule": _Entry(
        "Act", "coord.cli.schedule:schedule", "Show and change what is polled, and how often."
    ),
    "purge": _Entry("Act", "coord.cli.purge:command", "Remove a dead election's keys."),
}

_SECTIONS = ("Run", "Look", "Act")

COMMAND_NAMES = tuple(_COMMANDS)
"""What may stand after `coord`."""


class _Main(click.Group):
    """Commands in sections, imported when used; every error becomes one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = _COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.target.partition(":")
        with loading():
            command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in _SECTIONS:
            rows = [(name, e.help) for name, e in _COMMANDS.items() if e.section == section]
            if rows:
                with formatter.section(section):
                    formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        with cli_errors(show_traceback=bool(ctx.params.get("traceback"))):
            return super().invoke(ctx)


@click.group(
    cls=_Main,
    name="coord",
    epilog=EVERY_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@version_option
@click.option(
    "--traceback",
    is_flag=True,
    expose_value=True,
    help="Show where an internal error came from.",
)
def main(traceback: bool) -> None:
    """Leader election and coordination on Consul."""
