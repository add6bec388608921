"""The elections that there are in Consul, and who leads each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from console.snapshot import Elections
from console.view.headline import failure_words
from console.view.line import LONG, Line, Span, Tone, foreign, line
from console.view.table import Column, Layout, by
from coord.history.text import NOT_SEEN
from coord.status import Condition, Seen
from coord.status.elections import ElectionStatus
from coord.status.words import plain


@dataclass(frozen=True, slots=True)
class ElectionRow:
    """One election. here: it is the one that is looked at."""

    election: ElectionStatus
    here: bool

    @property
    def key(self) -> str:
        """See `Row`."""
        return self.election.name

    @property
    def leader(self) -> str:
        """Who leads it, or that nobody does."""
        leader = self.election.leader
        if leader.locked:
            return leader.node or "somebody"
        return "not permitted" if leader.condition is Condition.NOT_PERMITTED else "nobody"

    @property
    def words(self) -> Mapping[str, str]:
        """See `Row`."""
        return {"election": self.key, "leader": self.leader}


def election_rows(elections: Elections, here: str) -> tuple[ElectionRow, ...]:
    """A row for each, by name."""
    if elections.listing is None:
        return ()
    return tuple(ElectionRow(each, each.name == here) for each in elections.listing.items)


def notes(elections: Elections | None) -> tuple[Line, ...]:
    """What is not known of them."""
    if elections is None:
        return (line(Span("… looking for elections in Consul", Tone.DIM)),)
    if elections.error is not None:
        why, told = failure_words(elections.error), plain(str(elections.error), LONG)
        return (line(Span(f"✖ {why}: {told} (trying on)", Tone.BAD)),)
    listing = elections.listing
    assert listing is not None
    found: list[Line] = []
    if listing.seen is not Seen.KNOWN:
        seen = NOT_SEEN[listing.seen].partition(":")[0]
        said = f"? there may be others: all keys below service/: {seen}"
        found.append(line(Span(said, Tone.WARN)))
    if listing.omitted:
        found.append(line(Span(f"? and {listing.omitted} more", Tone.WARN)))
    if not listing.items:
        found.append(line(Span("no election is in this Consul", Tone.DIM)))
    return tuple(found)


def _name(row: ElectionRow, _: int) -> Line:
    here = Span(" (shown)", Tone.DIM) if row.here else None
    return line(foreign(row.key, Tone.STRONG, 60), here)


def _leader(row: ElectionRow, _: int) -> Line:
    leader = row.election.leader
    if leader.locked:
        return line(Span("★ ", Tone.GOOD), foreign(row.leader, Tone.GOOD, 40))
    if leader.condition is Condition.NOT_PERMITTED:
        return line(Span(f"? {row.leader}", Tone.DIM))
    return line(Span("✖ nobody", Tone.BAD))


def _term(row: ElectionRow, _: int) -> Line:
    term = row.election.leader.term
    return line("-" if term is None else str(term))


LAYOUT: Layout[ElectionRow] = Layout(
    (
        Column("name", "Election", 0, _name, by("key")),
        Column("leader", "Leader", 0, _leader, by("leader")),
        Column("term", "Term", 0, _term, lambda row: (-(row.election.leader.term or 0),)),
    ),
    gives=(("name", 16), ("leader", 12)),
)
