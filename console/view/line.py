"""Lines of text that say what a part means, not which colour it has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from rich.text import Text

from coord.status.words import plain

LONG = 300
"""How much of a text from Consul is shown where it stands alone, in characters."""


class Tone(StrEnum):
    """What a piece of text means."""

    PLAIN = "plain"
    DIM = "dim"
    STRONG = "strong"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    SHOUT = "shout"
    """Bad, and not to be overlooked."""
    ONE = "one"
    TWO = "two"
    THREE = "three"
    FOUR = "four"
    """Which of several, where what is beside it says the same."""


SERIES = (Tone.ONE, Tone.TWO, Tone.THREE, Tone.FOUR)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a line; `text` has nothing in it that a terminal would obey."""

    text: str
    tone: Tone = Tone.PLAIN


Line = tuple[Span, ...]


def line(*parts: str | Span | None) -> Line:
    """A line; None and "" are left out."""
    spans = (Span(part) if isinstance(part, str) else part for part in parts if part)
    return tuple(span for span in spans if span.text)


def foreign(text: str, tone: Tone = Tone.PLAIN, limit: int = 64) -> Span:
    """A text from Consul, all that a terminal would obey made visible; an empty one as a dash."""
    return Span(plain(text, limit), tone) if text else Span("-", Tone.DIM)


def joined(parts: Iterable[Line], between: str = " · ") -> Line:
    """Several parts in one line."""
    spans: list[Span] = []
    for part in parts:
        if spans and part:
            spans.append(Span(between, Tone.DIM))
        spans.extend(part)
    return tuple(spans)


def text_of(line: Line) -> str:
    """What the line says."""
    return "".join(span.text for span in line)


def of_text(text: Text, tone: Tone) -> Line:
    """A line of what `coord status` says in a `Text`."""
    return (Span(text.plain, tone),) if text.plain else ()
