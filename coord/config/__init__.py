"""Settings: where each value comes from, and what is refused."""

from coord.config.fields import TIMING_FIELDS, LogFormat, LogLevel
from coord.config.settings import NO_FLAG_FIELDS, SECRET_FIELDS, Settings
from coord.config.sources import (
    Deprecation,
    Problem,
    SettingsError,
    Source,
    SourceKind,
    UnknownVariable,
    env_name,
    flag_name,
)
from coord.config.values import HostPort, format_duration

__all__ = [
    "NO_FLAG_FIELDS",
    "SECRET_FIELDS",
    "TIMING_FIELDS",
    "Deprecation",
    "HostPort",
    "LogFormat",
    "LogLevel",
    "Problem",
    "Settings",
    "SettingsError",
    "Source",
    "SourceKind",
    "UnknownVariable",
    "env_name",
    "flag_name",
    "format_duration",
]
