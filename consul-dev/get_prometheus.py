#!/usr/bin/env python3
"""Print the directory that has Prometheus, promtool and Alertmanager, obtaining them if need be.

The order: ``$PROMETHEUS_DIR`` (must work), the PATH, the cache (``$PROMETHEUS_CACHE``, else
``.cache/prometheus`` of this repository), Debian's own packages verified by apt against Debian's
archive keyring. Nothing outside the cache directory is changed.

Standard library only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from debian_package import ObtainError, Packages, answer_of, unpack
from get_consul import locked

REPO = Path(__file__).resolve().parent.parent
DEBIAN_SUITES = {"prometheus": "bullseye", "prometheus-alertmanager": "bookworm"}
"""The last of Debian's Prometheus that finds targets through Consul, and an Alertmanager that knows
`matchers`: by package."""
PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "alertmanager": ("alertmanager", "prometheus-alertmanager"),
}
"""What each is called; Debian calls one of them otherwise."""

WITH_TEMPLATES = """\
#!/bin/sh
# Debian's Alertmanager looks for its templates in /usr/share. In a mount namespace of its own it
# finds those that came with it, here. It stays the same process.
set -e
own=$(cd "$(dirname "$0")" && pwd)
user=
[ "$(id -u)" -eq 0 ] || user="--user --map-root-user"
exec unshare $user --mount sh -c \
  'mount --bind "$0/share" /usr/share && exec "$0/prometheus-alertmanager" "$@"' "$own" "$@"
"""

CHOICES = """\
Prometheus, promtool and Alertmanager could not be obtained. Any one of these helps:
  - set PROMETHEUS_DIR to a directory that has all three;
  - put them on the PATH;
  - on Debian: let apt reach a mirror that carries the suites {suites}
    (or set PROMETHEUS_DEBIAN_MIRROR to one).
Tried: {tried}"""


class NotThere(ObtainError):  # noqa: N818 - as the others, by what it says
    """A program is not where it was looked for."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Where the programs are."""

    prometheus: Path
    promtool: Path
    alertmanager: Path


def say(message: str) -> None:
    """Tell the human; stdout carries the path alone."""
    print(f"get_prometheus: {message}", file=sys.stderr, flush=True)


def version_of(binary: Path, name: str) -> str:
    """Return the version that ``binary`` states.

    Raises ObtainError when it does not run or is something else.
    """
    done = answer_of(binary, "--version")
    match = re.search(rf"{name}, version (\S+)", done.stdout + done.stderr)
    if done.returncode != 0 or match is None:
        said = (done.stderr or done.stdout).strip()[:80]
        raise ObtainError(f"{binary} is not {name}: `--version` printed {said!r}")
    return match.group(1)


def check_discovery(promtool: Path) -> None:
    """Raise ObtainError when the Prometheus of this promtool cannot find targets through Consul.

    Debian has built it without that since bookworm.
    """
    with tempfile.TemporaryDirectory() as room:
        config = Path(room) / "prometheus.yml"
        config.write_text("scrape_configs: [{job_name: any, consul_sd_configs: []}]\n")
        command = [str(promtool), "check", "config", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        raise ObtainError(f"the Prometheus of {promtool} was built without Consul's discovery")


def _look(which: Callable[[str], str | None]) -> Tools:
    """The programs as `which` finds them.

    Raises ObtainError when one is not there or does not work.
    """
    found = {}
    for program, names in PROGRAMS.items():
        path = next((path for name in names if (path := which(name))), None)
        if path is None:
            raise NotThere(f"there is no {program}")
        version_of(Path(path), program)
        found[program] = Path(path).absolute()
    check_discovery(found["promtool"])
    return Tools(**found)


def _in(directory: Path) -> Callable[[str], str | None]:
    return lambda name: shutil.which(name, path=str(directory))


def get_prometheus(env: Mapping[str, str] | None = None) -> Tools:
    """Return working programs: found, else obtained into the cache.

    Safe to call from several processes at once. Raises ObtainError.
    """
    env = dict(os.environ) if env is None else env
    if named := env.get("PROMETHEUS_DIR"):
        try:
            return _look(_in(Path(named).expanduser()))
        except ObtainError as error:
            raise ObtainError(f"PROMETHEUS_DIR: {error}; correct it or unset it") from error
    cache = Path(env.get("PROMETHEUS_CACHE") or REPO / ".cache" / "prometheus")
    cache = cache.expanduser().absolute()
    places = (lambda name: shutil.which(name, path=env.get("PATH")), _in(cache))
    for place in places:
        try:
            return _look(place)
        except NotThere:
            continue
        except ObtainError as error:
            say(f"passing over: {error}")
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ObtainError(f"the cache {cache} cannot be made: {error}") from error
    with locked(cache, say):
        try:
            return _look(places[1])
        except ObtainError:
            return _obtain(cache, env)


def _obtain(cache: Path, env: Mapping[str, str]) -> Tools:
    with tempfile.TemporaryDirectory(dir=cache, prefix=".obtain-") as room:
        try:
            made = _from_debian(Path(room), env)
            _look(_in(made))
        except ObtainError as error:
            suites = " and ".join(sorted(set(DEBIAN_SUITES.values())))
            raise ObtainError(CHOICES.format(suites=suites, tried=error)) from error
        shutil.rmtree(cache / "share", ignore_errors=True)
        for path in made.iterdir():
            os.replace(path, cache / path.name)
    say(f"Prometheus, promtool and Alertmanager are now in {cache}")
    return _look(_in(cache))


def _from_debian(room: Path, env: Mapping[str, str]) -> Path:
    """Unpack Debian's packages, and return a directory with the programs and what they need."""
    made = room / "made"
    made.mkdir()
    for package, suite in DEBIAN_SUITES.items():
        work = room / suite
        work.mkdir()
        for each in (room, work):
            each.chmod(0o755)  # apt drops its rights for downloading and must get in
        wanted = Packages(
            suite=suite,
            names=(package,),
            mirror=env.get("PROMETHEUS_DEBIAN_MIRROR") or None,
            search_path=env.get("PATH"),
            environment=env,
        )
        usr = unpack(wanted, work, say) / "usr"
        for program in ("prometheus", "promtool", "prometheus-alertmanager"):
            if (usr / "bin" / program).exists():
                os.replace(usr / "bin" / program, made / program)
        templates = Path("share", "prometheus", "alertmanager")
        if (usr / templates / "default.tmpl").exists():
            (made / templates).mkdir(parents=True)
            for path in (usr / templates).glob("*.tmpl"):
                os.replace(path, made / templates / path.name)
    wrapped = made / "alertmanager"
    wrapped.write_text(WITH_TEMPLATES)
    wrapped.chmod(0o755)
    return made


def main() -> int:
    """Command line; the exit status is 0 with the paths printed, or 1 with the reason."""
    try:
        tools = get_prometheus()
    except (ObtainError, OSError) as error:
        print(f"get_prometheus: {error}", file=sys.stderr)
        return 1
    print(tools.prometheus, tools.promtool, tools.alertmanager, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
