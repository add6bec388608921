"""An agent that has something new to write while Consul has no leader; part of the long suite."""

from __future__ import annotations

import pytest
from conformance_bench import Bench, now
from consul_agents import eventually, session_with_check

from coord.consul import CheckStatus, ConsulUnavailable, no_leader

pytestmark = pytest.mark.timeout(300)


async def test_it_keeps_everybody_waiting(bench: Bench, name: str) -> None:
    """It holds the lock on what it keeps for as long as a server holds its request."""
    (_, *others), beside = await bench.cluster()
    consul = beside.client()
    await session_with_check(consul, name)
    for other in others:
        await other.kill()
    await eventually(lambda: no_leader(consul), within_s=60.0)

    started = now()
    assert await consul.check_pass(name, deadline_s=60)
    assert now() - started < 5, "nothing is new"

    # New: tried at once, before it is answered, and then with each call.
    with pytest.raises(ConsulUnavailable) as caught:
        await consul.check_fail(name, deadline_s=1)
    assert caught.value.outcome_unknown
    with pytest.raises(ConsulUnavailable):
        await consul.agent_checks(deadline_s=1)
    with pytest.raises(ConsulUnavailable) as caught:
        await consul.check_pass(name, deadline_s=1)
    assert caught.value.outcome_unknown
    # Given the time, each is carried out.
    checks = await consul.agent_checks(deadline_s=100)
    assert checks[name].status in (CheckStatus.PASSING, CheckStatus.CRITICAL)
    assert await consul.check_pass(name, deadline_s=100)
    assert (await consul.agent_checks(deadline_s=100))[name].status is CheckStatus.PASSING
