"""Benchmarks on a real Consul: how long nobody leads, and what a node costs at rest."""

# The fleet, its witness and the way to consul-dev's modules are the demo's.
import demo as demo
