"""Real node processes on a real Consul: start them, harm them, see what they say.

    async with Witness() as witness, Fleet("127.0.0.1:8500", tmp_path, witness=witness) as fleet:
        await fleet.start("core-1", "core-2", "poller-1")
        leader = await fleet.leader()
        killed_at = leader.kill()
        seen = await witness.next_leader(...)

Each node keeps its port across restarts and writes all it says into one file, ``<name>.log``.
Whatever becomes of the process that owns a fleet, its nodes die with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from coord.config import Settings
from coord.consul import Consistency, ConsulClient, ConsulError
from coord.records import LeaderRecord, LeaderState, Paths, RecordError
from demo import REPO
from demo.line import WITNESS_VARIABLE
from demo.witness import Witness
from processes import Guard, freeze_child, wait_gone

__all__ = ["DEFAULT_WORKLOADS", "Fleet", "Node", "NodeError", "Place"]

DEFAULT_WORKLOADS = "cluster-health,poll-orchestrator,demo.work:Pulse"

GENEROUS_S = 30.0
LOOK_S = 0.02
"""Pause between two looks at what offers nothing to wait on."""

_NOT_INHERITED = ("CONSUL_", "COORDINATOR_", "COORD_", "CLUSTER_COORDINATOR", "SERVICERADAR_")


class NodeError(Exception):
    """A node did not do what was asked; the message ends with its log's path and last lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a node runs that is not simply here: a network namespace, say.

    prefix: the words before its command, e.g. ``nsenter --net=…``; what they start must become the
        node itself, under the same pid.
    reach: ``host:port`` at which this process reaches its HTTP API. The settings say where the node
        listens.
    """

    prefix: tuple[str, ...]
    reach: str


class Node:
    """One node, as a process that can be started again and again. Made by `Fleet.add`."""

    def __init__(
        self,
        name: str,
        log_path: Path,
        environment: Mapping[str, str],
        place: Place | None = None,
    ) -> None:
        self.name = name
        self.log_path = log_path
        self.environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._prefix = place.prefix if place else ()
        self._port: socket.socket | None = None
        self.address = place.reach if place else self._reserve_port()
        """``host:port`` of its HTTP API."""

    def _reserve_port(self) -> str:
        self._port = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Bound and never listening: the port stays ours between two starts, and the node, which
        # sets the same option, can bind it too.
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._port.bind(("127.0.0.1", 0))
        address = "{}:{}".format(*self._port.getsockname())
        self.environment["COORDINATOR_LISTEN"] = address
        return address

    def __repr__(self) -> str:
        return f"<Node {self.name}{f' pid {self._process.pid}' if self._process else ''}>"

    # -- what it is ------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Of its HTTP API, without a slash at its end."""
        return f"http://{self.address}"

    @property
    def pid(self) -> int:
        """Of its present or last process. Raises NodeError: it was never started."""
        if self._process is None:
            raise NodeError(f"{self.name} was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there; a frozen one is."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """How it ended, negative by that signal; None while it runs, or if it never did."""
        return None if self._process is None else self._process.poll()

    # -- its process -----------------------------------------------------------------------

    async def start(
        self, *, timeout_s: float = GENEROUS_S, env: Mapping[str, str] | None = None
    ) -> Self:
        """Start it, again on the same port, and wait until its HTTP API answers.

        env: variables for this start and all later ones.

        Raises:
            NodeError: it runs already, or does not answer in time, or has ended.
        """
        if self.running:
            raise NodeError(f"{self.name} runs already, as process {self.pid}")
        self.environment |= env or {}
        self._spawn()
        await self._until_answering(timeout_s)
        return self

    def _spawn(self) -> None:
        guard = Guard.mine()  # before the process: no moment without it
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, sys.executable, "-m", "coord", "node", "--node", self.name],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is the owner's to answer
            )
        guard.add(self._process.pid)

    async def _until_answering(self, timeout_s: float) -> None:
        end = time.monotonic() + timeout_s
        while True:
            if not self.running:
                raise self._error(f"ended at once ({self.returncode})")
            with contextlib.suppress(httpx.HTTPError):
                await self.get("/api/health/live", timeout_s=timeout_s)
                return
            if time.monotonic() > end:
                raise self._error(f"does not answer on {self.address} after {timeout_s:g} s")
            await asyncio.sleep(LOOK_S)

    async def restart(self, *, timeout_s: float = GENEROUS_S) -> Self:
        """Start it again, ending it gracefully first if it still runs."""
        if self.running:
            self.terminate()
            await self.wait_exit(timeout_s=timeout_s)
        return await self.start(timeout_s=timeout_s)

    def terminate(self) -> float:
        """Ask it to end gracefully (SIGTERM). Gives the moment, in CLOCK_MONOTONIC seconds."""
        return self._send(signal.SIGTERM)

    def kill(self) -> float:
        """SIGKILL it. Gives the moment, in CLOCK_MONOTONIC seconds."""
        return self._send(signal.SIGKILL)

    def freeze(self) -> float:
        """SIGSTOP it, and wait until it stands still. Gives the moment of the signal."""
        if not self.running:
            raise self._error("is not running and cannot be frozen")
        at = time.monotonic()
        freeze_child(self.pid)
        return at

    def wake(self) -> float:
        """SIGCONT it. Gives the moment, in CLOCK_MONOTONIC seconds."""
        return self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> float:
        if self._process is None or not self.running:
            raise self._error(f"is not running and cannot get {number.name}")
        at = time.monotonic()
        self._process.send_signal(number)
        return at

    async def wait_exit(self, *, timeout_s: float = GENEROUS_S) -> int:
        """Wait until it has ended; gives its exit status, negative for a signal.

        Raises NodeError when it has not ended in time.
        """
        pid = self.pid
        if self.running and not await asyncio.to_thread(wait_gone, pid, timeout_s):
            raise self._error(f"(pid {pid}) has not ended within {timeout_s:g} s")
        assert self._process is not None
        status = self._process.wait()
        Guard.mine().remove(pid)
        return status

    async def stop(self, *, grace_s: float = 10.0) -> None:
        """End it: gracefully if it can be had within `grace_s` (0: do not ask), else by SIGKILL."""
        if self.running and grace_s > 0:
            self.terminate()
            self.wake()  # a frozen one could not answer
            with contextlib.suppress(NodeError):
                await self.wait_exit(timeout_s=grace_s)
        if self.running:
            self.kill()
        if self._process is not None:
            await self.wait_exit()

    def close(self) -> None:
        """Give its port back; it cannot be started after that."""
        if self._port is not None:
            self._port.close()

    # -- what it says ----------------------------------------------------------------------

    async def get(self, path: str, *, timeout_s: float = 5.0) -> httpx.Response:
        """GET a path of its HTTP API. Raises httpx.HTTPError."""
        async with httpx.AsyncClient(
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False, timeout=timeout_s
        ) as client:  # plain http: no CAs to load, again and again
            return await client.get(self.url + path)

    async def health(self, *, timeout_s: float = 5.0) -> dict[str, Any]:
        """What ``/api/health`` says, whatever its status. Raises httpx.HTTPError."""
        body: dict[str, Any] = (await self.get("/api/health", timeout_s=timeout_s)).json()
        return body

    async def state(self, *wanted: str, timeout_s: float = GENEROUS_S) -> str:
        """Its election state, as ``/api/health`` has it; with `wanted`, once it is one of these.

        Raises NodeError when it is not so in time, or the node has ended.
        """
        end = time.monotonic() + timeout_s
        last = "no answer"
        while True:
            with contextlib.suppress(httpx.HTTPError):
                last = str((await self.health())["state"])
                if not wanted or last in wanted:
                    return last
            if not self.running:
                raise self._error(f"has ended ({self.returncode}); its last state was {last}")
            if time.monotonic() > end:
                want = " or ".join(wanted) or "anything"
                raise self._error(f"did not come to {want} within {timeout_s:g} s, but: {last}")
            await asyncio.sleep(LOOK_S)

    def log(self) -> list[dict[str, Any]]:
        """All log lines of all its starts; lines that are no JSON are left out."""
        lines: list[dict[str, Any]] = []
        with contextlib.suppress(FileNotFoundError):
            for line in self.log_path.read_text(errors="replace").splitlines():
                with contextlib.suppress(ValueError):
                    said = json.loads(line)
                    if isinstance(said, dict):
                        lines.append(said)
        return lines

    def events(self, name: str) -> list[dict[str, Any]]:
        """Its log lines of that event: ``became_leader`` or a name in full."""
        return [line for line in self.log() if f".{line.get('event')}".endswith(f".{name}")]

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of its log, each cut to a readable length."""
        try:
            text = self.log_path.read_text(errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(line[:400] for line in text.splitlines()[-lines:])

    def _error(self, what: str) -> NodeError:
        return NodeError(f"{self.name} {what}\nlog {self.log_path} ends with\n{self.log_tail()}")


class Fleet:
    """Nodes of one election on one Consul; use it as an async context manager.

    Args:
        consul_addr: as in CONSUL_HTTP_ADDR.
        run_dir: for the logs; made if need be.
        witness: started; the nodes' `Pulse` sends to it.
        env: variables for every node: settings of the nodes, knobs of `demo.misbehaviour`.
        workloads: as in COORDINATOR_WORKLOADS.
        election: as in COORDINATOR_ELECTION.
        token: a Consul token, for the nodes and for this object's own questions.
        more: gives further variables for a node by its settings; they are not for this object.
    """

    def __init__(
        self,
        consul_addr: str,
        run_dir: Path,
        *,
        witness: Witness | None = None,
        env: Mapping[str, str] | None = None,
        workloads: str = DEFAULT_WORKLOADS,
        election: str = "coordinator",
        token: str | None = None,
        more: Callable[[Settings], Mapping[str, str]] | None = None,
    ) -> None:
        self.nodes: dict[str, Node] = {}
        self.paths = Paths(election)
        self.run_dir = run_dir
        run_dir.mkdir(parents=True, exist_ok=True)
        self._more = more
        self._environment = {
            "CONSUL_HTTP_ADDR": consul_addr,
            "COORDINATOR_WORKLOADS": workloads,
            "COORDINATOR_ELECTION": election,
            "COORDINATOR_LOG_FORMAT": "json",
        }
        if token:
            self._environment["CONSUL_HTTP_TOKEN"] = token
        if witness is not None:
            self._environment[WITNESS_VARIABLE] = witness.address
        self._environment |= env or {}
        ours = {k: v for k, v in self._environment.items() if k.startswith("CONSUL_")}
        address = Settings(environ=ours, node="fleet").consul_address
        self._address = replace(address, token=token) if token else address

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def add(
        self, name: str, *, env: Mapping[str, str] | None = None, place: Place | None = None
    ) -> Node:
        """A further node, not started yet. `env`: variables for it alone; `place`: where it runs.

        Its kind follows from its name: ``core-1``, ``web-1``, ``poller-1``.
        """
        if name in self.nodes:
            raise ValueError(f"there is a node {name} already")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
        path = os.pathsep.join(filter(None, (str(REPO), inherited.get("PYTHONPATH"))))
        whole = inherited | {"PYTHONPATH": path} | self._environment | dict(env or {})
        if self._more is not None:
            ours = {k: v for k, v in whole.items() if k.startswith("COORDINATOR_")}
            whole |= self._more(Settings(environ=ours, node=name))
        node = Node(name, self.run_dir / f"{name}.log", whole, place)
        self.nodes[name] = node
        return node

    async def start(self, *names: str, env: Mapping[str, str] | None = None) -> list[Node]:
        """Start these nodes at the same time, adding those that are not there yet.

        env: variables for them, for this start and all later ones.
        """
        nodes = [self.nodes.get(name) or self.add(name) for name in names]
        await asyncio.gather(*(node.start(env=env) for node in nodes))
        return nodes

    async def stop(self, *, grace_s: float = 10.0) -> None:
        """End all nodes at the same time."""
        await asyncio.gather(*(node.stop(grace_s=grace_s) for node in self.nodes.values()))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            # Whoever failed has no need of a graceful end.
            await asyncio.shield(self.stop(grace_s=10.0 if kind is None else 0.0))
        finally:
            for node in self.nodes.values():
                node.close()

    # -- who leads -------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def consul(self) -> AsyncIterator[ConsulClient]:
        """A client of the fleet's Consul."""
        async with ConsulClient(self._address) as client:
            yield client

    async def leader_record(
        self, *, after_term: int | None = None, timeout_s: float = GENEROUS_S
    ) -> LeaderRecord:
        """The leader key's record once it is held, in a term newer than `after_term` if given.

        Raises TimeoutError when that is not so in time.
        """
        index: int | None = None
        async with asyncio.timeout(timeout_s), self.consul() as consul:
            while True:
                try:
                    reply = await consul.kv_get(
                        self.paths.leader,
                        consistency=Consistency.CONSISTENT,
                        index=index,
                        wait_s=None if index is None else 10.0,
                    )
                except ConsulError:
                    index = None
                    await asyncio.sleep(LOOK_S)
                    continue
                # An index that goes back would block for the whole wait.
                index = reply.index if index is None or reply.index >= index else None
                entry = reply.value
                if entry is None or entry.session is None:
                    continue
                try:
                    record = LeaderRecord.decode(entry.value)
                except RecordError:
                    continue  # a test may have written it; the next version may be readable
                if record.state is LeaderState.HELD and record.term > (after_term or 0):
                    return record

    async def leader(self, *, after_term: int | None = None, timeout_s: float = GENEROUS_S) -> Node:
        """The node that holds the leader key, as Consul says; see `leader_record`."""
        return self.nodes[
            (await self.leader_record(after_term=after_term, timeout_s=timeout_s)).node
        ]
