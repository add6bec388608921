"""Ways to Consul besides plain HTTP: TLS, mutual TLS, a Unix socket, a token that rotates.

Each is shown by real nodes: one wins an election there, and another follows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from acceptance import FAST, PULSE
from consul_agents import ROOT_TOKEN, ConsulAgent, eventually
from warm_start import warm

from coord.cli.errors import ExitCode
from coord.config import Settings
from coord.consul import CheckStatus, ConsulError
from coord.rights import Role, policy
from demo.fleet import Fleet
from demo.witness import Witness
from secure import Tls, delete_token, make_policy, make_tls, make_token, write_secret

GENEROUS_S = 60.0


@contextlib.asynccontextmanager
async def fleet_at(
    address: str, directory: Path, env: Mapping[str, str], **more: Any
) -> AsyncIterator[tuple[Fleet, Witness]]:
    """A fleet that reaches Consul so, and the witness of its work."""
    async with (
        Witness() as witness,
        Fleet(
            address, directory, witness=witness, env={**FAST, **env}, workloads=PULSE, **more
        ) as fleet,
    ):
        yield fleet, witness
        report = await witness.report()
        assert not report.overlapped


async def election_there(address: str, directory: Path, env: Mapping[str, str]) -> None:
    """One node wins and works, `coord status` sees it, and another follows it."""
    async with fleet_at(address, directory, env) as (fleet, witness):
        await fleet.start("core-1")
        record = await fleet.leader_record()
        await witness.work(after=0.0, term=record.term, timeout_s=GENEROUS_S)
        code, out = await status(address, env)
        assert (code, "core-1" in out) == (ExitCode.OK, True), out
        (second,) = await fleet.start("core-2")
        await second.state("standby")
        fleet["core-1"].terminate()
        after = await fleet.leader_record(after_term=record.term)
        assert after.node == "core-2"
        await witness.work(after=0.0, term=after.term, timeout_s=GENEROUS_S)


async def status(address: str, env: Mapping[str, str]) -> tuple[int, str]:
    """`coord status`: its exit code, and what it printed."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COORDINATOR_", "CONSUL_"))}
    process = await asyncio.create_subprocess_exec(
        *(*warm("coord"), "status"),
        env=kept | dict(env) | {"CONSUL_HTTP_ADDR": address},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(GENEROUS_S):
        out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


# --- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["tls", "mtls"])
def tls(request: pytest.FixtureRequest, consul_binary: Path, tmp_path: Path) -> Tls:
    return make_tls(consul_binary, tmp_path / "tls", mutual=request.param)


async def test_an_election_over_tls(
    make_agent: Callable[..., ConsulAgent], tls: Tls, tmp_path: Path
) -> None:
    agent = await asyncio.to_thread(make_agent, tls=tls)
    assert agent.http_url.startswith("https://")
    await election_there(agent.http_url, tmp_path / "fleet", tls.environment())


async def test_https_may_also_be_asked_for_by_its_own_setting(
    make_agent: Callable[..., ConsulAgent], tls: Tls
) -> None:
    agent = await asyncio.to_thread(make_agent, tls=tls)
    env = {**tls.environment(), "CONSUL_HTTP_SSL": "true"}
    code, out = await status(agent.http_addr, env)
    assert (code, "nobody" in out) == (ExitCode.NOT_GOOD, True), out


async def test_a_certificate_of_another_authority_is_refused(
    make_agent: Callable[..., ConsulAgent], consul_binary: Path, tls: Tls, tmp_path: Path
) -> None:
    agent = await asyncio.to_thread(make_agent, tls=tls)
    other = make_tls(consul_binary, tmp_path / "other", mutual=tls.mutual)
    code, out = await status(agent.http_url, other.environment())
    assert code == ExitCode.CONSUL_UNREACHABLE
    assert "CONSUL_CACERT" in out


async def test_without_a_certificate_of_its_own_nobody_is_let_in_where_one_is_asked_for(
    make_agent: Callable[..., ConsulAgent], consul_binary: Path, tmp_path: Path
) -> None:
    tls = make_tls(consul_binary, tmp_path / "tls", mutual=True)
    agent = await asyncio.to_thread(make_agent, tls=tls)
    bare = {"CONSUL_CACERT": str(tls.ca)}
    code, out = await status(agent.http_url, bare)
    assert code == ExitCode.CONSUL_UNREACHABLE
    assert "CONSUL_CLIENT_CERT" in out
    async with fleet_at(agent.http_url, tmp_path / "fleet", bare) as (fleet, _):
        (node,) = await fleet.start("core-1")

        async def why() -> object:
            return (await node.health())["why_not_leader"]

        await eventually(why, until=lambda said: said == "consul_unreachable")


# --- a Unix socket -------------------------------------------------------------------------------


async def test_an_election_through_a_unix_socket(
    make_agent: Callable[..., ConsulAgent], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    socket = tmp_path_factory.mktemp("s") / "http.sock"
    assert len(str(socket)) < 100, "the system takes no longer ones"
    both = {"addresses": {"http": f"unix://{socket} 127.0.0.1"}}
    await asyncio.to_thread(make_agent, extra=both)
    await election_there(f"unix://{socket}", tmp_path / "fleet", {})


# --- a token that rotates ------------------------------------------------------------------------


@pytest.mark.long
async def test_a_leaders_token_rotates_and_nothing_is_lost(
    make_agent: Callable[..., ConsulAgent], tmp_path: Path
) -> None:
    """The old one is deleted while it leads. The agent speaks for a service with the token that it
    was registered with, so that has to be another one too: or else nobody would ever learn that
    the process has died."""
    agent = await asyncio.to_thread(make_agent, acl=True, token=ROOT_TOKEN)
    settings = Settings(environ={}, node="any")
    make_policy(agent, "candidate", policy(Role.CANDIDATE, settings, agent=agent.name))
    old, secret = make_token(agent, "old", "candidate")
    file = tmp_path / "token"
    write_secret(file, secret)
    env = {"CONSUL_HTTP_TOKEN_FILE": str(file), "COORDINATOR_SESSION_TTL": "10s"}
    async with fleet_at(agent.http_addr, tmp_path / "fleet", env) as (fleet, witness):
        await fleet.start("core-1")
        first = await fleet.leader_record()
        await fleet.start("core-2")
        async with fleet.consul() as consul:

            async def told() -> dict[str, str]:
                reply = await consul.health_service(fleet.paths.candidate_service)
                return {each.meta["node"]: each.meta["state"] for each in reply.value}

            # From then on nothing changes that is worth another registration.
            wanted = {"core-1": "leading", "core-2": "standby"}
            await eventually(told, until=lambda states: states == wanted)
        _, renewed = make_token(agent, "new", "candidate")
        write_secret(file, renewed)
        delete_token(agent, old)

        # A session that is not renewed is gone after twice its TTL.
        loop = asyncio.get_running_loop()
        end = loop.time() + 22.0
        while loop.time() < end:
            await witness.work(node="core-1", term=first.term, timeout_s=GENEROUS_S)
        assert fleet["core-1"].events("suspended") == []

        fleet["core-1"].kill()
        killed_at = loop.time()
        after = await fleet.leader_record(after_term=first.term)
        assert after.node == "core-2"
        assert loop.time() - killed_at < 10.0, "its check told of it, not the session's TTL"
        async with fleet.consul() as consul:

            async def passing() -> set[str]:
                with contextlib.suppress(ConsulError):
                    reply = await consul.health_service(fleet.paths.leader_service)
                    return {
                        each.meta["node"]
                        for each in reply.value
                        if each.status is CheckStatus.PASSING
                    }
                return set()

            await eventually(passing, until=lambda names: names == {"core-2"})
            fleet["core-2"].terminate()
            assert await fleet["core-2"].wait_exit() == 0
            await eventually(passing, until=lambda names: names == set())
