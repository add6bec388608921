"""What the suite needs and no Python package has: Docker's programs, and a base for the images.

Programs that the machine has are used as they are. What it lacks comes from the packages of its
own release, by way of its own apt, unpacked into ``.cache/docker``; the compose plugin, which not
every release has, from Debian's trixie; the base is a small Debian, bootstrapped. The system is not
changed.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from debian_package import DEBIAN_KEYRING, ObtainError, Packages, mirrors, unpack
from demo import REPO
from get_consul import get_consul, locked
from get_prometheus import Tools, get_prometheus

CACHE = REPO / ".cache" / "docker"

PACKAGES = ("docker.io", "iptables", "debootstrap", "tini")
PROGRAMS = (
    *("dockerd", "docker", "docker-init", "docker-proxy", "containerd", "containerd-shim-runc-v2"),
    *("runc", "debootstrap"),
)
COMPOSE_SUITE = "trixie"
BASE_SUITE = "bookworm"
BASE_PACKAGES = ("python3", "python3-venv", "wget")
BASE_LEAVES_OUT = (
    *("./var/cache/apt/archives/*", "./var/lib/apt/lists/*", "./dev/*"),
    *("./usr/share/doc/*", "./usr/share/locale/*", "./usr/share/man/*"),
)
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")

APT_S = 180.0
BOOTSTRAP_S = 600.0


def say(message: str) -> None:
    """Tell the human."""
    print(f"tests/docker: {message}", file=sys.stderr, flush=True)


def lacking() -> str | None:
    """What of this machine cannot be obtained; None: nothing is in the way."""
    if sys.platform != "linux":
        return "Docker's engine is run in namespaces of Linux's"
    if os.geteuid() != 0:
        return "Docker's engine is run by root"
    for program, package in (("unshare", "util-linux"), ("mount", "mount"), ("tar", "tar")):
        if shutil.which(program) is None:
            return f"there is no `{program}` (package {package})"
    done = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False
    )
    return None if done.returncode == 0 else "no namespaces may be made here"


@dataclass(frozen=True, slots=True)
class Docker:
    """Docker's programs. root: what was unpacked, maybe nothing; plugins: as DOCKER_CONFIG says."""

    root: Path
    plugins: Path

    def environment(self) -> dict[str, str]:
        """For the engine and whoever talks to it: nothing that is set here leads them elsewhere."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
        libraries = [str(path) for path in self.root.glob("usr/lib/*-linux-gnu*")]
        extensions = next(self.root.glob("usr/lib/*/xtables"), None)
        return (
            kept
            | {"PATH": self._path, "LD_LIBRARY_PATH": os.pathsep.join(libraries)}
            | {"DOCKER_CONFIG": str(self.plugins), "DOCKER_BUILDKIT": "0"}
            | ({"XTABLES_LIBDIR": str(extensions)} if extensions else {})
        )

    def which(self, program: str) -> str:
        """Where that program is. Raises ObtainError."""
        found = shutil.which(program, path=self._path)
        if found is None:
            raise ObtainError(f"there is no `{program}`, not even in {', '.join(PACKAGES)}")
        return found

    @property
    def _path(self) -> str:
        own = (CACHE / "alternatives", self.root / "usr" / "bin")
        places = (*own, self.root / "usr" / "sbin", os.environ.get("PATH", os.defpath))
        return os.pathsep.join(map(str, (*places, "/usr/sbin", "/sbin")))


_NOT_INHERITED = (
    "DOCKER_",
    "COMPOSE_",
    "BUILDKIT_",
    "COORDINATOR_",
    "CONSUL_",
    "COORD_",
    "NOTIFY_",
)


@dataclass(frozen=True, slots=True)
class Obtained:
    """All of it. base: a tar of the base's files."""

    docker: Docker
    base: Path
    consul: Path
    prometheus: Tools


def obtain() -> Obtained:
    """Return all of it, from the cache if it is there. Raises ObtainError."""
    CACHE.mkdir(parents=True, exist_ok=True)
    docker = Docker(CACHE / "programs", CACHE / "config")
    with locked(CACHE, say):
        _programs(docker)
        base = _base(docker)
    return Obtained(docker, base, get_consul(), get_prometheus())


# --- the programs --------------------------------------------------------------------------------


def _programs(docker: Docker) -> None:
    if any(_absent(docker, program) for program in (*PROGRAMS, "iptables")):
        _into_place(docker.root, _from_own_release)
        _choose_iptables(docker)
    for program in PROGRAMS:
        docker.which(program)
    plugin = docker.plugins / "cli-plugins" / "docker-compose"
    if not plugin.exists():
        plugin.parent.mkdir(parents=True, exist_ok=True)
        with _room() as room:
            packages = Packages(suite=COMPOSE_SUITE, names=("docker-compose",))
            unpacked = unpack(packages, Path(room), say)
            os.replace(unpacked / "usr/libexec/docker/cli-plugins/docker-compose", plugin)


def _absent(docker: Docker, program: str) -> bool:
    try:
        docker.which(program)
    except ObtainError:
        return True
    return False


def _from_own_release(room: Path) -> Path:
    """Unpack what this machine lacks of the packages, with what they need, into `room`."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise ObtainError("install Docker's engine, iptables and debootstrap: there is no apt here")
    for part in ("state/lists/partial", "cache/archives/partial"):
        (room / part).mkdir(parents=True)
    apt = ["apt-get", "-q", "-y", "-o", f"Dir::State={room / 'state'}", "-o"]
    apt += ["Dir::State::status=/var/lib/dpkg/status", "-o", f"Dir::Cache={room / 'cache'}"]
    apt += ["-o", "Acquire::Languages=none", "--no-install-recommends"]
    say(f"obtaining {', '.join(PACKAGES)}, as packages, unpacked alone")
    run([*apt, "update"])
    try:
        run([*apt, "install", "--download-only", *PACKAGES, "docker-cli"])
    except ObtainError:  # up to bookworm it is a part of docker.io
        run([*apt, "install", "--download-only", *PACKAGES])
    made = room / "made"
    for package in (room / "cache" / "archives").glob("*.deb"):
        run(["dpkg", "-x", str(package), str(made)])
    return made


def _choose_iptables(docker: Docker) -> None:
    """What a package's installation would choose: the iptables that this kernel can do."""
    names = CACHE / "alternatives"
    shutil.rmtree(names, ignore_errors=True)
    if shutil.which("iptables") is not None:
        return
    for kind in ("nft", "legacy"):
        program = docker.root / "usr" / "sbin" / f"xtables-{kind}-multi"
        words = ["unshare", "--net", str(program), "iptables", "-t", "nat", "-S"]
        done = subprocess.run(words, env=docker.environment(), capture_output=True, check=False)
        if done.returncode == 0:
            names.mkdir()
            for family in ("iptables", "ip6tables"):
                for end in ("", "-save", "-restore"):
                    (names / f"{family}{end}").symlink_to(program)
            return
    raise ObtainError("this kernel has no NAT for iptables, neither nft's nor the older")


# --- the base ------------------------------------------------------------------------------------

BOOTSTRAP = """
set -eu
target=$1
# In memory, in a mount namespace of its own: quick, and nothing of it stays.
mount -t tmpfs -o mode=755 tmpfs "$target"
debootstrap --variant=minbase --include="$2" --keyring="$3" "$4" "$target" "$5" >&2
shift 5
tar -C "$target" --create "$@" .
"""


def _base(docker: Docker) -> Path:
    machine, packages = platform.machine(), "-".join(BASE_PACKAGES)
    base = CACHE / f"base-{BASE_SUITE}-{packages}-{machine}.tar"
    if base.exists():
        return base
    if not DEBIAN_KEYRING.is_file():
        raise ObtainError(f"{DEBIAN_KEYRING} is not here to verify the base with")
    with _room() as room:
        say(f"bootstrapping a base of Debian's {BASE_SUITE} for the images")
        problems = []
        for mirror in mirrors(Packages(suite=BASE_SUITE, names=()), Path(room)):
            try:
                os.replace(_bootstrapped(docker, Path(room), mirror), base)
            except ObtainError as error:
                problems.append(str(error))
            else:
                return base
    raise ObtainError("the base for the images: " + "; ".join(problems or ["apt has no mirror"]))


def _bootstrapped(docker: Docker, room: Path, mirror: str) -> Path:
    target, tar = room / "base", room / "base.tar"
    target.mkdir(exist_ok=True)
    environment = docker.environment()
    scripts = docker.root / "usr" / "share" / "debootstrap"
    if scripts.is_dir():
        environment["DEBOOTSTRAP_DIR"] = str(scripts)
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", BOOTSTRAP, "sh"]
    words += [str(target), ",".join(BASE_PACKAGES), str(DEBIAN_KEYRING), BASE_SUITE, mirror]
    words += [f"--exclude={pattern}" for pattern in BASE_LEAVES_OUT]
    with tar.open("wb") as out:
        run(words, env=environment, stdout=out, timeout_s=BOOTSTRAP_S)
    return tar


# --- common --------------------------------------------------------------------------------------


def _room() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(dir=CACHE, prefix=".obtain-")


def _into_place(target: Path, make: Callable[[Path], Path]) -> None:
    """Have it made beside, then moved into place as a whole."""
    with _room() as name:
        room = Path(name)
        room.chmod(0o755)  # apt drops its rights for downloading and must get in
        made = make(room)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(made, target)


def run(
    words: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdout: int | object = subprocess.PIPE,
    timeout_s: float = APT_S,
) -> None:
    """Run a command. Raises ObtainError with its own words."""
    environment = {**(env or os.environ), "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,  # type: ignore[arg-type]
            stderr=subprocess.PIPE,
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ObtainError(f"`{words[0]}`: {error}") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ObtainError(f"`{words[0]}` failed: {' / '.join(said[-3:])}")
