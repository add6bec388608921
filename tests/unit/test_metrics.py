"""The metrics, read back as Prometheus reads them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from coord.consul.errors import (
    ConsulError,
    ConsulNotFound,
    ConsulNotPermitted,
    ConsulRefused,
    ConsulUnavailable,
)
from coord.election.reasons import Cause, LostReason, SuspendReason, TakeoverOutcome
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
from coord.telemetry.metrics import CONSUL_ERROR_KINDS, Metrics


class Rendered:
    """One scrape: values by name and labels."""

    def __init__(self, metrics: Metrics) -> None:
        body, self.content_type = metrics.render()
        self.families = list(text_string_to_metric_families(body.decode()))
        self.samples = [sample for family in self.families for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        found = [s.value for s in self.samples if s.name == name and s.labels == labels]
        assert len(found) == 1, f"{name}{labels}: {found}"
        return float(found[0])

    def labels(self, name: str) -> list[dict[str, str]]:
        return [s.labels for s in self.samples if s.name == name]


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
    ):
        assert [seen.value(name, **{label: value}) for value in values] == [0.0] * len(values)
    for phase in ("detect", "quarantine", "acquire", "start", "total"):
        assert seen.value("coordinator_leadership_gap_seconds_count", phase=phase) == 0
    for name in (
        *("is_leader", "working", "term", "eligible", "paused", "drained"),
        "lease_remaining_seconds",
    ):
        assert seen.value(f"coordinator_{name}") == 0
    assert seen.value("coordinator_suspended_seconds_total") == 0
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
        "state",
    }
    assert not any(
        value in ("core-1", "core-2") for s in seen.samples for value in s.labels.values()
    )


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
    metrics.handle(Suspended(term=4, reason=SuspendReason.CONSUL_UNREACHABLE))
    assert now() == (1, 0, 4)
    metrics.handle(Resumed(term=4, suspended_ms=1500))
    assert now() == (1, 1, 4)
    metrics.handle(LostLeadership(term=4, reason=LostReason.VACANT))
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
    metrics.journal_lost(broken)
    metrics.eligible(True)
    seen = Rendered(metrics)
    assert math.isnan(seen.value("coordinator_lease_remaining_seconds"))
    assert math.isnan(seen.value("coordinator_journal_entries_lost_total"))
    assert seen.value("coordinator_eligible") == 1


def test_journal_losses_are_read_when_rendered(metrics: Metrics) -> None:
    lost = [0]
    metrics.journal_lost(lambda: lost[0])
    lost[0] = 3
    assert Rendered(metrics).value("coordinator_journal_entries_lost_total") == 3


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
