"""The network that the scenarios stand on: what is cut is cut, that way only, and then healed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.chaos.network import NETNS, PREFIX, Network, leftovers, remove
from tests.chaos.switch import Weather

ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 7))
print("ready", flush=True)
while True:
    data, sender = s.recvfrom(2048)
    s.sendto(data, sender)
"""
ASK = """
import socket, sys, time
host, count, wait_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(wait_s)
times = []
for number in range(count):
    began = time.monotonic()
    s.sendto(b"%d" % number, (host, 7))
    try:
        while s.recv(2048) != b"%d" % number:
            pass
    except TimeoutError:
        continue
    times.append(time.monotonic() - began)
print(len(times), max(times, default=0.0))
"""
COUNT = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 9))
s.settimeout(2.0)
print("ready", flush=True)
try:
    s.recv(10)
    print("heard")
except TimeoutError:
    print("nothing")
"""


pytestmark = pytest.mark.usefixtures("able")


@pytest.fixture
def network() -> Iterator[Network]:
    with Network(("a", "b", "c"), seed=1) as made:
        yield made


def started(network: Network, host: str, source: str) -> subprocess.Popen[str]:
    words = [*network.hosts[host].prefix, sys.executable, "-S", "-c", source]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def asked(network: Network, host: str, address: str, *, times: int, wait_s: float = 0.5) -> float:
    """How many of so many datagrams were answered, and the slowest answer in seconds."""
    words = [*network.hosts[host].prefix, sys.executable, "-S", "-c", ASK, address]
    done = subprocess.run(
        [*words, str(times), str(wait_s)], capture_output=True, text=True, check=True, timeout=60
    )
    count, slowest = done.stdout.split()
    return int(count) + min(float(slowest), 0.99)


@pytest.fixture
def echo(network: Network) -> Iterator[str]:
    """Host b answers; its address."""
    process = started(network, "b", ECHO)
    yield network.hosts["b"].work
    process.kill()
    process.wait()


def answered(network: Network, host: str, address: str, **words: float) -> int:
    return int(asked(network, host, address, times=int(words.pop("times", 2)), **words))


def test_a_cut_host_is_cut_and_the_line_is_not(network: Network, echo: str) -> None:
    assert answered(network, "a", echo) == 2
    network.set(Weather(cut=network.between(["b"])))
    assert answered(network, "a", echo) == 0
    assert answered(network, "a", network.hosts["b"].line) == 2
    network.heal()
    assert answered(network, "a", echo) == 2


def test_a_cut_of_a_pair_leaves_the_others(network: Network, echo: str) -> None:
    network.set(Weather(cut=frozenset({("a", "b")})))
    assert answered(network, "a", echo) == 0
    assert answered(network, "c", echo) == 2


@pytest.mark.parametrize(("way", "heard"), [("in", "nothing"), ("out", "heard")])
def test_one_way(network: Network, way: str, heard: str) -> None:
    """What is cut one way still goes the other; both know each other's hardware address first."""
    echo = started(network, "b", ECHO)
    assert answered(network, "a", network.hosts["b"].work) == 2
    counter = started(network, "b", COUNT)
    network.set(Weather(cut=network.between(["b"], way=way)))
    send = (
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
        f".sendto(b'x', ('{network.hosts['b'].work}', 9))"
    )
    words = [*network.hosts["a"].prefix, sys.executable, "-S", "-c", send]
    subprocess.run(words, check=True, timeout=30)
    said, _ = counter.communicate(timeout=30)
    assert said.strip() == heard
    echo.kill()
    echo.wait()


def test_loss_and_delay(network: Network, echo: str) -> None:
    assert answered(network, "a", echo) == 2  # the hosts have found each other
    network.set(Weather(loss=0.5))
    assert 0 < answered(network, "a", echo, times=40, wait_s=0.05) < 40
    network.set(Weather(delay_s=(0.05, 0.06)))
    slow = asked(network, "a", echo, times=3, wait_s=5.0)
    assert int(slow) == 3
    assert slow % 1 >= 0.1  # there and back


def test_nothing_is_left_and_what_a_crashed_run_left_is_removed() -> None:
    crash = (
        "import os\nfrom tests.chaos.network import Network\n"
        "Network(('a',)).open()\nprint('there', flush=True)\nos._exit(9)\n"
    )
    before = set(NETNS.glob(f"{PREFIX}-*"))
    subprocess.run([sys.executable, "-c", crash], check=False, timeout=60)
    assert len(leftovers()) >= 2
    with Network(("a",)) as made:
        assert leftovers() == []
        assert (NETNS / made.hub).exists()
        remove(leftovers())
        assert (NETNS / made.hub).exists()
    left = set(NETNS.glob(f"{PREFIX}-{os.getpid()}-*"))
    assert left <= before
