"""Who leads: the acceptance list of the election, with real nodes on a real Consul."""

from __future__ import annotations

from acceptance import Bench


async def test_three_at_once_and_exactly_one_leads(bench: Bench) -> None:
    nodes = await bench.fleet.start("core-1", "core-2", "web-1")
    leader, term = await bench.working_leader()
    for node in nodes:
        await node.state("leading" if node is leader else "standby")
    won = [n.name for n in nodes for e in n.events("became_leader")]
    assert won == [leader.name]
    seen = await bench.report()
    assert [(each.node, each.term) for each in seen.terms] == [(leader.name, term)]
