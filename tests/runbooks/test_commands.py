"""Every command of every runbook, run as written on a real Consul with real nodes.

What it shows is compared with what the runbook shows. `make runbooks` writes down what it does
show, where that differs: read it before it is committed.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest
from runbook_shell import Shell
from runbook_stages import STAGES, Stage, environment, presentable
from runbook_text import Act, Do, Run, acts_of, difference, rewritten, shows

from demo import REPO

WRITE = bool(os.environ.get("COORD_WRITE_RUNBOOKS"))
BOOKS = sorted((REPO / "runbooks").glob("*.md"))
ACTS = [
    (path, number, act)
    for path in BOOKS
    for number, act in enumerate(acts_of(path.stem, path.read_text()))
]
PATIENCE_S = 40.0
"""How long a command that only looks may show something else: what was done takes its time."""

SETTLED_S = 7.0
"""How long after a deed everything is told that is told of what lasts."""

LOOKING = ("status", "history", "events", "config", "runbook", "doctor")


def only_looks(command: str) -> bool:
    """Whether it may be repeated, because it changes nothing."""
    words = command.split()
    if words[0] == "coord":
        return "--dry-run" in words or (words[1] in LOOKING and "--fix" not in words)
    return words[0] == "ask" and "-X" not in words


@pytest.mark.parametrize(
    ("path", "number", "act"), ACTS, ids=[f"{act.book}:{act.line}-{act.stage}" for *_, act in ACTS]
)
async def test_every_command_does_what_the_runbook_says(
    path: Path, number: int, act: Act, consul_binary: Path, tmp_path: Path
) -> None:
    async with (
        STAGES[act.stage](consul_binary, tmp_path) as stage,
        Shell(tmp_path / "shell", environment(stage)) as shell,
    ):
        runs = 0
        for part in act.parts:
            if isinstance(part, Do):
                await stage.do(part.action, part.words)
                continue
            shown = await run_until_right(shell, stage, part)
            if not shows(part.step.shown, shown) and WRITE:
                write_down(path, number, runs, shown)
            else:
                assert shows(part.step.shown, shown), difference(part.step.shown, shown)
            runs += 1


async def run_until_right(shell: Shell, stage: Stage, run: Run) -> str:
    """Run the command; one that only looks, until it shows what is written, for a while."""
    command = run.step.command
    end = time.monotonic() + (SETTLED_S if WRITE else PATIENCE_S)
    while True:
        status, shown = await shell.run(command)
        shown = presentable(stage, shown)
        right = status == run.exit_status and shows(run.step.shown, shown)
        if right or not only_looks(command) or time.monotonic() > end:
            said = f"{command}\nended with {status}, not {run.exit_status}\n"
            assert status == run.exit_status, said + difference(run.step.shown, shown)
            return shown
        await asyncio.sleep(0.2)


def write_down(path: Path, act: int, run: int, shown: str) -> None:
    """Put what was shown into the runbook, wherever the command is by now."""
    text = path.read_text()
    step = acts_of(path.stem, text)[act].runs[run].step
    path.write_text(rewritten(text, step, shown))
