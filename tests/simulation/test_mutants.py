"""The simulation finds each of the deliberate faults, within the seeds that CI runs."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS
from tests.simulation.planted import find, known
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
