"""Debian's packages, unpacked into a directory of one's own: the system is not changed.

They come from a mirror that the machine's own apt uses, and are verified by apt against Debian's
archive keyring. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

APT_S = 180.0


class ObtainError(Exception):
    """It cannot be had this way; the message says why and what to do."""


def answer_of(binary: Path, word: str) -> subprocess.CompletedProcess[str]:
    """What `binary` answers when it is run with `word` alone.

    Raises ObtainError when it does not run.
    """
    try:
        return subprocess.run(
            [str(binary), word],
            capture_output=True,
            text=True,
            timeout=30,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        raise ObtainError(f"{binary} does not run: {error}") from error


@dataclass(frozen=True, slots=True)
class Packages:
    """Which packages of which suite. `mirror`: from there alone, else from where apt's own are."""

    suite: str
    names: tuple[str, ...]
    mirror: str | None = None
    search_path: str | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


def unpack(packages: Packages, work: Path, say: Callable[[str], None]) -> Path:
    """Fetch them into `work`, let apt verify them, and return the directory that has their files.

    say: is told what is tried.

    Raises ObtainError.
    """
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool, path=packages.search_path) is None:
            raise ObtainError(f"Debian's package: there is no `{tool}` here")
    if not DEBIAN_KEYRING.is_file():
        raise ObtainError(f"Debian's package: {DEBIAN_KEYRING} is not here to verify it with")
    found = mirrors(packages, work)
    if not found:
        raise ObtainError("Debian's package: apt has no mirror configured")
    problems = []
    for number, mirror in enumerate(found):
        say(f"trying Debian's package from {mirror} ({packages.suite})")
        try:
            return _from_mirror(packages, mirror, work / f"apt-{number}")
        except ObtainError as error:
            problems.append(f"{mirror}: {error}")
    raise ObtainError("Debian's package: " + "; ".join(problems))


def mirrors(packages: Packages, work: Path) -> list[str]:
    """Return the mirrors that this machine's own apt uses (security ones only if no other)."""
    if packages.mirror:
        return [packages.mirror]
    listing = _run(
        ["apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI)"],
        work,
        packages.environment,
    )
    found = list(dict.fromkeys(uri for uri in listing.split() if "://" in uri))
    return [uri for uri in found if "security" not in uri] or found


def _from_mirror(packages: Packages, mirror: str, room: Path) -> Path:
    env = packages.environment
    for part in ("lists/partial", "archives/partial"):
        (room / part).mkdir(parents=True)
    sources = room / "sources.list"
    sources.write_text(f"deb [signed-by={DEBIAN_KEYRING}] {mirror} {packages.suite} main\n")
    settings = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State": room,
        "Dir::State::Lists": room / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": room,
        "Acquire::Languages": "none",
        "Acquire::Retries": "0",
        "Acquire::http::Timeout": "10",
        "Acquire::https::Timeout": "10",
        # Whatever the machine's own apt was told: here only what is signed counts.
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::AllowWeakRepositories": "false",
        "APT::Get::AllowUnauthenticated": "false",
        "APT::Update::Error-Mode": "any",
    }
    apt = ["apt-get", "-q"]
    for key, value in settings.items():
        apt += ["-o", f"{key}={value}"]
    _run([*apt, "update"], room, env)
    _run([*apt, "download", *packages.names], room, env)
    unpacked = room / "unpacked"
    for name in packages.names:
        files = list(room.glob(f"{name}_*.deb"))
        if len(files) != 1:
            raise ObtainError(f"apt downloaded {[p.name for p in files]}, not one package {name}")
        _run(["dpkg", "-x", str(files[0]), str(unpacked)], room, env)
    return unpacked


def _run(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> str:
    """Run ``command`` and return its stdout; ObtainError with its own words otherwise."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**env, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            text=True,
            timeout=APT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ObtainError(f"`{command[0]}`: {error}") from error
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise ObtainError(f"`{command[0]}` failed: {' / '.join(words[-3:])}")
    return done.stdout
