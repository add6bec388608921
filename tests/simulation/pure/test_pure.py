"""Elections one upon the other: no seed breaks a promise, and planted faults are found."""

from __future__ import annotations

import pytest
from election_planted import PLANTED

from tests.simulation.pure.storm import PureReport, lines_of, main, run_pure, walk

FIRST_SEED = 1
ELECTIONS = 10_000


@pytest.mark.timeout(600)
def test_ten_thousand_elections_break_no_promise() -> None:
    told: list[int] = []
    report = run_pure(ELECTIONS, first_seed=FIRST_SEED, workers=2, progress=told.append)
    print(*lines_of(report, FIRST_SEED), sep="\n")
    assert report.violation is None, lines_of(report, FIRST_SEED)
    assert report.elections >= ELECTIONS
    assert told == sorted(told)
    assert told[-1] == report.elections
    assert report.simulated_s > report.real_s > 0


def test_a_seed_is_the_same_history_every_time() -> None:
    assert walk(3, steps=500) == walk(3, steps=500)
    assert walk(3, steps=500) != walk(4, steps=500)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("planted", PLANTED)
def test_a_fault_planted_into_the_machine_is_found(planted: str) -> None:
    report = PureReport()
    for seed in range(FIRST_SEED, FIRST_SEED + 100):
        report += walk(seed, PLANTED[planted])
        if report.violation is not None:
            break
    assert report.violation is not None, f"not in {report.elections} elections"
    assert report.violation.actions
    again = walk(report.violation.seed, PLANTED[planted])
    assert again.violation == report.violation
    assert f"--seed {report.violation.seed}" in lines_of(report, FIRST_SEED)[-1]


def test_the_command_tells_its_seed_and_what_came_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--elections", "1", "--workers", "1", "--seed", "12"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("seed 12\n")
    assert "no promise was broken" in out
