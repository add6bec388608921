"""Snapshots of an election made by hand, for tests of how they are understood and shown."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime

from rich.console import Console, RenderableType

from coord.cli.printing import lines_of
from coord.consul import CheckStatus, HealthCheck, ServiceInstance
from coord.controls import Controls
from coord.members import Listing, Role, Seen, members
from coord.records import DrainRecord, PauseRecord, RequestKind, RequestRecord
from coord.status import (
    ClusterStatus,
    Condition,
    ConsulStatus,
    ControlStatus,
    HealthStatus,
    LeaderStatus,
    TermCondition,
    TermStatus,
)

NOW_MS = 1_800_000_000_000
"""When the snapshots were read."""

HELD = LeaderStatus(
    condition=Condition.HELD, locked=True, node="core-1", term=7, session="s-1", lock_index=3
)


def moment(before_s: float = 0.0) -> datetime:
    """So long before the snapshot was read."""
    return datetime.fromtimestamp(NOW_MS / 1000 - before_s, tz=UTC)


def candidate(
    node: str,
    *,
    state: str = "standby",
    why_not: str = "held_by_other",
    status: CheckStatus = CheckStatus.PASSING,
    **meta: str,
) -> ServiceInstance:
    """One registered candidate, as the catalog has it."""
    id_ = f"coordinator-candidate-{node}"
    said = {
        "node": node,
        "node_type": "core",
        "eligible": "true",
        "boot_id": f"boot-{node}",
        "state": state,
        "why_not": why_not,
        "api": "127.0.0.1:8610",
    }
    check = HealthCheck("host", id_, "own", status, "", service_id=id_)
    return ServiceInstance("host", "127.0.0.1", id_, "c", "", 8610, (), said | meta, (check,))


def snapshot(
    *candidates: ServiceInstance,
    leader: LeaderStatus = HELD,
    controls: ControlStatus | None = None,
) -> ClusterStatus:
    """A snapshot in which everything may be seen; `controls` says what is asked."""
    return ClusterStatus(
        election="x",
        at_ms=NOW_MS,
        leader=leader,
        term=TermStatus(condition=TermCondition.KNOWN, value=7),
        candidates=members(Role.CANDIDATE, Listing(Seen.KNOWN, candidates), "x"),
        observers=Listing(Seen.KNOWN),
        pollers=Listing(Seen.KNOWN),
        leader_service=Listing(Seen.KNOWN),
        consul=ConsulStatus(leader="10.0.0.1:8300", version="1.8.7"),
        health=HealthStatus(Seen.KNOWN),
        controls=ControlStatus(Seen.KNOWN) if controls is None else controls,
    )


def pause(
    *, for_s: float = 1800.0, asked_s: float = 60.0, actor: str = "alice", reason: str = "a test"
) -> PauseRecord:
    """A pause that was asked for so long before the snapshot was read."""
    return PauseRecord(
        actor=actor,
        reason=reason,
        request_id="0" * 16,
        at=moment(asked_s),
        for_ms=round(for_s * 1000),
    )


def drain(*, asked_s: float = 60.0, actor: str = "bob", reason: str = "disk") -> DrainRecord:
    """A drain that was asked for so long before the snapshot was read."""
    return DrainRecord(actor=actor, reason=reason, request_id="1" * 16, at=moment(asked_s))


def request(*, term: int = 7, actor: str = "carol", reason: str = "deploy") -> RequestRecord:
    """A request for the leader of that term to hand over to core-2."""
    return RequestRecord(
        actor=actor,
        reason=reason,
        request_id="2" * 16,
        at=moment(5.0),
        kind=RequestKind.TRANSFER,
        expected_term=term,
        to="core-2",
    )


def asking(
    *,
    pause: PauseRecord | None = None,
    drained: Mapping[str, DrainRecord] | None = None,
    request: RequestRecord | None = None,
    unreadable: Mapping[str, str] | None = None,
    seen: Seen = Seen.KNOWN,
) -> ControlStatus:
    """What operators ask."""
    return ControlStatus(
        seen,
        Controls(pause=pause, drained=drained or {}, request=request, unreadable=unreadable or {}),
    )


def lines(content: RenderableType, width: int = 120) -> list[str]:
    """The lines that people see."""
    console = Console(file=io.StringIO(), width=width)
    return [line.plain for line in lines_of(console, content)]
