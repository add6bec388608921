"""Who acts, as the records have it."""

from __future__ import annotations

import getpass
import os
import socket

from coord.operations.asks import MAX_ACTOR


def whoami() -> str:
    """user@host of this process; the user that called sudo, where one did."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        user = f"uid-{os.getuid()}"
    name = "".join(c if c.isprintable() else "?" for c in f"{user}@{socket.gethostname()}")
    return name[:MAX_ACTOR]
