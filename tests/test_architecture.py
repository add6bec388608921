"""The rules of the house, and that breaking one is noticed.

What may import what stands in ``pyproject.toml`` (import-linter) and is run here. Each
rule is also broken on purpose in a copy, so that a rule that has gone blind fails.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
MODULE_LINES = 400
CONSOLE_MAY_IMPORT = {
    f"coord.{name}"
    for name in (
        *("records", "status", "operations", "doctor", "telemetry", "consul", "config"),
        *("history", "controls", "runbooks", "rights", "clock"),
        *("polling.summary", "polling.board", "polling.running"),
    )
}
CONSOLES_COMMAND_MAY_IMPORT = {
    f"coord.cli.{name}" for name in ("errors", "options", "status", "version")
}
"""Both commands have the same flags for settings, the same exit codes and words for errors."""
# In two halves: this file is tracked too.
REGISTRY_HOSTS = [
    "".join(halves)
    for halves in (
        ("pypi", ".org"),
        ("pythonhosted", ".org"),
        ("deb.debian", ".org"),
        ("security.debian", ".org"),
        ("archive.ubuntu", ".com"),
        ("registry.npm", "js.org"),
        ("proxy.golang", ".org"),
        ("static.crates", ".io"),
    )
]


def lint_imports(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Check the import rules of the project in ``directory``."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache", *words],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def imported_by(source: str) -> Iterator[str]:
    """Yield every module that ``source`` imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module == "coord":
                yield from (f"coord.{alias.name}" for alias in node.names)
            else:
                yield node.module


def refused_in_console(source: str) -> list[str]:
    """Return what a console module imports from coord beyond what it may."""
    return [
        name
        for name in imported_by(source)
        if re.match(r"coord(\.|$)", name)
        and CONSOLE_MAY_IMPORT.isdisjoint({name, ".".join(name.split(".")[:2])})
    ]


def tracked_files() -> list[Path]:
    """Return the files git tracks here; skips the test where there is no git tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPO, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git work tree")
    return [REPO / name for name in listed.stdout.split("\0") if name]


def registry_hosts_in(text: str) -> list[str]:
    """Return the package registry hosts that ``text`` names."""
    return [host for host in REGISTRY_HOSTS if host in text.lower()]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the package and its rules, to be spoiled."""
    for package in ("coord", "console"):
        ignored = shutil.ignore_patterns("*.pyc")
        shutil.copytree(REPO / package, tmp_path / package, ignore=ignored)
    shutil.copy(REPO / "pyproject.toml", tmp_path)
    return tmp_path


def test_import_rules_hold() -> None:
    done = lint_imports(REPO)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("path", "source", "rule"),
    [
        ("coord/election/planted.py", "import time", "pure"),
        ("coord/election/planted.py", "def f():\n    import random", "pure"),
        ("coord/election/planted.py", "from coord import clock", "pure"),
        ("coord/election/planted.py", "from coord.consul import client", "pure"),
        ("coord/consul/planted.py", "import coord.supervisor", "layers"),
        ("coord/election/planted.py", "import coord.config", "layers"),
        ("coord/planted_and_in_no_layer.py", "", "layers"),
        ("coord/consul/planted.py", "import textual", "no-console"),
        ("coord/consul/planted.py", "import console.app", "no-console"),
        ("console/planted.py", "import coord.candidate", "console-rooms"),
        ("console/planted.py", "from coord.cli import options", "console-rooms"),
        ("console/planted.py", "from coord.polling import shelf", "console-rooms"),
        ("console/view/planted.py", "import time", "console-view"),
        ("console/screens/planted.py", "import console.source", "console-view"),
        ("console/view/planted.py", "import textual", "console-without-textual"),
    ],
)
def test_a_broken_import_rule_is_noticed(copy: Path, path: str, source: str, rule: str) -> None:
    before = lint_imports(copy, "--contract", rule)
    (copy / path).write_text(source + "\n")
    after = lint_imports(copy, "--contract", rule)

    assert "planted" not in before.stdout
    assert after.returncode == 1
    assert "planted" in after.stdout


def test_console_imports_only_the_shared_rooms() -> None:
    refused = {
        str(path.relative_to(REPO)): names
        for path in sorted((REPO / "console").rglob("*.py"))
        if (names := refused_in_console(path.read_text()))
    }
    refused["console/cli.py"] = [
        name
        for name in refused.pop("console/cli.py", [])
        if name not in CONSOLES_COMMAND_MAY_IMPORT
    ]
    assert refused == {"console/cli.py": []}


@pytest.mark.parametrize(
    ("source", "refused"),
    [
        ("from coord.records import LeaderRecord\nimport coord.consul.client", []),
        ("from coord import status, doctor", []),
        ("from coord.polling.summary import PollSummary", []),
        ("from coord.polling.shelf import Shelf", ["coord.polling.shelf"]),
        ("import coord", ["coord"]),
        ("from coord import application", ["coord.application"]),
        ("def f():\n    from coord.candidate import x", ["coord.candidate"]),
        ("from coord.election.states import State", ["coord.election.states"]),
        ("import coordinates", []),
    ],
)
def test_the_consoles_rule_sees_a_violation(source: str, refused: list[str]) -> None:
    assert refused_in_console(source) == refused


def test_no_tracked_file_names_a_package_registry() -> None:
    named = {
        str(path.relative_to(REPO)): hosts
        for path in tracked_files()
        if path.is_file() and (hosts := registry_hosts_in(path.read_text(errors="replace")))
    }
    assert named == {}


def test_a_named_registry_is_seen() -> None:
    assert registry_hosts_in(f"see https://{REGISTRY_HOSTS[0].upper()}/simple") == [
        REGISTRY_HOSTS[0]
    ]


def test_requirements_are_hashed_and_name_no_place() -> None:
    for path in sorted((REPO / "requirements").glob("*.txt")):
        text = path.read_text()
        assert "://" not in text, path.name
        joined = text.replace("\\\n", " ")
        for line in filter(None, map(str.strip, joined.splitlines())):
            assert "==" in line, f"{path.name}: not pinned: {line[:60]}"
            assert "--hash=sha256:" in line, f"{path.name}: not hashed: {line[:60]}"


def test_modules_stay_short() -> None:
    long = {
        str(path.relative_to(REPO)): lines
        for package in ("coord", "console")
        for path in sorted((REPO / package).rglob("*.py"))
        if (lines := len(path.read_text().splitlines())) > MODULE_LINES
    }
    assert long == {}, f"over {MODULE_LINES} lines: give the parts rooms of their own"
