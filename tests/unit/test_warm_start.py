"""What `warm_start` starts is, to whoever started it, the command itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from warm_start import warm

COLD = (sys.executable, "-m", "coord")


@pytest.mark.parametrize("words", [["--version"], ["status", "--nothing"], ["config", "--json"]])
def test_it_says_and_ends_as_the_command_does(words: list[str]) -> None:
    said = [
        subprocess.run([*start, *words], capture_output=True, check=False)
        for start in (COLD, warm("coord"))
    ]
    cold, started = [(each.returncode, each.stdout, each.stderr) for each in said]
    assert started == cold
    assert cold[1] or cold[2]


def test_a_setting_reaches_it_and_none_stays() -> None:
    command = [*warm("coord"), "config"]
    more = os.environ | {"COORDINATOR_ELECTION": "warmed"}
    first = subprocess.run(command, env=more, capture_output=True, check=True)
    second = subprocess.run(command, capture_output=True, check=True)
    assert b"warmed" in first.stdout
    assert b"warmed" not in second.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_it(number: signal.Signals) -> None:
    """Its output ends too: nothing is left that could write to it."""
    watching = subprocess.Popen(
        [*warm("coord"), "status", "--watch"],
        env=os.environ | {"CONSUL_HTTP_ADDR": "127.0.0.1:1"},
        stdout=subprocess.PIPE,
    )
    assert watching.stdout is not None
    assert watching.stdout.read(1), "it has begun"
    watching.send_signal(number)
    watching.communicate()
    assert watching.returncode == (0 if number is signal.SIGINT else -signal.SIGKILL)
