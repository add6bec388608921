"""Tests that run twice: on a Consul that allows everything, and on one that denies by default.

A module or a test marked ``also_with_acls`` gets the fixture `rights` once in each kind. Where
ACLs are on, each node, and each command, has the token of its role and no other:

    pytestmark = pytest.mark.also_with_acls

    async def test_…(rights: Rights) -> None:
        fleet = Fleet(rights.agent.http_addr, …, election=rights.election, more=rights.of_node)
        run("coord", "pause", env=rights.of(Role.OPERATOR))

What a test's own work needs besides is said with the mark, as rules by role:
``also_with_acls(candidate='key_prefix "reports/" { policy = "write" }')``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from consul_agents import ConsulAgent

from coord.config import Settings
from coord.rights import Role, policy
from demo.fleet import Fleet
from secure import make_policy, make_token

ANONYMOUS = "00000000-0000-0000-0000-000000000002"
DNS_RULES = """
service_prefix "" { policy = "read" }
node_prefix ""    { policy = "read" }
"""


@dataclass(frozen=True)
class Rights:
    """Who may do what on `agent` in `election`: everybody everything, or each its own.

    token: what the test itself may use, for everything; None: it needs none.
    secrets: the token of each role; empty where ACLs are off.
    """

    agent: ConsulAgent
    election: str
    token: str | None = field(default=None, repr=False)
    secrets: Mapping[Role, str] = field(default_factory=dict, repr=False)

    @property
    def on(self) -> bool:
        """Whether ACLs are on."""
        return bool(self.secrets)

    def of(self, role: Role) -> dict[str, str]:
        """What gives a command the rights of that role: variables of its environment."""
        return {"CONSUL_HTTP_TOKEN": self.secrets[role]} if self.on else {}

    def of_node(self, settings: Settings) -> dict[str, str]:
        """What gives a node the rights it needs: see `demo.fleet.Fleet`."""
        return self.of(Role.CANDIDATE if settings.eligibility.eligible else Role.POLLER)


def tokens_for(
    agent: ConsulAgent, election: str, extra: Mapping[Role, str] | None = None
) -> dict[Role, str]:
    """Make a token for each role of the election, for use with that agent alone.

    extra: further rules of a role, as text.
    """
    settings = Settings(environ={}, node="any", election=election)
    secrets = {}
    for role in Role:
        rules = policy(role, settings, agent=agent.name) + (extra or {}).get(role, "")
        make_policy(agent, f"{election}-{role}", rules)
        secrets[role] = make_token(agent, f"{election} {role}", f"{election}-{role}")[1]
    return secrets


def allow_dns(agent: ConsulAgent) -> None:
    """Let who brings no token, as questions by DNS do, see nodes and services."""
    make_policy(agent, "dns", DNS_RULES)
    body = b'{"Policies": [{"Name": "dns"}]}'
    status, answer = agent.request("PUT", f"/v1/acl/token/{ANONYMOUS}", body)
    assert status == 200, answer


def denials(fleet: Fleet) -> list[str]:
    """What the nodes said of rights that they do not have."""
    return [
        f"{node.name}: {line}"
        for node in fleet.nodes.values()
        if node.log_path.exists()
        for line in node.log_path.read_text(errors="replace").splitlines()
        if "permission denied" in line.lower() or "not_permitted" in line or '"403"' in line
    ]


def parametrize(metafunc: pytest.Metafunc) -> None:
    """What ``pytest_generate_tests`` does with a test that is marked."""
    marked = metafunc.definition.get_closest_marker("also_with_acls")
    if marked is not None and "rights" in metafunc.fixturenames:
        acls = pytest.param("acls", marks=pytest.mark.long)
        metafunc.parametrize("rights", ["open", acls], indirect=True)
