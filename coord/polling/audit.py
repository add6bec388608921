"""What operators do to schedules, in the audit: one entry for each command that changed something.

The entry goes into the transactions that make the change, so there is none without it: who may not
write the audit changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from coord.consul import TxnOp
from coord.polling.records import AskedRecord
from coord.records import AuditRecord, Paths, utc

NOT_GIVEN = "none given"
"""The reason of a command for which nobody gave one: an entry has to have one."""

_MAX_IDS = 900
"""How many characters the ids in an entry may take."""


class Act(StrEnum):
    """What operators do to schedules; the words stand in the audit."""

    ADD = "schedule_add"
    ENABLE = "schedule_enable"
    DISABLE = "schedule_disable"
    REMOVE = "schedule_rm"
    IMPORT = "schedule_import"
    RUN = "schedule_run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """The entry of one command that changes schedules.

    act, actor, reason: what, who, and why; "" if they do not say. request_id: new for each command.
    at_ms: when it was begun, by the operator's wall clock. wall_ms: that clock, in milliseconds.
    """

    paths: Paths
    act: Act
    actor: str
    reason: str
    request_id: str
    at_ms: int
    wall_ms: Callable[[], int]

    def op(self, changes: Sequence[tuple[str, str]], *, first: bool, last: bool) -> TxnOp:
        """The step of a transaction by which these are all changes so far: ids, and what became
        of each. first: of the command. last: there are none to come."""
        record = self.record(changes, "done" if last else "begun")
        key = record.key(self.paths)
        return (
            TxnOp.kv_cas(key, record.encode(), 0) if first else TxnOp.kv_set(key, record.encode())
        )

    def record(self, changes: Sequence[tuple[str, str]], outcome: str) -> AuditRecord:
        """The entry with what came of it: "begun": nothing yet, or not all."""
        return AuditRecord(
            operation=self.act.value,
            actor=self.actor,
            reason=self.reason or NOT_GIVEN,
            request_id=self.request_id,
            at=utc(self.at_ms),
            outcome=outcome,
            detail=_told(changes),
            finished_at=None if outcome == "begun" else utc(max(self.at_ms, self.wall_ms())),
        )


def asked_op(paths: Paths, asked: AskedRecord, reason: str) -> TxnOp:
    """The step of the transaction that asks for a run: its entry. The last result of the schedule
    names the request, and says what came of it."""
    trail = Trail(
        paths=paths,
        act=Act.RUN,
        actor=asked.actor,
        reason=reason,
        request_id=asked.request_id,
        at_ms=asked.at_ms,
        wall_ms=lambda: asked.at_ms,
    )
    record = trail.record([(asked.schedule, "asked for a run")], "asked")
    return TxnOp.kv_cas(record.key(paths), record.encode(), 0)


def _told(changes: Sequence[tuple[str, str]]) -> str:
    """What became of which, as many as there is room for."""
    by_change: dict[str, list[str]] = {}
    for schedule_id, change in changes:
        by_change.setdefault(change, []).append(schedule_id)
    parts: list[str] = []
    room = _MAX_IDS
    for change, ids in by_change.items():
        shown: list[str] = []
        for schedule_id in ids:
            room -= len(schedule_id) + 2
            if room < 0:
                break
            shown.append(schedule_id)
        more = [f"{len(ids) - len(shown)} more"] if len(shown) < len(ids) else []
        parts.append(f"{change}: {', '.join([*shown, *more])}")
    return "; ".join(parts)
