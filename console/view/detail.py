"""Something in full: what is told of it, each with a label."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from console.view.line import Line, Span, Tone, foreign, line
from console.view.paint import Palette, painted

LONGEST = 2000
"""How much of one text from Consul is shown in full, in characters."""

Part = tuple[str, Line]
"""A label ("": it goes on with the one above) and what is said there."""


def said(label: str, text: str, tone: Tone = Tone.PLAIN) -> Part:
    """A text from Consul."""
    return (label, line(foreign(text, tone, LONGEST)))


def told(label: str, text: str, tone: Tone = Tone.PLAIN) -> Part:
    """A text of our own."""
    return (label, line(Span(text, tone)))


def gridded(parts: Iterable[Part], palette: Palette) -> Table:
    """The parts, one below the other, the labels to the left."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style=palette[Tone.DIM])
    grid.add_column(overflow="fold", ratio=1)
    for label, content in parts:
        text = painted(content, palette)
        text.no_wrap, text.overflow = False, "fold"
        grid.add_row(Text(label), text)
    return grid
