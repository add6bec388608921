"""`coord-console` as people run it: printed once, as JSON, in a terminal, and what it refuses."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner
from console_scenes import NOW, SCENES, disconnected, leading
from console_terminal import detached, opened, terminal
from consul_agents import ConsulAgent
from coord_command import GENEROUS_S, ended, environment
from hand_made import lead, register, release
from rich.console import Console
from warm_start import warm

from console.cli import main
from console.once import as_json, dashboard, print_dashboard
from console.view.line import text_of
from coord.cli import main as coord_main
from coord.cli.errors import ExitCode
from coord.consul import ConsulClient
from coord.records import Paths
from coord.status.as_json import encoded


async def run(address: str, *args: str, **extra: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *warm("console"),
        *args,
        env=environment(address, **extra),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(GENEROUS_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    assert b"Traceback" not in err
    return process.returncode, out.decode(), err.decode()


async def test_once_prints_the_dashboard(
    consul: ConsulClient, consul_agent: ConsulAgent, name: str
) -> None:
    paths = Paths(name)
    await register(consul, paths.candidate_service, "core-2")
    tenure = await lead(consul, paths, "core-1", 1)
    code, out, err = await run(consul_agent.http_addr, "--once", "--election", name)
    assert (code, err) == (0, "")
    assert "★ core-1 LEADS · term 1" in out
    assert "● core-2" in out
    assert "\x1b" not in out

    await release(consul, paths, tenure, why="handed_over")
    code, out, _ = await run(consul_agent.http_addr, "--once", "--election", name)
    assert code == 1
    assert "✖ NOBODY LEADS" in out


async def test_json_is_the_snapshot(
    consul: ConsulClient, consul_agent: ConsulAgent, name: str
) -> None:
    await lead(consul, Paths(name), "core-1", 1)
    code, out, _ = await run(consul_agent.http_addr, "--json", "--election", name)
    told = json.loads(out)
    assert code == 0
    assert told["election"] == name
    assert told["consul"] == consul_agent.http_url
    assert told["status"]["leader_node"] == "core-1"
    assert told["contact"]["latency_ms"] > 0
    assert [tenure["node"] for tenure in told["history"]["tenures"]] == ["core-1"]
    assert told["journal"] == []


async def test_without_consul_it_says_so_and_which_was_asked() -> None:
    code, out, err = await run("127.0.0.1:1", "--once")
    assert (code, out) == (3, "")
    assert err.startswith("coord-console: Consul cannot be reached")
    assert err.count("\n") == 2
    assert "asked: http://127.0.0.1:1" in err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "there is no terminal to draw on"),
        (("--once", "--json"), "give one of them"),
        (("--once", "--election", "../x"), "election"),
        (("--once", "--consul-addr", "ftp://x"), "consul_addr"),
    ],
)
async def test_what_cannot_be_done_is_refused(args: tuple[str, ...], said: str) -> None:
    code, out, err = await run("127.0.0.1:1", *args)
    assert code == 2
    assert err.startswith("coord-console: ")
    assert said in err
    if "--json" in args:
        assert json.loads(out)["code"] == "usage"
    else:
        assert out == ""


def test_help_names_the_settings() -> None:
    told = CliRunner().invoke(main, ["--help"]).output
    assert all(flag in told for flag in ("--once", "--json", "--election", "--theme", "--consul-"))


def test_it_tells_its_version_as_coord_does() -> None:
    told = CliRunner().invoke(main, ["--version"])
    theirs = CliRunner().invoke(coord_main, ["--version"])
    assert (told.exit_code, theirs.exit_code) == (0, 0)
    assert told.output.split() == ["coord-console", *theirs.output.split()[1:]]


# --- in a terminal ---


async def test_it_opens_in_a_terminal_and_quits(
    consul: ConsulClient, consul_agent: ConsulAgent, name: str
) -> None:
    await lead(consul, Paths(name), "core-1", 1)
    with terminal() as (screen, theirs):
        process = await opened(theirs, consul_agent.http_addr, "--election", name)
        async with ended(process):
            await screen.until("core-1 LEADS")
            screen.type("q")
            async with asyncio.timeout(GENEROUS_S):
                assert await process.wait() == 0


PLANTED = """
from console.screens.dashboard import Dashboard
def action_window(self):
    secret = "in " + "memory"
    raise RuntimeError("planted")
Dashboard.action_window = action_window
"""


@pytest.mark.parametrize("asked", [(), ("--traceback",)])
async def test_a_mistake_of_ours_is_one_line_and_its_exit_code(
    consul: ConsulClient, consul_agent: ConsulAgent, name: str, tmp_path: Path, asked: tuple[str]
) -> None:
    await lead(consul, Paths(name), "core-1", 1)
    # Read by Python as it starts, before the console is.
    (tmp_path / "sitecustomize.py").write_text(PLANTED)
    with terminal() as (screen, theirs):
        path = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
        process = await opened(
            theirs, consul_agent.http_addr, *asked, "--election", name, PYTHONPATH=path
        )
        async with ended(process):
            await screen.until("core-1 LEADS")
            screen.type("w")
            async with asyncio.timeout(GENEROUS_S):
                assert await process.wait() == ExitCode.INTERNAL
        await screen.until("internal error: RuntimeError: planted")
        assert ("Traceback" in screen.seen) is bool(asked)
        assert "in memory" not in screen.seen or asked, "what is in variables is nobody's business"


@pytest.mark.parametrize(
    ("before", "controlled"),
    [(signal.SIG_DFL, True), (signal.SIG_IGN, True), (signal.SIG_DFL, False)],
    ids=["told", "told-in-vain", "not-told"],
)
async def test_it_ends_when_its_window_is_closed(
    consul: ConsulClient,
    consul_agent: ConsulAgent,
    name: str,
    before: signal.Handlers,
    controlled: bool,
) -> None:
    """Also where whoever started it ignores that, and where no signal tells it: there is nothing
    left to draw on."""
    await lead(consul, Paths(name), "core-1", 1)
    with terminal() as (screen, theirs):
        was = signal.signal(signal.SIGHUP, before)
        try:
            start = opened if controlled else detached
            process = await start(theirs, consul_agent.http_addr, "--election", name)
        finally:
            signal.signal(signal.SIGHUP, was)
        async with ended(process):
            await screen.until("core-1 LEADS")
            screen.close()
            process.send_signal(signal.SIGCONT)  # as the kernel does to who is controlled
            async with asyncio.timeout(GENEROUS_S):
                assert await process.wait() == 0


@pytest.mark.parametrize(
    ("args", "extra"), [(("--theme", "pink"), {}), ((), {"COORDINATOR_THEME": "pink"})]
)
async def test_an_unknown_theme_is_refused_with_those_there_are(
    consul_agent: ConsulAgent, args: tuple[str, ...], extra: dict[str, str]
) -> None:
    with terminal() as (screen, theirs):
        process = await opened(theirs, consul_agent.http_addr, *args, **extra)
        async with asyncio.timeout(GENEROUS_S):
            assert await process.wait() == 2
        await screen.until("high-contrast")


# --- what is printed ---


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("width", [80, 120, 250])
def test_what_is_printed_fits(scene: str, width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO(), highlight=False)
    print_dashboard(console, SCENES[scene](), NOW)
    printed = console.export_text().splitlines()
    assert all(len(one) <= width for one in printed)
    assert not any("\x1b" in one or "\x07" in one for one in printed)


def test_the_printed_table_is_aligned() -> None:
    printed = [text_of(each) for each in dashboard(leading(), NOW, 120)]
    head = next(one for one in printed if one.startswith("Node "))
    rows = printed[printed.index(head) + 1 :]
    at = head.index("Check")
    assert all(row[at:].startswith(("● passing", "✖ critical")) for row in rows)


def test_an_old_picture_is_printed_as_old() -> None:
    printed = [text_of(each) for each in dashboard(disconnected(), NOW, 120)]
    assert any("OLD" in one for one in printed)


@pytest.mark.parametrize("scene", SCENES)
def test_every_snapshot_is_json(scene: str) -> None:
    told = encoded(as_json(SCENES[scene](), NOW))
    assert told.isascii()
    assert json.loads(told)["election"]
