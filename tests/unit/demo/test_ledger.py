"""Reading along in Consul: a write that lands a term late is found."""

from __future__ import annotations

from demo.ledger import Ledger, WentBack


def noted(*values: bytes) -> Ledger:
    ledger = Ledger()
    for index, value in enumerate(values, 10):
        ledger.note(value, index)
    return ledger


def test_terms_that_go_up_are_in_order() -> None:
    ledger = noted(b"term 1, write 0", b"term 1, write 1", b"term 3, write 0")
    assert ledger.went_back == ()
    assert (ledger.seen, ledger.unseen) == (3, 0)


def test_a_write_of_an_older_term_is_found() -> None:
    ledger = noted(b"term 1, write 0", b"term 2, write 0", b"term 1, write 1", b"term 2, write 1")
    assert ledger.went_back == (WentBack(term=1, newer_term=2, modify_index=12),)


def test_a_value_that_no_leader_wrote_is_found() -> None:
    assert noted(b"term 1, write 0", b"something else").went_back


def test_versions_that_were_not_shown_are_counted() -> None:
    assert noted(b"term 1, write 0", b"term 1, write 3").unseen == 2


def test_the_same_version_twice_counts_once() -> None:
    ledger = Ledger()
    ledger.note(b"term 1, write 0", 5)
    ledger.note(b"term 1, write 0", 5)
    assert ledger.seen == 1
