"""What no process in virtual time has: threads, sockets, files to wait for, other processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, NoReturn

NO_THREADS: Final = (
    "there are no threads in virtual time; let the work take what it does in one (to_thread, "
    "run_in_executor) as an argument, and give it a coroutine in tests"
)
NO_SOCKETS: Final = (
    "there are no sockets, files and processes in virtual time; give what the work talks to a "
    "transport of the test's (`http=` of SimulatedNode is `WorkContext.http`), or a stand-in"
)

OF_THE_SYSTEM: Final = (
    *("getaddrinfo", "getnameinfo", "create_connection", "create_server", "sendfile", "start_tls"),
    *("create_unix_connection", "create_unix_server", "connect_accepted_socket"),
    *("create_datagram_endpoint", "connect_read_pipe", "connect_write_pipe"),
    *("subprocess_shell", "subprocess_exec", "add_reader", "add_writer", "add_signal_handler"),
    *("sock_recv", "sock_recv_into", "sock_sendall", "sock_connect", "sock_accept"),
)


class OfNoSystem(asyncio.AbstractEventLoop):
    """An event loop that says in words what it has not.

    All that asyncio asks of a system, and of a thread, raises NotImplementedError: in them real
    time would pass, and none of the world's.
    """

    name: str

    def run_in_executor(self, executor: object, func: object, *args: object) -> Any:
        raise NotImplementedError(f"run_in_executor in process {self.name}: {NO_THREADS}")


def _refusal(name: str) -> Callable[..., NoReturn]:
    def refuse(loop: OfNoSystem, *args: object, **named: object) -> NoReturn:
        raise NotImplementedError(f"{name} in process {loop.name}: {NO_SOCKETS}")

    return refuse


for _name in OF_THE_SYSTEM:
    setattr(OfNoSystem, _name, _refusal(_name))
