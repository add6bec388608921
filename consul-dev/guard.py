#!/usr/bin/env python3
"""Kill what a dead owner left behind.

Reads ``+PID`` (watch it) and ``-PID`` (it was stopped properly) from stdin. The other
end of that pipe is held by the owner alone, so end of file means that the owner is
gone, however it died: then everything still watched is killed.
"""

from __future__ import annotations

import os
import signal
import sys


def watch(pid: int) -> int | None:
    """Return a handle that cannot come to mean another process, where the system has one."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def kill(pid: int, handle: int | None) -> None:
    """SIGKILL one process; one that is gone already is fine."""
    try:
        if handle is None:
            os.kill(pid, signal.SIGKILL)
        else:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        pass


def main() -> None:
    """Follow the owner until it is gone."""
    # Ctrl-C and `kill` of the whole group are the owner's to answer, not the guard's.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watched: dict[int, int | None] = {}
    for line in sys.stdin:
        pid = int(line[1:])
        if line[0] == "+":
            watched[pid] = watch(pid)
        else:
            handle = watched.pop(pid, None)
            if handle is not None:
                os.close(handle)
    for pid, handle in watched.items():
        kill(pid, handle)


if __name__ == "__main__":
    main()
