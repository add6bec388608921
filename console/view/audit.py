"""The audit: a row for each operation, and each in full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from console.snapshot import Snapshot
from console.view.detail import Part, said, told
from console.view.line import Line, Span, Tone, foreign, line
from console.view.table import Column, Layout, at, by, text
from coord.history.text import NOT_SEEN
from coord.operations import AuditEntry
from coord.status import Seen
from coord.status.words import exactly, ms_of, span

UNFINISHED = "unfinished"
_TONES = {"done": Tone.GOOD, "asked": Tone.PLAIN, UNFINISHED: Tone.WARN}
_SYMBOLS = {"done": "●", "asked": "●", UNFINISHED: "◔", "": "?"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One operation. at_ms: None, and most texts "", where the entry cannot be read."""

    key: str
    at_ms: int | None
    actor: str
    operation: str
    whom: str
    term: int
    outcome: str
    reason: str
    request_id: str
    entry: AuditEntry

    @property
    def words(self) -> Mapping[str, str]:
        """See `Row`."""
        return {
            "who": self.actor,
            "operation": self.operation,
            "node": self.whom,
            "term": str(self.term or ""),
            "outcome": self.outcome,
            "reason": self.reason,
            "request": self.request_id,
        }

    @property
    def tone(self) -> Tone:
        """Of what came of it."""
        return _TONES.get(self.outcome, Tone.WARN)


def audit_rows(entries: Iterable[AuditEntry]) -> tuple[AuditRow, ...]:
    """A row for each, in their order."""
    return tuple(_row(entry) for entry in entries)


def _row(entry: AuditEntry) -> AuditRow:
    record = entry.record
    if record is None:
        return AuditRow(
            key=entry.key,
            at_ms=None,
            actor="",
            operation="",
            whom="",
            term=0,
            outcome="",
            reason=f"cannot be read: {entry.problem}",
            request_id="",
            entry=entry,
        )
    return AuditRow(
        key=entry.key,
        at_ms=ms_of(record.at),
        actor=record.actor,
        operation=record.operation,
        whom=f"{record.node} → {record.to}" if record.to else record.node,
        term=record.expected_term,
        outcome=UNFINISHED if entry.begun else record.outcome,
        reason=record.reason,
        request_id=record.request_id,
        entry=entry,
    )


def none(snapshot: Snapshot) -> Line:
    """Why there is no row."""
    if snapshot.past is None:
        return line(Span("the audit was not read yet", Tone.DIM))
    if snapshot.past.history.audit is not Seen.KNOWN:
        return ()
    return line(Span("no operation was written down", Tone.DIM))


def notes(snapshot: Snapshot) -> tuple[Line, ...]:
    """What is not known of the audit."""
    if snapshot.past is None:
        return ()
    seen = snapshot.past.history.audit
    if seen is Seen.KNOWN:
        return ()
    return (line(Span(f"? the audit: {NOT_SEEN[seen]}", Tone.WARN)),)


def detail(row: AuditRow) -> Iterator[Part]:
    """The operation in full."""
    record = row.entry.record
    if record is None:
        yield said("Problem", row.entry.problem, Tone.WARN)
        yield said("Key", row.key, Tone.DIM)
        return
    yield said("Operation", record.operation, Tone.STRONG)
    yield said("Concerns", record.node or "the election")
    if record.to:
        yield said("To", record.to)
    yield told("Term", str(record.expected_term) if record.expected_term else "-")
    yield said("Who", record.actor, Tone.STRONG)
    yield said("Why", record.reason)
    yield told("At", f"{exactly(ms_of(record.at))} UTC, by the operator's clock")
    yield ("Outcome", _outcome(row, 0))
    if record.detail:
        yield said("", record.detail)
    if row.entry.begun:
        yield told("", "what came of it was not written down", Tone.WARN)
    if record.finished_at is not None:
        yield told("Took", span(ms_of(record.finished_at) - ms_of(record.at)))
    if record.new_leader:
        yield ("Leads since", line(foreign(record.new_leader), f" (term {record.new_term})"))
    if record.gap_ms is not None:
        yield told("Gap", f"{span(record.gap_ms)} without a leader at work")
    yield said("Request", record.request_id)
    yield said("Key", row.key, Tone.DIM)


def _operation(row: AuditRow, _: int) -> Line:
    if row.entry.record is None:
        return line(Span("unreadable", Tone.WARN))
    return line(foreign(row.operation, Tone.STRONG, 16))


def _outcome(row: AuditRow, _: int) -> Line:
    symbol = _SYMBOLS.get(row.outcome, "!")
    return line(Span(f"{symbol} ", row.tone), foreign(row.outcome, row.tone, 24))


LAYOUT: Layout[AuditRow] = Layout(
    (
        Column("at", "At (UTC)", 0, at("at_ms"), lambda row: (-(row.at_ms or 0),), width=12),
        Column("operation", "Operation", 0, _operation, by("operation")),
        Column("whom", "Node", 0, text("whom", 40), by("whom")),
        Column("actor", "Who", 0, text("actor", 24), by("actor")),
        Column("outcome", "Outcome", 0, _outcome, by("outcome")),
        Column("reason", "Why", 0, text("reason", 300), by("reason")),
        Column("term", "Term", 120, lambda row, _: line(str(row.term or "-")), by("term")),
        Column("request", "Request", 150, text("request_id", 32, Tone.DIM), by("request_id")),
    ),
    gives=(("reason", 12), ("whom", 8), ("actor", 6), ("outcome", 12), ("operation", 10)),
)
