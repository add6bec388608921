"""The demo's command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from coord.polling.records import Check

CHECK_TIMEOUT = "800ms"
"""Shorter than a schedule's interval: a target that hangs is told before its next run is due."""

_CHECK: TypeAdapter[Check] = TypeAdapter(Check)


@dataclass(frozen=True, slots=True)
class Arguments:
    """What was asked for.

    targets: further checks to poll. keep: leave the fleet running. as_json: print a report for
    machines. directory: for logs; None: one of the demo's own, removed when all went well.
    """

    targets: tuple[Check, ...]
    keep: bool
    as_json: bool
    directory: Path | None


def check_of(target: str) -> Check:
    """The check that a URL asks for: http, https, or tcp://host:port.

    Raises:
        ValueError: it is none of these; says what to write instead.
    """
    kind, _, rest = target.partition("://")
    asked: dict[str, Any] = {"timeout": CHECK_TIMEOUT}
    if kind in ("http", "https"):
        asked |= {"kind": "http", "target": target}
    elif kind == "tcp":
        asked |= {"kind": "tcp", "target": rest.removesuffix("/")}
    else:
        raise ValueError(
            f"{target!r} is no target: write http://host/path, https://host/path or tcp://host:port"
        )
    try:
        return _CHECK.validate_python(asked)
    except ValidationError as error:
        why = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise ValueError(f"{target!r} is no target: {why.removeprefix('Value error, ')}") from None


def _target(text: str) -> Check:
    try:
        return check_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _directory(text: str) -> Path:
    path = Path(text).expanduser()
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a file: name a directory, or a new one")
    return path


def parse(arguments: Sequence[str] | None = None) -> Arguments:
    """Read the command line; what is wrong ends the process with status 2 and the reason."""
    parser = argparse.ArgumentParser(
        prog="demo",
        description="Five real nodes on a real Consul elect a leader, lose it in three ways, and "
        "a witness outside says whether two ever worked at once. Exits 0 only if all of it held.",
        epilog="With make: make demo ARGS='--keep --target https://example.org/'",
    )
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        type=_target,
        metavar="URL",
        help="poll this too: http(s)://… or tcp://host:port; may be given more than once",
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave everything running until Ctrl-C, and say where"
    )
    parser.add_argument(
        "--json", action="store_true", help="a report in JSON on stdout; the story goes to stderr"
    )
    parser.add_argument(
        "--dir",
        type=_directory,
        help="where logs stay; else they are removed when all held",
    )
    given = parser.parse_args(arguments)
    return Arguments(tuple(given.target), given.keep, given.json, given.dir)
