"""How far the doctor is, as he tells it."""

from __future__ import annotations

from consul_agents import ConsulAgent
from doctor_bench import SOON_S, Ward, raft_index

from coord.consul import ConsulClient
from coord.doctor import Code, Progress, Stage
from coord.records import Paths


async def test_each_stage_is_told_as_it_begins(consul: ConsulClient, name: str) -> None:
    told: list[Progress] = []
    ward = Ward(consul, Paths(name))
    await ward.sound()
    await ward.examine(tell=told.append)
    assert [each.stage for each in told] == [Stage.LOOKING, Stage.TRYING_RIGHTS]


async def test_the_wait_for_a_second_look_is_told_with_its_length(
    consul: ConsulClient, name: str
) -> None:
    told: list[Progress] = []
    ward = Ward(consul, Paths(name))
    await ward.sound()
    await ward.discovered("core-2", 8)
    report = await ward.examine(tell=told.append)
    assert report.has(Code.TWO_LEADERS)
    assert [each.stage for each in told][2:] == [Stage.WAITING, Stage.LOOKING_AGAIN]
    assert told[2].lasts_s == SOON_S


async def test_to_look_is_all_that_reading_only_does(
    consul: ConsulClient, consul_agent: ConsulAgent, name: str
) -> None:
    ward = Ward(consul, Paths(name))
    await ward.sound()
    before = raft_index(consul_agent)
    await ward.examine(tell=lambda _: None)
    assert raft_index(consul_agent) == before
