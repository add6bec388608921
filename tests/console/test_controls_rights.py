"""The console with a token that may not do everything, and with a Consul that does not answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from consul_agents import ConsulAgent, client_of
from control_bench import Hands, at_console, standing
from hand_made import Tenure, make_token
from rights_bench import tokens_for
from tcp_proxy import Mode, TcpProxy

from console.controls.actions import BY_OPERATION
from console.screens.control_menu import ControlMenu
from coord.consul import ConsulAddress, ConsulClient
from coord.operations import Operation
from coord.records import Paths
from coord.rights import Role, rules

pytestmark = pytest.mark.long

ROLES = (Role.VIEWER, Role.OPERATOR)


@pytest.fixture
def paths(name: str) -> Paths:
    return Paths(name)


@pytest.fixture
async def root(locked_agent: ConsulAgent) -> AsyncIterator[ConsulClient]:
    """Who may do everything, where nothing is allowed that was not given."""
    async with client_of(locked_agent, token=locked_agent.config.token) as client:
        yield client


@pytest.fixture
async def locked(root: ConsulClient, paths: Paths) -> Tenure:
    """core-1 leads, core-2 stands by."""
    return await standing(root, paths, "core-2")


def raft_of(agent: ConsulAgent) -> int:
    return int(agent.get_json("/v1/agent/self")["Stats"]["raft"]["last_log_index"])


async def test_a_viewer_sees_everything_dimmed_and_why_and_writes_nothing(
    root: ConsulClient, locked: Tenure, locked_agent: ConsulAgent, paths: Paths
) -> None:
    token = tokens_for(locked_agent, paths.election)[Role.VIEWER]
    before = {entry.key: entry.modify_index for entry in (await root.kv_list(paths.root)).value}
    async with (
        client_of(locked_agent, token=token) as viewer,
        at_console(root, paths, by=viewer) as hands,
    ):
        await hands.until(lambda: hands.app.mode.word)
        await hands.until(lambda: "no rights to act" in hands.picture()[0])
        await hands.until(lambda: "Act ✖" in hands.picture()[-1])
        await hands.open_menu()
        assert not any(can for _, can in hands.menu)
        told = " ".join(" ".join(hands.picture()).split())
        assert f"this token lacks key:write on {paths.audit}" in told
        await hands.press("s")
        assert isinstance(hands.app.screen, ControlMenu)
        assert "CONSUL_HTTP_TOKEN_FILE" in hands.notices[-1]
    after = {entry.key: entry.modify_index for entry in (await root.kv_list(paths.root)).value}
    assert after == before


async def test_an_operator_may_do_everything(
    root: ConsulClient, locked: Tenure, locked_agent: ConsulAgent, paths: Paths
) -> None:
    token = tokens_for(locked_agent, paths.election)[Role.OPERATOR]
    async with (
        client_of(locked_agent, token=token) as operator,
        at_console(root, paths, by=operator) as hands,
    ):
        await hands.until(lambda: hands.headline().startswith("★ core-1 LEADS"))
        await hands.asked("p")
        await hands.confirm()
        await hands.reads("✔ done: the election is paused")
        assert not hands.app.mode.word


def without(paths: Paths, *names: str) -> str:
    """An operator's rights but those."""
    kept = (rule for rule in rules(Role.OPERATOR, paths) if rule.name not in names)
    viewer = rules(Role.VIEWER, paths)
    return "\n".join(str(rule) for rule in (*viewer, *kept) if rule.kind != "session_prefix")


async def test_what_only_the_attempt_tells_is_refused_clearly_and_dimmed_then(
    root: ConsulClient, locked: Tenure, locked_agent: ConsulAgent, paths: Paths
) -> None:
    """All but destroying sessions, which cannot be tried without destroying one."""
    token = make_token(locked_agent, without(paths))
    async with (
        client_of(locked_agent, token=token) as operator,
        at_console(root, paths, by=operator) as hands,
    ):
        await hands.until(lambda: hands.headline().startswith("★ core-1 LEADS"))
        await hands.asked("f")
        await hands.fill("name", "core-1")
        await hands.confirm()
        await hands.reads("✖ not_permitted: not permitted")
        await hands.press("escape")
        await hands.open_menu()
        menu = dict(hands.menu)
        assert not menu["force_release"]
        assert menu["step_down"]
        await hands.press("f")
        assert "not permitted" in hands.notices[-1]


async def test_a_right_that_is_lost_is_a_clear_refusal_and_dims(
    root: ConsulClient, locked: Tenure, locked_agent: ConsulAgent, paths: Paths
) -> None:
    """The token is taken away between the look and the writing."""
    token = tokens_for(locked_agent, paths.election)[Role.OPERATOR]
    async with (
        client_of(locked_agent, token=token) as operator,
        at_console(root, paths, by=operator) as hands,
    ):
        await hands.until(lambda: hands.headline().startswith("★ core-1 LEADS"))
        await hands.asked("s")
        await hands.fill("reason", "a test")
        await asyncio.to_thread(rewrite_policy, locked_agent, paths)
        await hands.button("do")
        await hands.reads("not permitted")
        await hands.until(lambda: hands.app.mode.word)
        await hands.press("escape")
        await hands.open_menu()
        assert not any(can for _, can in hands.menu)


def rewrite_policy(agent: ConsulAgent, paths: Paths) -> None:
    """From now on an operator may only look, and the agent knows it."""
    found = agent.get_json("/v1/acl/policies")
    name = f"{paths.election}-{Role.OPERATOR}"
    policy = next(each for each in found if each["Name"] == name)
    text = "\n".join(str(rule) for rule in rules(Role.VIEWER, paths))
    body = json.dumps({"ID": policy["ID"], "Name": name, "Rules": text}).encode()
    status, answer = agent.request("PUT", f"/v1/acl/policy/{policy['ID']}", body)
    assert status == 200, answer


# --- a Consul that is slow, or away ---


@pytest.fixture
async def tenure(consul: ConsulClient, paths: Paths) -> Tenure:
    return await standing(consul, paths, "core-2")


async def seen(hands: Hands) -> None:
    await hands.until(lambda: hands.headline().startswith("★ core-1 LEADS"))


async def test_nothing_freezes_while_consul_does_not_answer(
    consul: ConsulClient, tenure: Tenure, consul_agent: ConsulAgent, paths: Paths
) -> None:
    async with TcpProxy("127.0.0.1", consul_agent.ports.http) as proxy:
        address = ConsulAddress(f"http://{proxy.address}")
        async with (
            ConsulClient(address, request_timeout_s=4.0) as slow,
            at_console(consul, paths, by=slow) as hands,
        ):
            await seen(hands)
            await proxy.set(Mode.BLACKHOLE)
            await hands.act("s")
            await hands.reads("asking Consul, 1 s")
            await hands.reads("✖ Consul cannot be reached")
            assert hands.focused == "close"
            await hands.button("again")
            await hands.reads("asking Consul")
            await hands.press("escape")
            assert hands.on_board()
            await proxy.set(Mode.PASS)
            await hands.until(lambda: not hands.board_is_old())
            await hands.asked("s")


async def test_consul_lost_meanwhile_is_told_and_found_again(
    consul: ConsulClient, tenure: Tenure, consul_agent: ConsulAgent, paths: Paths
) -> None:
    async with TcpProxy("127.0.0.1", consul_agent.ports.http) as proxy:
        address = ConsulAddress(f"http://{proxy.address}")
        async with (
            ConsulClient(address, request_timeout_s=4.0) as way,
            at_console(consul, paths, by=way) as hands,
        ):
            await seen(hands)
            await hands.asked("s")
            await hands.confirm()
            await hands.reads("asked: core-1")
            await proxy.set(Mode.REFUSE)
            await hands.reads("Consul does not answer")
            await proxy.set(Mode.PASS)
            # Where this machine is slow, so much time has gone by that it is over.
            again, over = "Consul answers again", "✖ unknown: Consul was lost meanwhile"
            await hands.until(lambda: again in hands.text or over in hands.text)


async def test_operations_all_have_an_action() -> None:
    assert set(BY_OPERATION) == set(Operation)
    assert len({action.key for action in BY_OPERATION.values()}) == len(Operation)
