"""Which rows people see: one for each process, at most one leader, nothing needed folded."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console, RenderableType
from rich.text import Text
from snapshots import NOW_MS, asking, drain, pause

from coord.cli.printing import lines_of
from coord.cli.screen import Shower
from coord.clock import SystemClock
from coord.consul import CheckStatus, ConsulUnavailable, HealthCheck, ServiceInstance
from coord.election.reasons import Cause, WhyNot
from coord.members import GONE, Role, leader_instances, members
from coord.records.health import ClusterHealthRecord
from coord.status import (
    ClusterStatus,
    Condition,
    ConsulStatus,
    ControlStatus,
    HealthStatus,
    LeaderStatus,
    Listing,
    Seen,
    TermCondition,
    TermStatus,
    Unavailable,
    node_status,
    to_dict,
)
from coord.status.reasons import CAUSES
from coord.status.rows import fold, in_the_light_of, leading_member, namesakes
from coord.status.tables import Column, fitting
from coord.status.text import health_words, render_node, render_status, why_vacant
from coord.status.words import ago, duration

HELD = LeaderStatus(
    condition=Condition.HELD, locked=True, node="core-1", address="127.0.0.1:8701", term=7
)


def instance(
    node: str,
    port: int,
    *,
    boot: str = "",
    status: CheckStatus = CheckStatus.PASSING,
    state: str = "standby",
    **meta: str,
) -> ServiceInstance:
    boot = boot or f"boot{port}"
    id_ = f"s-{node}-{boot}"
    said = {
        "node": node,
        "node_type": "core",
        "eligible": "true",
        "boot_id": boot,
        "state": state,
        "api": f"127.0.0.1:{port}",
    }
    check = HealthCheck("host", id_, "own", status, "", service_id=id_)
    return ServiceInstance("host", "127.0.0.1", id_, "s", "", port, (), said | meta, (check,))


def cluster(
    *candidates: ServiceInstance,
    observers: tuple[ServiceInstance, ...] = (),
    pollers: tuple[ServiceInstance, ...] = (),
    leaders: tuple[ServiceInstance, ...] = (),
    leader: LeaderStatus = HELD,
    at_ms: int = 0,
) -> ClusterStatus:
    return ClusterStatus(
        election="x",
        at_ms=at_ms,
        leader=leader,
        term=TermStatus(condition=TermCondition.KNOWN, value=7),
        candidates=members(Role.CANDIDATE, Listing(Seen.KNOWN, candidates), "x"),
        observers=members(Role.OBSERVER, Listing(Seen.KNOWN, observers), "x"),
        pollers=members(Role.POLLER, Listing(Seen.KNOWN, pollers), "x"),
        leader_service=leader_instances(Listing(Seen.KNOWN, leaders)),
        consul=ConsulStatus(leader="10.0.0.1:8300", version="1.8.7"),
        health=HealthStatus(Seen.KNOWN),
    )


def lines(content: RenderableType, width: int = 120) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    return [line.plain for line in lines_of(console, content)]


def row(status: ClusterStatus, text: str, width: int = 120) -> list[str]:
    """The lines of the picture that hold `text`."""
    return [line for line in lines(render_status(status, width=width), width) if text in line]


DEAD = CheckStatus.CRITICAL
TWO = (instance("core-1", 8701, state="leading"), instance("core-1", 8702))


# --- two nodes of one name ---


@pytest.mark.parametrize("order", [TWO, TWO[::-1]])
def test_of_two_nodes_of_one_name_the_one_at_the_leaders_address_leads(
    order: tuple[ServiceInstance, ...],
) -> None:
    status = cluster(*order)
    leading = leading_member(status.candidates.items, status.leader)
    assert leading is not None
    assert leading.address == "127.0.0.1:8701"
    (first,), (second,) = (row(status, f":{port}  ") for port in (8701, 8702))
    assert "leading" in first
    assert "leading" not in second


def test_a_namesake_does_not_lead_for_a_leader_that_is_not_seen() -> None:
    status = cluster(TWO[1])
    assert leading_member(status.candidates.items, status.leader) is None
    view = node_status(status, "core-1")
    assert (view.leads, view.held_by, view.leader_address) == (False, "core-1", "127.0.0.1:8701")
    assert any("8701" in line for line in lines(render_node(view)))


def test_without_an_address_in_the_record_the_name_decides_for_one_alone() -> None:
    status = cluster(*TWO[::-1], leader=replace(HELD, address=""))
    leading = leading_member(status.candidates.items, status.leader)
    assert leading is not None
    assert leading.state == "leading"


def test_a_leader_whose_candidate_is_not_to_be_seen_still_leads() -> None:
    assert node_status(cluster(), "core-1").leads


@pytest.mark.parametrize("told", ["leading", "suspended", "waiting", "acquiring"])
def test_who_does_not_lead_is_not_shown_as_what_only_a_leader_or_a_vacancy_makes_it(
    told: str,
) -> None:
    """It tells of itself only after some seconds; the key knows at once."""
    stale = instance("core-2", 8702, state=told, why_not="lock_delay", until_ms="5")
    cooling = instance("core-3", 8703, state="cooling", why_not="cooling_down")
    leading = instance("core-1", 8701, state="waiting")
    found = members(Role.CANDIDATE, Listing(Seen.KNOWN, (leading, stale, cooling)), "x")
    seen = in_the_light_of(HELD, found, ControlStatus(Seen.KNOWN), NOW_MS)
    assert [(m.node, m.state, m.why_not) for m in seen.items] == [
        ("core-1", "waiting", ""),
        ("core-2", "standby", "held_by_other"),
        ("core-3", "cooling", "cooling_down"),
    ]
    assert seen.items[1].until_ms is None
    vacant = replace(HELD, condition=Condition.VACANT, locked=False)
    assert in_the_light_of(vacant, found, ControlStatus(Seen.KNOWN), NOW_MS) == found


@pytest.mark.parametrize(
    ("controls", "handed_over", "why"),
    [
        (ControlStatus(Seen.KNOWN), False, WhyNot.LOCK_DELAY),
        (ControlStatus(Seen.KNOWN), True, WhyNot.WAITING_TURN),
        (asking(pause=pause()), False, WhyNot.PAUSED),
        (asking(pause=pause(for_s=1)), False, WhyNot.LOCK_DELAY),
        (asking(drained={"core-2": drain()}), False, WhyNot.DRAINED),
    ],
)
def test_nobody_waits_for_a_vacancy_while_nobody_leads(
    controls: ControlStatus, handed_over: bool, why: WhyNot
) -> None:
    """It tells of the vacancy only after some seconds; the key knows at once."""
    told = instance("core-2", 8702, state="standby", why_not="held_by_other", since_ms="5")
    cooling = instance("core-3", 8703, state="cooling", why_not="cooling_down")
    found = members(Role.CANDIDATE, Listing(Seen.KNOWN, (told, cooling)), "x")
    vacant = replace(HELD, condition=Condition.VACANT, locked=False, handed_over=handed_over)
    first, second = in_the_light_of(vacant, found, controls, NOW_MS).items
    assert (first.state, first.reason, first.since_ms) == ("waiting", why, None)
    assert second == found.items[1]
    unseen = replace(vacant, condition=Condition.NOT_PERMITTED)
    assert in_the_light_of(unseen, found, controls, NOW_MS) == found


def test_a_node_can_be_asked_for_by_its_address() -> None:
    status = cluster(*TWO)
    leads = {port: node_status(status, f"127.0.0.1:{port}").leads for port in (8701, 8702)}
    assert leads == {8701: True, 8702: False}
    assert not node_status(status, "127.0.0.1:8703").found
    assert node_status(status, "core-1").leads


def test_a_leader_that_has_no_work_is_not_said_to_have_some() -> None:
    shown = lines(render_node(node_status(cluster(instance("core-1", 8701)), "core-1")))
    assert [line.split(maxsplit=1)[1] for line in shown if line.startswith("Work")] == ["no work"]
    assert not any("its work" in line for line in shown)


def test_namesakes_are_told_with_their_addresses() -> None:
    status = cluster(*TWO, instance("core-2", 8703))
    assert namesakes(status) == {"core-1": ("127.0.0.1:8701", "127.0.0.1:8702")}
    assert to_dict(status)["namesakes"] == {"core-1": ["127.0.0.1:8701", "127.0.0.1:8702"]}
    assert json.dumps(to_dict(status))
    assert any("core-1 (127.0.0.1:8702)" in line for line in row(status, "!"))
    view = lines(render_node(node_status(status, "core-1")))
    assert any("core-1 (127.0.0.1:8702)" in line for line in view)


@pytest.mark.parametrize(
    "other",
    [
        instance("core-1", 8701, boot="before"),
        instance("core-1", 8702, status=DEAD),
        instance("core-2", 8702),
    ],
)
def test_a_restart_or_a_dead_instance_is_no_namesake(other: ServiceInstance) -> None:
    assert namesakes(cluster(TWO[0], other)) == {}


# --- dead instances ---


def test_a_critical_instance_is_gone_whatever_it_last_told() -> None:
    for state in ("standby", "waiting", "leading", "suspended"):
        status = cluster(instance("core-2", 8702, status=DEAD, state=state))
        assert node_status(status, "core-2").state == GONE
        assert GONE in row(status, "core-2")[0]


def test_earlier_instances_are_folded_into_the_living_one() -> None:
    status = cluster(
        instance("core-2", 8702, boot="a", status=DEAD),
        instance("core-2", 8702, boot="b", status=DEAD),
        instance("core-2", 8702, boot="c"),
    )
    folded = fold(status.candidates.items)
    assert [process.main.boot_id for process in folded.shown] == ["c"]
    assert folded.earlier == {"core-2": 2}
    assert len(row(status, "127.0.0.1:8702")) == 1
    assert len(row(status, "2 earlier instances")) == 1
    assert len(node_status(status, "core-2").instances) == 3


def test_a_node_that_is_gone_altogether_keeps_one_row() -> None:
    folded = fold(cluster(*(instance("a", 1, boot=b, status=DEAD) for b in "xyz")).candidates.items)
    assert (len(folded.shown), folded.earlier) == (1, {"a": 2})


def test_critical_rows_of_the_leaders_service_are_counted_not_shown() -> None:
    old = (
        instance("old-1", 8705, status=DEAD, term="5"),
        instance("old-2", 8706, status=DEAD, term="6"),
    )
    status = cluster(leaders=(*old, instance("core-1", 8701, term="7")))
    assert row(status, "old-") == []
    assert len(row(status, "2 more, critical")) == 1
    assert len(to_dict(status)["leader_service"]["items"]) == 3
    assert len(row(cluster(leaders=old), "none passes")) == 1


# --- narrow terminals ---


def fleet() -> ClusterStatus:
    pollers = [(f"poller-{n}", 8710 + n) for n in (1, 2)]
    return cluster(
        *(instance(f"core-{n}", 8700 + n, why_not="held_by_other") for n in range(1, 4)),
        observers=tuple(instance(*p, state="observer", eligible="false") for p in pollers),
        pollers=tuple(instance(*p, state="takes") for p in pollers),
        leaders=(instance("core-1", 8701, term="7"),),
    )


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_nothing_is_folded_and_no_line_ends_in_blanks(width: int) -> None:
    shown = lines(render_status(fleet(), width=width), width)
    assert all(line == line.rstrip() and len(line) <= width for line in shown)
    for port in (8702, 8703, 8711, 8712):
        assert len([line for line in shown if f"127.0.0.1:{port}" in line]) == 1
    assert any("Boot" in line for line in shown) is (width >= 100)
    for word in ("held_by_other", "standby") if width >= 80 else ("standby",):
        assert any(word in line for line in shown)


def test_who_observes_and_polls_has_one_row() -> None:
    (found,) = row(fleet(), "poller-1")
    assert "observer, poller" in found


def test_the_least_missed_columns_go_first() -> None:
    cells = (Text("x" * 10),)
    columns = [Column("a", cells), Column("b", cells, missed=2), Column("c", cells, missed=1)]
    kept = {width: [c.title for c in fitting(columns, width)] for width in (34, 33, 22, 21, 1)}
    assert kept == {34: ["a", "b", "c"], 33: ["a", "b"], 22: ["a", "b"], 21: ["a"], 1: ["a"]}


@pytest.mark.parametrize(("height", "shown", "left"), [(5, 5, 6), (10, 10, None), (1, 1, 10)])
def test_a_picture_is_cut_to_the_height_and_says_how_much_is_left(
    height: int, shown: int, left: int | None
) -> None:
    console = Console(file=io.StringIO(), width=80)
    made = lines_of(console, "\n".join(str(n) for n in range(10)), height)
    assert len(made) == shown
    assert made[-1].plain == ("9" if left is None else f"{left} lines more")


# --- vacancies ---

VACANT = LeaderStatus(
    condition=Condition.VACANT,
    node="core-1",
    since=datetime.fromtimestamp(1000, tz=UTC),
    why="draining",
    by="core-9",
    handed_over=True,
    successors=("core-2", "web-1"),
)


def test_a_vacancy_says_how_long_why_by_whom_and_who_is_next() -> None:
    text = "\n".join(lines(render_status(cluster(leader=VACANT, at_ms=1_075_000))))
    for said in ("1 min 15 s", "draining", "core-9", "core-2, web-1", "handed over"):
        assert said in text


@pytest.mark.parametrize(
    ("why", "by", "part"),
    [
        (Cause.DELETED, "core-9", "core-9 made the key"),
        (Cause.FIRST_START, "core-9", "core-9 made the key"),
        (Cause.STEPPED_DOWN, "ann@desk", "ann@desk asked for it"),
        (Cause.HANDED_OVER, "core-1", ""),
        (Cause.HANDED_OVER, "", ""),
    ],
)
def test_a_vacancy_says_what_its_word_means_and_who_had_which_part(
    why: Cause, by: str, part: str
) -> None:
    text = why_vacant(replace(VACANT, why=why.value, by=by)).plain
    assert text == f"{why}: {CAUSES[why]}" + (f"; {part}" if part else "")


def test_a_leader_that_vanished_is_not_said_to_be_away_since_it_began() -> None:
    gone = replace(VACANT, why="", by="", handed_over=False, vanished=True)
    text = "\n".join(lines(render_status(cluster(leader=gone, at_ms=1_075_000))))
    assert "1 min" not in text
    assert "vanished" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3700, "1 h 1 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
    assert ago(seconds) == ("just now" if seconds < 1 else f"{words} ago")


# --- watching ---


class HandClock(SystemClock):
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now(self) -> float:
        return self.seconds


def test_old_data_says_its_age_and_that_it_is_old() -> None:
    clock = HandClock()
    out = io.StringIO()
    console = Console(file=out, width=80, height=60, force_terminal=True, color_system=None)
    with Shower(None, clock, console=console) as shower:
        shower.show(replace(fleet(), age_ms=2000))
        assert "2 s ago" in "\n".join(lines(shower.picture()))
        clock.seconds += 30
        assert "32 s ago" in "\n".join(lines(shower.picture()))
        shower.show(Unavailable(ConsulUnavailable("GET /v1/x", "refused")))
        clock.seconds += 30
        shown = lines(shower.picture())
        assert "CONSUL_HTTP_ADDR" in shown[0]
        assert any("OLD" in line and "1 min 2 s ago" in line for line in shown)
        for title in ("Leader ", "Candidates", "Observers and pollers", "Service"):
            assert all("(old)" in line for line in shown if line.startswith(title))
        assert not any("just now" in line for line in shown)
        shower.show(fleet())
        fresh = "\n".join(lines(shower.picture()))
        assert "old" not in fresh.lower()
        assert "just now" in fresh


def test_piped_only_changes_are_printed() -> None:
    out = io.StringIO()
    with Shower(None, HandClock(), console=Console(file=out, width=120)) as shower:
        shower.show(fleet())
        once = out.getvalue()
        shower.show(replace(fleet(), age_ms=7, at_ms=9))
        assert out.getvalue() == once
        shower.show(cluster())
        assert len(out.getvalue()) > len(once)


def test_a_leaderless_consuls_snapshot_is_marked_old_too() -> None:
    assert any("(old)" in line for line in lines(render_status(replace(fleet(), stale=True))))


@pytest.mark.parametrize(
    ("found_by", "term", "leader", "current"),
    [
        ("core-1", 7, HELD, True),
        ("core-1", 0, HELD, True),
        ("core-1", 6, HELD, False),
        ("core-9", 7, HELD, False),
        ("core-1", 7, replace(HELD, locked=False, condition=Condition.VACANT), False),
    ],
)
def test_what_a_leader_that_is_gone_found_is_not_so_now(
    found_by: str, term: int, leader: LeaderStatus, current: bool
) -> None:
    record = ClusterHealthRecord(verdict="healthy", leader=found_by, term=term)
    status = replace(cluster(leader=leader), health=HealthStatus(Seen.KNOWN, record))
    assert status.health_is_current is current
    assert to_dict(status)["health_is_current"] is current
    said = health_words(status).plain
    assert said.startswith("healthy" if current else "not known now")
    assert (found_by in said) is not current
