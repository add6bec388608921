"""A great many elections of the pure machine.

`make storm` makes them and tells what came of it.

Each seed is one history of a `Storm`; an election is a term taken and its work begun. The promises
are checked in each step, and at the end of each history somebody must lead. The first seed that
breaks one is told with what led there; it breaks it again, and alone, with `--seed`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import randbelow

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

# As pytest does by its settings: this runs without it, too.
sys.path.append(str(Path(__file__).parents[2] / "support"))

from election_model import Action
from election_storm import Storm

from coord.election.machine import Election
from tests.simulation.numbers import natural, positive
from tests.simulation.pool import pool_of

STEPS = 8_000
"""How long a history is, before it must come to rest."""

TOLD = 60
"""How many of the last actions are told where a promise was broken."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that a history broke."""

    seed: int
    what: str
    actions: tuple[str, ...]
    """The last of what happened, with the true time in seconds."""


@dataclass(frozen=True, slots=True)
class PureReport:
    """What a run came to."""

    elections: int = 0
    """Terms taken and their work begun."""
    walks: int = 0
    """Histories, of seeds that follow each other."""
    events: int = 0
    simulated_s: float = 0.0
    real_s: float = 0.0
    violation: Violation | None = None

    def __add__(self, other: PureReport) -> PureReport:
        return PureReport(
            self.elections + other.elections,
            self.walks + other.walks,
            self.events + other.events,
            self.simulated_s + other.simulated_s,
            max(self.real_s, other.real_s),
            self.violation or other.violation,
        )


def walk(seed: int, election: type[Election] = Election, steps: int = STEPS) -> PureReport:
    """One history."""
    storm = Storm(seed, election)
    violation = None
    try:
        storm.go(steps)
    except AssertionError as error:
        violation = Violation(seed, str(error), _last_actions(seed, election, steps))
    return PureReport(storm.elections, 1, storm.events, float(storm.world.now), 0.0, violation)


def _last_actions(seed: int, election: type[Election], steps: int) -> tuple[str, ...]:
    """The same history again, listened to."""
    told: list[str] = []

    def listen(now: float, action: Action) -> None:
        told.append(f"{now:10.3f} {' '.join(map(str, action))}")
        del told[:-TOLD]

    try:
        Storm(seed, election, listen).go(steps)
    except AssertionError:
        return tuple(told)
    raise RuntimeError(f"seed {seed} is not the same history every time")


def run_pure(
    elections: int,
    *,
    first_seed: int,
    workers: int = 2,
    progress: Callable[[int], None] | None = None,
) -> PureReport:
    """Walk through the seeds from `first_seed` on until there were so many elections.

    Stops at the first violation. `progress` is told how many elections there were so far.
    """
    began = time.perf_counter()
    report = PureReport()
    with pool_of(workers) as pool:
        seed, under_way = first_seed, set[Future[PureReport]]()
        while report.violation is None and report.elections < elections:
            while len(under_way) < 2 * workers:
                under_way.add(pool.submit(walk, seed))
                seed += 1
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            report = sum((future.result() for future in done), report)
            if progress is not None:
                progress(report.elections)
        for future in under_way:
            future.cancel()
    return replace(report, real_s=time.perf_counter() - began)


def lines_of(report: PureReport, first_seed: int) -> list[str]:
    """What is told of a run."""
    lines = [
        f"{report.elections:,} elections in {report.walks:,} histories from seed {first_seed} on, "
        f"{report.events:,} events, {report.simulated_s:,.0f} s of their time in "
        f"{report.real_s:.1f} s: {report.elections / max(report.real_s, 1e-9):,.0f} a second",
    ]
    broken = report.violation
    if broken is None:
        return [*lines, "no promise was broken"]
    again = f'make storm ARGS="--elections 1 --workers 1 --seed {broken.seed}"'
    return [*lines, f"BROKEN: {broken.what}", *broken.actions, f"again: {again}"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its status is 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="make storm", usage='make storm ARGS="OPTIONS"')
    parser.add_argument("--elections", type=positive, default=1_000_000)
    parser.add_argument("--workers", type=positive, default=2, help="processes (default 2)")
    parser.add_argument("--seed", type=natural, help="the first seed (default: any)")
    told = parser.parse_args(arguments)
    first_seed = randbelow(10**9) if told.seed is None else told.seed
    print(f"seed {first_seed}", flush=True)
    bar = Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown: AbstractContextManager[object] = bar if sys.stdout.isatty() else nullcontext()
    with shown:
        task = bar.add_task("elections", total=told.elections)
        report = run_pure(
            told.elections,
            first_seed=first_seed,
            workers=told.workers,
            progress=lambda done: bar.update(task, completed=min(done, told.elections)),
        )
    print(*lines_of(report, first_seed), sep="\n")
    return 1 if report.violation is not None else 0


if __name__ == "__main__":
    raise SystemExit(main())
