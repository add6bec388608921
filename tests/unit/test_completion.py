"""What `coord completion` prints, tried in the shell itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from coord.cli import main
from coord.cli.completion import SHELLS

BIN = Path(sys.executable).parent


def printed(shell: str) -> str:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_options_and_the_console(tmp_path: Path) -> None:
    script = tmp_path / "completion.bash"
    script.write_text(printed("bash"))
    tries = [
        ("_coord_completion", "coord", "st"),
        ("_coord_completion", "coord", "status", "--el"),
        ("_coord_completion", "coord", "runbook", "ro"),
        ("_coord_completion", "coord", "runbook", "rolling-restart#who"),
        ("_coord_console_completion", "coord-console", "--rep"),
    ]
    lines = [f"source {script}"]
    for function, *words in tries:
        lines.append(f"COMPREPLY=(); COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}")
        lines.append(f'{function} {words[0]}; echo "${{COMPREPLY[@]}}"')
    ran = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(lines)],
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "status step-down",
        "--election",
        "rolling-restart",
        "rolling-restart#who-leads",
        "--replay",
    ]


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_both_commands(shell: str) -> None:
    told = printed(shell)
    for variable in ("_COORD_COMPLETE", "_COORD_CONSOLE_COMPLETE"):
        assert f"{variable}={shell}_complete" in told


def test_another_shell_is_refused_by_name() -> None:
    result = CliRunner().invoke(main, ["completion", "tcsh"])
    assert result.exit_code == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in result.stderr
