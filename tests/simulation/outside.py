"""What stands outside the fleet in a simulated world: a fenced receiver, and pollers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

import httpx

from coord.testing.world import World


class Sends(Protocol):
    """What carries messages between two ends."""

    def send(self, source: str, target: str, deliver: Callable[[], None]) -> None:
        """Deliver it, later, or never, or twice."""
        ...


class Receiver:
    """Takes what carries the newest term it has seen, and refuses what is older.

    on_message: told (sender, term, taken) of each message.
    """

    def __init__(self, on_message: Callable[[str, int, bool], None]) -> None:
        self._on_message = on_message
        self._highest = 0

    def take(self, sender: str, term: int) -> None:
        """A message arrives."""
        taken = term >= self._highest
        self._highest = max(self._highest, term)
        self._on_message(sender, term, taken)


class PollerWires(httpx.AsyncBaseTransport):
    """Carries the polls of one node to pollers that find everything up, after a while.

    A poller refuses an older term than it has seen, as the real one does. A poll that is lost is
    never answered.
    """

    def __init__(
        self, world: World, network: Sends, random: Random, source: str, newest: dict[str, int]
    ) -> None:
        """`newest`: the newest term that each poller has seen, from whichever node."""
        self._world = world
        self._network = network
        self._random = random
        self._source = source
        self._highest = newest

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one poll; answers when the poller has, or never."""
        asked: dict[str, Any] = json.loads(await request.aread())
        answer: asyncio.Future[httpx.Response] = asyncio.get_running_loop().create_future()
        poller = f"poller:{request.url.port}"

        def arrive() -> None:
            if asked["term"] < self._highest.get(poller, 0):
                reply(_response(409, {"code": "older_term"}))
                return
            self._highest[poller] = asked["term"]
            takes_s = self._random.choice((0.01, 0.05, 0.3, 3.0))
            self._world.at(self._world.time + takes_s, lambda: reply(_found(asked)))

        def reply(response: httpx.Response) -> None:
            self._network.send(poller, self._source, lambda: settle(response))

        def settle(response: httpx.Response) -> None:
            if not answer.done():
                answer.set_result(response)

        self._network.send(self._source, poller, arrive)
        return await answer


def _found(asked: dict[str, Any]) -> httpx.Response:
    of_each = {"ok": True, "latency_ms": 1.0}
    body = {
        "v": 1,
        "job": asked["job"],
        "attempt": asked["attempt"],
        "term": asked["term"],
        "poller": "p",
        "took_ms": 1.0,
        "results": [
            {"kind": check["kind"], "target": check["target"], **of_each}
            for check in asked["checks"]
        ],
    }
    return _response(200, body)


def _response(status: int, body: dict[str, Any]) -> httpx.Response:
    """As from a connection: its body is yet to be read."""
    return httpx.Response(status, stream=httpx.ByteStream(json.dumps(body).encode()))
