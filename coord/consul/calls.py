"""How a call is made: one request, one reply, one deadline. The rooms of the client share it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from coord.consul import replies
from coord.consul.address import ConsulAddress
from coord.consul.errors import ConsulNotFound, ConsulRefused, ConsulUnavailable
from coord.consul.replies import ShapeError
from coord.consul.transport import (
    Answer,
    Endpoints,
    Request,
    RequestBuilder,
    RequestKind,
    Transport,
)
from coord.consul.types import Consistency, Reply

T = TypeVar("T")

REQUEST_TIMEOUT_S = 2.0
WAIT_S = 60.0
_UNKNOWN_HERE = ("does not have associated TTL", "nknown check", "nknown service")


class Calls:
    """A connection to one agent, and the ways to ask it something."""

    def __init__(
        self,
        address: ConsulAddress,
        *,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
        http: httpx.AsyncBaseTransport | None = None,
        on_token: Callable[[str], None] = lambda token: None,
    ) -> None:
        if request_timeout_s <= 0:
            raise ValueError("request_timeout_s: must be above 0")
        self._timeout_s = request_timeout_s
        self._transport = Transport(address, http=http, on_token=on_token)
        # Any: python-consul2 has no types; whatever it is asked for here, it returns a Request.
        self._endpoints: Any = Endpoints()
        self._build = RequestBuilder()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    @property
    def token_changes(self) -> int:
        """See `ConsulApi`."""
        return self._transport.token_changes

    def tell_answers(self, on_answer: Callable[[RequestKind, float], None]) -> None:
        """From now on tell of each answer: to what kind of request, and after how many seconds."""
        self._transport.on_answer = on_answer

    def _put_json(self, path: str, body: object) -> Request:
        return self._build.put(None, path, data=json.dumps(body))

    async def _send(self, request: Request, deadline_s: float | None) -> Answer:
        return await self._transport.send(
            request, deadline_s=self._timeout_s if deadline_s is None else deadline_s
        )

    async def _do(self, request: Request, deadline_s: float | None) -> Answer:
        """Send it; anything but success is an error."""
        answer = await self._send(request, deadline_s)
        if not 200 <= answer.status < 300:
            raise replies.refusal(request, answer)
        return answer

    async def _write(
        self, request: Request, deadline_s: float | None, read: Callable[[object], T]
    ) -> T:
        return parse(request, await self._do(request, deadline_s), read)

    async def _get(
        self, request: Request, deadline_s: float | None, read: Callable[[object], T]
    ) -> Reply[T]:
        answer = await self._do(request, deadline_s)
        return reply_of(answer, parse(request, answer, read))

    async def _read(
        self,
        request: Request,
        index: int | None,
        wait_s: float | None,
        deadline_s: float | None,
        *,
        absent: bool = False,
    ) -> Answer:
        """A read that may block; `absent`: 404 is an answer too."""
        limit_s = self._timeout_s if deadline_s is None else deadline_s
        if index is not None:
            wait_s = WAIT_S if wait_s is None else wait_s
            params = (*request.params, ("index", str(index)), ("wait", duration(wait_s)))
            request = replace(request, params=params, blocking=True)
            # Consul adds up to a sixteenth to every wait, so that not all end at once.
            limit_s += wait_s + wait_s / 16
        answer = await self._send(request, limit_s)
        if not 200 <= answer.status < 300 and not (absent and answer.status == 404):
            raise replies.refusal(request, answer)
        return answer

    async def _known_here(self, request: Request, deadline_s: float | None) -> bool:
        """False when the agent does not know what the path names: 404 since Consul 1.11."""
        try:
            await self._do(request, deadline_s)
        except ConsulNotFound:
            return False
        except (ConsulRefused, ConsulUnavailable) as e:
            if not any(text in e.detail for text in _UNKNOWN_HERE):
                raise
            return False
        return True


def parse(request: Request, answer: Answer, read: Callable[[object], T]) -> T:
    try:
        return read(replies.loads(answer.body))
    except ShapeError as e:
        raise replies.broken(request, answer, e) from e


def reply_of(answer: Answer, value: T) -> Reply[T]:
    return Reply(value, answer.index, answer.known_leader)


def with_consistency(request: Request, consistency: Consistency) -> Request:
    if consistency is Consistency.DEFAULT:
        return request
    return replace(request, params=(*request.params, (consistency.value, "1")))


def duration(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
