"""Errors as the command line tells them: one line each on stderr, and an exit code."""

# The names say what ended the command; an "Error" at the end of each would only add length.
# ruff: noqa: N818

from __future__ import annotations

import enum
import errno
import json
import os
import socket
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from coord.consul.errors import ConsulError


class ExitCode(enum.IntEnum):
    """The exit codes of every command, besides those of its own."""

    OK = 0
    NOT_GOOD = 1
    USAGE = 2
    CONSUL_UNREACHABLE = 3
    NOT_PERMITTED = 4
    REFUSED = 5
    """Of operations alone: nothing was changed, as it is not as it was thought to be."""
    INTERNAL = 70
    INTERRUPTED = 130
    UNREAD = 141
    """Whoever was to read the output has gone, as `head` does: as the signal SIGPIPE is told."""


def _epilog(*between: str) -> str:
    """What every command's help ends with. between: what stands for the codes 3 to 6."""
    first = ("0 done", "1 an answer that is not good news", "2 wrong usage or settings")
    last = ("70 internal error", "130 interrupted", "141 nobody reads the output any more")
    return f"Exit codes: {'; '.join((*first, *between, *last))}."


_ASKING = ("3 Consul cannot be reached", "4 not permitted")
OFFLINE_EPILOG = _epilog()
"""Of commands that ask nothing of Consul."""
EPILOG = _epilog(*_ASKING)
"""Of commands that look."""
CHANGING_EPILOG = _epilog(*_ASKING, "5 refused, nothing was changed")
"""Of commands that change what stands in Consul."""
EVERY_EPILOG = _epilog(*_ASKING, "5 refused (Act alone)", "6 something critical (doctor alone)")
"""Of all of them together."""


class CliError(click.ClickException):
    """What ends a command: the lines for stderr. Its subclasses have the exit codes."""

    exit_code = ExitCode.INTERNAL
    program = "coord"

    def as_json(self) -> str:
        """The same as one line of JSON, for whoever reads stdout alone."""
        said = {"kind": "error", "code": ExitCode(self.exit_code).name.lower()}
        return json.dumps(said | {"exit_code": int(self.exit_code), "message": self.message})

    def show(self, file: IO[Any] | None = None) -> None:
        """Print each line of the message, with the program's name before it."""
        for line in self.message.splitlines():
            click.echo(f"{self.program}: {line}", file=file, err=file is None)


class CannotWrite(CliError):
    """The output cannot be written."""

    exit_code = ExitCode.NOT_GOOD


class BadSettings(CliError):
    """Settings that cannot be used."""

    exit_code = ExitCode.USAGE


class BadUsage(CliError):
    """What was said on the command line does not go together."""

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
def cli_errors(*, show_traceback: bool, program: str = "coord") -> Iterator[None]:
    """Turn whatever a command of `program` raises into a `CliError`; click's own errors pass."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit):
        raise
    except BrokenPipeError:
        discard_stdout()
        raise click.exceptions.Exit(ExitCode.UNREAD) from None
    except (KeyboardInterrupt, click.Abort):
        raise Interrupted("interrupted") from None
    except Exception as error:
        known = known_error(error)
        if known is not None:
            raise known from None
        if show_traceback:
            click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
        raise CliError(
            f"internal error: {type(error).__name__}: {error or 'no details'}; "
            f"`{program} --traceback …` shows where"
        ) from None


def discard_stdout() -> None:
    """What is left to be written goes nowhere: else the interpreter fails over it as it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def known_error(error: Exception) -> CliError | None:
    """What an error means for whoever typed the command; None: nobody has foreseen it."""
    # Here, because only now it matters what they are.
    from coord.config import SettingsError, env_name, flag_name
    from coord.consul.errors import ConsulError
    from coord.plugins import PluginError

    if isinstance(error, CliError):
        return error
    if isinstance(error, SettingsError):
        return BadSettings(str(error))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        discard_stdout()
        return CannotWrite(f"the output cannot be written: {error.strerror}; make room for it")
    if isinstance(error, PluginError):
        setting = f"{flag_name(error.field)} ({env_name(error.field)})"
        return BadSettings(f"{_one_line(error)}; correct {setting} or what it names")
    if isinstance(error, ConsulError):
        return consul_failure(error)
    if isinstance(error, ExceptionGroup):
        known = [known_error(inner) for inner in error.exceptions]
        return known[0] if all(known) else None
    return None


def consul_failure(error: ConsulError) -> CliError:
    """What Consul's answer, or its absence, means for who asked, and what to do about it."""
    from coord.consul.errors import ConsulNotPermitted, ConsulUnavailable

    said = _one_line(error)
    if isinstance(error, ConsulNotPermitted):
        return NotPermitted(
            f"not permitted: {said}; give a token that may, in CONSUL_HTTP_TOKEN_FILE"
        )
    for mark, advice in _TRANSPORT_ADVICE.items():
        if mark in error.detail:
            return ConsulUnreachable(f"Consul cannot be reached: {error.operation}: {advice}")
    if _unlike_consul(error):
        return ConsulUnreachable(
            f"what answers there does not answer like Consul: {said[:120]}; give the address of a "
            "Consul agent's HTTP port (8500 unless changed) in CONSUL_HTTP_ADDR or --consul-addr"
        )
    if isinstance(error, ConsulUnavailable):
        what = "Consul has no leader" if error.no_leader else "Consul cannot be reached"
        return ConsulUnreachable(
            f"{what}: {said}; see that it runs, and that CONSUL_HTTP_ADDR names it"
        )
    return CliError(f"Consul refused: {said}")


# For advice alone: a transport has only words for these, and nothing is decided by them.
_TRANSPORT_ADVICE = {
    "HTTP request to an HTTPS server": "this port speaks TLS; write https:// before the address "
    "(or set CONSUL_HTTP_SSL=true), or name the plain HTTP port (8500 unless changed)",
    "WRONG_VERSION_NUMBER": "this port does not speak TLS; write http:// before the address (and "
    "leave CONSUL_HTTP_SSL unset), or name the HTTPS port (8501 unless changed)",
    "record layer failure": "this port does not speak TLS; write http:// before the address (and "
    "leave CONSUL_HTTP_SSL unset), or name the HTTPS port (8501 unless changed)",
    "CERTIFICATE_VERIFY_FAILED": "its certificate cannot be verified; name the authority that "
    "signed it in CONSUL_CACERT, and the host as the certificate has it in CONSUL_HTTP_ADDR",
    "asking for a client certificate": "it hangs up; it may ask for a client certificate: name "
    "one in CONSUL_CLIENT_CERT and its key in CONSUL_CLIENT_KEY; else see that it runs",
    "illegal status line": "what answers there does not speak HTTP; name the agent's HTTP port "
    "(8500 unless changed)",
}

_NEVER_CONSULS = (404, 405, 411, 501)


def _unlike_consul(error: ConsulError) -> bool:
    """Whether no Consul would answer so: pages, redirections, or not knowing Consul's own paths."""
    from coord.consul.errors import ConsulNotFound

    status = getattr(error, "status", None)
    if isinstance(error, ConsulNotFound):
        return True
    return status is not None and (200 <= status < 400 or status in _NEVER_CONSULS)


class CannotListen(CliError):
    """The address of the node's own server cannot be had."""

    exit_code = ExitCode.NOT_GOOD


def cannot_listen(where: str, error: OSError) -> CannotListen:
    """Why the node cannot listen on `where` (host:port), and what to do about just that."""
    return CannotListen(f"cannot listen on {where}: {listen_advice(where, error)}")


def listen_advice(where: str, error: OSError) -> str:
    """What went wrong and what helps, for an address (host:port) that cannot be bound."""
    name = "another with --listen (COORDINATOR_LISTEN)"
    port = where.rpartition(":")[2]
    if error.errno in (errno.EACCES, errno.EPERM):
        if port.isdecimal() and 0 < int(port) < 1024:
            return (
                "not permitted: ports below 1024 need rights (CAP_NET_BIND_SERVICE); "
                "name one from 1024 on with --listen (COORDINATOR_LISTEN)"
            )
        return f"not permitted by the system; name {name}"
    if error.errno == errno.EADDRINUSE:
        return f"in use: another process listens there; end that one, or name {name}"
    if error.errno == errno.EADDRNOTAVAIL:
        return "not an address of this machine; name one that is, or 0.0.0.0 for all, with --listen"
    if isinstance(error, socket.gaierror):
        return f"the host name cannot be resolved; name {name}"
    return f"{error.strerror or error}; name {name}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
