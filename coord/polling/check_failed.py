"""How a check says down, and what a foreign exception says of a target."""

from __future__ import annotations

import errno
import socket
import ssl

import httpcore
import httpx

from coord.polling.records import MAX_DETAIL, CheckError


class CheckFailed(Exception):  # noqa: N818 - says what happened; a target that is down is no fault
    """The target is down. error: why; status: the HTTP status, if there was one.

    Raises:
        ValueError: `error` is no `CheckError`.
    """

    def __init__(self, error: CheckError, detail: str = "", status: int | None = None) -> None:
        super().__init__(error, detail)
        self.error = CheckError(error)
        self.detail = detail
        self.status = status


FOREIGN = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    httpx.InvalidURL,
    OSError,
    UnicodeError,
)
"""The exceptions of which `failure_of` knows what they mean."""

_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EACCES})


def failure_of(error: BaseException) -> CheckFailed:
    """What a foreign exception means, by the deepest cause that says so."""
    chain = _causes(error)
    code = next((code for cause in chain if (code := _code(cause)) is not None), None)
    if code is None:
        if isinstance(error, httpcore.TimeoutException):
            code = CheckError.TIMEOUT
        elif isinstance(error, httpcore.ConnectError):
            code = CheckError.UNREACHABLE
        elif isinstance(error, httpcore.ProtocolError | httpcore.UnsupportedProtocol):
            code = CheckError.PROTOCOL
        else:
            code = CheckError.CLOSED
    # A server that hangs up before the answer is over is a "protocol error" to the HTTP client.
    hung_up = any(words in str(error) for words in ("disconnected", "peer closed connection"))
    if isinstance(error, httpcore.RemoteProtocolError) and hung_up:
        code = CheckError.CLOSED
    return CheckFailed(code, f"{type(chain[-1]).__name__}: {chain[-1]}"[:MAX_DETAIL])


def _code(error: BaseException) -> CheckError | None:
    # Schedules hold URLs only: what httpx finds invalid in one is a name that cannot be encoded.
    if isinstance(error, socket.gaierror | UnicodeError | httpx.InvalidURL):
        return CheckError.DNS
    if isinstance(error, ssl.SSLError):
        return CheckError.TLS
    if isinstance(error, ConnectionRefusedError):
        return CheckError.REFUSED
    if isinstance(error, TimeoutError):
        return CheckError.TIMEOUT
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return CheckError.CLOSED
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return CheckError.UNREACHABLE
    return None


def _causes(error: BaseException) -> list[BaseException]:
    """The exception and what led to it, the outermost first."""
    chain = [error]
    while (
        cause := chain[-1].__cause__ or chain[-1].__context__
    ) is not None and cause not in chain:
        chain.append(cause)
    return chain
