"""A snapshot as text for people: rich renderables that fit narrow terminals."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from coord.election.reasons import Cause
from coord.members import Member, Role, Seen
from coord.status.asked import UNSEEN, asked, drained, paused, requested
from coord.status.denial import denial
from coord.status.model import (
    ClusterStatus,
    Condition,
    LeaderStatus,
    Oddity,
    TermCondition,
)
from coord.status.node import NodeStatus
from coord.status.reasons import CAUSES, STATES
from coord.status.rows import fold, leading_member, namesakes
from coord.status.sections import candidates, earlier, instance, leader_service, others
from coord.status.words import OLD, SEEN, ago, at, duration, foreign, left, plain, span, when

__all__ = [
    "ODDITIES",
    "health_words",
    "namesakes_words",
    "plain",
    "render_node",
    "render_notice",
    "render_status",
    "vacancy",
    "why_vacant",
]

ODDITIES = {
    Oddity.EDITED: "the leader key was written to by hand",
    Oddity.RECORD_UNREADABLE: "the leader record cannot be read",
    Oddity.RECORD_SAYS_VACANT: "a session holds the key, but the record says vacant",
    Oddity.TERM_MISSING: "the term key is missing",
    Oddity.TERM_UNREADABLE: "the term key cannot be read",
    Oddity.TERM_MISMATCH: "the record and the term key name different terms",
}
"""What is wrong with the two keys, in words."""

_MADE = (Cause.FIRST_START, Cause.DELETED)
"""Vacancies that no leader left: a candidate made the key."""


def render_status(status: ClusterStatus, *, width: int = 100, old: bool = False) -> RenderableType:
    """The whole cluster; `width` is the terminal's, in columns; `old`: read long ago, says so."""
    old = old or status.stale
    leading = leading_member(status.candidates.items, status.leader)
    denied = denial(status)
    parts: list[RenderableType] = [] if denied is None else [_warning(denied)]
    parts += [*asked(status), _head(status, old)]
    parts += [_warning(ODDITIES[oddity]) for oddity in status.leader.oddities]
    for name, addresses in namesakes(status).items():
        parts.append(namesakes_words(name, addresses, status.leader_node, leading))
    parts += ["", *candidates(status, leading, width, old)]
    parts += ["", *others(status, width, old)]
    parts += ["", *leader_service(status.leader_service, width, old)]
    return Group(*parts)


def render_node(view: NodeStatus, *, old: bool = False) -> RenderableType:
    """One node: what it is, and why it does not lead; `old`: read long ago, says so."""
    if not view.found:
        said = Text.assemble("No node named ", foreign(view.node), " is registered.")
        if view.seen is not Seen.KNOWN:
            said = Text.assemble("Node ", foreign(view.node), ": ", SEEN[view.seen])
        return said if view.denied is None else Group(_warning(view.denied), said)
    leading = next((item for item in view.instances if view.leads and _at_leader(item, view)), None)
    grid = _grid()
    grid.add_row("Node", foreign(view.node, "bold").append(OLD if old else ""))
    grid.add_row("Takes part as", Text(", ".join(view.roles) or "-"))
    grid.add_row("State", _state(view))
    grid.add_row("Leads", _leads(view))
    if view.leads:
        _leadership(grid, view)
    else:
        _why_not(grid, view)
    _asked(grid, view)
    folded = fold(view.instances)
    for item in (part for process in folded.shown for part in process.parts):
        grid.add_row("Instance", instance(item, leading))
    if folded.earlier:
        grid.add_row("", earlier(sum(folded.earlier.values())))
    parts: list[RenderableType] = [] if view.denied is None else [_warning(view.denied)]
    parts.append(grid)
    if len(view.addresses) > 1:
        leads = view.held_by or view.node
        parts.append(namesakes_words(view.node, view.addresses, leads, leading))
    return Group(*parts)


def _state(view: NodeStatus) -> Text:
    meaning = next((text for state, text in STATES.items() if state == view.state), "")
    text = foreign(view.state)
    return text.append(f": {meaning}", "dim") if meaning else text


def _leadership(grid: Table, view: NodeStatus) -> None:
    """What is to be known of a leader: since when, which term, what it promises, what it does."""
    leader, main = view.leadership, view.main
    assert leader is not None
    grid.add_row("Term", Text("-" if leader.term is None else str(leader.term)))
    since = Text(when(leader.since))
    if view.since_ms is not None:
        since.append(f", {ago((view.now_ms - view.since_ms) / 1000)}")
    grid.add_row("Since", since)
    grid.add_row("Successors", Text(", ".join(map(plain, leader.successors)) or "-"))
    told = dict(main.timing_ms) if main is not None else {}
    lease = f"{span(told['lease'])}, then work stops" if "lease" in told else "-"
    if leader.fenced_within_ms is not None:
        lease += f"; stopped for certain within {span(leader.fenced_within_ms)}"
    grid.add_row("Lease", Text(lease))
    work = "-" if main is None else ", ".join(map(plain, main.workloads)) or "no work"
    grid.add_row("Work", Text(work))


def _why_not(grid: Table, view: NodeStatus) -> None:
    """Why it does not lead: since when, what it waits for and for how long, what to do."""
    grid.add_row("Why not", foreign(view.why_not.value if view.why_not else view.told, "bold"))
    if view.why is not None:
        grid.add_row("", Text(view.why.meaning))
        if view.since_ms is not None:
            age = ago((view.now_ms - view.since_ms) / 1000)
            grid.add_row("Since", Text(f"{at(view.since_ms)}, {age}"))
        waits = Text(view.why.waits_for)
        if view.left_ms is not None:
            waits.append(f", {left(view.left_ms)}", "bold")
        grid.add_row("Waits for", waits)
        grid.add_row("To do", Text(view.why.advice))
    grid.add_row("Leader", _held_by(view))


def _asked(grid: Table, view: NodeStatus) -> None:
    """What operators ask that concerns this node."""
    if view.pause is not None:
        grid.add_row("Asked", paused(view.pause, view.now_ms))
    if view.drain is not None:
        grid.add_row("Asked", drained(view.drain, view.now_ms))
    if view.request is not None:
        term = view.leadership.term if view.leadership is not None else None
        grid.add_row("Asked", requested(view.request, term, view.now_ms))
    if view.controls is not Seen.KNOWN:
        grid.add_row("Asked", Text(UNSEEN[view.controls], "dim"))


def _at_leader(item: Member, view: NodeStatus) -> bool:
    fits = view.leader_address in ("", item.address)
    return fits and item.role is Role.CANDIDATE and item.passing


def _leads(view: NodeStatus) -> Text:
    if not view.leads:
        return Text("no")
    text = Text("yes", "green")
    if len(view.addresses) > 1 and view.leader_address:
        text.append_text(Text.assemble(", the one at ", foreign(view.leader_address)))
    return text


def _held_by(view: NodeStatus) -> Text:
    text = foreign(view.held_by or "")
    if view.held_by == view.node:
        text.append_text(Text.assemble(", another of this name, at ", foreign(view.leader_address)))
    return text


def render_notice(text: str, age: str | None = None) -> RenderableType:
    """What stands above what was last known: why it is not read now, and how old that is.

    age: of what is shown below, in words; None: nothing is.
    """
    notice = Text(plain(text, 300), "red")
    if age is None:
        return notice
    return Group(notice, Text(f"Everything below is OLD: last read {age}.", "bold red"), "")


def _warning(text: str | Text) -> Text:
    return Text.assemble("! ", text, style="yellow")


def namesakes_words(
    name: str, addresses: tuple[str, ...], leader: str | None, leading: Member | None
) -> Text:
    """That several passing nodes have one name, with their addresses."""
    known = leading.address if leading is not None and leader == name else ""
    if known in addresses:
        others = ", ".join(plain(each) for each in addresses if each != known)
        said = f"another passing node is called {plain(name)} ({others})"
    else:
        every = ", ".join(plain(each) for each in addresses)
        said = f"{len(addresses)} passing nodes are called {plain(name)} ({every})"
    return _warning(f"{said}; give each node a name of its own, with --node")


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _head(status: ClusterStatus, old: bool) -> Table:
    leader = status.leader
    grid = _grid()
    grid.add_row("Election", foreign(status.election))
    if status.stale:
        grid.add_row("", Text("Consul has no leader: this may be of any age", "red"))
    grid.add_row("Leader", _leader(status).append(OLD if old else ""))
    if leader.locked:
        grid.add_row("Address", foreign(leader.address))
        grid.add_row("Since", Text(when(leader.since)))
    elif leader.condition is Condition.VACANT:
        grid.add_row("Last leader", foreign(leader.node))
        grid.add_row("Why", why_vacant(leader))
        if leader.successors:
            names = ", ".join(plain(name) for name in leader.successors)
            grid.add_row("Next", Text(f"{names} (as the last leader saw it)"))
    if leader.detail:
        grid.add_row("Problem", foreign(leader.detail))
    grid.add_row("Term", _term(status))
    grid.add_row("Consul", _consul(status))
    grid.add_row("Cluster", health_words(status))
    grid.add_row("Read", Text(f"{at(status.at_ms)}, {ago(status.age_ms / 1000)}"))
    return grid


def _leader(status: ClusterStatus) -> Text:
    leader = status.leader
    if leader.condition is Condition.HELD:
        kind = f" ({plain(leader.node_type)})" if leader.node_type else ""
        return Text.assemble(foreign(leader.node, "bold green"), kind)
    said = {
        Condition.VACANT: vacancy(status),
        Condition.MISSING: "nobody: the leader key does not exist",
        Condition.NOT_PERMITTED: "not permitted: the token may not read the leader key",
        Condition.UNREADABLE: "somebody, but the record cannot be read"
        if leader.locked
        else "nobody: the record cannot be read",
    }
    return Text(said[leader.condition], "yellow")


def vacancy(status: ClusterStatus) -> str:
    """That nobody leads, for how long, and how the last leader left; of a vacant key."""
    leader = status.leader
    said = "nobody: vacant"
    # The record of a leader that vanished has its beginning, not its end.
    if leader.since is not None and not leader.vanished:
        said += f" for {duration(status.now_ms / 1000 - leader.since.timestamp())}"
    if leader.handed_over:
        said += ", handed over"
    return said + (", its leader vanished" if leader.vanished else "")


def why_vacant(leader: LeaderStatus) -> Text:
    """Why a vacant key is, what that means, and who had a part in it, as far as that is said."""
    if leader.vanished:
        return Text("its session ended without a hand-over: killed, hung or cut off")
    text, cause = foreign(leader.why), Cause.parse(leader.why)
    if cause is not None:
        text.append(f": {CAUSES[cause]}")
    if not leader.by:
        return text
    if cause in _MADE:
        return text.append_text(Text.assemble("; ", foreign(leader.by), " made the key"))
    if leader.by == leader.node:
        return text
    return text.append_text(Text.assemble("; ", foreign(leader.by), " asked for it"))


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


def health_words(status: ClusterStatus) -> Text:
    """What ClusterHealth last published, or why that is not known."""
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
    text.append(f", {when(record.at)}")
    if not status.health_is_current:
        found_by = plain(record.leader) or "a leader"
        over = f", by {found_by} in a term that is over"
        text = Text.assemble("not known now; ", text, over)
    return text
