"""The bus that hands each event to its subscribers; the events are in `coord.telemetry.events`.

One typed event feeds the log, the metrics, the journal and ``/api/events``. Whoever has something
to tell writes

    telemetry.emit(BecameLeader, term=7)

and the rest (node, node type, election, wall-clock time) is filled in. Type checkers check the
fields.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import fields, replace
from enum import Enum
from typing import Any, ParamSpec, Protocol, overload

from coord.clock import Clock
from coord.telemetry.events import Event
from coord.telemetry.own_thread import OwnThread
from coord.telemetry.secrecy import Secrets

RECENT_EVENTS = 200
"""How many events `Telemetry.recent` keeps."""

_MAX_NESTED = 100
"""How many events the handlers of one event may emit in turn: a loop among them ends here."""

_log = logging.getLogger("coord.telemetry")


class TellsWho(Protocol):
    """What telemetry needs of a node's identity."""

    @property
    def node(self) -> str: ...
    @property
    def node_type(self) -> str: ...
    @property
    def election(self) -> str: ...


InlineHandler = Callable[[Event], None]
Handler = Callable[[Event], Awaitable[object] | None]
P = ParamSpec("P")


class Apart(Protocol):
    """A handler that is called elsewhere than on the event loop; see `OwnThread`."""

    dropped: int
    failures: int

    def __call__(self, event: Any) -> None: ...
    def close(self) -> None: ...
    async def drained(self, timeout_s: float) -> None: ...


MakeApart = Callable[[Callable[[Any], Awaitable[object] | None]], Apart]


class Telemetry:
    """Hands each event to every handler, in the order of attaching.

    What an event says in words may come from anywhere, the errors of a user's own work among it:
    `secrets` are masked in it before anybody sees it.

    To be used on the event loop's thread. `recent` holds the last events that are not periodic,
    oldest first.

    apart: what calls the handlers that `attach` takes; by default each has a thread of its own.
    """

    def __init__(
        self,
        identity: TellsWho,
        clock: Clock,
        *,
        secrets: Secrets | None = None,
        apart: MakeApart = OwnThread,
    ) -> None:
        node_type = identity.node_type
        self._common: Mapping[str, str] = {
            "node": identity.node,
            "node_type": str(node_type.value) if isinstance(node_type, Enum) else node_type,
            "election": identity.election,
        }
        self._clock = clock
        self._secrets = secrets or Secrets()
        self._handlers: tuple[tuple[object, InlineHandler], ...] = ()
        self._make_apart = apart
        self._apart: list[Apart] = []
        self._beside: list[Apart] = []
        self._waiting: deque[Event] = deque()
        self._emitting = False
        self._failures_told: set[tuple[object, type[Exception]]] = set()
        self.recent: deque[Event] = deque(maxlen=RECENT_EVENTS)
        self._failures = 0
        self._dropped = 0

    @property
    def handler_failures(self) -> int:
        """How many calls of handlers raised."""
        return self._failures + sum(each.failures for each in self._apart)

    @property
    def events_dropped(self) -> int:
        """How many events a handler was too slow for, or were lost to handlers that emit without
        end, or could not be made."""
        return self._dropped + sum(each.dropped for each in self._apart)

    def attach(self, handler: Handler) -> Callable[[], None]:
        """Hand every later event to `handler`; the returned callable ends that.

        handler: a function, or a coroutine function, of one event. It runs on a thread of its own,
            so it may block; what it is too slow for is dropped and counted, and what it raises is
            logged once for each kind.
        """
        apart = self._make_apart(handler)
        self._apart.append(apart)
        detach = self.attach_inline(apart)

        def end() -> None:
            detach()
            apart.close()

        return end

    def beside(self, handler: Callable[[Any], Awaitable[object] | None]) -> Apart:
        """What calls `handler` as `attach` has it called, but with what it is given itself, which
        is no event: it counts for itself what is dropped. It ends with `aclose`."""
        apart = self._make_apart(handler)
        self._beside.append(apart)
        return apart

    async def aclose(self, timeout_s: float) -> None:
        """Hand over what still waits for handlers, for at most `timeout_s` seconds in all."""
        every = (*self._apart, *self._beside)
        for each in every:
            each.close()
        await asyncio.gather(*(each.drained(timeout_s) for each in every))

    def attach_inline(self, handler: InlineHandler) -> Callable[[], None]:
        """As `attach`, but it is called at once, on the event loop: it must not block."""
        token = object()
        self._handlers = (*self._handlers, (token, handler))

        def detach() -> None:
            self._handlers = tuple(entry for entry in self._handlers if entry[0] is not token)

        return detach

    @overload
    def emit(self, event: Event, /) -> None: ...
    @overload
    def emit(self, event: Callable[P, Event], /, *args: P.args, **kwargs: P.kwargs) -> None: ...

    def emit(self, event: Event | Callable[..., Event], /, *args: Any, **kwargs: Any) -> None:
        """Tell: ``emit(BecameLeader, term=7)``, or an event that is made already.

        Never raises and never blocks. What a handler emits in turn is handed out after the event
        at hand, so that all handlers see all events in the same order.
        """
        try:
            complete = self._complete(event if isinstance(event, Event) else event(*args, **kwargs))
        except Exception:
            self._dropped += 1
            _log.exception("an event could not be made")
            return
        if not complete.PERIODIC:
            self.recent.append(complete)
        if self._emitting and len(self._waiting) >= _MAX_NESTED:
            self._dropped += 1
            return
        self._waiting.append(complete)
        if not self._emitting:
            self._hand_out()

    def _complete(self, event: Event) -> Event:
        missing: dict[str, Any] = {k: v for k, v in self._common.items() if not getattr(event, k)}
        if not event.at_ms:
            missing["at_ms"] = self._clock.wall_ms()
        complete = replace(event, **missing) if missing else event
        masked: dict[str, Any] = dict(self._masked(complete))
        return replace(complete, **masked) if masked else complete

    def _masked(self, event: Event) -> Iterator[tuple[str, Any]]:
        """The fields that say something else without the secrets, by name."""
        for each in fields(event):
            value = getattr(event, each.name)
            if (masked := self._secrets.masked_in(value)) != value:
                yield each.name, masked

    def _hand_out(self) -> None:
        self._emitting = True
        budget = _MAX_NESTED
        try:
            while self._waiting and budget:
                budget -= 1
                event = self._waiting.popleft()
                for token, handler in self._handlers:
                    self._call(token, handler, event)
        finally:
            self._dropped += len(self._waiting)
            self._waiting.clear()
            self._emitting = False

    def _call(self, token: object, handler: InlineHandler, event: Event) -> None:
        try:
            handler(event)
        except Exception as error:
            self._failures += 1
            kind = (token, type(error))
            if kind not in self._failures_told:
                self._failures_told.add(kind)
                _log.exception("a telemetry handler failed; told once for each kind of failure")
