"""The random mixture, for COORD_CHAOS_MINUTES; its seed is printed, COORD_CHAOS_SEED repeats it."""

from __future__ import annotations

import os
import time

import pytest

from tests.chaos.conduct import Conducted
from tests.chaos.mixture import MIXTURE, draw_seed, seeds

MINUTES = float(os.environ.get("COORD_CHAOS_MINUTES", "2"))
SEED = int(os.environ.get("COORD_CHAOS_SEED") or draw_seed())

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(60 * MINUTES + 600),
]


async def test_mixture(conducted: Conducted) -> None:
    print(f'seed {SEED}; one round again: make chaos ARGS="--replay {SEED}:N"')
    end = time.monotonic() + 60 * MINUTES
    for seed in seeds(SEED):
        run = await conducted(MIXTURE, seed)
        assert run.overlaps == 0
        assert run.stale_refused == run.stale_attempted
        assert run.polls.lost == 0
        if time.monotonic() >= end:
            return
