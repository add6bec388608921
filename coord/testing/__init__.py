"""A simulated Consul, shipped: for testing what stands on Consul in virtual time, with faults."""

from coord.testing.client import SimulatedClient
from coord.testing.cluster import SimulatedConsul

__all__ = ["SimulatedClient", "SimulatedConsul"]
