"""What the election is told of the two keys, and why an acquire was refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.consul import KVEntry, TxnError, TxnResult
from coord.election.reasons import TakeoverOutcome
from coord.leader_key import refusal_of, view_of
from coord.records import LeaderRecord, LeaderState, encode_term

KEY, TERM = "service/coordinator/leader", "service/coordinator/term"


def leader(
    record: LeaderRecord | bytes, *, session: str | None = None, lock_index: int = 1
) -> KVEntry:
    value = record if isinstance(record, bytes) else record.encode()
    return KVEntry(KEY, value, session=session, lock_index=lock_index, modify_index=40)


def term(value: bytes, *, flags: int = 2500) -> KVEntry:
    return KVEntry(TERM, value, flags=flags, modify_index=39)


VACANT = LeaderRecord(state=LeaderState.VACANT, term=7, node="core-1", why="handed_over")
HELD = LeaderRecord(state=LeaderState.HELD, term=7, node="core-1", fenced_within_ms=4000)


def test_no_keys_at_all() -> None:
    view = view_of(None, None)
    assert view.missing
    assert not view.handed_over
    assert view.term is None


def test_a_vacancy_that_was_handed_over() -> None:
    assert view_of(leader(VACANT), term(encode_term(7))).handed_over


@pytest.mark.parametrize(
    ("entry", "term_entry"),
    [
        (leader(VACANT, lock_index=0), term(b"7")),  # somebody edited the key
        (leader(VACANT), term(b"8")),  # a term was taken since
        (leader(VACANT), None),
        (leader(VACANT), term(b"seven")),
        (leader(VACANT, session="s"), term(b"7")),
        (leader(HELD), term(b"7")),  # the holder's session went
        (leader(b""), term(b"7")),
    ],
)
def test_every_other_vacancy_is_unknown(entry: KVEntry, term_entry: KVEntry | None) -> None:
    assert not view_of(entry, term_entry).handed_over


def test_how_late_the_holder_stops_stands_in_the_record_and_in_the_terms_flags() -> None:
    view = view_of(leader(HELD, session="s"), term(b"7", flags=2500))
    assert view.record_fenced_within == 4.0
    assert view.term_fenced_within == 2.5


@pytest.mark.parametrize("flags", [0, 3_600_001, 2**63])
def test_flags_that_are_no_sensible_time_say_nothing(flags: int) -> None:
    assert view_of(None, term(b"7", flags=flags)).term_fenced_within is None


@given(st.binary(max_size=200))
def test_any_bytes_in_the_keys_give_a_view(raw: bytes) -> None:
    view = view_of(leader(raw, session="s"), term(raw))
    assert view.session == "s"


@given(
    st.dictionaries(
        st.sampled_from(list(LeaderRecord.model_fields)),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
    )
)
def test_any_json_in_the_key_gives_a_view(record: dict[str, object]) -> None:
    view_of(leader(json.dumps(record).encode()))


def refused(*errors: tuple[int, str]) -> TakeoverOutcome:
    return refusal_of(TxnResult(ok=False, errors=tuple(TxnError(*each) for each in errors)))


STALE = (0, 'failed index check for key "k", current modify index 5 != 4')


@pytest.mark.parametrize(
    ("errors", "outcome"),
    [
        ([(1, 'failed to lock key "k", lock is already held')], TakeoverOutcome.HELD),
        ([STALE, (1, "lock is already held")], TakeoverOutcome.HELD),
        ([(1, 'key "k" cannot be locked due to lock delay')], TakeoverOutcome.LOCK_DELAY),
        ([(1, 'invalid session "x"')], TakeoverOutcome.NO_SESSION),
        ([STALE], TakeoverOutcome.VACANCY_CHANGED),
        ([STALE, (2, "index is stale")], TakeoverOutcome.VACANCY_CHANGED),
        ([(2, "failed to set key, index is stale")], TakeoverOutcome.TERM_MOVED),
        ([(3, "key doesn't exist")], TakeoverOutcome.REFUSED),
        ([], TakeoverOutcome.REFUSED),
    ],
)
def test_why_an_acquire_was_refused(
    errors: list[tuple[int, str]], outcome: TakeoverOutcome
) -> None:
    assert refused(*errors) is outcome
