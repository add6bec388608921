"""`make chaos`: hurt a real cluster, and say what came of it.

Its options go into ARGS: `make chaos ARGS="--scenario freeze --repeat 5"`. Without a scenario or a
replay it is the random mixture for half an hour, or `MINUTES=N`; with one it is the mixture
afterwards, if MINUTES is given.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from agents import AgentError
from bench.machine import load, this_machine
from demo import REPO
from demo.fleet import NodeError
from demo.witness import WitnessError
from docs.generate import replaced
from get_consul import ObtainError, get_consul
from tests.chaos import timeline
from tests.chaos.conduct import conduct
from tests.chaos.mixture import MIXTURE, draw_seed, seeds
from tests.chaos.network import NetworkError, missing
from tests.chaos.report import again, line, table, to_json, verdict
from tests.chaos.runs import Run, grouped
from tests.chaos.scenarios import SCENARIOS, Scenario
from tests.chaos.settled import settle
from tests.chaos.stage import Stage, StageError
from tests.chaos.watchers import Watchers
from tests.simulation.numbers import natural, positive

OK, FAILED, INTERRUPTED = 0, 1, 130
MIXTURE_MINUTES = 30.0
DOCUMENT = REPO / "docs" / "reliability.md"

Item = tuple[Scenario, str, int]
"""A scenario, the seed for what is drawn by lot in it, and how often it was done before."""


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="make chaos",
        usage='make chaos MINUTES=N ARGS="OPTIONS"',
        description=__doc__,
        epilog="\n".join(["scenarios:", *(f"  {s.name:<14}{s.title}" for s in SCENARIOS.values())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--scenario",
        action="append",
        default=[],
        choices=[*SCENARIOS, "all"],
        metavar="NAME",
        help="do this one, or `all`, one after the other; may be given again",
    )
    parser.add_argument("--repeat", type=int, default=1, help="so often each (%(default)s)")
    parser.add_argument(
        "--minutes",
        type=float,
        help=f"then the random mixture; as MINUTES=N ({MIXTURE_MINUTES:g} if nothing else is done)",
    )
    parser.add_argument("--seed", type=natural, help="what is drawn by lot follows from it")
    parser.add_argument(
        "--replay",
        action="append",
        type=_round,
        default=[],
        metavar="SEED:N",
        help="one round of the mixture again",
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument(
        "--write-docs", action="store_true", help="put the table into docs/reliability.md"
    )
    given = parser.parse_args(argv)
    alone = not (given.scenario or given.replay)
    if given.minutes is None:
        given.minutes = MIXTURE_MINUTES if alone else 0.0
    if not (math.isfinite(given.minutes) and given.minutes >= 0):
        parser.error(f"MINUTES={given.minutes:g}: give a number of minutes")
    if alone and not given.minutes:
        parser.error('MINUTES=0: name what to do instead, as in ARGS="--scenario freeze"')
    if given.repeat < 1:
        parser.error(f"--repeat {given.repeat}: give at least 1")
    if given.write_docs and "all" not in given.scenario:
        parser.error("--write-docs goes with --scenario all: the page has a row for each")
    return given


def _round(text: str) -> str:
    seed, colon, number = text.partition(":")
    try:
        natural(seed), positive(number)
    except argparse.ArgumentTypeError:
        colon = ""
    if not colon:
        raise argparse.ArgumentTypeError(f"{text!r} is no round: give SEED:N, as in 17:3")
    return text


def command(given: argparse.Namespace, seed: int) -> str:
    """The command that does the same again: what is drawn by lot comes from the seed."""
    words = [f"--scenario {name}" for name in given.scenario]
    words += [f"--replay {replay}" for replay in given.replay]
    words += [f"--repeat {given.repeat}"] * (given.repeat > 1)
    words.append(f"--seed {seed}")
    minutes = f" MINUTES={given.minutes:g}" if given.minutes else ""
    return f'make chaos{minutes} ARGS="{" ".join(words)}"'


def measured(load_after: float) -> str:
    """On what it was measured."""
    machine = this_machine(Path(get_consul()))
    return f"Measured on {machine.line()}; load {load_after:.1f} after."


def programme(given: argparse.Namespace, seed: int, minutes: float) -> Iterator[Item]:
    """What is done, in order; the mixture until its time is over."""
    names = list(SCENARIOS) if "all" in given.scenario else given.scenario
    for repeat in range(given.repeat):
        for name in names:
            yield SCENARIOS[name], f"{seed}-{name}-{repeat}", repeat
    for replay in given.replay:
        yield MIXTURE, replay, 0
    end = time.monotonic() + 60 * minutes
    for number, own in enumerate(seeds(seed)):
        if time.monotonic() >= end:
            return
        yield MIXTURE, own, number


class Screen:
    """One line for each thing done; on a terminal, what is waited for on a line of its own."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._live = sys.stdout.isatty()

    def tell(self, text: str) -> None:
        """A line that stays."""
        clear = "\r\033[K" if self._live else ""
        print(f"{clear}{time.monotonic() - self._began:7.1f} s  {text}", flush=True)

    def status(self, text: str) -> None:
        """What is going on just now; not kept."""
        if self._live:
            print(f"\r\033[K          {text[:90]}", end="", flush=True)


async def _all(given: argparse.Namespace, seed: int, directory: Path, runs: list[Run]) -> bool:
    """Do it all; whether all of it held."""
    screen, began = Screen(), time.monotonic()
    screen.tell(f"seed {seed}; logs in {directory}")
    held = True
    stage = Stage(directory, seed=seed)
    stage.on_note = lambda what: screen.tell(f"    {what}")
    async with stage, Watchers.running(stage) as watchers:
        await settle(stage, say=screen.status)
        for scenario, own_seed, repeat in programme(given, seed, given.minutes):
            screen.tell(f"{scenario.name} {own_seed}: {scenario.title}")
            run = await conduct(
                stage, watchers, scenario, own_seed, repeat=repeat, say=screen.status
            )
            runs.append(run)
            screen.tell(f"  {line(run)}")
            if not run.held:
                held = False
                kept = timeline.keep(stage, run, await stage.witness.report())
                for problem in grouped(run.problems):
                    screen.tell(f"  PROBLEM {problem}")
                screen.tell(f"  its time line and the nodes' logs are kept in {kept}")
                screen.tell(f"  again: {again(run)}")
            if given.report:
                figures = to_json(seed, runs, time.monotonic() - began)
                given.report.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return held


async def _until_told(
    given: argparse.Namespace, seed: int, directory: Path, runs: list[Run]
) -> bool:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await _all(given, seed, directory, runs)


def main(argv: Sequence[str] | None = None) -> int:
    """Do what was asked for.

    Returns:
        0; 1 if anything did not hold, or the cluster could not be had.
    """
    given = arguments(sys.argv[1:] if argv is None else argv)
    lacking = missing()
    if lacking is not None:
        print(f"chaos: {lacking}", file=sys.stderr)
        return FAILED
    seed = draw_seed() if given.seed is None else given.seed
    directory = Path(tempfile.mkdtemp(prefix="coord-chaos-"))
    runs: list[Run] = []
    status = FAILED
    try:
        status = OK if asyncio.run(_until_told(given, seed, directory, runs)) else FAILED
    except (
        AgentError,
        NetworkError,
        NodeError,
        ObtainError,
        OSError,
        StageError,
        WitnessError,
    ) as error:
        print(f"chaos: {error}", file=sys.stderr)
    except (KeyboardInterrupt, asyncio.CancelledError):
        status = INTERRUPTED
    if runs:
        came_to = table(to_json(seed, runs, 0.0))
        print(f"\n{came_to}\n")
        if given.write_docs and status == OK:
            text = DOCUMENT.read_text(encoding="utf-8")
            part = f"\n{came_to}\n\n{measured(load())} `{command(given, seed)}`\n"
            DOCUMENT.write_text(replaced(text, "chaos", part), encoding="utf-8")
    if status == FAILED:
        print(
            f"chaos: NOT ALL OF IT HELD; all logs, Consul's too, are in {directory}",
            file=sys.stderr,
        )
    elif status == OK:
        print(verdict(runs))
        shutil.rmtree(directory, ignore_errors=True)
    print(f"again: {command(given, seed)}")
    return status


if __name__ == "__main__":
    sys.exit(main())
