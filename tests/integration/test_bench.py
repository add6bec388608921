"""The benchmark measures what it says it does, on a real Consul: one run of the shortest fault."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from demo import REPO

pytestmark = pytest.mark.long


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_clean_handover_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = bench("failover", "clean", "--runs", "1", "--json", str(file))
    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text())
    assert figures["idle"] is None
    assert figures["machine"]["consul"]
    (run,) = figures["failover"]
    assert run["fault"] == "clean"
    assert run["old"] != run["new"]
    assert run["became"] == "ended with 0"
    assert (run["stale"], run["doubles"], run["lost"]) == (0, 0, 0)
    # The gap is what its parts add up to; how long it is depends on the machine.
    assert run["gap_ms"] > 0
    assert abs(sum(run["phases"].values()) - run["gap_ms"]) < 0.001
    assert run["phases"]["wait and turn"] < 1000, "a vacancy that was handed over needs no wait"
    assert "| clean end (SIGTERM)" in done.stdout


def test_polls_are_measured_across_a_kill(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = bench("polls", "--schedules", "12", "--seconds", "21", "--json", str(file))
    assert done.returncode == 0, done.stderr
    well, killed = json.loads(file.read_text())["polls"]
    assert well["runs"] >= 12
    assert (well["failed"], well["twice"], killed["twice"]) == (0, 0, 0)
    assert killed["runs"] + killed["missed"] >= 12
    assert killed["lag_ms"]["worst"] >= well["lag_ms"]["best"] >= 0
    # Each run is written down before it is made, and when it has ended.
    assert well["raft_per_s"] * well["seconds"] > well["runs"]
    assert "| schedule lag, median, ms" in done.stdout


def test_an_unknown_fault_is_refused_with_what_there_is() -> None:
    done = bench("failover", "meteor")
    assert done.returncode == 2
    assert "'meteor'" in done.stderr
    assert "clean, sigkill, sigstop" in done.stderr
    assert "Traceback" not in done.stderr
