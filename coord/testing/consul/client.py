"""`SimulatedClient`: `ConsulApi` on a simulated Consul, as `ConsulClient` is on a real one."""

from __future__ import annotations

from coord.testing.consul.client_agent_calls import AgentCalls, SessionCalls
from coord.testing.consul.client_cluster_calls import ClusterCalls
from coord.testing.consul.client_key_calls import KeyCalls


class SimulatedClient(KeyCalls, SessionCalls, AgentCalls, ClusterCalls):
    """What a process asks of a simulated agent; made by `SimulatedConsul.client`.

    Arguments are checked, and errors made, as by `ConsulClient`.
    """
