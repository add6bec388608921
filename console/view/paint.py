"""Lines as rich draws them, in the styles that a palette gives the tones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.style import Style
from rich.text import Text

from console.view.line import Line, Tone

Palette = Mapping[Tone, Style]

PRINTED: Palette = {
    Tone.PLAIN: Style(),
    Tone.DIM: Style(dim=True),
    Tone.STRONG: Style(bold=True),
    Tone.GOOD: Style(color="green", bold=True),
    Tone.WARN: Style(color="yellow"),
    Tone.BAD: Style(color="red"),
    Tone.SHOUT: Style(color="red", bold=True, reverse=True),
    Tone.ONE: Style(color="blue"),
    Tone.TWO: Style(color="magenta"),
    Tone.THREE: Style(color="cyan"),
    Tone.FOUR: Style(color="yellow"),
}
"""For what is printed on a terminal: its own colours."""


def painted(line: Line, palette: Palette) -> Text:
    """One line; too long, it ends in an ellipsis where it is cut."""
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    for span in line:
        text.append(span.text, palette[span.tone])
    return text


def stacked(lines: Iterable[Line], palette: Palette) -> Text:
    """Several, one below the other."""
    text = Text("\n", no_wrap=True, overflow="ellipsis", end="").join(
        painted(line, palette) for line in lines
    )
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
