"""What systemd is told, over a real socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from coord.service_manager import ServiceManager


@pytest.fixture(params=["a file", "no file"])
def listening(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[socket.socket, str]]:
    """A socket as systemd's, and what NOTIFY_SOCKET says of it."""
    name = str(tmp_path / "notify") if request.param == "a file" else f"\0coord-{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name)
        listener.settimeout(10)
        yield listener, name.replace("\0", "@")


def test_it_is_told_in_its_own_words(listening: tuple[socket.socket, str]) -> None:
    listener, address = listening
    manager = ServiceManager({"NOTIFY_SOCKET": address})
    manager.ready()
    manager.alive()
    manager.status("leads, term 7\nREADY=0")
    manager.stopping()
    told = [listener.recv(1024) for _ in range(4)]
    assert told == [b"READY=1", b"WATCHDOG=1", b"STATUS=leads, term 7 READY=0", b"STOPPING=1"]


def test_one_that_does_not_listen_keeps_nobody_waiting(
    listening: tuple[socket.socket, str],
) -> None:
    listener, address = listening
    manager = ServiceManager({"NOTIFY_SOCKET": address})
    for _ in range(10_000):  # more than any socket holds
        manager.alive()
    assert listener.recv(1024) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", ["", "/no/such/socket", "vsock:2:1234", "relative"])
def test_where_there_is_none_nothing_is_told(address: str) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": address})
    manager.ready()
    manager.stopping()


@pytest.mark.parametrize(
    ("environ", "every_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "4000000"}, 1.0),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "1"}, None),
    ],
)
def test_how_often_it_wants_to_hear(environ: dict[str, str], every_s: float | None) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": "/run/systemd/notify", **environ})
    assert manager.alive_every_s == every_s
