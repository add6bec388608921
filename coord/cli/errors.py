"""Errors as the command line tells them: one line each on stderr, and an exit code."""

# The names say what ended the command; an "Error" at the end of each would only add length.
# ruff: noqa: N818

from __future__ import annotations

import enum
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click


class ExitCode(enum.IntEnum):
    """The exit codes of every command, besides those of its own."""

    OK = 0
    NOT_GOOD = 1
    USAGE = 2
    CONSUL_UNREACHABLE = 3
    NOT_PERMITTED = 4
    INTERNAL = 70
    INTERRUPTED = 130


EPILOG = (
    "Exit codes: 0 done; 1 an answer that is not good news; 2 wrong usage or settings; "
    "3 Consul cannot be reached; 4 not permitted; 70 internal error; 130 interrupted."
)


class CliError(click.ClickException):
    """What ends a command: the lines for stderr. Its subclasses have the exit codes."""

    exit_code = ExitCode.INTERNAL

    def show(self, file: IO[Any] | None = None) -> None:
        """Print each line of the message, with the program's name before it."""
        for line in self.message.splitlines():
            click.echo(f"coord: {line}", file=file, err=file is None)


class BadSettings(CliError):
    """Settings that cannot be used."""

    exit_code = ExitCode.USAGE


class ConsulUnreachable(CliError):
    """Consul cannot be reached, or has no leader."""

    exit_code = ExitCode.CONSUL_UNREACHABLE


class NotPermitted(CliError):
    """The Consul token does not permit it."""

    exit_code = ExitCode.NOT_PERMITTED


class Interrupted(CliError):
    """Somebody pressed Ctrl-C."""

    exit_code = ExitCode.INTERRUPTED


@contextmanager
def cli_errors(*, show_traceback: bool) -> Iterator[None]:
    """Turn whatever a command raises into a `CliError`; click's own errors pass."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
        raise
    except (KeyboardInterrupt, click.Abort):
        raise Interrupted("interrupted") from None
    except Exception as error:
        known = _known(error)
        if known is not None:
            raise known from None
        if show_traceback:
            click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
        raise CliError(
            f"internal error: {type(error).__name__}: {error or 'no details'}; "
            "`coord --traceback …` shows where"
        ) from None


def _known(error: Exception) -> CliError | None:
    # Here, because only now it matters what they are.
    from coord.config import SettingsError
    from coord.consul.errors import ConsulError, ConsulNotPermitted, ConsulUnavailable
    from coord.workloads import WorkloadError

    if isinstance(error, SettingsError):
        return BadSettings(str(error))
    if isinstance(error, WorkloadError):
        return BadSettings(
            f"{_one_line(error)}; correct --workloads (COORDINATOR_WORKLOADS) or what it names"
        )
    if isinstance(error, ConsulNotPermitted):
        return NotPermitted(
            f"not permitted: {_one_line(error)}; give a token that may, in CONSUL_HTTP_TOKEN_FILE"
        )
    if isinstance(error, ConsulUnavailable):
        what = "Consul has no leader" if error.no_leader else "Consul cannot be reached"
        return ConsulUnreachable(
            f"{what}: {_one_line(error)}; see that it runs, and that CONSUL_HTTP_ADDR names it"
        )
    if isinstance(error, ConsulError):
        return CliError(f"Consul refused: {_one_line(error)}")
    if isinstance(error, ExceptionGroup):
        known = [_known(inner) for inner in error.exceptions]
        return known[0] if all(known) else None
    return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
