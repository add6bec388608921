"""A real Consul, and Prometheus's programs: missing ones are a reason to skip, in CI a failure."""

from __future__ import annotations

import os

import pytest
from consul_fixtures import consul_binary

from debian_package import ObtainError
from get_prometheus import Tools, get_prometheus

__all__ = ["consul_binary"]


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Prometheus, promtool and Alertmanager, obtained and verified as consul-dev does it."""
    try:
        return get_prometheus()
    except ObtainError as error:
        if os.environ.get("CI"):
            pytest.fail(f"in CI the alerts must be tried: {error}")
        pytest.skip(str(error))
