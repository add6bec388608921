"""Who runs the polls: how each poller stands, and how much it has to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len

from console.snapshot import Snapshot
from console.view.line import Line, Span, Tone, line, text_of
from coord.status import Member, Seen
from coord.status.words import SEEN, plain

if TYPE_CHECKING:
    from coord.polling.board import PollerSeen

NAME = 40
"""How much of a name is shown, in characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Poller:
    """running: how many open runs are given to it. seen: what it says of itself, where it passes.
    known: whether it would be there. drained: its node is not to lead."""

    member: Member
    running: int
    seen: PollerSeen | None
    known: bool
    drained: bool

    @property
    def troubled(self) -> bool:
        """Whether it gets no polls."""
        return not self.member.passing or (self.known and self.seen is None)


def poller_names(snapshot: Snapshot) -> Mapping[str, str]:
    """What the pollers call themselves, by the ids of their services."""
    if snapshot.status is None:
        return {}
    return {each.service_id: each.node for each in snapshot.status.pollers.items}


def poller_name(snapshot: Snapshot, service_id: str) -> str:
    """The name of the poller of that id, or the id where it is not among them any more."""
    return poller_names(snapshot).get(service_id, service_id)


def _pollers(snapshot: Snapshot) -> tuple[_Poller, ...]:
    """Who gets no polls first, then by name."""
    status, board = snapshot.status, snapshot.poll_board
    if status is None:
        return ()
    told = None if board is None else board.pollers
    by_id = {each.id: each for each in told or ()}
    drained = status.controls.asked.drained
    found = (
        _Poller(
            member=each,
            running=0 if board is None else board.running(each.service_id),
            seen=by_id.get(each.service_id),
            # One that came after they were looked for is not known to be wrong.
            known=told is not None and board is not None and status.at_ms <= board.at_ms,
            drained=each.node in drained,
        )
        for each in status.pollers.items
    )
    return tuple(sorted(found, key=lambda each: (not each.troubled, each.member.node)))


def title(snapshot: Snapshot) -> str:
    """How many there are, and how much they do together."""
    pollers = _pollers(snapshot)
    if not pollers:
        return "Pollers"
    well = [each for each in pollers if not each.troubled]
    said = f"Pollers: {len(pollers)}"
    if len(well) < len(pollers):
        said += f", {len(well)} of them well"
    may = sum(each.seen.capacity for each in well if each.seen is not None)
    return f"{said}, {sum(p.running for p in pollers)} of {may} running" if may else said


def panel(snapshot: Snapshot, width: int, most: int) -> tuple[Line, ...]:
    """Each of them, side by side as far as there is room, in at most so many lines of that width;
    who gets no polls first."""
    status = snapshot.status
    if status is None:
        return (line(Span("nothing was read yet", Tone.DIM)),)
    if not status.pollers.items:
        seen = status.pollers.seen
        if seen in (Seen.KNOWN, Seen.UNKNOWN):
            return (line(Span("! there is none: no schedule is run", Tone.WARN)),)
        return (line(Span(f"? {SEEN[seen]}", Tone.WARN)),)
    pollers = _pollers(snapshot)
    cells, cell, across = _laid_out(pollers, width, whole=True)
    if len(cells) > across * most:
        cells, cell, across = _laid_out(pollers, width, whole=False)
    shown = cells if len(cells) <= across * most else cells[: across * most - 1]
    if len(shown) < len(cells):
        shown = (*shown, line(Span(f"and {len(cells) - len(shown)} more", Tone.DIM)))
    rows = [shown[i : i + across] for i in range(0, len(shown), across)]
    return tuple(_beside(row, cell) for row in rows)


def _laid_out(
    pollers: tuple[_Poller, ...], width: int, *, whole: bool
) -> tuple[tuple[Line, ...], int, int]:
    """A cell for each, how wide one is with the room beside it, and how many stand side by side.
    whole: with where they are."""
    cells = _aligned(pollers, whole=whole)
    cell = max(cell_len(text_of(each)) for each in cells) + 3
    return cells, cell, max(1, (width + 3) // cell)


def _beside(cells: tuple[Line, ...], width: int) -> Line:
    spans: list[Span] = []
    for each in cells:
        spans += [*each, Span(" " * (width - cell_len(text_of(each))))]
    return tuple(spans[:-1])


def _aligned(pollers: tuple[_Poller, ...], *, whole: bool) -> tuple[Line, ...]:
    names = [plain(each.member.node, NAME) or "-" for each in pollers]
    loads = [_load(each) for each in pollers]
    name_width = max(cell_len(name) for name in names)
    load_width = max(cell_len(load.text) for load in loads)
    return tuple(
        line(
            _symbol(each),
            Span(name + " " * (name_width - cell_len(name)), Tone.STRONG),
            Span("  "),
            load,
            Span(" " * (load_width - cell_len(load.text))),
            *(_where(each) if whole else ()),
        )
        for each, name, load in zip(pollers, names, loads, strict=True)
    )


def _symbol(poller: _Poller) -> Span:
    if poller.member.gone:
        return Span("✖ ", Tone.BAD)
    return Span("! ", Tone.WARN) if poller.troubled else Span("● ", Tone.GOOD)


def _load(poller: _Poller) -> Span:
    if poller.member.gone:
        return Span("its check fails", Tone.BAD)
    if not poller.member.passing:
        return Span("its check warns", Tone.WARN)
    if poller.troubled:
        return Span("cannot be dialled", Tone.WARN)
    if poller.seen is None:
        return Span(f"{poller.running} running", Tone.PLAIN)
    full = poller.running >= poller.seen.capacity
    said = f"{poller.running} of {poller.seen.capacity} running"
    return Span(f"{said}, full" if full else said, Tone.WARN if full else Tone.PLAIN)


def _where(poller: _Poller) -> tuple[Span, ...]:
    told = []
    if poller.seen is not None and poller.seen.partition:
        told.append(f"partition {plain(poller.seen.partition, 24)}")
    if poller.seen is not None and poller.seen.domain:
        told.append(f"domain {plain(poller.seen.domain, 24)}")
    spans = [Span(f"  {each}", Tone.DIM) for each in told]
    return (*spans, Span("  node drained", Tone.DIM)) if poller.drained else tuple(spans)
