"""A snapshot as text for people: rich renderables that fit narrow terminals.

Everything that comes from Consul goes through `plain` and into `Text`, which rich does not
interpret: names in there may hold escape sequences, characters that turn the writing direction
around, or rich's own markup.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from coord.consul import CheckStatus
from coord.members import LeaderInstance, Listing, Member, Role, Seen
from coord.status import (
    ClusterStatus,
    Condition,
    NodeStatus,
    Oddity,
    TermCondition,
    state_of,
)

NARROW = 80
"""Fewer columns than this and the tables leave out what is least missed."""

_SHOWN = 64
_STYLES = {
    CheckStatus.PASSING: "green",
    CheckStatus.WARNING: "yellow",
    CheckStatus.CRITICAL: "red",
}
_SEEN = {
    Seen.UNKNOWN: "none seen; whether there are any cannot be told: the token may not see them",
    Seen.NOT_PERMITTED: "not permitted: the token may not see them (service:read, node:read)",
    Seen.UNAVAILABLE: "not known: Consul did not answer this",
}
_TITLES = {
    Role.CANDIDATE: "Candidates",
    Role.OBSERVER: "Observers",
    Role.POLLER: "Pollers",
}
_ODDITIES = {
    Oddity.EDITED: "the leader key was written to by hand",
    Oddity.RECORD_UNREADABLE: "the leader record cannot be read",
    Oddity.RECORD_SAYS_VACANT: "a session holds the key, but the record says vacant",
    Oddity.TERM_MISSING: "the term key is missing",
    Oddity.TERM_UNREADABLE: "the term key cannot be read",
    Oddity.TERM_MISMATCH: "the record and the term key name different terms",
}


def plain(text: str, limit: int = _SHOWN) -> str:
    r"""`text` with everything invisible or directing made visible as ``\u202e``, and shortened.

    Letters of any script, marks, numbers, punctuation, symbols and the plain space stay.
    """
    shown = "".join(_visible(char) for char in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _visible(char: str) -> str:
    if char == " " or unicodedata.category(char)[0] in "LMNPS":
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def foreign(text: str, style: str = "") -> Text:
    """A text from Consul, as rich shows it untouched; an empty one as a dash."""
    return Text(plain(text) or "-", style=style if text else "dim", overflow="fold")


def render_status(status: ClusterStatus, *, width: int = 100) -> RenderableType:
    """The whole cluster; `width` is the terminal's, in columns."""
    parts: list[RenderableType] = [_head(status)]
    odd = status.leader.oddities
    parts += [Text(f"! {_ODDITIES[oddity]}", style="yellow") for oddity in odd]
    for role, listing in (
        (Role.CANDIDATE, status.candidates),
        (Role.OBSERVER, status.observers),
        (Role.POLLER, status.pollers),
    ):
        parts += ["", *_members(role, listing, status.leader_node, width)]
    parts += ["", *_leader_service(status.leader_service)]
    return Group(*parts)


def render_node(view: NodeStatus) -> RenderableType:
    """One node: what it is, and why it does not lead."""
    if not view.found:
        said = Text.assemble("No node named ", foreign(view.node), " is registered.")
        if view.seen is not Seen.KNOWN:
            said = Text.assemble("Node ", foreign(view.node), ": ", _SEEN[view.seen])
        return said
    grid = _grid()
    grid.add_row("Node", foreign(view.node, "bold"))
    grid.add_row("Takes part as", Text(", ".join(view.roles) or "-"))
    grid.add_row("State", foreign(view.state))
    grid.add_row("Leads", Text("yes", "green") if view.leads else Text("no"))
    if not view.leads:
        grid.add_row("Why not", foreign(view.why_not.value if view.why_not else view.told))
        grid.add_row("Leader", foreign(view.held_by or ""))
    for item in view.instances:
        grid.add_row("Instance", _instance(item))
    return grid


def render_error(error: Exception) -> RenderableType:
    """That Consul could not be read, and what it said."""
    return Text.assemble(("Consul cannot be read: ", "red"), Text(plain(str(error), 300)))


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _head(status: ClusterStatus) -> Table:
    leader = status.leader
    grid = _grid()
    grid.add_row("Election", foreign(status.election))
    if status.stale:
        grid.add_row("", Text("Consul has no leader: this may be of any age", "red"))
    grid.add_row("Leader", _leader(status))
    if leader.locked:
        grid.add_row("Address", foreign(leader.address))
        grid.add_row("Since", Text(_when(leader.since)))
    elif leader.condition is Condition.VACANT:
        grid.add_row("Last leader", foreign(leader.node))
        grid.add_row("Why", foreign(leader.why))
        grid.add_row("By", foreign(leader.by))
    if leader.detail:
        grid.add_row("Problem", foreign(leader.detail))
    grid.add_row("Term", _term(status))
    grid.add_row("Consul", _consul(status))
    grid.add_row("Cluster", _health(status))
    grid.add_row("Read", Text(f"{_at(status.at_ms)}, {status.age_ms / 1000:.1f} s ago"))
    return grid


def _leader(status: ClusterStatus) -> Text:
    leader = status.leader
    if leader.condition is Condition.HELD:
        kind = f" ({plain(leader.node_type)})" if leader.node_type else ""
        return Text.assemble(foreign(leader.node, "bold green"), kind)
    said = {
        Condition.VACANT: "nobody: vacant" + (", handed over" if leader.handed_over else ""),
        Condition.MISSING: "nobody: the leader key does not exist",
        Condition.NOT_PERMITTED: "not permitted: the token may not read the leader key",
        Condition.UNREADABLE: "somebody, but the record cannot be read"
        if leader.locked
        else "nobody: the record cannot be read",
    }
    return Text(said[leader.condition], "yellow")


def _term(status: ClusterStatus) -> Text:
    said = {
        TermCondition.KNOWN: str(status.term.value),
        TermCondition.MISSING: "the term key does not exist",
        TermCondition.UNREADABLE: "the term key cannot be read",
        TermCondition.NOT_PERMITTED: "not permitted: the token may not read the term key",
    }
    return Text(said[status.term.condition])


def _consul(status: ClusterStatus) -> Text:
    consul = status.consul
    text = Text("led by ") if consul.leader else Text("no leader", "red")
    if consul.leader:
        text.append_text(foreign(consul.leader))
    if consul.version is None:
        return text.append(", version not permitted or not known", "dim")
    return text.append(f", version {plain(consul.version)}")


def _health(status: ClusterStatus) -> Text:
    health = status.health
    if health.record is None:
        said = {
            Seen.KNOWN: "nothing published yet",
            Seen.UNKNOWN: "the published verdict cannot be read",
            Seen.NOT_PERMITTED: "not permitted: the token may not read it",
            Seen.UNAVAILABLE: "not known: Consul did not answer this",
        }
        return Text(said[health.seen], "dim")
    record = health.record
    text = foreign(record.verdict, "green" if record.verdict == "healthy" else "red")
    if record.reasons:
        text.append(f" ({plain(', '.join(record.reasons), 200)})")
    text.append(f", nodes {record.nodes.up} up {record.nodes.down} down")
    return text.append(f", {_when(record.at)}")


def _members(
    role: Role, listing: Listing[Member], leader: str | None, width: int
) -> Iterable[RenderableType]:
    yield Text(_TITLES[role], style="bold")
    if not listing.items:
        yield Text("  " + _SEEN.get(listing.seen, "none"), style="dim")
        return
    wide = width >= NARROW
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    columns = ("Node", "State", "Why not leader", "Check")
    for title in (*columns, *(("Type", "Eligible", "Address", "Boot") if wide else ())):
        table.add_column(title, overflow="fold", min_width=4)
    for item in listing.items:
        row = [
            foreign(item.node, "bold green" if item.node == leader else ""),
            foreign(state_of(item, leader)),
            foreign(_why_not(item, leader)),
            Text(item.status.value, _STYLES[item.status]),
        ]
        if wide:
            eligible = {True: "yes", False: "no", None: "-"}[item.eligible]
            row += [foreign(item.node_type), Text(eligible), foreign(item.address)]
            row.append(foreign(item.boot_id[:8]))
        table.add_row(*row)
    yield table


def _why_not(item: Member, leader: str | None) -> str:
    if item.node == leader and item.passing:
        return ""
    if item.role is not Role.CANDIDATE:
        return "not_eligible" if item.role is Role.OBSERVER else ""
    return item.reason.value if item.reason else item.why_not


def _leader_service(listing: Listing[LeaderInstance]) -> Iterable[RenderableType]:
    yield Text("Service of the leader", style="bold")
    if not listing.items:
        yield Text("  " + _SEEN.get(listing.seen, "none registered"), style="dim")
    for item in listing.items:
        yield Text.assemble(
            "  ",
            foreign(item.node),
            f"  term {item.term if item.term is not None else '-'}  ",
            foreign(item.address),
            "  ",
            (item.status.value, _STYLES[item.status]),
        )


def _instance(item: Member) -> Text:
    return Text.assemble(
        f"{item.role.value} ",
        foreign(item.service_id),
        " at ",
        foreign(item.address),
        ", ",
        (item.status.value, _STYLES[item.status]),
    )


def _when(moment: datetime | None) -> str:
    if moment is None:
        return "-"
    try:
        moment = moment.astimezone(UTC)
    except (OverflowError, ValueError):  # year 1 or 9999, in a record that somebody made up
        return plain(moment.isoformat())
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _at(wall_ms: int) -> str:
    return _when(datetime.fromtimestamp(wall_ms / 1000, tz=UTC))
