"""Which entries of the journal are kept and read, whatever the clocks of the nodes say."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import Room

from coord.records import Paths
from coord.telemetry.journal import JournalEntry, newest, prune, read

PATHS = Paths("x")


@dataclass(frozen=True)
class Written:
    """One key of the journal: named like an entry of that time, or like none (at_ms None)."""

    number: int
    node: str
    at_ms: int | None

    @property
    def key(self) -> str:
        if self.at_ms is None:
            return f"{PATHS.journal}{self.node}-{self.number}"
        return f"{PATHS.journal}{self.at_ms:013d}-{self.node}-0123abcd-{self.number:08d}"


moments = st.none() | st.sampled_from((0, 1, 1_000)) | st.integers(0, 10**13 - 1)
journals = st.lists(st.tuples(st.sampled_from(("core-1", "core-2", "core-3")), moments)).map(
    lambda told: [Written(number, *each) for number, each in enumerate(told)]
)


@settings(max_examples=60)
@given(journals, st.integers(0, 12), st.integers(1, 12))
def test_the_newest_are_those_that_came_last_and_each_is_shown_at_its_time(
    written: list[Written], keep: int, limit: int
) -> None:
    by_age = sorted(written, key=lambda each: (each.at_ms is not None, each.number))
    kept = by_age[max(0, len(by_age) - keep) :]

    async def tried() -> tuple[int, tuple[JournalEntry, ...], tuple[JournalEntry, ...]]:
        room = Room()
        consul = room.at_server(room.leader())
        for each in written:
            await room.do(consul.kv_put(each.key, b'{"event": "e"}'))
        before = await room.do(read(consul, PATHS, limit))
        gone = await room.do(prune(consul, PATHS, keep))
        return gone, before, await room.do(read(consul, PATHS))

    gone, before, after = asyncio.run(tried())
    assert gone == len(written) - len(kept)
    assert [entry.key for entry in before] == shown(by_age[max(0, len(by_age) - limit) :])
    assert [entry.key for entry in after] == shown(kept)


def shown(entries: list[Written]) -> list[str]:
    """Their keys in the order in which they are shown: at the same time, as they came."""
    ordered = sorted(entries, key=lambda e: (-1 if e.at_ms is None else e.at_ms, e.number))
    return [each.key for each in ordered]


def entry(index: int, at_ms: int) -> JournalEntry:
    return JournalEntry(f"k{index}", at_ms, "core-1", "e", index=index)


def test_of_some_entries_the_newest_stay_in_their_order() -> None:
    ahead, middle, last = entry(1, 900), entry(2, 100), entry(3, 200)
    by_time = (middle, last, ahead)
    assert newest(by_time, 2) == (middle, last)
    assert newest(by_time, 3) == newest(by_time, 9) == by_time
    assert newest(by_time, 0) == newest((), 5) == ()
