"""Entries of the journal as people, and programs, read them: in a line or a few narrow ones."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from coord.history.model import Pause
from coord.history.pauses import during
from coord.history.text import paused_words
from coord.history.told import whole
from coord.status.as_json import plain_value
from coord.status.words import SHOWN, exactly, foreign, plain
from coord.telemetry import CATALOGUE, Event, LeaderChanged, LeaderDown, LostLeadership
from coord.telemetry.journal import JournalEntry
from coord.telemetry.words import of_event

LONG = 400
"""How much of what an entry says is shown, in characters."""

_NODE, _KIND = 10, 19
_INDENT = 4
_NARROW = 25
"""How much of a node's and an event's name is shown where 80 columns do not hold both, in
characters."""
_COMMON = ("node_type", "election")
KINDS = tuple(sorted(kind.NAME for kind in CATALOGUE if kind.JOURNALED))
"""What the journal keeps, by short name."""


def kind_of(entry: JournalEntry) -> str:
    """The short name of its event; "" if it cannot be read."""
    return entry.event.rpartition(".")[2]


def is_wanted(entry: JournalEntry, kinds: Collection[str], nodes: Collection[str]) -> bool:
    """Whether it is of one of the kinds (by short or full name) and was told by one of the nodes;
    none named: any will do."""
    of_kind = not kinds or kind_of(entry) in kinds or entry.event in kinds
    return of_kind and (not nodes or entry.node in nodes)


def paused_before(entry: JournalEntry, pauses: Sequence[Pause]) -> tuple[Pause, ...]:
    """Of a change of leader: the pauses in the gap before it. Of all else: none."""
    gap_ms = whole(entry, "gap_ms")
    if entry.event != LeaderChanged.EVENT or gap_ms is None or entry.at_ms is None:
        return ()
    return during(pauses, entry.at_ms - gap_ms, entry.at_ms)


def tells_of_a_gap(entry: JournalEntry) -> bool:
    """Whether a leader went or came: what is asked of the election may be why it took long."""
    return entry.event in (LeaderChanged.EVENT, LeaderDown.EVENT, LostLeadership.EVENT)


def lines(entry: JournalEntry, width: int, paused: Sequence[Pause] = ()) -> RenderableType:
    """When, who, what: in a line, or, where `width` columns do not hold it, what happened below.

    paused: the pauses in the gap before it.
    """
    head, said = _head(entry), _said(entry)
    parts: list[RenderableType] = [Text.assemble(head, "  ", said) if said else head]
    if head.cell_len + 2 + said.cell_len > width:
        head.rstrip()
        if head.cell_len > width:
            head = _head(entry, _NARROW)
            head.rstrip()
        parts = [head, _below(said)] if said else [head]
    return Group(*parts, *(_below(paused_words(each)) for each in paused))


def _head(entry: JournalEntry, most: int = SHOWN) -> Text:
    """When, who and which event; the names of no more than `most` characters."""
    kind = kind_of(entry) or "unreadable"
    return Text.assemble(
        (exactly(entry.at_ms), "dim"),
        "  ",
        _padded(foreign(plain(entry.node, most)), _NODE),
        "  ",
        _padded(foreign(plain(kind, most), "bold" if entry.event else "yellow"), _KIND),
    )


def _said(entry: JournalEntry) -> Text:
    said = f"cannot be read: {entry.problem}" if entry.problem else sentence(entry)
    text = Text(plain(said, LONG), overflow="fold")
    lost = entry.details.get("lost_before")
    if lost:
        text.append(f"  ({plain(str(lost))} entries before it were never written)", "yellow")
    return text


def _below(said: Text) -> Padding:
    return Padding(said, (0, 0, 0, _INDENT))


def _padded(text: Text, width: int) -> Text:
    text.pad_right(max(0, width - text.cell_len))
    return text


def sentence(entry: JournalEntry) -> str:
    """What it says, as the log would: in a sentence if this version knows the event, else by the
    names of its details."""
    event = event_of(entry)
    if event is not None:
        return of_event(event)
    said = {} if entry.term is None else {"term": entry.term}
    said |= {k: v for k, v in entry.details.items() if k not in (*_COMMON, "lost_before")}
    return " ".join(f"{name}={value}" for name, value in said.items())


def event_of(entry: JournalEntry) -> Event | None:
    """The event that it tells of; None if this version does not know it, or not what it says."""
    adapter = _adapters().get(entry.event)
    if adapter is None:
        return None
    told = {**entry.details, "node": entry.node, "term": entry.term, "at_ms": entry.at_ms or 0}
    try:
        made = adapter.validate_python(told)
    except ValidationError:
        return None
    return made if isinstance(made, Event) else None


@cache
def _adapters() -> dict[str, TypeAdapter[Any]]:
    return {kind.EVENT: TypeAdapter(kind) for kind in CATALOGUE}


def as_json(entry: JournalEntry, paused: Sequence[Pause] = ()) -> str:
    """The same as one line of JSON, in plain ASCII, and nothing left out."""
    told = {
        "at_ms": entry.at_ms,
        "at": None if entry.at_ms is None else exactly(entry.at_ms).replace(" ", "T") + "Z",
        "node": entry.node,
        "kind": kind_of(entry),
        "event": entry.event,
        "term": entry.term,
        "details": dict(entry.details),
        "problem": entry.problem,
        "key": entry.key,
        "paused": plain_value(tuple(paused)),
    }
    return json.dumps(told, ensure_ascii=True)
