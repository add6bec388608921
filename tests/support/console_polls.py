"""Schedules, results and pollers as the console's Polls screen shows them, made by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from console_scenes import HOSTILE, leading, poller
from journals import PATHS
from snapshots import NOW_MS

from console.snapshot import Snapshot
from coord.consul import CheckStatus, KVEntry
from coord.members import Listing, Role, Seen, members
from coord.polling.board import PollBoard, PollerSeen, boarded
from coord.polling.paths import PollPaths
from coord.polling.records import (
    AskedRecord,
    CheckError,
    CheckResult,
    JobRecord,
    JobState,
    PollError,
    ResultRecord,
    ScheduleRecord,
)
from coord.polling.store import load_asked, load_jobs, load_results, load_schedules
from coord.polling.summary import PollSummary

KEYS = PollPaths(PATHS)
REQUEST = "0123456789abcdef"
SHOP = "https://shop.example.org/basket"


def http(target: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "http", "target": target, "timeout": "2s", **fields}


def tcp(target: str) -> dict[str, Any]:
    return {"kind": "tcp", "target": target, "timeout": "1s"}


def schedule(id: str, *checks: dict[str, Any], **fields: Any) -> KVEntry:
    """One that was written a day ago."""
    made: dict[str, Any] = {"interval": "10s", "since_ms": NOW_MS - 86_400_000}
    made["checks"] = checks or (tcp(f"{id}.example.org:443"),)
    record = ScheduleRecord.model_validate({"id": id, **made, **fields})
    return KVEntry(KEYS.schedule(id), record.encode())


def found(target: str, ok: bool = True, kind: str = "tcp", **fields: Any) -> CheckResult:
    """What one check found, after 12 ms unless told."""
    return CheckResult(kind=kind, target=target, ok=ok, **{"latency_ms": 12.4, **fields})


def result(id: str, *checks: CheckResult, ago_ms: int = 4_200, **fields: Any) -> KVEntry:
    """One that came four seconds ago, found everything up, and is the 8,640th."""
    told = checks or (found(f"{id}.example.org:443"),)
    finished_ms = NOW_MS - ago_ms
    made: dict[str, Any] = {
        "attempt": 1,
        "state": JobState.COMPLETED,
        "ok": all(check.ok for check in told),
        "checks": told,
        "poller": "poller-edge-1",
        "runs": 8640,
        "lag_ms": 14,
        "took_ms": 38,
    }
    record = ResultRecord(
        schedule=id,
        job=f"{id}.180000000",
        term=7,
        due_ms=finished_ms - 52,
        finished_ms=finished_ms,
        **made | fields,
    )
    return KVEntry(KEYS.result(id), record.encode())


def unanswered(id: str, error: PollError, **fields: Any) -> KVEntry:
    """The result of a run that had no answer."""
    made: dict[str, Any] = {"state": JobState.FAILED, "ok": None, "error": error, "checks": ()}
    return result(id, **made | fields)


def job(name: str, *, ago_ms: int = 2_300, **fields: Any) -> KVEntry:
    """A run that is open."""
    made: dict[str, Any] = {"attempt": 1, "poller": "poller-edge-1", "id": f"{name}.180000001"}
    record = JobRecord(
        schedule=name,
        state=JobState.DISPATCHING,
        term=7,
        due_ms=NOW_MS - ago_ms,
        dispatched_ms=NOW_MS - ago_ms,
        **made | fields,
    )
    return KVEntry(KEYS.job(record.id), record.encode())


def asked(id: str, **fields: Any) -> KVEntry:
    """A request that nobody has taken up."""
    made: dict[str, Any] = {"actor": "bob@ops", "request_id": REQUEST, "at_ms": NOW_MS - 3_000}
    return KVEntry(KEYS.ask(id), AskedRecord(schedule=id, **made | fields).encode())


POLLERS = (
    PollerSeen(id="poller-edge-1", node="edge-1", capacity=8, partition="dmz", domain="fra"),
    PollerSeen(id="poller-edge-2", node="edge-2", capacity=8, domain="ber"),
    PollerSeen(id="poller-edge-3", node="edge-3", capacity=16),
)


def board(
    entries: Iterable[KVEntry],
    *,
    seen: Seen = Seen.KNOWN,
    pollers: Sequence[PollerSeen] | None = POLLERS,
) -> tuple[PollBoard, PollSummary]:
    """What is made of these keys, and the same in numbers. seen: whether results are to be seen."""
    told = tuple(entries)

    def below(prefix: str) -> list[KVEntry]:
        return [entry for entry in told if entry.key.startswith(prefix)]

    made, summary = boarded(
        KEYS,
        load_schedules(below(KEYS.schedules), KEYS.schedules),
        load_results(below(KEYS.results), KEYS.results),
        load_jobs(below(KEYS.jobs), KEYS.jobs),
        load_asked(below(KEYS.asked), KEYS.asked),
        seen=seen,
        at_ms=NOW_MS,
    )
    return replace(made, pollers=None if pollers is None else tuple(pollers)), summary


MIXED = (
    schedule(
        "web-shop",
        http(SHOP, contains="Basket"),
        http("https://shop.example.org/health", method="HEAD"),
        tcp("10.0.0.4:5432"),
        name="The shop sells",
        priority=500,
        assignment="partition",
        assigned_to=("dmz",),
        timeout="1500ms",
    ),
    result(
        "web-shop",
        found(SHOP, ok=False, kind="http", error=CheckError.STATUS, status=503, latency_ms=231.0,
              detail="503 Service Unavailable"),
        found("https://shop.example.org/health", kind="http", status=200, latency_ms=48.2),
        found("10.0.0.4:5432", latency_ms=1.6),
        missed=3,
        failed=2,
        retried=4,
    ),
    schedule("mail", tcp("mail.example.org:25"), interval="1m", name="Mail is taken",
             assignment="domain", assigned_to=("ber", "fra")),
    unanswered("mail", PollError.NO_POLLER, ago_ms=38_000, poller="", runs=1440, failed=31),
    schedule("ntp", interval="1m"),
    unanswered("ntp", PollError.DEADLINE, ago_ms=21_000, state=JobState.TIMED_OUT, attempt=3,
               poller="poller-edge-2", runs=1440, timed_out=12),
    schedule("backup", interval="30s"),
    result("backup", ago_ms=260_000, poller="poller-edge-9", runs=2871, missed=9),
    schedule("ldap", since_ms=NOW_MS - 180_000),
    KVEntry(KEYS.schedules + "torn", b'{"id": "torn", "interval": "soon", "checks": []}'),
    schedule("old-site", enabled=False),
    result("old-site", found("old-site.example.org:443", ok=False, error=CheckError.REFUSED),
           ago_ms=7_400_000, runs=10),
    schedule("fresh", since_ms=NOW_MS - 900, interval="1h"),
    schedule("api", http("https://api.example.org/v1/status")),
    result("api", found("https://api.example.org/v1/status", kind="http", status=200,
                        latency_ms=83.7)),
    job("api"),
    schedule("search"),
    result("search", poller="poller-edge-2"),
    job("search", attempt=2, ago_ms=4_100, poller="poller-edge-3"),
    schedule("login"),
    result("login", ago_ms=9_100, poller="poller-edge-3"),
    asked("login"),
    *(entry for i in range(1, 9) for entry in (
        schedule(f"shard-{i}", name=f"Database shard {i}"),
        result(f"shard-{i}", found(f"shard-{i}.example.org:443", latency_ms=0.4 * i),
               ago_ms=1_000 * i, poller=f"poller-edge-{1 + i % 3}"),
    )),
)  # fmt: skip
"""Of everything something: down, unanswered, late, never run, unreadable, disabled, new, up."""


def polled(
    entries: Iterable[KVEntry] = MIXED, *, shown: Snapshot | None = None, **how: Any
) -> Snapshot:
    """The console's snapshot with those schedules, three pollers, and one that is gone."""
    before = leading() if shown is None else shown
    made, summary = board(entries, **how)
    assert before.status is not None
    fleet = [poller(f"edge-{i}") for i in range(1, 4)]
    fleet.append(poller("edge-4", status=CheckStatus.CRITICAL))
    status = replace(
        before.status, pollers=members(Role.POLLER, Listing(Seen.KNOWN, tuple(fleet)), "x")
    )
    return replace(before, status=status, poll_board=made, polls=summary)


def unpolled() -> Snapshot:
    """There is no schedule."""
    return polled((), pollers=())


def many(count: int = 1000) -> Snapshot:
    """A thousand, of which some are down."""
    entries: list[KVEntry] = []
    for i in range(count):
        id = f"check-{i:04d}"
        target = f"{id}.example.org:443"
        bad = i % 97 == 3
        error = CheckError.TIMEOUT if bad else None
        entries += [
            schedule(id),
            result(id, found(target, ok=not bad, error=error), ago_ms=i * 9 + 1),
        ]
    return polled(entries)


def evil() -> Snapshot:
    """Every text that a record can be made to hold is meant to do harm."""
    word = "unheard.of-error_that-is-longxxx"
    clipped = HOSTILE[:128]
    bad = found(HOSTILE[:200], ok=False, error=word, detail=HOSTILE[:200])
    entries = (
        schedule("a" * 100, tcp("10.0.0.1:1"), name=clipped),
        result("a" * 100, bad, poller=HOSTILE[:256]),
        schedule("b", {"kind": "own", "target": HOSTILE, HOSTILE[:40]: HOSTILE, "deep": [HOSTILE]}),
        unanswered("b", PollError.NO_POLLER, poller=HOSTILE),
        job("b", poller=HOSTILE),
        KVEntry(KEYS.schedules + HOSTILE, HOSTILE.encode()),
        KVEntry(KEYS.schedules + "[bold]markup[/bold]", b"{"),
        KVEntry(KEYS.jobs + HOSTILE, HOSTILE.encode()),
        KVEntry(KEYS.asked + "\x1b[2J", b"[]"),
        KVEntry(KEYS.results + "gone\u202e", b"null"),
    )
    who = PollerSeen(id=f"poller-{HOSTILE}", node=HOSTILE, capacity=1, partition=HOSTILE,
                     domain=HOSTILE)  # fmt: skip
    shown = polled(entries, pollers=(who,))
    assert shown.status is not None
    named = members(Role.POLLER, Listing(Seen.KNOWN, (poller(HOSTILE), poller("edge-1"))), "x")
    return replace(shown, status=replace(shown.status, pollers=named))
