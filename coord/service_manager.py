"""Tells systemd how the node is, where systemd has started it and asked to be told.

It is the protocol of sd_notify(3): datagrams to the socket that `NOTIFY_SOCKET` names.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping

import structlog

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("coord.service_manager")


class ServiceManager:
    """Whoever started this process, if it wants to be told; else all of this does nothing.

    It never waits: what the socket does not take at once is lost.

    alive_every_s: how often, in seconds, `alive` is to be said; None: not at all.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        # With @ begin those of Linux's sockets that are no files.
        is_file = not self._address.startswith("@")
        self._target = self._address if is_file else "\0" + self._address[1:]
        self._socket: socket.socket | None = None
        if self._address[:1] in ("/", "@"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        self.alive_every_s = _watchdog_s(environ) if self._socket is not None else None

    def ready(self) -> None:
        """The node serves, and takes part."""
        self._tell("READY=1")

    def alive(self) -> None:
        """The event loop runs: to be said again and again."""
        self._tell("WATCHDOG=1")

    async def keep_alive(self) -> None:
        """Say so as often as is asked for, for ever; returns at once where nobody asks."""
        while self.alive_every_s is not None:
            self.alive()
            await asyncio.sleep(self.alive_every_s)

    def status(self, said: str) -> None:
        """A line for people, as `systemctl status` shows it."""
        self._tell("STATUS=" + said.replace("\n", " "))

    def stopping(self) -> None:
        """The node has begun to end."""
        self._tell("STOPPING=1")

    def _tell(self, message: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(message.encode(), self._target)
        except BlockingIOError:
            pass
        except OSError as error:
            _log.warning("systemd cannot be told", socket=self._address, error=str(error))
            self._socket = None


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """A quarter of the time after which systemd ends a service that does not say that it is alive,
    as far as that is about this process."""
    limit_us, own_pid = environ.get("WATCHDOG_USEC", ""), str(os.getpid())
    if not limit_us.isdecimal() or environ.get("WATCHDOG_PID", own_pid) != own_pid:
        return None
    return int(limit_us) / 4e6 or None
