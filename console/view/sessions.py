"""What Consul holds of an election: the lock, the sessions, and who is registered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from console.snapshot import Snapshot
from console.view.detail import Part, said, told
from console.view.headline import CHECKS, failure_words
from console.view.line import LONG, Line, Span, Tone, foreign, joined, line
from console.view.table import Column, Layout, by, text
from coord.consul import CheckStatus
from coord.status import (
    ClusterStatus,
    Condition,
    LeaderInstance,
    LeaderStatus,
    Listing,
    Member,
    Role,
    Seen,
    TermCondition,
    state_of,
)
from coord.status.rows import leading_member
from coord.status.sessions import SessionStatus
from coord.status.text import ODDITIES, vacancy
from coord.status.words import SEEN, duration, plain, span, when

SESSION, LEADER = "session", "leader"
HOLDS, STALE = "holds the lock", "stale"
_NOT_SEEN = Span("? not to be seen", Tone.DIM)
_KINDS = (SESSION, LEADER, *(role.value for role in Role))


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRow:
    """A session, or one registered instance of a service.

    node: whose it is. stands: what it is to the election, in a word or two.
    check: the worst of its checks; None: it is not to be seen.
    """

    key: str
    kind: str
    node: str
    stands: str
    symbol: str
    tone: Tone
    check: CheckStatus | None
    lock_delay: str
    ttl: str
    address: str
    consul_node: str
    id: str
    what: SessionStatus | Member | LeaderInstance

    @property
    def words(self) -> Mapping[str, str]:
        """See `Row`."""
        return {
            "what": self.kind,
            "node": self.node,
            "is": self.stands,
            "check": "" if self.check is None else self.check.value,
            "address": self.address,
            "on": self.consul_node,
            "id": self.id,
        }


def held_rows(snapshot: Snapshot) -> tuple[HeldRow, ...]:
    """The sessions, the leader's service, and everybody's, by kind and node."""
    status = snapshot.status
    if status is None:
        return ()
    rows = [] if snapshot.sessions is None else [_session(s) for s in snapshot.sessions.items]
    rows += [_leader(item, status.leader) for item in status.leader_service.items]
    leading = leading_member(status.candidates.items, status.leader)
    rows += [_member(item, leading) for item in status.members]
    order = _KINDS.index
    return tuple(
        sorted(rows, key=lambda row: (order(row.kind), row.symbol != "★", row.node, row.key))
    )


def _session(item: SessionStatus) -> HeldRow:
    ok = item.status is not CheckStatus.CRITICAL
    symbol, tone = ("★", Tone.GOOD) if item.holds else ("●", Tone.PLAIN)
    return HeldRow(
        key=f"{SESSION} {item.id}",
        kind=SESSION,
        node=item.node or item.name,
        stands=HOLDS if item.holds else "stands by",
        symbol=symbol if ok else "!",
        tone=tone if ok else Tone.WARN,
        check=item.status,
        lock_delay=span(round(item.lock_delay_s * 1000)),
        ttl="-" if item.ttl_s is None else duration(item.ttl_s),
        address="",
        consul_node=item.consul_node,
        id=item.id,
        what=item,
    )


def _leader(item: LeaderInstance, leader: LeaderStatus) -> HeldRow:
    """An instance of the leader's service; one that nobody stands behind any more is stale."""
    current = leader.locked and (item.node, item.term) == (leader.node, leader.term)
    if item.passing:
        stands, symbol, tone = ("at work", "★", Tone.GOOD) if current else (STALE, "!", Tone.WARN)
    else:
        stands, symbol, tone = STALE, "✖", Tone.BAD if current else Tone.DIM
    stands += "" if item.term is None else f", term {item.term}"
    return _registered(item, LEADER, stands, symbol, tone)


def _member(item: Member, leading: Member | None) -> HeldRow:
    symbol, tone = ("✖", Tone.DIM) if item.gone else ("●", Tone.PLAIN)
    if not item.gone and not item.passing:
        symbol, tone = "!", Tone.WARN
    stands = f"{STALE}, gone" if item.gone else state_of(item, leading)
    return _registered(item, item.role.value, stands, symbol, tone)


def _registered(
    item: LeaderInstance | Member, kind: str, stands: str, symbol: str, tone: Tone
) -> HeldRow:
    return HeldRow(
        key=f"{kind} {item.consul_node} {item.service_id}",
        kind=kind,
        node=item.node,
        stands=stands,
        symbol=symbol,
        tone=tone,
        check=item.status,
        lock_delay="",
        ttl="",
        address=item.address,
        consul_node=item.consul_node,
        id=item.service_id,
        what=item,
    )


# --- the lock -------------------------------------------------------------------------------------


def lock(snapshot: Snapshot, now: float) -> tuple[Line, ...]:
    """Four lines: the lock, its session, the leader record, the term key."""
    status = snapshot.status_at(now)
    if status is None:
        return ()
    return (
        joined(_holder(status)),
        joined(_held_by(snapshot, status.leader)),
        joined(_record(status.leader)),
        joined(_term(status)),
    )


def _holder(status: ClusterStatus) -> Iterator[Line]:
    leader = status.leader
    label = Span("lock     ", Tone.DIM)
    if leader.condition is Condition.NOT_PERMITTED:
        yield line(label, Span("? the token may not read the leader key", Tone.WARN))
    elif leader.locked:
        who = foreign(leader.node or "somebody", Tone.GOOD)
        yield line(label, Span("★ held by ", Tone.GOOD), who)
    elif leader.condition is Condition.MISSING:
        yield line(label, Span("✖ the leader key does not exist", Tone.BAD))
    else:
        yield line(label, Span(f"✖ {vacancy(status)}", Tone.BAD))
    if leader.modify_index:
        yield line(f"LockIndex {leader.lock_index}")
        yield line(f"ModifyIndex {leader.modify_index}")


def _held_by(snapshot: Snapshot, leader: LeaderStatus) -> Iterator[Line]:
    label = Span("session  ", Tone.DIM)
    if not leader.session:
        yield line(label, Span("none", Tone.DIM))
        return
    yield line(label, foreign(leader.session))
    listed = snapshot.sessions
    held = next((s for s in listed.items if s.holds), None) if listed is not None else None
    if held is None or held.id != leader.session:
        known = listed is not None and listed.seen is Seen.KNOWN
        yield line(Span("! not among the sessions" if known else "? not read", Tone.WARN))
        return
    yield line("lock-delay ", Span(span(round(held.lock_delay_s * 1000)), Tone.STRONG))
    if held.ttl_s is not None:
        yield line(f"TTL {duration(held.ttl_s)}")
    yield line("checks ", _NOT_SEEN if held.status is None else CHECKS[held.status])


def _record(leader: LeaderStatus) -> Iterator[Line]:
    label = Span("record   ", Tone.DIM)
    if leader.detail:
        yield line(label, foreign(leader.detail, Tone.WARN, LONG))
        return
    yield line(label, "term ", Span("-" if leader.term is None else str(leader.term), Tone.STRONG))
    if leader.since is not None:
        yield line(f"since {when(leader.since)}")
    if leader.successors:
        yield line(f"next {', '.join(plain(name) for name in leader.successors)}")
    if leader.fenced_within_ms is not None:
        yield line(f"stopped within {span(leader.fenced_within_ms)}")
    for oddity in leader.oddities:
        yield line(Span(f"! {ODDITIES[oddity]}", Tone.BAD))


def _term(status: ClusterStatus) -> Iterator[Line]:
    term = status.term
    words = {
        TermCondition.MISSING: "✖ the key does not exist",
        TermCondition.UNREADABLE: "✖ the key cannot be read",
        TermCondition.NOT_PERMITTED: "? the token may not read the key",
    }
    label = Span("term key ", Tone.DIM)
    if term.condition is not TermCondition.KNOWN:
        yield line(label, Span(words[term.condition], Tone.WARN))
        return
    sign = Span(" ● as the record says", Tone.GOOD)
    if term.value != status.leader.term:
        sign = Span(" ! not the record's", Tone.BAD)
    yield line(label, Span(str(term.value), Tone.STRONG), sign)
    if term.fenced_within_ms is not None:
        yield line(f"stopped within {span(term.fenced_within_ms)}")
    yield line(f"ModifyIndex {term.modify_index}")


def notes(snapshot: Snapshot) -> tuple[Line, ...]:
    """What is not to be seen, and what cannot be read."""
    status, listed = snapshot.status, snapshot.sessions
    if status is None:
        return ()
    found: list[Line] = []
    if snapshot.sessions_error is not None:
        why = failure_words(snapshot.sessions_error)
        said_ = plain(str(snapshot.sessions_error), LONG)
        found.append(line(Span(f"! the sessions are not read: {why}: {said_}", Tone.WARN)))
    elif listed is not None and listed.seen is not Seen.KNOWN:
        said_ = "none seen: the token may not see them (session:read)"
        found.append(line(Span(f"? sessions: {said_}", Tone.WARN)))
    services: Mapping[str, Listing[LeaderInstance] | Listing[Member]] = {
        "leader's service": status.leader_service,
        "candidates": status.candidates,
        "observers": status.observers,
        "pollers": status.pollers,
    }
    for name, listing in services.items():
        if listing.seen is not Seen.KNOWN and not listing.items:
            found.append(line(Span(f"? {name}: {SEEN[listing.seen]}", Tone.WARN)))
    return tuple(found)


# --- one of them in full --------------------------------------------------------------------------


def detail(row: HeldRow) -> Iterator[Part]:
    """Everything that is known of it."""
    yield ("Is", line(Span(f"{row.symbol} ", row.tone), foreign(row.stands, row.tone)))
    match row.what:
        case SessionStatus():
            yield from _of_session(row.what)
        case LeaderInstance():
            yield from _of_leader(row.what)
        case Member():
            yield from _of_member(row.what)


def _of_session(item: SessionStatus) -> Iterator[Part]:
    yield said("Session", item.id, Tone.STRONG)
    yield said("Name", item.name)
    yield said("Consul node", item.consul_node)
    yield told("Lock-delay", span(round(item.lock_delay_s * 1000)))
    yield told("TTL", "none" if item.ttl_s is None else f"{duration(item.ttl_s)}, a backstop")
    yield said("If it ends", f"keys are {item.behavior}d" if item.behavior else "-")
    yield told("CreateIndex", str(item.create_index))
    for check in item.checks:
        status = _NOT_SEEN if check.status is None else CHECKS[check.status]
        yield ("Check", line(status, "  ", foreign(check.id, limit=LONG)))
        if check.output:
            yield said("", check.output, Tone.DIM)
    if not item.checks:
        yield told("Check", "! it hangs on none: nothing but its TTL ends it", Tone.WARN)


def _of_leader(item: LeaderInstance) -> Iterator[Part]:
    yield said("Service", item.service_id, Tone.STRONG)
    yield said("Node", item.node)
    yield told("Term", "-" if item.term is None else str(item.term))
    yield ("Check", line(CHECKS[item.status]))
    yield said("Address", item.address)
    yield said("Session", item.session)
    yield said("Type", item.node_type)
    yield said("Consul node", item.consul_node)


def _of_member(item: Member) -> Iterator[Part]:
    yield said("Service", item.service_id, Tone.STRONG)
    yield said("Node", item.node)
    yield said("Told", f"{item.state} {item.why_not}".strip())
    yield ("Own check", line(CHECKS[item.check_status]))
    yield ("All checks", line(CHECKS[item.status]))
    yield said("Address", item.address)
    yield said("Type", item.node_type)
    yield told("Eligible", {True: "yes", False: "no", None: "-"}[item.eligible])
    yield told("Priority", "-" if item.priority is None else str(item.priority))
    yield said("Work", ", ".join(item.workloads))
    for name, ms in item.timing_ms.items():
        yield said(name.replace("_", "-").capitalize(), span(ms))
    if item.fenced_within_ms is not None:
        yield told("Stopped within", span(item.fenced_within_ms))
    yield said("Boot", item.boot_id)
    yield said("Version", item.version)
    yield said("Consul node", item.consul_node)


# --- cells ----------------------------------------------------------------------------------------


def _node(row: HeldRow, _: int) -> Line:
    return line(Span(f"{row.symbol} ", row.tone), foreign(row.node, limit=40))


def _stands(row: HeldRow, _: int) -> Line:
    return line(foreign(row.stands, row.tone, 24))


def _check(row: HeldRow, _: int) -> Line:
    return line(_NOT_SEEN if row.check is None else CHECKS[row.check])


def _plain(name: str) -> Column[HeldRow]:
    titles = {"lock_delay": ("Lock-delay", 90), "ttl": ("TTL", 100)}
    title, least = titles[name]
    return Column(name, title, least, lambda row, _: line(getattr(row, name)), by(name))


LAYOUT: Layout[HeldRow] = Layout(
    (
        Column("kind", "What", 0, lambda row, _: line(row.kind), by("kind"), width=9),
        Column("node", "Node", 0, _node, by("node")),
        Column("stands", "Is", 0, _stands, by("stands"), width=14),
        Column(
            "check", "Checks", 0, _check, lambda row: (-row.check.severity if row.check else 1,)
        ),
        _plain("lock_delay"),
        _plain("ttl"),
        Column("consul_node", "On", 60, text("consul_node", 32, Tone.DIM), by("consul_node")),
        Column("address", "Address", 130, text("address", 32, Tone.DIM), by("address")),
        Column("id", "Id", 76, text("id", 64, Tone.DIM), by("id")),
    ),
    gives=(("id", 8), ("address", 14), ("consul_node", 8), ("node", 12), ("stands", 12)),
)
