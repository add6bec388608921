"""When a poller takes over a lower term, and when not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.polling.fence import Seen
from coord.records import MAX_TERM

KNOWN = Seen(501, create_index=12, modify_index=900)


@pytest.mark.parametrize(
    ("read", "why"),
    [
        (Seen(20, 31, 60), "wiped"),
        (Seen(20, 31, 4000), "wiped, and its indexes have overtaken the old ones"),
        (Seen(20, 12, 60), "wiped, and made at the same index by chance"),
        (Seen(490, 12, 880), "restored from a snapshot"),
    ],
)
def test_a_consul_that_went_back_lowers_the_term(read: Seen, why: str) -> None:
    assert KNOWN.confirmed(KNOWN, read) == read, why
    assert KNOWN.raised(read) == KNOWN, "only a consistent read may"


def test_a_lower_number_written_by_hand_lowers_nothing() -> None:
    edited = Seen(20, KNOWN.create_index, KNOWN.modify_index + 1)
    assert KNOWN.confirmed(KNOWN, edited) == KNOWN


def test_an_answer_that_was_overtaken_lowers_nothing() -> None:
    before = Seen(500, 12, 850)
    for read in (before, Seen(500, 31, 40), Seen(20, 31, 40)):
        assert KNOWN.confirmed(before, read) == KNOWN


def test_a_term_on_trust_holds_until_a_consistent_read_denies_it() -> None:
    trusted = KNOWN.raised(Seen(600))
    assert trusted == Seen(600)
    assert trusted.raised(KNOWN) == trusted
    assert trusted.confirmed(trusted, Seen(600, 12, 950)) == Seen(600, 12, 950)
    assert trusted.confirmed(trusted, KNOWN) == KNOWN


def test_a_term_on_trust_does_not_hide_the_indexes_that_were_read() -> None:
    assert KNOWN.raised(Seen(KNOWN.term)) == KNOWN


@given(
    st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=20),
    st.data(),
)
def test_within_one_life_of_consul_nothing_is_ever_lowered(
    writes: list[tuple[int, bool]], data: st.DataObject
) -> None:
    """Reads may be old and come in any order; consistent ones show at least what was known."""
    history = []
    term, index = 0, 10
    for step, _ in writes:
        term, index = term + step, index + step
        history.append(Seen(term, 11, index))
    known, newest = Seen(), 0
    for _, consistent in writes:
        before = known
        if consistent:
            floor = next((n for n, s in enumerate(history) if s.term >= before.term), 0)
            at = data.draw(st.integers(floor, len(history) - 1))
            overtaking = data.draw(st.integers(0, len(history) - 1))
            if data.draw(st.booleans()):
                known = known.raised(history[overtaking])
            known = known.confirmed(before, history[at])
            newest = max(newest, history[at].term)
        else:
            at = data.draw(st.integers(0, len(history) - 1))
            read = history[at]
            known = known.raised(data.draw(st.sampled_from([read, Seen(read.term)])))
            newest = max(newest, read.term)
        assert known.term >= before.term
        assert known.term >= newest


def test_a_term_at_its_limit_is_left_for_one_that_was_started_over() -> None:
    stuck = Seen(MAX_TERM, 4, 50)
    assert stuck.confirmed(stuck, Seen(61, 4, 60)) == Seen(61, 4, 60)
