"""The console's own themes; Textual's, the two for a terminal's own colours included, work too."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="coord",
    primary="#7aa2d6",
    secondary="#4d6a8f",
    accent="#d8a657",
    warning="#e0af68",
    error="#f0677f",
    success="#7fc98a",
    foreground="#d7dce2",
    background="#14181d",
    surface="#181d23",
    panel="#232a32",
    dark=True,
)
HIGH_CONTRAST = Theme(
    name="high-contrast",
    primary="#66d9ff",
    secondary="#66d9ff",
    accent="#ffff00",
    warning="#ffff00",
    error="#ff8080",
    success="#00ff66",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#000000",
    boost="#000000",
    dark=True,
    text_alpha=1.0,
    variables={
        "border": "#ffffff",
        "border-blurred": "#ffffff",
        "block-cursor-background": "#ffffff",
        "block-cursor-foreground": "#000000",
        "block-cursor-blurred-background": "#ffffff",
        "block-cursor-blurred-foreground": "#000000",
        "footer-key-foreground": "#ffff00",
        "footer-description-foreground": "#ffffff",
    },
)
OURS = (DARK, HIGH_CONTRAST)
