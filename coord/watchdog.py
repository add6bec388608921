"""Ends the process when it hangs past the moment by which its work had to be over.

A hung event loop cannot stop itself, and a Python thread that should do it does not run while
something holds the GIL. `faulthandler` keeps a thread outside the interpreter: it needs no GIL,
writes to stderr where every thread stood, and calls ``_exit(1)``.

Its timer follows CLOCK_MONOTONIC, so a machine's suspend lengthens it; after one the lease, which
does see the suspend, and the fences in Consul are what holds back old work.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from typing import ClassVar, Final

from coord.clock import Clock

_AT_ONCE_S: Final = 0.001
"""faulthandler refuses a time of zero."""
_OPEN_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY


class Watchdog:
    """Deadlines of this process, by key; past the earliest one the process ends.

    faulthandler has one timer for the whole process, hence all watchdogs share their deadlines
    and whoever else uses `faulthandler.dump_traceback_later` takes it away. Use it on one thread.

    The candidate arms it at each confirmation with lease + fence_grace from when the confirming
    request was sent, and disarms it when the work has ended.
    """

    _deadlines: ClassVar[dict[tuple[Watchdog, str], float]] = {}
    _fd: ClassVar[int | None] = None

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def arm(self, key: str, deadline: float) -> None:
        """End the process at `deadline` (monotonic seconds of the clock) unless armed anew.

        Replaces the key's former deadline. One that is past ends the process at once.

        Raises:
            RuntimeError: no thread could be started for the timer, and none runs now: do not lead.
        """
        self._deadlines[self, key] = deadline
        self._set_timer()

    def disarm(self, key: str) -> None:
        """Forget the key's deadline; fine if there is none. Other keys' deadlines stay."""
        if self._deadlines.pop((self, key), None) is not None:
            self._set_timer()

    def _set_timer(self) -> None:
        if not self._deadlines:
            faulthandler.cancel_dump_traceback_later()
            return
        after_s = min(self._deadlines.values()) - self._clock.now()
        faulthandler.dump_traceback_later(
            max(after_s, _AT_ONCE_S), exit=True, file=self._stderr_fd()
        )

    @classmethod
    def _stderr_fd(cls) -> int:
        if Watchdog._fd is None:
            Watchdog._fd = _open_stderr()
        return Watchdog._fd


def _open_stderr() -> int:
    """A descriptor for the real stderr that does not block, so that writing cannot delay the end.

    A log pipe that nobody reads may be the very thing that the process hangs on. Opening it anew
    gives it flags of its own; those of stderr are shared with other processes. A socket cannot be
    opened so, and not every system lets a process open its descriptors: then it is stderr itself.
    """
    if sys.__stderr__ is None:  # closed at the start: its number may be some other file's by now
        return os.open(os.devnull, os.O_WRONLY)
    fd = sys.__stderr__.fileno()
    try:
        return os.open(f"/proc/self/fd/{fd}", _OPEN_FLAGS)
    except OSError:
        return fd
