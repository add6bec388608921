"""A real Consul for the runbooks; see `runbook_stages`."""

from consul_fixtures import consul_binary

__all__ = ["consul_binary"]
