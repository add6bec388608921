"""How the two keys, the catalog and hostile texts are understood, and how they are shown."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from coord.consul import CheckStatus, HealthCheck, KVEntry, ServiceInstance
from coord.election.reasons import WhyNot
from coord.members import MAX_TEXT, UNKNOWN_STATE, Role, best_by_node, member, members, parse_note
from coord.records import LeaderRecord, LeaderState, encode_term
from coord.status import (
    ClusterStatus,
    Condition,
    ConsulStatus,
    HealthStatus,
    LeaderStatus,
    Listing,
    Oddity,
    Seen,
    TermCondition,
    TermStatus,
    node_status,
    to_json,
)
from coord.status.model import KeyRead, leader_status, term_status
from coord.status.text import plain, render_node, render_status

HOSTILE = (
    "\x1b[31mred",
    "a\x00b\r\nc",
    "\u202egnirts",
    "[bold red]core[/]",
    "[/]",
    "[link=file:///etc/passwd]x[/link]",
    "zero\u200bwidth\u2066",
    "\ud800",
    "é" * 5000,
    "\x9b31m",
    "../../etc",
)


def entry(value: bytes, *, session: str | None = None, **fields: int) -> KVEntry:
    given = {"lock_index": 1, "create_index": 10, "modify_index": 20} | fields
    return KVEntry("service/x/leader", value, session=session, **given)


def held(**fields: object) -> bytes:
    record = LeaderRecord(state=LeaderState.HELD, node="core-1", node_type="core", term=7)
    return record.model_copy(update=fields).encode()


def vacant(**fields: object) -> bytes:
    record = LeaderRecord(
        state=LeaderState.VACANT, node="core-1", term=7, why="handed_over", by="core-1"
    )
    return record.model_copy(update=fields).encode()


TERM_7 = term_status(KeyRead(True, KVEntry("t", encode_term(7), flags=2500, modify_index=20)))


def read(value: KVEntry | None, term: TermStatus = TERM_7) -> LeaderStatus:
    return leader_status(KeyRead(True, value), term)


# --- the leader key and the term key ---


def test_held() -> None:
    leader = read(entry(held(), session="s-1"))
    assert (leader.condition, leader.locked) == (Condition.HELD, True)
    assert (leader.node, leader.term, leader.session) == ("core-1", 7, "s-1")
    assert leader.oddities == ()


def test_vacant_and_handed_over() -> None:
    leader = read(entry(vacant()))
    assert (leader.condition, leader.handed_over) == (Condition.VACANT, True)
    assert (leader.why, leader.by) == ("handed_over", "core-1")


def test_a_leader_that_vanished_is_vacant_and_said_nothing() -> None:
    leader = read(entry(held()))
    assert (leader.condition, leader.locked, leader.handed_over) == (Condition.VACANT, False, False)
    assert (leader.why, leader.by) == ("", "")


def test_created_vacant_is_not_odd_and_not_handed_over() -> None:
    created = entry(vacant(term=0), lock_index=0, create_index=20)
    missing = term_status(KeyRead(True))
    leader = read(created, missing)
    assert (leader.handed_over, leader.oddities, leader.term) == (False, (), None)


@pytest.mark.parametrize("session", [None, "s-1"])
def test_a_foreign_edit_is_told_and_never_counts_as_handed_over(session: str | None) -> None:
    value = vacant() if session is None else held()
    leader = read(entry(value, session=session, lock_index=0))
    assert leader.oddities == (Oddity.EDITED,)
    assert not leader.handed_over


def test_the_lock_decides_not_the_record() -> None:
    leader = read(entry(vacant(), session="s-1"))
    assert (leader.condition, leader.locked) == (Condition.HELD, True)
    assert Oddity.RECORD_SAYS_VACANT in leader.oddities
    assert (leader.why, leader.handed_over) == ("", False)


@pytest.mark.parametrize("session", [None, "s-1"])
def test_unreadable_says_whether_it_is_locked(session: str | None) -> None:
    leader = read(entry(b"\xff{not json", session=session))
    assert leader.condition is Condition.UNREADABLE
    assert leader.locked is (session is not None)
    assert Oddity.RECORD_UNREADABLE in leader.oddities
    assert leader.detail


def test_missing_and_denied() -> None:
    assert read(None).condition is Condition.MISSING
    denied = leader_status(KeyRead(False), TERM_7)
    assert denied.condition is Condition.NOT_PERMITTED


def test_the_term_key() -> None:
    assert (TERM_7.condition, TERM_7.value, TERM_7.fenced_within_ms) == (
        TermCondition.KNOWN,
        7,
        2500,
    )
    assert term_status(KeyRead(True)).condition is TermCondition.MISSING
    assert term_status(KeyRead(False)).condition is TermCondition.NOT_PERMITTED
    odd = term_status(KeyRead(True, KVEntry("t", b"-1", flags=2**60)))
    assert (odd.condition, odd.fenced_within_ms) == (TermCondition.UNREADABLE, None)


@pytest.mark.parametrize(
    ("term", "oddity"),
    [
        (None, Oddity.TERM_MISSING),
        (b"x", Oddity.TERM_UNREADABLE),
        (b"8", Oddity.TERM_MISMATCH),
    ],
)
def test_a_term_key_that_does_not_fit(term: bytes | None, oddity: Oddity) -> None:
    key = KeyRead(True, None if term is None else KVEntry("t", term))
    for leader in (
        read(entry(held(), session="s-1"), term_status(key)),
        read(entry(vacant()), term_status(key)),
    ):
        assert leader.oddities == (oddity,)
        assert not leader.handed_over


@given(st.binary(max_size=200), st.binary(max_size=30), st.integers(0, 2**64 - 1))
def test_no_value_of_the_keys_breaks_it(value: bytes, term: bytes, flags: int) -> None:
    known = term_status(KeyRead(True, KVEntry("t", term, flags=flags)))
    json.loads(to_json(cluster(leader=read(entry(value, session="s"), known), term=known)))


# --- members ---


def instance(
    node: str = "core-1",
    *,
    note: str = "standby held_by_other",
    status: CheckStatus = CheckStatus.PASSING,
    serf: CheckStatus = CheckStatus.PASSING,
    boot: str = "b0",
    **meta: str,
) -> ServiceInstance:
    id_ = f"coordinator-candidate-{node}-{boot}"
    said = {"node": node, "node_type": "core", "eligible": "true", "boot_id": boot} | meta
    checks = (
        HealthCheck("host", "serfHealth", "Serf", serf, "Agent alive and reachable"),
        HealthCheck("host", id_, "own", status, note, service_id=id_),
    )
    return ServiceInstance("host", "10.0.0.1", id_, "c", "10.0.0.2", 8610, (), said, checks)


@pytest.mark.parametrize(
    ("note", "told"),
    [
        ("standby held_by_other", ("standby", "held_by_other")),
        ("leading", ("leading", "")),
        ("  waiting   lock_delay \n", ("waiting", "lock_delay")),
        (
            "TTL expired (last output before timeout follows): standby held_by_other",
            ("standby", "held_by_other"),
        ),
        ("TTL expired", (UNKNOWN_STATE, "")),
        ("", (UNKNOWN_STATE, "")),
        ("three words here", (UNKNOWN_STATE, "")),
        ("\x1b[31m red", (UNKNOWN_STATE, "")),
        ("a" * 10_000, (UNKNOWN_STATE, "")),
    ],
)
def test_notes(note: str, told: tuple[str, str]) -> None:
    assert parse_note(note) == told


def test_a_member_in_full() -> None:
    item = member(
        Role.CANDIDATE,
        instance(api="10.0.0.9:8610", fenced_within_ms="2500", version="1.2", election="x"),
    )
    assert (item.node, item.node_type, item.eligible, item.boot_id) == (
        "core-1",
        "core",
        True,
        "b0",
    )
    assert (item.address, item.fenced_within_ms, item.version) == ("10.0.0.9:8610", 2500, "1.2")
    assert (item.state, item.why_not, item.reason) == (
        "standby",
        "held_by_other",
        WhyNot.HELD_BY_OTHER,
    )
    assert (item.passing, item.consul_node) == (True, "host")


def test_a_member_that_says_nothing() -> None:
    item = member(Role.CANDIDATE, ServiceInstance("host", "10.0.0.1", "i", "c", "", 0))
    assert (item.node, item.eligible, item.state, item.reason) == (
        "host",
        None,
        UNKNOWN_STATE,
        None,
    )
    assert item.fenced_within_ms is None


@pytest.mark.parametrize("number", ["-1", "1e9", "99999999999999999999", "", "٣", "3600001"])
def test_numbers_that_make_no_sense_are_none(number: str) -> None:
    assert member(Role.CANDIDATE, instance(fenced_within_ms=number)).fenced_within_ms is None


def test_a_lost_host_makes_its_nodes_critical() -> None:
    item = member(Role.CANDIDATE, instance(serf=CheckStatus.CRITICAL))
    assert (item.status, item.check_status) == (CheckStatus.CRITICAL, CheckStatus.PASSING)
    assert item.reason is WhyNot.CHECK_CRITICAL


def test_the_meta_comes_before_the_note_which_may_be_old() -> None:
    item = member(Role.CANDIDATE, instance(state="waiting", why_not="lock_delay"))
    assert (item.state, item.why_not) == ("waiting", "lock_delay")
    item = member(Role.CANDIDATE, instance(state="leading", why_not=""))
    assert (item.state, item.why_not) == ("leading", "")


def test_a_word_of_a_newer_version_is_kept_as_a_word() -> None:
    item = member(Role.CANDIDATE, instance(note="standby on_holiday"))
    assert (item.why_not, item.reason) == ("on_holiday", None)


def test_pollers_of_another_election_are_left_out() -> None:
    found = Listing(Seen.KNOWN, (instance("a", election="x"), instance("b", election="y")))
    assert [item.node for item in members(Role.POLLER, found, "x").items] == ["a"]


def test_of_several_boots_the_one_that_does_best_counts() -> None:
    old = member(Role.CANDIDATE, instance(status=CheckStatus.CRITICAL, boot="old"))
    new = member(Role.CANDIDATE, instance(boot="new"))
    for order in ((old, new), (new, old)):
        assert best_by_node(order)["core-1"] is new


# --- one node ---


def cluster(
    *instances: ServiceInstance,
    observers: tuple[ServiceInstance, ...] = (),
    leader: LeaderStatus | None = None,
    term: TermStatus = TERM_7,
    seen: Seen = Seen.KNOWN,
) -> ClusterStatus:
    return ClusterStatus(
        election="x",
        at_ms=0,
        leader=leader or read(entry(held(), session="s-1")),
        term=term,
        candidates=members(Role.CANDIDATE, Listing(seen, instances), "x"),
        observers=members(Role.OBSERVER, Listing(seen, observers), "x"),
        pollers=Listing(seen),
        leader_service=Listing(seen),
        consul=ConsulStatus(leader="10.0.0.1:8300", version="1.8.7"),
        health=HealthStatus(Seen.KNOWN),
    )


def test_the_leader_has_no_why_not() -> None:
    view = node_status(cluster(instance(note="leading")), "core-1")
    assert (view.leads, view.why_not, view.held_by, view.found) == (True, None, None, True)


@pytest.mark.parametrize(
    ("told", "shown_as"),
    [("waiting", "leading"), ("leading", "leading"), ("suspended", "suspended")],
)
def test_a_new_leader_that_last_told_to_wait_is_shown_to_lead(told: str, shown_as: str) -> None:
    status = cluster(instance(note=told), instance("core-2", note=told))
    assert node_status(status, "core-1").state == shown_as
    assert node_status(status, "core-2").state == told


@pytest.mark.parametrize("why", list(WhyNot))
def test_every_reason_gets_through(why: WhyNot) -> None:
    view = node_status(cluster(instance("core-2", note=f"standby {why.value}")), "core-2")
    assert (view.leads, view.why_not, view.held_by) == (False, why, "core-1")


def test_a_failing_check_comes_before_what_was_last_said() -> None:
    view = node_status(cluster(instance("core-2", status=CheckStatus.CRITICAL)), "core-2")
    assert view.why_not is WhyNot.CHECK_CRITICAL


@pytest.mark.parametrize(
    "status",
    [
        cluster(observers=(instance("p", note="observer not_eligible"),)),
        cluster(instance("p", note="standby", eligible="false")),
    ],
)
def test_who_may_not_lead(status: ClusterStatus) -> None:
    assert node_status(status, "p").why_not is WhyNot.NOT_ELIGIBLE


@pytest.mark.parametrize("seen", list(Seen))
def test_a_node_that_is_not_there_or_not_to_be_seen(seen: Seen) -> None:
    view = node_status(cluster(seen=seen), "nobody")
    assert (view.found, view.seen, view.why_not) == (False, seen, None)


# --- JSON and text ---


def hostile_cluster(text: str) -> ClusterStatus:
    meta = dict.fromkeys(
        ("node", "node_type", "boot_id", "version", "api", "eligible", "fenced_within_ms"), text
    )
    bad = replace(instance(note=text), node=text, id=text, address=text, meta=meta)
    status = cluster(bad, observers=(bad,))
    leader = replace(
        status.leader, node_type=text, address=text, detail=text, session=text, why=text, by=text
    )
    return replace(
        status,
        leader=leader,
        consul=ConsulStatus(leader=text, version=text, agent=text, datacenter=text),
    )


def shown(renderable: object, width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=True, color_system=None).print(renderable)
    return out.getvalue()


@pytest.mark.parametrize("text", HOSTILE)
def test_json_is_plain_ascii_and_tells_all(text: str) -> None:
    encoded = to_json(hostile_cluster(text))
    assert encoded.isascii()
    assert all(char.isprintable() or char == "\n" for char in encoded)
    (item,) = json.loads(encoded)["candidates"]["items"]
    assert len(item["version"]) <= MAX_TEXT
    assert item["version"].rstrip("…") == text[: len(item["version"].rstrip("…"))]


@pytest.mark.parametrize("width", [20, 40, 79, 80, 200])
@pytest.mark.parametrize("text", HOSTILE)
def test_text_controls_no_terminal_and_stays_in_its_columns(text: str, width: int) -> None:
    status = hostile_cluster(text)
    for renderable in (
        render_status(status, width=width),
        render_node(node_status(status, status.candidates.items[0].node)),
        render_node(node_status(status, text + "?")),
    ):
        lines = shown(renderable, width).split("\n")
        assert all(char.isprintable() for line in lines for char in line)
        assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize("text", ["[bold red]core[/]", "[/]"])
def test_markup_is_shown_as_it_stands(text: str) -> None:
    assert text in shown(render_status(hostile_cluster(text), width=400), 400)


@given(st.text(max_size=100))
def test_plain_is_printable_and_short(text: str) -> None:
    made = plain(text)
    assert made.isprintable()
    assert len(made) <= 64


@pytest.mark.parametrize("text", ["core-1", "ядро-1", "コア", "a b", "naïve"])
def test_plain_leaves_honest_names_alone(text: str) -> None:
    assert plain(text) == text


def conditions() -> Mapping[str, LeaderStatus]:
    return {
        "held": read(entry(held(), session="s")),
        "vacant": read(entry(vacant())),
        "missing": read(None),
        "unreadable": read(entry(b"?")),
        "unreadable, locked": read(entry(b"?", session="s")),
        "denied": leader_status(KeyRead(False), TERM_7),
    }


def test_each_condition_and_each_lack_of_sight_reads_differently() -> None:
    texts = [shown(render_status(cluster(leader=leader)), 100) for leader in conditions().values()]
    texts += [shown(render_status(cluster(seen=seen)), 100) for seen in Seen]
    assert len(set(texts)) == len(texts) - 1  # held, with known lists, is there twice


def test_dates_that_nobody_could_mean_are_shown_all_the_same() -> None:
    value = json.dumps({"v": 1, "state": "held", "node": "n", "since": "0001-01-01T00:00:00+14:00"})
    leader = read(entry(value.encode(), session="s"))
    assert shown(render_status(cluster(leader=leader)), 100)
    assert to_json(cluster(leader=leader))


def test_same_as_looks_past_the_time_of_reading() -> None:
    one = cluster(instance())
    assert one.same_as(replace(one, at_ms=99, age_ms=5))
    assert not one.same_as(cluster(instance(note="waiting")))
    assert not one.same_as(None)
