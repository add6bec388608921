"""A table that leaves columns out rather than fold what must stay in one piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

_GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    missed: how much it would be missed; where there is no room the least missed go first, and
        None stays in any case.
    limit: wider cells are folded, in columns of text; None: they never are.
    """

    title: str
    cells: tuple[Text, ...]
    missed: int | None = None
    limit: int | None = None

    @property
    def width(self) -> int:
        """How wide it is, in columns of text."""
        widest = max((cell.cell_len for cell in self.cells), default=0)
        widest = widest if self.limit is None else min(widest, self.limit)
        return max(widest, len(self.title))


def fitting(columns: Sequence[Column], width: int) -> tuple[Column, ...]:
    """Those that fit into `width` columns of text beside each other."""
    kept = list(columns)
    while sum(column.width + _GAP for column in kept) - _GAP > width:
        spare = [column for column in kept if column.missed is not None]
        if not spare:
            break
        kept.remove(min(spare, key=lambda column: column.missed or 0))
    return tuple(kept)


def table(columns: Sequence[Column], width: int) -> Table:
    """A table of those columns that fit."""
    made = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    kept = fitting(columns, width)
    for column in kept:
        if column.missed is not None and column.limit is None:
            made.add_column(column.title, no_wrap=True)
        else:
            made.add_column(column.title, overflow="fold", max_width=column.limit)
    for row in zip(*(column.cells for column in kept), strict=True):
        made.add_row(*row)
    return made
