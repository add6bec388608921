"""`make console` where there is nothing to draw on."""

from __future__ import annotations

import subprocess
import sys

from demo import REPO


def test_without_a_terminal_it_says_so_and_starts_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo.console"],
        cwd=REPO,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("console: there is no terminal to draw on")
    assert "--once" in done.stderr
    assert done.stderr.count("\n") == 1
