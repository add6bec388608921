"""A flag for each setting, made from the fields of `Settings`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from pydantic_core import PydanticUndefined

from coord.cli.errors import ConsulUnreachable, known_error
from coord.cli.examples import Exemplified
from coord.config import (
    NO_FLAG_FIELDS,
    TIMING_FIELDS,
    Settings,
    env_name,
    flag_name,
    format_duration,
)
from coord.config.sources import CONFIG_ENV, CONFIG_FLAG

DURATION_FIELDS = frozenset({*TIMING_FIELDS, "restart_window", "health_interval"})
CONSUL_FIELDS = tuple(name for name in Settings.model_fields if name.startswith("consul_"))
CONNECTION_FIELDS = ("election", *CONSUL_FIELDS)
"""What a command needs that only looks at Consul."""

_BOOL_FIELDS = frozenset({"eligible", "consul_ssl", "consul_ssl_verify"})
_JSON_PARAMS = ("as_json", "as_json_", "json_")
_NODE_FIELDS = ("node", "node_type", "eligible", "election", "priority", "listen", "advertise")
_METAVARS = {
    "listen": "HOST:PORT",
    "advertise": "HOST:PORT",
    "consul_addr": "ADDR",
    "session_checks": "NAMES",
    "workloads": "NAMES",
    "event_handlers": "NAMES",
    "poller_capacity": "N",
    "poll_sinks": "NAMES",
    "poller_checks": "NAMES",
    "poller_forbidden_networks": "NETWORKS",
    "priority": "N",
    "max_restarts": "N",
    "min_nodes": "N",
}


def _section(field: str) -> str:
    if field in _NODE_FIELDS:
        return "This node"
    if field in TIMING_FIELDS:
        return "Timing"
    return "Consul" if field in CONSUL_FIELDS else "Work and logs"


def _metavar(field: str) -> str:
    if field in DURATION_FIELDS:
        return "DURATION"
    if field in _BOOL_FIELDS:
        return "true|false"
    if field.endswith(("_file", "_cacert", "_cert", "_key")):
        return "FILE"
    return _METAVARS.get(field, "TEXT")


def _help(field: str) -> str:
    info = Settings.model_fields[field]
    notes = [env_name(field)]
    if info.default not in (None, PydanticUndefined, ()):
        notes.append(f"default {default_text(field, info.default)}")
    return f"{info.description}  [{'; '.join(notes)}]"


def default_text(field: str, value: object) -> str:
    """A value as one would write it."""
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    if field in DURATION_FIELDS and isinstance(value, float):
        return format_duration(value)
    return str(value)


class SettingsCommand(Exemplified):
    """A command whose flags for settings stand in sections of their own in its help."""

    def __init__(self, *args: Any, settings_fields: Collection[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fields = [f for f in Settings.model_fields if f in settings_fields]
        self._fields = [f for f in self._fields if f not in NO_FLAG_FIELDS]
        self.params.append(
            click.Option(
                [CONFIG_FLAG],
                type=click.Path(path_type=Path),
                metavar="FILE",
                help=f"TOML file with settings.  [{CONFIG_ENV}]",
            )
        )
        # Text only: what a value means, and what is wrong with it, is for Settings to say.
        self.params += [
            click.Option([flag_name(field)], metavar=_metavar(field), help=_help(field))
            for field in self._fields
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """As always; an error names the Consul that was asked, and is told as JSON, too, where
        JSON was wanted."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except Exception as error:
            known = known_error(error)
            if isinstance(known, ConsulUnreachable):
                known = ConsulUnreachable(f"{known.message}\n{_asked(ctx.params)}")
            if known is not None and any(ctx.params.get(name) for name in _JSON_PARAMS):
                with suppress(OSError):
                    click.echo(known.as_json())
            raise known or error from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Its own options first, then a section for each kind of setting."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                ours = param.name in self._fields
                section = _section(str(param.name)) if ours else "Options"
                sections.setdefault(section, []).append(record)
        for title in ("Options", "This node", "Timing", "Work and logs", "Consul"):
            if title in sections:
                with formatter.section(title):
                    formatter.write_dl(sections[title])


def _asked(params: Mapping[str, Any]) -> str:
    settings = load_settings(params)
    return f"asked: {settings.consul_address.url} ({settings.sources['consul_addr']})"


def load_settings(params: Mapping[str, Any]) -> Settings:
    """The settings, with the flags that a `SettingsCommand` was given.

    Raises:
        SettingsError: with every problem found.
    """
    flags = {name: value for name, value in params.items() if name in Settings.model_fields}
    return Settings(config=params.get("config"), **flags)
