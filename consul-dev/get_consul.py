#!/usr/bin/env python3
"""Print the path of a Consul binary, obtaining one where there is none.

The order: ``$CONSUL_BIN`` (must work), ``consul`` on the PATH, the cache
(``$CONSUL_CACHE``, else ``.cache/consul`` of this repository), HashiCorp's release
zip checked against the SHA-256 pinned below, Debian's own package verified by apt
against Debian's archive keyring. Nothing outside the cache directory is changed.

Standard library only, so that it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import http.client
import os
import platform
import re
import shutil
import sys
import tempfile
import threading
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from debian_package import ObtainError as ObtainError
from debian_package import Packages, answer_of, unpack

REPO = Path(__file__).resolve().parent.parent
RELEASE = "1.22.1"
RELEASES_URL = "https://releases.hashicorp.com"
# As HashiCorp's own package formula publishes them for RELEASE.
SHA256 = {
    "linux_amd64": "91222c7ec141f1c2c92f6b732eeb0251220337e4c07c768cbc6ae633fef69733",
    "linux_arm64": "d421c4537b57935a949b9bc34252266672fe484a766a05ec5826bbae16c8f323",
    "darwin_amd64": "1d8f48639618b8d293e3cfe7855df9fb53c802262848053bf45c260fd7427493",
    "darwin_arm64": "1bbbdc43ac23321f402d661b20dd0d291047ecbda2dbfe93e4b4ce26cf2c701d",
}
DEBIAN_SUITE = "bullseye"  # the last Debian release that carries a consul package

CONNECT_S = 4.0  # also the longest silence borne while downloading
ANSWER_S = 7.0  # name resolution, connection and the reply's head together
DOWNLOAD_S = 300.0
MAX_ZIP_BYTES = 400_000_000

CHOICES = """\
No Consul binary could be obtained. Any one of these helps:
  - set CONSUL_BIN to a Consul binary you have;
  - put `consul` on the PATH (any version from 1.8.7 on);
  - put the binary at {cached};
  - let this machine reach {releases} (or set CONSUL_RELEASES_URL to a copy of it);
  - on Debian: let apt reach a mirror that carries the suite `bullseye`
    (or set CONSUL_DEBIAN_MIRROR to one)."""


class ChecksumError(ObtainError):
    """What was downloaded is not what was pinned; nothing of it is kept or tried."""


@dataclass(frozen=True, slots=True)
class Options:
    """Where to look and what to fetch; ``from_environment`` fills in the defaults."""

    cache: Path
    consul_bin: str | None = None
    search_path: str | None = None
    releases_url: str = RELEASES_URL
    release: str = RELEASE
    sha256: str | None = None
    debian_mirror: str | None = None
    sources: tuple[str, ...] = ("release", "debian")
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @property
    def cached(self) -> Path:
        """The binary's place in the cache, whether it is there or not."""
        return self.cache / "consul"


def say(message: str) -> None:
    """Tell the human; stdout carries the path alone."""
    print(f"get_consul: {message}", file=sys.stderr, flush=True)


def consul_version(binary: Path) -> str:
    """Return the version that ``binary`` states, e.g. ``1.22.1``.

    Raises ObtainError when it does not run or is not Consul.
    """
    if not binary.is_file():
        raise ObtainError(f"{binary} is not a file")
    if not os.access(binary, os.X_OK):
        raise ObtainError(f"{binary} is not executable (chmod +x it)")
    done = answer_of(binary, "version")
    match = re.match(r"Consul v(\S+)", done.stdout)
    if done.returncode != 0 or match is None:
        raise ObtainError(f"{binary} is not Consul: `version` printed {done.stdout[:80]!r}")
    return match.group(1)


def find(options: Options) -> Path | None:
    """Return a working binary that is here already, or None.

    Raises ObtainError when ``$CONSUL_BIN`` is set but is not a working Consul:
    silently running another one would surprise whoever set it.
    """
    if options.consul_bin:
        binary = Path(options.consul_bin).expanduser().absolute()
        try:
            consul_version(binary)
        except ObtainError as error:
            raise ObtainError(f"CONSUL_BIN: {error}; correct it or unset it") from error
        return binary
    found = shutil.which("consul", path=options.search_path)
    for place in (Path(found).absolute() if found else None, options.cached):
        if place is None or not place.exists():
            continue
        try:
            consul_version(place)
        except ObtainError as error:
            say(f"passing over {place}: {error}")
        else:
            return place
    return None


def release_platform() -> str:
    """Return this machine as the release files name it, e.g. ``linux_amd64``."""
    machine = platform.machine().lower()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    return f"{platform.system().lower()}_{machine}"


def _open(url: str) -> http.client.HTTPResponse:
    """Open ``url``, or raise ObtainError within a few seconds, whatever name resolution does."""
    answers: list[http.client.HTTPResponse] = []
    problems: list[Exception] = []

    def attempt() -> None:
        try:
            answers.append(urllib.request.urlopen(url, timeout=CONNECT_S))
        except (OSError, ValueError, http.client.HTTPException) as error:
            problems.append(error)

    # A resolver without a network can block far longer than the socket's own timeout.
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(ANSWER_S)
    if problems:
        raise ObtainError(f"{url}: {problems[0]}") from problems[0]
    if not answers:
        raise ObtainError(f"{url}: no answer within {ANSWER_S:.0f} s")
    return answers[0]


def _download(url: str, target: Path) -> str:
    """Write what ``url`` answers to ``target`` and return its SHA-256 in hex."""
    digest = hashlib.sha256()
    end = time.monotonic() + DOWNLOAD_S
    received = 0
    with _open(url) as reply, target.open("wb") as out:
        while True:
            try:
                block = reply.read(1 << 20)
            except (OSError, http.client.HTTPException) as error:
                raise ObtainError(f"{url}: broke off: {error}") from error
            if not block:
                return digest.hexdigest()
            received += len(block)
            if received > MAX_ZIP_BYTES or time.monotonic() > end:
                raise ObtainError(f"{url}: too large or too slow ({received} bytes so far)")
            digest.update(block)
            out.write(block)


def from_release(options: Options, work: Path) -> Path:
    """Fetch the pinned release into ``work`` and return the unpacked binary."""
    where = release_platform()
    expected = options.sha256
    if expected is None and options.release == RELEASE:
        expected = SHA256.get(where)
    if expected is None:
        raise ObtainError(f"no SHA-256 is pinned for consul {options.release} on {where}")
    name = f"consul_{options.release}_{where}.zip"
    url = f"{options.releases_url.rstrip('/')}/consul/{options.release}/{name}"
    say(f"trying {url}")
    archive = work / name
    actual = _download(url, archive)
    if actual != expected.lower():
        raise ChecksumError(
            f"REFUSED {url}: its SHA-256 is {actual}, pinned is {expected.lower()}. "
            "Nothing was kept. Find out what is between you and the release server, "
            "or use `--source debian`."
        )
    try:
        with zipfile.ZipFile(archive) as unpacker:
            (work / "consul").write_bytes(unpacker.read("consul"))
    except (KeyError, zipfile.BadZipFile) as error:
        raise ObtainError(f"{url}: not a Consul release zip: {error}") from error
    return work / "consul"


def debian_package(options: Options) -> Packages:
    """Debian's package, as it is asked for here."""
    return Packages(
        suite=DEBIAN_SUITE,
        names=("consul",),
        mirror=options.debian_mirror,
        search_path=options.search_path,
        environment=options.environment,
    )


def from_debian(options: Options, work: Path) -> Path:
    """Fetch Debian's package into ``work``, verified by apt, and return the binary."""
    return unpack(debian_package(options), work, say) / "usr" / "bin" / "consul"


OBTAIN = {"release": from_release, "debian": from_debian}


@contextlib.contextmanager
def locked(cache: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the cache for one run at a time; the kernel frees it when a run dies."""
    with (cache / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run is obtaining it; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def obtain(options: Options) -> Path:
    """Put a verified, working binary into the cache and return its path.

    Raises ChecksumError at once on a wrong checksum, ObtainError when no source answers.
    """
    try:
        options.cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ObtainError(f"the cache {options.cache} cannot be made: {error}") from error
    problems = []
    for source in options.sources:
        with tempfile.TemporaryDirectory(dir=options.cache, prefix=".obtain-") as room:
            work = Path(room)
            work.chmod(0o755)  # apt drops its rights for downloading and must get in
            try:
                binary = OBTAIN[source](options, work)
                binary.chmod(0o755)
                version = consul_version(binary)
            except ChecksumError:
                raise
            except ObtainError as error:
                say(str(error))
                problems.append(str(error))
                continue
            os.replace(binary, options.cached)
            say(f"consul {version} is now at {options.cached}")
            return options.cached
    choices = CHOICES.format(cached=options.cached, releases=options.releases_url)
    raise ObtainError("\n".join([choices, "Tried:", *(f"  - {p}" for p in problems)]))


def get_consul(options: Options | None = None) -> Path:
    """Return a working Consul binary: found, else obtained into the cache.

    Safe to call from several processes at once. Raises ObtainError.
    """
    options = options or from_environment()
    found = find(options)
    if found is not None:
        return found
    options.cache.mkdir(parents=True, exist_ok=True)
    with locked(options.cache, say):
        return find(options) or obtain(options)


def from_environment(env: Mapping[str, str] | None = None) -> Options:
    """Return the Options that the environment asks for."""
    env = dict(os.environ) if env is None else env
    cache = Path(env.get("CONSUL_CACHE") or REPO / ".cache" / "consul")
    return Options(
        cache=cache.expanduser().absolute(),
        consul_bin=env.get("CONSUL_BIN") or None,
        search_path=env.get("PATH"),
        releases_url=env.get("CONSUL_RELEASES_URL") or RELEASES_URL,
        debian_mirror=env.get("CONSUL_DEBIAN_MIRROR") or None,
        environment=env,
    )


def parse(arguments: list[str], env: Mapping[str, str] | None = None) -> tuple[Options, bool, bool]:
    """Return the options, whether to obtain anew, and whether to print the version too."""
    base = from_environment(env)
    parser = argparse.ArgumentParser(
        description="Print the path of a Consul binary, obtaining one where there is none.",
        epilog="Environment: CONSUL_BIN, CONSUL_CACHE, CONSUL_RELEASES_URL, CONSUL_DEBIAN_MIRROR.",
    )
    parser.add_argument("--cache", type=Path, default=base.cache, help="default: %(default)s")
    parser.add_argument("--releases-url", default=base.releases_url, help="default: %(default)s")
    parser.add_argument("--release", default=RELEASE, help="default: %(default)s (pinned)")
    parser.add_argument("--sha256", help="of the release zip; needed for another --release")
    parser.add_argument("--debian-mirror", default=base.debian_mirror, help="default: apt's own")
    parser.add_argument("--source", choices=sorted(OBTAIN), help="obtain from this source only")
    parser.add_argument("--refresh", action="store_true", help="obtain anew, replacing the cache")
    parser.add_argument("--version", action="store_true", help="print the version after the path")
    given = parser.parse_args(arguments)
    options = replace(
        base,
        cache=given.cache.expanduser().absolute(),
        releases_url=given.releases_url,
        release=given.release,
        sha256=given.sha256,
        debian_mirror=given.debian_mirror,
        sources=(given.source,) if given.source else base.sources,
    )
    return options, given.refresh, given.version


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit status is 0 with a path printed, or 1 with the reason."""
    options, refresh, version = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        if refresh:
            options.cache.mkdir(parents=True, exist_ok=True)
            with locked(options.cache, say):
                binary = obtain(options)
        else:
            binary = get_consul(options)
        print(f"{binary} {consul_version(binary)}" if version else binary)
    except (ObtainError, OSError) as error:
        print(f"get_consul: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
