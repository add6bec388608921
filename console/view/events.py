"""The journal: a row for each entry, and each in full with what explains it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from console.snapshot import Snapshot
from console.view.detail import Part, said, told
from console.view.line import LONG, Line, Span, Tone, foreign, line
from console.view.table import Column, Layout, at, by, text
from coord.history.cause import explained
from coord.history.events import event_of, kind_of, sentence
from coord.history.text import limits
from coord.operations import AuditEntry
from coord.status import Seen
from coord.status.words import exactly, plain
from coord.telemetry.journal import JournalEntry

_SYMBOLS = {
    "leader_changed": ("★", Tone.GOOD),
    "became_leader": ("★", Tone.GOOD),
    "lost_leadership": ("✖", Tone.BAD),
    "leader_down": ("✖", Tone.BAD),
    "step_down_requested": ("◆", Tone.WARN),
    "suspended": ("!", Tone.WARN),
    "child_restarted": ("!", Tone.WARN),
    "election_started": ("◔", Tone.PLAIN),
    "takeover_attempted": ("◔", Tone.PLAIN),
    "resumed": ("●", Tone.GOOD),
}
_OTHER, _UNREADABLE, _CLEAN = ("·", Tone.PLAIN), ("?", Tone.WARN), ("○", Tone.PLAIN)
"""Of a kind that is not known here; not to be read; an end that was clean."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """One entry."""

    entry: JournalEntry
    kind: str
    said: str
    symbol: str
    tone: Tone

    @property
    def key(self) -> str:
        """See `Row`."""
        return self.entry.key

    @property
    def at_ms(self) -> int | None:
        """When, by the clock of who told."""
        return self.entry.at_ms

    @property
    def node(self) -> str:
        """Who told."""
        return self.entry.node

    @property
    def words(self) -> Mapping[str, str]:
        """See `Row`."""
        term = "" if self.entry.term is None else str(self.entry.term)
        return {"node": self.node, "kind": self.kind, "term": term, "said": self.said}


def event_rows(
    entries: Iterable[JournalEntry], known: Mapping[str, EventRow] | None = None
) -> tuple[EventRow, ...]:
    """A row for each, in their order; `known`: those made before, by key, are taken again."""
    before = known or {}
    rows = []
    for entry in entries:
        row = before.get(entry.key)
        rows.append(row if row is not None and row.entry == entry else _row(entry))
    return tuple(rows)


def _row(entry: JournalEntry) -> EventRow:
    kind = kind_of(entry) or "unreadable"
    if entry.problem:
        return EventRow(entry, kind, f"cannot be read: {entry.problem}", *_UNREADABLE)
    symbol, tone = _SYMBOLS.get(kind, _OTHER)
    event = event_of(entry)
    if tone is Tone.BAD and event is not None and event.log_level == "info":
        symbol, tone = _CLEAN
    # The term has a column of its own.
    said_ = sentence(entry).replace(f", term {entry.term}", "", 1)
    return EventRow(entry, kind, said_, symbol, tone)


def none(snapshot: Snapshot) -> Line:
    """Why there is no row."""
    if snapshot.past is None:
        return line(Span("the journal was not read yet", Tone.DIM))
    if snapshot.past.history.journal is not Seen.KNOWN:
        return ()
    return line(Span("nobody has told anything yet", Tone.DIM))


def notes(snapshot: Snapshot) -> tuple[Line, ...]:
    """What is not known of the journal."""
    if snapshot.past is None:
        return ()
    history = snapshot.past.history
    quiet = {len(tuple(limits(history))) - 1} if history.pruned else set()
    return tuple(
        line(Span(f"? {each}", Tone.DIM if i in quiet else Tone.WARN))
        for i, each in enumerate(limits(history))
    )


def detail(
    row: EventRow, entries: Sequence[JournalEntry], audit: Sequence[AuditEntry] = ()
) -> Iterator[Part]:
    """The entry in full; `entries`, `audit`: among which what explains it is looked for."""
    entry = row.entry
    yield told("At", f"{plain(exactly(entry.at_ms))} UTC, by the clock of who told")
    yield said("Told by", entry.node, Tone.STRONG)
    yield ("Event", line(Span(f"{row.symbol} ", row.tone), foreign(entry.event, limit=LONG)))
    yield told("Term", "-" if entry.term is None else str(entry.term))
    yield said("Says", row.said)
    yield from _because(entry, entries, audit)
    for name, value in entry.details.items():
        yield said(plain(name, 24), str(value))
    yield said("Key", entry.key, Tone.DIM)


def _because(
    entry: JournalEntry, entries: Sequence[JournalEntry], audit: Sequence[AuditEntry]
) -> Iterator[Part]:
    cause = explained(entry, entries, audit)
    if isinstance(cause, JournalEntry):
        who = foreign(f"{cause.node}: {sentence(cause)}", Tone.STRONG, LONG)
        yield ("Because", line(who, Span(" (c goes there)", Tone.DIM)))
    elif cause:
        asked = foreign(f"request {cause}", Tone.STRONG)
        yield ("Because", line(asked, Span(" (c shows it in the audit)", Tone.DIM)))


def _kind(row: EventRow, _: int) -> Line:
    return line(Span(f"{row.symbol} ", row.tone), foreign(row.kind, row.tone, 24))


def _term(row: EventRow, _: int) -> Line:
    return line("" if row.entry.term is None else str(row.entry.term))


LAYOUT: Layout[EventRow] = Layout(
    (
        Column("at", "At (UTC)", 0, at("at_ms"), lambda row: (row.at_ms or 0,), width=12),
        Column("kind", "Kind", 0, _kind, by("kind"), width=12),
        Column("node", "Told by", 0, text("node", 24), by("node")),
        Column("term", "Term", 0, _term, lambda row: (row.entry.term or 0,)),
        Column("said", "Says", 0, text("said", 400), by("said")),
    ),
    gives=(("said", 16), ("node", 8), ("kind", 12)),
)
