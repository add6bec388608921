"""Every interleaving of two and of three candidates, to a depth.

`make exhaustive` makes the searches and prints a table.

From each of the moments of `election_worlds`, whatever may come next is taken, in every order, to
the given number of events (`election_events` says what is one), with so many faults in a history
at most; in every state the promises are checked. A search is complete or it is broken: there is
no bound but the depth.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

# As pytest does by its settings: this runs without it, too.
sys.path.append(str(Path(__file__).parents[2] / "support"))

from election_events import FAULTS
from election_space import Found, Space
from election_worlds import WORLDS

from bench.report import Row, table
from coord.election.machine import Election
from docs.generate import REPO, replaced
from tests.simulation.numbers import natural, positive
from tests.simulation.pool import pool_of

DOCUMENT = REPO / "docs" / "reliability.md"

DEPTH = 12
"""How many events deep the searches go, unless told otherwise."""

AT_LEADERS = ("expire", "freeze", "delete", "forget")
"""The faults that three candidates are searched with: a session that is in use ends, a process
stands still, a key is deleted or both are, a lock-delay is lost. The others are left to two."""


AT_ONCE_HANDED_OVER = ("kill", "expire")
"""Where the key was handed over and the session that led is about to go: what could keep it."""


AT_ONCE_GONE = ("freeze", "delete", "forget", "late")
"""The faults that may come on top where the leader's session is gone already."""


@dataclass(frozen=True, slots=True)
class Search:
    """One search to be made: from which moment, of how many candidates, with which faults."""

    world: str
    candidates: int
    depth: int = DEPTH
    faults: int = 1
    """How many of them there are in one history at most."""
    kinds: tuple[str, ...] = FAULTS


@dataclass(frozen=True, slots=True)
class Result:
    """What a search came to."""

    search: Search
    found: Found
    seconds: float


def searches(depth: int = DEPTH, candidates: Collection[int] = (2, 3)) -> list[Search]:
    """Those that the test makes, the longest first.

    For two candidates the fault is any, but where one has befallen the leader already, or another
    is about to lead: there it is one of a few, or none. For three it is one of a few where nothing
    has happened yet, and none elsewhere. The interleavings are all there, always. The first attempt
    ever is left to two, and with a fault goes two events less deep: three come to eleven million
    states from there, and two with a fault to nearly five. Where there is a fault at most, there
    are also all histories without one.
    """
    made = [
        Search("first attempt", 2, max(1, depth - 2), 1, ("delete",)),
        Search("invalidated", 2, depth, 1, AT_ONCE_GONE),
        Search("handed over", 3, depth, 0),
        Search("confirmed", 3, depth, 1, AT_LEADERS),
        Search("first start", 2, depth, 1),
        Search("confirmed", 2, depth, 1),
        Search("asked", 3, depth, 0),
        Search("first start", 3, depth, 0),
        Search("first attempt", 2, depth, 0),
        Search("handed over", 2, depth, 1, AT_ONCE_HANDED_OVER),
        Search("asked", 2, depth, 0),
        Search("invalidated", 3, depth, 0),
    ]
    return [each for each in made if each.candidates in candidates]


def run(search: Search, election: type[Election] = Election) -> Result:
    """Make one search. It makes millions of objects and drops none: no garbage is collected."""
    space = Space(WORLDS[search.world](search.candidates, election), search.kinds)
    began = time.perf_counter()
    collects = gc.isenabled()
    gc.disable()
    try:
        found = space.search(search.depth, search.faults)
    finally:
        if collects:
            gc.enable()
    return Result(search, found, time.perf_counter() - began)


def run_all(
    wanted: Sequence[Search],
    *,
    workers: int = 2,
    progress: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Make these searches, so many at a time; in the order in which they were asked for."""
    results: dict[Search, Result] = {}
    # A worker serves one search, so that its memory is given back.
    with pool_of(workers, tasks_each=1) as pool:
        for future in as_completed([pool.submit(run, search) for search in wanted]):
            result = future.result()
            results[result.search] = result
            if progress is not None:
                progress(result)
    return [results[search] for search in wanted]


# -- telling -----------------------------------------------------------------------------------

_HEAD = (
    f"{'candidates':>10}  {'from':<13} {'faults':>6} {'depth':>5} "
    f"{'visited':>11} {'distinct':>11} {'another leads in':>16} {'s':>7}  overlap"
)


def line_of(result: Result) -> str:
    """One line of the table."""
    search, found = result.search, result.found
    kinds = "" if not search.faults or search.kinds == FAULTS else f" of {len(search.kinds)}"
    return (
        f"{search.candidates:>10}  {search.world:<13} {f'{search.faults}{kinds}':>6} "
        f"{found.depth:>5} {found.visits:>11,} {found.states:>11,} {found.changed:>16,} "
        f"{result.seconds:>7.1f}  {found.broken or 'none'}"
    )


def totals(results: Sequence[Result]) -> list[str]:
    """One line for each number of candidates."""
    lines = []
    for number in sorted({result.search.candidates for result in results}):
        of = [result.found for result in results if result.search.candidates == number]
        lines.append(
            f"{number} candidates: {sum(each.visits for each in of):,} states visited, "
            f"{sum(each.states for each in of):,} distinct, to a depth of at least "
            f"{min(each.depth for each in of)} events in {len(of)} searches; "
            f"{sum(each.broken is not None for each in of)} broken promises"
        )
    return lines


def shallower(results: Sequence[Result], depth: int) -> list[str]:
    """One line for each search that goes less deep than asked for."""
    return [
        f"{result.search.candidates} candidates, {result.search.world}, with a fault: "
        f"{result.search.depth} events deep, not {depth}: with so many states it goes two less"
        for result in results
        if result.search.depth < depth
    ]


def document(results: Sequence[Result], depth: int) -> str:
    """What the searches came to, for docs/reliability.md."""
    rows: list[Row] = [
        (
            *("candidates", "from", "events", "faults", "of which kinds", "visited", "distinct"),
            *("another leads in", "overlaps"),
        )
    ]
    order = list(WORLDS)
    for result in sorted(
        results, key=lambda each: (each.search.candidates, order.index(each.search.world))
    ):
        search, found = result.search, result.found
        kinds = "any" if set(search.kinds) == set(FAULTS) else ", ".join(search.kinds)
        rows.append(
            (
                str(search.candidates),
                search.world,
                str(found.depth),
                str(search.faults),
                kinds if search.faults else "",
                f"{found.visits:,}",
                f"{found.states:,}",
                f"{found.changed:,}",
                "none" if found.broken is None else found.broken,
            )
        )
    command = "make exhaustive ARGS=--write-docs"
    if depth != DEPTH:
        command = f'make exhaustive ARGS="--depth {depth} --write-docs"'
    return "\n\n".join(
        (table(rows), *(f"{line}." for line in totals(results)), f"Written by `{command}`.")
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its status is 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="make exhaustive", usage='make exhaustive ARGS="OPTIONS"')
    parser.add_argument(
        "--depth",
        type=positive,
        default=DEPTH,
        help="events (default 12; the search `first attempt` with a fault goes two less deep)",
    )
    parser.add_argument("--candidates", type=positive, help="2 or 3 or more (default: 2 and 3)")
    parser.add_argument("--faults", type=natural, help="in one history, of all kinds; 0 to 3")
    parser.add_argument("--world", choices=list(WORLDS), help="begin there only")
    parser.add_argument("--workers", type=positive, default=2, help="processes (default 2)")
    parser.add_argument("--json", type=Path, help="write the results there as well")
    parser.add_argument(
        "--write-docs", action="store_true", help="put the table into docs/reliability.md"
    )
    told = parser.parse_args(arguments)
    if told.write_docs and not (told.candidates is told.faults is told.world is None):
        parser.error("--write-docs goes with all searches, as they are")
    if told.candidates == 1:
        parser.error("--candidates 1: take 2 or more")
    numbers = (2, 3) if told.candidates is None else (told.candidates,)
    wanted = searches(told.depth, numbers)
    if told.faults is not None or not wanted:
        faults = 1 if told.faults is None else told.faults
        wanted = [Search(w, number, told.depth, faults) for number in numbers for w in WORLDS]
    wanted = [each for each in wanted if told.world in (None, each.world)]
    print(_HEAD, flush=True)
    results = run_all(
        wanted, workers=told.workers, progress=lambda each: print(line_of(each), flush=True)
    )
    print(*totals(results), *shallower(results, told.depth), sep="\n")
    for result in results:
        if result.found.broken is not None:
            print(f"\n{line_of(result)}", *result.found.path, sep="\n  ")
    if told.write_docs:
        text = DOCUMENT.read_text(encoding="utf-8")
        part = f"\n{document(results, told.depth)}\n"
        DOCUMENT.write_text(replaced(text, "exhaustive", part), encoding="utf-8")
    if told.json is not None:
        told.json.write_text(json.dumps([asdict(each) for each in results], indent=1) + "\n")
    return 1 if any(each.found.broken for each in results) else 0


if __name__ == "__main__":
    raise SystemExit(main())
