"""What all screens have in common: the head, the banner, the keys; and time that passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget

from console.snapshot import Snapshot
from console.view import headline
from console.view.rooms import Where
from console.widgets.keys import KeyLine
from console.widgets.lines import Ends, Lines
from console.widgets.tabs import Tabs

Keys = Sequence[tuple[str, str]]
"""Keys, and what they do."""

Command = tuple[str, str, Callable[[], None]]
"""What ctrl+p offers: a name, what it does, and how."""

WIDE, TALL = 110, 30
"""From that many columns on panels stand side by side; from that many lines on they are whole."""


class Room(Screen[None]):
    """Draws the latest snapshot that it was given, and the time that passes."""

    WHERE: ClassVar[Where]
    KEYS: ClassVar[Keys] = ()
    """Keys that this screen alone has, for its help."""
    BINDINGS: ClassVar[list[BindingType]] = [
        # The first to be seen, also where there is no room for all of them.
        Binding("a", "app.act", "Act"),
        Binding("a", "app.act_not", "Act ✖"),
        Binding("escape", "back", "Back", show=False),
    ]

    def __init__(
        self, now: Callable[[], float], snapshot: Snapshot, mode: Callable[[], str] = lambda: ""
    ) -> None:
        """`now` tells the monotonic time, in seconds; `mode` why nothing can be done, if so."""
        super().__init__(classes="room")
        self._now = now
        self._mode = mode
        self._snapshot = snapshot
        self._there = False
        self._last: Snapshot | None = None

    def compose(self) -> ComposeResult:
        """The same head everywhere."""
        yield Ends(id="header")
        yield Tabs(self.WHERE, id="tabs")
        yield Lines(id="banner")
        yield from self.contents()
        yield KeyLine(wide=WIDE, id="keys")

    def contents(self) -> Iterator[Widget]:
        """What is below the head."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """From now on there is something to draw on."""
        self._there = True
        # Only then it is known how much room there is.
        self.call_after_refresh(lambda: self.show(self._snapshot))

    def on_unmount(self) -> None:
        """There is nothing to draw on any more."""
        self._there = False

    def show(self, snapshot: Snapshot) -> None:
        """Draw this from now on."""
        other = snapshot.election != self._snapshot.election
        self._snapshot = snapshot
        if other:
            self.new_election()
        if self._there:
            last, self._last = self._last, snapshot
            # How soon Consul answers stands in the head alone, and is measured all the time.
            if last is None or replace(last, contact=snapshot.contact) != snapshot:
                self.draw()
            self.tick()

    def new_election(self) -> None:
        """Another election is looked at from now on."""

    def draw(self) -> None:
        """Draw what only a new snapshot changes."""

    def tick(self) -> None:
        """Draw what changes as time passes as well: ages, what is left, the banner."""
        if self._there:
            self._draw_head()
            self.draw_time()

    def draw_time(self) -> None:
        """Draw what changes as time passes, below the head."""

    def _draw_head(self) -> None:
        snapshot, now = self._snapshot, self._now()
        banner = headline.banner(snapshot, now)
        self.set_class(bool(banner), "-banner")
        self.set_class(bool(banner) and snapshot.status is not None, "-old")
        # The dashboard says it louder, right below.
        leads = self.WHERE is not Where.DASHBOARD
        head = headline.header(snapshot, now, self._mode(), leads=leads)
        self.query_one("#header", Ends).show(head)
        self.query_one("#banner", Lines).show([banner])

    def on_resize(self) -> None:
        """What has room has changed."""
        self.call_after_refresh(self.tick)

    def on_screen_resume(self) -> None:
        """Somebody came back to it."""
        self.call_after_refresh(self.tick)

    @property
    def node_under_cursor(self) -> str:
        """The node that an action on a node means; "": none."""
        return ""

    @property
    def schedule_under_cursor(self) -> str | None:
        """The last part of the key of the schedule that a run would be of; None: there is none."""
        return None

    def go_to(self, key: str, back: Callable[[], object] | None = None) -> None:
        """Show one thing that another screen names; `back` goes to where it was named."""

    def forget_ways(self) -> None:
        """Nobody was sent here: there is no way back."""

    def commands(self) -> Iterator[Command]:
        """What ctrl+p offers here besides what it offers everywhere."""
        yield from ()

    def action_back(self) -> None:
        """Close what was opened last."""
