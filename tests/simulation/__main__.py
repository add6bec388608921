"""`make simulate`: run worlds from seeds, for as long as wanted, or one again with its history."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.simulation.batch import SECONDS, Batch, replay
from tests.simulation.numbers import natural, positive
from tests.simulation.planted import find_and_keep

INTERRUPTED = 130
LONGEST_S = 1_000_000.0
HISTORIES = Path(".cache/simulation")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 if no promise was broken."""
    parser = argparse.ArgumentParser(
        prog="make simulate",
        usage='make simulate SEEDS=N ARGS="OPTIONS"',
        description=__doc__,
    )
    parser.add_argument("--seeds", type=positive, default=200, help="default: %(default)s")
    parser.add_argument("--first", type=natural, default=0, metavar="SEED", help="the first seed")
    parser.add_argument("--seed", type=natural, help="this one again, with its history")
    parser.add_argument("--seconds", type=_seconds, default=SECONDS, help="of faults, in each")
    parser.add_argument(
        "--storm",
        action="store_true",
        help="as many elections of whole nodes as can be had (not `make storm`, the pure machine)",
    )
    parser.add_argument(
        "--write-docs", action="store_true", help="put what it comes to into docs/reliability.md"
    )
    parser.add_argument(
        "--planted", action="store_true", help="look for each of the deliberate faults instead"
    )
    parser.add_argument("--workers", type=positive, help="processes; default: one for each core")
    given = parser.parse_args(arguments)
    if given.seed is not None and given.write_docs:
        parser.error("--write-docs goes with many seeds, not with --seed")
    if given.planted:
        return find_and_keep(range(given.first, given.first + given.seeds), given.workers)
    if given.seed is not None:
        return replay(given.seed, given.seconds, given.storm, HISTORIES)
    seeds = range(given.first, given.first + given.seeds)
    batch = Batch(seeds, given.seconds, given.storm, given.workers)
    try:
        return batch.run(write_docs=given.write_docs)
    except KeyboardInterrupt:
        print("stopped before all seeds were run", file=sys.stderr)
        return INTERRUPTED


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds up to {LONGEST_S:g}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
