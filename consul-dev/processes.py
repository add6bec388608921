"""Processes by pid: start one with a guard, ask whether it lives, end it, wait for it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

GUARD = Path(__file__).resolve().with_name("guard.py")


class Guard:
    """Sees to it that the processes it was told of do not outlive this one.

    One small process for each owner (``Guard.mine()``), started with the first use. It
    notices even an owner that got SIGKILL, and has no tie to the thread that started
    a process (as the kernel's parent-death signal has).
    """

    _mine: Guard | None = None
    _lock = threading.Lock()

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._watched: set[int] = set()
        self._process = self._spawn()

    @classmethod
    def mine(cls) -> Guard:
        """Return this process's own guard (a forked child gets another)."""
        with cls._lock:
            if cls._mine is None or cls._mine._owner != os.getpid():
                cls._mine = cls()
            return cls._mine

    def add(self, pid: int) -> None:
        """From now on ``pid`` dies when this process does."""
        with self._lock:
            self._watched.add(pid)
            self._tell(f"+{pid}\n")

    def remove(self, pid: int) -> None:
        """``pid`` has ended; its number may soon belong to somebody else."""
        with self._lock:
            self._watched.discard(pid)
            self._tell(f"-{pid}\n")

    def _spawn(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-S", "-E", str(GUARD)],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def _tell(self, line: str) -> None:
        if self._process.poll() is not None:
            self._process = self._spawn()
            line = "".join(f"+{pid}\n" for pid in sorted(self._watched))
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()


def command_of(pid: int) -> str | None:
    """Return the command line of a living ``pid``, or None when it is gone (or a zombie)."""
    proc = Path(f"/proc/{pid}")
    if Path("/proc/self/stat").exists():
        try:
            state = (proc / "stat").read_text().rpartition(")")[2].split()[0]
            words = (proc / "cmdline").read_bytes().split(b"\0")
        except OSError:
            return None
        return None if state in "ZX" else b" ".join(words).decode(errors="replace").strip()
    listed = subprocess.run(
        ["ps", "-o", "stat=,command=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return None if not listed or listed.startswith("Z") else listed


def wait_gone(pid: int, timeout_s: float) -> bool:
    """Wait until ``pid``, any process, has ended; False when it has not within ``timeout_s``."""
    if hasattr(os, "pidfd_open"):
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            poller = select.poll()
            poller.register(handle, select.POLLIN)
            return bool(poller.poll(timeout_s * 1000))
        finally:
            os.close(handle)
    end = time.monotonic() + timeout_s
    while command_of(pid) is not None:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def freeze_child(pid: int, timeout_s: float = 30.0) -> None:
    """SIGSTOP ``pid``, a child of this process, and wait until all of its threads stand still.

    The signal alone does not do it: until the last thread has noticed, they go on. Returns as well
    when the child has ended. Raises ProcessLookupError when it is gone and was waited for, and
    TimeoutError.
    """
    os.kill(pid, signal.SIGSTOP)
    if hasattr(os, "waitid"):
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        return
    end = time.monotonic() + timeout_s  # macOS has it from Python 3.13 on
    while (listed := command_of(pid)) is not None and not listed.startswith("T"):
        if time.monotonic() > end:
            raise TimeoutError(f"process {pid} does not stand still")
        time.sleep(0.01)


def end_pid(pid: int, marker: str, *, grace_s: float = 10.0) -> bool:
    """End ``pid`` if its command line still contains ``marker``: SIGTERM, then SIGKILL.

    The marker keeps a stale pid file from ending a stranger. Returns whether it was
    running. Raises TimeoutError if it survives even SIGKILL.
    """
    if marker not in (command_of(pid) or ""):
        return False
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 10.0)):
        try:
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)  # a frozen one could not answer SIGTERM
        except ProcessLookupError:
            return True
        if wait_gone(pid, patience_s):
            return True
    raise TimeoutError(f"process {pid} did not end")


def clean_environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment without CONSUL_*: an agent takes its settings from its file only."""
    return {k: v for k, v in (env or os.environ).items() if not k.startswith("CONSUL_")}
