"""The tables of a snapshot: candidates, observers and pollers, the leader's service."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import RenderableType
from rich.text import Text

from coord.consul import CheckStatus
from coord.members import GONE, LeaderInstance, Listing, Member, Seen
from coord.status.model import ClusterStatus
from coord.status.node import since_ms, state_of, until_ms
from coord.status.rows import Folded, Process, fold
from coord.status.tables import Column, table
from coord.status.words import OLD, SEEN, STYLES, duration, foreign, ms_of, plain

_NAME, _STATE, _TYPE = 28, 20, 10
"""Wider cells of these columns are folded."""


def _title(text: str, old: bool) -> Text:
    return Text(text + (OLD if old else ""), style="bold")


def candidates(
    status: ClusterStatus, leading: Member | None, width: int, old: bool
) -> Iterable[RenderableType]:
    """The candidates, who of them leads, and why the others do not."""
    listing = status.candidates
    yield _title("Candidates", old)
    if not listing.items:
        yield _none(listing.seen)
        return
    folded = fold(listing.items)
    shown = [process.main for process in folded.shown]
    why = tuple(foreign("" if m == leading else _why_not(m)) for m in shown)
    eligible = {True: "yes", False: "no", None: "-"}
    columns = (
        _names(folded.shown, leading),
        Column("State", tuple(foreign(state_of(m, leading)) for m in shown), limit=_STATE),
        Column("Why not leader", why, missed=6, limit=_STATE),
        Column("Since", tuple(Text(_since(m, leading, status)) for m in shown), missed=2),
        Column("Left", tuple(Text(_left(m, leading, status)) for m in shown), missed=2),
        _checks(folded.shown),
        Column("Type", tuple(foreign(m.node_type) for m in shown), missed=3, limit=_TYPE),
        Column("Eligible", tuple(Text(eligible[m.eligible]) for m in shown), missed=2),
        _addresses(folded.shown),
        Column("Boot", tuple(foreign(m.boot_id[:8]) for m in shown), missed=1),
    )
    yield table(columns, width)
    yield from _earlier_of(folded)


def others(status: ClusterStatus, width: int, old: bool) -> Iterable[RenderableType]:
    """Observers and pollers; whoever is both has one row."""
    yield _title("Observers and pollers", old)
    listings = {"observers": status.observers, "pollers": status.pollers}
    found = [item for listing in listings.values() for item in listing.items]
    if found:
        folded = fold(found)
        shown = folded.shown
        kinds = tuple(Text(", ".join(part.role for part in p.parts)) for p in shown)
        types = tuple(foreign(p.main.node_type) for p in shown)
        columns = (
            _names(shown, None),
            Column("As", kinds, missed=4),
            Column("State", tuple(foreign(_state_of_all(p)) for p in shown), limit=_STATE),
            _checks(shown),
            Column("Type", types, missed=3, limit=_TYPE),
            _addresses(shown),
            Column("Boot", tuple(foreign(p.main.boot_id[:8]) for p in shown), missed=1),
        )
        yield table(columns, width)
        yield from _earlier_of(folded)
    for name, listing in listings.items():
        if not listing.items and (not found or listing.seen is not Seen.KNOWN):
            yield Text.assemble((f"  {name}: ", "dim"), _none(listing.seen, indent=""))


def _none(seen: Seen, none: str = "none", indent: str = "  ") -> Text:
    return Text(indent + SEEN.get(seen, none), style="dim")


def _names(shown: Iterable[Process], leading: Member | None) -> Column:
    cells = (foreign(p.node, "bold green" if leading in p.parts else "") for p in shown)
    return Column("Node", tuple(cells), limit=_NAME)


def _checks(shown: Iterable[Process]) -> Column:
    cells = (Text(p.status.value, STYLES[p.status]) for p in shown)
    return Column("Check", tuple(cells), missed=4)


def _addresses(shown: Iterable[Process]) -> Column:
    return Column("Address", tuple(foreign(p.main.address) for p in shown), missed=5)


def _state_of_all(process: Process) -> str:
    if process.gone:
        return GONE
    return ", ".join(dict.fromkeys(state_of(part, None) for part in process.parts))


def _why_not(item: Member) -> str:
    return item.reason.value if item.reason else item.why_not


def _since(item: Member, leading: Member | None, status: ClusterStatus) -> str:
    """For how long it leads, or does not for the reason it gives, by its clock and ours."""
    began = status.leader.since
    since = since_ms(item) if item != leading else None if began is None else ms_of(began)
    return "-" if since is None else duration((status.now_ms - since) / 1000)


def _left(item: Member, leading: Member | None, status: ClusterStatus) -> str:
    until = None if item == leading else until_ms(item, status.controls)
    if until is None or until < status.now_ms:
        return "-"
    return duration((until - status.now_ms) / 1000)


def _earlier_of(folded: Folded) -> Iterable[Text]:
    for node, count in folded.earlier.items():
        yield Text.assemble("  ", foreign(node), ": ", earlier(count), style="dim")


def earlier(count: int) -> Text:
    """That so many earlier process starts of a node are folded away."""
    return Text(f"{count} earlier instance{'s' if count > 1 else ''}, gone", "dim")


def leader_service(
    listing: Listing[LeaderInstance], width: int, old: bool
) -> Iterable[RenderableType]:
    """What discovery shows: the passing instances; the critical ones are counted."""
    yield _title("Service of the leader", old)
    shown = [item for item in listing.items if item.status is not CheckStatus.CRITICAL]
    hidden = len(listing.items) - len(shown)
    if shown:
        terms = (Text(str(item.term) if item.term is not None else "-") for item in shown)
        checks = (Text(item.status.value, STYLES[item.status]) for item in shown)
        columns = (
            Column("Node", tuple(foreign(item.node) for item in shown), limit=_NAME),
            Column("Term", tuple(terms)),
            Column("Check", tuple(checks), missed=4),
            Column("Address", tuple(foreign(item.address) for item in shown), missed=5),
        )
        yield table(columns, width)
    elif not hidden:
        yield _none(listing.seen, "none registered")
    else:
        yield Text("  none passes", "yellow")
    if hidden:
        yield Text(f"  {hidden} more, critical: of leaders that are gone (--json shows)", "dim")


def instance(item: Member, leading: Member | None) -> Text:
    """One registered instance, in a line."""
    return Text.assemble(
        f"{item.role.value} ",
        foreign(item.service_id),
        " at ",
        foreign(item.address),
        f", {plain(state_of(item, leading))}, ",
        (item.status.value, STYLES[item.status]),
    )
