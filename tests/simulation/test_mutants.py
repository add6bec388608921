"""The simulation finds each of the deliberate faults, within the seeds that CI runs."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS
from tests.simulation.planted import Finding, find, kept, known
from tests.simulation.test_seeds import SEEDS


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", MUTANTS)
def test_a_deliberate_fault_is_found(name: str) -> None:
    finding = known().get(name)
    first = [finding.seed] if finding is not None and finding.seed < SEEDS else []
    found = find(name, [*first, *(seed for seed in range(SEEDS) if seed not in first)])
    assert found is not None, f"not in {SEEDS} seeds"
    print(f"{name}: seed {found.seed}, {found.rule}")


def test_there_are_enough_of_them() -> None:
    assert len(MUTANTS) >= 15


def test_what_was_found_before_is_of_faults_that_there_are() -> None:
    assert set(known()) <= set(MUTANTS)


def test_seeds_that_were_not_tried_again_stay_in_the_record() -> None:
    """`SEEDS=1` says nothing about what seed 93 shows."""
    at_93, at_30, at_150 = (Finding(seed, "two at work") for seed in (93, 30, 150))
    assert kept(at_93, None, range(1)) == at_93
    assert kept(at_93, at_150, range(100, 200)) == at_93
    assert kept(at_93, at_30, range(50)) == at_30
    assert kept(at_93, None, range(200)) is None
    assert kept(at_93, at_150, range(200)) == at_150
    assert kept(None, at_30, range(50)) == at_30
