"""`/api/events` as server-sent events: what the node tells, as it tells it.

Each event that is not periodic comes as one message, with an id that says which start of the node
it is of, and which one it is since. Whoever comes back with `Last-Event-ID`, as browsers do by
themselves, is sent what it missed, as far as the node has kept it.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from coord.telemetry import RECENT_EVENTS, Event, Telemetry, to_dict

MEDIA_TYPE: Final = "text/event-stream"

STREAMS_MOST: Final = 32
"""How many streams there may be at a time: each keeps a connection for as long as it likes."""

QUEUE_LENGTH: Final = 500
"""How many events wait for one stream; one that is slower is ended, and may come back."""

KEEP_ALIVE_S: Final = 15.0
"""How often a stream that has nothing to tell says so, in seconds: proxies cut what is silent."""

RETRY_MS: Final = 2000
"""How long whoever lost the stream is asked to wait, in milliseconds."""

_Told = tuple[int, Event]
Queue = asyncio.Queue[_Told | None]
"""What one stream is still to send; None: nothing more."""


class EventStreams:
    """The streams of one node.

    boot_id: of this start of the node.
    keep_alive_s: see `KEEP_ALIVE_S`.
    """

    def __init__(
        self, telemetry: Telemetry, boot_id: str, *, keep_alive_s: float = KEEP_ALIVE_S
    ) -> None:
        self._boot = boot_id[:8]
        self._keep_alive_s = keep_alive_s
        self._queues: set[Queue] = set()
        self._count = 0
        self._kept: deque[_Told] = deque(maxlen=RECENT_EVENTS)
        self._closed = False
        telemetry.attach_inline(self._tell)

    @property
    def full(self) -> bool:
        """Whether there are as many streams as there may be."""
        return len(self._queues) >= STREAMS_MOST

    def close(self) -> None:
        """End all streams, so that the server need not wait for them."""
        self._closed = True
        for queue in self._queues:
            _end(queue)

    def open(self, request: Request, latest: int) -> Response:
        """Answer with a stream; it begins with what the asker missed, else with the `latest`
        events so many."""
        headers = {"content-type": MEDIA_TYPE}
        if request.method == "HEAD":
            return Response(status_code=HTTPStatus.OK, headers=headers)
        # Both now: what is told before the first message is sent would otherwise be missed, and who
        # asks at the same time not be counted.
        missed, queue = self._since(request.headers.get("last-event-id", ""), latest), self.join()
        return _Stream(
            self.messages(queue, missed), headers, left=lambda: self._queues.discard(queue)
        )

    def join(self) -> Queue:
        """A queue that is told of all from now on, until it is full or who asked has gone."""
        queue: Queue = asyncio.Queue(QUEUE_LENGTH)
        self._queues.add(queue)
        return queue

    def _since(self, last_id: str, latest: int) -> list[_Told]:
        """The kept events after that one; of another start of the node, or none: the latest."""
        boot, _, number = last_id.partition("-")
        seen = self._count - latest
        if boot == self._boot and number.isascii() and number.isdigit() and len(number) < 12:
            seen = int(number)
        return [told for told in self._kept if told[0] > seen]

    def _tell(self, event: Event) -> None:
        if event.PERIODIC:
            return
        self._count += 1
        told = (self._count, event)
        self._kept.append(told)
        for queue in [queue for queue in self._queues if queue.full()]:
            self._queues.discard(queue)
            _end(queue)
        for queue in self._queues:
            queue.put_nowait(told)

    async def messages(
        self, queue: Queue, missed: Sequence[_Told] = ()
    ) -> AsyncGenerator[str, None]:
        """What one stream sends: those first, then what is told, until it or the node ends."""
        yield f"retry: {RETRY_MS}\n\n"
        for told in missed:
            yield self._message(told)
        while not self._closed:
            try:
                async with asyncio.timeout(self._keep_alive_s):
                    told_now = await queue.get()
            except TimeoutError:
                yield ": nothing new\n\n"
                continue
            if told_now is None:
                return
            yield self._message(told_now)

    def _message(self, told: _Told) -> str:
        number, event = told
        data = json.dumps(to_dict(event), ensure_ascii=True, allow_nan=False)
        return f"id: {self._boot}-{number}\nevent: {event.EVENT}\ndata: {data}\n\n"


class _Stream(StreamingResponse):
    """left: called once it is over, even if it never began."""

    def __init__(
        self,
        messages: AsyncGenerator[str, None],
        headers: Mapping[str, str],
        *,
        left: Callable[[], None],
    ) -> None:
        super().__init__(messages, headers=headers)
        self._left = left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._left()


def _end(queue: Queue) -> None:
    """Have its stream end after what waits in it."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(None)
