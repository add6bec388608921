"""Each scenario, repeated: COORD_CHAOS_REPEAT says how often, COORD_CHAOS_SEED what is drawn.

Those that take long are done half as often.
"""

from __future__ import annotations

import os

import pytest

from tests.chaos.conduct import Conducted
from tests.chaos.runs import Run
from tests.chaos.scenarios import SCENARIOS

REPEAT = int(os.environ.get("COORD_CHAOS_REPEAT", "2"))
MOST_FREEZES = 6
SEED = os.environ.get("COORD_CHAOS_SEED", "1")

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


RUNS = [
    (name, repeat)
    for name, scenario in SCENARIOS.items()
    for repeat in range((REPEAT + 1) // 2 if scenario.takes_long else REPEAT)
]


@pytest.mark.parametrize(("name", "repeat"), RUNS)
async def test_scenario(conducted: Conducted, name: str, repeat: int) -> None:
    judge(await conducted(SCENARIOS[name], f"{SEED}-{name}-{repeat}", repeat=repeat))


@pytest.mark.timeout(60 * MOST_FREEZES + 120)
async def test_a_frozen_leader_that_has_writes_in_hand_is_refused_them(
    conducted: Conducted,
) -> None:
    """Mostly it has, but it may be frozen between two, or end before it sends on."""
    for repeat in range(REPEAT, REPEAT + MOST_FREEZES):
        run = await conducted(SCENARIOS["freeze"], f"{SEED}-freeze-{repeat}", repeat=repeat)
        judge(run)
        if run.stale_attempted:
            return
    pytest.fail(f"no stale write was tried in {MOST_FREEZES} runs: this shows nothing")


def judge(run: Run) -> None:
    assert run.overlaps == 0
    assert run.stale_refused == run.stale_attempted
    assert run.polls.run > 0
    assert run.polls.lost == 0
