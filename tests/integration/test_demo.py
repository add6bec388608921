"""The demo as a user runs it: the whole story, and ends in the middle that leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import REPO
from processes import wait_gone

pytestmark = pytest.mark.long

PATIENCE_S = 110.0


def command(directory: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "demo", "--dir", str(directory), *arguments]


def processes_of(directory: Path) -> list[int]:
    """What runs for a demo: each of its processes has the directory open, or in its arguments."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid() and _is_of(entry, directory):
            found.append(int(entry.name))
    return found


def _is_of(process: Path, directory: Path) -> bool:
    try:
        if str(directory).encode() in (process / "cmdline").read_bytes():
            return True
        return any(str(directory) in os.readlink(fd) for fd in (process / "fd").iterdir())
    except OSError:
        return False


@pytest.fixture
def demo(consul_binary: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo that is under way; its last words are about the first schedules."""
    process = subprocess.Popen(
        command(tmp_path / "run"),
        cwd=REPO,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"CONSUL_BIN": str(consul_binary)},
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "schedules written" in line:
                break
        yield process
    finally:
        process.kill()
        process.communicate()


def all_gone(directory: Path, timeout_s: float = 30.0) -> bool:
    end = time.monotonic() + timeout_s
    return all(wait_gone(pid, max(0.0, end - time.monotonic())) for pid in processes_of(directory))


@pytest.mark.timeout(PATIENCE_S + 20)
def test_the_whole_story_holds_without_a_terminal(consul_binary: Path, tmp_path: Path) -> None:
    told = subprocess.run(
        command(tmp_path / "run", "--json"),
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert "\x1b" not in told.stderr
    assert all(len(line) <= 80 for line in told.stderr.splitlines())
    report = json.loads(told.stdout)
    assert report["held"]
    assert [act["fault"] for act in report["acts"]] == [None, "SIGTERM", "SIGKILL", "SIGSTOP"]
    assert not report["witness"]["overlapped"]
    assert len(report["witness"]["terms"]) == 4
    assert all(runs > 0 for runs in report["polls"].values())
    assert processes_of(tmp_path) == []


@pytest.mark.timeout(90)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_all_that_it_started(
    demo: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    assert len(processes_of(tmp_path)) > 5
    demo.send_signal(number)
    said, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, said
    assert "Traceback" not in said
    assert processes_of(tmp_path) == []


@pytest.mark.timeout(90)
def test_killed_outright_it_leaves_nothing_running(
    demo: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert len(processes_of(tmp_path)) > 5
    demo.kill()
    demo.wait()
    assert all_gone(tmp_path)


def test_a_bad_target_is_told_before_anything_is_started(tmp_path: Path) -> None:
    told = subprocess.run(
        command(tmp_path / "run", "--target", "ftp://x"),
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 2
    assert "ftp://x" in told.stderr
    assert not (tmp_path / "run").exists()


def test_a_reader_that_goes_away_ends_it_quietly(consul_binary: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(tmp_path / "run"),
        cwd=REPO,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert process.stderr.read() == ""
    process.stderr.close()
    assert processes_of(tmp_path) == []
