"""`coord status` as people run it, on a real Consul."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import coord_command
import pytest
from consul_agents import ROOT_TOKEN, ConsulAgent, acl_settings
from warm_start import warm

from coord.cli.errors import ExitCode
from coord.consul import ConsulClient, ServiceRegistration, TtlCheck, TxnOp
from coord.consul.types import CheckStatus
from coord.records import LeaderRecord, LeaderState, Paths, encode_term

GENEROUS_S = 60.0


async def coord(agent: ConsulAgent, *args: str) -> tuple[int, str, str]:
    return await coord_command.coord(agent.http_addr, *args)


async def lead(consul: ConsulClient, paths: Paths, node: str, term: int) -> None:
    """Put a leader on the key, as a candidate would."""
    session = await consul.session_create(name=node, checks=["serfHealth"], lock_delay_s=1.0)
    record = LeaderRecord(state=LeaderState.HELD, term=term, node=node).encode()
    result = await consul.txn(
        [
            TxnOp.kv_lock(paths.leader, record, session),
            TxnOp.kv_set(paths.term, encode_term(term)),
        ]
    )
    assert result.ok


@asynccontextmanager
async def registered(consul: ConsulClient, paths: Paths, node: str) -> AsyncIterator[None]:
    service = f"{paths.candidate_service}-{node}"
    check = TtlCheck(id=service, name=service, ttl_s=600.0, status=CheckStatus.PASSING)
    await consul.service_register(
        ServiceRegistration(
            id=service, name=paths.candidate_service, meta={"node": node}, checks=(check,)
        )
    )
    try:
        yield
    finally:
        await consul.service_deregister(service)


async def test_nobody_leads(consul_agent: ConsulAgent, name: str) -> None:
    code, out, err = await coord(consul_agent, "status", "--json", "--election", name)
    assert (code, err) == (ExitCode.NOT_GOOD, "")
    assert json.loads(out)["leader_node"] is None
    code, out, err = await coord(consul_agent, "status", "--election", name)
    assert (code, err) == (ExitCode.NOT_GOOD, "")
    assert name in out


async def test_somebody_leads(consul_agent: ConsulAgent, consul: ConsulClient, name: str) -> None:
    paths = Paths(name)
    await lead(consul, paths, "core-7", 42)
    code, out, _ = await coord(consul_agent, "status", "--json", "--election", name)
    assert code == ExitCode.OK
    report = json.loads(out)
    assert (report["leader_node"], report["leader"]["term"]) == ("core-7", 42)
    code, out, _ = await coord(consul_agent, "status", "--election", name)
    assert code == ExitCode.OK
    assert "core-7" in out


async def test_one_node(consul_agent: ConsulAgent, consul: ConsulClient, name: str) -> None:
    paths = Paths(name)
    async with registered(consul, paths, "web-1"):
        arguments = ("status", "web-1", "--election", name)
        code, out, _ = await coord(consul_agent, *arguments, "--json")
        assert code == ExitCode.OK
        assert json.loads(out)["node"] == "web-1"
        code, out, _ = await coord(consul_agent, *arguments)
        assert code == ExitCode.OK
        assert "web-1" in out
    code, out, _ = await coord(consul_agent, "status", "web-9", "--election", name)
    assert code == ExitCode.NOT_GOOD
    assert "web-9" in out


async def test_a_token_without_rights(make_agent: Callable[..., ConsulAgent]) -> None:
    agent = make_agent(extra=acl_settings(), token=ROOT_TOKEN)
    for arguments in (("status",), ("status", "--json"), ("status", "core-1")):
        code, _, _ = await coord(agent, *arguments)
        assert code == ExitCode.NOT_PERMITTED


async def test_consul_is_not_there(make_agent: Callable[..., ConsulAgent]) -> None:
    agent = make_agent()
    agent.kill()
    code, out, err = await coord(agent, "status")
    assert (code, out) == (ExitCode.CONSUL_UNREACHABLE, "")
    assert len(err.splitlines()) == 2, "what, and which Consul was asked"


@pytest.mark.parametrize("answer", ["404 Not Found", "501 Not Implemented", "200 OK"])
async def test_what_answers_is_not_consul(answer: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        page = b"<html>welcome</html>"
        head = f"HTTP/1.1 {answer}\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + page)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        code, out, err = await coord_command.coord(f"{host}:{port}", "status")
        assert (code, out) == (ExitCode.CONSUL_UNREACHABLE, "")
        assert "does not answer like Consul" in err
        assert len(err.splitlines()) == 2, "what, and which Consul was asked"


async def test_tls_asked_of_a_plain_port(consul_agent: ConsulAgent) -> None:
    code, _, err = await coord_command.coord(f"https://{consul_agent.http_addr}", "status")
    assert code == ExitCode.CONSUL_UNREACHABLE
    assert "http://" in err
    assert "_ssl.c" not in err


async def test_piped_output_has_no_trailing_blanks(
    consul_agent: ConsulAgent, consul: ConsulClient, name: str
) -> None:
    async with registered(consul, Paths(name), "web-1"):
        for arguments in ((), ("web-1",)):
            _, out, _ = await coord(consul_agent, "status", *arguments, "--election", name)
            assert "web-1" in out
            assert all(line == line.rstrip() for line in out.splitlines())


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
async def test_watch_says_that_it_is_old_and_how_old_while_consul_is_away(
    make_agent: Callable[..., ConsulAgent],
) -> None:
    agent = make_agent()
    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *(*warm("coord"), "status", "--watch"),
        env=coord_command.environment(agent.http_addr),
        stdin=theirs,
        stdout=theirs,
    )
    os.close(theirs)
    try:
        await read_until(ours, b"nobody")
        agent.kill()
        await read_until(ours, b"OLD")
        first = await read_until(ours, b" s ago")
        assert await read_until(ours, b" s ago") != first
    finally:
        os.close(ours)
        process.kill()
        await process.wait()


async def test_watch_prints_a_line_of_json_for_each_change(
    consul_agent: ConsulAgent, consul: ConsulClient, name: str
) -> None:
    paths = Paths(name)
    process = await asyncio.create_subprocess_exec(
        *(*warm("coord"), "status", "--json", "--watch", "--election", name),
        env=coord_command.environment(consul_agent.http_addr),
        stdout=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(GENEROUS_S):
            assert json.loads(await process.stdout.readline())["leader_node"] is None
            await lead(consul, paths, "core-7", 3)
            seen: dict[str, Any] = {}
            while seen.get("leader_node") != "core-7":
                seen = json.loads(await process.stdout.readline())
            process.send_signal(signal.SIGINT)
            assert await process.wait() == ExitCode.OK
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
async def test_watch_draws_in_place_on_a_terminal(
    consul_agent: ConsulAgent, consul: ConsulClient, name: str
) -> None:
    paths = Paths(name)
    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *(*warm("coord"), "status", "--watch", "--election", name),
        env=coord_command.environment(consul_agent.http_addr),
        stdin=theirs,
        stdout=theirs,
    )
    os.close(theirs)
    try:
        drawn = await read_until(ours, b"nobody")
        await lead(consul, paths, "core-7", 3)
        drawn = await read_until(ours, b"core-7")
        # Up and clear: the new picture stands where the old one stood.
        assert b"\x1b[1A" in drawn
        assert b"\x1b[2K" in drawn
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(GENEROUS_S):
            assert await process.wait() == ExitCode.OK
    finally:
        os.close(ours)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def read_until(descriptor: int, wanted: bytes) -> bytes:
    """Read what a terminal shows, up to and including `wanted`."""
    loop = asyncio.get_running_loop()
    shown = b""
    async with asyncio.timeout(GENEROUS_S):
        while wanted not in shown:
            readable = asyncio.Event()
            loop.add_reader(descriptor, readable.set)
            try:
                await readable.wait()
            finally:
                loop.remove_reader(descriptor)
            shown += os.read(descriptor, 65_536)
    return shown
