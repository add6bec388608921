"""How what stands in Consul of polls is read back: what changed, in slices, no more than may be."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from coord.clock import SystemClock
from coord.consul import KVEntry
from coord.polling.check_records import MAX_CHECKS
from coord.polling.records import ScheduleRecord
from coord.polling.store import (
    MAX_CHECKS_IN_ALL,
    MAX_SCHEDULES,
    SLICE_S,
    KeptSchedules,
    Loaded,
    Slices,
    load_schedules,
)

PREFIX = "p/"
TCP = {"kind": "tcp", "target": "h:1"}


def entry(schedule_id: str, index: int = 7, *, checks: int = 1, **fields: Any) -> KVEntry:
    record = {"id": schedule_id, "interval": "10s", "checks": [TCP] * checks, **fields}
    raw = json.dumps(record).encode()
    return KVEntry(PREFIX + schedule_id, raw, create_index=index, modify_index=index)


def details(loaded: Loaded[ScheduleRecord]) -> dict[str, str]:
    return {key: told.detail for key, (told, _) in loaded.unreadable.items()}


def test_only_what_changed_is_decoded_anew() -> None:
    kept = KeptSchedules(PREFIX)
    first = kept.of([entry("a"), entry("b"), entry("c"), KVEntry("p/d", b"{", modify_index=8)])
    again = kept.of([entry("a"), entry("b", 9, name="new"), KVEntry("p/d", b"{", modify_index=9)])
    assert again.records["a"] is first.records["a"]
    assert again.records["b"].name == "new"
    assert set(again.records) == {"a", "b"}
    assert {key: index for key, (_, index) in again.unreadable.items()} == {"p/d": 9}


class EachLookTakes(SystemClock):
    """A clock by which half a slice passes between two looks at it."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        self._now += SLICE_S / 2
        return self._now


async def test_others_run_between_slices_of_reading() -> None:
    rounds, progress = 0, 0
    over = asyncio.Event()

    async def confirm() -> None:
        nonlocal rounds
        while not over.is_set():
            rounds += 1
            await asyncio.sleep(0)

    def report() -> None:
        nonlocal progress
        progress += 1

    other = asyncio.create_task(confirm())
    entries = [entry(f"s{n}") for n in range(100)]
    loaded = await KeptSchedules(PREFIX).of_in_slices(entries, Slices(EachLookTakes(), report))
    over.set()
    await other
    assert len(loaded.records) == 100
    assert progress >= 30
    assert rounds >= 30


def test_no_more_schedules_are_read_than_there_may_be_and_the_oldest_stay() -> None:
    entries = [entry(f"s{n:05}", 10_000 - n) for n in range(MAX_SCHEDULES + 2)]
    loaded = load_schedules(entries, PREFIX)
    assert len(loaded.records) == MAX_SCHEDULES
    told = f"there are more than {MAX_SCHEDULES} schedules; remove some"
    assert details(loaded) == {"p/s00000": told, "p/s00001": told}


def test_no_more_checks_are_read_than_there_may_be_and_the_oldest_stay() -> None:
    number = MAX_CHECKS_IN_ALL // MAX_CHECKS
    entries = [entry(f"s{n:04}", 10_000 - n, checks=MAX_CHECKS) for n in range(number + 1)]
    loaded = load_schedules(entries, PREFIX)
    assert len(loaded.records) == number
    told = f"there are more than {MAX_CHECKS_IN_ALL} checks in all; remove some"
    assert details(loaded) == {"p/s0000": told}


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ([[[[[[]]]]]] * 50, "up to its field own it holds over 200 values; give it fewer"),
        ({"a": [0] * 200}, "up to its field own it holds over 200 values; give it fewer"),
        ([[[[[[[[[]]]]]]]]], "up to its field own it holds something that is no JSON"),
    ],
)
def test_a_check_of_a_kind_of_ones_own_holds_so_much_and_no_more(own: Any, says: str) -> None:
    check = {"kind": "own", "target": "x", "own": own}
    loaded = load_schedules([made(check)], PREFIX)
    assert says in details(loaded)["p/web"]


def made(check: dict[str, Any]) -> KVEntry:
    record = {"id": "web", "interval": "10s", "checks": [check]}
    return KVEntry("p/web", json.dumps(record).encode(), modify_index=1)


def test_a_check_of_a_kind_of_ones_own_may_hold_two_hundred_values() -> None:
    check = {"kind": "own", "target": "x", "own": [0] * 196, "deep": []}
    assert load_schedules([made(check)], PREFIX).records
