"""The metrics, read back as Prometheus reads them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from rendered import Rendered

from coord.consul.errors import (
    ConsulError,
    ConsulNotFound,
    ConsulNotPermitted,
    ConsulRefused,
    ConsulUnavailable,
)
from coord.consul.transport import Request, RequestKind
from coord.election.reasons import Cause, LostReason, SuspendReason, TakeoverOutcome, WhyNot
from coord.election.states import State
from coord.telemetry import (
    CATALOGUE,
    BecameLeader,
    ChildRestarted,
    ElectionCheck,
    LeaderChanged,
    LostLeadership,
    Resumed,
    StateChanged,
    Suspended,
    TakeoverAttempted,
)
from coord.telemetry.metric_parts import CONSUL_ERROR_KINDS
from coord.telemetry.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def test_everything_countable_is_there_at_zero(metrics: Metrics) -> None:
    seen = Rendered(metrics)
    for name, label, values in (
        ("coordinator_leader_changes_total", "cause", [c.value for c in Cause]),
        ("coordinator_takeover_attempts_total", "outcome", [o.value for o in TakeoverOutcome]),
        ("coordinator_consul_request_errors_total", "kind", CONSUL_ERROR_KINDS),
        ("coordinator_state", "state", [s.value for s in State]),
        ("coordinator_why_not", "reason", [w.value for w in WhyNot]),
        (
            "coordinator_consul_request_latency_seconds_count",
            "kind",
            ["agent", "read", "write"],
        ),
    ):
        assert [seen.value(name, **{label: value}) for value in values] == [0.0] * len(values)
    for phase in ("detect", "quarantine", "acquire", "start", "total"):
        assert seen.value("coordinator_leadership_gap_seconds_count", phase=phase) == 0
    for name in (
        *("is_leader", "working", "term", "eligible", "paused", "drained"),
        *("lease_seconds", "lease_remaining_seconds", "watch_age_seconds"),
        *("suspended_seconds_total", "lease_close_calls_total"),
    ):
        assert seen.value(f"coordinator_{name}") == 0
    assert seen.content_type.startswith("text/plain")


def test_every_metric_has_the_prefix_and_no_label_that_grows(metrics: Metrics) -> None:
    metrics.handle(ChildRestarted(node="core-1", child="cluster-health", term=1))
    metrics.handle(LeaderChanged(node="core-1", new_leader="core-1", previous_leader="core-2"))
    seen = Rendered(metrics)
    assert all(family.name.startswith("coordinator_") for family in seen.families)
    assert {name for sample in seen.samples for name in sample.labels} <= {
        "cause",
        "child",
        "kind",
        "le",
        "outcome",
        "phase",
        "reason",
        "state",
        "leader",
        "previous_leader",
    }
    naming = {s.name for s in seen.samples if {"core-1", "core-2"} & set(s.labels.values())}
    assert naming == {"coordinator_leader_info"}


def leader_info(metrics: Metrics) -> list[tuple[str, str, str, float]]:
    seen = Rendered(metrics)
    name = "coordinator_leader_info"
    return [
        (one["leader"], one["previous_leader"], one["cause"], seen.value(name, **one))
        for one in seen.labels(name)
    ]


def test_the_leader_alone_says_whom_it_follows_and_why(metrics: Metrics) -> None:
    assert leader_info(metrics) == []
    change = LeaderChanged(
        node="core-2", previous_leader="core-1", new_leader="core-3", cause=Cause.DIED, term=7
    )
    metrics.handle(change)
    assert leader_info(metrics) == []
    metrics.handle(replace(change, new_leader="core-2"))
    assert leader_info(metrics) == [("core-2", "core-1", "died", 7)]
    metrics.handle(Suspended(term=7, reason=SuspendReason.LEASE_EXPIRED))
    assert leader_info(metrics) == [("core-2", "core-1", "died", 7)]
    metrics.handle(LostLeadership(term=7, reason=LostReason.SESSION_GONE))
    assert leader_info(metrics) == []
    first = replace(change, new_leader="core-2", previous_leader=None, cause=Cause.FIRST_START)
    metrics.handle(replace(first, term=8))
    assert leader_info(metrics) == [("core-2", "", "first_start", 8)]
    metrics.handle(replace(first, cause=Cause.UNKNOWN, term=9))
    assert leader_info(metrics) == [("core-2", "", "unknown", 9)]


@pytest.mark.parametrize("hostile", ['a"} 1\nb{c="', "x" * 129, "\x1b[31m", ".."])
def test_a_former_leader_that_is_no_name_is_not_shown(metrics: Metrics, hostile: str) -> None:
    metrics.handle(LeaderChanged(node="a", new_leader="a", previous_leader=hostile, term=1))
    assert leader_info(metrics) == [("a", "", "unknown", 1)]


def test_two_nodes_in_one_process_do_not_share(metrics: Metrics) -> None:
    other = Metrics(CollectorRegistry())
    metrics.handle(BecameLeader(term=4))
    assert Rendered(metrics).value("coordinator_is_leader") == 1
    assert Rendered(other).value("coordinator_is_leader") == 0


def test_leading_working_and_term_follow_the_events(metrics: Metrics) -> None:
    def now() -> tuple[float, float, float]:
        seen = Rendered(metrics)
        return (
            seen.value("coordinator_is_leader"),
            seen.value("coordinator_working"),
            seen.value("coordinator_term"),
        )

    metrics.handle(BecameLeader(term=4))
    assert now() == (1, 0, 4)
    metrics.working(True)
    assert now() == (1, 1, 4)
    # It works until all of the work has ended, whatever becomes of the leadership meanwhile.
    metrics.handle(Suspended(term=4, reason=SuspendReason.CONSUL_UNREACHABLE))
    assert now() == (1, 1, 4)
    metrics.working(False)
    assert now() == (1, 0, 4)
    metrics.handle(Resumed(term=4, suspended_ms=1500))
    assert now() == (1, 0, 4)
    metrics.working(True)
    metrics.handle(LostLeadership(term=4, reason=LostReason.VACANT))
    assert now() == (0, 1, 4)
    metrics.working(False)
    assert now() == (0, 0, 4)
    metrics.handle(LeaderChanged(node="core-1", new_leader="core-2", term=5))
    assert now() == (0, 0, 5)
    metrics.handle(LeaderChanged(node="core-1", new_leader="core-2", term=None))
    assert now() == (0, 0, 5)


@pytest.mark.parametrize("name", ["paused", "drained"])
def test_what_operators_ask_is_set_and_taken_back(metrics: Metrics, name: str) -> None:
    set_it = {"paused": metrics.paused, "drained": metrics.drained}[name]
    others = {"paused", "drained"} - {name}
    for asked in (True, True, False):
        set_it(asked)
        seen = Rendered(metrics)
        assert seen.value(f"coordinator_{name}") == int(asked)
        assert [seen.value(f"coordinator_{other}") for other in others] == [0]


def test_exactly_one_state_is_set(metrics: Metrics) -> None:
    for previous, state in (("joining", "standby"), ("standby", "leading")):
        metrics.handle(StateChanged(previous=previous, state=state))
        seen = Rendered(metrics)
        set_states = [
            labels["state"]
            for labels in seen.labels("coordinator_state")
            if seen.value("coordinator_state", **labels)
        ]
        assert set_states == [state]


def test_at_most_one_reason_is_set_and_none_while_leading(metrics: Metrics) -> None:
    for why in (WhyNot.NO_SESSION, WhyNot.HELD_BY_OTHER, None):
        metrics.handle(StateChanged(previous="joining", state="standby", why_not=why))
        seen = Rendered(metrics)
        found = [
            labels["reason"]
            for labels in seen.labels("coordinator_why_not")
            if seen.value("coordinator_why_not", **labels)
        ]
        assert found == ([why.value] if why else [])


def test_only_the_new_leader_counts_a_change_and_its_phases(metrics: Metrics) -> None:
    change = LeaderChanged(
        node="core-2",
        previous_leader="core-1",
        new_leader="core-2",
        cause=Cause.SESSION_INVALIDATED,
        gap_ms=5100,
        detect_ms=2000,
        quarantine_ms=3000,
        acquire_ms=40,
    )
    metrics.handle(replace(change, new_leader="core-3"))
    metrics.handle(change)
    seen = Rendered(metrics)
    changes = "coordinator_leader_changes_total"
    assert seen.value(changes, cause="session_invalidated") == 1
    assert sum(seen.value(changes, cause=cause.value) for cause in Cause) == 1
    sums = {
        phase: (
            seen.value("coordinator_leadership_gap_seconds_count", phase=phase),
            seen.value("coordinator_leadership_gap_seconds_sum", phase=phase),
        )
        for phase in ("detect", "quarantine", "acquire", "start", "total")
    }
    assert sums == {
        "detect": (1, 2.0),
        "quarantine": (1, 3.0),
        "acquire": (1, 0.04),
        "start": (0, 0),
        "total": (1, 5.1),
    }


def test_suspended_time_counts_whether_it_ends_in_resuming_or_in_loss(metrics: Metrics) -> None:
    suspended = "coordinator_suspended_seconds_total"
    metrics.handle(Suspended(at_ms=10_000, reason=SuspendReason.LEASE_EXPIRED))
    metrics.handle(Resumed(at_ms=11_500, suspended_ms=1500))
    metrics.handle(LostLeadership(at_ms=20_000, reason=LostReason.SHUTDOWN))
    assert Rendered(metrics).value(suspended) == 1.5
    metrics.handle(Suspended(at_ms=30_000, reason=SuspendReason.LEASE_EXPIRED))
    metrics.handle(LostLeadership(at_ms=34_000, reason=LostReason.SUSPENDED_TOO_LONG))
    assert Rendered(metrics).value(suspended) == 5.5
    # The wall clock was set back meanwhile: a counter never falls.
    metrics.handle(Suspended(at_ms=50_000, reason=SuspendReason.LEASE_EXPIRED))
    metrics.handle(LostLeadership(at_ms=40_000, reason=LostReason.SESSION_GONE))
    assert Rendered(metrics).value(suspended) == 5.5


def test_attempts_and_restarts_are_counted(metrics: Metrics) -> None:
    metrics.handle(TakeoverAttempted(outcome=TakeoverOutcome.LOCK_DELAY))
    metrics.handle(TakeoverAttempted(outcome=TakeoverOutcome.WON))
    metrics.handle(TakeoverAttempted(outcome=TakeoverOutcome.LOCK_DELAY))
    metrics.handle(ChildRestarted(child="cluster-health"))
    seen = Rendered(metrics)
    assert seen.value("coordinator_takeover_attempts_total", outcome="lock_delay") == 2
    assert seen.value("coordinator_takeover_attempts_total", outcome="won") == 1
    assert seen.value("coordinator_child_restarts_total", child="cluster-health") == 1


def test_what_may_be_counted_later_is_there_at_zero(metrics: Metrics) -> None:
    metrics.children(["cluster-health", "poll-orchestrator"])
    seen = Rendered(metrics)
    for child in ("cluster-health", "poll-orchestrator"):
        assert seen.value("coordinator_child_restarts_total", child=child) == 0


@pytest.mark.parametrize(
    ("left_s", "counted"), [(1.5, 0), (0.51, 0), (0.49, 1), (0.001, 1), (0.0, 0)]
)
def test_a_lease_confirmed_late_is_counted_one_that_was_over_is_not(
    metrics: Metrics, left_s: float, counted: int
) -> None:
    metrics.lease(2.0)
    metrics.lease_extended(left_s)
    seen = Rendered(metrics)
    assert seen.value("coordinator_lease_seconds") == 2.0
    assert seen.value("coordinator_lease_close_calls_total") == counted


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (Request("GET", "/v1/kv/a", read=True), RequestKind.READ),
        (Request("PUT", "/v1/txn"), RequestKind.WRITE),
        (Request("PUT", "/v1/agent/check/pass/a"), RequestKind.AGENT),
        (Request("GET", "/v1/agent/self", read=True), RequestKind.AGENT),
        (Request("GET", "/v1/kv/a", read=True, blocking=True), RequestKind.BLOCKING),
    ],
)
def test_answers_of_consul_are_timed_by_who_had_to_answer(
    metrics: Metrics, request_: Request, kind: RequestKind
) -> None:
    assert request_.kind is kind
    metrics.consul_answered(kind, 0.004)
    seen = Rendered(metrics)
    name = "coordinator_consul_request_latency_seconds"
    counts = {
        one["kind"]: seen.value(f"{name}_count", **one) for one in seen.labels(f"{name}_count")
    }
    assert counts == {k: float(k == kind.value) for k in ("agent", "read", "write")}
    if kind is not RequestKind.BLOCKING:
        assert seen.value(f"{name}_sum", kind=kind.value) == pytest.approx(0.004)


def test_when_a_series_began_is_not_served(metrics: Metrics) -> None:
    metrics.handle(ChildRestarted(child="cluster-health"))
    assert b"_created" not in metrics.render()[0]


def test_other_events_change_nothing(metrics: Metrics) -> None:
    before = metrics.render()
    metrics.handle(ElectionCheck(leader="core-1", state="standby"))
    assert metrics.render() == before
    assert ElectionCheck in CATALOGUE


def test_confirmations(metrics: Metrics) -> None:
    metrics.confirmed(0.004, 1_700_000_000.5)
    metrics.confirmed(0.008, 1_700_000_001.0)
    seen = Rendered(metrics)
    assert seen.value("coordinator_last_confirmation_timestamp_seconds") == 1_700_000_001.0
    assert seen.value("coordinator_confirmation_latency_seconds_count") == 2
    assert seen.value("coordinator_confirmation_latency_seconds_sum") == pytest.approx(0.012)


def test_the_lease_is_read_when_rendered_and_never_below_zero(metrics: Metrics) -> None:
    remaining = [1.5]
    metrics.lease_remaining(lambda: remaining[0])
    assert Rendered(metrics).value("coordinator_lease_remaining_seconds") == 1.5
    remaining[0] = -3.0
    assert Rendered(metrics).value("coordinator_lease_remaining_seconds") == 0


def test_a_value_that_cannot_be_read_does_not_cost_the_others(metrics: Metrics) -> None:
    def broken() -> float:
        raise RuntimeError("gone")

    metrics.lease_remaining(broken)
    metrics.watch_age(broken)
    metrics.journal(lambda: 1, broken)
    metrics.eligible(True)
    seen = Rendered(metrics)
    assert math.isnan(seen.value("coordinator_lease_remaining_seconds"))
    assert math.isnan(seen.value("coordinator_watch_age_seconds"))
    assert math.isnan(seen.value("coordinator_journal_entries_lost_total"))
    assert seen.value("coordinator_journal_entries_written_total") == 1
    assert seen.value("coordinator_eligible") == 1


def test_what_is_kept_elsewhere_is_read_when_rendered(metrics: Metrics) -> None:
    written, lost, age = [0], [0], [0.0]
    metrics.journal(lambda: written[0], lambda: lost[0])
    metrics.handlers(lambda: 7, lambda: 2)
    metrics.watch_age(lambda: age[0])
    written[0], lost[0], age[0] = 5, 3, 12.5
    seen = Rendered(metrics)
    assert seen.value("coordinator_journal_entries_written_total") == 5
    assert seen.value("coordinator_journal_entries_lost_total") == 3
    assert seen.value("coordinator_watch_age_seconds") == 12.5
    assert seen.value("coordinator_events_dropped_total") == 7
    assert seen.value("coordinator_event_handler_failures_total") == 2


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConsulRefused("GET /x", "no", status=400), "refused"),
        (ConsulUnavailable("GET /x", "late"), "unavailable"),
        (ConsulUnavailable("GET /x", "No cluster leader", no_leader=True), "no_leader"),
        (ConsulNotPermitted("GET /x", "no", status=403), "not_permitted"),
        (ConsulNotFound("GET /x", "none"), "not_found"),
        (ConsulError("GET /x", "?"), "unavailable"),
    ],
)
def test_consul_errors_by_kind(metrics: Metrics, error: ConsulError, kind: str) -> None:
    metrics.consul_error(error)
    seen = Rendered(metrics)
    name = "coordinator_consul_request_errors_total"
    counts = {labels["kind"]: seen.value(name, **labels) for labels in seen.labels(name)}
    assert counts == {k: float(k == kind) for k in CONSUL_ERROR_KINDS}


def test_loop_lag_is_observed_and_never_negative(metrics: Metrics) -> None:
    metrics.loop_lag(0.02)
    metrics.loop_lag(-0.01)
    seen = Rendered(metrics)
    assert seen.value("coordinator_loop_lag_seconds_count") == 2
    assert seen.value("coordinator_loop_lag_seconds_sum") == pytest.approx(0.02)
