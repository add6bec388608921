"""python-consul2's endpoints build the requests; httpx carries them.

The endpoints of `consul.base` are given an `HTTPClient` that does no I/O: each of its methods
returns the `Request` that the endpoint asked for. `Transport.send` carries one out under a total
deadline and returns the bare `Answer`. That way the reply's metadata, which the callbacks of
python-consul2 drop, is kept, and no connection outlives the cancellation of its caller.
"""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import quote, urlencode

import httpx

from coord.consul.address import ConsulAddress, TokenSource
from coord.consul.errors import ConsulNotPermitted, ConsulUnavailable, Denied

with warnings.catch_warnings():
    # Its regular expressions have invalid escapes: a warning wherever it is first compiled.
    warnings.simplefilter("ignore", DeprecationWarning)
    from consul.base import (  # type: ignore[import-untyped]  # the package has no types
        Consul,
        HTTPClient,
    )

Params = Sequence[tuple[str, object]]

_MAX_BODY_BYTES = 64 * 1024 * 1024
_SHORT_CONNECTIONS = 64
_TOKEN_HEADER = "X-Consul-Token"

ASKS_FOR_CERTIFICATE = "it may be asking for a client certificate"
"""In the detail of errors where somebody hangs up on who has none to show."""


class RequestKind(StrEnum):
    """Who has to do what for an answer: what tells how long it may take."""

    AGENT = "agent"
    """The local agent alone."""
    READ = "read"
    WRITE = "write"
    BLOCKING = "blocking"
    """Consul holds the answer back until something changes."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request to Consul.

    read: nothing changes in Consul by it, so that a missing answer leaves nothing unknown.
    blocking: Consul may hold the answer back; it gets a connection apart from the short calls.
    """

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    data: bytes = field(default=b"", repr=False)
    read: bool = False
    blocking: bool = False

    @property
    def operation(self) -> str:
        """What errors name: the method and the path, without the query."""
        return f"{self.method} {self.path}"

    @property
    def kind(self) -> RequestKind:
        """Who has to do what for the answer."""
        if self.blocking:
            return RequestKind.BLOCKING
        if self.path.startswith("/v1/agent/"):
            return RequestKind.AGENT
        return RequestKind.READ if self.read else RequestKind.WRITE


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP reply, as it came. `secret`: the token that was sent, kept out of `text`."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    secret: str = field(default="", repr=False)

    @property
    def text(self) -> str:
        """The start of the body for people: one line, at most 300 characters."""
        start = self.body[:2000].decode("utf-8", "replace")
        if self.secret:
            # A proxy that shows requests in its error pages must not lead it into our logs.
            start = start.replace(self.secret, "(token)")
        return "".join(c if c.isprintable() else " " for c in start).strip()[:300]

    @property
    def index(self) -> int:
        """X-Consul-Index; 0 where missing or unreadable."""
        text = self.headers.get("x-consul-index", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else 0

    @property
    def known_leader(self) -> bool | None:
        """X-Consul-KnownLeader; None where missing or unreadable."""
        return {"true": True, "false": False}.get(self.headers.get("x-consul-knownleader", ""))


class RequestBuilder(HTTPClient):  # type: ignore[misc]  # the package has no types
    """What python-consul2's endpoints take for their HTTP client; callbacks are not used.

    Tokens are dropped wherever an endpoint puts them: `Transport` sends the token, as a header.
    """

    def get(
        self, callback: object, path: str, params: Params | None = None, headers: object = None
    ) -> Request:
        """A GET."""
        clean = _clean(params)
        return Request(
            "GET", path, clean, read=True, blocking=any(name == "index" for name, _ in clean)
        )

    def put(
        self,
        callback: object,
        path: str,
        params: Params | None = None,
        data: str | bytes | None = b"",
        headers: object = None,
    ) -> Request:
        """A PUT."""
        body = data.encode() if isinstance(data, str) else data or b""
        return Request("PUT", path, _clean(params), body)

    def delete(
        self,
        callback: object,
        path: str,
        params: Params | None = None,
        data: str | bytes | None = b"",
        headers: object = None,
    ) -> Request:
        """A DELETE."""
        return Request("DELETE", path, _clean(params))

    def post(
        self,
        callback: object,
        path: str,
        params: Params | None = None,
        data: str | bytes | None = b"",
        headers: object = None,
    ) -> Request:
        """A POST."""
        body = data.encode() if isinstance(data, str) else data or b""
        return Request("POST", path, _clean(params), body)


class Endpoints(Consul):  # type: ignore[misc]  # the package has no types
    """python-consul2's endpoints, as builders of requests.

    Its own constructor is left out on purpose: it lets CONSUL_HTTP_* override explicit arguments
    and emits DeprecationWarnings for endpoints that are not used here.
    """

    def __init__(self) -> None:
        self.http = RequestBuilder()
        self.token = None
        self.dc = None
        self.consistency = "default"
        self.agent = Consul.Agent(self)
        self.catalog = Consul.Catalog(self)
        self.health = Consul.Health(self)
        self.kv = Consul.KV(self)
        self.session = Consul.Session(self)
        self.snapshot = Consul.Snapshot(self)
        self.status = Consul.Status(self)
        self.txn = Consul.Txn(self)


class Transport:
    """Carries requests to one agent; the connections are made when first needed.

    `on_token` is told of each token that is read from the token file, `on_answer` of each answer:
    what kind of request it is to, and how long it took, in seconds.
    """

    def __init__(
        self,
        address: ConsulAddress,
        *,
        http: httpx.AsyncBaseTransport | None = None,
        on_token: Callable[[str], None] = lambda token: None,
    ) -> None:
        self._address = address
        self._tokens = TokenSource(address, on_token)
        self._http = http
        self._verify = address.ssl_context()
        self._short: httpx.AsyncClient | None = None
        self._blocking: httpx.AsyncClient | None = None
        self._closed = False
        self._answered = False
        self.on_answer: Callable[[RequestKind, float], None] = lambda kind, took_s: None

    @property
    def token_changes(self) -> int:
        """How often another token than before was sent."""
        return self._tokens.changes

    async def send(self, request: Request, *, deadline_s: float) -> Answer:
        """Carry it out within `deadline_s` seconds in all.

        Raises ConsulUnavailable when there is no whole answer by then, and ConsulNotPermitted
        when the token file cannot be read. Any status is an answer.
        """
        if self._closed:
            raise ConsulUnavailable(request.operation, "the client is closed")
        try:
            token = self._tokens.current()
        except (OSError, ValueError) as e:
            detail = f"token file {self._address.token_file}: {e}"
            raise ConsulNotPermitted(
                request.operation, detail, status=0, denied=Denied.UNREADABLE_FILE
            ) from None
        try:
            async with asyncio.timeout(deadline_s):
                sent_at = asyncio.get_running_loop().time()
                answer = await self._exchange(request, token, deadline_s)
                self.on_answer(request.kind, asyncio.get_running_loop().time() - sent_at)
                return answer
        except TimeoutError:
            detail = f"no answer within {deadline_s:g} s"
            unknown = not request.read
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as e:
            detail, unknown = f"cannot connect: {_reason(e)}", False
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, UnicodeError, OSError) as e:
            # UnicodeError: a host's name that the resolver or the client cannot encode.
            detail, unknown = self._why_cut_off(e), not request.read
        if token:
            detail = detail.replace(token, "(token)")
        raise ConsulUnavailable(request.operation, detail, outcome_unknown=unknown)

    async def aclose(self) -> None:
        """Close every connection; requests afterwards are refused."""
        self._closed = True
        for client in (self._short, self._blocking):
            if client is not None:
                await client.aclose()

    async def _exchange(self, request: Request, token: str, deadline_s: float) -> Answer:
        headers = {"Accept-Encoding": "identity"}
        if token:
            headers[_TOKEN_HEADER] = token
        # Half the deadline: failing to connect is then told apart from a lost answer.
        timeout = httpx.Timeout(None, connect=deadline_s / 2)
        async with self._client(request.blocking).stream(
            request.method,
            self._url(request),
            content=request.data or None,
            headers=headers,
            timeout=timeout,
        ) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_BODY_BYTES:
                    raise httpx.ReadError(f"the reply is longer than {_MAX_BODY_BYTES} bytes")
            self._answered = True
            return Answer(response.status_code, response.headers, bytes(body), token)

    def _why_cut_off(self, error: Exception) -> str:
        """What went wrong with a connection that there was; with TLS, the first thing that may.

        Who asks for a certificate lets the handshake end and then hangs up: what is noticed of
        that is the alert, or only a broken pipe.
        """
        bare = self._verify is not False and self._address.client_cert is None
        if bare and not self._answered and isinstance(error, httpx.NetworkError | ssl.SSLError):
            return f"{_reason(error)} ({ASKS_FOR_CERTIFICATE})"
        return _reason(error)

    def _url(self, request: Request) -> str:
        params = list(request.params)
        if self._address.datacenter and not request.path.startswith(("/v1/agent/", "/v1/status/")):
            params.append(("dc", self._address.datacenter))
        query = f"?{urlencode(params)}" if params else ""
        return f"{self._address.base_url}{quote(request.path, safe='/')}{query}"

    def _client(self, blocking: bool) -> httpx.AsyncClient:
        # Apart, so that blocking queries, which hold their connections, never starve short calls.
        if blocking:
            if self._blocking is None:
                self._blocking = self._new_client(httpx.Limits(keepalive_expiry=30.0))
            return self._blocking
        if self._short is None:
            self._short = self._new_client(
                httpx.Limits(max_connections=_SHORT_CONNECTIONS, keepalive_expiry=30.0)
            )
        return self._short

    def _new_client(self, limits: httpx.Limits) -> httpx.AsyncClient:
        transport = self._http or httpx.AsyncHTTPTransport(
            verify=self._verify, trust_env=False, limits=limits, uds=self._address.socket
        )
        # Consul sets no cookies; a proxy's would pin requests to it, and say who we are.
        return httpx.AsyncClient(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            timeout=None,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )


def _clean(params: Params | None) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in params or () if name != "token")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
