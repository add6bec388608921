"""Random faults: what Consul promises holds, what it does not is seen to fail, and all repeats."""

from __future__ import annotations

import pytest
from consul_faults import Stage

from coord.consul import Consistency

SECONDS = 200.0


@pytest.mark.parametrize("seed", range(6))
async def test_what_was_told_stays_and_the_servers_agree(seed: int) -> None:
    stage = Stage(seed)
    await stage.run(SECONDS)
    await stage.heal()
    seen, consul = stage.seen, stage.consul
    assert seen.wrong == []
    assert seen.reads > 300
    # Each value was committed once, in order: nothing that counted was undone or done twice.
    assert seen.committed == list(range(1, len(seen.committed) + 1))
    assert seen.told <= len(seen.committed)
    assert consul.leader() is not None
    for server in consul.servers:
        server.catch_up()
    assert len({server.store.snapshot() for server in consul.servers}) == 1
    assert consul.describe()["failed"] == []


async def test_default_reads_are_seen_to_be_wrong_at_times() -> None:
    """Else neither the deposed leader nor the check above would be worth much."""
    wrong = 0
    for seed in range(8):
        # A lease that outlasts elections: two leaders more often than by Consul's own timing.
        stage = Stage(seed, consistency=Consistency.DEFAULT, lease_s=(4.0, 8.0))
        await stage.run(SECONDS)
        wrong += len(stage.seen.wrong)
    assert wrong > 0


async def test_the_same_seed_has_the_same_history() -> None:
    histories = []
    for seed in (3, 3, 4):
        stage = Stage(seed)
        await stage.run(60.0)
        histories.append("\n".join(map(str, stage.history)))
    assert histories[0] == histories[1]
    assert histories[0] != histories[2]
