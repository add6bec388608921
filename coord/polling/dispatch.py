"""Sends one poll to one poller, and says in a typed way what came of it."""

from __future__ import annotations

import asyncio
import ssl

import httpx
from pydantic import SecretStr

from coord.polling.cookies import no_cookies
from coord.polling.pollers import PollerTarget
from coord.polling.records import CheckResult, PollError, PollReply, PollRequest, clip
from coord.records import RecordError

MAX_REPLY_BYTES = 128 * 1024
CONNECT_S = 2.0
MARGIN_S = 2.0
"""How much longer than the checks' own time an answer is waited for, in seconds."""

_REFUSALS = {
    401: PollError.NOT_PERMITTED,
    403: PollError.NOT_PERMITTED,
    409: PollError.OLDER_TERM,
    429: PollError.BUSY,
    503: PollError.BUSY,
}


class PollFailed(Exception):  # noqa: N818 - an outcome that every caller has to expect
    """There is no answer. error: why; detail: for people."""

    def __init__(self, error: PollError, detail: str) -> None:
        super().__init__(error, detail)
        self.error = error
        self.detail = clip(detail)

    @property
    def try_again(self) -> bool:
        """Whether another attempt may do better: not where somebody else leads by now."""
        return self.error is not PollError.OLDER_TERM


class PollSender:
    """An HTTP client for pollers; close it. The token, if there is one, goes as a bearer token.

    transport: what carries the requests instead of real connections.
    """

    def __init__(
        self,
        token: SecretStr | None,
        *,
        max_connections: int,
        margin_s: float = MARGIN_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._margin_s = margin_s
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        self._http = httpx.AsyncClient(
            # Pollers speak plain http. Loading the system's CAs would take tens of milliseconds
            # of every takeover; without any, TLS is refused, not unverified.
            transport=transport,
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            trust_env=False,
            follow_redirects=False,
            cookies=no_cookies(),
            headers=headers,
            timeout=httpx.Timeout(None, connect=CONNECT_S),
            limits=httpx.Limits(max_connections=max_connections, keepalive_expiry=30.0),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def send(self, target: PollerTarget, request: PollRequest) -> PollReply:
        """Ask, and wait for the answer for as long as the checks may take and a margin.

        Raises:
            PollFailed: there is no answer; the poller may have run the checks all the same.
        """
        limit_s = request.timeout_ms / 1000 + self._margin_s
        try:
            async with asyncio.timeout(limit_s):
                status, body = await self._post(target, request)
        except TimeoutError:
            raise PollFailed(PollError.DEADLINE, f"no answer within {limit_s:g} s") from None
        except PollFailed:
            raise
        except Exception as error:
            # Addresses are foreign text, and httpx lets more kinds of exception through than it
            # names (of idna, for one). One bad poller must not end the polling of all.
            said = f"{type(error).__name__}: {error}"
            raise PollFailed(PollError.UNREACHABLE, said) from error
        if status != 200:
            raise PollFailed(_REFUSALS.get(status, PollError.REFUSED), f"{status}: {body[:150]!r}")
        return _read(body, request)

    async def _post(self, target: PollerTarget, request: PollRequest) -> tuple[int, bytes]:
        url = f"{target.url}/v1/poll"
        async with self._http.stream("POST", url, content=request.encode()) as response:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_REPLY_BYTES:
                    raise PollFailed(PollError.BAD_REPLY, f"more than {MAX_REPLY_BYTES} bytes")
            return response.status_code, bytes(body)


def _read(body: bytes, request: PollRequest) -> PollReply:
    try:
        reply = PollReply.decode(body)
    except RecordError as error:
        raise PollFailed(PollError.BAD_REPLY, str(error)) from None
    asked = (request.job, request.attempt, len(request.checks))
    same = (reply.job, reply.attempt, len(reply.results)) == asked
    if not same or not all(map(CheckResult.is_of, reply.results, request.checks)):
        raise PollFailed(PollError.BAD_REPLY, "it answers something else")
    return reply.model_copy(update={"results": tuple(_bounded(each) for each in reply.results)})


def _bounded(found: CheckResult) -> CheckResult:
    """As it can be kept: what a poller says takes up to six times the space once written down."""
    changes = {"target": clip(found.target), "detail": clip(found.detail)}
    return found.model_copy(update=changes)
