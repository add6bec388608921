#!/usr/bin/env python3
"""Run a Consul cluster on this machine's loopback addresses, without root.

    cluster.py start --clients 2             3 servers and 2 client agents, until Ctrl-C
    cluster.py start --detach --fast-gossip  in the background
    cluster.py start --acl --mtls            deny by default, a token for each role; speak TLS
    cluster.py status
    cluster.py stop                          ends every agent by its pid

From Python: ``Cluster(ClusterConfig(directory=...))``, used as ``ConsulAgent`` is.
"""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from agents import AgentConfig, AgentError, ConsulAgent, Mode
from command import Fleet, Security, parsers, run, serve
from get_consul import get_consul
from secure import Tls


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """What the cluster shall be; ``raft_multiplier`` None is Consul's own default of 5.

    ``token``, ``acl`` and ``tls`` are every agent's, see ``AgentConfig``.
    """

    directory: Path
    servers: int = 3
    clients: int = 0
    raft_multiplier: int | None = 1
    fast_gossip: bool = False
    log_level: str = "info"
    binary: Path | None = None
    token: str | None = field(default=None, repr=False)
    acl: bool = False
    tls: Tls | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        if self.servers < 1 or self.clients < 0 or self.servers + self.clients > 200:
            raise AgentError(
                f"servers={self.servers}, clients={self.clients}: take at least 1 server, "
                "no negative number, at most 200 agents together"
            )


def loopback(number: int) -> str:
    """Return 127.0.0.(number + 1), or 127.0.0.1 where only that one exists (macOS)."""
    address = f"127.0.0.{number + 1}"
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return "127.0.0.1"
    return address


class Cluster:
    """Servers ``server-1`` … and client agents ``client-1`` …, each on its own address."""

    def __init__(self, config: ClusterConfig) -> None:
        """Choose all ports and write all files; nothing is started yet.

        Raises AgentError when the directory holds a cluster of another number of servers.
        """
        kept = len(list(config.directory.glob("server-*/data")))
        if kept not in (0, config.servers):
            raise AgentError(
                f"{config.directory} holds the data of {kept} servers, not {config.servers}: "
                "take another directory, or remove this one"
            )
        self.config = config
        self._binary = config.binary or get_consul()
        self.servers: list[ConsulAgent] = []
        self.clients: list[ConsulAgent] = []
        for number in range(1, config.servers + 1):
            self.servers.append(self._agent(f"server-{number}", Mode.SERVER, number))
        for number in range(1, config.clients + 1):
            place = config.servers + number
            self.clients.append(self._agent(f"client-{number}", Mode.CLIENT, place))
        everybody = tuple(server.serf_addr for server in self.servers)
        for agent in self.agents:
            agent.reconfigure(retry_join=everybody)

    @property
    def agents(self) -> list[ConsulAgent]:
        """Return the servers, then the clients."""
        return [*self.servers, *self.clients]

    def start(self, *, wipe: bool = False, guarded: bool = True) -> Self:
        """Start every agent, ``wipe`` without its old data; see ``wait_ready``."""
        for agent in self.agents:
            agent.start(wipe=wipe, guarded=guarded)
        return self

    def wait_ready(self, timeout_s: float = 90.0) -> Self:
        """Wait for a leader, every server a voter, every node known and passing.

        Raises AgentError with the tail of a log.
        """
        for agent in self.agents:
            agent.wait_ready(timeout_s)
        first = self.servers[0]
        first.wait_until(
            lambda: self.voters() == len(self.servers), "see every server vote", timeout_s
        )
        return self

    def voters(self) -> int:
        """Return how many servers take part in raft's votes. Raises AgentError, OSError."""
        raft = self.servers[0].get_json("/v1/operator/raft/configuration")
        return sum(1 for server in raft["Servers"] if server["Voter"])

    def leader(self) -> ConsulAgent | None:
        """Return the server that leads by the word of the first that answers, or None."""
        for asked in self.servers:
            try:
                address = asked.get_json("/v1/status/leader")
            except (OSError, AgentError):
                continue
            for server in self.servers:
                if address == f"{server.config.address}:{server.ports.server}":
                    return server
        return None

    def stop(self) -> None:
        """End every agent, the clients first."""
        for agent in reversed(self.agents):
            agent.stop()

    def kill(self) -> None:
        """End every agent with SIGKILL."""
        for agent in self.agents:
            agent.kill()

    def __enter__(self) -> Self:
        """Start and wait until ready; stopped again if it never gets there."""
        try:
            return self.start().wait_ready()
        except BaseException:
            self.kill()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def _agent(self, name: str, mode: Mode, number: int) -> ConsulAgent:
        config = self.config
        agent = ConsulAgent(
            AgentConfig(
                name=name,
                directory=config.directory / name,
                mode=mode,
                address=loopback(number),
                binary=self._binary,
                bootstrap_expect=config.servers,
                raft_multiplier=config.raft_multiplier,
                fast_gossip=config.fast_gossip,
                log_level=config.log_level,
                token=config.token,
                acl=config.acl,
                tls=config.tls,
            )
        )
        return agent


def make_cluster(given: argparse.Namespace, security: Security) -> Cluster:
    """Return the cluster that the command line describes. Raises AgentError, ObtainError."""
    return Cluster(
        ClusterConfig(
            directory=given.dir,
            servers=given.servers,
            clients=given.clients,
            raft_multiplier=given.raft_multiplier,
            fast_gossip=given.fast_gossip,
            log_level=given.log_level,
            token=security.token,
            acl=security.acl,
            tls=security.tls,
        )
    )


def announce(fleet: Fleet) -> None:
    """Print where the agents are found."""
    for agent in fleet.agents:
        print(f"{agent.name:10} {agent.http_url}  pid {agent.pid}")
    print(f"UI         {fleet.agents[0].ui_url}")


def start(given: argparse.Namespace) -> int:
    """Start the cluster; stay with it unless detached."""
    numbers = range(1, given.servers + given.clients + 1)
    return serve(given, make_cluster, announce, *map(loopback, numbers))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser, command = parsers("Run a Consul cluster on loopback addresses.", "cluster", start)
    command.add_argument("--servers", type=int, default=3, help="default: %(default)s")
    command.add_argument("--clients", type=int, default=0, help="default: %(default)s")
    command.add_argument("--raft-multiplier", type=int, default=1, help="default: %(default)s")
    command.add_argument("--fast-gossip", action="store_true", help="see failed hosts sooner")
    return run(parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
