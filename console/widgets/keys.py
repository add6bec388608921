"""The line of keys at the foot of a screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget


@dataclass(frozen=True, slots=True)
class Shown:
    """A key as the line shows it; pressed: what a click on it presses."""

    pressed: str
    name: str
    what: str
    enabled: bool
    tip: str


class KeyLine(Widget, can_focus=False):
    """Shows the keys that do something now, as Textual's Footer does, which has a widget for each
    and makes all of them anew whenever the focus moves. A click on a key presses it.

    wide: from that many columns on there is more space between them, and the palette's key.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "key-line--key",
        "key-line--what",
        "key-line--off",
        "key-line--hover",
        "key-line--edge",
    }

    def __init__(self, *, wide: int, id: str) -> None:
        super().__init__(id=id)
        self._wide = wide
        self._keys: tuple[Shown, ...] = ()
        self._palette: Shown | None = None
        self._hovered: Shown | None = None

    def on_mount(self) -> None:
        """Follow what can be done."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def on_unmount(self) -> None:
        """Nobody looks any more."""
        self.screen.bindings_updated_signal.unsubscribe(self)

    def _changed(self, screen: Screen[object]) -> None:
        if not self.app.app_focus or screen is not self.screen:
            return
        palette = self.app.COMMAND_PALETTE_BINDING
        keys: dict[str, Shown] = {}
        last: Shown | None = None
        for _, binding, enabled, tip in screen.active_bindings.values():
            name = self.app.get_key_display(binding)
            shown = Shown(binding.key, name, binding.description, enabled, tip)
            if binding.show:
                keys.setdefault(binding.action, shown)
            if binding.key == palette:
                last = shown
        if ((*keys.values(),), last) != (self._keys, self._palette):
            self._keys, self._palette = (*keys.values(),), last
            self.refresh()

    # --- drawing ---

    def render_line(self, y: int) -> Strip:
        """The keys from the left, the palette's at the right end, over whatever is there."""
        blank = self.rich_style.background_style
        last = Strip(self._last())
        keys = Strip(segment for shown in self._keys for segment in self._drawn(shown))
        room = self.size.width - last.cell_length
        return Strip.join((keys.adjust_cell_length(room, blank), last))

    @property
    def _is_wide(self) -> bool:
        return self.size.width >= self._wide

    def _drawn(self, shown: Shown) -> Iterator[Segment]:
        name, what = self._style("key", shown), self._style("what", shown)
        if self._is_wide:
            yield Segment(f" {shown.name} ", name)
            yield Segment(f"{shown.what} ", what)
        else:
            yield Segment(shown.name, name)
            yield Segment(f" {shown.what}", what)
            yield Segment(" ", self.rich_style.background_style)

    def _last(self) -> Iterator[Segment]:
        shown = self._palette
        if shown is not None and self._is_wide:
            yield Segment("▏", self.get_component_rich_style("key-line--edge"))
            yield Segment(shown.name, self._style("key", shown))
            yield Segment(f" {shown.what}", self._style("what", shown))
            yield Segment(" ", self.rich_style.background_style)

    def _style(self, part: str, shown: Shown) -> Style:
        style = self.get_component_rich_style(f"key-line--{part}")
        if not shown.enabled:
            style += self.get_component_rich_style("key-line--off", partial=True)
        if shown is self._hovered:
            style += self.get_component_rich_style("key-line--hover", partial=True)
        return style

    # --- the mouse ---

    def _at(self, x: int) -> Shown | None:
        if x >= self.size.width - _width(self._last()):
            return self._palette
        ends = accumulate(_width(self._drawn(shown)) for shown in self._keys)
        return next((shown for shown, end in zip(self._keys, ends, strict=True) if x < end), None)

    def _hover(self, shown: Shown | None) -> None:
        if shown is not self._hovered:
            self._hovered = shown
            self.tooltip = shown.tip if shown is not None and shown.tip else None
            self.refresh()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Show which key a click would press."""
        self._hover(self._at(event.x))

    def on_leave(self) -> None:
        """None any more."""
        self._hover(None)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Press it."""
        shown = self._at(event.x)
        if shown is None:
            return
        if shown.enabled:
            self.app.simulate_key(shown.pressed)
        else:
            self.app.bell()


def _width(segments: Iterable[Segment]) -> int:
    return sum(segment.cell_length for segment in segments)
