"""The nodes: a row for each process, what it is and why it does not lead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from console.snapshot import Snapshot
from console.view.headline import CHECKS
from console.view.line import Line, Span, Tone, foreign, line
from console.view.table import Column, Layout, age, by, by_time, text
from coord.consul import CheckStatus
from coord.history.told import whole
from coord.status import ClusterStatus, ControlStatus, Member, Role, state_of
from coord.status.node import since_ms, until_ms, why_not_of
from coord.status.reasons import WHY_NOT, explanation
from coord.status.rows import Process, fold, leading_member, namesakes
from coord.status.words import duration, ms_of, plain
from coord.telemetry import BecameLeader, ElectionStarted
from coord.telemetry.journal import JournalEntry

_LOCK_DELAY, _LEADER_THERE = "lock_delay", "held_by_other"
QUARANTINED = frozenset({_LOCK_DELAY, "waiting_turn"})
"""Why a vacancy is left alone for some seconds."""

LEADER, WAITING, GONE, OBSERVES, READY, TROUBLED = "★", "◔", "✖", "○", "●", "!"
"""What is before a name; the state beside it says the same in a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """One process.

    key: the same for the same process, whatever else changes.
    target: what `coord status NODE` would be asked for: its name, or where others have that name
        too, its address.
    since_ms, until_ms: wall-clock milliseconds since 1970; None where nothing says.
    rank: the leader first, then who may lead, who may not, who is gone.
    earlier: how many earlier starts of it, all gone, have no row.
    """

    key: str
    target: str
    node: str
    symbol: str
    tone: Tone
    state: str
    why: str
    waits_for: str
    since_ms: int | None
    until_ms: int | None
    check: CheckStatus
    roles: str
    node_type: str
    address: str
    boot: str
    version: str
    priority: int | None
    rank: int
    earlier: int = 0

    @property
    def words(self) -> Mapping[str, str]:
        """See `Row`."""
        return {
            "node": self.node,
            "state": self.state,
            "why": self.why,
            "as": self.roles,
            "type": self.node_type,
            "address": self.address,
            "check": self.check.value,
            "version": self.version,
        }


def node_rows(snapshot: Snapshot) -> tuple[NodeRow, ...]:
    """All of them, by rank and then by name; see `LAYOUT` for what is shown of each."""
    status = snapshot.status
    if status is None:
        return ()
    leading = leading_member(status.candidates.items, status.leader)
    folded = fold(status.members)
    twice = namesakes(status)
    set_out = {} if status.leader.locked else _set_out(snapshot)
    rows: list[NodeRow] = []
    told: set[str] = set()
    for process in folded.shown:
        first = process.node not in told
        told.add(process.node)
        earlier = folded.earlier.get(process.node, 0) if first else 0
        row = _row(process, status, leading, process.node in twice, earlier)
        rows.append(_as_told(row, set_out.get(row.node)))
    return tuple(sorted(rows, key=lambda row: (row.rank, row.node, row.key)))


def _row(
    process: Process, status: ClusterStatus, leading: Member | None, twice: bool, earlier: int
) -> NodeRow:
    main = process.main
    leads = leading is not None and leading in process.parts
    reason = None if leads else why_not_of(main)
    state = state_of(main, leading)
    symbol, tone = _symbol(main, leads, process.status)
    since, until = _times(main, leads, status, status.controls)
    return NodeRow(
        key=f"{process.node}\n{main.boot_id or main.address or main.service_id}",
        target=main.address if twice else process.node,
        node=process.node,
        symbol=symbol,
        tone=tone,
        state=state,
        why="" if leads else (reason.value if reason else main.why_not),
        waits_for="" if leads else explanation(reason, process.node).waits_for,
        since_ms=since,
        until_ms=until,
        check=process.status,
        roles=", ".join(part.role.value for part in process.parts),
        node_type=main.node_type,
        address=main.address,
        boot=main.boot_id[:8],
        version=main.version,
        priority=main.priority,
        rank=_rank(main, leads),
        earlier=earlier,
    )


def _set_out(snapshot: Snapshot) -> Mapping[str, JournalEntry]:
    """Who told, since somebody began to lead last, of setting out to; the latest of each."""
    found: dict[str, JournalEntry] = {}
    for entry in reversed(() if snapshot.past is None else snapshot.past.entries):
        if entry.event == BecameLeader.EVENT:
            break
        if entry.event == ElectionStarted.EVENT:
            found.setdefault(entry.node, entry)
    # What each waits reckons with a pause as it stood then.
    history = None if snapshot.past is None else snapshot.past.history
    paused = history is not None and history.vacant is not None and history.vacant.paused
    return {} if paused else found


def _as_told(row: NodeRow, entry: JournalEntry | None) -> NodeRow:
    """The row with what the journal has. A candidate tells in its entry in the catalog only what
    has lasted some seconds: how long it waits the journal has before."""
    if entry is None or entry.at_ms is None or row.until_ms is not None:
        return row
    if row.why not in (*QUARANTINED, _LEADER_THERE):
        return row
    row = replace(row, since_ms=entry.at_ms, symbol=WAITING, tone=Tone.WARN)
    wait_ms = whole(entry, "wait_ms")
    if wait_ms is None:
        return replace(row, why="", state="acquiring", waits_for="the lock")
    why = row.why if row.why in QUARANTINED else _LOCK_DELAY
    waits_for = next(said.waits_for for each, said in WHY_NOT.items() if each.value == why)
    until_ms = entry.at_ms + wait_ms
    return replace(row, state="waiting", why=why, waits_for=waits_for, until_ms=until_ms)


def _times(
    main: Member, leads: bool, status: ClusterStatus, controls: ControlStatus
) -> tuple[int | None, int | None]:
    """Since when, and about until when, it is so."""
    if not leads:
        return since_ms(main), until_ms(main, controls)
    began = status.leader.since
    return (None if began is None else ms_of(began)), None


def _symbol(main: Member, leads: bool, check: CheckStatus) -> tuple[str, Tone]:
    if leads:
        trouble = check is not CheckStatus.PASSING or main.state == "suspended"
        return LEADER, Tone.WARN if trouble else Tone.GOOD
    if main.gone:
        return GONE, Tone.BAD
    if check is not CheckStatus.PASSING:
        return TROUBLED, Tone.WARN
    if main.role is not Role.CANDIDATE or main.eligible is False:
        return OBSERVES, Tone.DIM
    return (READY, Tone.PLAIN) if main.state == "standby" else (WAITING, Tone.WARN)


def _rank(main: Member, leads: bool) -> int:
    if leads:
        return 0
    if main.gone:
        return 3
    return 1 if main.role is Role.CANDIDATE and main.eligible is not False else 2


# --- cells ---------------------------------------------------------------------------------------


def _name(row: NodeRow, _: int) -> Line:
    strong = row.tone if row.symbol == LEADER else Tone.PLAIN
    more = Span(f" +{row.earlier} gone", Tone.DIM) if row.earlier else None
    dim = Tone.DIM if row.symbol == GONE else strong
    return line(Span(f"{row.symbol} ", row.tone), foreign(row.node, dim, 28), more)


def _state(row: NodeRow, _: int) -> Line:
    return line(foreign(row.state, row.tone, 16))


def _why(row: NodeRow, _: int) -> Line:
    return line(foreign(row.why, limit=20)) if row.why else ()


def _waits(row: NodeRow, _: int) -> Line:
    return line(Span(plain(row.waits_for, 60), Tone.DIM))


def _left(row: NodeRow, now_ms: int) -> Line:
    if row.until_ms is None or row.until_ms < now_ms:
        return ()
    return line(Span(duration((row.until_ms - now_ms) / 1000), Tone.STRONG))


def _check(row: NodeRow, _: int) -> Line:
    return line(CHECKS[row.check])


LAYOUT: Layout[NodeRow] = Layout(
    (
        Column("node", "Node", 0, _name, by("node")),
        Column("state", "State", 0, _state, by("state")),
        Column("why", "Why not leader", 0, _why, by("why"), width=14),
        Column("left", "Left", 0, _left, by_time("until_ms"), width=4),
        Column("since", "Since", 54, age("since_ms"), by_time("since_ms"), width=8),
        Column("check", "Check", 66, _check, lambda row: (-row.check.severity,)),
        Column("waits_for", "Waits for", 118, _waits, by("waits_for")),
        Column("roles", "As", 136, text("roles", 28, Tone.DIM), by("roles")),
        Column("node_type", "Type", 150, text("node_type", 12, Tone.DIM), by("node_type")),
        Column("address", "Address", 170, text("address", 32, Tone.DIM), by("address")),
        Column("boot", "Boot", 190, text("boot", 8, Tone.DIM), by("boot")),
        Column("version", "Version", 205, text("version", 12, Tone.DIM), by("version")),
    ),
    gives=(("waits_for", 16), ("address", 14), ("roles", 9), ("node", 12), ("why", 12)),
)
