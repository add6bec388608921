"""What operators ask, and why a node does not lead: how it is understood and shown."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from snapshots import (
    HELD,
    NOW_MS,
    asking,
    candidate,
    drain,
    lines,
    moment,
    pause,
    request,
    snapshot,
)

from coord.consul import CheckStatus
from coord.election.reasons import Cause, LostReason, WhyNot
from coord.election.states import State
from coord.members import Seen
from coord.status import node_status, to_dict, to_json
from coord.status.asked import MOST, asked
from coord.status.model import ClusterStatus, Condition, ControlStatus, LeaderStatus
from coord.status.reasons import CAUSES, LOST, STATES, UNKNOWN_REASON, WHY_NOT
from coord.status.text import render_node, render_status
from coord.status.words import at, exactly, ms_of, pause_left_ms

EVIL = "\x1b[2J\u202e[bold]x[/]\r\n" + "e" * 90


def seen(status: ClusterStatus, width: int = 200) -> list[str]:
    return lines(render_status(status, width=width), width)


# --- what is asked ---


def test_a_pause_says_who_why_and_how_long() -> None:
    status = snapshot(controls=asking(pause=pause(for_s=1800, asked_s=60)))
    (line,) = [line for line in seen(status) if "PAUSED" in line]
    assert "alice" in line
    assert "a test" in line
    assert "29 min" in line
    data = to_dict(status)
    assert (data["paused"], data["pause_left_ms"]) == (True, 29 * 60_000)
    assert data["controls"]["asked"]["pause"]["actor"] == "alice"


def test_a_pause_that_was_to_be_over_has_nothing_left() -> None:
    old = pause(for_s=10, asked_s=60)
    assert pause_left_ms(old, NOW_MS) == -50_000
    young = pause(for_s=100, asked_s=60)
    status = snapshot(controls=asking(pause=old))
    assert seen(status) != seen(snapshot(controls=asking(pause=young)))


def test_the_age_of_the_snapshot_counts() -> None:
    status = replace(snapshot(controls=asking(pause=pause(for_s=1800, asked_s=0))), age_ms=600_000)
    (line,) = [line for line in seen(status) if "PAUSED" in line]
    assert "20 min" in line


def test_drained_nodes_are_named_with_who_and_why() -> None:
    status = snapshot(controls=asking(drained={"core-3": drain(), "core-2": drain(actor="eve")}))
    found = [line for line in seen(status) if "DRAINED" in line]
    assert [("core-2" in line, "eve" in line) for line in found] == [(True, True), (False, False)]
    assert "bob" in found[1]
    assert "disk" in found[1]
    assert to_dict(status)["drained"] == ["core-2", "core-3"]


def test_of_very_many_drained_nodes_some_are_named_and_the_rest_counted() -> None:
    many = {f"n{i}": drain() for i in range(500)}
    found = [line for line in seen(snapshot(controls=asking(drained=many))) if "DRAINED" in line]
    assert len(found) == MOST + 1
    assert str(500 - MOST) in found[-1]


VACANT = replace(HELD, condition=Condition.VACANT, locked=False)


@pytest.mark.parametrize(
    ("term", "leader", "age_s", "begins", "ends"),
    [
        (7, HELD, 0, "! REQUEST by carol 5 s ago", "not answered yet"),
        (7, HELD, 300, "! REQUEST by carol 5 min 5 s ago", "not answered yet"),
        (7, VACANT, 0, "○ request by carol 5 s ago", "that one leads no longer"),
        (6, HELD, 0, "○ request by carol 5 s ago", "that one leads no longer"),
        (6, HELD, 60, "! REQUEST left behind by carol 1 min 5 s ago", "nobody answers"),
        (7, VACANT, 60, "! REQUEST left behind by carol", "nobody answers"),
    ],
)
def test_a_request_that_did_what_it_was_for_is_no_fault_until_it_is_left_behind(
    term: int, leader: LeaderStatus, age_s: int, begins: str, ends: str
) -> None:
    """Who asked takes it away once another leads: until then it stands though its term is over."""
    status = snapshot(leader=leader, controls=asking(request=request(term=term)))
    (text,) = asked(replace(status, age_ms=age_s * 1000))
    assert text.plain.startswith(begins)
    assert f"for the leader of term {term} to hand over to core-2: deploy; " in text.plain
    assert text.plain.endswith(ends)
    assert (text.style == "dim") == begins.startswith("○")


def test_a_request_is_shown_with_the_leader_that_it_is_for_and_nobody_else() -> None:
    status = snapshot(
        candidate("core-1", state="leading", why_not=""),
        candidate("core-2"),
        controls=asking(request=request(term=7)),
    )
    assert node_status(status, "core-1").request == status.controls.asked.request
    assert any("carol" in line for line in lines(render_node(node_status(status, "core-1"))))
    assert node_status(status, "core-2").request is None


def test_what_cannot_be_read_is_said() -> None:
    status = snapshot(controls=asking(unreadable={"service/x/control/pause": "not JSON"}))
    assert [line for line in seen(status) if "service/x/control/pause" in line]


def test_nothing_asked_and_nothing_to_be_seen_are_not_the_same() -> None:
    said = {each: tuple(seen(snapshot(controls=ControlStatus(each)))) for each in Seen}
    assert len(set(said.values())) == len(Seen)
    known = to_dict(snapshot(controls=ControlStatus(Seen.KNOWN)))
    denied = to_dict(snapshot(controls=ControlStatus(Seen.NOT_PERMITTED)))
    assert (known["paused"], known["drained"]) == (False, [])
    assert (denied["paused"], denied["drained"]) == (None, None)
    assert denied["controls"]["seen"] == "not_permitted"


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_hostile_wishes_control_no_terminal_and_stay_in_their_columns(width: int) -> None:
    reason = EVIL * 4
    controls = asking(
        pause=pause(actor=EVIL, reason=reason),
        drained={"core-1": drain(actor=EVIL, reason=reason)},
        request=request(actor=EVIL, reason=reason),
        unreadable={EVIL: EVIL},
    )
    status = snapshot(candidate("core-1"), candidate("core-2"), controls=controls)
    pictures = [
        seen(status, width),
        *(lines(render_node(node_status(status, f"core-{n}")), width) for n in (1, 2)),
    ]
    for picture in pictures:
        assert all(char.isprintable() for line in picture for char in line)
        assert all(len(line) <= width for line in picture)
    assert to_json(status).isascii()
    assert to_json(node_status(status, "core-1")).isascii()


def test_dates_that_nobody_could_mean_break_nothing() -> None:
    """The oddest that a record may have; others are refused as it is read."""
    for text in ("1970-01-01T14:00:00+14:00", "9000-12-31T09:00:00-14:00", "1970-01-01T00:00:00"):
        odd = pause().model_validate(pause().model_dump() | {"at": text})
        assert seen(snapshot(controls=asking(pause=odd)))
        assert isinstance(ms_of(odd.at), int)
    assert exactly(10**18)
    assert at(2**53) == f"{2**53} ms"
    assert at(0) == "1970-01-01 00:00:00 UTC"


# --- why not ---


def test_every_word_has_its_meaning() -> None:
    assert WHY_NOT.keys() == set(WhyNot)
    assert STATES.keys() == set(State)
    assert CAUSES.keys() == set(Cause)
    assert LOST.keys() == set(LostReason)
    assert all(each.meaning and each.waits_for and each.advice for each in WHY_NOT.values())


@pytest.mark.parametrize("why", list(WhyNot))
def test_each_reason_is_explained_with_what_it_waits_for(why: WhyNot) -> None:
    status = snapshot(
        candidate("core-2", why_not=why.value, since_ms=str(NOW_MS - 90_000)), leader=HELD
    )
    view = node_status(status, "core-2")
    assert view.why is not None
    assert view.why.meaning == WHY_NOT[why].meaning
    assert view.since_ms == (None if why is WhyNot.CHECK_CRITICAL else NOW_MS - 90_000)
    told = to_dict(view)
    assert told["why_not"] == why.value
    assert told["why"]["waits_for"] == WHY_NOT[why].waits_for


def test_advice_names_the_node() -> None:
    view = node_status(snapshot(candidate("core-2", why_not="drained")), "core-2")
    assert view.why is not None
    assert "core-2" in view.why.advice


def test_a_word_of_a_newer_version_is_shown_and_said_to_be_unknown() -> None:
    view = node_status(snapshot(candidate("core-2", why_not="moon_phase")), "core-2")
    assert (view.why_not, view.told) == (None, "moon_phase")
    assert view.why == replace(UNKNOWN_REASON)
    assert any("moon_phase" in line for line in lines(render_node(view)))


@pytest.mark.parametrize(
    ("why", "until_ms", "left_ms"),
    [
        ("cooling_down", NOW_MS + 4_000, 4_000),
        ("cooling_down", NOW_MS - 1, None),
        ("lock_delay", NOW_MS + 2_500, 2_500),
        ("held_by_other", NOW_MS + 4_000, None),
        ("no_session", NOW_MS + 4_000, None),
    ],
)
def test_the_time_left_is_of_what_time_ends(why: str, until_ms: int, left_ms: int | None) -> None:
    status = snapshot(candidate("core-2", why_not=why, until_ms=str(until_ms)))
    view = node_status(status, "core-2")
    assert view.left_ms == left_ms
    assert to_dict(view)["left_ms"] == left_ms
    assert (to_dict(node_status(replace(status, age_ms=2_000), "core-2"))["left_ms"]) == (
        None if left_ms is None else left_ms - 2_000
    )


def test_of_a_pause_the_record_says_how_long() -> None:
    controls = asking(pause=pause(for_s=1800, asked_s=60))
    instance = candidate("core-2", why_not="paused", until_ms=str(NOW_MS + 5))
    view = node_status(snapshot(instance, controls=controls), "core-2")
    assert (view.left_ms, view.pause) == (29 * 60_000, controls.asked.pause)


def test_a_drained_node_says_by_whom_and_one_that_leads_too() -> None:
    drained = {"core-1": drain(actor="eve"), "core-2": drain()}
    status = snapshot(
        candidate("core-1", state="leading", why_not=""),
        candidate("core-2", why_not="drained"),
        controls=asking(drained=drained),
    )
    for node, actor in (("core-1", "eve"), ("core-2", "bob")):
        view = node_status(status, node)
        assert view.drain == drained[node]
        assert any(actor in line for line in lines(render_node(view)))
    assert node_status(status, "core-1").why is None


@pytest.mark.parametrize("text", ["", "-5", "soon", "9" * 25, "1.5", "\x1b[2J"])
def test_moments_that_make_no_sense_are_none(text: str) -> None:
    view = node_status(
        snapshot(candidate("core-2", why_not="lock_delay", since_ms=text, until_ms=text)), "core-2"
    )
    assert (view.since_ms, view.until_ms, view.left_ms) == (None, None, None)


def test_a_leader_says_since_when_its_term_its_lease_its_work_and_who_is_next() -> None:
    leader = replace(
        HELD, since=moment(3600), successors=("core-2", "core-3"), fenced_within_ms=2500
    )
    instance = candidate(
        "core-1", state="leading", why_not="", lease_ms="2000", workloads="polls,health"
    )
    view = node_status(snapshot(instance, leader=leader), "core-1")
    assert (view.leads, view.since_ms) == (True, NOW_MS - 3_600_000)
    assert view.leadership == leader
    shown = "\n".join(lines(render_node(view)))
    for word in ("7", "1 h", "core-2, core-3", "2.0 s", "2.5 s", "polls, health"):
        assert word in shown
    data = to_dict(view)
    assert (data["leadership"]["term"], data["main"]["timing_ms"]) == (7, {"lease": 2000})


def test_the_row_of_a_node_says_since_when_and_how_long_it_waits() -> None:
    status = snapshot(
        candidate(
            "core-2",
            why_not="cooling_down",
            since_ms=str(NOW_MS - 6_000),
            until_ms=str(NOW_MS + 4_000),
        )
    )
    (row,) = [line for line in seen(status) if "core-2" in line]
    assert "6 s" in row
    assert "4 s" in row


def test_two_readings_of_a_node_that_waits_say_the_same() -> None:
    status = snapshot(candidate("core-2", why_not="lock_delay", until_ms=str(NOW_MS + 4_000)))
    later = replace(status, at_ms=NOW_MS + 3_000)
    assert node_status(status, "core-2") == node_status(later, "core-2")
    assert json.loads(to_json(node_status(later, "core-2")))["left_ms"] == 1_000


def test_a_failing_check_is_told_without_a_since() -> None:
    dead = candidate("core-2", status=CheckStatus.CRITICAL, since_ms=str(NOW_MS - 1))
    view = node_status(snapshot(dead), "core-2")
    assert (view.why_not, view.since_ms) == (WhyNot.CHECK_CRITICAL, None)
