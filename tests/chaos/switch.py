"""The switch between the hosts: a process that carries every frame, or does not.

Each host has a TAP interface in its own network namespace; the switch holds the other end of all
of them. So whatever a network may do to its hosts is decided in one place, at one moment, and
silently: to cut any pair one way or both ways, to lose frames, to deliver them late. Nothing of it
needs a kernel module but the one for TAP.

``python -m tests.chaos.switch SEED`` reads one JSON object a line from stdin and answers each by
one on stdout:

    {"plug": NAME, "netns": PATH, "interface": NAME, "mac": TEXT}   a host gets its interface
    {"cut": [[FROM, TO], …], "loss": 0.1, "delay_s": [0.02, 0.1]}   how it is from now on

It ends when its stdin is closed, and the interfaces with it.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TAP_NO_PI = 0x0002 | 0x1000
_LONGEST_FRAME = 2048
_AT_ONCE = 64
_MOST_WAITING = 20_000


def enter(netns: str) -> None:
    """Take this thread into a network namespace, by its path. Raises OSError."""
    handle = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # `os.setns` came with Python 3.12.
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(handle, _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), netns)
    finally:
        os.close(handle)


def open_tap(interface: str) -> int:
    """Make a TAP interface in this thread's network namespace; gives its other end."""
    handle = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.ioctl(handle, _TUNSETIFF, struct.pack("16sH22x", interface.encode(), _IFF_TAP_NO_PI))
    except OSError:
        os.close(handle)
        raise
    return handle


@dataclass(frozen=True, slots=True)
class Weather:
    """What becomes of frames. cut: pairs (from, to) between which nothing goes; loss: of how many
    none arrives, 0 to 1; delay_s: how long the others take, from and to."""

    cut: frozenset[tuple[str, str]] = frozenset()
    loss: float = 0.0
    delay_s: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def parse(cls, said: Mapping[str, Any]) -> Weather:
        """From a command."""
        low, high = said.get("delay_s", (0.0, 0.0))
        pairs = frozenset((str(a), str(b)) for a, b in said.get("cut", ()))
        return cls(pairs, float(said.get("loss", 0.0)), (float(low), float(high)))


@dataclass(slots=True)
class Switch:
    """Decides for each frame where it goes and when; `run` moves them."""

    seed: int
    weather: Weather = Weather()
    carried: int = 0
    dropped: int = 0
    _random: random.Random = field(init=False)
    _taps: dict[int, str] = field(default_factory=dict)
    _handles: dict[str, int] = field(default_factory=dict)
    _by_mac: dict[bytes, str] = field(default_factory=dict)
    _late: list[tuple[float, int, str, bytes]] = field(default_factory=list)
    _last_due: dict[tuple[str, str], float] = field(default_factory=dict)
    _number: int = 0
    _poll: select.epoll = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._poll = select.epoll()

    def run(self) -> None:
        """Carry frames and obey commands until stdin is closed."""
        home = "/proc/self/ns/net"
        keep = os.open(home, os.O_RDONLY | os.O_CLOEXEC)
        self._poll.register(sys.stdin.fileno(), select.EPOLLIN)
        while True:
            for handle, _ in self._poll.poll(self._pause_s()):
                if handle in self._taps:
                    self._take(handle)
                    continue
                line = sys.stdin.readline()
                if not line:
                    return
                self._obey(json.loads(line), f"/proc/self/fd/{keep}")
            self._deliver_late()

    def _pause_s(self) -> float:
        return max(0.0, self._late[0][0] - time.monotonic()) if self._late else -1

    def _obey(self, said: dict[str, Any], home: str) -> None:
        answer: dict[str, Any] = {"carried": self.carried, "dropped": self.dropped}
        if "plug" in said:
            try:
                enter(said["netns"])
                handle = open_tap(said["interface"])
            except OSError as error:
                answer["error"] = str(error)
            else:
                self._plug(said["plug"], bytes.fromhex(said["mac"].replace(":", "")), handle)
            finally:
                enter(home)
        else:
            self.weather = Weather.parse(said)
        print(json.dumps(answer), flush=True)

    def _plug(self, name: str, mac: bytes, handle: int) -> None:
        self._taps[handle] = name
        self._handles[name] = handle
        self._by_mac[mac] = name
        self._poll.register(handle, select.EPOLLIN)

    def _take(self, handle: int) -> None:
        source = self._taps[handle]
        for _ in range(_AT_ONCE):
            try:
                frame = os.read(handle, _LONGEST_FRAME)
            except OSError:
                return  # there is no more, or the interface is down
            for target in self._targets(source, frame):
                self._send(source, target, frame)

    def _targets(self, source: str, frame: bytes) -> Iterator[str]:
        if frame[0] & 1:
            yield from (name for name in self._handles if name != source)
        elif (target := self._by_mac.get(frame[:6])) is not None:
            yield target

    def _send(self, source: str, target: str, frame: bytes) -> None:
        weather, pair = self.weather, (source, target)
        lost = weather.loss > 0 and self._random.random() < weather.loss
        if pair in weather.cut or lost or len(self._late) > _MOST_WAITING:
            self.dropped += 1
            return
        waits = self._random.uniform(*weather.delay_s) if weather.delay_s[1] else 0.0
        due = self._last_due.get(pair, 0.0)  # none overtakes another on its way
        now = time.monotonic()
        if waits or due > now:
            due = max(due, now + waits)
            self._last_due[pair] = due
            self._number += 1
            heapq.heappush(self._late, (due, self._number, target, frame))
        else:
            self._put(target, frame)

    def _deliver_late(self) -> None:
        now = time.monotonic()
        while self._late and self._late[0][0] <= now:
            _, _, target, frame = heapq.heappop(self._late)
            self._put(target, frame)

    def _put(self, target: str, frame: bytes) -> None:
        try:
            os.write(self._handles[target], frame)
            self.carried += 1
        except OSError:
            self.dropped += 1  # its interface is down


if __name__ == "__main__":
    Switch(int(sys.argv[1])).run()
