"""Which addresses are forbidden, and how the setting that says so is read."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.config import Settings, SettingsError
from coord.polling.networks import Networks

DEFAULT = Networks.of(Settings(environ={}, node="n").poller_forbidden_networks)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "::ffff:0:a9fe:a9fe",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",  # after a prefix of 48 bits
        "64:ff9b:1:a9fe:a9:fe12:3456:789a",
        "64:ff9b:1:12a9:fe:a9fe::",  # of 56
        "64:ff9b:1:1234:a9:fea9:fe00:0",  # of 64
        "64:ff9b:1:1234:56:789a:a9fe:a9fe",  # of 96
        "2002:a9fe:a9fe::1",
        "fe80::a9fe:a9fe",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:42::42",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
    ],
)
def test_metadata_and_link_local_are_forbidden_unless_set_otherwise(address: str) -> None:
    assert DEFAULT.holding(address) is not None
    assert Networks().holding(address) is None


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "::1",
        "fd00::1",
        "fd00:ec2::253",
        "8.8.8.8",
        "0.0.0.0",
        "64:ff9b:1::808:808",
        "64:ff9b:1:808:8:800::",
        "64:ff9b:2:a9fe:a9:fe00::",
    ],
)
def test_what_a_fleet_polls_is_not(address: str) -> None:
    assert DEFAULT.holding(address) is None


@pytest.mark.parametrize(
    ("network", "address"),
    [("127.0.0.0/8", "0.0.0.0"), ("127.0.0.0/8", "::ffff:0.0.0.0"), ("::1/128", "::")],
)
def test_what_stands_for_this_machine_is_the_loopback_it_leads_to(
    network: str, address: str
) -> None:
    assert Networks.of([network]).holding(address) is not None


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("64:ff9b:1::7f00:1", True),
        ("64:ff9b:1:7f00:0:100::", True),
        ("64:ff9b:1::", True),
        ("64:ff9b:1::808:808", False),
        ("64:ff9b:1:0:8:808:800:0", False),
    ],
)
def test_zeros_before_a_translated_address_are_not_this_machine(
    address: str, loopback: bool
) -> None:
    assert (Networks.of(["127.0.0.0/8"]).holding(address) is not None) is loopback


@given(st.ip_addresses(v=4), st.integers(1, 32))
def test_an_ipv4_address_is_judged_the_same_however_it_is_written(
    address: IPv4Address, length: int
) -> None:
    last = int(address)
    forms = [
        str(address),
        str(IPv6Address(0xFFFF << 32 | last)),
        str(IPv6Address((0x64FF9B << 96) | last)),
        str(IPv6Address(0x2002 << 112 | last << 80 | 1)),
    ]
    other = IPv4Address(last ^ 1 << (32 - length))  # differs in the last bit of the network
    inside = Settings(environ={}, node="n", poller_forbidden_networks=_network(address, length))
    outside = Settings(environ={}, node="n", poller_forbidden_networks=_network(other, length))
    for form in forms:
        assert Networks.of(inside.poller_forbidden_networks).holding(form) is not None
        assert Networks.of(outside.poller_forbidden_networks).holding(form) is None


def _network(address: IPv4Address, length: int) -> str:
    return f"{IPv4Address(int(address) >> (32 - length) << (32 - length))}/{length}"


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("10.0.0.0/8, fd00::/8", ("10.0.0.0/8", "fd00::/8")),
        ("10.1.2.3", ("10.1.2.3/32",)),
        ("::ffff:10.0.0.0/104", ("10.0.0.0/8",)),
        ("::FFFF:0:0/96", ("0.0.0.0/0",)),
        ("::/0", ("::/0",)),
        ("10.0.0.0/255.0.0.0", ("10.0.0.0/8",)),
        ("none", ()),
        ("10.0.0.0/8,10.0.0.0/8", ("10.0.0.0/8",)),
    ],
)
def test_the_setting_is_read(text: str, networks: tuple[str, ...]) -> None:
    env = {"COORDINATOR_POLLER_FORBIDDEN_NETWORKS": text}
    assert Settings(environ=env, node="n").poller_forbidden_networks == networks


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("::ffff:10.0.0.1/104", "::ffff:"),
        ("localhost", "10.0.0.0/8"),
        ("10.0.0.0/33", "10.0.0.0/8"),
        ("1", "10.0.0.0/8"),
        ("\x1b[2J", "commas"),
    ],
)
def test_what_is_no_network_is_refused_with_the_fix(text: str, fix: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(environ={}, node="n", poller_forbidden_networks=text)
    (problem,) = caught.value.problems
    assert problem.field == "poller_forbidden_networks"
    assert fix in problem.fix
    assert str(problem).isprintable()
