"""Worlds from seeds: no promise is broken in any, and the same seed is the same world."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from coord.testing import be_quiet
from tests.simulation.batch import SECONDS, again
from tests.simulation.faults import KINDS
from tests.simulation.history import What
from tests.simulation.plan import draw
from tests.simulation.probes import PROBES
from tests.simulation.run import probe_of, run

REPO = Path(__file__).resolve().parent.parent.parent
SEEDS = int(os.environ.get("COORD_SIMULATION_SEEDS", "200"))
BLOCK = 10


@pytest.fixture(autouse=True)
def _quiet() -> None:
    be_quiet()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_no_promise_is_broken(first: int) -> None:
    """Five nodes, five minutes of faults; see `run` for what comes after and `checker` for what
    is judged."""
    broken = []
    elections = 0
    for seed in range(first, first + BLOCK):
        outcome, _ = run(seed)
        elections += outcome.elections
        broken += [f"seed {seed}: {violation}" for violation in outcome.violations[:3]]
    assert not broken, "\n".join([*broken, f"again, with its history: {again('SEED', SECONDS)}"])
    assert elections > 5 * BLOCK, "leaders must have changed, or nothing was tried"


def test_a_seed_is_the_same_history_byte_for_byte() -> None:
    """Also in another process, whose sets and dicts of strings are in another order."""
    code = (
        "from coord.testing import be_quiet; be_quiet()\n"
        "from tests.simulation.run import run\n"
        "print([run(seed, seconds=60.0)[0].digest for seed in (3, 4, 5)])\n"
    )

    def digests(hash_seed: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=REPO,
            env={**os.environ, "PYTHONPATH": str(REPO), "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert digests("1") == digests("2")


def test_another_seed_is_another_history() -> None:
    assert len({run(seed, seconds=20.0)[0].digest for seed in range(4)}) == 4


@pytest.mark.timeout(300)
def test_every_kind_of_fault_is_done_to_leaders_and_others() -> None:
    """What a plan may draw really happens, and the nodes really notice."""
    drawn = Counter(kind for seed in range(SEEDS) for kind in draw(seed, KINDS).weights)
    assert set(drawn) == set(KINDS)
    assert min(drawn.values()) >= SEEDS // 10
    done: Counter[str] = Counter()
    told: Counter[str] = Counter()
    for seed in range(12):
        for entry in run(seed, seconds=120.0)[1]:
            if entry.what is What.FAULT:
                done[entry.details[0]] += 1
            elif entry.what is What.TOLD:
                told[entry.details[0]] += 1
    assert len(done) > 0.8 * len(KINDS)
    for name in ("suspended", "resumed", "lost_leadership", "takeover_attempted", "leader_down"):
        assert told[name] > 0, f"no {name} in all of these worlds"


def test_every_last_fault_is_drawn_often() -> None:
    drawn = Counter(probe_of(seed) for seed in range(SEEDS))
    assert set(drawn) == set(PROBES)
    assert min(drawn.values()) >= SEEDS // (3 * len(PROBES))
