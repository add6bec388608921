"""Snapshots of the console made by hand: one for each situation that it must show rightly.

All are looked at `NOW` (monotonic seconds), a second after they were read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from journals import PATHS, Pen
from snapshots import HELD, NOW_MS, asking, candidate, drain, moment, pause, request, snapshot

from console.snapshot import Contact, Failing, Snapshot
from coord.consul import CheckStatus, ConsulUnavailable, KVEntry, ServiceInstance
from coord.election.reasons import Cause, LostReason
from coord.history import History, Past, tenures
from coord.members import LeaderInstance, Listing, Role, Seen, members
from coord.polling.summary import TROUBLES, Fare, PollSummary, ScheduleFare
from coord.records.health import ClusterHealthRecord, Counts
from coord.status import ClusterStatus, Condition, HealthStatus, LeaderStatus
from coord.telemetry import BecameLeader, LeaderChanged, LostLeadership
from coord.telemetry.journal import decoded

NOW = 1000.0
ADDRESS = "127.0.0.1:8500"
HOSTILE = "[red]\x1b[31mevil\x07‮ gnp\u200b" + "x" * 200
"""Markup, controls, a turn of the writing direction, something invisible; and long."""


@dataclass(frozen=True)
class Led:
    """One tenure: from when (seconds before the snapshot), how the one before it had ended."""

    node: str
    term: int
    before_s: float
    cause: Cause
    gap: tuple[int, int, int, int]
    previous: str = ""


LEADS: Sequence[Led] = (
    Led("core-3", 3, 18_400, Cause.FIRST_START, (0, 3000, 4, 30)),
    Led("core-1", 4, 12_100, Cause.STEPPED_DOWN, (2, 0, 6, 21), "core-3"),
    Led("core-2", 5, 7_300, Cause.SESSION_INVALIDATED, (1900, 3010, 8, 35), "core-1"),
    Led("core-3", 6, 3_700, Cause.DIED, (12, 0, 7, 25), "core-2"),
    Led("core-1", 7, 755, Cause.SESSION_INVALIDATED, (1840, 3004, 9, 41), "core-3"),
)


def journal(led: Sequence[Led] = LEADS) -> tuple[KVEntry, ...]:
    """What the leaders would have told."""
    pens: dict[str, Pen] = {}
    told: list[KVEntry] = []
    for i, each in enumerate(led):
        pen = pens.setdefault(each.node, Pen(each.node))
        at_ms = NOW_MS - round(each.before_s * 1000)
        detect, quarantine, acquire, start = each.gap
        told.append(pen.tell(at_ms, BecameLeader, term=each.term))
        change = partial(
            LeaderChanged,
            new_leader=each.node,
            previous_leader=each.previous or None,
            cause=each.cause,
            gap_ms=sum(each.gap),
            detect_ms=detect,
            quarantine_ms=quarantine,
            acquire_ms=acquire,
            start_ms=start,
        )
        told.append(pen.tell(at_ms + start, change, term=each.term))
        after = led[i + 1] if i + 1 < len(led) else None
        if after is not None and after.cause is Cause.STEPPED_DOWN:
            lost = partial(LostLeadership, reason=LostReason.STEPPED_DOWN)
            end_ms = NOW_MS - round(after.before_s * 1000) - sum(after.gap)
            told.append(pen.tell(end_ms, lost, term=each.term))
    return tuple(told)


def past(leader: LeaderStatus, led: Sequence[Led] = LEADS) -> Past:
    """The history of it, with the leader key as given."""
    entries = decoded(PATHS, journal(led))
    history = History(
        election="x",
        at_ms=NOW_MS,
        journal=Seen.KNOWN,
        audit=Seen.KNOWN,
        tenures=tenures(entries, (), leader),
        oldest_ms=entries[0].at_ms if entries else None,
    )
    return Past(history, entries)


def of(status: ClusterStatus, told: Past | None = None) -> Snapshot:
    """The console's snapshot of a status, read a second ago."""
    return Snapshot(
        election=status.election,
        address=ADDRESS,
        status=status,
        read_at=NOW - 1.0,
        past=past(status.leader) if told is None else told,
        contact=Contact(1.8, ("10.0.0.1:8300", "10.0.0.2:8300", "10.0.0.3:8300")),
    )


LEADER = replace(
    HELD,
    node_type="core",
    address="127.0.0.1:8611",
    since=moment(754.6),
    successors=("core-2", "core-3"),
    fenced_within_ms=2500,
)
WORK: dict[str, Any] = {"workloads": "cluster-health,poll-orchestrator", "lease_ms": "2000"}


def fleet() -> tuple[ServiceInstance, ...]:
    """Five candidates, the first of which leads; one of them is gone."""
    since = str(NOW_MS - 754_600)
    return (
        candidate("core-1", state="leading", why_not="", api="127.0.0.1:8611", **WORK),
        candidate("core-2", api="127.0.0.1:8612", since_ms=since, **WORK),
        candidate("core-3", api="127.0.0.1:8613", since_ms=since, **WORK),
        candidate(
            "web-1",
            why_not="cooling_down",
            state="cooling",
            node_type="web",
            api="127.0.0.1:8614",
            since_ms=str(NOW_MS - 6_000),
            until_ms=str(NOW_MS + 4_900),
        ),
        candidate("core-4", api="127.0.0.1:8615", status=CheckStatus.CRITICAL),
    )


def poller(node: str, *, status: CheckStatus = CheckStatus.PASSING) -> ServiceInstance:
    """One that only runs polls."""
    told = candidate(
        node, state="", why_not="", node_type="poller", eligible="false", status=status
    )
    return replace(told, id=f"poller-{node}")


def health(verdict: str = "healthy", *reasons: str) -> HealthStatus:
    """What ClusterHealth says."""
    counts = Counts(passing=6, critical=1)
    made = ClusterHealthRecord(
        verdict=verdict, reasons=reasons, leader="core-1", term=7, at=moment(12), nodes=counts
    )
    return HealthStatus(Seen.KNOWN, made)


def polls() -> PollSummary:
    """Of sixteen schedules one is down, two had no answer, and one is late."""
    return PollSummary(
        at_ms=NOW_MS - 4_000,
        seen=Seen.KNOWN,
        schedules=16,
        enabled=15,
        up=11,
        down=1,
        unanswered={"no_poller": 1, "deadline": 1},
        late=1,
        disabled=1,
        open_runs=1,
        missed=31,
        last_ms=NOW_MS - 4_200,
        troubled=4,
        worst=(
            ScheduleFare(
                schedule="web-shop",
                fare=Fare.DOWN,
                code="status",
                kind="http",
                target="https://shop.example.org/basket",
                detail="503 Service Unavailable",
                failing=1,
                checks=3,
                interval_ms=10_000,
            ),
            ScheduleFare(
                schedule="mail", fare=Fare.UNANSWERED, code="no_poller", interval_ms=60_000
            ),
            ScheduleFare(schedule="ntp", fare=Fare.UNANSWERED, code="deadline", interval_ms=60_000),
            ScheduleFare(
                schedule="backup", fare=Fare.LATE, interval_ms=30_000, last_ms=NOW_MS - 260_000
            ),
        ),
    )


def hostile_polls() -> PollSummary:
    """What cannot be read may be called anything."""
    worst = tuple(
        ScheduleFare(
            schedule=HOSTILE,
            fare=fare,
            code=HOSTILE,
            kind=HOSTILE,
            target=HOSTILE,
            detail=HOSTILE,
            failing=1,
            checks=1,
        )
        for fare in TROUBLES
    )
    return PollSummary(
        at_ms=NOW_MS,
        seen=Seen.KNOWN,
        schedules=5,
        enabled=4,
        down=1,
        unanswered={HOSTILE: 1},
        late=1,
        never_run=1,
        unreadable=1,
        missed=2**62,
        last_ms=0,
        troubled=5,
        worst=worst,
    )


def leading() -> Snapshot:
    """All is well, but for one node that is gone, and some polls."""
    status = snapshot(*fleet(), leader=LEADER)
    pollers = members(Role.POLLER, Listing(Seen.KNOWN, (poller("edge-1"), poller("edge-2"))), "x")
    service = LeaderInstance(
        node="core-1",
        node_type="core",
        term=7,
        address="127.0.0.1:8611",
        session="s-1",
        status=CheckStatus.PASSING,
        consul_node="host",
        service_id="coordinator-7",
    )
    status = replace(
        status,
        pollers=pollers,
        health=health(),
        leader_service=Listing(Seen.KNOWN, (service,)),
    )
    return replace(of(status), polls=polls())


def leaderless() -> Snapshot:
    """The leader vanished; the others wait out the quarantine."""
    vacant = LeaderStatus(
        condition=Condition.VACANT,
        node="core-1",
        term=7,
        since=moment(754.6),
        vanished=True,
        lock_index=3,
        successors=("core-2", "core-3"),
    )
    since, until = str(NOW_MS - 1_200), str(NOW_MS + 2_800)
    waiting: dict[str, Any] = {
        "state": "waiting",
        "why_not": "lock_delay",
        "since_ms": since,
        "until_ms": until,
    }
    status = snapshot(
        candidate("core-1", state="leading", why_not="", status=CheckStatus.CRITICAL),
        candidate("core-2", **waiting),
        candidate("core-3", **waiting),
        leader=vacant,
    )
    return of(replace(status, health=health("degraded", "too few candidates")))


def disconnected() -> Snapshot:
    """Consul has not answered for 12 s."""
    error = ConsulUnavailable("GET /v1/kv/service/x/leader", "connection refused")
    read_at = NOW - 12.4
    return replace(leading(), read_at=read_at, failing=Failing(read_at, error))


def never_read() -> Snapshot:
    """Consul was not there from the beginning."""
    error = ConsulUnavailable("GET /v1/txn", "connection refused")
    return Snapshot(election="x", address=ADDRESS, failing=Failing(NOW - 3.0, error))


def stale() -> Snapshot:
    """Consul has no leader itself."""
    made = leading()
    assert made.status is not None
    consul = replace(made.status.consul, leader="")
    return replace(made, status=replace(made.status, stale=True, consul=consul), contact=Contact())


def paused() -> Snapshot:
    """Paused, one node drained, and a request that nobody has answered."""
    asked = asking(
        pause=pause(reason="the network is changed"), drained={"core-2": drain()}, request=request()
    )
    status = snapshot(*fleet(), leader=LEADER, controls=asked)
    return of(replace(status, health=health()))


def hostile() -> Snapshot:
    """Every text that Consul could be made to hold is meant to do harm."""
    bad = candidate(
        HOSTILE,
        state="leading",
        why_not=HOSTILE,
        node_type=HOSTILE,
        api=HOSTILE,
        workloads=HOSTILE,
        version=HOSTILE,
    )
    leader = replace(
        LEADER, node=HOSTILE, address=HOSTILE, node_type=HOSTILE, successors=(HOSTILE, "b")
    )
    asked = asking(drained={HOSTILE: drain(actor="eve", reason="x")}, unreadable={HOSTILE: HOSTILE})
    status = snapshot(bad, *fleet()[1:], leader=leader, controls=asked)
    consul = replace(status.consul, leader=HOSTILE)
    made = of(replace(status, consul=consul, election=HOSTILE))
    return replace(made, address=HOSTILE, election=HOSTILE, polls=hostile_polls())


def thousand() -> Snapshot:
    """A fleet of a thousand."""
    many = (
        candidate(
            f"node-{i:04d}",
            api=f"10.0.{i // 250}.{i % 250}:8610",
            since_ms=str(NOW_MS - 754_600),
            status=CheckStatus.CRITICAL if i % 97 == 3 else CheckStatus.PASSING,
        )
        for i in range(1, 1000)
    )
    first = candidate("core-1", state="leading", why_not="", api="127.0.0.1:8611", **WORK)
    return of(replace(snapshot(first, *many, leader=LEADER), health=health()))


SCENES = {
    "leading": leading,
    "leaderless": leaderless,
    "disconnected": disconnected,
    "never_read": never_read,
    "stale": stale,
    "paused": paused,
    "hostile": hostile,
    "thousand": thousand,
}
"""All of them, by name."""
