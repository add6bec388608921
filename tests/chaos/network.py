"""Hosts as network namespaces: a network of their own to work on, and a line that is never cut.

    with Network(("server-1", "node-1")) as network:
        network.cut([("node-1", "server-1")])

All of it is seen from the hub, a namespace too, that this thread is in while the network is there:
nothing of the machine's own network is touched or reachable. Every host has two addresses: on the
work network, which goes through the `switch` and is where the faults are; and on the line to the
hub, for what must be judged and steered whatever happens.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from demo import REPO
from processes import Guard, wait_gone
from tests.chaos.switch import Weather, enter

PREFIX = "coord-chaos"
NETNS = Path("/run/netns")
WORK_NET, LINE_NET = "10.213.0", "10.213.1"
HUB_ADDRESS = f"{LINE_NET}.1"
WORK, LINE = "work0", "line0"

_NAME = re.compile(rf"{PREFIX}-(\d+)-(\d+)-\d+-[a-z0-9-]+")
_LEAVE_S = 10.0


class NetworkError(Exception):
    """The network could not be made, or does not do what it was told."""


def missing() -> str | None:
    """What this machine lacks for such a network; None: nothing."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces are made by root"
    if shutil.which("ip") is None or shutil.which("nsenter") is None:
        return "the commands ip (iproute2) and nsenter (util-linux) are needed"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    done = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    return None if done.returncode == 0 else "no network namespace may be made here"


def _began(pid: int) -> int | None:
    """When that process began, in ticks since the machine did; None: there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def leftovers() -> list[str]:
    """Our namespaces whose owner is no more: its number and its beginning stand in their names."""
    found = []
    for path in NETNS.glob(f"{PREFIX}-*"):
        match = _NAME.fullmatch(path.name)
        if match and _began(int(match[1])) != int(match[2]):
            found.append(path.name)
    return sorted(found)


def remove(names: Iterable[str]) -> None:
    """Remove namespaces, and first whatever process is still in one."""
    for name in names:
        inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
        for pid in map(int, inside.stdout.split()):
            if pid != os.getpid():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                wait_gone(pid, _LEAVE_S)
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


@dataclass(frozen=True, slots=True)
class Host:
    """One host. work: its address for others; line: the one at which the hub reaches it."""

    name: str
    netns: str
    number: int

    @property
    def work(self) -> str:
        """Its address on the work network."""
        return f"{WORK_NET}.{self.number}"

    @property
    def line(self) -> str:
        """Its address on the line that is never cut."""
        return f"{LINE_NET}.{self.number}"

    @property
    def mac(self) -> str:
        """Of its interface on the work network."""
        return f"02:00:00:00:00:{self.number:02x}"

    @property
    def prefix(self) -> tuple[str, ...]:
        """The words before a command that is to run on it."""
        return ("nsenter", f"--net={NETNS / self.netns}", "--")


class Network:
    """The hosts and what lies between them. To be used by the thread that opened it.

    Raises NetworkError when it cannot be made; nothing of it is left then.
    """

    _numbers = itertools.count(1)

    def __init__(self, hosts: Sequence[str], *, seed: int = 0) -> None:
        own = f"{PREFIX}-{os.getpid()}-{_began(os.getpid())}-{next(self._numbers)}"
        self.hub = f"{own}-hub"
        self.hosts = {
            name: Host(name, f"{own}-{name}", number) for number, name in enumerate(hosts, 11)
        }
        self.weather = Weather()
        self._seed = seed
        self._home: int | None = None
        self._switch: subprocess.Popen[str] | None = None

    def open(self) -> Self:
        """Make it all and enter the hub. What crashed runs left is removed first."""
        remove(leftovers())
        try:
            self._make_hub()
            self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            enter(str(NETNS / self.hub))
            self._start_switch()
            for host in self.hosts.values():
                self._make_host(host)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError | subprocess.SubprocessError):
                raise NetworkError(str(error)) from error
            raise
        return self

    def close(self) -> None:
        """Leave the hub and remove everything; fine if there is nothing."""
        switch, self._switch = self._switch, None
        if switch is not None:
            assert switch.stdin is not None
            switch.stdin.close()
            try:
                switch.wait(_LEAVE_S)
            except subprocess.TimeoutExpired:
                switch.kill()
                switch.wait()
            Guard.mine().remove(switch.pid)
        home, self._home = self._home, None
        if home is not None:
            enter(f"/proc/self/fd/{home}")
            os.close(home)
        ours = [self.hub, *(host.netns for host in self.hosts.values())]
        remove(name for name in ours if (NETNS / name).exists())

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- faults ----------------------------------------------------------------------------

    def set(self, weather: Weather) -> None:
        """So it is on the work network from now on."""
        self._tell({"cut": sorted(weather.cut), "loss": weather.loss, "delay_s": weather.delay_s})
        self.weather = weather

    def heal(self) -> None:
        """Everything arrives, at once."""
        self.set(Weather())

    def between(self, some: Iterable[str], *, way: str = "both") -> frozenset[tuple[str, str]]:
        """The pairs between these hosts and all others: "both" ways, or only what comes "in" to
        them or goes "out" of them."""
        inside = set(some)
        outside = set(self.hosts) - inside
        out = {(a, b) for a in inside for b in outside}
        into = {(b, a) for a, b in out}
        return frozenset({"both": out | into, "out": out, "in": into}[way])

    # -- making ----------------------------------------------------------------------------

    def _make_hub(self) -> None:
        _ip(None, f"netns add {self.hub}")
        _ip(
            self.hub,
            "link set lo up",
            f"link add {LINE} type bridge forward_delay 0",
            f"addr add {HUB_ADDRESS}/24 dev {LINE}",
            f"link set {LINE} up",
        )

    def _start_switch(self) -> None:
        guard = Guard.mine()
        self._switch = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.switch", str(self._seed)],
            cwd=REPO,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is its owner's to answer
        )
        guard.add(self._switch.pid)
        # On a busy machine the network shall not be the first to get slow.
        os.setpriority(os.PRIO_PROCESS, self._switch.pid, -10)

    def _make_host(self, host: Host) -> None:
        _ip(None, f"netns add {host.netns}")
        path = str(NETNS / host.netns)
        self._tell({"plug": host.name, "netns": path, "interface": WORK, "mac": host.mac})
        end = f"to-{host.number}"
        _ip(
            host.netns,
            "link set lo up",
            f"link set {WORK} address {host.mac}",
            f"addr add {host.work}/24 dev {WORK}",
            f"link set {WORK} up",
            f"link add {LINE} type veth peer name {end} netns {self.hub}",
            f"addr add {host.line}/24 dev {LINE}",
            f"link set {LINE} up",
        )
        _ip(self.hub, f"link set {end} master {LINE}", f"link set {end} up")

    def _tell(self, command: dict[str, Any]) -> dict[str, Any]:
        switch = self._switch
        if switch is None or switch.stdin is None or switch.stdout is None:
            raise NetworkError("the switch was not started")
        try:
            switch.stdin.write(json.dumps(command) + "\n")
            switch.stdin.flush()
            line = switch.stdout.readline()
        except OSError as error:
            raise NetworkError(f"the switch is gone: {error}") from error
        if not line:
            raise NetworkError(f"the switch ended ({switch.wait()})")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise NetworkError(f"{command}: {answer['error']}")
        return answer


def _ip(netns: str | None, *lines: str) -> None:
    words = ["ip", *(("-n", netns) if netns else ()), "-batch", "-"]
    done = subprocess.run(words, input="\n".join(lines) + "\n", capture_output=True, text=True)
    if done.returncode:
        raise NetworkError(f"ip: {done.stderr.strip()}\n" + "\n".join(lines))


def main() -> None:
    """Remove what crashed runs left: ``python -m tests.chaos.network``."""
    found = leftovers()
    remove(found)
    print(f"{time.strftime('%H:%M:%S')} removed {', '.join(found) or 'nothing'}")


if __name__ == "__main__":
    main()
