"""The wheel and the sdist, as they are installed by people: in an empty environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from demo import REPO

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

PINNED = REPO / "requirements" / "runtime.txt"


def run(*words: str | Path, cwd: Path, code: int = 0) -> str:
    """Run a command away from the repository, without our own environment; what it prints."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    ran = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**env, "HOME": str(cwd), "CONSUL_HTTP_ADDR": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == code, f"{words}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist, and the wheel that is made of the sdist alone."""
    directory = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", directory, cwd=REPO)
    (sdist,) = directory.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(directory / "source", filter="data")
    (source,) = (directory / "source").iterdir()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory, cwd=source)
    return directory


def test_an_environment_made_as_the_readme_says_is_not_in_the_sdist(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "venv/lib").mkdir(parents=True)
    (source / "venv/lib/other.py").touch()
    for name in (".gitignore", "LICENSE", "README.md", "pyproject.toml"):
        shutil.copy2(REPO / name, source / name)
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path, cwd=source)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
    assert any(name.endswith("/README.md") for name in names)
    assert not any("venv" in name for name in names)


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


def test_it_holds_what_it_should_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.split("/")[0] for name in names}
    assert tops == {"coord", "console", f"{wheel.name.rsplit('-', 3)[0]}.dist-info"}
    runbooks = {f"coord/_runbooks/{path.name}" for path in (REPO / "runbooks").glob("*.md")}
    wanted = {"coord/py.typed", "console/py.typed", "console/console.tcss", *runbooks}
    assert runbooks
    assert wanted <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_pip_installs_it_with_the_pinned_packages_and_it_runs(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "v", cwd=tmp_path)
    python, coord = tmp_path / "v/bin/python", tmp_path / "v/bin/coord"
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--require-hashes", "-r", PINNED, cwd=tmp_path)
    run(*pip, "--no-deps", wheel, cwd=tmp_path)
    run(python, "-m", "pip", "check", cwd=tmp_path)
    assert run(coord, "--version", cwd=tmp_path).startswith("coord ")
    assert "force-leader-change" in run(coord, "runbook", cwd=tmp_path)
    assert "Timing budget" in run(coord, "config", cwd=tmp_path)
    run(coord, "status", cwd=tmp_path, code=3)
    # The console is an extra; without it, what needs no Textual works, and the rest says how.
    console = tmp_path / "v/bin/coord-console"
    run(console, "--once", cwd=tmp_path, code=3)
    assert "--record" in run(console, "--help", cwd=tmp_path)


def test_pipx_installs_it_with_the_console(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "v", cwd=tmp_path)
    python = tmp_path / "v/bin/python"
    run(python, "-m", "pip", "install", "--quiet", "pipx", cwd=tmp_path)
    run(python, "-m", "pipx", "install", f"{wheel}[console]", cwd=tmp_path)
    installed = tmp_path / ".local/bin"
    assert run(installed / "coord", "--version", cwd=tmp_path).startswith("coord ")
    # What it lacks is a terminal, not Textual.
    run(installed / "coord-console", cwd=tmp_path, code=2)
    (textual,) = tmp_path.glob(".local/**/site-packages/textual")
    assert textual.is_dir()
