"""Where `coord status` shows what it read: once, one below the other, or in place."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live

from coord.cli.errors import consul_failure
from coord.cli.printing import console_here, lines_of
from coord.clock import Clock
from coord.status import ClusterStatus, NodeStatus, Unavailable, node_status, to_json
from coord.status.text import render_node, render_notice, render_status
from coord.status.words import ago

View = ClusterStatus | NodeStatus
"""What is shown: everything, or one node out of it."""

TICK_S = 1.0
"""How often a picture in place is drawn anew, for the age in it, in seconds."""


def view_of(snapshot: ClusterStatus, node: str | None) -> View:
    """The whole snapshot, or one node out of it."""
    return snapshot if node is None else node_status(snapshot, node)


def rendered(view: View, width: int, *, old: bool = False) -> RenderableType:
    """A view as text for people."""
    if isinstance(view, ClusterStatus):
        return render_status(view, width=width, old=old)
    return render_node(view, old=old)


class Shower:
    """Shows one reading after another: in place on a terminal, else one below the other.

    A picture in place is drawn anew each second: how old it is must be true at any time.
    """

    def __init__(
        self,
        node: str | None,
        clock: Clock,
        *,
        as_json: bool = False,
        console: Console | None = None,
    ) -> None:
        self._node = node
        self._clock = clock
        self._as_json = as_json
        self._console = console_here() if console is None else console
        self._live: Live | None = None
        self._last: ClusterStatus | None = None
        self._received_at = 0.0
        self._failure: Unavailable | None = None

    def __enter__(self) -> Shower:
        if not self._as_json and self._console.is_terminal:
            self._live = Live(
                console=self._console, auto_refresh=False, vertical_overflow="visible"
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, read: ClusterStatus | Unavailable) -> None:
        """Show what was read, or that nothing could be; what is shown already only gets younger."""
        if isinstance(read, Unavailable):
            self._failure = read
            if self._as_json:
                kind = type(read.error).__name__
                click.echo(json.dumps({"unavailable": kind, "detail": str(read.error)}))
        else:
            said = self._failure is None and self._says_the_same(read)
            self._last, self._failure = read, None
            self._received_at = self._clock.now()
            if said and self._live is None:
                return
            if self._as_json:
                click.echo(to_json(view_of(read, self._node), indent=None))
        if not self._as_json:
            self.draw()

    def _says_the_same(self, read: ClusterStatus) -> bool:
        last = self._last
        if last is None or self._node is None:
            return read.same_as(last)
        return view_of(read, self._node) == view_of(last, self._node)

    async def tick(self) -> None:
        """Draw a picture in place anew each second, for ever."""
        while True:
            await asyncio.sleep(TICK_S)
            if self._live is not None:
                self.draw()

    def draw(self) -> None:
        """Draw what is known, and how old it is now."""
        if self._live is None:
            for line in lines_of(self._console, self.picture()):
                self._console.print(line)
            self._console.print()
        else:
            # The line below the picture is the cursor's.
            lines = lines_of(self._console, self.picture(), self._console.height - 1)
            self._live.update(Group(*lines), refresh=True)

    def picture(self) -> RenderableType:
        """What is known now. Where it cannot be read that comes first, and the rest is old."""
        shown: list[RenderableType] = []
        age_ms = 0
        if self._last is not None:
            age_ms = self._last.age_ms + round((self._clock.now() - self._received_at) * 1000)
        # Without a terminal what was last known stands above already.
        keep = self._last is not None and (self._failure is None or self._live is not None)
        if self._failure is not None:
            said = consul_failure(self._failure.error).message
            shown.append(render_notice(said, ago(age_ms / 1000) if keep else None))
        if keep and self._last is not None:
            view = view_of(replace(self._last, age_ms=age_ms), self._node)
            shown.append(rendered(view, self._console.width, old=self._failure is not None))
        return Group(*shown)
