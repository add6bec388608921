"""Which addresses a poller may not connect to. PURE.

An IPv4 address can be written into an IPv6 one, and then leads to the same place: mapped
(``::ffff:a.b.c.d``), translated by NAT64 or a tunnel. Such an address is forbidden where the one
within it is. An address that stands for "this machine" is taken for the loopback it leads to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Self

_LOWEST = 0xFFFF_FFFF
_IPV4_IS_LAST = tuple(
    IPv6Network(text)
    for text in (
        "::/96",  # compatible, of old
        "::ffff:0:0/96",  # mapped
        "::ffff:0:0:0/96",  # translated
        "64:ff9b::/96",  # NAT64
    )
)
_NAT64_OF_ONES_OWN = IPv6Network("64:ff9b:1::/48")
_NO_HOST = IPv4Network("0.0.0.0/8")
_PREFIX_LENGTHS = (48, 56, 64, 96)
"""Of what a NAT64 of one's own may take of its network (RFC 8215); each has the IPv4 address
elsewhere (RFC 6052), and no address tells which it is of."""


@dataclass(frozen=True, slots=True)
class Networks:
    """A set of networks."""

    nets: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """The networks as settings have them.

        Raises:
            ValueError: one is no network.
        """
        return cls(tuple(ip_network(text) for text in texts))

    def holding(self, address: str) -> IPv4Network | IPv6Network | None:
        """The first of them that the address lies in, however it is written; None: in none.

        Raises:
            ValueError: it is no address.
        """
        faces = tuple(_faces(ip_address(address)))
        for net in self.nets:
            if any(face.version == net.version and face in net for face in faces):
                return net
        return None


def _faces(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """The address, and every other that leads where it does."""
    yield address
    if isinstance(address, IPv6Address):
        if address.is_unspecified:
            yield IPv6Address("::1")
        if any(address in net for net in _IPV4_IS_LAST):
            yield from _faces(IPv4Address(int(address) & _LOWEST))
        if address in _NAT64_OF_ONES_OWN:
            for length in _PREFIX_LENGTHS:
                found = _translated(address, length)
                # The zeros before a last IPv4 address are not meant for one of their own.
                if length == 96 or found not in _NO_HOST:
                    yield from _faces(found)
        if address.sixtofour is not None:
            yield address.sixtofour
        if address.teredo is not None:
            yield from address.teredo
    elif address.is_unspecified:
        yield IPv4Address("127.0.0.1")


def _translated(address: IPv6Address, length: int) -> IPv4Address:
    """The IPv4 address after a NAT64 prefix of that length, in bits."""
    bits, end = int(address), 128 - length - 32
    if length < 96:  # bits 64 to 71 are left out
        bits = bits >> 64 << 56 | bits & (1 << 56) - 1
        end -= 8
    return IPv4Address(bits >> end & _LOWEST)
