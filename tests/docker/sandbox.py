"""Takes Docker's engine away from the machine it runs on; started by `tests.docker.engine`.

    unshare --mount --pid … python sandbox.py ROOM COMMAND…

In the namespaces that it was started in, ``/etc`` becomes a copy and ``/run`` empty, both in
memory, the loopback interface is switched on, and this process becomes the command. What Docker
writes beside its data is gone with the last process of the namespace, and so are its mounts and its
networks.

Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


def mount(*words: str) -> None:
    """Mount as mount(8) does. Raises CalledProcessError."""
    subprocess.run(["mount", *words], check=True, stdin=subprocess.DEVNULL)


def own_files(room: Path) -> None:
    """A copy of /etc without Docker's own settings, and an empty /run."""
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(room))
    etc = room / "etc"
    subprocess.run(["cp", "--archive", "/etc", str(etc)], check=True, stdin=subprocess.DEVNULL)
    shutil.rmtree(etc / "docker", ignore_errors=True)
    with contextlib.suppress(OSError):  # it is often a link to /run
        told = Path("/etc/resolv.conf").read_bytes()
        (etc / "resolv.conf").unlink()
        (etc / "resolv.conf").write_bytes(told)
    mount("--bind", str(etc), "/etc")
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")


def loopback_up() -> None:
    """Switch on the loopback interface of this network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        request = struct.pack("16sH22x", b"lo", 0)
        (flags,) = struct.unpack_from("16xH", fcntl.ioctl(handle, SIOCGIFFLAGS, request))
        fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | IFF_UP))


def main() -> None:
    """Prepare, then become the command."""
    own_files(Path(sys.argv[1]))
    loopback_up()
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
