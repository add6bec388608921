"""`make simulate`: run worlds from seeds, for as long as wanted, or one again with its history."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.simulation.batch import Batch, replay

HISTORIES = Path(".cache/simulation")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 if no promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=_positive, default=200, help="default: %(default)s")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first seed")
    parser.add_argument("--seed", type=int, help="run this one seed again, and show its history")
    parser.add_argument("--seconds", type=float, default=300.0, help="of faults, in each world")
    parser.add_argument("--storm", action="store_true", help="as many elections as can be had")
    parser.add_argument(
        "--write-docs", action="store_true", help="put what it comes to into docs/reliability.md"
    )
    parser.add_argument("--workers", type=_positive, help="processes; default: one for each core")
    given = parser.parse_args(arguments)
    if given.seed is not None:
        return replay(given.seed, given.seconds, given.storm, HISTORIES)
    seeds = range(given.first, given.first + given.seeds)
    batch = Batch(seeds, given.seconds, given.storm, given.workers)
    return batch.run(write_docs=given.write_docs)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
