"""What the figures were measured on: they mean nothing without it."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from demo import REPO
from get_consul import consul_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine and the moment.

    load: the load average of the last minute before it began.
    commit: of this repository, with a plus where files differ from it; "" if git does not tell.
    """

    date: str
    cpu: str
    cores: int
    kernel: str
    python: str
    consul: str
    load: float
    commit: str

    def line(self) -> str:
        """All of it in a sentence."""
        return (
            f"{self.date}; {self.cpu}, {self.cores} cores, load {self.load:.1f} before; "
            f"{self.kernel}; Python {self.python}; Consul {self.consul}; "
            f"commit {self.commit or 'unknown'}"
        )


def this_machine(consul: Path) -> Machine:
    """This machine, now, with that Consul binary."""
    return Machine(
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _cores(),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        consul=consul_version(consul),
        load=load(),
        commit=_commit(),
    )


def load() -> float:
    """The load average of the last minute."""
    return os.getloadavg()[0]


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(REPO), *words], capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "--short", "HEAD")
        return commit + ("+" if git("status", "--porcelain", "--", ".", ":!docs") else "")
    except OSError:
        return ""


def _cores() -> int:
    return os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return " ".join(value.split())
    return platform.machine()
