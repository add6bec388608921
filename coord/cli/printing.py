"""Where commands print, and in what lines."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.text import Text

PIPED_WIDTH = 120
"""How many columns to fill where there is no terminal to ask."""


def console_here(*, piped_width: int = PIPED_WIDTH) -> Console:
    """The console to print on; without a terminal it is `piped_width` columns wide."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=piped_width)


def lines_of(console: Console, content: RenderableType, height: int | None = None) -> list[Text]:
    """The lines of it as `console` would print them, without the blanks that end them.

    height: with more lines than that, the last one says how many are left out.
    """
    lines = [_line(segments) for segments in console.render_lines(content, pad=False)]
    if height is None or len(lines) <= height:
        return lines
    kept = max(0, height - 1)
    return [*lines[:kept], Text(f"{len(lines) - kept} lines more", style="reverse")]


def _line(segments: Iterable[Segment]) -> Text:
    line = Text(no_wrap=True, overflow="ignore", end="")
    for segment in segments:
        if not segment.control:
            line.append(segment.text, segment.style)
    line.rstrip()
    line.end = "\n"
    return line
