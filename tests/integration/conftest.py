"""A real Consul for the integration tests; see `consul_fixtures`."""

import pytest
import rights_bench
from consul_fixtures import (
    consul,
    consul_agent,
    consul_binary,
    locked_agent,
    make_agent,
    name,
    rights,
)

__all__ = [
    "consul",
    "consul_agent",
    "consul_binary",
    "locked_agent",
    "make_agent",
    "name",
    "rights",
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that are marked run a second time with ACLs on."""
    rights_bench.parametrize(metafunc)
