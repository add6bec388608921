"""The watchdog ends a real process: each test runs one of its own.

A program writes "armed" when the watchdog counts, and is then given far more time than its
deadline; the ones that must live end by themselves with a status of their own.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENDED, LIVED = 1, 42
PATIENCE_S = 30.0
"""What hangs would hang for longer than this."""

PROLOGUE = """
import asyncio, os, re, sys, threading, time
from coord.clock import SystemClock
from coord.watchdog import Watchdog

clock = SystemClock()
watchdog = Watchdog(clock)

def arm(after_s, key="coordinator"):
    watchdog.arm(key, clock.now() + after_s)

def armed():
    os.write(1, b"armed")

def live(until_s):
    time.sleep(until_s)
    os._exit(42)
"""


def start(
    program: str, *, stderr: int = subprocess.PIPE, within: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Run the program after `PROLOGUE`; `within` is a command that starts the interpreter."""
    return subprocess.Popen(
        [*within, sys.executable, "-c", PROLOGUE + textwrap.dedent(program)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=stderr,
    )


def outcome(program: str) -> tuple[int, str, float]:
    """Exit status, stderr, and seconds from being armed to the end."""
    process = start(program)
    assert process.stdout is not None
    try:
        assert process.stdout.read(5) == b"armed", process.communicate()[1]
        armed_at = time.monotonic()
        _, errors = process.communicate(timeout=PATIENCE_S)
        return process.returncode, errors.decode(), time.monotonic() - armed_at
    finally:
        process.kill()
        process.wait()


HANGS = {
    "the event loop": """
        async def main():
            armed()
            arm(0.5)
            what_hangs()

        def what_hangs():
            time.sleep(60)

        asyncio.run(main())
    """,
    "the GIL": """
        def what_hangs():
            re.match(r"(a|aa)+$", "a" * 60 + "b")

        armed()
        arm(0.5)
        what_hangs()
    """,
    "the GIL, in a thread": """
        def what_hangs():
            re.match(r"(a|aa)+$", "a" * 60 + "b")

        async def main():
            armed()
            arm(0.5)
            await asyncio.to_thread(what_hangs)

        asyncio.run(main())
    """,
}


@pytest.mark.parametrize("program", HANGS.values(), ids=HANGS.keys())
def test_what_hangs_past_the_deadline_ends_with_the_process_and_is_named(program: str) -> None:
    status, errors, seconds = outcome(program)
    assert status == ENDED
    assert "what_hangs" in errors
    assert seconds < PATIENCE_S / 2


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        pytest.param("arm(60); armed(); live(0)", LIVED, id="in time"),
        pytest.param(
            "arm(0.5); watchdog.disarm('coordinator'); armed(); live(1)", LIVED, id="disarmed"
        ),
        pytest.param("watchdog.disarm('coordinator'); armed(); live(0)", LIVED, id="never armed"),
        pytest.param("arm(0.5); arm(60); armed(); live(1)", LIVED, id="armed anew"),
        pytest.param("arm(60); arm(0.5); armed(); live(60)", ENDED, id="armed anew, earlier"),
        pytest.param("arm(-5); armed(); live(60)", ENDED, id="past already"),
        pytest.param(
            "arm(60, 'a'); arm(0.5, 'b'); armed(); live(60)", ENDED, id="two: later first"
        ),
        pytest.param(
            "arm(0.5, 'a'); arm(60, 'b'); armed(); live(60)", ENDED, id="two: earlier first"
        ),
        pytest.param(
            "arm(0.5, 'a'); arm(60, 'b'); watchdog.disarm('a'); armed(); live(1)",
            LIVED,
            id="two: the earlier disarmed",
        ),
        pytest.param(
            "arm(0.5, 'a'); arm(60, 'b'); watchdog.disarm('b'); armed(); live(60)",
            ENDED,
            id="two: the later disarmed",
        ),
        pytest.param(
            "arm(0.5); Watchdog(clock).arm('coordinator', clock.now() + 60); armed(); live(60)",
            ENDED,
            id="two watchdogs with the same key",
        ),
    ],
)
def test_the_earliest_deadline_that_is_armed_counts(steps: str, status: int) -> None:
    assert outcome(steps)[0] == status


def test_a_loop_that_confirms_in_time_lives_until_it_hangs() -> None:
    status, errors, seconds = outcome(
        """
        async def main():
            arm(30)
            armed()
            for _ in range(8):
                arm(1.0)
                await asyncio.sleep(0.25)
            what_hangs()

        def what_hangs():
            time.sleep(60)

        asyncio.run(main())
        """
    )
    assert status == ENDED
    assert "what_hangs" in errors
    assert 2.0 <= seconds < PATIENCE_S / 2


def test_a_log_pipe_that_nobody_reads_does_not_delay_the_end() -> None:
    reading, writing = os.pipe()
    process = None
    try:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        os.write(writing, b"x" * 4096)
        process = start(
            """
            arm(0.5)
            armed()
            os.write(2, b"this blocks")
            """,
            stderr=writing,
        )
        assert process.stdout is not None
        assert process.stdout.read(5) == b"armed"
        assert process.wait(timeout=PATIENCE_S) == ENDED
    finally:
        os.close(reading)
        os.close(writing)
        if process is not None:
            process.kill()
            process.communicate()


def test_a_process_that_was_frozen_past_its_deadline_ends_when_it_wakes() -> None:
    process = start("arm(1); armed(); live(60)")
    try:
        assert process.stdout is not None
        assert process.stdout.read(5) == b"armed"
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=2)
        process.send_signal(signal.SIGCONT)
        assert process.wait(timeout=PATIENCE_S) == ENDED
    finally:
        process.kill()
        process.communicate()


def test_a_process_without_stderr_ends_too() -> None:
    closing_it = ["/bin/sh", "-c", 'exec "$0" "$@" 2>&-']
    process = start("arm(0.5); armed(); live(60)", within=closing_it)
    try:
        assert process.wait(timeout=PATIENCE_S) == ENDED
    finally:
        process.kill()
        process.communicate()
