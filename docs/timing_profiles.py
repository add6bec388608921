"""Three sets of timing, with the budget that each gives: written into docs/configuration.md."""

from __future__ import annotations

from collections.abc import Mapping

from coord.cli.config_report import BUDGET_WORDS, budget_s
from coord.cli.options import default_text
from coord.config import TIMING_FIELDS, Settings

PROFILES: Mapping[str, Mapping[str, str]] = {
    "default": {},
    "fast": {
        "check_ttl": "600ms",
        "confirm_interval": "200ms",
        "lease": "600ms",
        "fence_grace": "250ms",
        "lock_delay": "1s",
        "takeover_delay": "0ms",
        "election_interval": "2s",
    },
    "calm": {
        "check_ttl": "10s",
        "confirm_interval": "2s",
        "lease": "8s",
        "fence_grace": "1s",
        "lock_delay": "9s",
        "takeover_delay": "1s",
        "election_interval": "10s",
        "session_ttl": "30s",
        "suspend_limit": "3m",
    },
}
"""What differs from the defaults, by the names of settings."""


def settings_of(profile: str) -> Settings:
    """The settings of a node with that profile.

    Raises:
        SettingsError: they do not fit together.
    """
    environ = {f"COORDINATOR_{name.upper()}": value for name, value in PROFILES[profile].items()}
    return Settings(environ=environ, node="core-1")


def profiles_table() -> str:
    """What is set, and the budget, side by side; then each profile as a settings file."""
    settings = {name: settings_of(name) for name in PROFILES}
    lines = [f"| | {' | '.join(PROFILES)} |", f"|---|{'--:|' * len(PROFILES)}"]
    changed = {name for profile in PROFILES.values() for name in profile}
    for name in (name for name in TIMING_FIELDS if name in changed):
        cells = (default_text(name, getattr(each, name)) for each in settings.values())
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    budgets = [budget_s(each.timing) for each in settings.values()]
    for name, words in BUDGET_WORDS.items():
        cells = (f"{each[name]:.2f} s" for each in budgets)
        lines.append(f"| {words} | {' | '.join(cells)} |")
    for profile, values in PROFILES.items():
        if values:
            lines += ["", "```toml", f"# {profile}.toml", "[timing]"]
            lines += [f'{name} = "{value}"' for name, value in values.items()]
            lines.append("```")
    return "\n".join(lines)
