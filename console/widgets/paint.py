"""Which style each tone has in the present theme."""

from __future__ import annotations

from rich.style import Style
from textual.app import App
from textual.color import Color, ColorParseError

from console.view.line import SERIES, Tone
from console.view.paint import Palette

_NAMES = {Tone.GOOD: "text-success", Tone.WARN: "text-warning", Tone.BAD: "text-error"}
_SERIES = {
    "ansi": ("ansi_blue", "ansi_magenta", "ansi_cyan", "ansi_yellow"),
    "dark": ("#7aa2d6", "#c49ad8", "#5fbfb3", "#d8a657"),
    "light": ("#1f5fa8", "#7d3c98", "#0f7a6e", "#8a5a00"),
}


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
