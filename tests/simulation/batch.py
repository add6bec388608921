"""Many seeds on all cores, with a progress bar; or one seed again, with its full history."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from coord.testing import be_quiet
from docs.generate import REPO, replaced
from tests.simulation.faults import KINDS
from tests.simulation.plan import draw
from tests.simulation.pool import pool_of
from tests.simulation.report import annotated, described, document, summary
from tests.simulation.run import Outcome, run

DOCUMENT = REPO / "docs" / "reliability.md"

SECONDS = 300.0
"""Of faults in each world, unless told otherwise."""

TELL_EVERY_S = 10.0
"""Where there is no terminal for a progress bar."""

CHUNK = 4
"""Seeds that one process is given at a time."""


def run_seeds(seeds: Sequence[int], seconds: float, storm: bool) -> list[Outcome]:
    """Run these worlds, one after another."""
    be_quiet()
    found = []
    for seed in seeds:
        try:
            found.append(run(seed, seconds=seconds, storm=storm)[0])
        except Exception as error:
            raise RuntimeError(f"the simulation itself broke at seed {seed}") from error
    return found


def outcomes(
    seeds: Iterable[int], seconds: float, storm: bool, workers: int | None
) -> Iterator[Outcome]:
    """The outcome of each seed, in the order in which they come in."""
    todo = list(seeds)
    chunks = [todo[i : i + CHUNK] for i in range(0, len(todo), CHUNK)]
    with pool_of(min(workers or os.cpu_count() or 1, len(chunks))) as pool:
        waiting = {pool.submit(run_seeds, chunk, seconds, storm) for chunk in chunks}
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from future.result()
        finally:
            for future in waiting:
                future.cancel()


@dataclass(frozen=True, slots=True)
class Batch:
    """Seeds to run, each with so many seconds of faults, on so many processes (None: all cores).

    storm: as for a plan.
    """

    seeds: Sequence[int]
    seconds: float
    storm: bool = False
    workers: int | None = None

    def run(self, *, write_docs: bool = False) -> int:
        """Run them and say what they came to, and how to run a failed one again.

        Returns:
            0; 1 if a promise was broken.
        """
        console = Console(stderr=True)
        began = time.monotonic()
        told = began
        found: list[Outcome] = []
        columns = (
            TextColumn("simulating"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[elections]} elections, {task.fields[failed]} failed"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=len(self.seeds), elections=0, failed=0)
            for outcome in outcomes(self.seeds, self.seconds, self.storm, self.workers):
                found.append(outcome)
                bar.update(
                    task,
                    completed=len(found),
                    elections=sum(each.elections for each in found),
                    failed=sum(bool(each.violations) for each in found),
                )
                if outcome.violations:
                    _tell_failure(outcome, again(outcome.seed, self.seconds, self.storm))
                if not console.is_terminal and time.monotonic() - told >= TELL_EVERY_S:
                    told = time.monotonic()
                    failed = sum(bool(each.violations) for each in found)
                    console.print(f"{len(found)} of {len(self.seeds)} seeds, {failed} failed")
        took_s = time.monotonic() - began
        print(summary(found, took_s))
        if write_docs:
            text = DOCUMENT.read_text(encoding="utf-8")
            part = f"\n{document(found, took_s, self.seconds)}\n"
            DOCUMENT.write_text(replaced(text, "simulation", part), encoding="utf-8")
        return 1 if any(outcome.violations for outcome in found) else 0


def again(seed: int | str, seconds: float, storm: bool = False) -> str:
    """The command that runs that seed's world again, and writes its history."""
    odd = "" if seconds == SECONDS else f" --seconds {seconds:g}"
    return f'make simulate ARGS="--seed {seed}{odd}{" --storm" if storm else ""}"'


def file_name(seed: int, seconds: float, storm: bool = False) -> str:
    """What the history of that world is called: another one for each command of `again`."""
    odd = "" if seconds == SECONDS else f"-{seconds:g}s"
    return f"seed-{seed}{odd}{'-storm' if storm else ''}.txt"


def _tell_failure(outcome: Outcome, command: str) -> None:
    for violation in outcome.violations[:3]:
        print(f"seed {outcome.seed}: {violation}")
    print(f"  again, with its history: {command}")
    sys.stdout.flush()


def replay(seed: int, seconds: float, storm: bool, directory: Path) -> int:
    """Run a seed again, write its whole history to a file, and say where that is."""
    be_quiet()
    began = time.monotonic()
    outcome, history = run(seed, seconds=seconds, storm=storm)
    took_s = time.monotonic() - began
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / file_name(seed, seconds, storm)
    plan = draw(seed, KINDS, seconds=seconds, storm=storm)
    with file.open("w") as out:
        out.writelines(f"# {line}\n" for line in (again(seed, seconds, storm), *described(plan)))
        out.writelines(f"{line}\n" for line in annotated(history, outcome.violations))
    print(summary([outcome], took_s))
    for violation in outcome.violations:
        print(violation)
    print(f"history: {file} ({len(history.entries):,} lines, digest {outcome.digest[:16]})")
    return 1 if outcome.violations else 0
