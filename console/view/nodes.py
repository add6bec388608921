"""The nodes: a row for each process, what it is and why it does not lead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from console.snapshot import Snapshot
from console.view.headline import CHECKS
from console.view.line import Line, Span, Tone, foreign, line, text_of
from coord.consul import CheckStatus
from coord.status import ClusterStatus, ControlStatus, Member, Role, state_of
from coord.status.node import since_ms, until_ms, why_not_of
from coord.status.reasons import explanation
from coord.status.rows import Process, fold, leading_member, namesakes
from coord.status.words import duration, ms_of, plain

LEADER, WAITING, GONE, OBSERVES, READY, TROUBLED = "★", "◔", "✖", "○", "●", "!"
"""What is before a name; the state beside it says the same in a word."""

_CAN_DO_WITH = (("waits_for", 16), ("address", 14), ("roles", 9), ("node", 12), ("why", 12))
"""What is cut, in that order, where the columns would be wider than the table; how far."""

_FULL_SECONDS_MS = 120_000
"""Up to that long ago the seconds are told; beyond, minutes do."""


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

    def matches(self, words: Iterable[str]) -> bool:
        """Whether each of the words, in lower case, stands somewhere in it."""
        said = " ".join(
            (
                self.node,
                self.state,
                self.why,
                self.roles,
                self.node_type,
                self.address,
                self.check.value,
                self.version,
            )
        ).lower()
        return all(word in said for word in words)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table.

    title: its head. least: the narrowest table, in columns of text, that shows it.
    cell: what it shows of a row, at a wall-clock time. order: by what it is sorted.
    """

    name: str
    title: str
    least: int
    cell: Callable[[NodeRow, int], Line]
    order: Callable[[NodeRow], tuple[object, ...]]
    width: int = 0


def node_rows(snapshot: Snapshot) -> tuple[NodeRow, ...]:
    """All of them, by rank and then by name; see `Column` for what is shown of each."""
    status = snapshot.status
    if status is None:
        return ()
    leading = leading_member(status.candidates.items, status.leader)
    folded = fold(status.members)
    twice = namesakes(status)
    rows: list[NodeRow] = []
    told: set[str] = set()
    for process in folded.shown:
        first = process.node not in told
        told.add(process.node)
        earlier = folded.earlier.get(process.node, 0) if first else 0
        rows.append(_row(process, status, leading, process.node in twice, earlier))
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


def selected(rows: Iterable[NodeRow], words: str) -> tuple[NodeRow, ...]:
    """The rows in which every word of `words` stands, upper or lower case."""
    wanted = words.lower().split()
    return tuple(row for row in rows if row.matches(wanted))


def ordered(rows: Iterable[NodeRow], column: str, *, reverse: bool) -> tuple[NodeRow, ...]:
    """The rows by a column ("": by rank); equal ones stay by rank and name."""
    if not column:
        return tuple(rows)
    return tuple(sorted(rows, key=BY_NAME[column].order, reverse=reverse))


def columns_for(width: int) -> tuple[Column, ...]:
    """The columns for which a table of that width has room."""
    return tuple(column for column in COLUMNS if column.least <= width)


def widths_for(
    columns: Sequence[Column], rows: Iterable[tuple[Line, ...]], room: int
) -> tuple[int, ...]:
    """How wide each column is: as its head, with the mark of the sorting, and its cells need it.

    Where that is more than `room`, with a space on either side of each, some have less.
    """
    widths = [max(column.width, cell_len(column.title) + 2) for column in columns]
    for cells in rows:
        for i, cell in enumerate(cells):
            widths[i] = max(widths[i], cell_len(text_of(cell)))
    excess = sum(widths) + 2 * len(widths) - room
    for name, least in _CAN_DO_WITH:
        for i, column in enumerate(columns):
            if column.name == name and excess > 0 and widths[i] > least:
                taken = min(excess, widths[i] - least)
                widths[i] -= taken
                excess -= taken
    return tuple(widths)


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


def _since(row: NodeRow, now_ms: int) -> Line:
    if row.since_ms is None:
        return line(Span("-", Tone.DIM))
    return line(short(now_ms - row.since_ms))


def _left(row: NodeRow, now_ms: int) -> Line:
    if row.until_ms is None or row.until_ms < now_ms:
        return ()
    return line(Span(duration((row.until_ms - now_ms) / 1000), Tone.STRONG))


def _check(row: NodeRow, _: int) -> Line:
    return line(CHECKS[row.check])


def short(ms: int) -> str:
    """A duration that changes each second only while seconds matter."""
    whole = ms if ms < _FULL_SECONDS_MS else ms - ms % 60_000
    return duration(whole / 1000)


def _text(name: str, limit: int) -> Callable[[NodeRow, int], Line]:
    return lambda row, _: line(foreign(getattr(row, name), Tone.DIM, limit))


def _by(name: str) -> Callable[[NodeRow], tuple[object, ...]]:
    return lambda row: (getattr(row, name),)


def _by_time(name: str) -> Callable[[NodeRow], tuple[object, ...]]:
    """The latest first; who does not say, last."""

    def order(row: NodeRow) -> tuple[object, ...]:
        value = getattr(row, name)
        return (value is None, -(value or 0))

    return order


COLUMNS: Sequence[Column] = (
    Column("node", "Node", 0, _name, _by("node")),
    Column("state", "State", 0, _state, _by("state")),
    Column("why", "Why not leader", 0, _why, _by("why"), width=14),
    Column("left", "Left", 0, _left, _by_time("until_ms"), width=4),
    Column("since", "Since", 54, _since, _by_time("since_ms"), width=8),
    Column("check", "Check", 66, _check, lambda row: (-row.check.severity,)),
    Column("waits_for", "Waits for", 118, _waits, _by("waits_for")),
    Column("roles", "As", 136, _text("roles", 28), _by("roles")),
    Column("node_type", "Type", 150, _text("node_type", 12), _by("node_type")),
    Column("address", "Address", 170, _text("address", 32), _by("address")),
    Column("boot", "Boot", 190, _text("boot", 8), _by("boot")),
    Column("version", "Version", 205, _text("version", 12), _by("version")),
)
BY_NAME: Mapping[str, Column] = {column.name: column for column in COLUMNS}
