"""Faults on a real cluster, every host a network namespace of its own: `python -m tests.chaos`."""
