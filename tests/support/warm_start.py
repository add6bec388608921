"""Starts `coord …` at a tenth of its cost: as a fork of a process that has imported everything.

    process = await asyncio.create_subprocess_exec(*warm("coord"), "status", env=…, stdout=PIPE)

What is started is a relay, a process as any other: what it is given as environment, directory and
open files the command gets, signals are passed on, and it ends as the command ends. Only SIGSTOP
cannot be passed on, and a terminal does not become the command's own: what is about these has to
start ``python -m coord`` itself.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import os
import pkgutil
import random
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

RELAY = Path(__file__).with_name("warm_relay.py")
BACKLOG = 64

_servers: dict[str, subprocess.Popen[bytes]] = {}
"""Held, so that the ends stay open that keep them running."""


@functools.cache
def warm(module: str) -> tuple[str, ...]:
    """The words that start ``python -m MODULE``; its own words are to follow."""
    directory = tempfile.mkdtemp(prefix="warm-")
    path = os.path.join(directory, "socket")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(BACKLOG)
    _servers[module] = subprocess.Popen(
        [sys.executable, __file__, module, str(listener.fileno())],
        stdin=subprocess.PIPE,  # its end is how the server learns of ours
        stdout=subprocess.DEVNULL,
        pass_fds=[listener.fileno()],
        start_new_session=True,
    )
    listener.close()
    return (sys.executable, "-S", "-E", str(RELAY), path)


# -- the server -------------------------------------------------------------------------------


def serve(listener: socket.socket) -> list[str]:
    """Fork for each request; comes back, with the command's words, in the forks alone."""
    relays: dict[int, socket.socket] = {}
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    with selectors.DefaultSelector() as selector:
        for watched in (sys.stdin.fileno(), ended, listener.fileno()):
            selector.register(watched, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd == sys.stdin.fileno():
                    for pid in relays:
                        os.kill(pid, signal.SIGKILL)
                    shutil.rmtree(os.path.dirname(listener.getsockname()))
                    sys.exit()
                elif key.fd == ended:
                    os.read(ended, 4096)
                    _reap(relays, selector)
                elif key.fd == listener.fileno():
                    relay, _ = listener.accept()
                    request, files = _receive(relay)
                    pid = os.fork()
                    if pid == 0:
                        listener.close()
                        _as_if_new()
                        return _take(request, files)
                    for file in files:
                        os.close(file)
                    relays[pid] = relay
                    relay.sendall(b"%d\n" % pid)
                    selector.register(relay, selectors.EVENT_READ, data=pid)
                elif relays.get(key.data) is key.fileobj:  # gone before the command was
                    os.kill(key.data, signal.SIGKILL)
                    selector.unregister(key.fileobj)


def _reap(relays: dict[int, socket.socket], selector: selectors.BaseSelector) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            relay = relays.pop(pid)
            with contextlib.suppress(KeyError):
                selector.unregister(relay)
            with contextlib.suppress(OSError):
                relay.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
            relay.close()


def _as_if_new() -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The server may have been started under nohup; what is ignored by the relay is told by it.
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    random.seed()


def _receive(relay: socket.socket) -> tuple[str, list[int]]:
    start, files, _, _ = socket.recv_fds(relay, 65536, 3)
    length, _, body = start.partition(b"\n")
    while len(body) < int(length):
        body += relay.recv(65536)
    return os.fsdecode(body), files


def _take(request: str, files: list[int]) -> list[str]:
    """Become what was asked for: its files, directory and environment. Gives its words."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    directory, ignored, count, *rest = request.split("\0")
    for each in ignored.split():
        signal.signal(int(each), signal.SIG_IGN)
    os.chdir(directory)
    sys.path[0] = directory
    os.environ.clear()
    for each in rest[int(count) :]:
        variable, _, value = each.partition("=")
        os.environ[variable] = value
    sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())  # type: ignore[union-attr]
    return rest[: int(count)]


def main(module: str, listener: str) -> NoReturn:
    """Be the server of one module; in a fork, be the module."""
    package = importlib.import_module(module)
    for each in pkgutil.walk_packages(package.__path__, f"{module}."):
        if not each.name.endswith(".__main__"):
            importlib.import_module(each.name)
    gc.freeze()
    words = serve(socket.socket(fileno=int(listener)))
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    main(*sys.argv[1:])
