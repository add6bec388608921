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
make the same history. A scheduler of your own lets time jump; see ``tests/support/stepped.py``.

Not simulated: ACLs, namespaces, several datacenters, TLS, and checks other than TTL checks.
"""

from coord.testing.consul.agent import SimulatedAgent
from coord.testing.consul.agent_sync import AgentTimes
from coord.testing.consul.client import SimulatedClient
from coord.testing.consul.cluster import SimulatedConsul
from coord.testing.consul.network import Link, LinkSettings, Network
from coord.testing.consul.server import SimulatedServer
from coord.testing.scheduler import LoopScheduler, Scheduled, Scheduler

__all__ = [
    "AgentTimes",
    "Link",
    "LinkSettings",
    "LoopScheduler",
    "Network",
    "Scheduled",
    "Scheduler",
    "SimulatedAgent",
    "SimulatedClient",
    "SimulatedConsul",
    "SimulatedServer",
]
