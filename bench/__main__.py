"""`python -m bench`, `make bench ARGS=…`: measure on a real Consul."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agents import AgentError
from bench import console, failover, idle, polls
from bench.machine import load, this_machine
from bench.report import (
    console_text,
    failover_text,
    idle_text,
    measured,
    polls_text,
    to_json,
)
from coord.consul import ConsulError
from coord.election.timing import Timing, budget
from demo import REPO
from demo.fleet import NodeError
from demo.witness import WitnessError
from docs.generate import replaced
from get_consul import ObtainError, get_consul

DOCUMENT = REPO / "docs" / "performance.md"

OK, FAILED, OVERLAP, INTERRUPTED = 0, 1, 2, 130


_NOT_MEASURED = (
    *(AgentError, ConsulError, NodeError, ObtainError, WitnessError),
    *(TimeoutError, OSError),
)


def _positive(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r}: write a number from 1 to 10000")
    return int(text)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", type=Path, metavar="FILE", help="write every figure there, too")
    common.add_argument(
        "--write-docs", action="store_true", help="put the tables into docs/performance.md"
    )
    runs = argparse.ArgumentParser(add_help=False)
    runs.add_argument("--runs", type=_positive, default=10, help="of each fault (%(default)s)")
    seconds = argparse.ArgumentParser(add_help=False)
    seconds.add_argument(
        "--seconds", type=_positive, default=60, help="to measure for, each time (%(default)s)"
    )
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="what", metavar="failover | idle | console | polls | all")
    faults = [fault.value for fault in failover.Fault]
    command = commands.add_parser(
        "failover", parents=[common, runs], help="how long nobody works after a fault"
    )
    command.add_argument(
        "faults", nargs="*", metavar="fault", help=f"of {', '.join(faults)} (default: all)"
    )
    commands.add_parser("idle", parents=[common, seconds], help="what a node costs at rest")
    commands.add_parser(
        "console", parents=[common, seconds], help="what the console costs, and how soon it shows"
    )
    command = commands.add_parser(
        "polls", parents=[common, seconds], help="how punctual polls are, and what they cost"
    )
    command.add_argument(
        "--schedules", type=_positive, default=1000, help="one every 10 s (%(default)s)"
    )
    commands.add_parser("all", parents=[common, runs, seconds], help="all of it (the default)")
    known = {*commands.choices, "-h", "--help"}
    given = parser.parse_args(argv if argv and argv[0] in known else ["all", *argv])
    given.schedules = getattr(given, "schedules", 1000)
    given.faults = getattr(given, "faults", None) or faults
    unknown = [fault for fault in given.faults if fault not in faults]
    if unknown:
        parser.error(f"unknown fault {unknown[0]!r}: take of {', '.join(faults)}")
    return given


async def _failovers(
    directory: Path, consul: Path, faults: Sequence[str], count: int
) -> list[failover.Run]:
    runs: list[failover.Run] = []
    async with failover.running_fleet(directory, consul) as (fleet, witness):
        for fault in faults:
            for number in range(1, count + 1):
                run = await failover.measure(fleet, witness, failover.Fault(fault))
                runs.append(run)
                _say(
                    f"{fault} {number}/{count}: {run.old} -> {run.new}, term {run.term}, "
                    f"{run.gap_ms:.0f} ms; {run.old} {run.became}"
                    f"{'; TWO AT WORK AT ONCE' if run.overlapped else ''}"
                )
    return runs


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def _measure(given: argparse.Namespace, command: str, directory: Path) -> int:
    consul = Path(get_consul())
    machine, limits = this_machine(consul), budget(Timing())
    parts: dict[str, str] = {}
    runs: list[failover.Run] = []
    at_rest: idle.Idle | None = None
    print(machine.line(), end="\n\n", flush=True)
    if given.what in ("failover", "all"):
        runs = await _failovers(directory / "failover", consul, given.faults, given.runs)
        parts["failover"] = f"{failover_text(runs, limits)}\n\n{measured(machine, command, load())}"
        print(parts["failover"], end="\n\n", flush=True)
    if given.what in ("idle", "all"):
        _say(f"idle: twice {given.seconds} s, with nodes and without")
        at_rest = await idle.measure(directory / "idle", consul, given.seconds)
        parts["idle"] = f"{idle_text(at_rest)}\n\n{measured(machine, command, load())}"
        print(parts["idle"], end="\n\n", flush=True)
    costs: tuple[console.ConsoleCost, ...] = ()
    if given.what in ("console", "all"):
        _say(f"console: {console.SMALL} nodes, then {console.LARGE}, {given.seconds} s each")
        costs = await console.measure(directory / "console", consul, given.seconds)
        parts["console"] = f"{console_text(costs)}\n\n{measured(machine, command, load())}"
        print(parts["console"], end="\n\n", flush=True)
    of_polls: tuple[polls.PollCost, ...] = ()
    if given.what in ("polls", "all"):
        _say(f"polls: {given.schedules} schedules, twice {given.seconds} s")
        of_polls = await polls.measure(
            directory / "polls", consul, given.seconds, schedules=given.schedules
        )
        parts["polls"] = f"{polls_text(of_polls)}\n\n{measured(machine, command, load())}"
        print(parts["polls"], end="\n\n", flush=True)
    if given.json:
        figures = to_json(machine, command, limits, runs, at_rest, costs, of_polls)
        given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if given.write_docs:
        text = DOCUMENT.read_text(encoding="utf-8")
        for name, part in parts.items():
            text = replaced(text, name, f"\n{part}\n")
        DOCUMENT.write_text(text, encoding="utf-8")
    return OVERLAP if any(run.overlapped for run in runs) else OK


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what was asked for.

    Returns:
        0; 1 if it could not be measured, 2 if two nodes ever worked at once.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    given = arguments(words)
    asked = " ".join(words)
    command = "make bench" + (f' ARGS="{asked}"' if words else "")
    directory = Path(tempfile.mkdtemp(prefix="coord-bench-"))
    try:
        status = asyncio.run(_measure(given, command, directory))
    except _NOT_MEASURED as error:
        _say(f"bench: {error}\nbench: the logs are in {directory}")
        return FAILED
    except KeyboardInterrupt:
        status = INTERRUPTED
    if status == OVERLAP:
        _say(f"bench: TWO NODES WORKED AT ONCE; the logs are in {directory}")
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
