"""Tables: which rows are wanted, in which order, which columns have room, and how wide they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from rich.cells import cell_len

from console.view.line import Line, Span, Tone, foreign, line, text_of
from coord.status.words import duration, exactly, plain

_FULL_SECONDS_MS = 120_000
"""Up to that long ago the seconds are told; beyond, minutes do."""


class Row(Protocol):
    """One row of a table."""

    @property
    def key(self) -> str:
        """The same for the same thing, whatever else changes."""
        ...

    @property
    def words(self) -> Mapping[str, str]:
        """What a filter looks at, by the names by which a part of it can be asked for."""
        ...


R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Sorting:
    """By which column ("": as the rows are given), and which way."""

    column: str = ""
    reverse: bool = False

    def by(self, column: str) -> Sorting:
        """The same column again turns it around, and then puts the rows as they were given."""
        if column != self.column:
            return Sorting(column)
        return Sorting() if self.reverse else Sorting(column, reverse=True)


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """A column of the table.

    title: its head. least: the narrowest table, in columns of text, that shows it.
    cell: what it shows of a row, at a wall-clock time. order: by what it is sorted.
    """

    name: str
    title: str
    least: int
    cell: Callable[[R, int], Line]
    order: Callable[[R], tuple[object, ...]]
    width: int = 0


@dataclass(frozen=True, slots=True)
class Layout(Generic[R]):
    """The columns of a table.

    gives: what is cut, in that order, where the columns would be wider than the table; how far.
    """

    columns: tuple[Column[R], ...]
    gives: tuple[tuple[str, int], ...] = ()

    def named(self, name: str) -> Column[R]:
        """The column of that name, which there must be."""
        return next(column for column in self.columns if column.name == name)

    def shown(self, width: int) -> tuple[Column[R], ...]:
        """The columns for which a table of that width has room."""
        return tuple(column for column in self.columns if column.least <= width)

    def ordered(self, rows: Iterable[R], sorting: Sorting) -> tuple[R, ...]:
        """The rows as they are to be sorted; equal ones stay as they are given."""
        if not sorting.column:
            return tuple(rows)
        order = self.named(sorting.column).order
        return tuple(sorted(rows, key=order, reverse=sorting.reverse))

    def widths(
        self, columns: tuple[Column[R], ...], rows: Iterable[tuple[Line, ...]], room: int
    ) -> tuple[int, ...]:
        """How wide each column is: as its head, with the mark of the sorting, and its cells need
        it. Where that is more than `room`, with a space on either side of each, some have less."""
        widths = [max(column.width, cell_len(column.title) + 2) for column in columns]
        for cells in rows:
            for i, cell in enumerate(cells):
                widths[i] = max(widths[i], cell_len(text_of(cell)))
        excess = sum(widths) + 2 * len(widths) - room
        for name, least in self.gives:
            for i, column in enumerate(columns):
                if column.name == name and excess > 0 and widths[i] > least:
                    taken = min(excess, widths[i] - least)
                    widths[i] -= taken
                    excess -= taken
        return tuple(widths)


def selected(rows: Iterable[R], words: str) -> tuple[R, ...]:
    """The rows in which every word of `words` stands, upper or lower case.

    A word like ``node:core`` must stand in that part of the row, where rows have one.
    """
    wanted = words.lower().split()
    return tuple(row for row in rows if all(_holds(row.words, word) for word in wanted))


def _holds(said: Mapping[str, str], word: str) -> bool:
    name, colon, rest = word.partition(":")
    if colon and name in said:
        return rest in said[name].lower()
    return any(word in each.lower() for each in said.values())


# --- cells that several tables have --------------------------------------------------------------


def text(name: str, limit: int, tone: Tone = Tone.PLAIN) -> Callable[[R, int], Line]:
    """A cell with one text of the row, which comes from Consul."""
    return lambda row, _: line(foreign(getattr(row, name), tone, limit))


def by(name: str) -> Callable[[R], tuple[object, ...]]:
    """Sorted by one field of the row."""
    return lambda row: (getattr(row, name),)


def by_time(name: str) -> Callable[[R], tuple[object, ...]]:
    """The latest first; who does not say, last."""

    def order(row: R) -> tuple[object, ...]:
        value = getattr(row, name)
        return (value is None, -(value or 0))

    return order


def short(ms: int) -> str:
    """A duration that changes each second only while seconds matter."""
    whole = ms if ms < _FULL_SECONDS_MS else ms - ms % 60_000
    return duration(whole / 1000)


def age(name: str) -> Callable[[R, int], Line]:
    """A cell with how long ago one time of the row is, which is in milliseconds since 1970."""

    def cell(row: R, now_ms: int) -> Line:
        at_ms = getattr(row, name)
        return line(Span("-", Tone.DIM) if at_ms is None else short(now_ms - at_ms))

    return cell


def at(name: str) -> Callable[[R, int], Line]:
    """A cell with when one time of the row is, in UTC; which day, where it is not today."""

    def cell(row: R, now_ms: int) -> Line:
        at_ms = getattr(row, name)
        if at_ms is None:
            return line(Span("-", Tone.DIM))
        told, today = plain(exactly(at_ms)), exactly(now_ms)[:10]
        if told.startswith(today):
            return line(told[11:])
        return line(told[5:19] if len(told) == len(exactly(now_ms)) else told[:14])

    return cell
