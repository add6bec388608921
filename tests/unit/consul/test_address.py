"""An address is checked before the first request."""

from __future__ import annotations

from pathlib import Path

import pytest

from coord.consul import ConsulAddress, ConsulClient


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8500",
        "ftp://host:1",
        "http://",
        "http://host:0",
        "http://host:99999",
        "http://host:x",
        "http://host/path",
        "http://host?x=1",
        "http://user:pass@host",
        "http://xn--a:8500",
        "http://a..b:8500",
        f"http://{'x' * 64}:8500",
        "unix://relative/path",
        "unix:",
        "unix:///socket?x=1",
    ],
)
def test_a_url_that_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^url: "):
        ConsulAddress(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://h:8500",
        "https://[::1]:8501/",
        "http://h",
        "http://xn--bcher-kva.example",
        "unix:///run/consul.sock",
    ],
)
def test_a_url_that_makes_sense_is_taken(url: str) -> None:
    assert ConsulAddress(url).url == url


def test_the_token_is_never_shown() -> None:
    assert "s3cret" not in repr(ConsulAddress(token="s3cret"))


@pytest.mark.parametrize("token", ["a\nb", "a\r\nX-Evil: 1", "é", "\x00"])
def test_a_token_that_would_break_a_header_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match=r"^token: "):
        ConsulAddress(token=token)


def test_a_key_without_a_certificate_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^client_key: "):
        ConsulAddress("https://h:1", client_key=Path("k"))


def test_tls_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("rubbish")
    for path in (missing, rubbish):
        with pytest.raises(ValueError, match=rf"^ca_cert: .*{path.name}"):
            ConsulClient(ConsulAddress("https://h:1", ca_cert=path))
        with pytest.raises(ValueError, match=rf"^client_cert: .*{path.name}"):
            ConsulClient(ConsulAddress("https://h:1", client_cert=path))
