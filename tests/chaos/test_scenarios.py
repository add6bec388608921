"""Each scenario, repeated: COORD_CHAOS_REPEAT says how often, COORD_CHAOS_SEED what is drawn.

Those that take long are done half as often.
"""

from __future__ import annotations

import os

import pytest

from tests.chaos.conduct import Conducted
from tests.chaos.scenarios import SCENARIOS

REPEAT = int(os.environ.get("COORD_CHAOS_REPEAT", "2"))
SEED = os.environ.get("COORD_CHAOS_SEED", "1")

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


RUNS = [
    (name, repeat)
    for name, scenario in SCENARIOS.items()
    for repeat in range((REPEAT + 1) // 2 if scenario.takes_long else REPEAT)
]


@pytest.mark.parametrize(("name", "repeat"), RUNS)
async def test_scenario(conducted: Conducted, name: str, repeat: int) -> None:
    run = await conducted(SCENARIOS[name], f"{SEED}-{name}-{repeat}", repeat=repeat)
    assert run.overlaps == 0
    assert run.stale_refused == run.stale_attempted
    if name == "freeze":
        assert run.stale_attempted > 0, "it was frozen with a write in hand, and then woken"
    assert run.polls.run > 0
    assert run.polls.lost == 0
