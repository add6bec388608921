"""Exits with 0 if the node of this container says that it is well, else with 1: a health check.

    health.py live     its event loop runs
    health.py ready    it can take part in the election, too

Standard library only, and little of it: it runs every few seconds.
"""

from __future__ import annotations

import http.client
import os
import sys

TIMEOUT_S = 4.0


def address(listen: str | None) -> tuple[str, int]:
    """Host and port of COORDINATOR_LISTEN, or of its default; any host is reached by loopback."""
    host, _, port = (listen or ":8610").rpartition(":")
    host = host.strip("[]")
    return ("127.0.0.1" if host in ("", "0.0.0.0", "::") else host), int(port)


def main() -> int:
    """Ask ``/api/health/live`` or ``/ready``; gives the exit status."""
    which = sys.argv[1]
    host, port = address(os.environ.get("COORDINATOR_LISTEN"))
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", f"/api/health/{which}")
        reply = connection.getresponse()
        print(reply.status, reply.read(1000).decode(errors="replace"))
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer: {error}")
        return 1
    return 0 if reply.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
