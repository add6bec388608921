"""A small server of the test's own that keeps what is posted to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coord.api.server import bind, serving
from coord.config.values import HostPort

WITHIN_S = 60.0


class Inbox:
    """url: where to post JSON to; it is answered with 204."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._got: asyncio.Queue[Any] = asyncio.Queue()

    async def take(self, request: Request) -> Response:
        """The endpoint."""
        self._got.put_nowait(await request.json())
        return Response(status_code=204)

    async def next(self) -> Any:
        """The next body, waited for. Raises TimeoutError."""
        async with asyncio.timeout(WITHIN_S):
            return await self._got.get()


@contextlib.asynccontextmanager
async def open_inbox() -> AsyncIterator[Inbox]:
    """Listens on a free port of loopback while the context is entered."""
    sock = bind(HostPort("127.0.0.1", 0))
    inbox = Inbox(f"http://127.0.0.1:{sock.getsockname()[1]}/")
    app = Starlette(routes=[Route("/", inbox.take, methods=["POST"])])
    with contextlib.closing(sock):
        async with serving(app, sock):
            yield inbox
