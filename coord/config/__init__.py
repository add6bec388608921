"""Settings: where each value comes from, and what is refused."""

from coord.config.settings import (
    NO_FLAG_FIELDS,
    SECRET_FIELDS,
    TIMING_FIELDS,
    Deprecation,
    HostPort,
    LogFormat,
    LogLevel,
    Problem,
    Settings,
    SettingsError,
    Source,
    SourceKind,
    UnknownVariable,
    env_name,
    flag_name,
    format_duration,
)

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
