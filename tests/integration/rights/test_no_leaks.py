"""Tokens get nowhere: nodes and commands with tokens to be recognised, and faults around them.

Everything that they say, write or show is gathered while Consul denies, is away, or answers with
what it was asked, tokens included, and while their own work raises them. Then it is all searched.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from command_run import coord
from consul_agents import ROOT_TOKEN, ConsulAgent, client_of, eventually
from leak_work import LEAK_FILE
from look_commands import look_commands
from rights_bench import tokens_for
from tcp_proxy import Mode, TcpProxy

from coord.consul import ConsulClient
from coord.rights import Role
from demo.fleet import Fleet, Node
from secure import make_policy, write_secret

pytestmark = pytest.mark.long

POLLER_TOKEN = "poller-token-0123456789"
URLS = (
    "/",
    "/api/health",
    "/api/health/live",
    "/api/health/ready",
    "/api/health/leader",
    "/api/cluster",
    "/api/polls",
    "/api/events",
    "/metrics",
)
GENEROUS_S = 60.0


class Echo:
    """Answers every request with all that came with it, as an unhelpful proxy may."""

    def __init__(self) -> None:
        self.answer = ""
        self.asked = 0
        self.lines: list[bytes] = []
        self._server: asyncio.Server | None = None
        self._more = asyncio.Event()

    async def more_than(self, times: int) -> None:
        """Wait until it was asked more often than that."""
        async with asyncio.timeout(GENEROUS_S):
            while self.asked <= times:
                self._more.clear()
                await self._more.wait()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            self._more.set()
            self.lines.append(head.splitlines()[0])
            writer.write(self._reply(head))
            await writer.drain()
        writer.close()

    def _reply(self, head: bytes) -> bytes:
        one_line = b" ".join(head.split())
        if self.answer == "nonsense":
            return one_line + b"\r\n\r\n"
        kind = b"application/json" if self.answer.startswith("200") else b"text/plain"
        return (
            f"HTTP/1.1 {self.answer}\r\nContent-Length: {len(head)}\r\n".encode()
            + b"Connection: close\r\nContent-Type: %s\r\nX-You-Said: %s\r\n\r\n" % (kind, one_line)
            + head
        )

    async def __aenter__(self) -> Echo:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()


ANSWERS = ("500 Oops", "403 Permission denied", "200 OK", "404 Not Found", "nonsense")


@dataclass
class Site:
    """A fleet with tokens, behind a proxy, and all that was ever seen of it.

    shown: what was said, and by what.
    """

    agent: ConsulAgent
    root: ConsulClient
    proxy: TcpProxy
    echo: Echo
    fleet: Fleet
    secrets: dict[Role, str]
    rotated: str
    file: Path
    shown: list[tuple[str, str]] = field(default_factory=list)

    @property
    def nodes(self) -> list[Node]:
        return list(self.fleet.nodes.values())

    @property
    def tokens(self) -> list[str]:
        """What must be found nowhere."""
        return [*self.secrets.values(), self.rotated, POLLER_TOKEN]

    async def gather(self, during: str, *, ways: bool = False) -> None:
        """All that nodes and commands show now; `ways`: each command in all ways to call it."""
        for node in filter(lambda node: node.running, self.nodes):
            for url in URLS:
                with contextlib.suppress(httpx.HTTPError):
                    reply = await node.get(url)
                    said = f"{reply.headers}\n{reply.text}"
                    self.shown.append((f"{during}: {node.name}{url}", said))
            self.shown.append((f"{during}: processes of {node.name}", command_lines(node.pid)))
        env = {
            "CONSUL_HTTP_ADDR": self.proxy.address,
            "COORDINATOR_ELECTION": self.fleet.paths.election,
            "COORDINATOR_POLLER_TOKEN": POLLER_TOKEN,
            "COORDINATOR_LOG_LEVEL": "debug",
        }
        at_once = asyncio.Semaphore(6)

        async def run(number: int, words: tuple[str, ...]) -> None:
            token = {"CONSUL_HTTP_TOKEN": self.secrets[Role.VIEWER]}
            if number % 2:
                token = {"CONSUL_HTTP_TOKEN_FILE": str(self.file)}
            async with at_once:
                ran = await coord("--traceback", *words, env=env | token)
            self.shown.append((f"{during}: coord {' '.join(words)}", ran.said))

        called = [words for words in look_commands() if ways or len(words) == 1]
        await asyncio.gather(*(run(number, words) for number, words in enumerate(called)))

    async def consul_has(self, *, led: bool) -> None:
        """All that stands in Consul for everybody to read, and what it logged.

        led: there is a leader, so that there must be something of each kind.
        """
        for path in (
            "/v1/kv/?recurse",
            "/v1/agent/services",
            "/v1/agent/checks",
            "/v1/health/state/any",
            "/v1/session/list",
            f"/v1/health/service/{self.fleet.paths.candidate_service}",
            f"/v1/health/service/{self.fleet.paths.leader_service}",
            "/v1/health/service/poller",
        ):
            entries = await asyncio.to_thread(self.agent.get_json, path)
            assert entries or not led, f"{path} shows nothing, and so cannot show a token"
            self.shown.append((f"Consul's {path}", json.dumps(entries)))
        for entry in (await self.root.kv_list("")).value:
            said = f"{entry.key} {entry.value.decode(errors='replace')}"
            self.shown.append((f"the key {entry.key}", said))
        self.shown.append(("Consul's log", self.agent.log_path.read_text(errors="replace")))


def command_lines(pid: int) -> str:
    """The command lines of a process and of all below it."""
    said = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            with contextlib.suppress(OSError):
                said += "\n" + command_lines(int(child))
    return said


@pytest.fixture
async def site(
    make_agent: Callable[..., ConsulAgent], tmp_path: Path, name: str
) -> AsyncIterator[Site]:
    agent = await asyncio.to_thread(
        make_agent,
        acl=True,
        token=ROOT_TOKEN,
        log_level="debug",
        extra={"acl": {"token_ttl": "500ms", "policy_ttl": "500ms"}},
    )
    secrets = tokens_for(agent, name)
    rotated = tokens_for(agent, name)[Role.CANDIDATE]
    file = tmp_path / "token"
    write_secret(file, secrets[Role.CANDIDATE])
    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(TcpProxy("127.0.0.1", agent.ports.http))
        echo = await stack.enter_async_context(Echo())
        root = await stack.enter_async_context(client_of(agent, token=ROOT_TOKEN))
        fleet = Fleet(
            proxy.address,
            tmp_path / "fleet",
            env={
                "COORDINATOR_LOG_LEVEL": "debug",
                "COORDINATOR_POLLER_TOKEN": POLLER_TOKEN,
                "PYTHONPATH": os.pathsep.join((os.getcwd(), "tests/support", "consul-dev")),
                LEAK_FILE: str(tmp_path / "leak"),
            },
            workloads="cluster-health,poll-orchestrator,leak_work:Blurts",
            election=name,
        )
        fleet.add("core-1", env={"CONSUL_HTTP_TOKEN": secrets[Role.CANDIDATE]})
        fleet.add("core-2", env={"CONSUL_HTTP_TOKEN_FILE": str(file)})
        fleet.add("poller-1", env={"CONSUL_HTTP_TOKEN": secrets[Role.POLLER]})
        await stack.enter_async_context(fleet)
        yield Site(agent, root, proxy, echo, fleet, secrets, rotated, file)


async def blurted(site: Site, node: Node, tmp_path: Path, times: int) -> None:
    """Let the leader's work raise the node's tokens so many times; each time is told of."""
    before = len(node.events("child_restarted"))
    (tmp_path / "leak").write_text(str(times))

    async def told() -> int:
        return len(node.events("child_restarted")) - before

    await eventually(told, until=lambda n: n >= times, within_s=GENEROUS_S)


async def leads(site: Site, name: str) -> Node:
    node = site.fleet[name]
    await node.state("leading", timeout_s=GENEROUS_S)
    return node


async def cut(site: Site, port: int) -> None:
    """Let everybody connect anew, to that port."""
    await site.proxy.set(Mode.REFUSE)
    site.proxy.port = port
    await site.proxy.set(Mode.PASS)


@pytest.mark.timeout(400)  # many faults, each waited for
async def test_no_token_is_ever_shown(site: Site, tmp_path: Path) -> None:
    schedule = {"v": 1, "id": "one", "name": "one", "enabled": True, "interval": "1s"}
    checks = [{"kind": "tcp", "target": site.agent.http_addr}]
    key = f"{site.fleet.paths.polls}schedules/one"
    assert await site.root.kv_put(key, json.dumps({**schedule, "checks": checks}).encode())

    # A leader whose token is in its environment.
    await site.fleet.start("core-1", "poller-1")
    first = await leads(site, "core-1")
    await site.fleet.start("core-2")
    await site.fleet["core-2"].state("standby")
    await blurted(site, first, tmp_path, 2)
    await site.gather("all is well", ways=True)

    # Answers that hold what was asked.
    for answer in ANSWERS:
        site.echo.answer, asked = answer, site.echo.asked
        await cut(site, site.echo.port)
        await site.echo.more_than(asked + 20)
        await site.gather(f"answers {answer}")
    await site.proxy.set(Mode.REFUSE)
    await first.state("suspended", "standby", "joining", "cooling", timeout_s=GENEROUS_S)
    await site.gather("Consul is away")
    await cut(site, site.agent.ports.http)

    # A leader whose token is in a file, that rotates.
    first.terminate()
    await first.wait_exit()
    second = await leads(site, "core-2")
    await blurted(site, second, tmp_path, 1)
    write_secret(site.file, site.rotated)
    await blurted(site, second, tmp_path, 1)
    await site.gather("the token has rotated")
    await site.consul_has(led=True)

    # Rights are taken away, and the leader's work fails once too often.
    (tmp_path / "leak").write_text("9")
    make_policy(site.agent, f"{site.fleet.paths.election}-{Role.CANDIDATE}", "")

    async def why() -> object:
        return (await second.health())["why_not_leader"]

    await eventually(why, until=lambda said: said == "not_permitted", within_s=GENEROUS_S)
    await site.gather("denied", ways=True)
    await site.consul_has(led=False)

    for node in site.nodes:
        text = node.log_path.read_text(errors="replace")
        assert '"level": "debug"' in text
        site.shown.append((f"the log of {node.name}", text))
    for line in site.echo.lines:
        site.shown.append(("a request line", line.decode()))
    assert any("refused with" in said for _, said in site.shown), "the work's errors are told of"
    found = [where for where, said in site.shown if any(token in said for token in site.tokens)]
    assert not found, "\n".join(found)
