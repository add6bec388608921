"""The fleet of docker-compose.yml, with nothing changed but variables; and what it says."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, TypeVar

import httpx
from consul_agents import eventually

from demo import REPO
from tests.docker.engine import Engine
from tests.docker.images import IMAGES
from tests.docker.watch import Sample, Watch

T = TypeVar("T")

CANDIDATES = {"core-1": 8610, "core-2": 8611, "web-1": 8612}
"""With the ports of this host at which they are published."""
POLLERS = ("poller-1", "poller-2")
NODES = (*CANDIDATES, *POLLERS)
CONSUL_URL = "http://127.0.0.1:8500"
PROMETHEUS_URL = "http://127.0.0.1:9090"
ALERTMANAGER_URL = "http://127.0.0.1:9093"

PROJECT = "coord-test"
GENEROUS_S = 90.0
TOKEN = {"COORDINATOR_POLLER_TOKEN": "only-of-this-test"}
SETTINGS = {**IMAGES, **TOKEN}


class Fleet:
    """To be used by a thread on the engine's network. Its methods raise EngineError."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.watch: Watch

    def compose_now(self, *words: str, env: Mapping[str, str] = SETTINGS) -> str:
        """Run ``docker compose WORDS…``; gives what it prints."""
        given = ["--project-name", PROJECT, "--project-directory", str(REPO)]
        # Not the .env that somebody has for a fleet of their own.
        given += ["--env-file", "/dev/null", "--file", str(REPO / "docker-compose.yml")]
        return self.engine.docker("compose", *given, *words, env=env)

    async def compose(self, *words: str, env: Mapping[str, str] = SETTINGS) -> str:
        """Run ``docker compose WORDS…``; gives what it prints. env: the variables of the file."""
        return await asyncio.to_thread(self.compose_now, *words, env=env)

    async def docker(self, *words: str) -> str:
        """Run ``docker WORDS…``; gives what it prints."""
        return await asyncio.to_thread(self.engine.docker, *words)

    async def coord(self, node: str, *words: str) -> str:
        """Run ``coord WORDS…`` in the container of that node; gives what it prints."""
        return await self.compose("exec", "-T", node, "coord", *words)

    def container(self, service: str) -> str:
        """The name of its container."""
        return f"{PROJECT}-{service}-1"

    # -- what it says ----------------------------------------------------------------------

    async def get(self, url: str, **params: str) -> Any:
        """What stands at a published address, as JSON. Raises httpx.HTTPError."""
        async with httpx.AsyncClient(trust_env=False, timeout=10.0) as client:
            return (await client.get(url, params=params)).json()

    async def health(self, node: str) -> dict[str, Any]:
        """Its ``/api/health``, at its published port; where that does not answer, nothing."""
        try:
            told: dict[str, Any] = await self.get(f"http://127.0.0.1:{CANDIDATES[node]}/api/health")
        except (httpx.HTTPError, ValueError):
            return {}
        return told

    async def state(self, node: str, wanted: str) -> dict[str, Any]:
        """Its ``/api/health``, once it is in that state."""
        return await within(
            lambda: self.health(node), until=lambda told: told.get("state") == wanted
        )

    async def leader(self, *, after: int = 0, among: Collection[str] = tuple(CANDIDATES)) -> Sample:
        """Wait for a leader that works, under a term after that one, as it says itself."""

        async def at_work() -> Sample | None:
            now = time.monotonic() - 1.0
            said = (each for each in self.watch.samples(*among) if each.sent > now and each.work)
            return next((s for s in said if s.state == "leading" and (s.term or 0) > after), None)

        found = await within(at_work)
        assert found is not None
        return found

    async def status(self, node: str) -> dict[str, Any]:
        """``coord status --json``, asked in that node's container."""
        told: dict[str, Any] = json.loads(await self.coord(node, "status", "--json"))
        return told

    async def result(self, schedule: str) -> dict[str, Any]:
        """The last result of that schedule, as Consul has it; empty while there is none."""
        key = f"{CONSUL_URL}/v1/kv/service/coordinator/polls/results/{schedule}?raw"
        async with httpx.AsyncClient(trust_env=False, timeout=10.0) as client:
            reply = await client.get(key)
        told: dict[str, Any] = reply.json() if reply.status_code == 200 else {}
        return told

    async def more_runs(self, schedule: str) -> None:
        """Wait until that schedule has run again, and was up."""
        before = (await self.result(schedule)).get("runs", 0)
        await within(
            lambda: self.result(schedule),
            # One may have been on its way.
            until=lambda told: told and told["runs"] > before + 1 and told.get("ok"),
        )


async def within(ask: Callable[[], Awaitable[T]], *, until: Callable[[T], object] = bool) -> T:
    """As `eventually`, with the patience that containers need."""
    return await eventually(ask, until=until, within_s=GENEROUS_S)
