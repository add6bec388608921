"""Plans for changing schedules: what is written on what was seen, and in which steps."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from coord.consul import KVEntry, TxnVerb
from coord.polling.editing import (
    MAX_CHANGES,
    Change,
    Edit,
    EditCode,
    EditRefused,
    Stored,
    batches,
    plan_add,
    plan_import,
    plan_remove,
    plan_switch,
    stored,
)
from coord.polling.records import MAX_SCHEDULE_BYTES, ScheduleRecord
from coord.polling.store import MAX_CHECKS_IN_ALL, MAX_SCHEDULES, PollPaths
from coord.polling.writer import MAX_BATCH_BYTES
from coord.records import Paths

KEYS = PollPaths(Paths("e"))
TCP = {"kind": "tcp", "target": "h:1"}


def record(schedule_id: str, **fields: Any) -> ScheduleRecord:
    return ScheduleRecord.model_validate(
        {"id": schedule_id, "interval": "10s", "checks": [TCP], **fields}
    )


def entry(schedule_id: str, value: bytes | None = None, index: int = 7) -> KVEntry:
    raw = record(schedule_id).encode() if value is None else value
    return KVEntry(KEYS.schedule(schedule_id), raw, modify_index=index)


FOUND = stored([entry("web"), entry("bad", b"{", 9), entry("off")], KEYS.schedules)


def told(edits: Iterable[Edit]) -> list[tuple[str, str, str | None, int | None]]:
    return [
        (
            edit.id,
            edit.change.value,
            None if edit.op is None else edit.op.verb.value,
            None if edit.op is None else edit.op.index,
        )
        for edit in edits
    ]


def test_a_new_one_is_written_only_where_there_is_none() -> None:
    edits = plan_add(FOUND, record("new"), KEYS, replace=False)
    assert told(edits) == [("new", "added", "cas", 0)]


@pytest.mark.parametrize("schedule_id", ["web", "bad"])
def test_one_that_is_there_is_written_over_only_when_told_to(schedule_id: str) -> None:
    other = record(schedule_id, name="other")
    with pytest.raises(EditRefused) as caught:
        plan_add(FOUND, other, KEYS, replace=False)
    assert (caught.value.code, caught.value.ids) == (EditCode.EXISTS, (schedule_id,))
    edits = plan_add(FOUND, other, KEYS, replace=True)
    seen = FOUND[schedule_id].entry.modify_index
    assert told(edits) == [(schedule_id, "replaced", "cas", seen)]


def test_an_import_writes_what_differs_and_prunes_only_when_told_to() -> None:
    wanted = [record("web", since_ms=5), record("off", enabled=False), record("new")]
    written = [
        ("web", "unchanged", None, None),  # when it was written makes no difference
        ("off", "replaced", "cas", 7),
        ("new", "added", "cas", 0),
    ]
    assert told(plan_import(FOUND, wanted, KEYS, prune=False)) == written
    pruned = ("bad", "removed", "delete-cas", 9)
    assert told(plan_import(FOUND, wanted, KEYS, prune=True)) == [*written, pruned]


def test_a_switch_changes_one_field_and_keeps_what_newer_writers_wrote() -> None:
    raw = json.dumps({**json.loads(record("web").encode()), "v": 2, "mood": {"a": None}}).encode()
    found = stored([entry("web", raw)], KEYS.schedules)
    (off,) = plan_switch(found, ["web"], enabled=False, now_ms=99)
    assert off.op is not None
    assert json.loads(off.op.value) == {**json.loads(raw), "enabled": False}
    found = stored([entry("web", off.op.value, 8)], KEYS.schedules)
    (on,) = plan_switch(found, ["web"], enabled=True, now_ms=99)
    assert on.op is not None
    # Due from now on: the runs in between are not missed.
    assert json.loads(on.op.value) == {**json.loads(raw), "enabled": True, "since_ms": 99}
    assert (on.op.verb, on.op.index, on.change) == (TxnVerb.CAS, 8, Change.ENABLED)
    assert plan_switch(found, ["web"], enabled=False, now_ms=99)[0].op is None


@pytest.mark.parametrize(
    ("ids", "code", "named"),
    [
        (["web", "gone"], EditCode.NOT_FOUND, ("gone",)),
        (["bad", "web"], EditCode.UNREADABLE, ("bad",)),
    ],
)
def test_what_cannot_be_switched_is_named(
    ids: list[str], code: EditCode, named: tuple[str, ...]
) -> None:
    with pytest.raises(EditRefused) as caught:
        plan_switch(FOUND, ids, enabled=True, now_ms=1)
    assert (caught.value.code, caught.value.ids) == (code, named)


def test_what_cannot_be_read_can_be_removed() -> None:
    assert told(plan_remove(FOUND, ["bad"])) == [("bad", "removed", "delete-cas", 9)]
    with pytest.raises(EditRefused):
        plan_remove(FOUND, ["web", "gone"])


def test_as_much_goes_together_as_a_transaction_takes() -> None:
    small = [record(f"s{number}") for number in range(MAX_CHANGES + 1)]
    edits = plan_import({}, small, KEYS, prune=False)
    assert [len(batch) for batch in batches(edits)] == [MAX_CHANGES, 1]
    large = [
        record(f"l{number}", checks=[{"kind": "x", "target": "y", "blob": "z" * 30_000}])
        for number in range(9)
    ]
    edits = (*plan_import({}, large, KEYS, prune=False), Edit("same", Change.UNCHANGED))
    groups = list(batches(edits))
    assert [edit for group in groups for edit in group] == list(edits[:-1])
    for group in groups:
        assert sum(len(edit.op.value) for edit in group if edit.op) <= MAX_BATCH_BYTES


def many(number: int, checks: int = 1) -> dict[str, Stored]:
    of_all = record("s", checks=[TCP] * checks)
    return {f"s{n}": Stored(entry(f"s{n}", b""), of_all) for n in range(number)}


def test_no_more_are_written_than_are_run() -> None:
    full = many(MAX_SCHEDULES)
    with pytest.raises(EditRefused) as refused:
        plan_add(full, record("new"), KEYS, replace=False)
    assert (refused.value.code, refused.value.ids) == (EditCode.TOO_MANY, ("new",))
    assert plan_add(full, record("s1", name="x"), KEYS, replace=True)
    with pytest.raises(EditRefused):
        plan_import(full, [record("new"), record("newer")], KEYS, prune=False)
    assert len(plan_import(full, [record("new")], KEYS, prune=True)) == MAX_SCHEDULES + 1
    more = many(MAX_SCHEDULES + 9)
    assert plan_add(more, record("s1", name="x"), KEYS, replace=True)


def test_no_more_checks_are_written_than_are_run() -> None:
    full = many(MAX_CHECKS_IN_ALL // 20, 20)
    with pytest.raises(EditRefused) as refused:
        plan_import(full, [record("new")], KEYS, prune=False)
    assert (refused.value.code, refused.value.ids) == (EditCode.TOO_MANY, ("new",))
    assert plan_import(full, [record("new"), record("s2")], KEYS, prune=False)


def test_a_switch_never_makes_a_schedule_unreadable() -> None:
    checks = [{"kind": "own", "target": "x" * 200, "n": [1] * 190} for _ in range(20)]
    spaced = record("web").model_dump(mode="json", exclude_none=True) | {"checks": checks}
    spaced["newer"] = "x"
    compact = json.dumps(spaced, separators=(",", ":")).encode()
    spaced["newer"] *= MAX_SCHEDULE_BYTES - len(compact) - 2
    compact = json.dumps(spaced, separators=(",", ":")).encode()
    found = stored([entry("web", compact)], KEYS.schedules)
    (edit,) = plan_switch(found, ["web"], enabled=False, now_ms=5)
    assert edit.op is not None
    assert not ScheduleRecord.decode(edit.op.value).enabled
    assert len(edit.op.value) <= MAX_SCHEDULE_BYTES
    off = stored([entry("web", edit.op.value)], KEYS.schedules)
    with pytest.raises(EditRefused) as refused:
        plan_switch(off, ["web"], enabled=True, now_ms=10**15)
    assert (refused.value.code, refused.value.ids) == (EditCode.TOO_LARGE, ("web",))
