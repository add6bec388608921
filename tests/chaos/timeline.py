"""What happened in one run, on one time line: what was done, what the nodes said, who worked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from demo import REPO
from demo.judge import WitnessReport
from tests.chaos.runs import Run
from tests.chaos.stage import Stage

TIMELINES = REPO / ".cache" / "chaos"

_LEAD_S = 2.0
"""How much of the time before a run is shown."""

_DULL = frozenset({"timestamp", "event", "level", "node", "node_type", "election", "logger"})

Entry = tuple[float, str, str]
"""Wall-clock seconds, who, what."""


def write(stage: Stage, run: Run, report: WitnessReport, path: Path) -> None:
    """Write the run, and the time line from a little before it until now."""
    began = stage.timeline[-1].wall - run.took_s - _LEAD_S if stage.timeline else 0.0
    entries = [*_done(stage), *_said(stage), *_worked(stage, report)]
    lines = [f"{run.scenario}, seed {run.seed}: {run.title}"]
    lines += [f"PROBLEM {problem}" for problem in run.problems]
    lines += ["", *(f"{key}: {value}" for key, value in asdict(run).items()), ""]
    lines += [
        f"{datetime.fromtimestamp(at, UTC):%H:%M:%S.%f} {who:<10} {what}"
        for at, who, what in sorted(entries)
        if at >= began
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def keep(stage: Stage, run: Run, report: WitnessReport) -> Path:
    """Keep the time line and the nodes' logs of what did not hold; gives the directory."""
    directory = TIMELINES / f"{run.scenario}-{run.seed.replace(':', '-')}"
    shutil.rmtree(directory, ignore_errors=True)
    write(stage, run, report, directory / "timeline.txt")
    shutil.copytree(stage.directory / "nodes", directory / "nodes", dirs_exist_ok=True)
    return directory


def _done(stage: Stage) -> Iterator[Entry]:
    return ((note.wall, "CHAOS", note.what) for note in stage.timeline)


def _said(stage: Stage) -> Iterator[Entry]:
    for node in stage.fleet.nodes.values():
        for line in node.log():
            try:
                at = datetime.fromisoformat(str(line["timestamp"])).timestamp()
            except (KeyError, ValueError):
                continue
            yield at, node.name, f"{line.get('event')} {_rest(line)}"


def _rest(line: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in line.items() if key not in _DULL)


def _worked(stage: Stage, report: WitnessReport) -> Iterator[Entry]:
    """The witness's findings, by the wall clock."""
    last = stage.timeline[-1]
    ahead = last.wall - last.at
    for term in report.terms:
        yield term.first_at + ahead, "WITNESS", f"first work of term {term.term}, {term.node}"
        yield term.last_at + ahead, "WITNESS", f"last work so far of term {term.term}, {term.node}"
    for pause in report.pauses:
        what = f"term {pause.term} works again after {pause.pause_s:.2f} s, {pause.node}"
        yield pause.ended_at + ahead, "WITNESS", what
    for stale in (*report.stale, *report.late):
        yield stale.at + ahead, "WITNESS", f"refused {stale}"
