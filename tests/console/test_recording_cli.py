"""Recording and playing as people run them: a real Consul, a real terminal."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from console_terminal import opened, terminal
from consul_agents import ConsulAgent, eventually
from control_bench import hand_over, standing
from coord_command import GENEROUS_S, ended, environment
from recordings import a_night
from warm_start import warm

from console.recording.reading import Recording, RecordingError, read_recording
from coord.consul import ConsulClient
from coord.records import Paths


async def started(address: str, *args: str, **extra: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *warm("console"),
        *args,
        env=environment(address, **extra),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def recorded(path: Path, right: Callable[[Recording], bool]) -> Recording:
    """What is recorded, once it is right; more is recorded meanwhile."""

    async def read() -> Recording | None:
        try:
            return await asyncio.to_thread(read_recording, path)
        except RecordingError:
            return None

    found = await eventually(read, until=lambda found: found is not None and right(found))
    assert found is not None
    return found


def leads(node: str) -> Callable[[Recording], bool]:
    """Whether it is recorded that this node leads."""
    return lambda found: (found.frames[-1].leads or ("", 0))[0] == node


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_change_of_leader_is_recorded_without_a_terminal(
    consul: ConsulClient,
    consul_agent: ConsulAgent,
    name: str,
    number: signal.Signals,
    tmp_path: Path,
) -> None:
    paths, path = Paths(name), tmp_path / "night.jsonl.gz"
    tenure = await standing(consul, paths, "core-2")
    process = await started(consul_agent.http_addr, "--record", str(path), "--election", name)
    async with ended(process):
        await recorded(path, leads("core-1"))
        await hand_over(consul, paths, tenure, "core-2")
        await recorded(path, leads("core-2"))
        process.send_signal(number)
        async with asyncio.timeout(GENEROUS_S):
            out, err = await process.communicate()
    said = err.decode()
    assert (process.returncode, out) == (0, b"")
    assert f"recording election {name} in {path}" in said
    assert "pictures recorded" in said
    recording = read_recording(path)
    assert not recording.torn
    assert recording.header.election == name
    led = [frame.leads for frame in recording.frames if frame.changed]
    assert led[-1] == ("core-2", 8)
    last = recording.snapshot(-1)
    assert last.past is not None
    # Nobody looked at them, and who looks in the morning wants to.
    assert last.sessions is not None


async def test_a_consul_that_is_away_is_recorded_too_and_a_kill_spoils_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.jsonl.gz"
    process = await started("127.0.0.1:1", "--record", str(path))
    try:
        await recorded(
            path, lambda found: found.snapshot(len(found.frames) - 1).failing is not None
        )
    finally:
        process.kill()
        await process.wait()
    recording = read_recording(path)
    assert recording.torn
    shown = recording.snapshot(-1)
    assert shown.status is None


async def test_the_token_is_in_no_recording(
    locked_agent: ConsulAgent, tmp_path: Path, name: str
) -> None:
    path, token_file = tmp_path / "x.jsonl", tmp_path / "token"
    token = locked_agent.config.token
    assert token
    token_file.write_text(token)
    process = await started(
        locked_agent.http_addr,
        *("--record", str(path), "--election", name, "--consul-token-file", str(token_file)),
        CONSUL_HTTP_TOKEN=token,
    )
    async with ended(process):
        await recorded(path, lambda found: len(found.frames) > 2)
        process.terminate()
        await process.wait()
    assert token not in path.read_text()
    assert read_recording(path).frames


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--record", "{taken}"), "there is such a file already; name another, or remove it"),
        (("--record", "/no/such/place"), "No such file or directory"),
        (("--record", "a", "--replay", "b"), "--record and --replay: give one of them"),
        (("--record", "a", "--once"), "--once and --record: give one of them"),
        (("--replay", "{taken}"), "there is no terminal to play it on"),
    ],
)
async def test_what_cannot_be_done_is_refused(
    tmp_path: Path, args: tuple[str, ...], said: str
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    words = [word.format(taken=taken) for word in args]
    process = await started("127.0.0.1:1", *words)
    async with asyncio.timeout(GENEROUS_S):
        out, err = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert said in err.decode()
    assert err.count(b"\n") == 1
    assert taken.read_text() == "mine"


async def test_in_a_terminal_it_is_recorded_while_it_is_shown_and_played_again(
    consul: ConsulClient, consul_agent: ConsulAgent, name: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.jsonl"
    await standing(consul, Paths(name), "core-2")
    for words, seen in (
        (("--record", str(path), "--election", name), "core-1 LEADS"),
        (("--replay", str(path)), "REPLAY"),
    ):
        with terminal() as (screen, theirs):
            process = await opened(theirs, consul_agent.http_addr, *words)
            async with ended(process):
                await screen.until(seen)
                if seen != "REPLAY":
                    await recorded(path, leads("core-1"))
                else:
                    screen.type("...")
                    await screen.until("core-1 LEADS")
                screen.type("q")
                async with asyncio.timeout(GENEROUS_S):
                    assert await process.wait() == 0


async def test_what_is_no_recording_is_told_in_a_line(tmp_path: Path) -> None:
    broken = a_night(tmp_path / "x")
    lines = broken.read_text().splitlines(keepends=True)
    broken.write_text("".join((*lines[:3], "{}\n", *lines[4:])))
    with terminal() as (screen, theirs):
        process = await opened(theirs, "127.0.0.1:1", "--replay", str(broken))
        async with asyncio.timeout(GENEROUS_S):
            assert await process.wait() == 2
        await screen.until("line 4: at: it is no number of seconds")
