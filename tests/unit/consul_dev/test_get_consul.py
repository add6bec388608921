"""Where the Consul binary comes from, in which order, and what is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import get_consul as module
from debian_package import ObtainError, mirrors
from get_consul import ChecksumError, Options, find, get_consul

SCRIPT = Path(module.__file__)


def stand_in(path: Path, version: str = "1.99.0", words: str = "Consul v") -> Path:
    """Write a program that answers `version` as Consul does (no agent is needed here)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{words}{version}'\n")
    path.chmod(0o755)
    return path


def release_zip(version: str = "1.22.1") -> bytes:
    """Return a zip made like HashiCorp's, with a stand-in for the binary."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("LICENSE.txt", "…")
        archive.writestr("consul", f"#!/bin/sh\necho 'Consul v{version}'\n")
    return buffer.getvalue()


class ReleaseServer:
    """A release server of the test's own; ``content`` None is a 404."""

    def __init__(self, content: bytes | None) -> None:
        self.content = content
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                self.send_response(404 if outer.content is None else 200)
                self.send_header("Content-Length", str(len(outer.content or b"")))
                self.end_headers()
                self.wfile.write(outer.content or b"")

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def releases() -> Iterator[ReleaseServer]:
    server = ReleaseServer(release_zip())
    yield server
    server.close()


@pytest.fixture
def options(tmp_path: Path, releases: ReleaseServer) -> Options:
    """Return options that reach nothing but the test's own server."""
    assert releases.content is not None
    return Options(
        cache=tmp_path / "cache",
        search_path=str(tmp_path / "bin"),
        releases_url=releases.url,
        sha256=hashlib.sha256(releases.content).hexdigest(),
        sources=("release",),
    )


def left_in(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir()} - {".lock"}


def test_looks_at_the_variable_then_the_path_then_the_cache(
    tmp_path: Path, options: Options, releases: ReleaseServer
) -> None:
    cached = stand_in(options.cached)
    assert get_consul(options) == cached

    on_path = stand_in(tmp_path / "bin" / "consul")
    assert get_consul(options) == on_path

    named = stand_in(tmp_path / "mine" / "my-consul")
    assert get_consul(dataclasses.replace(options, consul_bin=str(named))) == named

    assert releases.asked == []


def test_obtains_the_release_only_when_nothing_is_there(
    options: Options, releases: ReleaseServer
) -> None:
    first = get_consul(options)
    second = get_consul(options)

    assert first == second == options.cached
    assert module.consul_version(first) == "1.22.1"
    name = f"consul_1.22.1_{module.release_platform()}.zip"
    assert releases.asked == [f"/consul/1.22.1/{name}"]
    assert left_in(options.cache) == {"consul"}


def test_a_wrong_checksum_is_refused_and_nothing_is_kept(
    options: Options, releases: ReleaseServer
) -> None:
    assert releases.content is not None
    releases.content += b"\0"

    with pytest.raises(ChecksumError) as caught:
        get_consul(dataclasses.replace(options, sources=("release", "debian")))

    assert options.sha256 is not None
    assert options.sha256 in str(caught.value)
    assert left_in(options.cache) == set()


def test_the_pinned_hashes_are_those_of_the_release(
    options: Options, releases: ReleaseServer
) -> None:
    with pytest.raises(ChecksumError, match=module.SHA256[module.release_platform()]):
        get_consul(dataclasses.replace(options, sha256=None))


def test_another_release_needs_a_hash_of_its_own(options: Options) -> None:
    with pytest.raises(ObtainError, match=r"no SHA-256 is pinned for consul 1\.20\.0"):
        get_consul(dataclasses.replace(options, release="1.20.0", sha256=None))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "is not a file"),
        (lambda path: path.write_text("#!/bin/sh\n"), "is not executable"),
        (lambda path: stand_in(path, words="Vault v"), "is not Consul"),
    ],
)
def test_a_variable_that_names_no_consul_is_an_error(
    tmp_path: Path, options: Options, make: object, says: str
) -> None:
    stand_in(options.cached)
    named = tmp_path / "named"
    assert callable(make)
    make(named)

    with pytest.raises(ObtainError, match=says) as caught:
        find(dataclasses.replace(options, consul_bin=str(named)))

    assert "CONSUL_BIN" in str(caught.value)


def test_a_broken_binary_on_the_path_or_in_the_cache_is_passed_over(
    tmp_path: Path, options: Options
) -> None:
    stand_in(tmp_path / "bin" / "consul", words="Vault v")
    stand_in(options.cached, words="damaged ")

    assert get_consul(options) == options.cached
    assert module.consul_version(options.cached) == "1.22.1"


def test_a_zip_without_consul_in_it_is_refused(options: Options, releases: ReleaseServer) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("README", "no binary")
    releases.content = buffer.getvalue()
    digest = hashlib.sha256(releases.content).hexdigest()

    with pytest.raises(ObtainError, match="not a Consul release zip"):
        get_consul(dataclasses.replace(options, sha256=digest))

    assert left_in(options.cache) == set()


def test_when_nothing_can_be_obtained_the_message_names_the_choices(
    tmp_path: Path, options: Options, releases: ReleaseServer
) -> None:
    releases.content = None
    env = {
        "PATH": str(tmp_path / "bin"),  # no apt-get there
        "CONSUL_CACHE": str(options.cache),
        "CONSUL_RELEASES_URL": releases.url,
    }
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert done.stdout == ""
    for choice in ("CONSUL_BIN", "PATH", str(options.cached), releases.url, "CONSUL_DEBIAN_MIRROR"):
        assert choice in done.stderr
    assert "404" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_is_not_there_falls_through(options: Options) -> None:
    with pytest.raises(ObtainError, match="could be obtained"):
        get_consul(dataclasses.replace(options, releases_url="http://127.0.0.1:1"))


def test_many_at_once_obtain_it_once(tmp_path: Path, releases: ReleaseServer) -> None:
    assert releases.content is not None
    digest = hashlib.sha256(releases.content).hexdigest()
    command = [sys.executable, str(SCRIPT), "--cache", str(tmp_path / "cache")]
    command += ["--releases-url", releases.url, "--sha256", digest, "--source", "release"]
    env = {key: value for key, value in os.environ.items() if key != "CONSUL_BIN"}
    env["PATH"] = "/usr/bin:/bin" if not Path("/usr/bin/consul").exists() else str(tmp_path)
    runs = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    printed = {run.communicate(timeout=60)[0].strip() for run in runs}

    assert [run.returncode for run in runs] == [0] * 4
    assert printed == {str(tmp_path / "cache" / "consul")}
    assert len(releases.asked) == 1


def test_debians_mirrors_are_the_machines_own(tmp_path: Path, options: Options) -> None:
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text(
        "#!/bin/sh\n"
        "printf 'http://mirror.test/debian-security/\\nhttp://mirror.test/debian/\\n"
        "http://mirror.test/debian/\\n'\n"
    )
    apt.chmod(0o755)
    path = f"{apt.parent}{os.pathsep}{os.environ['PATH']}"
    asked = dataclasses.replace(options, environment={"PATH": path})

    assert mirrors(module.debian_package(asked), tmp_path) == ["http://mirror.test/debian/"]

    given = dataclasses.replace(asked, debian_mirror="http://given.test/")
    assert mirrors(module.debian_package(given), tmp_path) == ["http://given.test/"]
