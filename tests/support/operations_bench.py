"""Clusters as an operator's command finds them, made of what nodes would tell; asks; scenes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from coord.consul import CheckStatus, HealthCheck, ServiceInstance
from coord.controls import Controls
from coord.election.timing import Timing
from coord.members import Listing, Role, Seen, leader_instances, members
from coord.operations import Ask, Operation, Preview, RefusalCode, Refused, preview
from coord.operations.scene import Scene
from coord.records import Control, DrainRecord, PauseRecord, RequestKind, RequestRecord
from coord.status import (
    ClusterStatus,
    Condition,
    ConsulStatus,
    HealthStatus,
    LeaderStatus,
    TermCondition,
    TermStatus,
)
from coord.telemetry.journal import JournalEntry

ELECTION = "x"
TERM = 7
SESSION = "s-7"
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AT_MS = round(AT.timestamp() * 1000)
TIMING = Timing()

TOLD: Mapping[str, str] = {
    "priority": "100",
    "workloads": "cluster-health,poll-orchestrator",
    "lease_ms": "2000",
    "fence_grace_ms": "500",
    "confirm_interval_ms": "500",
    "check_ttl_ms": "2000",
    "lock_delay_ms": "2000",
    "takeover_delay_ms": "1000",
    "fenced_within_ms": "2500",
}
"""What a candidate with the default settings tells in its meta."""

HELD = LeaderStatus(
    condition=Condition.HELD,
    locked=True,
    node="core-1",
    node_type="core",
    term=TERM,
    session=SESSION,
    since=AT,
    fenced_within_ms=2500,
    lock_index=1,
    modify_index=70,
)

VACANT = LeaderStatus(
    condition=Condition.VACANT, node="core-1", term=TERM, lock_index=1, modify_index=71
)


def candidate(
    node: str,
    *,
    state: str = "standby",
    why_not: str = "held_by_other",
    status: CheckStatus = CheckStatus.PASSING,
    boot: str = "b0",
    drop: tuple[str, ...] = (),
    **meta: str,
) -> ServiceInstance:
    """One instance of a candidate. drop: what its meta does not tell."""
    id_ = f"c-{node}-{boot}"
    said = {"node": node, "node_type": "core", "eligible": "true", "boot_id": boot, **TOLD}
    said |= {"state": state, "why_not": why_not, "version": "0.1.0", **meta}
    kept = {name: value for name, value in said.items() if name not in drop}
    check = HealthCheck("host", id_, "own", status, "", service_id=id_)
    return ServiceInstance("host", "127.0.0.1", id_, "c", "127.0.0.1", 1, (), kept, (check,))


def leader_candidate(node: str = "core-1", **meta: Any) -> ServiceInstance:
    """The leader's own candidate."""
    return candidate(node, state="leading", why_not="", **meta)


def working(node: str = "core-1", term: int = TERM) -> ServiceInstance:
    """The leader's service, passing."""
    check = HealthCheck(
        "host", f"l-{node}", "work", CheckStatus.PASSING, "", service_id=f"l-{node}"
    )
    meta = {"node": node, "term": str(term)}
    return ServiceInstance("host", "127.0.0.1", f"l-{node}", "l", "", 1, (), meta, (check,))


def cluster(
    *candidates: ServiceInstance,
    leader: LeaderStatus = HELD,
    leaders: tuple[ServiceInstance, ...] = (working(),),
    pollers: tuple[ServiceInstance, ...] = (),
    seen: Seen = Seen.KNOWN,
    stale: bool = False,
) -> ClusterStatus:
    """A snapshot; with no candidates named: core-1 leads, core-2 and core-3 stand by."""
    found = candidates or (leader_candidate(), candidate("core-2"), candidate("core-3"))
    return ClusterStatus(
        election=ELECTION,
        at_ms=AT_MS,
        stale=stale,
        leader=leader,
        term=TermStatus(condition=TermCondition.KNOWN, value=TERM, modify_index=60),
        candidates=members(Role.CANDIDATE, Listing(seen, found), ELECTION),
        observers=Listing(Seen.KNOWN),
        pollers=members(Role.POLLER, Listing(Seen.KNOWN, pollers), ELECTION),
        leader_service=leader_instances(Listing(Seen.KNOWN, leaders)),
        consul=ConsulStatus(leader="10.0.0.1:8300"),
        health=HealthStatus(Seen.KNOWN),
    )


def controls(**said: Any) -> Controls:
    """What is asked; indices follow from it. drained: names."""
    drained = {node: wish(DrainRecord) for node in said.pop("drained", ())}
    root = f"service/{ELECTION}/control/"
    indices = {f"{root}drain/{node}": 5 for node in drained}
    indices |= {f"{root}{name}": 6 for name in ("pause", "request") if said.get(name) is not None}
    return Controls(drained=MappingProxyType(drained), indices=MappingProxyType(indices), **said)


def wish(record: type[Control], **more: Any) -> Any:
    """A control record of another operator."""
    said: dict[str, Any] = {
        "actor": "ann@ops",
        "reason": "patching",
        "request_id": "a" * 16,
        "at": AT,
    }
    return record(**(said | more))


def paused(*, for_s: float = 600.0, ago_s: float = 0.0) -> PauseRecord:
    """A pause that began that long before the snapshot."""
    record = wish(PauseRecord, for_ms=round(for_s * 1000), at=AT - timedelta(seconds=ago_s))
    assert isinstance(record, PauseRecord)
    return record


def requested(kind: RequestKind = RequestKind.STEP_DOWN, term: int = TERM) -> RequestRecord:
    """Another operator's request."""
    record = wish(RequestRecord, kind=kind, expected_term=term)
    assert isinstance(record, RequestRecord)
    return record


def ask(operation: Operation, node: str = "", **more: Any) -> Ask:
    """An operation that is asked for."""
    said: dict[str, Any] = {"actor": "bob@ops", "reason": "a test", "request_id": "b" * 16}
    return Ask(operation=operation, node=node, **(said | more))


def planned(
    operation: Operation,
    node: str = "",
    *,
    status: ClusterStatus | None = None,
    said: Controls | None = None,
    timing: Timing = TIMING,
    polls: int | None = None,
    **more: Any,
) -> Preview:
    """The preview, which must not be a refusal."""
    found = preview(
        status or cluster(),
        said or Controls(),
        ask(operation, node, **more),
        timing,
        polls_running=polls,
    )
    assert isinstance(found, Preview), found
    return found


def refused(
    operation: Operation,
    node: str = "",
    *,
    status: ClusterStatus | None = None,
    said: Controls | None = None,
    **more: Any,
) -> RefusalCode | None:
    """Why it is refused; None: it is not."""
    found = preview(status or cluster(), said or Controls(), ask(operation, node, **more), TIMING)
    return found.code if isinstance(found, Refused) else None


def scene(
    *candidates: ServiceInstance,
    leader: LeaderStatus = HELD,
    asked_by: str | None = "b" * 16,
    at_work: tuple[tuple[str, int], ...] = (),
    journal: tuple[JournalEntry, ...] = (),
    seen: Seen = Seen.KNOWN,
) -> Scene:
    """One look while an operation is under way."""
    found = candidates or (leader_candidate(), candidate("core-2"), candidate("core-3"))
    return Scene(
        leader=leader,
        term=TermStatus(condition=TermCondition.KNOWN, value=leader.term, modify_index=60),
        asked_by=asked_by,
        working=frozenset(at_work),
        candidates=members(Role.CANDIDATE, Listing(seen, found), ELECTION),
        journal=journal,
    )


def told(event: str, node: str, term: int, **details: Any) -> JournalEntry:
    """An entry of the journal."""
    name = f"serviceradar.coordinator.{event}"
    return JournalEntry("k", AT_MS, node, name, term, MappingProxyType(details))


def held(node: str, term: int, session: str = "s-8") -> LeaderStatus:
    """Somebody else on the key."""
    return LeaderStatus(
        condition=Condition.HELD,
        locked=True,
        node=node,
        term=term,
        session=session,
        lock_index=2,
        modify_index=80,
    )
