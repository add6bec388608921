"""Settings as people write them: durations, yes and no, lists, addresses, names.

PURE: text in, value out. What cannot be read raises `InvalidValueError`, with the fix.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

NAME_RULE = "letters, digits, dots, dashes and underscores, at most 128 of them, not '.' or '..'"

_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_DURATION = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*(ms|s|m|h)?", re.ASCII)
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_DURATION_FIX = "write it like 5s, 1500ms or 1m; a bare number is milliseconds"
_LONGEST_S = 366 * 86_400.0
_YES = frozenset({"true", "t", "1", "yes", "on"})
_NO = frozenset({"false", "f", "0", "no", "off"})
_NONE = "none"
_SHOWN_LENGTH = 80


class InvalidValueError(ValueError):
    """A value that cannot be used. `problem` says what is wrong, `fix` what to write instead."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem}; {fix}")
        self.problem = problem
        self.fix = fix


def shown(value: object) -> str:
    """A value as an error message quotes it: never long, never with control characters."""
    try:
        text = ascii(value)
    except ValueError:  # An integer of thousands of digits.
        text = "a number far too long"
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"


def _shown_address(value: object) -> str:
    """An address as an error message quotes it: without what may be a password or a token."""
    if not isinstance(value, str):
        return f"a {type(value).__name__}"
    address, *rest = re.split("[?#]", value.rpartition("@")[2], maxsplit=1)
    return shown(f"{address}?..." if rest else address)


def parse_duration(value: object) -> float:
    """Seconds, from `5s`, `1500ms`, `1m`, `2h`, a bare number of milliseconds or a timedelta."""
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        seconds = _duration_of_text(value)
    else:
        raise InvalidValueError(f"{shown(value)} is not a duration", _DURATION_FIX)
    if seconds < 0:
        raise InvalidValueError(f"{shown(value)} is less than nothing", _DURATION_FIX)
    if seconds > _LONGEST_S:
        raise InvalidValueError(f"{shown(value)} is longer than a year", _DURATION_FIX)
    return seconds


def _duration_of_text(value: str | int | float) -> float:
    if isinstance(value, int | float):
        # Comparing never overflows, and is False for what is not a number.
        if not abs(value) <= _LONGEST_S * 1_000:
            raise InvalidValueError(f"{shown(value)} ms is not from 0 to a year", _DURATION_FIX)
        # Through str: the decimal digits that were written, not the binary fraction near them.
        return float(Decimal(str(value)) / 1_000)
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise InvalidValueError(f"{shown(value)} is not a duration", _DURATION_FIX)
    number, unit = match.groups()
    return float(Decimal(number) * _UNIT_MS[unit or "ms"] / 1_000)


def format_duration(seconds: float) -> str:
    """A duration as settings write it, to the nanosecond: `5s`, `1500ms`, `0.25ms`."""
    milliseconds = round(Decimal(str(seconds)) * 1_000, 6)
    if milliseconds % 1_000 == 0:
        return f"{int(milliseconds) // 1_000}s"
    text = f"{milliseconds:f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}ms"


def parse_bool(value: object) -> bool:
    """Yes or no, in the words that Consul's own tools and most others take."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str | int):
        word = str(value).strip().lower()
        if word in _YES:
            return True
        if word in _NO:
            return False
    raise InvalidValueError(f"{shown(value)} is neither yes nor no", "write true or false")


def parse_count(value: object) -> int:
    """A whole number, zero or more."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value.strip(), re.ASCII):
        return int(value)
    raise InvalidValueError(
        f"{shown(value)} is not a whole number from 0 to 999999999", "write one, like 3"
    )


def parse_name(value: object) -> str:
    """A name that can stand in a path: see `NAME_RULE`."""
    if isinstance(value, str) and _NAME.fullmatch(value) and value not in (".", ".."):
        return value
    raise InvalidValueError(f"{shown(value)} is not a name", f"use {NAME_RULE}")


def parse_list(value: object) -> tuple[str, ...]:
    """Names from `a,b`, from a list, or from `none`; each once, in the order written."""
    fix = "write them with commas between, like a,b, or write none"
    if isinstance(value, str):
        parts: Sequence[object] = [] if value.strip() in ("", _NONE) else value.split(",")
    elif isinstance(value, list | tuple):
        parts = value
    else:
        raise InvalidValueError(f"{shown(value)} is not a list of names", fix)
    names: dict[str, None] = {}
    for part in parts:
        name = part.strip() if isinstance(part, str) else ""
        if not name or not name.isprintable():
            raise InvalidValueError(f"{shown(value)} holds {shown(part)}, which is no name", fix)
        names[name] = None
    return tuple(names)


def parse_networks(value: object) -> tuple[str, ...]:
    """Networks like `10.0.0.0/8,fd00::/8`, as `parse_list` takes them; a bare address is one."""
    return tuple(dict.fromkeys(_network(text) for text in parse_list(value)))


def _network(text: str) -> str:
    try:
        net = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise InvalidValueError(
            f"{shown(text)} is not a network",
            "write an address, or a network like 10.0.0.0/8 or fd00::/8",
        ) from None
    if ipaddress.ip_address(text.partition("/")[0]) != net.network_address:
        raise InvalidValueError(f"{shown(text)} is an address within a network", f"write {net}")
    within = net.network_address.ipv4_mapped if net.version == 6 else None
    if within is not None and net.prefixlen >= 96:
        # Who dials such an address reaches the IPv4 one: it is that network which is meant.
        return str(ipaddress.IPv4Network((within, net.prefixlen - 96)))
    return str(net)


@dataclass(frozen=True, slots=True)
class HostPort:
    """Where something listens or is found. `host` is without brackets; `str()` adds them."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it, as far as the text says."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_any(self) -> bool:
        """Whether it stands for every address of the machine: fine to listen on, not to dial."""
        try:
            return ipaddress.ip_address(self.host).is_unspecified
        except ValueError:
            return False


def parse_host_port(value: object) -> HostPort:
    """`host:port`, with IPv6 addresses in brackets; port 0 is for the caller to judge."""
    fix = "write host:port, like 127.0.0.1:8610 or [::1]:8610"
    if isinstance(value, HostPort):
        return value
    text = value.strip() if isinstance(value, str) else ""
    bad = InvalidValueError(f"{_shown_address(value)} is not host:port", fix)
    if "://" in text:
        raise InvalidValueError(f"{_shown_address(value)} has a scheme", f"leave it out: {fix}")
    host, colon, port_text = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port_text, re.ASCII):
        raise bad
    if host == "":
        raise InvalidValueError(
            f"{_shown_address(value)} has no host",
            "write 0.0.0.0:PORT for every address, or name one",
        )
    port = int(port_text)
    if port > 65_535:
        raise InvalidValueError(f"port {port} is over 65535", fix)
    return HostPort(_parse_host(host, bad), port)


def _parse_host(host: str, bad: InvalidValueError) -> str:
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            raise bad from None
    if ":" in host:
        raise InvalidValueError(
            f"{_shown_address(host)} is an IPv6 address without brackets", f"write [{host}]:PORT"
        )
    if not _NAME.fullmatch(host) or host in (".", ".."):
        raise bad
    if not _can_be_looked_up(host):
        raise InvalidValueError(
            f"{_shown_address(host)} cannot be the name of a host",
            "write the name as DNS has it: parts of 1 to 63 characters with a dot between, "
            "xn-- only before what is encoded so; or write an IP address",
        )
    return host


def _can_be_looked_up(host: str) -> bool:
    """Whether the resolver and the HTTP client take it: they fail without an error of their own."""
    if not all(1 <= len(label) <= 63 for label in host.removesuffix(".").split(".")):
        return False
    if not host.lower().startswith("xn--"):
        return True
    import httpx  # Here: it takes long to load, and such a name is rare.

    try:
        return bool(httpx.URL(f"http://{host}").host)
    except (UnicodeError, httpx.InvalidURL):
        return False


def parse_consul_addr(value: object) -> str:
    """CONSUL_HTTP_ADDR: `host`, `host:port`, either with http:// or https://, or unix:///path.

    Credentials in it are refused, and not repeated in the message.
    """
    fix = "write host:port, http://host:port, https://host:port or unix:///path"
    text = value.strip().rstrip("/") if isinstance(value, str) else ""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    if "@" in rest.split("/", 1)[0]:
        raise InvalidValueError("it holds a user name or password", "use a token file instead")
    if scheme == "unix":
        if rest.startswith("/") and rest.isprintable() and not {"?", "#"} & set(rest):
            return text
        raise InvalidValueError(
            f"{_shown_address(value)} is not the absolute path of a socket",
            "write unix:///path, without ? or # in it",
        )
    if scheme not in ("", "http", "https") or not rest:
        raise InvalidValueError(f"{_shown_address(value)} is not an address of Consul", fix)
    if "/" in rest or "?" in rest or "#" in rest:
        raise InvalidValueError(f"{_shown_address(value)} has a path", f"{fix}, without a path")
    bad = InvalidValueError(f"{_shown_address(value)} is not an address of Consul", fix)
    if ":" in re.sub(r"\[.*\]", "", rest):
        where = str(parse_host_port(rest))
        if where.endswith(":0"):
            raise InvalidValueError(f"{_shown_address(value)} has port 0", fix)
    else:
        host = _parse_host(rest, bad)
        where = f"[{host}]" if ":" in host else host
    return f"{scheme}://{where}" if scheme else where


def consul_url(addr: str, *, ssl: bool) -> str:
    """The URL of a parsed CONSUL_HTTP_ADDR. `ssl` turns http into https, as Consul's tools do."""
    scheme, separator, rest = addr.partition("://")
    if not separator:
        scheme, rest = "http", addr
    return f"{'https' if ssl and scheme == 'http' else scheme}://{rest}"
