"""Where Prometheus's programs come from, in which order, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import get_prometheus as module
from debian_package import ObtainError
from get_prometheus import PROGRAMS, Tools, get_prometheus

NOWHERE = "/nonexistent"


def stand_ins(
    directory: Path,
    *,
    debian: bool = False,
    words: str = "{}, version 2.42.0",
    finds: bool = True,
) -> Tools:
    """Write programs that answer `--version`, and whether they know Consul, as the real ones do."""
    directory.mkdir(parents=True)
    paths = {}
    for program, names in PROGRAMS.items():
        path = directory / names[-1 if debian else 0]
        known = "" if finds else "[ $1 = --version ] || exit 1\n"
        path.write_text(f"#!/bin/sh\n{known}echo '{words.format(program)} (branch: HEAD)'\n")
        path.chmod(0o755)
        paths[program] = path
    return Tools(**paths)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"PATH": NOWHERE, "PROMETHEUS_CACHE": str(tmp_path / "cache")}


def test_the_named_directory_comes_first_then_the_path_then_the_cache(
    tmp_path: Path, env: dict[str, str]
) -> None:
    cached = stand_ins(tmp_path / "cache", debian=True)
    assert get_prometheus(env) == cached
    on_path = stand_ins(tmp_path / "bin")
    env["PATH"] = str(tmp_path / "bin")
    assert get_prometheus(env) == on_path
    named = stand_ins(tmp_path / "mine")
    env["PROMETHEUS_DIR"] = str(tmp_path / "mine")
    assert get_prometheus(env) == named


def test_what_is_on_the_path_in_part_or_is_something_else_is_passed_over(
    tmp_path: Path, env: dict[str, str]
) -> None:
    cached = stand_ins(tmp_path / "cache")
    env["PATH"] = str(tmp_path / "bin")
    found = stand_ins(tmp_path / "bin", words="another {}")
    assert get_prometheus(env) == cached
    found.alertmanager.unlink()
    assert get_prometheus(env) == cached
    stand_ins(tmp_path / "blind", finds=False)
    env["PATH"] = str(tmp_path / "blind")
    assert get_prometheus(env) == cached


def test_a_named_directory_that_does_not_do_is_refused(tmp_path: Path, env: dict[str, str]) -> None:
    stand_ins(tmp_path / "cache")
    env["PROMETHEUS_DIR"] = str(tmp_path / "mine")
    with pytest.raises(ObtainError, match="PROMETHEUS_DIR: there is no prometheus; correct it"):
        get_prometheus(env)
    stand_ins(tmp_path / "mine", words="{}")
    with pytest.raises(ObtainError, match="is not prometheus"):
        get_prometheus(env)


def test_where_it_cannot_be_had_the_choices_are_named_and_nothing_is_left(
    tmp_path: Path, env: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, module.__file__],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    for choice in ("PROMETHEUS_DIR", "PATH", "PROMETHEUS_DEBIAN_MIRROR", "there is no `apt-get`"):
        assert choice in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path / "cache") == [".lock"]
