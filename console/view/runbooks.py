"""The runbooks: a row for each and for each of its sections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from console.view.line import Line, Span, Tone, foreign, line
from console.view.table import Column, Layout
from coord.runbooks import Block, Runbook, Section


@dataclass(frozen=True, slots=True)
class RunbookRow:
    """A runbook (section None) or a section of one. number: its place among them."""

    book: Runbook
    section: Section | None
    number: int

    @property
    def key(self) -> str:
        """How it is referred to: ``debug-election#no_session``."""
        return self.book.name if self.section is None else f"{self.book.name}#{self.section.anchor}"

    @property
    def title(self) -> str:
        """Its heading."""
        return self.book.title if self.section is None else self.section.title

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What it says; of a runbook, what stands before its first section."""
        if self.section is not None:
            return self.section.blocks
        return (Block(f"# {self.book.title}\n\n{self.book.intro}", ()),)

    @property
    def operations(self) -> int:
        """How many of its steps can be done from here."""
        steps = () if self.section is None else self.section.steps
        return sum(step.operation is not None for step in steps)

    @property
    def words(self) -> Mapping[str, str]:
        """See `Row`."""
        text = self.book.intro if self.section is None else self.section.text
        return {"book": self.book.name, "title": self.title, "text": text}


def runbook_rows(books: Iterable[Runbook]) -> tuple[RunbookRow, ...]:
    """Each runbook with its sections below it."""
    found: list[RunbookRow] = []
    for book in books:
        found.append(RunbookRow(book, None, len(found)))
        for section in book.sections:
            found.append(RunbookRow(book, section, len(found)))
    return tuple(found)


def reference(name: str) -> str:
    """The key of a row, given how a file or a link refers to it: ``runbooks/x.md#y``."""
    path, mark, anchor = name.partition("#")
    return path.rpartition("/")[2].removesuffix(".md") + mark + anchor


def _title(row: RunbookRow, _: int) -> Line:
    if row.section is None:
        return line(Span("▾ ", Tone.DIM), foreign(row.title, Tone.STRONG, 60))
    return line("  ", foreign(row.title, limit=60))


def _operations(row: RunbookRow, _: int) -> Line:
    return line(Span(f"▶ {row.operations}", Tone.GOOD)) if row.operations else ()


LAYOUT: Layout[RunbookRow] = Layout(
    (
        Column("title", "Section", 0, _title, lambda row: (row.title,)),
        Column("operations", "Do", 0, _operations, lambda row: (-row.operations,)),
    ),
    gives=(("title", 20),),
)
