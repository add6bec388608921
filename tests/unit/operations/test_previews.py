"""What a preview tells: who follows, what it costs, what could go wrong, why it is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from operations_bench import (
    HELD,
    SESSION,
    TERM,
    TIMING,
    VACANT,
    ask,
    candidate,
    cluster,
    controls,
    leader_candidate,
    paused,
    planned,
    refused,
    requested,
)

from coord.consul import CheckStatus
from coord.controls import Controls
from coord.election.timing import Timing
from coord.members import Seen
from coord.operations import (
    Ask,
    Operation,
    PhaseName,
    Preview,
    RefusalCode,
    Refused,
    Source,
    WarningCode,
    preview,
    to_dict,
)
from coord.operations.preview import control_key
from coord.operations.text import preview_rows
from coord.records import Paths, RequestKind
from coord.status.model import Condition, LeaderStatus, Oddity

STEP_DOWN, TRANSFER, FORCE = Operation.STEP_DOWN, Operation.TRANSFER, Operation.FORCE_RELEASE
PAUSE, RESUME, DRAIN, UNDRAIN = (
    Operation.PAUSE,
    Operation.RESUME,
    Operation.DRAIN,
    Operation.UNDRAIN,
)


def warnings(plan: Preview, *, serious: bool | None = None) -> set[WarningCode]:
    return {c.code for c in plan.cautions if serious is None or c.serious is serious}


# -- what is asked ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"operation": TRANSFER},
        {"operation": DRAIN, "node": "../leader"},
        {"operation": STEP_DOWN, "node": "core-2"},
        {"operation": STEP_DOWN, "reason": "  "},
        {"operation": STEP_DOWN, "reason": "x" * 501},
        {"operation": STEP_DOWN, "reason": "two\nlines"},
        {"operation": STEP_DOWN, "reason": "half a \udce9 character"},
        {"operation": STEP_DOWN, "actor": ""},
        {"operation": STEP_DOWN, "actor": "\x1b[2J"},
        {"operation": STEP_DOWN, "request_id": "no"},
        {"operation": STEP_DOWN, "expected_term": -1},
        {"operation": PAUSE, "for_s": 0.0},
        {"operation": PAUSE, "for_s": 86_401.0},
    ],
)
def test_what_makes_no_sense_cannot_be_asked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Ask(**({"actor": "a", "reason": "r"} | wrong))


def test_every_ask_has_an_id_of_its_own() -> None:
    made = {Ask(operation=RESUME, actor="a", reason="r").request_id for _ in range(20)}
    assert len(made) == 20


# -- who leads and what is interrupted -------------------------------------------------------


def test_who_leads_and_what_is_interrupted() -> None:
    plan = planned(STEP_DOWN, polls=4)
    assert plan.leader is not None
    assert (plan.leader.node, plan.leader.term, plan.leader.since) == ("core-1", TERM, HELD.since)
    assert plan.interrupts
    assert plan.workloads == ("cluster-health", "poll-orchestrator")
    assert plan.polls_running == 4
    assert WarningCode.POLLS_REPEATED in warnings(plan)


def test_a_leader_without_work_and_one_that_is_not_seen_are_told_apart() -> None:
    idle = planned(STEP_DOWN, status=cluster(leader_candidate(workloads=""), candidate("core-2")))
    assert idle.workloads == ()
    assert ("Interrupts", "no work") in preview_rows(idle)
    unseen = planned(STEP_DOWN, status=cluster(candidate("core-2")))
    assert unseen.workloads is None
    assert ("Interrupts", "its work") in preview_rows(unseen)


def test_what_it_is_decided_on() -> None:
    said = controls(request=requested(term=TERM - 1))
    basis = planned(STEP_DOWN, said=said).basis
    assert (basis.term, basis.session, basis.term_index) == (TERM, SESSION, 60)
    assert (basis.leader_index, basis.control_index) == (70, 6)
    assert planned(STEP_DOWN).basis.control_index == 0


@pytest.mark.parametrize("operation", [PAUSE, RESUME, DRAIN, UNDRAIN])
def test_what_concerns_no_leader_interrupts_nothing(operation: Operation) -> None:
    node = "core-2" if operation.needs_node else ""
    said = controls(
        pause=paused() if operation is RESUME else None,
        drained=("core-2",) if operation is UNDRAIN else (),
    )
    plan = planned(operation, node, said=said, polls=4)
    assert not plan.interrupts
    assert (plan.workloads, plan.polls_running, plan.gap) == ((), None, None)


def test_draining_the_leader_interrupts() -> None:
    plan = planned(DRAIN, "core-1")
    assert plan.interrupts
    assert plan.gap is not None
    assert plan.successor is not None
    assert plan.successor.node == "core-2"


def test_a_leader_that_nobody_could_follow_is_drained_and_leads_on() -> None:
    for status, said in (
        (cluster(leader_candidate()), Controls()),
        (cluster(), controls(drained=("core-2", "core-3"))),
        (cluster(leader_candidate(), candidate("core-2", status=CheckStatus.CRITICAL)), Controls()),
    ):
        plan = planned(DRAIN, "core-1", status=status, said=said)
        assert not plan.interrupts
        assert plan.gap is None


ALL_DRAINED = controls(drained=("core-1", "core-2", "core-3"))


def test_a_drained_leader_makes_way_for_who_is_undrained() -> None:
    status = cluster(leader_candidate(), candidate("core-2", priority="900"), candidate("core-3"))
    plan = planned(UNDRAIN, "core-3", status=status, said=ALL_DRAINED, polls=4)
    assert plan.interrupts
    assert (plan.workloads, plan.polls_running) == (("cluster-health", "poll-orchestrator"), 4)
    assert plan.gap is not None
    assert plan.successor is not None
    assert plan.successor.node == "core-3"
    assert {s.node: s.why_not for s in plan.successors} == {"core-3": "", "core-2": "drained"}
    assert WarningCode.POLLS_REPEATED in warnings(plan)


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ("core-1", ALL_DRAINED),
        ("core-3", controls(drained=("core-2", "core-3"))),
        ("core-9", controls(drained=("core-1", "core-9"))),
    ],
)
def test_for_whom_no_leader_makes_way(node: str, said: Controls) -> None:
    """It is itself undrained; it is not drained; nobody of that name is there."""
    plan = planned(UNDRAIN, node, said=said)
    assert not plan.interrupts
    assert plan.gap is None


def test_where_nobody_can_be_seen_who_is_undrained_may_be_there() -> None:
    status = replace(cluster(), candidates=replace(ALONE.candidates, seen=Seen.UNKNOWN, items=()))
    assert planned(UNDRAIN, "core-3", status=status, said=ALL_DRAINED).interrupts


@pytest.mark.parametrize("seen", [Seen.UNKNOWN, Seen.NOT_PERMITTED, Seen.UNAVAILABLE])
def test_where_nobody_can_be_seen_somebody_may_follow(seen: Seen) -> None:
    status = replace(cluster(), candidates=replace(ALONE.candidates, seen=seen, items=()))
    plan = planned(DRAIN, "core-1", status=status)
    assert plan.interrupts
    assert plan.gap is not None
    assert WarningCode.MEMBERS_UNSEEN in warnings(plan, serious=True)


# -- who follows -----------------------------------------------------------------------------


def test_the_highest_priority_follows_then_the_name() -> None:
    found = (
        leader_candidate(priority="900"),
        candidate("core-4"),
        candidate("core-3"),
        candidate("core-2", priority="50"),
        candidate("web-1", priority="200"),
    )
    plan = planned(STEP_DOWN, status=cluster(*found))
    assert [s.node for s in plan.successors] == ["web-1", "core-3", "core-4", "core-2"]
    assert plan.successor == plan.successors[0]


def test_who_is_named_in_a_transfer_need_not_stay_back() -> None:
    status = cluster(leader_candidate(), candidate("core-2", why_not="cooling_down"))
    plan = planned(TRANSFER, node="core-2", status=status)
    assert plan.successor is not None
    assert (plan.successor.node, plan.successor.why_not) == ("core-2", "")


@pytest.mark.parametrize(
    ("other", "said", "why_not"),
    [
        (candidate("core-2", eligible="false"), Controls(), "not_eligible"),
        (candidate("core-2", status=CheckStatus.CRITICAL), Controls(), "check_critical"),
        (candidate("core-2", status=CheckStatus.WARNING), Controls(), "check_critical"),
        (candidate("core-2", why_not="cooling_down"), Controls(), "cooling_down"),
        (candidate("core-2", why_not="not_permitted"), Controls(), "not_permitted"),
        (candidate("core-2", why_not="no_session"), Controls(), "no_session"),
        (candidate("core-2", why_not="consul_unreachable"), Controls(), "consul_unreachable"),
        (candidate("core-2", why_not="no_consul_leader"), Controls(), "no_consul_leader"),
        (candidate("core-2"), controls(drained=("core-2",)), "drained"),
        (candidate("core-2"), controls(pause=paused()), "paused"),
        # What a node is registered with as it starts.
        (candidate("core-2", state="joining", why_not="consul_unreachable"), Controls(), ""),
        (candidate("core-2", state="joining", why_not="no_session"), Controls(), "no_session"),
        # Told before the controls were read: they say it better.
        (candidate("core-2", why_not="drained"), Controls(), ""),
        (candidate("core-2", why_not="paused"), Controls(), ""),
        (candidate("core-2", why_not="waiting_turn"), Controls(), ""),
        (candidate("core-2", why_not="lock_delay"), Controls(), ""),
        (candidate("core-2", why_not="a_newer_word"), Controls(), ""),
    ],
)
def test_why_a_candidate_cannot_follow(other: Any, said: Controls, why_not: str) -> None:
    status = cluster(leader_candidate(), other)
    (found,) = planned(STEP_DOWN, status=status, said=said).successors
    assert found.why_not == why_not
    code = refused(TRANSFER, "core-2", status=status, said=said)
    fit = why_not in ("", "cooling_down")  # who is named need not stay back
    assert code is (None if fit else RefusalCode.TARGET_CANNOT_LEAD)


def test_an_earlier_boot_does_not_count() -> None:
    gone = candidate("core-2", boot="b1", status=CheckStatus.CRITICAL)
    status = cluster(leader_candidate(), gone, candidate("core-2", boot="b2"))
    assert refused(TRANSFER, "core-2", status=status) is None


@pytest.mark.parametrize("leads", ["core-1", "core-3"])
def test_who_is_drained_does_not_follow(leads: str) -> None:
    leader = replace(HELD, node=leads)
    plan = planned(DRAIN, "core-3", status=cluster(leader=leader))
    others = ["core-2"] if leads == "core-1" else ["core-1", "core-2"]
    assert [s.node for s in plan.successors] == others
    assert plan.successor is not None
    assert plan.successor.node == others[0]


def test_who_is_named_follows_whatever_its_priority() -> None:
    found = (leader_candidate(), candidate("core-2", priority="900"), candidate("core-3"))
    plan = planned(TRANSFER, "core-3", status=cluster(*found))
    assert plan.successor is not None
    assert plan.successor.node == "core-3"


# -- what it costs ---------------------------------------------------------------------------


def test_a_hand_over_needs_no_quarantine() -> None:
    gap = planned(STEP_DOWN).gap
    assert gap is not None
    assert {p.name: p.ms for p in gap.phases}[PhaseName.QUARANTINE] == 0
    assert 0 < gap.expected_ms < 1000
    assert (gap.until_ms, gap.guessed) == (None, False)
    assert gap.stop_ms == TIMING.shutdown_timeout * 1000


def test_a_transfer_may_fall_back() -> None:
    gap = planned(TRANSFER, "core-3").gap
    assert gap is not None
    assert gap.until_ms is not None
    assert gap.until_ms > gap.expected_ms


QUARANTINES = [
    # Nothing out of the ordinary: lock_delay + takeover_delay of the successor.
    ({}, {}, HELD, 3000, Source.FLEET),
    # A slow leader is waited for, by what its record says: 1.11 times.
    ({}, {}, replace(HELD, fenced_within_ms=10_000), 11_100, Source.FLEET),
    # By its candidate's word, where the record has none.
    ({"fenced_within_ms": "9000"}, {}, replace(HELD, fenced_within_ms=None), 9990, Source.FLEET),
    # Consul keeps the lock for the lock-delay of the session that held it.
    ({"lock_delay_ms": "20000"}, {}, HELD, 20_000, Source.FLEET),
    # The successor's settings count, not the operator's.
    ({}, {"lock_delay_ms": "4000", "takeover_delay_ms": "3000"}, HELD, 7000, Source.FLEET),
]


@pytest.mark.parametrize(("leader", "other", "key", "quarantine_ms", "source"), QUARANTINES)
def test_what_is_forced_waits_by_the_fleets_settings(
    leader: dict[str, Any],
    other: dict[str, Any],
    key: LeaderStatus,
    quarantine_ms: int,
    source: Source,
) -> None:
    status = cluster(leader_candidate(**leader), candidate("core-2", **other), leader=key)
    own = Timing(lock_delay=50.0, takeover_delay=9.0)
    plan = planned(FORCE, status=status, timing=own)
    assert plan.gap is not None
    (found,) = [p for p in plan.gap.phases if p.name is PhaseName.QUARANTINE]
    assert (found.ms, found.source) == (quarantine_ms, source)
    assert plan.gap.stop_ms is None
    assert WarningCode.QUARANTINE in warnings(plan)


def test_where_nothing_is_told_the_own_settings_count_and_it_is_said() -> None:
    old = ("lock_delay_ms", "takeover_delay_ms", "priority")
    status = cluster(leader_candidate(drop=old), candidate("core-2", drop=old))
    plan = planned(FORCE, status=status, timing=Timing(lock_delay=5.0, takeover_delay=2.0))
    assert plan.gap is not None
    assert plan.gap.guessed
    assert plan.gap.expected_ms > 7000


def test_a_leader_that_is_alone_comes_back_soon() -> None:
    alone = planned(STEP_DOWN, status=cluster(leader_candidate())).gap
    others = planned(STEP_DOWN, status=COOLING).gap
    assert alone is not None
    assert others is not None
    assert alone.until_ms is not None
    assert others.until_ms is not None
    assert alone.until_ms < TIMING.cool_down * 1000 <= others.until_ms


def test_nobody_alive_is_forced_by_the_own_settings() -> None:
    gone = leader_candidate(status=CheckStatus.CRITICAL)
    plan = planned(FORCE, status=cluster(gone, leaders=()))
    assert plan.successor is None
    assert plan.gap is not None
    assert plan.gap.until_ms is not None
    assert plan.gap.until_ms >= TIMING.last_resort * 1000


def test_a_pause_makes_the_gap_as_long_as_it_lasts() -> None:
    plan = planned(STEP_DOWN, said=controls(pause=paused(for_s=800, ago_s=200)))
    assert plan.gap is not None
    assert plan.gap.until_ms is not None
    assert 600_000 <= plan.gap.until_ms < 610_000
    assert WarningCode.PAUSED in warnings(plan, serious=True)


# -- what could go wrong ---------------------------------------------------------------------

ALONE = cluster(leader_candidate())
COOLING = cluster(leader_candidate(), candidate("core-2", why_not="cooling_down"))
TWINS = cluster(
    leader_candidate(api="127.0.0.1:1"),
    candidate("core-2", boot="b1", api="127.0.0.1:2"),
    candidate("core-2", boot="b2", api="127.0.0.1:3"),
)
OLD = cluster(leader_candidate(), candidate("core-2", drop=("priority",)))
OLD_LEADER = cluster(leader_candidate(drop=("priority",)), candidate("core-2"))


@pytest.mark.parametrize(
    ("operation", "node", "status", "said", "code", "serious"),
    [
        (STEP_DOWN, "", ALONE, Controls(), WarningCode.NOBODY_ELSE, True),
        (DRAIN, "core-1", ALONE, Controls(), WarningCode.NOBODY_ELSE, False),
        (PAUSE, "", ALONE, Controls(), WarningCode.NOBODY_ELSE, False),
        (
            STEP_DOWN,
            "",
            cluster(),
            controls(drained=("core-2", "core-3")),
            WarningCode.ONLY_DRAINED,
            True,
        ),
        (STEP_DOWN, "", COOLING, Controls(), WarningCode.ONLY_COOLING, True),
        (DRAIN, "core-1", COOLING, Controls(), WarningCode.ONLY_COOLING, True),
        (PAUSE, "", OLD, Controls(), WarningCode.OLD_NODES, True),
        (DRAIN, "core-2", OLD, Controls(), WarningCode.OLD_NODES, True),
        (FORCE, "", cluster(), Controls(), WarningCode.LEADER_ANSWERS, False),
        (STEP_DOWN, "", TWINS, Controls(), WarningCode.NAMESAKES, False),
        (TRANSFER, "core-2", TWINS, Controls(), WarningCode.NAMESAKES, False),
        (STEP_DOWN, "", OLD_LEADER, Controls(), WarningCode.OLD_NODES, False),
        (
            STEP_DOWN,
            "",
            cluster(leader_candidate(status=CheckStatus.CRITICAL), candidate("core-2")),
            Controls(),
            WarningCode.LEADER_SILENT,
            False,
        ),
        (
            STEP_DOWN,
            "",
            cluster(leader=replace(HELD, oddities=(Oddity.EDITED,))),
            Controls(),
            WarningCode.KEY_IS_ODD,
            False,
        ),
        (
            FORCE,
            "",
            cluster(),
            controls(request=requested()),
            WarningCode.REQUEST_STANDS,
            True,
        ),
        (
            STEP_DOWN,
            "",
            cluster(),
            controls(request=requested(term=TERM - 1)),
            WarningCode.REQUEST_STANDS,
            False,
        ),
        (
            STEP_DOWN,
            "",
            cluster(),
            Controls(unreadable={"service/x/control/pause": "not JSON"}),
            WarningCode.UNREADABLE_CONTROL,
            False,
        ),
        (
            STEP_DOWN,
            "",
            replace(cluster(), candidates=replace(ALONE.candidates, seen=Seen.UNKNOWN, items=())),
            Controls(),
            WarningCode.MEMBERS_UNSEEN,
            True,
        ),
        (
            DRAIN,
            "core-2",
            cluster(leader_candidate(), candidate("core-2", status=CheckStatus.CRITICAL)),
            Controls(),
            WarningCode.NOT_THERE,
            False,
        ),
        (
            PAUSE,
            "",
            cluster(),
            controls(pause=paused(for_s=60, ago_s=61)),
            WarningCode.PAUSE_ENDED,
            False,
        ),
    ],
)
def test_what_could_go_wrong(
    operation: Operation, node: str, status: Any, said: Controls, code: WarningCode, serious: bool
) -> None:
    plan = planned(operation, node, status=status, said=said)
    assert code in warnings(plan, serious=serious)


@pytest.mark.parametrize("operation", [STEP_DOWN, TRANSFER, PAUSE, DRAIN])
def test_nothing_is_warned_of_in_a_sound_fleet(operation: Operation) -> None:
    node = "core-2" if operation.needs_node else ""
    assert planned(operation, node).cautions == ()


# -- why it is refused -----------------------------------------------------------------------

UNREADABLE = LeaderStatus(
    condition=Condition.UNREADABLE, locked=True, session=SESSION, modify_index=70
)
POLLER = candidate("poller-1")


@pytest.mark.parametrize(
    ("operation", "node", "status", "said", "code"),
    [
        (STEP_DOWN, "", cluster(leader=VACANT), Controls(), RefusalCode.NOBODY_LEADS),
        (FORCE, "", cluster(leader=VACANT), Controls(), RefusalCode.NOBODY_LEADS),
        (STEP_DOWN, "", cluster(leader=UNREADABLE), Controls(), RefusalCode.LEADER_UNREADABLE),
        (STEP_DOWN, "", cluster(stale=True), Controls(), RefusalCode.NO_CONSUL_LEADER),
        (
            PAUSE,
            "",
            cluster(leader=LeaderStatus(condition=Condition.NOT_PERMITTED)),
            Controls(),
            RefusalCode.NOT_PERMITTED,
        ),
        (TRANSFER, "core-1", cluster(), Controls(), RefusalCode.TARGET_LEADS),
        (TRANSFER, "core-9", cluster(), Controls(), RefusalCode.UNKNOWN_NODE),
        (
            TRANSFER,
            "poller-1",
            cluster(leader_candidate(), pollers=(POLLER,)),
            Controls(),
            RefusalCode.NOT_A_CANDIDATE,
        ),
        (
            DRAIN,
            "poller-1",
            cluster(leader_candidate(), pollers=(POLLER,)),
            Controls(),
            RefusalCode.NOT_A_CANDIDATE,
        ),
        (DRAIN, "core-9", cluster(), Controls(), RefusalCode.UNKNOWN_NODE),
        (
            TRANSFER,
            "core-2",
            replace(cluster(), candidates=replace(ALONE.candidates, seen=Seen.NOT_PERMITTED)),
            Controls(),
            RefusalCode.NOT_PERMITTED,
        ),
        (STEP_DOWN, "", cluster(), controls(request=requested()), RefusalCode.ASKED_ALREADY),
        (
            STEP_DOWN,
            "",
            cluster(),
            controls(request=requested(RequestKind.FORCE_RELEASE)),
            RefusalCode.ASKED_ALREADY,
        ),
        (PAUSE, "", cluster(), controls(pause=paused()), RefusalCode.ALREADY_PAUSED),
        (RESUME, "", cluster(), Controls(), RefusalCode.NOT_PAUSED),
        (DRAIN, "core-2", cluster(), controls(drained=("core-2",)), RefusalCode.ALREADY_DRAINED),
        (UNDRAIN, "core-2", cluster(), controls(drained=("core-3",)), RefusalCode.NOT_DRAINED),
    ],
)
def test_why_it_is_refused(
    operation: Operation, node: str, status: Any, said: Controls, code: RefusalCode
) -> None:
    assert refused(operation, node, status=status, said=said) is code


@pytest.mark.parametrize(
    ("operation", "node", "said"),
    [
        (STEP_DOWN, "", controls(request=requested())),
        (PAUSE, "", controls(pause=paused())),
        (DRAIN, "core-2", controls(drained=("core-2",))),
        (DRAIN, "core-9", Controls()),
    ],
)
def test_what_may_be_done_anyway(operation: Operation, node: str, said: Controls) -> None:
    found = preview(cluster(), said, ask(operation, node), TIMING)
    assert isinstance(found, Refused)
    assert found.anyway
    assert refused(operation, node, said=said, anyway=True) is None


@pytest.mark.parametrize("anyway", [False, True])
def test_no_other_refusal_gives_way(anyway: bool) -> None:
    assert refused(STEP_DOWN, status=cluster(leader=VACANT), anyway=anyway) is not None
    assert refused(TRANSFER, "core-9", anyway=anyway) is RefusalCode.UNKNOWN_NODE


def test_a_request_of_an_older_term_is_in_nobodys_way() -> None:
    assert refused(STEP_DOWN, said=controls(request=requested(term=TERM - 1))) is None


def test_a_forced_release_waits_for_no_request() -> None:
    assert refused(FORCE, said=controls(request=requested())) is None


def test_a_forced_release_needs_no_readable_record() -> None:
    plan = planned(FORCE, status=cluster(leader=UNREADABLE))
    assert plan.basis.session == SESSION
    assert plan.confirm_name == plan.election


def test_a_forced_release_is_confirmed_by_name() -> None:
    assert planned(FORCE).confirm_name == "core-1"
    assert planned(STEP_DOWN).confirm_name == ""


@pytest.mark.parametrize("operation", list(Operation))
def test_another_term_than_the_one_it_was_decided_on(operation: Operation) -> None:
    node = "core-2" if operation.needs_node else ""
    said = controls(pause=paused(), drained=("core-2",))
    assert refused(operation, node, said=said, expected_term=TERM - 1) is RefusalCode.TERM_MOVED_ON
    same = refused(operation, node, expected_term=TERM)
    assert same is not RefusalCode.TERM_MOVED_ON


def test_a_leader_that_went_is_a_term_that_moved_on() -> None:
    vacant = cluster(leader=VACANT)
    assert refused(STEP_DOWN, status=vacant, expected_term=TERM) is RefusalCode.TERM_MOVED_ON
    assert refused(PAUSE, status=vacant, expected_term=TERM) is None


def test_a_pause_that_is_over_is_in_nobodys_way() -> None:
    assert refused(PAUSE, said=controls(pause=paused(for_s=60, ago_s=61))) is None
    assert refused(PAUSE, said=controls(pause=paused(for_s=60, ago_s=59))) is not None


def test_what_cannot_be_read_can_be_taken_away() -> None:
    indices = {"service/x/control/pause": 5, "service/x/control/drain/core-2": 6}
    said = Controls(unreadable=dict.fromkeys(indices, "not JSON"), indices=indices)
    assert refused(RESUME, said=said) is None
    assert refused(UNDRAIN, "core-2", said=said) is None


# -- as JSON ---------------------------------------------------------------------------------


def test_a_preview_and_a_refusal_as_json() -> None:
    data = json.loads(json.dumps(to_dict(planned(TRANSFER, "core-3", polls=1))))
    assert (data["kind"], data["successor"]) == ("preview", "core-3")
    assert data["leader"]["since"].startswith("2026-01-02T03:04:05")
    assert data["gap"]["expected_ms"] > 0
    found = preview(cluster(leader=VACANT), Controls(), ask(STEP_DOWN), TIMING)
    assert isinstance(found, Refused)
    assert json.loads(json.dumps(to_dict(found)))["code"] == "nobody_leads"


def test_the_key_that_each_operation_writes() -> None:
    paths = Paths("x")
    keys = {op: control_key(paths, ask(op, "n" if op.needs_node else "")) for op in Operation}
    assert keys[STEP_DOWN] == keys[TRANSFER] == keys[FORCE] == paths.request
    assert keys[PAUSE] == keys[RESUME] == paths.pause
    assert keys[DRAIN] == keys[UNDRAIN] == paths.drain("n")
