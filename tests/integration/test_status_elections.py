"""Which elections there are in a real Consul, however they are to be seen."""

from __future__ import annotations

from consul_agents import ROOT_TOKEN, ConsulAgent, client_of
from hand_made import lead, make_token, register, release
from rights_bench import tokens_for

from coord.consul import ConsulClient
from coord.records import Paths
from coord.rights import Role
from coord.status import Condition, Seen
from coord.status.elections import ElectionStatus, read_elections


async def by_name(consul: ConsulClient) -> dict[str, ElectionStatus]:
    return {each.name: each for each in (await read_elections(consul)).items}


async def test_each_is_found_with_who_leads_it(consul: ConsulClient, name: str) -> None:
    led, left, waiting = (Paths(f"{name}-{each}") for each in ("led", "left", "waiting"))
    await lead(consul, led, "core-1", 3)
    await release(consul, left, await lead(consul, left, "core-2", 8), why="handed_over")
    await register(consul, waiting.candidate_service, "core-3")
    found = await by_name(consul)

    assert found[led.election].leader.condition is Condition.HELD
    assert (found[led.election].leader.node, found[led.election].leader.term) == ("core-1", 3)
    assert found[left.election].leader.condition is Condition.VACANT
    assert not found[left.election].candidates
    assert found[waiting.election].leader.condition is Condition.MISSING
    assert found[waiting.election].candidates
    assert list(found) == sorted(found)


async def test_what_others_keep_there_is_no_election(consul: ConsulClient, name: str) -> None:
    await consul.kv_put(f"service/{name}/config", b"patroni's")
    await consul.kv_put(f"service/{name}-loose", b"")
    await consul.kv_put(f"service/{name} with a space/leader", b"")
    await register(consul, f"{name}-candidate", "core-1")
    assert not any(each.startswith(name) for each in await by_name(consul))


async def test_the_plain_name_of_the_service_is_the_default_election(
    consul: ConsulClient, name: str
) -> None:
    await register(consul, Paths("coordinator").candidate_service, name)
    assert (await by_name(consul))["coordinator"].candidates


async def test_a_token_that_may_not_list_keys_sees_what_services_tell(
    locked_agent: ConsulAgent, name: str
) -> None:
    paths, other = Paths(name), Paths(f"{name}-other")
    async with client_of(locked_agent, token=ROOT_TOKEN) as root:
        for each in (paths, other):
            await register(root, each.candidate_service, "core-1")
            await lead(root, each, "core-1", 1)
        viewer = tokens_for(locked_agent, name)[Role.VIEWER]
        async with client_of(locked_agent, token=viewer) as consul:
            listing = await read_elections(consul)
        nobody = make_token(locked_agent, 'key_prefix "a" { policy = "read" }')
        async with client_of(locked_agent, token=nobody) as consul:
            nothing = await read_elections(consul)

    assert listing.seen is not Seen.KNOWN
    (found,) = (each for each in listing.items if each.name.startswith(name))
    assert (found.name, found.leader.node) == (name, "core-1")
    assert nothing.seen is not Seen.KNOWN
    assert nothing.items == ()
