"""The line from the work to the witness: one UDP datagram, one JSON object, for each message."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Mapping

WITNESS_VARIABLE = "COORD_WITNESS"
"""The environment variable with the witness's ``host:port``."""


class Line:
    """Numbers and sends this process's messages; nothing waits for an answer.

    Without an address, messages go nowhere.

    Raises:
        ValueError: the address is not ``host:port``.
    """

    def __init__(self, address: str | None) -> None:
        self._sent = 0
        self._socket: socket.socket | None = None
        if not address:
            return
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(f"{WITNESS_VARIABLE} is {address!r}; write host:port")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect((host.strip("[]"), int(port)))

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Line:
        """The line to the witness that the environment names."""
        return cls(environ.get(WITNESS_VARIABLE))

    def message(self, kind: str, node: str, term: int, **more: object) -> bytes:
        """A message, to be sent before the next is made, or not at all.

        `seq` counts this process's sent messages from 0; `sent` is CLOCK_MONOTONIC in seconds,
        which is the same for all processes of a machine.
        """
        said = {
            "kind": kind,
            "node": node,
            "term": term,
            "pid": os.getpid(),
            "seq": self._sent,
            "sent": time.monotonic(),
        }
        return json.dumps(said | more).encode()

    def send(self, message: bytes) -> None:
        """Send it; a witness that is gone, or too slow, does not keep anybody from working."""
        self._sent += 1  # also if it does not get through: the hole shows it
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.send(message)
