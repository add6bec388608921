"""Whether nobody leads, since when, and who may follow."""

from __future__ import annotations

from console.snapshot import Snapshot
from console.view.nodes import QUARANTINED, NodeRow, node_rows
from coord.history import Until
from coord.status import Condition
from coord.status.words import ms_of

CANDIDATE = 1
"""The rank of a row that may lead; see `NodeRow`."""


def goes_on(snapshot: Snapshot) -> bool:
    """Whether nobody leads, as far as is known."""
    status = snapshot.status
    if status is None or status.leader.locked:
        return False
    return status.leader.condition is not Condition.NOT_PERMITTED


def vacant_since_ms(snapshot: Snapshot) -> int | None:
    """Since when nobody leads, as well as anything tells: the record of the leader key, else what
    the nodes told, else who waits longest."""
    status, past = snapshot.status, snapshot.past
    if status is None:
        return None
    leader = status.leader
    if leader.condition is Condition.VACANT and not leader.vanished and leader.since is not None:
        return ms_of(leader.since)
    latest_one = past.history.tenures[0] if past is not None and past.history.tenures else None
    if latest_one is not None and latest_one.until in (Until.TOLD, Until.SEEN):
        return latest_one.until_ms
    waiting = [row.since_ms for row in able(snapshot) if row.why in QUARANTINED]
    return min((since for since in waiting if since is not None), default=None)


def able(snapshot: Snapshot) -> tuple[NodeRow, ...]:
    """The candidates that may follow, whoever is through first first."""
    rows = [row for row in node_rows(snapshot) if row.rank == CANDIDATE]
    endless = max((row.until_ms or 0 for row in rows), default=0) + 1
    return tuple(sorted(rows, key=lambda row: (row.until_ms or endless, row.node)))
