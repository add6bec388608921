"""What the other screens of the console show, made by hand: beside `console_scenes`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from console_polls import evil as evil_polls
from console_polls import polled
from console_scenes import (
    HOSTILE,
    LEADER,
    NOW,
    WORK,
    fleet,
    health,
    hostile_polls,
    leading,
    of,
    past,
    poller,
)
from journals import PATHS, Pen, audited
from snapshots import NOW_MS, candidate, snapshot

from console.snapshot import Examination, Snapshot
from console.source import read_runbooks
from coord.consul import CheckStatus, KVEntry
from coord.doctor import Code, Finding, Report, Severity, Skipped, Subject
from coord.election.reasons import Cause, LostReason, StepDownReason, SuspendReason
from coord.history import Past
from coord.members import LeaderInstance, Listing, Role, Seen, members
from coord.operations import AuditEntry
from coord.status.sessions import SessionCheck, SessionListing, SessionStatus
from coord.telemetry import (
    BecameLeader,
    ElectionStarted,
    LeaderChanged,
    LeaderDown,
    LostLeadership,
    StepDownRequested,
    Suspended,
)
from coord.telemetry.journal import JournalEntry, decoded

REQUEST = "0123456789abcdef"

Told = tuple[KVEntry, ...]


def keys(*more: Any) -> Told:
    """A journal: core-1 leads term 6, is asked to go, core-2 leads term 7 and is suspended.

    more: further events of core-2, each as a callable and its fields, a second apart.
    """
    one, two = Pen("core-1"), Pen("core-2")
    at = NOW_MS - 60_000
    told = [
        one.tell(at, BecameLeader, term=6),
        one.tell(
            at + 10_000,
            partial(
                StepDownRequested,
                reason=StepDownReason.REQUESTED,
                actor="alice",
                request_id=REQUEST,
                detail="deploy",
            ),
            term=6,
        ),
        one.tell(at + 10_050, partial(LostLeadership, reason=LostReason.STEPPED_DOWN), term=6),
        two.tell(
            at + 10_060,
            partial(LeaderDown, former_leader="core-1", cause=Cause.STEPPED_DOWN),
            term=6,
        ),
        two.tell(at + 10_061, partial(ElectionStarted, former_leader="core-1")),
        two.tell(at + 10_070, BecameLeader, term=7),
        two.tell(
            at + 10_090,
            partial(
                LeaderChanged,
                previous_leader="core-1",
                new_leader="core-2",
                cause=Cause.STEPPED_DOWN,
                gap_ms=35,
            ),
            term=7,
        ),
        two.tell(at + 30_000, partial(Suspended, reason=SuspendReason.CONSUL_UNREACHABLE), term=7),
    ]
    for i, (kind, fields) in enumerate(more):
        told.append(two.tell(at + 31_000 + 1000 * i, kind, **fields))
    return tuple(told)


def entries(told: Told | None = None) -> tuple[JournalEntry, ...]:
    """The entries of those keys."""
    return decoded(PATHS, keys() if told is None else told)


def with_journal(told: Told | None = None, shown: Snapshot | None = None) -> Snapshot:
    """The console's snapshot with that journal."""
    before = leading() if shown is None else shown
    assert before.past is not None
    return replace(before, past=replace(before.past, entries=entries(told)))


def operations() -> tuple[AuditEntry, ...]:
    """What operators did, the latest first: one unfinished, one that cannot be read."""
    done: dict[str, Any] = {"outcome": "done", "node": "core-1", "expected_term": 6}
    return (
        audited(NOW_MS - 5_000, "drain", node="core-3", actor="bob", reason="disk",
                request_id="b" * 16),
        audited(NOW_MS - 50_000, "step_down", request_id=REQUEST, new_leader="core-2", new_term=7,
                gap_ms=35, **done),
        AuditEntry(f"{PATHS.audit}broken", None, "not JSON"),
        audited(NOW_MS - 3_600_000 * 30, "transfer", node="core-2", to="core-1", actor="carol",
                reason="rebalance", outcome="fell_back", request_id="c" * 16),
    )  # fmt: skip


def with_audit(*found: AuditEntry, seen: Seen = Seen.KNOWN) -> Snapshot:
    """The console's snapshot with that audit; without any, `operations`."""
    shown = with_journal()
    assert shown.past is not None
    history = replace(shown.past.history, audit=seen)
    told = found or (operations() if seen is Seen.KNOWN else ())
    return replace(shown, past=Past(history, shown.past.entries, told))


def session(node: str, *, holds: bool = False, **fields: Any) -> SessionStatus:
    """One session of a candidate."""
    id_ = "s-1" if holds else f"s-{node}"
    checks = (
        SessionCheck("serfHealth", CheckStatus.PASSING, "Agent alive and reachable"),
        SessionCheck(f"x-coordinator-candidate-{node}", CheckStatus.PASSING, "standby"),
    )
    made = SessionStatus(
        id=id_,
        name=f"x candidate {node}",
        node=node,
        consul_node="host",
        checks=checks,
        lock_delay_s=2.0,
        ttl_s=15.0,
        behavior="release",
        create_index=7,
        holds=holds,
    )
    return replace(made, **fields)


def with_sessions(
    *items: SessionStatus, seen: Seen = Seen.KNOWN, shown: Snapshot | None = None
) -> Snapshot:
    """The console's snapshot with those sessions; without any, those of `leading`."""
    found = items or (session("core-1", holds=True), session("core-2"), session("core-3"))
    listing = SessionListing(seen, found if seen is Seen.KNOWN else ())
    return replace(leading() if shown is None else shown, sessions=listing, sessions_at=NOW - 1.0)


def with_stale_leader() -> Snapshot:
    """Discovery shows one that led before as well, once passing and once critical."""
    shown = with_sessions()
    assert shown.status is not None
    (item,) = shown.status.leader_service.items
    late = replace(item, node="core-9", term=3, service_id="coordinator-3", consul_node="other")
    gone = replace(late, service_id="coordinator-2", term=2, status=CheckStatus.CRITICAL)
    before = replace(item, service_id="coordinator-6", term=6)
    listed = Listing(Seen.KNOWN, (item, before, late, gone))
    return replace(shown, status=replace(shown.status, leader_service=listed))


FINDINGS = (
    Finding(code=Code.NOBODY_LEADS, severity=Severity.CRITICAL, said="Nobody leads."),
    Finding(
        code=Code.PAUSED, severity=Severity.WARNING, said="Paused by ann for 30 min.", about=("p",)
    ),
    Finding(code=Code.AGENT_IS_SERVER, severity=Severity.INFO, said="core-1 is on a server."),
)


def report(*findings: Finding) -> Report:
    """What the doctor found; he could not look at the sessions."""
    return Report(
        election="x",
        at_ms=NOW_MS,
        findings=findings,
        fine=(Subject.KEYS, Subject.CLOCKS),
        skipped=(Skipped(Subject.SESSIONS, "the token may not see them"),),
    )


def examined(*findings: Finding, **fields: Any) -> Snapshot:
    """The console's snapshot after the doctor has looked, ten seconds ago."""
    examination = Examination(
        began_at=NOW - 15, stage_at=NOW - 10, report=report(*findings), reported_at=NOW - 10
    )
    shown = replace(leading(), examination=replace(examination, **fields))
    return replace(shown, runbooks=read_runbooks())


def with_runbooks() -> Snapshot:
    """The console's snapshot with the runbooks of this checkout."""
    return replace(leading(), runbooks=read_runbooks())


def everything() -> Snapshot:
    """Something for every screen to show."""
    shown = polled(shown=with_sessions(shown=with_audit()))
    return replace(shown, examination=examined(*FINDINGS).examination, runbooks=read_runbooks())


def hostile() -> Snapshot:
    """Every text that the other screens show is meant to do harm."""
    pen = Pen("core-2")
    told = pen.tell(
        NOW_MS - 1000,
        partial(StepDownRequested, reason=StepDownReason.REQUESTED, actor=HOSTILE, detail=HOSTILE),
        term=7,
    )
    evil = replace(
        session("core-1", holds=True),
        name=HOSTILE,
        node=HOSTILE,
        consul_node=HOSTILE,
        behavior=HOSTILE,
        checks=(SessionCheck(HOSTILE, None, HOSTILE),),
    )
    leader = LeaderInstance(
        node=HOSTILE,
        node_type=HOSTILE,
        term=7,
        address=HOSTILE,
        session=HOSTILE,
        status=CheckStatus.PASSING,
        consul_node=HOSTILE,
        service_id=HOSTILE,
    )
    audit = audited(NOW_MS - 900, "pause", actor="eve", reason="x", detail=HOSTILE[:900])
    worse = AuditEntry(HOSTILE, None, HOSTILE)
    finding = Finding(code=Code.PAUSED, severity=Severity.WARNING, said=HOSTILE, about=(HOSTILE,))
    bad = candidate(HOSTILE, api=HOSTILE, **WORK)
    status = replace(
        snapshot(bad, *fleet(), leader=LEADER),
        health=health(HOSTILE[:32], HOSTILE),
        leader_service=Listing(Seen.KNOWN, (leader,)),
        pollers=members(Role.POLLER, Listing(Seen.KNOWN, (poller(HOSTILE),)), "x"),
    )
    shown = of(status, past(LEADER))
    assert shown.past is not None
    broken = KVEntry(f"{PATHS.journal}{HOSTILE}", HOSTILE.encode())
    told_of = Past(shown.past.history, decoded(PATHS, (told, broken)), (audit, worse))
    examination = Examination(
        began_at=NOW - 5, stage_at=NOW - 1, report=report(finding), reported_at=NOW - 1
    )
    return replace(
        shown,
        past=told_of,
        sessions=SessionListing(Seen.KNOWN, (evil,)),
        poll_board=evil_polls().poll_board,
        polls=hostile_polls(),
        examination=examination,
        runbooks=read_runbooks(),
    )
