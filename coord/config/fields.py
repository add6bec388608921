"""The types of the settings' fields: how each is read, checked and written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, SecretStr

from coord.config.values import (
    HostPort,
    InvalidValueError,
    format_duration,
    parse_bool,
    parse_consul_addr,
    parse_count,
    parse_duration,
    parse_host_port,
    parse_list,
    parse_name,
    parse_networks,
    shown,
)
from coord.records import MAX_PRIORITY

_Number = TypeVar("_Number", int, float)
LogFormat = Literal["auto", "json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


TIMING_FIELDS: tuple[str, ...] = (
    "election_interval",
    "takeover_delay",
    "check_ttl",
    "confirm_interval",
    "lease",
    "fence_grace",
    "lock_delay",
    "session_ttl",
    "suspend_limit",
    "shutdown_timeout",
)
"""The settings that make up `Timing`."""


FORBIDDEN_NETWORKS: tuple[str, ...] = (
    "169.254.0.0/16",  # link-local, where most clouds have their metadata
    "fe80::/10",  # link-local
    "100.100.100.200/32",  # Alibaba Cloud
    "168.63.129.16/32",  # Azure
    "192.0.0.192/32",  # Oracle Cloud
    "fd00:ec2::254/128",  # AWS
    "fd00:ec2::23/128",  # AWS, of pods
    "fd20:ce::254/128",  # Google Cloud
    "fd00:c1::a9fe:a9fe/128",  # Oracle Cloud
    "fd00:42::42/128",  # Scaleway
    "fd00:a9fe:a9fe::1/128",  # Linode
)
"""Where no poller connects to by default: link-local addresses, and what gives credentials to
whoever asks from within a cloud."""


def _one_of(*choices: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        word = value.strip().lower() if isinstance(value, str) else ""
        if word not in choices:
            raise InvalidValueError(
                f"{shown(value)} is not one of its values", f"use {', '.join(choices)}"
            )
        return word

    return parse


def _secret(value: object) -> SecretStr:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    word = text.strip() if isinstance(text, str) else ""
    if word and word.isascii() and word.isprintable() and " " not in word:
        return SecretStr(word)
    raise InvalidValueError("it is not a token", "write ASCII letters and signs, without spaces")


def token_in(path: Path) -> SecretStr:
    """The token that a file holds, which may end with its line.

    Raises:
        InvalidValueError: it cannot be read, or holds something else.
    """
    try:
        return _secret(path.read_text("utf-8"))
    except InvalidValueError:
        problem = "holds no token"
    except UnicodeDecodeError:
        problem = "is not text"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    raise InvalidValueError(
        f"{shown(str(path))} {problem}", "write the token alone into it: ASCII, without spaces"
    )


def _path(value: object) -> Path:
    if isinstance(value, str | Path) and str(value) and "\0" not in str(value):
        return Path(value)
    raise InvalidValueError(f"{shown(value)} is not a path", "name a file")


def _file(path: Path) -> Path:
    # Not opened: what stands there may be a pipe, which can be read only once.
    # os.path, as a name that is too long is no file either, and no error.
    if os.path.isdir(path) or not os.access(path, os.R_OK):
        why = "is a directory" if os.path.isdir(path) else "cannot be read"
        raise InvalidValueError(
            f"{shown(str(path))} {why}", "name a file that is there and that this user may read"
        )
    return path


def _advertised(value: HostPort) -> HostPort:
    if value.port == 0 or value.is_any:
        raise InvalidValueError(
            f"nobody can reach {value}", "name the host and port that other nodes reach this one at"
        )
    return value


def _positive(value: _Number) -> _Number:
    if value > 0:
        return value
    raise InvalidValueError("it is zero", "it must be more")


def _priority(value: int) -> int:
    if value <= MAX_PRIORITY:
        return value
    raise InvalidValueError(f"it is {value}", f"it must be from 0 to {MAX_PRIORITY}")


def _type_text(value: object) -> str:
    if isinstance(value, str) and value.strip() and value.strip().isprintable():
        return value.strip()
    raise InvalidValueError(f"{shown(value)} is not a node type", "use core, web or poller")


Name = Annotated[str, BeforeValidator(parse_name)]
Names = Annotated[tuple[str, ...], BeforeValidator(parse_list)]
Networks = Annotated[tuple[str, ...], BeforeValidator(parse_networks)]
Duration = Annotated[
    float, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str)
]
Bool = Annotated[bool, BeforeValidator(parse_bool)]
Count = Annotated[int, BeforeValidator(parse_count)]
Priority = Annotated[Count, AfterValidator(_priority)]
Secret = Annotated[SecretStr, BeforeValidator(_secret)]
ReadableFile = Annotated[Path, AfterValidator(_file), BeforeValidator(_path)]
Address = Annotated[
    HostPort, BeforeValidator(parse_host_port), PlainSerializer(str, return_type=str)
]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
PositiveCount = Annotated[Count, AfterValidator(_positive)]
AdvertisedAddress = Annotated[Address, AfterValidator(_advertised)]
NodeTypeText = Annotated[str, BeforeValidator(_type_text)]
ConsulAddr = Annotated[str, BeforeValidator(parse_consul_addr)]
LogFormatWord = Annotated[LogFormat, BeforeValidator(_one_of(*get_args(LogFormat)))]
LogLevelWord = Annotated[LogLevel, BeforeValidator(_one_of(*get_args(LogLevel)))]
