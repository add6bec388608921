"""Who a process is, and what time it has."""

from __future__ import annotations

import time
from typing import Any

import pytest

from coord.clock import MONOTONIC_CLOCK_ID, Clock, SystemClock
from coord.config import HostPort, Settings
from coord.config.values import InvalidValueError
from coord.identity import Identity, make_identity, new_boot_id
from coord.node_type import EligibleWhy, NodeType


def test_identity_of_settings() -> None:
    settings = Settings(
        environ={}, node="web-ng-02", election="east", listen="[::1]:81", priority="7"
    )
    identity = make_identity(settings, boot_id="b1")
    assert identity == Identity(
        node="web-ng-02",
        node_type=NodeType.WEB,
        election="east",
        eligible=True,
        eligible_why=EligibleWhy.NODE_TYPE_MAY_LEAD,
        boot_id="b1",
        advertise="[::1]:81",
        priority=7,
        workloads=("cluster-health", "poll-orchestrator"),
    )


def test_a_process_start_is_never_taken_for_another() -> None:
    settings = Settings(environ={}, node="core-1")
    first, second = make_identity(settings), make_identity(settings)
    assert first.boot_id != second.boot_id
    assert len({new_boot_id() for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("advertise", "bound", "expected"),
    [
        (None, None, "127.0.0.1:0"),
        (None, HostPort("127.0.0.1", 4711), "127.0.0.1:4711"),
        ("core-1.lan:80", HostPort("127.0.0.1", 4711), "core-1.lan:80"),
    ],
)
def test_where_others_reach_it(
    advertise: str | None, bound: HostPort | None, expected: str
) -> None:
    settings = Settings(environ={}, node="core-1", listen="127.0.0.1:0", advertise=advertise)
    assert make_identity(settings, bound=bound).advertise == expected


@pytest.mark.parametrize("field", ["node", "election", "boot_id"])
@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "ü"])
def test_names_that_cannot_stand_in_a_path_are_refused(field: str, name: str) -> None:
    names: dict[str, Any] = {
        "node": "core-1",
        "election": "coordinator",
        "boot_id": "b1",
        field: name,
    }
    with pytest.raises(InvalidValueError):
        Identity(
            node_type=NodeType.CORE,
            eligible=True,
            eligible_why=EligibleWhy.NODE_TYPE_MAY_LEAD,
            advertise="127.0.0.1:1",
            **names,
        )


def test_the_clock_goes_on_in_suspend_where_the_machine_has_one_that_does() -> None:
    expected = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    assert expected == MONOTONIC_CLOCK_ID
    clock: Clock = SystemClock()
    before = time.clock_gettime(expected)
    first, second = clock.now(), clock.now()
    assert before <= first <= second <= time.clock_gettime(expected)


def test_wall_time_is_in_milliseconds() -> None:
    clock: Clock = SystemClock()
    assert time.time() * 1000 - 3_600_000 < clock.wall_ms() < time.time() * 1000 + 3_600_000
