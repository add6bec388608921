"""Faults on a real cluster, every host a network namespace of its own: `python -m tests.chaos`."""

import demo

__all__ = ["demo"]
"""Imported first: it is what puts consul-dev, which is no package, where imports find it."""
