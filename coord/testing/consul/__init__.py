"""The simulated Consul: its servers and their log, its agents, its network, and its clients."""
