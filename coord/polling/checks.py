"""The checks: one look at one target, with its latency and a typed error. They never raise.

Each check opens a connection of its own, so that its latency and its verdict are about reaching
the target now, not about a connection kept from before.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import httpx

from coord.config.values import parse_host_port
from coord.polling.cookies import no_cookies
from coord.polling.records import (
    MAX_DETAIL,
    Check,
    CheckError,
    CheckKind,
    CheckResult,
    HttpCheck,
    TcpCheck,
    clip,
)

USER_AGENT = "coord-poller"


class MonotonicClock(Protocol):
    """What is needed of a clock: seconds that never go back."""

    def now(self) -> float: ...


class CheckFailed(Exception):  # noqa: N818 - says what happened; a target that is down is no fault
    """The target is down. error: why; status: the HTTP status, if there was one."""

    def __init__(self, error: CheckError, detail: str = "", status: int | None = None) -> None:
        super().__init__(error, detail)
        self.error = error
        self.detail = detail
        self.status = status


class CheckRunner:
    """Runs checks. Owns an HTTP client; close it.

    Certificates are verified, the environment's proxies are not used, redirects not followed.
    """

    def __init__(self, clock: MonotonicClock) -> None:
        self._clock = clock
        self._http: httpx.AsyncClient | None = None
        self._kinds: Mapping[CheckKind, Callable[[Any], Awaitable[int | None]]] = MappingProxyType(
            {CheckKind.HTTP: self._run_http, CheckKind.TCP: _run_tcp}
        )

    async def aclose(self) -> None:
        """Close the client."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def run_all(self, checks: Sequence[Check], timeout_s: float) -> tuple[CheckResult, ...]:
        """Run them at the same time, each within its own timeout and all within `timeout_s`.

        The results are in the order of the checks.
        """
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.run(check, timeout_s)) for check in checks]
        return tuple(task.result() for task in tasks)

    async def run(self, check: Check, timeout_s: float | None = None) -> CheckResult:
        """Run one check, within its own timeout or the shorter one given."""
        limit_s = check.timeout if timeout_s is None else min(check.timeout, timeout_s)
        started = self._clock.now()
        status: int | None = None
        error: CheckError | None = None
        detail = ""
        try:
            async with asyncio.timeout(limit_s):
                status = await self._kinds[check.kind](check)
        except CheckFailed as failed:
            status, error, detail = failed.status, failed.error, failed.detail
        except TimeoutError:
            error, detail = CheckError.TIMEOUT, f"no answer within {limit_s:g} s"
        except Exception as unexpected:
            error, detail = CheckError.INTERNAL, f"{type(unexpected).__name__}: {unexpected}"
        return CheckResult(
            kind=check.kind,
            target=clip(check.target),
            ok=error is None,
            latency_ms=round(max(0.0, self._clock.now() - started) * 1000, 3),
            error=error,
            status=status,
            detail=clip(detail),
        )

    async def _run_http(self, check: HttpCheck) -> int:
        try:
            # The answer is judged by its head; its body, however long, is not read.
            async with self._client().stream(check.method, check.target) as response:
                status = response.status_code
        except (httpx.TransportError, httpx.InvalidURL, OSError, UnicodeError) as error:
            raise _failed(error) from error
        up = status in check.status if check.status else 200 <= status <= 399
        if not up:
            wanted = ", ".join(map(str, check.status)) or "200 to 399"
            raise CheckFailed(CheckError.STATUS, f"status {status}, not {wanted}", status)
        return status

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(
                trust_env=False,
                follow_redirects=False,
                cookies=no_cookies(),
                event_hooks={"response": [_forget_redirect]},
                timeout=None,  # each check has a deadline of its own
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
                headers={"User-Agent": USER_AGENT},
            )
        return self._http


async def _forget_redirect(response: httpx.Response) -> None:
    # Not followed, and yet httpx would read where it leads, and fail if that makes no sense.
    response.headers.pop("Location", None)


async def _run_tcp(check: TcpCheck) -> None:
    where = parse_host_port(check.target)
    try:
        _, writer = await asyncio.open_connection(where.host, where.port)
    except (OSError, UnicodeError) as error:
        raise _failed(error) from error
    # Connected is the answer; how the target takes the end of it does not count.
    writer.transport.abort()


_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EACCES})


def _failed(error: BaseException) -> CheckFailed:
    """What a foreign exception means, by the deepest cause that says so."""
    chain = _causes(error)
    code = next((code for cause in chain if (code := _code(cause)) is not None), None)
    if code is None:
        if isinstance(error, httpx.TimeoutException):
            code = CheckError.TIMEOUT
        elif isinstance(error, httpx.ConnectError):
            code = CheckError.UNREACHABLE
        elif isinstance(error, httpx.ProtocolError | httpx.UnsupportedProtocol):
            code = CheckError.PROTOCOL
        else:
            code = CheckError.CLOSED
    # A server that hangs up without an answer is a "protocol error" to httpx.
    if isinstance(error, httpx.RemoteProtocolError) and "disconnected" in str(error):
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
    if isinstance(error, OSError):
        return _code_of_many(str(error))
    return None


def _code_of_many(text: str) -> CheckError | None:
    """asyncio tries every address of a name, and gathers several failures into one by text."""
    if "Multiple exceptions" not in text:
        return None
    return CheckError.REFUSED if "Connect call failed" in text else CheckError.UNREACHABLE


def _causes(error: BaseException) -> list[BaseException]:
    """The exception and what led to it, the outermost first."""
    chain = [error]
    while (
        cause := chain[-1].__cause__ or chain[-1].__context__
    ) is not None and cause not in chain:
        chain.append(cause)
    return chain
