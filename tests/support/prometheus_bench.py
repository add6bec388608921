"""A real Prometheus and a real Alertmanager on what observability/ has, and a webhook to be told.

The example files are used as they are, but for the addresses in them and for how often is looked:
once a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from consul_agents import eventually

from agents import Ports
from demo import REPO
from get_prometheus import Tools
from processes import Guard

OBSERVABILITY = REPO / "observability"
RUNBOOKS = "https://git.example.com/coord/runbooks"


@dataclass(frozen=True, slots=True)
class Notification:
    """One alert of one notification. receiver: the last part of the webhook's URL."""

    receiver: str
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def name(self) -> str:
        """Of the alert."""
        return self.labels["alertname"]


@dataclass(slots=True)
class Webhook:
    """What a person would be told, in the order in which it came."""

    told: list[Notification] = field(default_factory=list)
    more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def wait_for(
        self, name: str, status: str = "firing", *, within_s: float = 90.0, **labels: str
    ) -> Notification:
        """The first notification of that alert that has these labels.

        Raises:
            AssertionError: none came in time.
        """

        def found() -> list[Notification]:
            named = (each for each in self.told if (each.name, each.status) == (name, status))
            return [each for each in named if labels.items() <= each.labels.items()]

        try:
            async with asyncio.timeout(within_s), self.more:
                await self.more.wait_for(found)
        except TimeoutError:
            raise AssertionError(f"no {name}, {status}, {labels} among {self.told}") from None
        return found()[0]

    def named(self, name: str) -> list[Notification]:
        """All notifications of that alert."""
        return [each for each in self.told if each.name == name]

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request of Alertmanager's."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split()[1]
            lengths = [line for line in head.splitlines() if line.lower().startswith("content-len")]
            body = json.loads(await reader.readexactly(int(lengths[0].split(":")[1])))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        finally:
            writer.close()
        async with self.more:
            for each in body["alerts"]:
                receiver = path.rpartition("/")[2]
                self.told.append(
                    Notification(receiver, each["status"], each["labels"], each["annotations"])
                )
            self.more.notify_all()


@dataclass(frozen=True, slots=True)
class Watch:
    """What watches the fleet. url: Prometheus's; alerts_url: Alertmanager's."""

    url: str
    alerts_url: str
    webhook: Webhook

    async def get(self, path: str, **params: str) -> dict[str, Any]:
        """What its API answers; `status` says whether that is an error."""
        async with httpx.AsyncClient(trust_env=False, timeout=10.0) as client:
            body: dict[str, Any] = (await client.get(self.url + path, params=params)).json()
            return body

    async def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """The series that it gives now, with their values.

        Raises:
            AssertionError: it is in error.
        """
        body = await self.get("/api/v1/query", query=expr)
        assert body["status"] == "success", f"{expr}: {body}"
        return [(each["metric"], float(each["value"][1])) for each in body["data"]["result"]]

    async def until(
        self, expr: str, *, within_s: float = 60.0
    ) -> list[tuple[dict[str, str], float]]:
        """As `query`, once it gives something."""
        return await eventually(lambda: self.query(expr), within_s=within_s)


@contextlib.asynccontextmanager
async def watching(
    tools: Tools, consul_addr: str, directory: Path, *, token: str = ""
) -> AsyncIterator[Watch]:
    """Prometheus and Alertmanager, ready, finding nodes through that Consul; `token` is for it."""
    ports = Ports().fill("127.0.0.1")
    prometheus, alertmanager = f"127.0.0.1:{ports.http}", f"127.0.0.1:{ports.server}"
    webhook = Webhook()
    server = await asyncio.start_server(webhook.take, "127.0.0.1", 0)
    told_at = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    _configure(directory, consul_addr, alertmanager, told_at)
    if token:
        _give_token(directory, token)
    commands = {
        prometheus: [
            str(tools.prometheus),
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={prometheus}",
        ],
        alertmanager: [
            str(tools.alertmanager),
            f"--config.file={directory / 'alertmanager.yml'}",
            f"--storage.path={directory / 'alerts'}",
            f"--web.listen-address={alertmanager}",
            "--cluster.listen-address=",
        ],
    }
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(server.close)
        for address, command in commands.items():
            await stack.enter_async_context(_running(command, directory, f"http://{address}"))
        yield Watch(f"http://{prometheus}", f"http://{alertmanager}", webhook)


def _configure(directory: Path, consul: str, alertmanager: str, webhook: str) -> None:
    """Write what observability/ has into `directory`, with these addresses, and in a hurry."""
    directory.mkdir()
    changes: dict[str, dict[str, str]] = {
        "rules.yml": {},
        "prometheus.yml": {
            "127.0.0.1:8500": consul,
            "127.0.0.1:9093": alertmanager,
            "_interval: 5s": "_interval: 1s",
            "refresh_interval: 10s": "refresh_interval: 1s",
            "scrape_timeout: 5s": "scrape_timeout: 1s",
            "# external_labels:": "external_labels:",
            "#   runbooks: https://git.example.com/coord/blob/main/runbooks": (
                f"  runbooks: {RUNBOOKS}"
            ),
        },
        "alertmanager.yml": {
            "127.0.0.1:9099": webhook,
            "group_wait: 10s": "group_wait: 1s",
            "group_interval: 1m": "group_interval: 1s",
        },
    }
    for name, replaced in changes.items():
        text = (OBSERVABILITY / name).read_text()
        for old, new in replaced.items():
            assert old in text, f"{name} has no {old!r} any more"
            text = text.replace(old, new)
        (directory / name).write_text(text)


def _give_token(directory: Path, token: str) -> None:
    """As the comment in prometheus.yml says."""
    path = directory / "prometheus.yml"
    server = re.compile(r"^( +)- (server: .*)$", re.MULTILINE)
    text, found = server.subn(rf"\1- \2\n\1  token: {token}", path.read_text())
    assert found == 1
    path.write_text(text)


@contextlib.asynccontextmanager
async def _running(command: Sequence[str], directory: Path, url: str) -> AsyncIterator[None]:
    guard = Guard.mine()
    log = directory / f"{Path(command[0]).name}.log"
    process = _start(command, log)
    guard.add(process.pid)
    try:
        await eventually(lambda: _ready(process, url, log))
        yield
    finally:
        process.kill()
        process.wait()
        guard.remove(process.pid)


def _start(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            command, cwd=log.parent, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )


async def _ready(process: subprocess.Popen[bytes], url: str, log: Path) -> bool:
    assert process.poll() is None, f"it has ended; see {log}"
    with contextlib.suppress(httpx.HTTPError):
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            return (await client.get(f"{url}/-/ready")).status_code == 200
    return False
