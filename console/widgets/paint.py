"""Which style each tone has in the present theme, and lines as rich draws them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.style import Style
from rich.text import Text
from textual.app import App
from textual.color import Color, ColorParseError

from console.view.line import SERIES, Line, Tone

Palette = Mapping[Tone, Style]

_NAMES = {Tone.GOOD: "text-success", Tone.WARN: "text-warning", Tone.BAD: "text-error"}
_SERIES = {
    "ansi": ("ansi_blue", "ansi_magenta", "ansi_cyan", "ansi_yellow"),
    "dark": ("#7aa2d6", "#c49ad8", "#5fbfb3", "#d8a657"),
    "light": ("#1f5fa8", "#7d3c98", "#0f7a6e", "#8a5a00"),
}
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


def palette_of(app: App[object]) -> Palette:
    """The styles of the present theme."""
    variables = app.theme_variables
    styles = {
        Tone.PLAIN: Style(),
        Tone.DIM: Style(dim=True),
        Tone.STRONG: Style(bold=True),
    }
    for tone, name in _NAMES.items():
        styles[tone] = _style(variables.get(name, ""), bold=tone is Tone.GOOD)
    styles[Tone.SHOUT] = styles[Tone.BAD] + Style(bold=True, reverse=True)
    theme = app.current_theme
    kind = "ansi" if theme.ansi else "dark" if theme.dark else "light"
    styles |= {tone: _style(name) for tone, name in zip(SERIES, _SERIES[kind], strict=True)}
    return styles


def _style(color: str, *, bold: bool | None = None) -> Style:
    try:
        return Style(color=Color.parse(color).rich_color, bold=bold)
    except ColorParseError:
        return Style(bold=bold)


def painted(line: Line, palette: Palette) -> Text:
    """One line; too long, it ends in an ellipsis where it is cut."""
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    for span in line:
        text.append(span.text, palette[span.tone])
    return text


def stacked(lines: Sequence[Line] | Iterable[Line], palette: Palette) -> Text:
    """Several, one below the other."""
    text = Text("\n", no_wrap=True, overflow="ellipsis", end="").join(
        painted(line, palette) for line in lines
    )
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
