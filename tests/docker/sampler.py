"""Within a container, asks its node again and again what it does, and prints a line an answer.

    [sent, received, state, term, parts of the work that run]

sent, received: CLOCK_MONOTONIC, in seconds: the same clock in all containers of a host.

Standard library only: its text is given to the Python of the container.
"""

from __future__ import annotations

import http.client
import json
import time

EVERY_S = 0.1
ENDED = ("ended", "lapsed", "failed")


def main() -> None:
    """Until it is ended, or nobody reads any more."""
    while True:
        sent = time.monotonic()
        try:
            connection = http.client.HTTPConnection("127.0.0.1", 8610, timeout=10)
            connection.request("GET", "/api/health")
            told = json.loads(connection.getresponse().read())
            connection.close()
        except (OSError, ValueError, http.client.HTTPException):
            pass  # it starts, or it ends
        else:
            work = [part["id"] for part in told["work"] if part["state"] not in ENDED]
            line = [sent, time.monotonic(), told["state"], told["term"], work]
            print(json.dumps(line), flush=True)
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
