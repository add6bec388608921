"""The simulation finds each of the deliberate faults, within the seeds that CI runs."""

from __future__ import annotations

import pytest

from coord.testing import be_quiet
from tests.simulation.mutants import FOUND_BY, MUTANTS
from tests.simulation.run import run
from tests.simulation.test_seeds import SEEDS


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", MUTANTS)
def test_a_deliberate_fault_is_found(name: str) -> None:
    be_quiet()
    with MUTANTS[name]():
        for seed in range(SEEDS):
            outcome, _ = run(seed)
            for violation in outcome.violations:
                if violation.rule in FOUND_BY[name]:
                    print(f"{name}: seed {seed}, {violation}")
                    return
    pytest.fail(f"{name} was not found in {SEEDS} seeds")


def test_there_are_enough_of_them() -> None:
    assert len(MUTANTS) >= 15
