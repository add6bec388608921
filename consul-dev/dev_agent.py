#!/usr/bin/env python3
"""Run one Consul agent with its UI on this machine.

dev_agent.py start             in the foreground until Ctrl-C
dev_agent.py start --detach    in the background
dev_agent.py stop              ends it by its pid
dev_agent.py status
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from agents import AgentConfig, AgentError, ConsulAgent, Mode, Ports, port_is_free
from get_consul import ObtainError
from rundir import RUN, RunDirectory, hold, stop_signals

HTTP_PORT = 8500  # where Consul's own tools, and coord, look when nothing else is said
DNS_PORT = 8600


def usual_port(address: str, asked: int | None, usual: int) -> int:
    """Return the port asked for, else the usual one if it is free, else 0 (any free one)."""
    if asked is not None:
        return asked
    return usual if port_is_free(address, usual) else 0


def make_agent(given: argparse.Namespace) -> ConsulAgent:
    """Return the agent that the command line describes. Raises AgentError, ObtainError."""
    ports = Ports(
        http=usual_port(given.address, given.http_port, HTTP_PORT),
        dns=usual_port(given.address, given.dns_port, DNS_PORT),
    )
    return ConsulAgent(
        AgentConfig(
            name=given.name,
            directory=given.dir,
            mode=Mode.SERVER if given.keep_data else Mode.DEV,
            address=given.address,
            ports=ports,
            log_level=given.log_level,
        )
    )


def start(given: argparse.Namespace) -> int:
    """Start the agent; stay with it unless detached. Returns the exit status."""
    rundir = RunDirectory(given.dir)
    rundir.require_idle()
    with stop_signals() as asked:
        agent = make_agent(given)
        detached = False
        try:
            agent.start(guarded=not given.detach)
            rundir.write([agent])
            agent.wait_ready()
            announce(agent, given)
            detached = given.detach
            return 0 if detached else hold([agent], rundir, asked)
        finally:
            if not detached:
                agent.stop()
                rundir.forget()


def announce(agent: ConsulAgent, given: argparse.Namespace) -> None:
    """Print where the agent is found, and how it is stopped."""
    stop = f"{sys.executable} {sys.argv[0]} stop --dir {given.dir}"
    print(f"HTTP API  {agent.http_url}")
    print(f"UI        {agent.ui_url}")
    print(f"DNS       {agent.config.address}:{agent.ports.dns}")
    print(f"pid       {agent.pid}")
    print(f"log       {agent.log_path}")
    print(f"use it    export CONSUL_HTTP_ADDR={agent.http_addr}")
    print(f"stop it   {stop}" if given.detach else "stop it   Ctrl-C", flush=True)


def stop(given: argparse.Namespace) -> int:
    """End the agent that was started in this directory."""
    ended = RunDirectory(given.dir).stop()
    for entry in ended:
        print(f"stopped {entry.name} (pid {entry.pid})")
    if not ended:
        print(f"nothing is running in {given.dir}")
    return 0


def status(given: argparse.Namespace) -> int:
    """Print what runs in this directory; the exit status is 3 when nothing does."""
    alive = [entry for entry in RunDirectory(given.dir).running() if entry.alive]
    for entry in alive:
        print(f"{entry.name}  pid {entry.pid}  {entry.http_url}/ui/")
    if not alive:
        print(f"nothing is running in {given.dir}")
    return 0 if alive else 3


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description="Run one Consul agent with its UI.")
    commands = parser.add_subparsers(required=True)
    for name, function in (("start", start), ("stop", stop), ("status", status)):
        command = commands.add_parser(name, help=(function.__doc__ or "").split(".")[0])
        command.set_defaults(run=function)
        command.add_argument(
            "--dir", type=Path, default=RUN / "agent", help="its files; default: %(default)s"
        )
    command = commands.choices["start"]
    command.add_argument("--detach", action="store_true", help="return once it is ready")
    command.add_argument("--name", default="dev", help="the node's name; default: %(default)s")
    command.add_argument("--address", default="127.0.0.1", help="default: %(default)s")
    command.add_argument("--http-port", type=int, help="default: 8500 if free; 0: any free one")
    command.add_argument("--dns-port", type=int, help="default: 8600 if free; 0: any free one")
    command.add_argument("--keep-data", action="store_true", help="keep the data across restarts")
    command.add_argument("--log-level", default="info", help="default: %(default)s")
    given = parser.parse_args(arguments)
    given.dir = given.dir.expanduser().absolute()
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: 0 done, 1 with the reason on stderr, 3 nothing runs (status)."""
    given = parse(arguments)
    try:
        return int(given.run(given))
    except (AgentError, ObtainError, OSError) as error:
        print(f"dev_agent: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
