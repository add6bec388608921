"""Random calls on keys, transactions and sessions: both Consuls must say the same to each."""

from __future__ import annotations

import random

import pytest
from conformance_bench import Bench
from differential import Side, carry_out, draw, same_order
from stepped import SteppedScheduler

from coord.testing import SimulatedConsul

CALLS = 300


# Both in one test, side by side.
@pytest.mark.asyncio(loop_factories=["real"])
@pytest.mark.parametrize("seed", range(4))
async def test_both_answer_alike(bench: Bench, seed: int) -> None:
    real = Side((await bench.dev()).client())
    scheduler = SteppedScheduler()
    consul = SimulatedConsul(scheduler, rng=random.Random(seed), servers=1)
    simulated = Side(consul.client())
    for number, asked in enumerate(draw(random.Random(seed), CALLS)):
        # Told together with the call: a difference is to be read off the failure.
        at = f"seed {seed}, call {number}: {asked}"
        theirs = await carry_out(real, asked)
        ours = await scheduler.until_done(carry_out(simulated, asked))
        assert (at, ours) == (at, theirs)
    assert same_order(real.indexes, simulated.indexes)
