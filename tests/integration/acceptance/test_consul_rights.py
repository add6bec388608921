"""A token that may not do what a candidate does: from the start, in part, or from now on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from consul_agents import ROOT_TOKEN, AgentConfig, ConsulAgent, acl_settings, eventually
from fault_bench import Bench, bench_on, said

from agents import merge
from coord.records import Paths
from demo.fleet import Node

pytestmark = pytest.mark.long

Rules = Mapping[str, Mapping[str, Mapping[str, str]]]


@pytest.fixture(scope="module")
def acl_agent(
    consul_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConsulAgent]:
    """An agent that denies everything to a token that does not have it, but for DNS."""
    # Whoever brings no token has this one; DNS questions bring none.
    # And a change of rights is to be felt at once.
    for_dns = {
        "acl": {"tokens": {"default": ROOT_TOKEN}, "token_ttl": "500ms", "policy_ttl": "500ms"}
    }
    config = AgentConfig(
        name="acl",
        directory=tmp_path_factory.mktemp("acl"),
        binary=consul_binary,
        token=ROOT_TOKEN,
        extra=merge(acl_settings(), for_dns),
    )
    with ConsulAgent(config) as agent:
        yield agent


@pytest.fixture
async def bench(acl_agent: ConsulAgent, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(acl_agent, tmp_path, token=ROOT_TOKEN) as bench:
        yield bench


class Tokens:
    """Makes tokens, and changes what they may do."""

    def __init__(self, agent: ConsulAgent, election: str) -> None:
        self._agent = agent
        self._election = election

    async def _put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        status, answer = await asyncio.to_thread(
            self._agent.request, "PUT", path, json.dumps(body).encode()
        )
        assert status == 200, answer
        reply: dict[str, Any] = json.loads(answer)
        return reply

    async def make(self, name: str, rules: Rules) -> Token:
        """A token with a policy of its own."""
        called = f"{self._election}-{name}"
        policy = await self._put("/v1/acl/policy", {"Name": called, "Rules": json.dumps(rules)})
        token = await self._put("/v1/acl/token", {"Policies": [{"Name": called}]})
        return Token(self, policy["ID"], called, token["AccessorID"], token["SecretID"])

    async def set_rules(self, token: Token, rules: Rules) -> None:
        """Let it do this from now on."""
        body = {"ID": token.policy, "Name": token.name, "Rules": json.dumps(rules)}
        await self._put(f"/v1/acl/policy/{token.policy}", body)

    async def delete(self, token: Token) -> None:
        """Let it be a token no longer."""
        status, answer = await asyncio.to_thread(
            self._agent.request, "DELETE", f"/v1/acl/token/{token.accessor}"
        )
        assert status == 200, answer


class Token:
    """One token. `secret` is what a node is given."""

    def __init__(self, tokens: Tokens, policy: str, name: str, accessor: str, secret: str) -> None:
        self._tokens = tokens
        self.policy = policy
        self.name = name
        self.accessor = accessor
        self.secret = secret

    @property
    def env(self) -> Mapping[str, str]:
        """For the node that has it."""
        return {"CONSUL_HTTP_TOKEN": self.secret}

    async def may(self, rules: Rules) -> None:
        """See `Tokens.set_rules`."""
        await self._tokens.set_rules(self, rules)

    async def revoke(self) -> None:
        """See `Tokens.delete`."""
        await self._tokens.delete(self)


def enough(paths: Paths) -> Rules:
    """What a candidate has to be allowed."""
    return {
        "key_prefix": {paths.root: {"policy": "write"}},
        "service_prefix": {"": {"policy": "write"}},
        "node_prefix": {"": {"policy": "write"}},
        "session_prefix": {"": {"policy": "write"}},
        "agent_prefix": {"": {"policy": "read"}},
    }


def without(rules: Rules, missing: str) -> Rules:
    """All of it but that kind."""
    return {kind: rule for kind, rule in rules.items() if kind != missing}


def tells_each_thing_once(node: Node) -> bool:
    """Whether nothing that somebody might be woken by was said twice."""
    loud = [
        str(line["event"])
        for line in node.log()
        if line.get("level") in ("warning", "error", "critical")
    ]
    assert loud, "it says what is wrong"
    assert len(loud) == len(set(loud)), loud
    return True


async def not_permitted(node: Node, said: str = "Permission denied") -> None:
    """Wait until ``/api/health`` says that the node does not lead for lack of rights, and what
    Consul said."""

    async def told() -> bool:
        health = await node.health()
        detail = str(health["why_not_detail"])
        return health["why_not_leader"] == "not_permitted" and said in detail

    await eventually(told)


@pytest.fixture
def tokens(acl_agent: ConsulAgent, bench: Bench) -> Tokens:
    return Tokens(acl_agent, bench.paths.election)


async def test_node_without_rights_says_so_quietly_and_joins_when_it_has_them(
    bench: Bench, tokens: Tokens
) -> None:
    token = await tokens.make("core-1", {})
    node = await bench.start("core-1", env=token.env)

    await not_permitted(node)
    response = await node.get("/api/health")
    assert response.status_code == 503
    assert (await node.get("/api/health/live")).status_code == 200
    assert (await node.get("/api/health/ready")).status_code == 503
    await asyncio.sleep(3.0)  # in this time it goes on trying, without a word
    assert tells_each_thing_once(node)
    assert token.secret not in node.log_path.read_text()

    await token.may(enough(bench.paths))
    seen = await bench.witness.next_leader(None)
    assert seen.node == "core-1"
    await bench.settled(seen)


@pytest.mark.parametrize("kind", ["session_prefix", "service_prefix"])
async def test_node_with_some_rights_says_so_quietly(
    bench: Bench, tokens: Tokens, kind: str
) -> None:
    """It may read the keys, and so it follows who leads; it may not take part."""
    pair_token = await tokens.make("core-2", enough(bench.paths))
    leader, seen = await bench.lead("core-1", env=pair_token.env)
    token = await tokens.make("core-3", without(enough(bench.paths), kind))
    node = await bench.start("core-3", env=token.env)

    await not_permitted(node)
    await asyncio.sleep(4.0)  # in this time it goes on trying, without a word
    assert tells_each_thing_once(node)
    assert (await node.health())["cluster"]["leader_node"] == leader.name
    await bench.settled(seen)


async def test_leader_whose_token_is_revoked_stops_and_is_followed(
    bench: Bench, tokens: Tokens
) -> None:
    first = await tokens.make("core-1", enough(bench.paths))
    second = await tokens.make("core-2", enough(bench.paths))
    quick = {"COORDINATOR_SESSION_TTL": "10s"}
    pair = await bench.pair({"env": {**first.env, **quick}}, {"env": second.env})

    await first.revoke()

    await said(pair.leader, "suspended", within_s=60.0, term=pair.seen.term)
    after = await bench.next_leader(pair.seen, within_s=60.0)
    assert after.node == "core-2"
    await not_permitted(pair.leader, "ACL not found")
    assert first.secret not in str(await pair.leader.health())
    assert pair.leader.running
    assert (await pair.leader.get("/api/health")).status_code == 503
    # The agent cannot tell the catalog of its checks either: it does that with the same token. So
    # only the session's own TTL freed the lock, and core-2 cleared the stale entry away.
    await bench.settled(after, stale_s=60.0)
    assert tells_each_thing_once(pair.leader)
