"""Handlers of events that a user brings: found through entry points, as workloads are.

    [project.entry-points."coord.event_handlers"]
    chat = "acme.chat:make_handler"

The object is called once, when the node starts, with a `HandlerContext`, and gives what is called
with every event: a function, or a coroutine function, of one `coord.telemetry.Event`. It runs on a
thread of its own; see `Telemetry.attach`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from coord.config import Settings
from coord.identity import Identity
from coord.plugins import Plugins
from coord.telemetry import Handler

GROUP = "coord.event_handlers"
"""The entry point group in which they are named."""

_PLUGINS = Plugins(GROUP, field="event_handlers", kind="event handler")


@dataclass(frozen=True, slots=True)
class HandlerContext:
    """What a handler is made with.

    settings: this node's effective settings.
    identity: who this node is.
    """

    settings: Settings
    identity: Identity


def load_handlers(names: Iterable[str], context: HandlerContext) -> tuple[Handler, ...]:
    """The handlers of these names, in the order given.

    Raises:
        PluginError: a name is unknown, or two packages offer it, or what it names cannot be
            loaded or made, or is no handler.
    """
    return tuple(_handler(name, context) for name in names)


def _handler(name: str, context: HandlerContext) -> Handler:
    made, called = _PLUGINS.make(name, context)
    if not callable(made):
        what = type(made).__name__
        raise _PLUGINS.error(
            name, f"{called} gave a {what}: it must give a function of one event, or a coroutine's"
        )
    handler: Handler = made
    return handler
