"""The app: a worker reads Consul and posts snapshots, the dashboard draws them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from textual.app import SystemCommand
from textual.screen import Screen

from console.controls.acting import ActingApp
from console.controls.desk import Desk
from console.messages import SnapshotFetched
from console.screens.dashboard import WIDE, Dashboard
from console.snapshot import Snapshot
from console.source import Source
from console.themes import DARK, OURS
from coord.clock import Clock

TICK_S = 1.0
"""How often ages and what is left are drawn anew, in seconds."""


class ConsoleApp(ActingApp):
    """One election, live.

    source: what reads it; None: only what is posted as `SnapshotFetched` is shown.
    theme: the name of a theme, Textual's own included.
    desk: what does what is asked for; None: nothing can be done. read_only: nothing is to be.

    Raises:
        ValueError: there is no such theme.
    """

    CSS_PATH: ClassVar[str] = str(Path(__file__).with_name("console.tcss"))
    # Textual means it to be a class variable, and says so in a way that is none.
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]] | None] = [  # type: ignore[misc]
        (0, "-narrow"),
        (WIDE, "-wide"),
    ]
    TITLE: str | None = "coord"

    def __init__(
        self,
        source: Source | None,
        *,
        clock: Clock,
        snapshot: Snapshot | None = None,
        theme: str | None = None,
        desk: Desk | None = None,
        read_only: bool = False,
    ) -> None:
        super().__init__(clock=clock, desk=desk, read_only=read_only)
        self._source = source
        first = source.snapshot if source is not None else Snapshot(election="")
        self.snapshot = first if snapshot is None else snapshot
        for each in OURS:
            self.register_theme(each)
        if theme is not None and theme not in self.available_themes:
            raise ValueError(f"no theme is called {theme!r}: {', '.join(self.available_themes)}")
        self.theme = theme or DARK.name

    def get_default_screen(self) -> Screen[None]:
        """The dashboard is there from the first."""
        self.dashboard = Dashboard(self._clock.now, self.snapshot, lambda: self.mode.word)
        return self.dashboard

    def on_mount(self) -> None:
        """Begin to read, and to count."""
        self.set_interval(TICK_S, self.tick)
        if self._source is not None:
            self.run_worker(self._source.run(self._posted), name="source", exit_on_error=True)

    def _posted(self, snapshot: Snapshot) -> None:
        self.post_message(SnapshotFetched(snapshot))

    def on_snapshot_fetched(self, message: SnapshotFetched) -> None:
        """Draw what was read."""
        self.snapshot = message.snapshot
        if self.is_running:
            self.dashboard.show(message.snapshot)

    @property
    def node_under_cursor(self) -> str:
        """The node that an action on a node means; "": none."""
        row = self.dashboard.current if self.dashboard.is_mounted else None
        return row.node if row is not None else ""

    def tick(self) -> None:
        """Let time pass on the screen, unless it is being taken down."""
        if self.is_running:
            self.dashboard.tick()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What ctrl+p offers: what the keys do, and Textual's own."""
        yield from super().get_system_commands(screen)
        yield from self.act_commands()
        board = self.dashboard
        if screen is board:
            yield SystemCommand("Filter nodes", "Show some of the nodes", board.action_filter)
            yield SystemCommand("Sort nodes", "By the next column", board.action_sort)
            yield SystemCommand("Details", "The node under the cursor", board.action_details)
            yield SystemCommand("Window", "How far back the line goes", board.action_window)
            yield SystemCommand("Help", "Keys, symbols, reasons", board.action_help)
