"""The contract: names, paths, services, records."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.records import (
    MAX_TERM,
    AuditRecord,
    LeaderRecord,
    LeaderState,
    Paths,
    PauseRecord,
    Record,
    RecordError,
    check_name,
    decode_term,
    encode_term,
)

NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True).filter(lambda n: n.strip("."))
HARD = [
    "coordinator",
    "candidate",
    "observer",
    "x",
    "candidate-x",
    "x-coordinator",
    "coordinator-x",
]


def services(election: str) -> set[str]:
    paths = Paths(election)
    return {paths.leader_service, paths.candidate_service, paths.observer_service}


@pytest.mark.parametrize(("one", "other"), list(combinations(HARD, 2)))
def test_no_two_elections_share_a_service(one: str, other: str) -> None:
    assert not services(one) & services(other)


@given(NAMES, NAMES)
def test_nor_do_any_others(one: str, other: str) -> None:
    assert one == other or not services(one) & services(other)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "ä", "a\n", "x" * 129])
def test_a_name_that_could_reach_another_key_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="election"):
        check_name("election", name)


def test_a_record_survives_its_journey() -> None:
    record = LeaderRecord(state=LeaderState.HELD, term=7, node="core-1", successors=("core-2",))
    assert LeaderRecord.decode(record.encode()) == record


def test_what_a_newer_version_adds_is_ignored() -> None:
    raw = b'{"v": 9, "state": "held", "term": 7, "node": "core-1", "mood": "good"}'
    assert LeaderRecord.decode(raw).term == 7


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"", ""),
        (b"[]", ""),
        (b"\xff", ""),
        (b"{}", "state"),
        (b'{"state": "asleep"}', "state"),
        (b'{"state": "held", "term": -1}', "term"),
        (b'{"state": "held", "term": "7"}', "term"),
        (b'{"state": "held", "node": "../x"}', "node"),
        (b'{"state": "held", "successors": ["a", "b", "c", "d"]}', "successors"),
        (b'{"state": "held", "fenced_within_ms": 3600001}', "fenced_within_ms"),
    ],
)
def test_a_record_that_is_none_names_the_field(raw: bytes, field: str) -> None:
    with pytest.raises(RecordError) as caught:
        LeaderRecord.decode(raw)
    assert caught.value.field.split(".")[0] == field


CONTROL = {"actor": "ann", "reason": "why", "request_id": "a" * 16, "for_ms": 1}
AUDIT = {"operation": "pause", "actor": "ann", "reason": "why", "request_id": "a" * 16}
MOMENTS: list[tuple[type[Record], dict[str, Any], str]] = [
    (PauseRecord, CONTROL, "at"),
    (AuditRecord, AUDIT, "at"),
    (AuditRecord, AUDIT | {"at": "2026-01-02T03:04:05Z"}, "finished_at"),
    (LeaderRecord, {"state": "held"}, "since"),
]


@pytest.mark.parametrize(("kind", "body", "field"), MOMENTS)
@pytest.mark.parametrize(
    "said", ["2026-01-02T03:04:05", "2026-01-02T03:04:05Z", "2026-01-02T05:34:05+02:30"]
)
def test_every_moment_is_in_utc(
    kind: type[Record], body: dict[str, Any], field: str, said: str
) -> None:
    record = kind.decode(json.dumps(body | {field: said}).encode())
    moment = getattr(record, field)
    assert moment == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(("kind", "body", "field"), MOMENTS)
@pytest.mark.parametrize(
    "said",
    [
        "0001-01-01T00:00:00",
        "0001-01-01T00:00:00+14:00",
        "1970-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59",
        "9999-12-31T23:59:59-12:00",
        "9000-12-31T23:59:59-01:00",
        -1,
    ],
)
def test_a_moment_that_nobody_can_work_with_is_none(
    kind: type[Record], body: dict[str, Any], field: str, said: object
) -> None:
    with pytest.raises(RecordError) as caught:
        kind.decode(json.dumps(body | {field: said}).encode())
    assert caught.value.field == field


@given(st.integers(1, MAX_TERM))
def test_terms(term: int) -> None:
    assert decode_term(encode_term(term)) == term


@pytest.mark.parametrize("raw", [b"", b"0", b"-1", b"1.0", b" 1", b"1\n", b"9" * 20, b"one"])
def test_what_is_no_term(raw: bytes) -> None:
    with pytest.raises(RecordError):
        decode_term(raw)
