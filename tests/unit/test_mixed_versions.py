"""Nodes of different versions in one election: each reads what the other wrote.

Older to newer: what a real election of older nodes left, read by this code. Newer to older: every
record with a higher version, fields that nobody knows and words that nobody knows, since that is
what this code is to the next.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import before_operations as before
import pytest

from coord.consul import KVEntry
from coord.controls import controls_of
from coord.election.lookout import Lookout
from coord.election.reasons import Cause
from coord.election.timing import Timing
from coord.leader_key import view_of
from coord.members import Listing, Role, Seen, leader_instance, member, members
from coord.polling.records import (
    JobRecord,
    JobState,
    PollStateRecord,
    ResultRecord,
    ScheduleRecord,
)
from coord.polling.store import PollPaths, load_results, load_schedules
from coord.records import (
    AuditRecord,
    DrainRecord,
    LeaderRecord,
    LeaderState,
    Paths,
    PauseRecord,
    Record,
    RecordError,
    RequestKind,
    RequestRecord,
    decode_term,
)
from coord.records.health import ClusterHealthRecord
from coord.status.model import Condition, KeyRead, leader_status, term_status
from coord.telemetry import journal

PATHS = Paths("coordinator")
POLLS = PollPaths(PATHS)
AT = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)


def under(prefix: str) -> list[KVEntry]:
    return [entry for entry in before.all_keys() if entry.key.startswith(prefix)]


# --- what older nodes wrote ------------------------------------------------------------------


def test_an_older_leader_is_seen_as_one() -> None:
    term = term_status(KeyRead(True, before.key("/term")))
    leader = leader_status(KeyRead(True, before.key("/leader")), term)
    assert (leader.condition, leader.node, leader.term) == (Condition.HELD, "core-1", 4)
    assert (leader.successors, leader.fenced_within_ms) == (("core-2",), 2500)
    assert (leader.oddities, term.value, term.fenced_within_ms) == ((), 4, 2500)


def test_an_older_leader_that_vanished_is_waited_for_as_long_as_it_said() -> None:
    held = before.key("/leader")
    gone = KVEntry(held.key, held.value, lock_index=1, create_index=10, modify_index=90)
    term = before.key("/term")
    lookout = Lookout(Timing())
    lookout.observed(view_of(held, term), 10.0)
    lookout.observed(view_of(gone, term), 20.0)
    assert lookout.vacancy is not None
    assert lookout.vacancy.cause is Cause.SESSION_INVALIDATED
    assert lookout.vacancy.quarantine == Timing().quarantine(2.5)


def test_what_an_older_leader_handed_over_needs_no_wait() -> None:
    term = KVEntry(PATHS.term, b"5", flags=2500, create_index=11, modify_index=80)
    vacant = KVEntry(PATHS.leader, before.vacant(), lock_index=5, create_index=10, modify_index=90)
    lookout = Lookout(Timing())
    lookout.observed(view_of(vacant, term), 20.0)
    assert lookout.vacancy is not None
    assert lookout.vacancy.handed_over
    assert (lookout.vacancy.quarantine, lookout.vacancy.cause) == (0.0, Cause.HANDED_OVER)


def test_older_members_say_nothing_of_what_they_do_not_know() -> None:
    found = members(
        Role.CANDIDATE,
        Listing(Seen.KNOWN, before.instances("coordinator-candidate")),
        "coordinator",
    )
    assert [(m.node, m.state, m.gone) for m in found.items] == [
        ("core-1", "leading", False),
        ("core-2", "standby", False),
        ("core-2", "standby", True),
    ]
    for each in found.items:
        assert (each.priority, each.workloads, dict(each.timing_ms)) == (None, (), {})
        assert each.fenced_within_ms == 2500
    assert [m.node for m in map(leader_instance, before.instances("coordinator"))] == ["core-1"]
    assert member(Role.POLLER, before.instances("poller")[0]).node == "poller-1"


def test_an_older_journal_is_read_to_the_last_entry() -> None:
    entries = [journal.decode_entry(PATHS, entry) for entry in under(PATHS.journal)]
    assert len(entries) == 16
    assert all(not entry.problem and entry.at_ms and entry.node for entry in entries)
    changes = [entry for entry in entries if entry.event.endswith(".leader_changed")]
    assert [(c.term, c.details["cause"]) for c in changes] == [
        (2, "handed_over"),
        (3, "handed_over"),
        (4, "session_invalidated"),
    ]


def test_older_polls_go_on() -> None:
    schedules = load_schedules(under(POLLS.schedules), POLLS.schedules)
    results = load_results(under(POLLS.results), POLLS.results)
    assert (set(schedules.records), schedules.unreadable) == ({"consul-api"}, {})
    assert (results.records["consul-api"].runs, results.unreadable) == (7, {})
    assert PollStateRecord.decode(before.key("polls/state").value).term == 4
    assert ClusterHealthRecord.decode(before.key("cluster/health").value).verdict == "healthy"


def test_older_nodes_left_nothing_that_is_taken_for_a_wish() -> None:
    controls = controls_of(under(PATHS.control), PATHS)
    assert (controls.pause, controls.request, dict(controls.drained)) == (None, None, {})


# --- what newer nodes write ------------------------------------------------------------------

ASKED: dict[str, Any] = {
    "actor": "ann@desk",
    "reason": "why not",
    "request_id": "0123456789abcdef",
    "at": AT,
}

RECORDS: list[Record] = [
    LeaderRecord(state=LeaderState.HELD, term=7, node="core-1", fenced_within_ms=2500),
    LeaderRecord(state=LeaderState.VACANT, term=7, node="core-1", why="transferred", by="core-1"),
    PauseRecord(**ASKED, for_ms=60_000),
    DrainRecord(**ASKED),
    RequestRecord(**ASKED, kind=RequestKind.TRANSFER, expected_term=7, to="core-2"),
    AuditRecord(**ASKED, operation="transfer", node="core-1", to="core-2", outcome="done"),
    ClusterHealthRecord.decode(before.key("cluster/health").value),
    ScheduleRecord.decode(before.key("schedules/consul-api").value),
    ResultRecord.decode(before.key("results/consul-api").value),
    PollStateRecord.decode(before.key("polls/state").value),
    JobRecord(
        id="consul-api.1",
        schedule="consul-api",
        term=4,
        due_ms=1,
        state=JobState.PENDING,
    ),
]


def newer(value: Any) -> Any:
    """The same as a later version might write it: version 2, with more in each object."""
    if isinstance(value, dict):
        more = {"since_version_2": {"a": [1, None]}, "mood": "good"}
        return {name: newer(part) for name, part in value.items()} | more
    return [newer(part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.KIND.replace(" ", "-"))
def test_what_a_later_version_adds_to_a_record_is_passed_over(record: Record) -> None:
    raw = json.dumps(newer(json.loads(record.encode())) | {"v": 2}).encode()
    read = type(record).decode(raw)
    assert read.v == 2
    assert read.model_copy(update={"v": record.v}) == record


def with_word(record: Record, **words: str) -> bytes:
    return json.dumps(json.loads(record.encode()) | words).encode()


@pytest.mark.parametrize("why", ["abducted", "", "held"])
def test_a_vacancy_of_a_cause_that_nobody_knows_is_a_hand_over_all_the_same(why: str) -> None:
    record = LeaderRecord(state=LeaderState.VACANT, term=7, node="core-1", fenced_within_ms=2500)
    leader = KVEntry(
        PATHS.leader, with_word(record, why=why), lock_index=3, create_index=10, modify_index=90
    )
    term = KVEntry(PATHS.term, b"7", flags=2500, create_index=11, modify_index=80)
    lookout = Lookout(Timing())
    lookout.observed(view_of(leader, term), 1.0)
    assert lookout.vacancy is not None
    assert lookout.vacancy.handed_over
    assert lookout.vacancy.cause is Cause.HANDED_OVER


@pytest.mark.parametrize("session", ["f" * 36, None])
def test_a_leader_record_in_a_state_that_nobody_knows_is_as_the_lock_says(
    session: str | None,
) -> None:
    record = LeaderRecord(state=LeaderState.HELD, term=7, node="core-1")
    raw = with_word(record, state="asleep")
    entry = KVEntry(
        PATHS.leader, raw, session=session, lock_index=3, create_index=10, modify_index=90
    )
    view = view_of(entry, KVEntry(PATHS.term, b"7", flags=2500, create_index=11, modify_index=80))
    lookout = Lookout(Timing())
    lookout.observed(view, 1.0)
    assert not view.readable
    if session:
        assert lookout.vacancy is None
    else:
        assert lookout.vacancy is not None
        assert not lookout.vacancy.handed_over
        assert lookout.vacancy.quarantine == Timing().quarantine(2.5)


def test_a_request_of_a_kind_that_nobody_knows_is_nobodys() -> None:
    record = RequestRecord(**ASKED, kind=RequestKind.STEP_DOWN, expected_term=7)
    raw = with_word(record, kind="dance")
    with pytest.raises(RecordError):
        RequestRecord.decode(raw)
    pause = PauseRecord(**ASKED, for_ms=60_000)
    controls = controls_of(
        [
            KVEntry(PATHS.request, raw, modify_index=5),
            KVEntry(PATHS.pause, pause.encode(), modify_index=6),
            KVEntry(PATHS.control + "a-wish-of-version-2", b"{}", modify_index=7),
        ],
        PATHS,
    )
    assert (controls.request, controls.pause) == (None, pause)
    assert set(controls.unreadable) == {PATHS.request}


def test_an_audit_of_an_operation_and_an_outcome_that_nobody_knows_is_read() -> None:
    record = AuditRecord(**ASKED, operation="elect", outcome="acclaimed")
    assert AuditRecord.decode(record.encode()) == record


def test_a_candidate_in_a_state_that_nobody_knows_is_shown_as_it_says() -> None:
    instance = before.instances("coordinator-candidate")[1]
    words = {"state": "meditating", "why_not": "full_moon", "priority": "100", "haste_ms": "5"}
    told = type(instance)(
        **{
            **{name: getattr(instance, name) for name in instance.__slots__},
            "meta": {**instance.meta, **words},
        }
    )
    found = member(Role.CANDIDATE, told)
    assert (found.state, found.why_not, found.reason) == ("meditating", "full_moon", None)
    assert found.passing


def test_an_entry_of_an_event_that_nobody_knows_is_read() -> None:
    entry = under(PATHS.journal)[0]
    body = newer(json.loads(entry.value)) | {"v": 2, "event": "serviceradar.coordinator.crowned"}
    read = journal.decode_entry(PATHS, KVEntry(entry.key, json.dumps(body).encode()))
    assert (read.problem, read.event) == ("", "serviceradar.coordinator.crowned")


@pytest.mark.parametrize(
    ("load", "prefix", "raw"),
    [
        (load_schedules, POLLS.schedules, before.key("schedules/consul-api").value),
        (load_results, POLLS.results, before.key("results/consul-api").value),
    ],
)
@pytest.mark.parametrize(("kind", "read"), [("telepathy", {"other"}), ("", set()), (7, set())])
def test_a_poll_of_a_kind_that_nobody_knows_is_read_and_one_of_none_keeps_no_other_from_it(
    load: Callable[..., Any], prefix: str, raw: bytes, kind: Any, read: set[str]
) -> None:
    strange = json.loads(raw)
    strange["checks"][0]["kind"] = kind
    name = {"schedule": "other"} if "schedule" in strange else {"id": "other"}
    entries = [
        KVEntry(prefix + "consul-api", raw, modify_index=5),
        KVEntry(prefix + "other", json.dumps(strange | name).encode(), modify_index=6),
    ]
    found = load(entries, prefix)
    assert set(found.records) == {"consul-api"} | read
    assert set(found.unreadable) == {prefix + each for each in {"other"} - read}
    for other in read:
        assert json.loads(found.records[other].encode())["checks"][0]["kind"] == kind


def test_the_term_is_a_number_to_all_versions() -> None:
    assert decode_term(before.key("/term").value) == 4
