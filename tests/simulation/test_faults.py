"""What a history says of the faults in it, and the table of them."""

from __future__ import annotations

from collections import Counter

from coord.testing import be_quiet
from tests.simulation.fault_table import faults_table
from tests.simulation.faults import KINDS
from tests.simulation.history import What
from tests.simulation.run import run


def test_a_history_names_what_a_fault_hit_and_when_that_was_over() -> None:
    be_quiet()
    hit: Counter[tuple[str, str, str]] = Counter()
    undone: Counter[tuple[str, str, str]] = Counter()
    for seed in (17, 19):
        for entry in run(seed, seconds=120.0)[1]:
            if entry.what is What.HIT and len(entry.details) > 1:
                kind, _, ways = entry.details
                hit[entry.who, kind, ways] += 1
            elif entry.what is What.UNDONE:
                kind, ways = entry.details
                undone[entry.who, kind, ways] += 1
                assert undone <= hit
    assert hit == undone
    whom = {who.split("-")[0] for who, _, _ in hit}
    assert whom == {"core", "host", "server", "network"}
    assert all(bool(ways) is (who == "network") for who, _, ways in hit)


def test_a_history_names_the_session_that_an_operator_destroyed() -> None:
    be_quiet()
    _, history = run(17, seconds=120.0)
    entries = [each for each in history if each.what is What.FAULT]
    destroyed = [each.details[1] for each in entries if each.details[0] == "destroy_any_session"]
    assert destroyed
    created = {each.details[1] for each in history if each.what is What.ACQUIRED}
    assert created & set(destroyed), "now and then it is the leader's"


def test_the_table_has_every_kind_of_fault_with_what_it_is() -> None:
    rows = [row.split(" | ") for row in faults_table().splitlines()[2:]]
    assert [row[1].replace(" ", "_") for row in rows] == list(KINDS)
    assert all(row[2].rstrip(" |").endswith(".") for row in rows)
