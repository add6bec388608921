"""What dialogs are made of: lines, and rows of a title and a text. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from console.view.by_key import by_key
from console.view.line import LONG, Line, Span, Tone, line
from coord.operations import Preview
from coord.operations.text import caution_lines, preview_rows, what
from coord.status.words import plain


@dataclass(frozen=True, slots=True)
class Row:
    """A title, and a text beside it that is broken within its own column."""

    head: Line
    text: Line


Part = Line | Row
"""A line of its own, or a row; an empty line stands for itself."""

_STRONG = frozenset({"Leader", "Interrupts", "Next", "Gap"})


def preview_parts(plan: Preview) -> Iterator[Part]:
    """What would be done, to whom, what it costs, what could go wrong: as `coord` says it."""
    yield line(Span(plain(what(plan.ask), LONG), Tone.STRONG))
    yield ()
    for title, text in preview_rows(plan):
        tone = Tone.STRONG if title in _STRONG else Tone.PLAIN
        yield Row(line(Span(title, Tone.DIM)), line(Span(plain(text, LONG), tone)))
    if plan.cautions:
        yield ()
    for caution, said in zip(plan.cautions, caution_lines(plan), strict=True):
        tone = Tone.BAD if caution.serious else Tone.WARN
        symbol, _, text = said.strip().partition(" ")
        yield Row(line(Span(symbol, tone)), line(Span(plain(by_key(text.strip()), LONG), tone)))
