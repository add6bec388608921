"""The sessions of an election on a real Consul, and what a token that may not see them is told."""

from __future__ import annotations

import pytest
from consul_agents import ROOT_TOKEN, ConsulAgent, client_of
from doctor_bench import Ward
from hand_made import make_token, register
from rights_bench import tokens_for

from coord.consul import CheckStatus, ConsulClient, ServiceRegistration, TtlCheck
from coord.records import Paths
from coord.rights import Role
from coord.status import Seen
from coord.status.sessions import read_sessions


@pytest.fixture
def paths(name: str) -> Paths:
    return Paths(name)


@pytest.fixture
async def ward(consul: ConsulClient, paths: Paths) -> Ward:
    """core-1 leads and core-2 stands by."""
    made = Ward(consul, paths)
    await made.sound()
    return made


async def test_the_holder_comes_first_and_each_check_is_told(ward: Ward) -> None:
    holder = ward.sessions["core-1"]
    found = await read_sessions(ward.consul, ward.paths, holder=holder)

    assert found.seen is Seen.KNOWN
    assert [(item.node, item.holds) for item in found.items] == [
        ("core-1", True),
        ("core-2", False),
    ]
    first = found.items[0]
    assert first.id == holder
    assert first.status is CheckStatus.PASSING
    assert {check.id for check in first.checks} == {
        "serfHealth",
        f"{ward.paths.candidate_service}-core-1-b0-alive",
    }
    assert all(check.status is CheckStatus.PASSING for check in first.checks)


async def test_sessions_of_others_are_left_out(ward: Ward) -> None:
    await ward.consul.session_create(name="somebody", checks=["serfHealth"], lock_delay_s=1.0)
    other = Ward(ward.consul, Paths(f"{ward.paths.election}-b"))
    await other.candidate("core-7")
    found = await read_sessions(ward.consul, ward.paths)
    assert [item.node for item in found.items] == ["core-1", "core-2"]
    assert not any(item.holds for item in found.items)


async def test_a_holder_of_any_name_is_told(consul: ConsulClient, paths: Paths) -> None:
    id_ = await consul.session_create(name="by hand", checks=["serfHealth"], lock_delay_s=1.0)
    (item,) = (await read_sessions(consul, paths, holder=id_)).items
    assert (item.name, item.node, item.holds) == ("by hand", "", True)


async def test_a_check_of_another_service_is_found_on_its_node(
    consul: ConsulClient, paths: Paths, name: str
) -> None:
    disk = TtlCheck(id=f"{name}-disk", name="disk", ttl_s=600.0, status=CheckStatus.PASSING)
    await consul.service_register(
        ServiceRegistration(id=f"{name}-other", name=f"{name}-other", checks=(disk,))
    )
    id_ = await register(consul, paths.candidate_service, "core-1")
    await consul.session_create(
        name=f"{name} candidate core-1", checks=["serfHealth", id_, disk.id], lock_delay_s=1.0
    )
    (item,) = (await read_sessions(consul, paths)).items
    assert {check.id: check.status for check in item.checks} == {
        "serfHealth": CheckStatus.PASSING,
        id_: CheckStatus.PASSING,
        disk.id: CheckStatus.PASSING,
    }


async def test_there_are_none(consul: ConsulClient, paths: Paths) -> None:
    found = await read_sessions(consul, paths)
    assert found.items == ()


async def test_a_viewer_sees_them_and_who_may_not_is_not_told_there_are_none(
    locked_agent: ConsulAgent, paths: Paths
) -> None:
    async with client_of(locked_agent, token=ROOT_TOKEN) as root:
        made = Ward(root, paths)
        await made.sound()
        holder = made.sessions["core-1"]
        viewer = tokens_for(locked_agent, paths.election)[Role.VIEWER]
        async with client_of(locked_agent, token=viewer) as consul:
            seen = await read_sessions(consul, paths, holder=holder, expected=True)
        nobody = make_token(locked_agent, f'key_prefix "{paths.root}" {{ policy = "read" }}')
        async with client_of(locked_agent, token=nobody) as consul:
            kept_back = await read_sessions(consul, paths, holder=holder, expected=True)

    assert seen.seen is Seen.KNOWN
    assert [item.node for item in seen.items] == ["core-1", "core-2"]
    assert all(check.status is CheckStatus.PASSING for i in seen.items for check in i.checks)
    assert kept_back.items == ()
    assert kept_back.seen in (Seen.UNKNOWN, Seen.NOT_PERMITTED)
