"""The event catalogue and the bus."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from dataclasses import dataclass
from typing import Any

import pytest

from coord.election.reasons import (
    Cause,
    LostReason,
    StepDownReason,
    SuspendReason,
    TakeoverOutcome,
    WhyNot,
)
from coord.telemetry import (
    CATALOGUE,
    RECENT_EVENTS,
    BecameLeader,
    ElectionCheck,
    Event,
    LeaderChanged,
    LostLeadership,
    NodeUp,
    Telemetry,
    to_dict,
)
from coord.telemetry import events as telemetry_events

DESIGNED = {
    f"serviceradar.coordinator.{name}"
    for name in (
        "election_started",
        "became_leader",
        "lost_leadership",
        "leader_changed",
        "leader_down",
        "election_check",
        "takeover_attempted",
        "step_down_requested",
        "suspended",
        "resumed",
    )
} | {f"serviceradar.cluster.{name}" for name in ("health_check", "node_up", "node_down")}


@dataclass(frozen=True)
class Who:
    node: str = "core-1"
    node_type: str = "core"
    election: str = "coordinator"


class StandingClock:
    def now(self) -> float:
        return 0.0

    def wall_ms(self) -> int:
        return 1_700_000_000_123


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry(Who(), StandingClock())


def sample(kind: type[Event]) -> Event:
    """An event of that class; every field without a default gets a value of its type."""
    by_type: dict[str, Any] = {
        "str": "x",
        "str | None": None,
        "int": 7,
        "LostReason": LostReason.VACANT,
        "SuspendReason": SuspendReason.LEASE_EXPIRED,
        "StepDownReason": StepDownReason.DRAINED,
        "TakeoverOutcome": TakeoverOutcome.WON,
    }
    required = [f for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING]
    return kind(**{f.name: by_type[str(f.type)] for f in required})


def test_the_catalogue_has_every_class_of_event_and_every_designed_one() -> None:
    defined = {
        value
        for value in vars(telemetry_events).values()
        if isinstance(value, type) and issubclass(value, Event) and value is not Event
    }
    assert set(CATALOGUE) == defined
    assert {kind.EVENT for kind in CATALOGUE} >= DESIGNED


def test_names_are_unique_and_well_formed() -> None:
    assert len({kind.EVENT for kind in CATALOGUE}) == len(CATALOGUE)
    assert len({kind.NAME for kind in CATALOGUE}) == len(CATALOGUE)
    for kind in CATALOGUE:
        assert re.fullmatch(r"serviceradar\.(coordinator|cluster|polls)\.[a-z_]+", kind.EVENT)
        assert kind.NAME.endswith(kind.EVENT.rpartition(".")[2])
        assert kind.LEVEL in ("debug", "info", "warning")
        assert not (kind.JOURNALED and kind.PERIODIC)


@pytest.mark.parametrize("kind", CATALOGUE, ids=lambda kind: kind.NAME)
def test_every_event_is_frozen_documented_and_fit_for_json(kind: type[Event]) -> None:
    own = {f.name for f in dataclasses.fields(kind)} - {f.name for f in dataclasses.fields(Event)}
    undocumented = {name for name in own if f"{name}:" not in (kind.__doc__ or "")}
    assert undocumented == set()
    event = sample(kind)
    assert not hasattr(event, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.node = "other"  # type: ignore[misc]
    told = json.loads(json.dumps(to_dict(event)))
    assert told["event"] == kind.EVENT
    assert set(told) == {"event"} | {f.name for f in dataclasses.fields(kind)}


@pytest.mark.parametrize(
    "reasons", [Cause, LostReason, StepDownReason, SuspendReason, TakeoverOutcome, WhyNot]
)
def test_reasons_are_read_back_and_unknown_ones_are_none(reasons: type[Cause]) -> None:
    assert all(reasons.parse(member.value) is member for member in reasons)
    unknown: tuple[object, ...] = ("", "from_the_future", None, 3, ["vacant"], {})
    for text in unknown:
        assert reasons.parse(text) is None


def test_what_the_caller_leaves_out_is_filled_in(telemetry: Telemetry) -> None:
    seen: list[Event] = []
    telemetry.attach_inline(seen.append)
    telemetry.emit(LostLeadership, term=7, reason=LostReason.VACANT)
    telemetry.emit(NodeUp(name="web-1", node="told-by-other", at_ms=5))
    assert seen == [
        LostLeadership(
            node="core-1",
            node_type="core",
            election="coordinator",
            term=7,
            at_ms=1_700_000_000_123,
            reason=LostReason.VACANT,
        ),
        NodeUp(
            node="told-by-other",
            node_type="core",
            election="coordinator",
            at_ms=5,
            name="web-1",
        ),
    ]


def test_handlers_are_called_in_order_until_detached(telemetry: Telemetry) -> None:
    calls: list[str] = []

    def first(event: Event) -> None:
        calls.append("first " + event.NAME)

    detach_one = telemetry.attach_inline(first)
    telemetry.attach_inline(lambda event: calls.append("second " + event.NAME))
    detach_two = telemetry.attach_inline(first)
    telemetry.emit(BecameLeader, term=1)
    assert calls == ["first became_leader", "second became_leader", "first became_leader"]
    calls.clear()
    detach_two()
    detach_two()
    telemetry.emit(BecameLeader, term=2)
    assert calls == ["first became_leader", "second became_leader"]
    calls.clear()
    detach_one()
    telemetry.emit(BecameLeader, term=3)
    assert calls == ["second became_leader"]


def test_a_failing_handler_hurts_nobody_and_is_told_once_for_each_kind(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[Exception] = [ValueError("a"), ValueError("b"), KeyError("c")]
    seen: list[Event] = []

    def failing(event: Event) -> None:
        raise errors.pop(0)

    telemetry.attach_inline(failing)
    telemetry.attach_inline(seen.append)
    with caplog.at_level(logging.ERROR, "coord.telemetry"):
        for term in (1, 2, 3):
            telemetry.emit(BecameLeader, term=term)
    assert [event.term for event in seen] == [1, 2, 3]
    assert telemetry.handler_failures == 3
    kinds = [record.exc_info[0] for record in caplog.records if record.exc_info]
    assert kinds == [ValueError, KeyError]


def test_an_event_that_cannot_be_made_is_counted_not_raised(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "coord.telemetry"):
        telemetry.emit(LeaderChanged, term=1)  # type: ignore[call-overload]
    assert telemetry.events_dropped == 1
    assert len(caplog.records) == 1
    assert list(telemetry.recent) == []


def test_all_handlers_see_all_events_in_one_order_when_handlers_emit(
    telemetry: Telemetry,
) -> None:
    seen: list[str] = []

    def answering(event: Event) -> None:
        if isinstance(event, BecameLeader):
            telemetry.emit(NodeUp, name="n")

    telemetry.attach_inline(answering)
    telemetry.attach_inline(lambda event: seen.append(event.NAME))
    telemetry.emit(BecameLeader, term=1)
    assert seen == ["became_leader", "node_up"]


def test_handlers_that_emit_without_end_are_cut_off(telemetry: Telemetry) -> None:
    def doubling(event: Event) -> None:
        telemetry.emit(BecameLeader, term=1)
        telemetry.emit(BecameLeader, term=1)

    detach = telemetry.attach_inline(doubling)
    telemetry.emit(BecameLeader, term=1)
    assert telemetry.events_dropped > 0
    detach()
    seen: list[Event] = []
    telemetry.attach_inline(seen.append)
    telemetry.emit(BecameLeader, term=2)
    assert [event.term for event in seen] == [2]


def test_recent_keeps_the_last_events_that_are_not_periodic(telemetry: Telemetry) -> None:
    for term in range(1, RECENT_EVENTS + 11):
        telemetry.emit(BecameLeader, term=term)
        telemetry.emit(ElectionCheck, term=term, leader=None, state="standby")
    assert [event.term for event in telemetry.recent] == list(range(11, RECENT_EVENTS + 11))


def test_only_the_new_leader_tells_as_such(telemetry: Telemetry) -> None:
    told: list[bool] = []
    telemetry.attach_inline(
        lambda event: told.append(isinstance(event, LeaderChanged) and event.told_by_new_leader)
    )
    telemetry.emit(LeaderChanged, new_leader="core-1")
    telemetry.emit(LeaderChanged, new_leader="core-2")
    assert told == [True, False]
