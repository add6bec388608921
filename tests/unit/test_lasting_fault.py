"""Faults that last: once, then every 30 s, then once when over."""

from __future__ import annotations

import pytest

from coord.telemetry.lasting_fault import REPEAT_S, FaultNotice, FaultPhase, LastingFault


class SetClock:
    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def wall_ms(self) -> int:
        raise AssertionError("faults are timed by the monotonic clock alone")


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def told() -> list[FaultNotice]:
    return []


@pytest.fixture
def faults(clock: SetClock, told: list[FaultNotice]) -> LastingFault:
    return LastingFault(clock, told.append)


def phases(told: list[FaultNotice]) -> list[tuple[str, FaultPhase]]:
    return [(notice.kind, notice.phase) for notice in told]


def test_it_is_told_once_then_every_30_s_then_when_over(
    clock: SetClock, told: list[FaultNotice], faults: LastingFault
) -> None:
    for second in range(71):
        clock.time = 1000.0 + second
        faults.happened("consul", f"try {second}")
    clock.time = 1071.5
    faults.over("consul")
    assert REPEAT_S == 30
    assert told == [
        FaultNotice(kind="consul", phase=FaultPhase.BEGAN, detail="try 0", duration_s=0.0, count=1),
        FaultNotice(
            kind="consul", phase=FaultPhase.LASTING, detail="try 30", duration_s=30.0, count=31
        ),
        FaultNotice(
            kind="consul", phase=FaultPhase.LASTING, detail="try 60", duration_s=60.0, count=61
        ),
        FaultNotice(
            kind="consul", phase=FaultPhase.OVER, detail="try 70", duration_s=71.5, count=71
        ),
    ]


def test_each_kind_is_followed_by_itself(told: list[FaultNotice], faults: LastingFault) -> None:
    faults.happened("consul", "refused")
    faults.happened("poller", "timeout")
    faults.happened("consul", "refused again")
    assert faults.lasting == {"consul": "refused again", "poller": "timeout"}
    faults.over("consul")
    assert phases(told) == [
        ("consul", FaultPhase.BEGAN),
        ("poller", FaultPhase.BEGAN),
        ("consul", FaultPhase.OVER),
    ]
    assert faults.lasting == {"poller": "timeout"}


def test_over_without_a_fault_says_nothing(told: list[FaultNotice], faults: LastingFault) -> None:
    faults.over("consul")
    faults.happened("consul")
    faults.over("consul")
    faults.over("consul")
    assert len(told) == 2


def test_after_it_was_over_it_begins_anew(
    clock: SetClock, told: list[FaultNotice], faults: LastingFault
) -> None:
    faults.happened("consul")
    faults.over("consul")
    clock.time += 1
    faults.happened("consul")
    assert told[-1] == FaultNotice(
        kind="consul", phase=FaultPhase.BEGAN, detail="", duration_s=0.0, count=1
    )
