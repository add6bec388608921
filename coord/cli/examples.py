"""What stands under Examples in the help of each command."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import click

EXAMPLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "coord node": (
            "coord node --node core-1",
            "coord node --node poller-1 --listen 127.0.0.1:8612",
            "coord node --config /etc/coord/node.toml",
        ),
        "coord status": (
            "coord status --watch",
            "coord status core-2",
            "coord status --json",
        ),
        "coord history": ("coord history", "coord history --audit"),
        "coord events": ("coord events --follow", "coord events --node core-1 --json"),
        "coord doctor": (
            "coord doctor",
            "coord doctor --read-only",
            "coord doctor --policy candidate",
        ),
        "coord config": (
            "coord config --node core-1",
            "coord config --lease 3s --check-ttl 3s",
        ),
        "coord runbook": ("coord runbook", "coord runbook force-leader-change"),
        "coord completion": (
            "coord completion bash > ~/.local/share/bash-completion/completions/coord",
            "coord completion zsh > ~/.zfunc/_coord",
            "coord completion fish > ~/.config/fish/completions/coord.fish",
        ),
        "coord step-down": (
            "coord step-down --dry-run",
            "coord step-down --yes --reason 'core-1 gets a new kernel'",
        ),
        "coord transfer": ("coord transfer core-2 --reason 'core-1 gets a new kernel'",),
        "coord force-release": (
            "coord force-release --dry-run",
            "coord force-release --reason 'core-1 does not answer'",
        ),
        "coord pause": ("coord pause --for 30m --reason 'the network is worked on'",),
        "coord resume": ("coord resume --reason 'the network is back'",),
        "coord drain": ("coord drain core-1 --reason 'core-1 gets a new kernel'",),
        "coord undrain": ("coord undrain core-1 --reason 'its kernel is new'",),
        "coord schedule": (
            "coord schedule add web --interval 10s --http https://www.example.org/",
            "coord schedule list",
            "coord schedule import schedules.toml --dry-run",
        ),
        "coord schedule list": ("coord schedule list", "coord schedule list --json"),
        "coord schedule show": ("coord schedule show web",),
        "coord schedule add": (
            "coord schedule add web --interval 10s --http https://www.example.org/ --contains Hi",
            "coord schedule add db --interval 30s --tcp 10.0.0.7:5432 --max-retries 0",
        ),
        "coord schedule enable": ("coord schedule enable web",),
        "coord schedule disable": ("coord schedule disable web --reason 'the site moves'",),
        "coord schedule rm": ("coord schedule rm web --yes",),
        "coord schedule run": ("coord schedule run web --wait",),
        "coord schedule import": (
            "coord schedule import schedules.toml --dry-run",
            "coord schedule import schedules.toml --prune --yes",
        ),
        "coord purge": ("coord purge --election old --dry-run",),
        "coord-console": (
            "coord-console",
            "coord-console --once",
            "coord-console --read-only --record night.jsonl.gz",
            "coord-console --replay night.jsonl.gz",
        ),
    }
)
"""By the command, as it is typed."""


class Exemplified(click.Command):
    """A command with its examples in its help."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What it does, then how that is typed."""
        super().format_help_text(ctx, formatter)
        if examples := EXAMPLES.get(ctx.command_path):
            with formatter.section("Examples"):
                for example in examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class ExemplifiedGroup(click.Group, Exemplified):
    """A group of commands with examples in its help."""
