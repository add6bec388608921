"""Where Consul is and how to speak to it, checked before the first request."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx


@dataclass(frozen=True, slots=True)
class ConsulAddress:
    """The agent to talk to.

    url: ``http://host:port``, ``https://host:port`` or ``unix:///path/to/socket``.
    token: the ACL token; never shown in a repr.
    token_file: a file that holds the token, read again whenever it changes; wins over `token`.
    ca_cert: PEM file of the authorities to trust instead of the system's.
    client_cert, client_key: PEM files for agents that ask for a certificate.
    datacenter: None for the agent's own.

    Raises ValueError, naming the field, when it makes no sense.
    """

    url: str = "http://127.0.0.1:8500"
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    ca_cert: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    datacenter: str | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme == "unix":
            if not parts.path.startswith("/") or parts.netloc or parts.query or parts.fragment:
                raise ValueError("url: a socket is written unix:///absolute/path")
        elif parts.scheme not in ("http", "https"):
            raise ValueError("url: must start with http://, https:// or unix://")
        else:
            self._check_http(parts.hostname, parts.path, parts.query or parts.fragment)
            if parts.username is not None or parts.password is not None:
                raise ValueError("url: must not carry a user or password; use the token")
        if self.client_key and not self.client_cert:
            raise ValueError("client_key: is of no use without client_cert")
        if self.token and not _is_header_safe(self.token):
            raise ValueError("token: has characters that no Consul token has")

    def _check_http(self, host: str | None, path: str, rest: str) -> None:
        try:
            # The host as the client reads it, and as the resolver does: both may fail only then.
            httpx.URL(self.url).host.encode("idna")
            (host or "").encode("idna")
            port_ok = urlsplit(self.url).port != 0
        except (httpx.InvalidURL, ValueError):
            port_ok = False
        if not host or not port_ok:
            raise ValueError(
                "url: needs a host and a port of 1 to 65535, as in http://127.0.0.1:8500"
            )
        if path not in ("", "/") or rest:
            raise ValueError("url: must end after the port")

    @property
    def base_url(self) -> str:
        """What request paths are put behind; a socket still needs a host to name."""
        return "http://localhost" if self.socket else self.url.rstrip("/")

    @property
    def socket(self) -> str | None:
        """The path of the UNIX socket, if that is how the agent is reached."""
        parts = urlsplit(self.url)
        return parts.path if parts.scheme == "unix" else None

    def ssl_context(self) -> ssl.SSLContext | bool:
        """What httpx is to verify with; raises ValueError naming the file that cannot be used."""
        if not self.url.startswith("https:"):
            return False
        try:
            context = ssl.create_default_context(cafile=self.ca_cert)
        except OSError as e:
            raise ValueError(f"ca_cert: {self.ca_cert}: {e}") from e
        if self.client_cert:
            try:
                context.load_cert_chain(self.client_cert, self.client_key)
            except OSError as e:
                raise ValueError(f"client_cert: {self.client_cert}: {e}") from e
        return context


class TokenSource:
    """The token to send, followed through changes of its file.

    `on_token` is told of each that is read there.
    """

    def __init__(
        self, address: ConsulAddress, on_token: Callable[[str], None] = lambda token: None
    ) -> None:
        self._on_token = on_token
        self._path = address.token_file
        self._token = address.token or ""
        self._seen: tuple[int, int, int] | None = None
        self.changes = 0
        """How often the token has become another one."""

    def current(self) -> str:
        """The token, "" for none.

        Raises OSError or ValueError when the file was never readable; once it was, the token
        last read stays in use while the file is away, as it is for a moment during a rotation.
        """
        if self._path is None:
            return self._token
        try:
            stat = os.stat(self._path)
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if stamp != self._seen:
                token = _read_token(self._path)
                self.changes += self._seen is not None and token != self._token
                self._token, self._seen = token, stamp
                self._on_token(token)
        except (OSError, ValueError):
            if self._seen is None:
                raise
        return self._token


def _read_token(path: Path) -> str:
    token = path.read_text(encoding="utf-8").strip()
    if not token or not _is_header_safe(token):
        raise ValueError("holds no token")
    return token


def _is_header_safe(text: str) -> bool:
    return text.isascii() and text.isprintable()
