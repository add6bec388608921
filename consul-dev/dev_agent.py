#!/usr/bin/env python3
"""Run one Consul agent with its UI on this machine.

dev_agent.py start             in the foreground until Ctrl-C
dev_agent.py start --detach    in the background
dev_agent.py start --acl --tls deny by default, with a token for each role; speak TLS
dev_agent.py stop              ends it by its pid
dev_agent.py status
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from agents import AgentConfig, ConsulAgent, Mode, Ports, port_is_free
from command import Fleet, Security, parsers, run, serve

HTTP_PORT = 8500  # where Consul's own tools, and coord, look when nothing else is said
DNS_PORT = 8600


def usual_port(address: str, asked: int | None, usual: int) -> int:
    """Return the port asked for, else the usual one if it is free, else 0 (any free one)."""
    if asked is not None:
        return asked
    return usual if port_is_free(address, usual) else 0


def make_agent(given: argparse.Namespace, security: Security) -> ConsulAgent:
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
            token=security.token,
            acl=security.acl,
            tls=security.tls,
        )
    )


def announce(fleet: Fleet) -> None:
    """Print where the agent is found."""
    for agent in fleet.agents:
        print(f"HTTP API   {agent.http_url}")
        print(f"UI         {agent.ui_url}")
        print(f"DNS        {agent.config.address}:{agent.ports.dns}")
        print(f"pid        {agent.pid}")
        print(f"log        {agent.log_path}")


def start(given: argparse.Namespace) -> int:
    """Start the agent; stay with it unless detached."""
    return serve(given, make_agent, announce, given.address)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser, command = parsers("Run one Consul agent with its UI.", "agent", start)
    command.add_argument("--name", default="dev", help="the node's name; default: %(default)s")
    command.add_argument("--address", default="127.0.0.1", help="default: %(default)s")
    command.add_argument("--http-port", type=int, help="default: 8500 if free; 0: any free one")
    command.add_argument("--dns-port", type=int, help="default: 8600 if free; 0: any free one")
    command.add_argument("--keep-data", action="store_true", help="keep the data across restarts")
    return run(parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
