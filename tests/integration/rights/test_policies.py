"""Each rule of each policy is needed, and what a policy does not say is denied: on a real Consul.

What the roles do as a whole is shown by the tests marked ``also_with_acls``, which have these
policies and no others.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from consul_agents import ConsulAgent, client_of, new_session, session_with_check

from coord.consul import ConsulClient, ConsulNotPermitted, ServiceRegistration, TxnOp
from coord.records import POLLER_SERVICE, Paths
from coord.rights import CONSUL_SERVICE, Role, Rule, rules
from secure import make_policy, make_token


@dataclass(frozen=True)
class Bench:
    """An election with something at each of its keys, and of each of its services.

    root: may do everything.
    """

    agent: ConsulAgent
    paths: Paths
    root: ConsulClient

    @asynccontextmanager
    async def allowed(self, *given: Rule) -> AsyncIterator[ConsulClient]:
        """A client that may do this and nothing else."""
        text = "\n".join(map(str, given))
        policy = f"t-{uuid.uuid4().hex[:12]}"
        await asyncio.to_thread(make_policy, self.agent, policy, text)
        _, secret = await asyncio.to_thread(make_token, self.agent, policy, policy)
        async with client_of(self.agent, token=secret) as client:
            yield client

    def rules(self, role: Role) -> tuple[Rule, ...]:
        """The policy of the role, for this agent alone."""
        return rules(role, self.paths, agent=self.agent.name)


@pytest.fixture
async def bench(locked_agent: ConsulAgent, name: str) -> AsyncIterator[Bench]:
    paths = Paths(name)
    services = (paths.candidate_service, paths.leader_service, paths.observer_service)
    async with client_of(locked_agent, token=locked_agent.config.token) as root:
        for key in keys_of(paths):
            assert await root.kv_put(key, b"x")
        sessions = [await session_with_check(root, each) for each in services]
        await root.service_register(ServiceRegistration(f"{name}-poller", POLLER_SERVICE))
        yield Bench(locked_agent, paths, root)
        for session in sessions:
            await root.session_destroy(session)
        for service in (*services, f"{name}-poller"):
            await root.service_deregister(service)


def schedule_of(paths: Paths) -> str:
    return f"{paths.polls}schedules/one"


def asked_of(paths: Paths) -> str:
    return f"{paths.polls}asked/one"


def keys_of(paths: Paths) -> tuple[str, ...]:
    """One key of each kind."""
    return (
        paths.leader,
        paths.term,
        paths.keep,
        paths.pause,
        paths.request,
        paths.drain("core-1"),
        f"{paths.audit}one",
        f"{paths.journal}one",
        paths.cluster_health,
        f"{paths.polls}state",
        schedule_of(paths),
        asked_of(paths),
    )


# --- each rule is needed -------------------------------------------------------------------------


async def fits(bench: Bench, client: ConsulClient, rule: Rule) -> bool:
    """Whether the client can do what the rule is there for."""
    try:
        return bool(await _USES[rule.kind](bench, client, rule))
    except ConsulNotPermitted:
        return False


async def use_keys(bench: Bench, client: ConsulClient, rule: Rule) -> bool:
    if rule.access == "list":
        return len((await client.kv_list(rule.name)).value) > 0
    if rule.access == "read":
        return (await client.kv_get(rule.name)).value is not None
    key = next(key for key in keys_of(bench.paths) if key.startswith(rule.name))
    return (await client.txn([TxnOp.kv_get(key), TxnOp.kv_set(key, b"y")])).ok


async def use_service(bench: Bench, client: ConsulClient, rule: Rule) -> bool:
    if rule.access == "write":
        service = f"{rule.name}-by-test"
        await client.service_register(ServiceRegistration(service, rule.name))
        await client.service_deregister(service)
        return True
    if rule.name == CONSUL_SERVICE:
        return CONSUL_SERVICE in await client.catalog_services()
    return len((await client.health_service(rule.name)).value) > 0


async def use_nodes(bench: Bench, client: ConsulClient, rule: Rule) -> bool:
    return len((await client.catalog_nodes()).value) > 0


async def use_sessions(bench: Bench, client: ConsulClient, rule: Rule) -> bool:
    theirs = await new_session(bench.root, bench.paths.election)
    try:
        if rule.access == "read":
            return await client.session_info(theirs) is not None
        ours = await new_session(client, bench.paths.election)
        renewed = await client.session_renew(ours)
        return renewed is not None and await client.session_destroy(theirs)
    finally:
        await bench.root.session_destroy(theirs)


async def use_agent(bench: Bench, client: ConsulClient, rule: Rule) -> bool:
    return (await client.agent_self()).node_name == bench.agent.name


_USES: dict[str, Callable[[Bench, ConsulClient, Rule], Awaitable[bool]]] = {
    "key": use_keys,
    "key_prefix": use_keys,
    "service": use_service,
    "node_prefix": use_nodes,
    "session": use_sessions,
    "session_prefix": use_sessions,
    "agent_prefix": use_agent,
}


def limits(rule: Rule, given: tuple[Rule, ...]) -> bool:
    """Whether the rule gives less than a shorter one alone would, or gives that back."""
    return rule.kind.startswith("key") and any(
        other is not rule and other.access == "write" and rule.name.startswith(other.name)
        for other in given
        if other.kind == "key_prefix"
    )


@pytest.mark.parametrize("role", Role)
async def test_every_rule_is_enough_for_what_it_is_for_and_nothing_else_gives_it(
    bench: Bench, role: Role
) -> None:
    whole = bench.rules(role)
    async with bench.allowed(*whole) as client:
        for rule in whole:
            assert await fits(bench, client, rule), rule
    for rule in whole:
        if limits(rule, whole):
            continue
        rest = [other for other in whole if other is not rule]
        async with bench.allowed(*rest) as client:
            assert not await fits(bench, client, rule), rule


# --- and no more is given ------------------------------------------------------------------------


async def test_keys_that_each_role_may_write(bench: Bench) -> None:
    paths = bench.paths
    theirs = {paths.request, paths.drain("core-1"), schedule_of(paths), f"{paths.audit}one"}
    operators = {paths.keep, paths.pause, asked_of(paths), *theirs}
    may: dict[Role, set[str]] = {
        Role.CANDIDATE: set(keys_of(paths)) - theirs,
        Role.OPERATOR: operators,
        Role.POLLER: set(),
        Role.VIEWER: set(),
    }
    for role in Role:
        async with bench.allowed(*bench.rules(role)) as client:
            written = {key for key in keys_of(paths) if await can(client.kv_put(key, b"z"))}
            deleted = {key for key in keys_of(paths) if await can(client.kv_delete(key, cas=1))}
            assert written == deleted == may[role], role
            assert not await can(client.kv_put(f"service/{paths.election}", b"z")), role
            assert not await can(client.kv_put(f"service/{paths.election}-2/leader", b"z")), role


async def test_only_candidates_and_operators_touch_sessions(bench: Bench) -> None:
    name = bench.paths.election
    for role in Role:
        async with bench.allowed(*bench.rules(role)) as client:
            made = await can(new_session(client, name))
            assert made == (role in (Role.CANDIDATE, Role.OPERATOR)), role


async def test_services_that_each_role_may_register(bench: Bench) -> None:
    paths = bench.paths
    ours = {
        paths.candidate_service,
        paths.leader_service,
        paths.observer_service,
        POLLER_SERVICE,
    }
    may = {
        Role.CANDIDATE: {paths.candidate_service, paths.leader_service},
        Role.POLLER: {paths.observer_service, POLLER_SERVICE},
        Role.OPERATOR: ours,
        Role.VIEWER: set(),
    }
    for role in Role:
        async with bench.allowed(*bench.rules(role)) as client:
            found = {
                name
                for name in (*ours, "somebody-elses")
                if await can(client.service_register(ServiceRegistration(f"{name}-t", name)))
            }
            for service in found:
                await client.service_deregister(f"{service}-t")
            assert found == may[role], role


async def test_a_session_on_another_node_is_not_for_a_candidate_of_one_agent(
    bench: Bench,
) -> None:
    given = rules(Role.CANDIDATE, bench.paths, agent="another-host")
    async with bench.allowed(*given) as client:
        assert not await can(new_session(client, bench.paths.election))


async def can(call: Awaitable[object]) -> bool:
    """Whether Consul takes the call."""
    try:
        await call
    except ConsulNotPermitted:
        return False
    return True
