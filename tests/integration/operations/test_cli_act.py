"""The Act commands as people run them, on a real Consul with a leader that answers nobody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from consul_agents import ROOT_TOKEN, ConsulAgent, client_of, eventually
from hand_made import lead, register, release
from rights_bench import Rights, tokens_for
from warm_start import warm

from coord.cli.errors import ExitCode
from coord.consul import ConsulClient
from coord.controls import read_controls
from coord.operations import read_audit
from coord.operations.audit import BEGUN
from coord.records import Paths
from coord.rights import Role

GENEROUS_S = 60.0
CTRL_C = "\x03"
YES = ("--yes", "--reason", "a test")
SOON = ("--timeout", "500ms")


def environment(address: str, token: str = "") -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COORDINATOR_", "CONSUL_"))}
    said = {"CONSUL_HTTP_ADDR": address, "SUDO_USER": "ann", "TERM": "dumb"}
    return kept | said | ({"CONSUL_HTTP_TOKEN": token} if token else {})


class Coord:
    """Runs `coord` on one election."""

    def __init__(self, agent: ConsulAgent, election: str, token: str = "") -> None:
        self._address = agent.http_addr
        self._election = election
        self._token = token
        self._terminals: list[Terminal] = []

    async def start(
        self, *args: str, token: str = "", stdout: int = asyncio.subprocess.PIPE
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(*warm("coord"), *args, "--election", self._election),
            env=environment(self._address, token or self._token),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
        )

    async def __call__(self, *args: str, token: str = "") -> tuple[int, str, str]:
        return await finished(await self.start(*args, token=token))

    def on_terminal(self, *args: str) -> Terminal:
        command = [sys.executable, "-m", "coord", *args, "--election", self._election]
        terminal = Terminal(command, environment(self._address, self._token))
        self._terminals.append(terminal)
        return terminal

    def close(self) -> None:
        for terminal in self._terminals:
            terminal.close()


async def finished(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    async with asyncio.timeout(GENEROUS_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    assert b"Traceback" not in err
    return process.returncode, (out or b"").decode(), err.decode()


class Terminal:
    """A process with a terminal of its own."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, env)
        self.said = ""
        self._ended = False

    def close(self) -> None:
        """End it, where a test did not come that far."""
        if not self._ended:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self._fd)

    async def until(self, text: str) -> None:
        async with asyncio.timeout(GENEROUS_S):
            while text not in self.said:
                more = await asyncio.to_thread(os.read, self._fd, 4096)
                self.said += more.decode(errors="replace")

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    async def answer(self, text: str) -> int:
        """Type it at a question; its exit code.

        Ctrl-C is typed until it is heeded: one that falls between Python's last look for signals
        and its reading from the terminal is heeded at the next key.
        """
        self.type(text)
        ended = asyncio.ensure_future(self.ended())
        while text == CTRL_C and not (await asyncio.wait({ended}, timeout=2.0))[0]:
            with contextlib.suppress(OSError):
                self.type(text)
        return await ended

    async def ended(self) -> int:
        """Its exit code, once it has said all."""
        async with asyncio.timeout(GENEROUS_S):
            while True:
                try:
                    more = await asyncio.to_thread(os.read, self._fd, 4096)
                except OSError:
                    break
                if not more:
                    break
                self.said += more.decode(errors="replace")
        return await self.closed()

    async def closed(self) -> int:
        """Close the terminal; its exit code."""
        os.close(self._fd)
        self._ended = True
        async with asyncio.timeout(GENEROUS_S):
            _, status = await asyncio.to_thread(os.waitpid, self.pid, 0)
        return os.waitstatus_to_exitcode(status)


def items(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def paths(name: str) -> Paths:
    return Paths(name)


@pytest.fixture
async def consul(rights: Rights) -> AsyncIterator[ConsulClient]:
    """May do everything, also where ACLs are on."""
    async with client_of(rights.agent, token=rights.token) as client:
        yield client


@pytest.fixture
def coord(rights: Rights) -> Iterator[Coord]:
    """Where ACLs are on, with an operator's rights and no others."""
    made = Coord(rights.agent, rights.election, rights.secrets.get(Role.OPERATOR, ""))
    yield made
    made.close()


@pytest.fixture
async def led(consul: ConsulClient, paths: Paths) -> str:
    """core-1 leads, under term 7, and core-2 stands by. Gives the session."""
    tenure = await lead(consul, paths, "core-1", 7)
    await register(
        consul, paths.candidate_service, "core-1", state="leading", priority="100", workloads="poll"
    )
    await register(consul, paths.candidate_service, "core-2", priority="100")
    return tenure.session


async def everything(consul: ConsulClient, paths: Paths) -> list[tuple[str, int]]:
    return [(e.key, e.modify_index) for e in (await consul.kv_list(paths.root)).value]


# -- seen beforehand -------------------------------------------------------------------------


@pytest.mark.also_with_acls
@pytest.mark.parametrize(
    "command",
    [
        ("step-down",),
        ("transfer", "core-2"),
        ("force-release",),
        ("pause", "--for", "2h"),
        ("drain", "core-1"),
    ],
)
async def test_a_dry_run_changes_nothing(
    consul: ConsulClient, coord: Coord, paths: Paths, led: str, command: tuple[str, ...]
) -> None:
    before = await everything(consul, paths)
    code, out, err = await coord(*command, "--dry-run")
    assert (code, err) == (ExitCode.OK, "")
    assert "core-1" in out
    code, out, _ = await coord(*command, "--dry-run", "--json")
    assert code == ExitCode.OK
    (plan,) = items(out)
    assert (plan["kind"], plan["leader"]["term"]) == ("preview", 7)
    assert await everything(consul, paths) == before
    assert await consul.session_info(led) is not None


async def test_the_preview_tells_what_it_costs(coord: Coord, led: str) -> None:
    _, out, _ = await coord("step-down", "--dry-run", "--json")
    (plan,) = items(out)
    assert (plan["successor"], plan["workloads"]) == ("core-2", ["poll"])
    assert plan["gap"]["expected_ms"] > 0


# -- wrong usage -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("step-down",),  # nobody to ask
        ("step-down", "--yes"),  # no reason
        ("step-down", "--yes", "--reason", " "),
        ("step-down", *YES, "--term", "-1"),
        ("step-down", *YES, "--timeout", "soon"),
        ("transfer", *YES),
        ("transfer", "no/name", *YES),
        ("pause", *YES, "--for", "25h"),
        ("pause", *YES, "--for", "0s"),
        ("pause", *YES, "--for", "later"),
        ("pause", *YES, "--for", "30"),
    ],
)
async def test_wrong_usage(
    consul: ConsulClient, coord: Coord, paths: Paths, led: str, arguments: tuple[str, ...]
) -> None:
    before = await everything(consul, paths)
    code, out, err = await coord(*arguments)
    assert (code, out) == (ExitCode.USAGE, "")
    assert err
    assert await everything(consul, paths) == before


# -- exit codes ------------------------------------------------------------------------------


@pytest.mark.also_with_acls
async def test_a_leader_that_does_not_answer(
    consul: ConsulClient, coord: Coord, paths: Paths, led: str
) -> None:
    code, out, _ = await coord("step-down", *YES, *SOON)
    assert code == ExitCode.NOT_GOOD
    assert "not_answered" in out
    assert "force-release" in out
    code, out, _ = await coord("step-down", *YES, *SOON, "--json")
    assert code == ExitCode.NOT_GOOD
    assert [item["kind"] for item in items(out)] == ["preview", "step", "outcome"]
    assert (await read_controls(consul, paths)).request is None
    entries = await read_audit(consul, paths)
    assert [e.record.outcome for e in entries if e.record] == ["not_answered"] * 2
    assert all(e.record.actor.startswith("ann@") for e in entries if e.record)


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (("step-down", "--term", "6"), "term_moved_on"),
        (("transfer", "core-1"), "target_leads"),
        (("transfer", "core-9"), "unknown_node"),
        (("drain", "core-9"), "unknown_node"),
        (("undrain", "core-2"), "not_drained"),
        (("resume",), "not_paused"),
    ],
)
async def test_what_is_refused(
    consul: ConsulClient,
    coord: Coord,
    paths: Paths,
    led: str,
    arguments: tuple[str, ...],
    refusal: str,
) -> None:
    before = await everything(consul, paths)
    code, out, _ = await coord(*arguments, *YES, "--json")
    assert code == ExitCode.REFUSED
    assert items(out)[0]["code"] == refusal
    code, out, _ = await coord(*arguments, *YES)
    assert code == ExitCode.REFUSED
    assert out.startswith("refused: ")
    assert await everything(consul, paths) == before


@pytest.mark.also_with_acls
async def test_pause_and_resume(consul: ConsulClient, coord: Coord, paths: Paths, led: str) -> None:
    code, out, _ = await coord("pause", "--for", "90s", *YES, "--no-wait", "--actor", "cron")
    assert code == ExitCode.OK, out
    pause = (await read_controls(consul, paths)).pause
    assert pause is not None
    assert (pause.for_ms, pause.actor, pause.reason) == (90_000, "cron", "a test")
    code, out, _ = await coord("pause", *YES, "--no-wait")
    assert code == ExitCode.REFUSED
    code, out, _ = await coord("resume", *YES, "--no-wait")
    assert code == ExitCode.OK, out
    assert (await read_controls(consul, paths)).pause is None


@pytest.mark.also_with_acls
async def test_drain_and_undrain(
    consul: ConsulClient, coord: Coord, paths: Paths, led: str
) -> None:
    code, out, _ = await coord("drain", "core-2", *YES, "--no-wait")
    assert code == ExitCode.OK, out
    assert "core-2" in (await read_controls(consul, paths)).drained
    code, out, _ = await coord("undrain", "core-2", *YES, "--no-wait")
    assert code == ExitCode.OK, out
    assert (await read_controls(consul, paths)).drained == {}


async def test_consul_is_not_there(make_agent: Callable[..., ConsulAgent]) -> None:
    agent = make_agent()
    agent.kill()
    code, out, err = await Coord(agent, "x")("step-down", *YES)
    assert (code, out) == (ExitCode.CONSUL_UNREACHABLE, "")
    assert len(err.splitlines()) == 2, "what, and which Consul was asked"


async def test_a_viewer_is_not_permitted(locked_agent: ConsulAgent, name: str) -> None:
    token = (await asyncio.to_thread(tokens_for, locked_agent, name))[Role.VIEWER]
    coord = Coord(locked_agent, name)
    async with client_of(locked_agent, token=ROOT_TOKEN) as root:
        await lead(root, Paths(name), "core-1", 7)
        before = await everything(root, Paths(name))
        for command in (("step-down",), ("force-release",), ("pause",), ("drain", "core-1")):
            code, out, err = await coord(*command, *YES, token=token)
            assert code == ExitCode.NOT_PERMITTED
            assert "not permitted" in out + err
            assert token not in out + err
        assert await everything(root, Paths(name)) == before
    code, out, _ = await coord("step-down", *YES)
    assert code == ExitCode.NOT_PERMITTED


async def test_what_changes_while_somebody_is_asked(
    consul: ConsulClient, coord: Coord, paths: Paths, led: str
) -> None:
    """They confirmed what was shown; it is not so any more."""
    terminal = coord.on_terminal("step-down", "--reason", "a test")
    await terminal.until("Go on?")
    assert "core-2" in terminal.said
    (own,) = (
        s
        for s in (await consul.health_service(paths.candidate_service)).value
        if s.meta["node"] == "core-2"
    )
    await consul.service_deregister(own.id)
    await eventually(
        lambda: consul.health_service(paths.candidate_service),
        until=lambda reply: len(reply.value) == 1,
    )
    terminal.type("y\n")
    assert await terminal.ended() == ExitCode.REFUSED
    assert await read_audit(consul, paths) == ()


# -- interrupted -----------------------------------------------------------------------------


async def begun(consul: ConsulClient, paths: Paths) -> None:
    """Wait until a request stands."""

    async def stands() -> bool:
        return (await read_controls(consul, paths)).request is not None

    await eventually(stands)


@pytest.fixture
def hung_up_on() -> Iterator[None]:
    """Children end at SIGHUP, also if the tests are run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hung_up_on")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_who_interrupts_the_waiting_takes_the_request_back(
    consul: ConsulClient, coord: Coord, paths: Paths, led: str, number: signal.Signals
) -> None:
    process = await coord.start("step-down", *YES)
    await begun(consul, paths)
    process.send_signal(number)
    code, out, _ = await finished(process)
    assert code == ExitCode.INTERRUPTED
    assert "interrupted" in out
    assert "taken back" in out
    assert (await read_controls(consul, paths)).request is None
    (entry,) = await read_audit(consul, paths)
    assert entry.record is not None
    assert entry.record.outcome == "interrupted"


@pytest.mark.usefixtures("hung_up_on")
async def test_a_terminal_that_is_closed(
    consul: ConsulClient, coord: Coord, paths: Paths, led: str
) -> None:
    """Nothing can be said any more; the request is taken back, and that is written down."""
    terminal = coord.on_terminal("step-down", *YES)
    await terminal.until("asked")
    assert await terminal.closed() == ExitCode.INTERRUPTED
    assert (await read_controls(consul, paths)).request is None
    (entry,) = await read_audit(consul, paths)
    assert entry.record is not None
    assert entry.record.outcome == "interrupted"


@pytest.mark.parametrize("more", [(), ("--json",)])
async def test_nobody_reads_what_it_prints(
    consul: ConsulClient, coord: Coord, paths: Paths, name: str, more: tuple[str, ...]
) -> None:
    """As with `coord step-down … | head`."""
    tenure = await lead(consul, paths, "core-1", 7)
    ours, its = os.pipe()
    process = await coord.start("step-down", *YES, *more, stdout=its)
    os.close(its)
    await begun(consul, paths)
    os.close(ours)
    await release(consul, paths, tenure, why="stepped_down")
    code, _, err = await finished(process)
    assert (code, err) == (ExitCode.INTERRUPTED, "")
    assert (await read_controls(consul, paths)).request is None
    (entry,) = await read_audit(consul, paths)
    assert entry.record is not None
    assert entry.record.outcome == "interrupted"
    assert "given back" in entry.record.detail


async def test_who_does_not_care_for_the_terminal(
    consul: ConsulClient, coord: Coord, paths: Paths, led: str
) -> None:
    """Under nohup it goes on."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = await coord.start("step-down", *YES, "--timeout", "2s")
    finally:
        signal.signal(signal.SIGHUP, before)
    await begun(consul, paths)
    process.send_signal(signal.SIGHUP)
    code, out, _ = await finished(process)
    assert code == ExitCode.NOT_GOOD
    assert "not_answered" in out


async def test_who_interrupts_twice_does_not_wait_at_all(
    consul: ConsulClient, coord: Coord, paths: Paths, led: str
) -> None:
    process = await coord.start("step-down", *YES)
    await begun(consul, paths)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    code, _, _ = await finished(process)
    assert code == ExitCode.INTERRUPTED


async def test_an_operator_who_is_killed(
    consul: ConsulClient, coord: Coord, paths: Paths, led: str
) -> None:
    """The audit shows that nobody knows what came of it; the next one is told whose request is."""
    process = await coord.start("step-down", *YES)
    await begun(consul, paths)
    process.kill()
    await process.wait()
    (entry,) = await read_audit(consul, paths)
    assert entry.begun
    assert entry.record is not None
    assert entry.record.outcome == BEGUN
    code, out, _ = await coord("step-down", *YES, "--json")
    assert code == ExitCode.REFUSED
    assert items(out)[0]["code"] == "asked_already"
    code, _, _ = await coord("step-down", *YES, *SOON, "--anyway")
    assert code == ExitCode.NOT_GOOD
    assert (await read_controls(consul, paths)).request is None


# -- on a terminal ---------------------------------------------------------------------------


async def test_it_asks_and_does_it(
    consul: ConsulClient, coord: Coord, paths: Paths, led: str
) -> None:
    terminal = coord.on_terminal("step-down", *SOON)
    await terminal.until("Go on?")
    assert "core-1" in terminal.said
    terminal.type("y\n")
    await terminal.until("Reason")
    terminal.type("kernel update\n")
    assert await terminal.ended() == ExitCode.NOT_GOOD
    (entry,) = await read_audit(consul, paths)
    assert entry.record is not None
    assert entry.record.reason == "kernel update"


@pytest.mark.parametrize(
    ("command", "question", "answer", "code"),
    [
        ("step-down", "Go on?", "n\n", ExitCode.NOT_GOOD),
        ("force-release", "Type core-1", "core-2\n", ExitCode.NOT_GOOD),
        ("force-release", "Type core-1", "y\n", ExitCode.NOT_GOOD),
        ("step-down", "Go on?", CTRL_C, ExitCode.INTERRUPTED),
    ],
)
async def test_who_does_not_confirm(
    consul: ConsulClient,
    coord: Coord,
    paths: Paths,
    led: str,
    command: str,
    question: str,
    answer: str,
    code: ExitCode,
) -> None:
    before = await everything(consul, paths)
    terminal = coord.on_terminal(command, "--reason", "a test")
    await terminal.until(question)
    assert await terminal.answer(answer) == code
    assert await everything(consul, paths) == before
    assert await consul.session_info(led) is not None


@pytest.mark.also_with_acls
async def test_force_release_is_confirmed_by_name(
    consul: ConsulClient, coord: Coord, paths: Paths, led: str
) -> None:
    terminal = coord.on_terminal("force-release", "--reason", "it hangs", "--timeout", "2s")
    await terminal.until("Type core-1")
    terminal.type("core-1\n")
    assert await terminal.ended() == ExitCode.NOT_GOOD
    assert "no_successor" in terminal.said
    assert await consul.session_info(led) is None
