"""How a history and what many seeds came to are told."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from coord.telemetry import CATALOGUE
from tests.simulation.batch import SECONDS, again, file_name
from tests.simulation.checker import Violation
from tests.simulation.faults import KINDS
from tests.simulation.history import FIELDS, TOLD_FIELDS, Entry, History, What
from tests.simulation.plan import draw
from tests.simulation.report import annotated, described, document, summary
from tests.simulation.run import Outcome

OUTCOME = Outcome(
    seed=1,
    violations=(),
    elections=3,
    happened=1000,
    seconds=900.0,
    recovered_s=10.0,
    recovery_limit_s=40.0,
    probe="kill",
    probe_s=8.0,
    probe_limit_s=10.0,
    kept=None,
    stale_refused=1,
    tolerated=2,
    digest="",
)


def test_every_detail_has_a_name() -> None:
    assert set(TOLD_FIELDS) == {kind.NAME for kind in CATALOGUE}
    without = {What.FROZEN, What.HUNG, What.THAWED, What.STOPPING}
    assert set(FIELDS) == set(What) - without
    for entry in (
        Entry(1.0, What.ACQUIRED, "core-1", (3, "s")),
        Entry(1.0, What.TOLD, "core-1", ("suspended", 3, "consul_unreachable")),
        Entry(1.0, What.JOB, "", ("asked", "web.1", 1, 3)),
    ):
        assert len(entry.names) == len(entry.details)


def test_a_line_says_what_is_what_and_leaves_out_what_is_unknown() -> None:
    entry = Entry(2.5, What.FAILED, "core-1", ("two words", None))
    assert str(entry) == '    2.500000  failed      core-1     message="two words"'
    started = Entry(2.0, What.STARTED, "core-1", (1, False))
    assert str(started).endswith("boot=1 excused=False")


def test_a_violation_stands_where_it_was_found() -> None:
    history = History()
    for at in (1.0, 2.0, 3.0):
        history.add(at, What.FROZEN, "core-1")
    broken = (Violation(9.0, "left behind", "a task"), Violation(2.0, "two at work", "both"))
    lines = list(annotated(history, broken))
    assert [line.split()[1] for line in lines] == [
        *("frozen", "frozen", "VIOLATION", "frozen", "VIOLATION"),
    ]
    assert lines[2].endswith("two at work: both")


def test_the_top_of_a_history_names_every_node_and_what_is_odd_about_it() -> None:
    plan = draw(7, KINDS)
    told = "\n".join(described(plan))
    for number, rate in enumerate(plan.rates):
        assert f"core-{number + 1}: clock rate {rate:.4f}" in told
    assert all(f"{kind}:" in told for kind in plan.weights)


def test_what_a_world_took_is_told_beside_what_that_world_was_promised() -> None:
    """Not beside another's promise: 8 s of 10 is kept, whatever the default settings promise."""
    found = [OUTCOME, replace(OUTCOME, seed=2, probe_s=3.0, probe_limit_s=3.1)]
    told = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in document(found, 1.0, SECONDS).splitlines()
    ]
    assert ["after all faults ended", "2", "10.00", "10.00", "25 %"] in told
    assert ["kill", "2", "5.50", "8.00", "97 %"] in told


@pytest.mark.parametrize(
    ("seconds", "storm", "options"),
    [
        (SECONDS, False, "--seed 87"),
        (60.0, False, "--seed 87 --seconds 60"),
        (SECONDS, True, "--seed 87 --storm"),
    ],
)
def test_the_command_for_a_seed_can_be_typed(seconds: float, storm: bool, options: str) -> None:
    assert shlex.split(again(87, seconds, storm)) == ["make", "simulate", f"ARGS={options}"]


def test_each_world_of_a_seed_has_a_history_of_its_own() -> None:
    names = [
        file_name(87, seconds, storm) for seconds in (SECONDS, 60.0) for storm in (False, True)
    ]
    assert names == ["seed-87.txt", "seed-87-storm.txt", "seed-87-60s.txt", "seed-87-60s-storm.txt"]


def test_what_is_tolerated_is_told() -> None:
    found = [OUTCOME, OUTCOME]
    assert "after a restore under a running fleet, tolerated: 4\n" in summary(found, 1.0)
    told = document(found, 1.0, SECONDS)
    assert "after a restore under a running fleet, which is tolerated: 4." in told
