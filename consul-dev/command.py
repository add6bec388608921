"""What the commands beside this file share: `start`, `stop` and `status` by a run directory."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from agents import AgentError, ConsulAgent
from get_consul import ObtainError, get_consul
from rundir import RUN, RunDirectory
from secure import MANAGEMENT, SecureError, Tls, kept_management_token, make_tls, make_tokens


class Fleet(Protocol):
    """One agent or many, started and stopped together."""

    @property
    def agents(self) -> Sequence[ConsulAgent]:
        """Return the agents."""

    def start(self, *, guarded: bool) -> object:
        """Start them all."""

    def wait_ready(self) -> object:
        """Wait until they can be used."""

    def stop(self) -> object:
        """Stop them all."""


class Security:
    """What `--acl`, `--tls` and `--mtls` ask for, in files under the fleet's directory."""

    def __init__(self, given: argparse.Namespace, *addresses: str) -> None:
        """Make what has to be there before the agents.

        `addresses` are those of the agents. Raises SecureError, ObtainError.
        """
        self._tokens: Path = given.dir / "tokens"
        self.acl: bool = given.acl
        self.token = kept_management_token(self._tokens) if self.acl else None
        self.tls: Tls | None = None
        if given.tls or given.mtls:
            self.tls = make_tls(
                get_consul(), given.dir / "tls", addresses=addresses, mutual=given.mtls
            )

    def announce(self, agent: ConsulAgent) -> None:
        """Make the tokens by that agent, and print what a client of it needs."""
        env = {"CONSUL_HTTP_ADDR": agent.http_url if self.tls else agent.http_addr}
        if self.tls:
            env |= self.tls.environment()
        if self.acl:
            for role, path in make_tokens(agent, self._tokens).items():
                print(f"token      {path}  ({role})")
            print(f"token      {self._tokens / MANAGEMENT}  (may do everything)")
            env["CONSUL_HTTP_TOKEN_FILE"] = str(self._tokens / "candidate")
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in env.items())
        print(f"use it     export {words}")


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Yield an event that is set by SIGINT or SIGTERM, instead of what they usually do."""
    asked = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: asked.set())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def hold(agents: Sequence[ConsulAgent], rundir: RunDirectory, asked: threading.Event) -> int:
    """Stay in the foreground until a signal, `stop` from elsewhere, or an agent's own end.

    Returns the exit status: 1 only when an agent ended unasked.
    """
    while not asked.wait(0.2):
        gone = [agent for agent in agents if not agent.running]
        if gone and rundir.stopping.exists():
            return 0
        for agent in gone:
            print(f"{agent.name} ended ({agent.returncode})", file=sys.stderr)
            print(agent.log_tail(), file=sys.stderr)
        if gone:
            return 1
    return 0


def serve(
    given: argparse.Namespace,
    make: Callable[[argparse.Namespace, Security], Fleet],
    announce: Callable[[Fleet], None],
    *addresses: str,
) -> int:
    """Start the fleet; stay with it unless detached. Returns the exit status.

    Only a fleet that is ready is left running. `addresses` are those of its agents. Raises
    AgentError, ObtainError, SecureError.
    """
    rundir = RunDirectory(given.dir)
    rundir.require_idle()
    with stop_signals() as asked:
        security = Security(given, *addresses)
        fleet = make(given, security)
        left_running = False
        try:
            fleet.start(guarded=not given.detach)
            rundir.write(fleet.agents)
            fleet.wait_ready()
            announce(fleet)
            security.announce(fleet.agents[-1])
            stop = f"{sys.executable} {sys.argv[0]} stop --dir {given.dir}"
            print(f"stop it    {stop if given.detach else 'Ctrl-C'}", flush=True)
            left_running = given.detach
            return 0 if left_running else hold(fleet.agents, rundir, asked)
        finally:
            if not left_running:
                fleet.stop()
                rundir.forget()


def stop(given: argparse.Namespace) -> int:
    """End every agent that was started in this directory."""
    ended = RunDirectory(given.dir).stop()
    for entry in ended:
        print(f"stopped {entry.name} (pid {entry.pid})")
    if not ended:
        print(f"nothing is running in {given.dir}")
    return 0


def status(given: argparse.Namespace) -> int:
    """Print each agent of this directory; the exit status is 3 when none runs."""
    recorded = RunDirectory(given.dir).running()
    for entry in recorded:
        state = "running" if entry.alive else "gone"
        print(f"{entry.name:10} {state:8} pid {entry.pid}  {entry.http_url}")
    if not any(entry.alive for entry in recorded):
        print(f"nothing is running in {given.dir}")
        return 3
    return 0


def parsers(
    description: str, folder: str, start: Callable[[argparse.Namespace], int]
) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """Return the whole parser and that of `start`, to be given what is its own."""
    parser = argparse.ArgumentParser(description=description)
    commands = parser.add_subparsers(required=True)
    for name, function in (("start", start), ("stop", stop), ("status", status)):
        command = commands.add_parser(name, help=(function.__doc__ or "").split(".")[0])
        command.set_defaults(run=function)
        command.add_argument(
            "--dir", type=Path, default=RUN / folder, help="their files; default: %(default)s"
        )
    command = commands.choices["start"]
    command.add_argument("--detach", action="store_true", help="return once all is ready")
    command.add_argument("--log-level", default="info", help="default: %(default)s")
    command.add_argument("--acl", action="store_true", help="deny by default; make tokens")
    command.add_argument("--tls", action="store_true", help="speak TLS; make certificates")
    command.add_argument("--mtls", action="store_true", help="and ask clients for theirs")
    return parser, command


def run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Run the command line: 0 done, 1 with the reason on stderr, 3 nothing runs (status)."""
    given = parser.parse_args(arguments)
    given.dir = given.dir.expanduser().absolute()
    try:
        return int(given.run(given))
    except (AgentError, ObtainError, SecureError, OSError) as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return 1
