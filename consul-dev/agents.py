"""A Consul agent as an object, for tests, the demo and the commands beside this file.

``consul-dev`` is no package (its name has a dash): put the directory on ``sys.path``,
then ``from agents import AgentConfig, ConsulAgent``. Standard library only, synchronous;
from asyncio use ``asyncio.to_thread``.

    with ConsulAgent(AgentConfig(name="one", directory=tmp_path)) as agent:
        ...  # agent.http_url is ready: Consul has a leader and knows this node

Every agent has all its ports to itself, keeps node id and ports in its directory, and dies
with the process that started it unless it was started with ``guarded=False``.
"""

from __future__ import annotations

import contextlib
import enum
import http.client
import json
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from get_consul import consul_version, get_consul
from processes import Guard, clean_environment, freeze_child
from secure import Tls, acl_settings, connection, version_of, write_secret

FAST_GOSSIP: Mapping[str, object] = {
    "gossip_interval": "50ms",
    "probe_interval": "200ms",
    "probe_timeout": "100ms",
    "suspicion_mult": 2,
}


class AgentError(Exception):
    """An agent did not do what was asked; the message ends with the tail of its log."""


class Mode(enum.Enum):
    """What kind of agent: DEV keeps nothing on disk, the others keep their data directory."""

    DEV = "dev"
    SERVER = "server"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Ports:
    """One agent's ports; 0 stands for "any free one" until ``fill`` has chosen."""

    http: int = 0
    dns: int = 0
    serf_lan: int = 0
    serf_wan: int = 0
    server: int = 0

    def fill(self, address: str) -> Ports:
        """Return these ports with every 0 replaced by one free on ``address`` (TCP and UDP).

        Raises AgentError when a port that was asked for is taken.
        """
        chosen: dict[str, int] = {}
        with contextlib.ExitStack() as held:  # all held together, so that none is given twice
            for item in fields(self):
                asked = getattr(self, item.name)
                port = _hold_port(address, asked, held)
                if port is None:
                    raise AgentError(f"port {asked} ({item.name}) on {address} is taken")
                chosen[item.name] = port
        return Ports(**chosen)


def _hold_port(address: str, asked: int, held: contextlib.ExitStack) -> int | None:
    for _ in range(1 if asked else 50):
        with contextlib.ExitStack() as pair:
            tcp = pair.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            udp = pair.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            try:
                tcp.bind((address, asked))
                udp.bind((address, tcp.getsockname()[1]))
            except OSError:
                continue
            held.enter_context(pair.pop_all())
            return int(tcp.getsockname()[1])
    return None


def port_is_free(address: str, port: int) -> bool:
    """Say whether ``port`` can be bound on ``address`` now, for TCP and UDP."""
    with contextlib.ExitStack() as held:
        return _hold_port(address, port, held) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """What an agent shall be.

    ``directory`` holds its config, log, node id and data. ``extra`` is merged into the
    agent's own configuration last (ACLs, TLS, anything Consul documents). ``token`` is
    used by ``wait_ready`` and ``request`` only. ``raft_multiplier`` None is Consul's own
    default (5 for servers).

    ``prefix`` are words before the command, of something that becomes the agent under the
    same pid (``nsenter --net=…``). What is free where that leads cannot be found out from
    here, so all ports must be given. ``http_host`` is where this process reaches the HTTP
    API if not at ``address``.
    """

    name: str
    directory: Path
    mode: Mode = Mode.DEV
    address: str = "127.0.0.1"
    ports: Ports = Ports()
    binary: Path | None = None
    bootstrap_expect: int = 1
    retry_join: tuple[str, ...] = ()
    raft_multiplier: int | None = 1
    fast_gossip: bool = False
    log_level: str = "info"
    token: str | None = field(default=None, repr=False)
    acl: bool = False
    tls: Tls | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    http_host: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        if self.acl and not self.token:
            raise AgentError(f"{self.name}: with ACLs there must be a token that may do everything")


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``over`` merged in, objects into objects."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def agent_settings(config: AgentConfig, ports: Ports, node_id: str, version: str) -> dict[str, Any]:
    """Return the agent's configuration file as an object."""
    numbers: dict[str, int] = {item.name: getattr(ports, item.name) for item in fields(ports)}
    numbers["grpc"] = -1
    if version_of(version) >= (1, 14):
        numbers["grpc_tls"] = -1  # older ones refuse the word, newer ones open it in dev mode
    settings: dict[str, Any] = {
        "node_name": config.name,
        "node_id": node_id,
        "bind_addr": config.address,
        "client_addr": config.address,
        "ports": numbers,
        "log_level": config.log_level,
        "disable_update_check": True,
        # By default a client agent that gets SIGTERM leaves, and takes its sessions along.
        "leave_on_terminate": False,
        "skip_leave_on_interrupt": True,
        "telemetry": {"prometheus_retention_time": "60s", "disable_hostname": True},
        "retry_join": list(config.retry_join),
        "retry_interval": "500ms",
    }
    if config.mode is not Mode.DEV:
        settings["data_dir"] = str(config.directory / "data")
    if config.mode is Mode.SERVER:
        settings |= {"server": True, "bootstrap_expect": config.bootstrap_expect}
        # A server that was killed shall come back as a voter at once.
        settings["autopilot"] = {"cleanup_dead_servers": False}
        if config.raft_multiplier is not None:
            settings["performance"] = {"raft_multiplier": config.raft_multiplier}
    if config.fast_gossip:
        settings["gossip_lan"] = dict(FAST_GOSSIP)
    if config.tls is not None:
        numbers |= {"https": ports.http, "http": -1}
        settings |= config.tls.settings(version)
    if config.acl and config.token:
        settings |= acl_settings(config.token, version)
    return merge(settings, config.extra)


class ConsulAgent:
    """One Consul agent process. Not for use from several threads at once."""

    def __init__(self, config: AgentConfig) -> None:
        """Choose ports and write the files; nothing is started yet.

        Raises AgentError when a chosen port is taken or no binary can be had.
        """
        self.config = config
        self.binary = config.binary or get_consul()
        self._process: subprocess.Popen[bytes] | None = None
        self._guarded = False
        config.directory.mkdir(parents=True, exist_ok=True)
        self.node_id = self._kept_node_id()
        self.ports = self._prefixed_ports() if config.prefix else self._usual_ports()
        self._write_settings()

    @property
    def name(self) -> str:
        """Return the node's name."""
        return self.config.name

    @property
    def agents(self) -> list[ConsulAgent]:
        """Return this one alone: an agent is started and stopped as a cluster is."""
        return [self]

    @property
    def http_addr(self) -> str:
        """Return ``host:port`` of the HTTP API, fit for CONSUL_HTTP_ADDR."""
        return f"{self.config.http_host or self.config.address}:{self.ports.http}"

    @property
    def http_url(self) -> str:
        """Return the HTTP API's URL, without a slash at its end."""
        return f"{'https' if self.config.tls else 'http'}://{self.http_addr}"

    @property
    def ui_url(self) -> str:
        """Return the URL of Consul's own web pages."""
        return f"{self.http_url}/ui/"

    @property
    def serf_addr(self) -> str:
        """Return ``host:port`` that others join."""
        return f"{self.config.address}:{self.ports.serf_lan}"

    @property
    def config_path(self) -> Path:
        """Return the agent's configuration file; its path marks the agent's command line."""
        return self.config.directory / "agent.json"

    @property
    def log_path(self) -> Path:
        """Return the file that has everything the agent printed."""
        return self.config.directory / "agent.log"

    @property
    def pid(self) -> int:
        """Return the process id. Raises AgentError when it was never started."""
        if self._process is None:
            raise AgentError(f"{self.name} was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Say whether the process is there (a stopped one, SIGSTOP, is)."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """Return how the process ended (negative: by that signal), or None."""
        return None if self._process is None else self._process.poll()

    def start(self, *, wipe: bool = False, guarded: bool = True) -> Self:
        """Start the process, again on the same ports after a ``stop``; see ``wait_ready``.

        ``wipe`` drops the data directory first (the node id stays). ``guarded`` False
        lets the agent outlive this process. Raises AgentError if it runs already.
        """
        if self.running:
            raise AgentError(f"{self.name} runs already (pid {self.pid})")
        if wipe:
            shutil.rmtree(self.config.directory / "data", ignore_errors=True)
        command = [*self.config.prefix, str(self.binary), "agent", "-ui"]
        command.append(f"-config-file={self.config_path}")
        if self.config.mode is Mode.DEV:
            command.append("-dev")
        guard = Guard.mine() if guarded else None  # before the agent: no moment without it
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.config.directory,
                env=clean_environment(),
                start_new_session=True,  # Ctrl-C is for the owner, who then stops the agent
            )
        self._guarded = guard is not None
        if guard is not None:
            guard.add(self._process.pid)
        return self

    def reconfigure(self, **changes: Any) -> None:
        """Replace fields of ``config`` (not name, directory or ports) for the next start."""
        self.config = replace(self.config, **changes)
        self._write_settings()

    def wait_ready(self, timeout_s: float = 60.0) -> Self:
        """Wait until Consul has a leader and this node passes in its catalog.

        Before that no session can be made on it. Raises AgentError with the log's tail.
        """
        path = f"/v1/health/node/{self.name}"
        self.wait_until(
            lambda: any(
                check["CheckID"] == "serfHealth" and check["Status"] == "passing"
                for check in self.get_json(path)
            ),
            "be in the catalog and passing",
            timeout_s,
        )
        return self

    def wait_until(self, condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
        """Ask ``condition()`` until it is true; errors of the API count as "not yet".

        Raises AgentError naming ``what`` when time is up or the agent ended.
        """
        end = time.monotonic() + timeout_s
        problem: Exception | str = "not so yet"
        while time.monotonic() < end:
            if not self.running:
                raise AgentError(f"{self.name} ended ({self.returncode})\n{self.log_tail()}")
            try:
                if condition():
                    return
                problem = "not so yet"
            except (OSError, http.client.HTTPException, ValueError, AgentError) as error:
                problem = error
            time.sleep(0.05)  # Consul offers nothing to wait on before it answers
        raise AgentError(
            f"{self.name} did not {what} within {timeout_s} s: {problem}\n{self.log_tail()}"
        )

    def send(self, number: signal.Signals) -> None:
        """Send one signal and return at once; ``freeze`` waits for what SIGSTOP does."""
        if self._process is None or not self.running:
            raise AgentError(f"{self.name} is not running")
        self._process.send_signal(number)

    def freeze(self) -> None:
        """SIGSTOP the process and wait until it stands still: it answers nothing afterwards."""
        if self._process is None or not self.running:
            raise AgentError(f"{self.name} is not running")
        freeze_child(self._process.pid)

    def wake(self) -> None:
        """SIGCONT the process."""
        self.send(signal.SIGCONT)

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 15.0) -> int:
        """End the process with ``number``, with SIGKILL if that takes too long.

        Returns the exit status, negative for a signal. Consul itself ends with 1 when it
        was told not to leave. Stopping a stopped agent is fine.
        """
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._guarded:
            Guard.mine().remove(process.pid)
            self._guarded = False
        return process.returncode

    def kill(self) -> int:
        """End the process with SIGKILL and wait for it."""
        return self.stop(signal.SIGKILL)

    def request(
        self, method: str, path: str, body: bytes | None = None, timeout_s: float = 10.0
    ) -> tuple[int, bytes]:
        """Make one request of the HTTP API and return its status and body.

        Raises OSError or http.client.HTTPException when there is no proper answer.
        """
        headers = {"X-Consul-Token": self.config.token} if self.config.token else {}
        with contextlib.closing(connection(self.http_addr, self.config.tls, timeout_s)) as line:
            line.request(method, path, body=body, headers=headers)
            reply = line.getresponse()
            return reply.status, reply.read()

    def get_json(self, path: str) -> Any:
        """GET ``path`` and return the decoded reply. Raises AgentError unless it is a 200."""
        status, body = self.request("GET", path)
        if status != 200:
            raise AgentError(f"GET {path}: {status} {body[:200].decode(errors='replace')}")
        return json.loads(body)

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines of the agent's log."""
        try:
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

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

    def _kept_node_id(self) -> str:
        path = self.config.directory / "node-id"
        if not path.exists():
            path.write_text(f"{uuid.uuid4()}\n")
        return path.read_text().strip()

    def _prefixed_ports(self) -> Ports:
        ports = self.config.ports
        missing = [item.name for item in fields(ports) if not getattr(ports, item.name)]
        if missing:
            raise AgentError(f"{self.name} has a prefix and needs ports for {', '.join(missing)}")
        return ports

    def _usual_ports(self) -> Ports:
        return self._kept_ports().fill(self.config.address)

    def _kept_ports(self) -> Ports:
        """Return the asked ports, those of the directory's last agent where none was asked.

        Raft knows its peers by address: data that is kept is of no use on other ports.
        """
        asked = self.config.ports
        try:
            last = json.loads(self.config_path.read_text())["ports"]
        except (OSError, ValueError, KeyError):
            return asked
        last["http"] = last.get("https") or last.get("http", 0)
        kept = {}
        for item in fields(asked):
            port = last.get(item.name, 0)
            free = port > 0 and port_is_free(self.config.address, port)
            kept[item.name] = getattr(asked, item.name) or (port if free else 0)
        return Ports(**kept)

    def _write_settings(self) -> None:
        version = consul_version(self.binary)
        settings = agent_settings(self.config, self.ports, self.node_id, version)
        # It may hold a token that may do everything.
        write_secret(self.config_path, json.dumps(settings, indent=2))
