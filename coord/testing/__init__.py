"""A simulated Consul, shipped: for testing what stands on Consul in virtual time, with faults."""
