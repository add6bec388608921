"""A simulated Consul, shipped: for testing what stands on Consul in virtual time, with faults.

It answers as Consul 1.8 does: the same tests (``tests/conformance``) run on both. In a test of your
own, on the running event loop's time::

    consul = SimulatedConsul.on_loop(seed=1)
    client = consul.client()                       # a `ConsulApi`, as `ConsulClient` is
    await client.kv_put("key", b"value")

With more servers and agents there is more that can break::

    consul = SimulatedConsul.on_loop(seed=1, servers=3)
    agent = consul.agent("node-1")
    client = consul.client(agent, "node-1/process")
    consul.network.cut_both("node-1", "server-1")  # agents and servers are endpoints by name
    consul.network.set("node-1/process", "node-1", loss=0.1)
    consul.servers[0].kill()
    agent.freeze()
    consul.transfer_leader()

Everything happens by a `Scheduler`, and by one `random.Random`: the same seed and the same calls
make the same history. `World` is one in which time passes only when nothing else can happen, and
in which many processes live, each with an event loop and a clock of its own::

    with World() as world:
        consul = SimulatedConsul(world, rng=random.Random(1))

        async def test() -> None:
            client = consul.client()
            await client.kv_put("key", b"value")
            await asyncio.sleep(600)               # takes no time at all

        world.run(test())

`SimulatedNode` runs a whole node, with your own work, in such a world; ``docs/first-steps.md`` has
a fleet of them in a test. It is not imported here, since it brings the whole of a node along::

    from coord.testing.node import SimulatedNode

    with World() as world:
        consul = SimulatedConsul(world, rng=random.Random(1))
        nodes = [SimulatedNode.on(consul, f"core-{n}", work=Reports) for n in (1, 2, 3)]
        for node in nodes:
            node.start()
        world.run_for(30, stop=lambda: any(node.term for node in nodes))

Nodes log as real ones do, each line with the real time. `be_quiet` makes them silent.

Not simulated: ACLs, namespaces, several datacenters, TLS, and checks other than TTL checks; threads
(`coord.leadership.to_thread` too), sockets, files that are waited for, and processes: they raise
NotImplementedError.
"""

from coord.testing.consul.agent import SimulatedAgent
from coord.testing.consul.agent_sync import AgentTimes
from coord.testing.consul.client import SimulatedClient
from coord.testing.consul.cluster import SimulatedConsul
from coord.testing.consul.network import Link, LinkSettings, Network
from coord.testing.consul.server import SimulatedServer
from coord.testing.quiet import be_quiet
from coord.testing.scheduler import LoopScheduler, Scheduled, Scheduler
from coord.testing.world import ProcessLoop, World

__all__ = [
    "AgentTimes",
    "Link",
    "LinkSettings",
    "LoopScheduler",
    "Network",
    "ProcessLoop",
    "Scheduled",
    "Scheduler",
    "SimulatedAgent",
    "SimulatedClient",
    "SimulatedConsul",
    "SimulatedServer",
    "World",
    "be_quiet",
]
