"""The commands that only look, from coord's own table: a new one is here as soon as it is there."""

from __future__ import annotations

from collections.abc import Iterator

from coord.cli import _COMMANDS

_WAYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "status": ((), ("--json",), ("core-1",), ("core-1", "--json")),
    "config": ((), ("--json",)),
    "history": ((), ("--json",), ("--audit",), ("--audit", "--json")),
    "events": ((), ("--json",), ("--node", "core-1")),
    "doctor": ((), ("--json",), ("--read-only",), ("--role", "viewer"), ("--policy", "viewer")),
    "runbook": ((), ("debug-election",)),
    "completion": (("bash",), ("zsh",), ("fish",)),
}
"""Ways to call them, where there are more than the plain one."""


def look_commands() -> Iterator[tuple[str, ...]]:
    """The words of each way to call each command of the section Look."""
    for name, entry in _COMMANDS.items():
        if entry.section == "Look":
            for words in _WAYS.get(name, ((),)):
                yield (name, *words)
