"""A real Consul for the console's tests; see `consul_fixtures`."""

from consul_fixtures import (
    consul,
    consul_agent,
    consul_binary,
    locked_agent,
    make_agent,
    name,
)

__all__ = ["consul", "consul_agent", "consul_binary", "locked_agent", "make_agent", "name"]
