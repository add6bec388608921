"""Text that Textual would read as markup: names and words from Consul are never that."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget


def entitle(widget: Widget, title: str, subtitle: str = "") -> None:
    """What stands in its border from now on, to the letter."""
    widget.border_title = Content(title)
    widget.border_subtitle = Content(subtitle) if subtitle else None


def as_markup(text: str) -> str:
    """The markup that shows this very text, for what takes markup alone."""
    return text.replace("[", "\\[")
