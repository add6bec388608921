"""The http check: ask, follow redirects as far as wished, judge the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import httpcore
import httpx

from coord.polling.check_failed import FOREIGN, CheckFailed, failure_of
from coord.polling.cookies import no_cookies
from coord.polling.dialling import Dialler
from coord.polling.records import CheckError, HttpCheck

USER_AGENT = "coord-poller"

MAX_BODY_BYTES = 64 * 1024
"""So much of a body is looked at, in bytes."""

_LEADS_ON = frozenset({301, 302, 303, 307, 308})
_LOCATION = "location"


class HttpChecks:
    """Runs http checks. Owns an HTTP client, made when it is first needed; close it.

    Certificates are verified, the environment's proxies are not used.
    """

    def __init__(self, dialler: Dialler) -> None:
        self._dialler = dialler
        self._http: httpx.AsyncClient | None = None

    async def aclose(self) -> None:
        """Close the client."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def run(self, check: HttpCheck) -> int:
        """The status with which the target is up.

        Raises:
            CheckFailed: it is not.
        """
        try:
            return await self._run(check)
        except FOREIGN as error:
            raise failure_of(error) from error

    async def _run(self, check: HttpCheck) -> int:
        url, method = httpx.URL(check.target), str(check.method)
        for _ in range((check.redirects or 0) + 1):
            # What leads on is judged by its head; its body, however long, is not read.
            async with self._stream(check, method, url) as response:
                status, location = response.status_code, response.extensions[_LOCATION]
                if check.redirects is None or status not in _LEADS_ON or not location:
                    return await _judged(check, response)
            url, method = _next_url(url, location, status), _next_method(method, status)
        raise CheckFailed(CheckError.REDIRECT, f"over {check.redirects} redirects", status)

    def _stream(self, check: HttpCheck, method: str, url: httpx.URL) -> Any:
        # A body that is searched has to come as it is.
        headers = {"Accept-Encoding": "identity"} if check.contains is not None else None
        return self._client().stream(method, url, headers=headers)

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(
                transport=_Transport(self._dialler),
                trust_env=False,
                follow_redirects=False,
                cookies=no_cookies(),
                event_hooks={"response": [_set_location_aside]},
                timeout=None,  # each check has a deadline of its own
                headers={"User-Agent": USER_AGENT},
            )
        return self._http


async def _set_location_aside(response: httpx.Response) -> None:
    # httpx would read where it leads, followed or not, and fail if that makes no sense.
    response.extensions[_LOCATION] = response.headers.pop("Location", None)


async def _judged(check: HttpCheck, response: httpx.Response) -> int:
    status = response.status_code
    up = status in check.status if check.status else 200 <= status <= 399
    if not up:
        wanted = ", ".join(map(str, check.status)) or "200 to 399"
        raise CheckFailed(CheckError.STATUS, f"status {status}, not {wanted}", status)
    if check.contains is not None and not await _holds(response, check.contains.encode()):
        where = f"the first {MAX_BODY_BYTES} bytes of the body"
        raise CheckFailed(CheckError.CONTENT, f"{where} do not hold what they must", status)
    return status


async def _holds(response: httpx.Response, wanted: bytes) -> bool:
    body = bytearray()
    async for part in response.aiter_raw():
        # Only what is new, and as much before it as the text may begin in.
        begin = max(0, len(body) - len(wanted) + 1)
        body += part[: MAX_BODY_BYTES - len(body)]
        if body.find(wanted, begin) >= 0:
            return True
        if len(body) >= MAX_BODY_BYTES:
            break
    return False


def _next_url(url: httpx.URL, location: str, status: int) -> httpx.URL:
    try:
        led = url.join(location)
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise CheckFailed(CheckError.REDIRECT, "it leads on to no URL", status) from None
    if led.scheme not in ("http", "https") or not led.host:
        raise CheckFailed(CheckError.REDIRECT, "it leads on to no http or https URL", status)
    # Credentials in it are whoever wrote it's; nobody has said that they may be used.
    return led.copy_with(username=None, password=None)


def _next_method(method: str, status: int) -> str:
    """As browsers do it."""
    if method == "HEAD" or (status != 303 and not (method == "POST" and status in (301, 302))):
        return method
    return "GET"


# --- connections -----------------------------------------------------------------------------


class _Transport(httpx.AsyncBaseTransport):
    """httpx on connections that the dialler makes, each for one request. Its exceptions are
    httpcore's, and `CheckFailed`."""

    def __init__(self, dialler: Dialler) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=_Backend(dialler),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=cast(httpx.AsyncByteStream, request.stream),
            extensions=request.extensions,
        )
        answer = await self._pool.handle_async_request(asked)
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=dict(answer.extensions),
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._answer.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


class _Backend(httpcore.AsyncNetworkBackend):
    """How httpcore connects: by the dialler, and in no other way."""

    def __init__(self, dialler: Dialler) -> None:
        self._dialler = dialler
        self._way = _HttpWay()

    async def connect_tcp(
        self, host: str, port: int, *_ignored: Any, **_ignored_too: Any
    ) -> httpcore.AsyncNetworkStream:
        return await self._dialler.dial(host, port, self._way)


class _HttpWay:
    """httpcore's own streams."""

    def __init__(self) -> None:
        self._backend = httpcore.AnyIOBackend()

    async def connect(self, address: str, port: int) -> httpcore.AsyncNetworkStream:
        return await self._backend.connect_tcp(address, port)

    def peer(self, connection: httpcore.AsyncNetworkStream) -> Any:
        return connection.get_extra_info("server_addr")

    async def close(self, connection: httpcore.AsyncNetworkStream) -> None:
        await connection.aclose()
