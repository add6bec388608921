"""The test in docs/first-steps.md, run as its reader would run it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]


def test_the_test_of_the_page_passes_and_says_nothing(tmp_path: Path) -> None:
    page = (REPO / "docs/first-steps.md").read_text(encoding="utf-8")
    files = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", page, re.DOTALL)
    assert [name for name, _ in files] == ["reports.py", "notify.py", "test_reports.py"]
    for name, text in files:
        (tmp_path / name).write_text(text, encoding="utf-8")
    options = ["-q", "-s", "-p", "no:cacheprovider", "-p", "no:asyncio"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_reports.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{REPO}", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) <= 3, "a dot, and the sum"
