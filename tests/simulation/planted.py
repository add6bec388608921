"""Where the deliberate faults are found: the first seed of each, and the rule that told.

`make simulate ARGS=--planted` looks for all of them and keeps what it finds in ``planted.json``,
which the page and the tests read: the tests try the seed that is known first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from coord.testing import be_quiet
from tests.simulation.mutants import FOUND_BY, MUTANTS
from tests.simulation.pool import pool_of
from tests.simulation.run import run

RECORD = Path(__file__).with_name("planted.json")


@dataclass(frozen=True, slots=True)
class Finding:
    """Which seed showed a deliberate fault, and the rule that was broken there."""

    seed: int
    rule: str


def known() -> dict[str, Finding]:
    """What was found when it was last looked for, by the fault's name."""
    found = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    return {name: Finding(**each) for name, each in found.items()}


def keep(found: Mapping[str, Finding]) -> None:
    """Write down what was found."""
    text = json.dumps({name: asdict(found[name]) for name in MUTANTS if name in found}, indent=1)
    RECORD.write_text(f"{text}\n", encoding="utf-8")


def find(name: str, seeds: Iterable[int]) -> Finding | None:
    """The first of these seeds that shows that fault; None: none does.

    A seed that breaks such a rule without the fault shows nothing of it.
    """
    be_quiet()
    for seed in seeds:
        with MUTANTS[name]():
            rule = _broken(seed, name)
        if rule is not None and _broken(seed, name) is None:
            return Finding(seed, rule)
    return None


def _broken(seed: int, name: str) -> str | None:
    """The first rule that tells of that fault and is broken in that seed's world."""
    outcome, _ = run(seed)
    rules = (violation.rule for violation in outcome.violations)
    return next((rule for rule in rules if rule in FOUND_BY[name]), None)


def find_all(seeds: range, workers: int | None = None) -> Iterator[tuple[str, Finding | None]]:
    """Each fault and where it was found, as it is."""
    with pool_of(workers) as pool:
        jobs = {pool.submit(find, name, seeds): name for name in MUTANTS}
        for job in as_completed(jobs):
            yield jobs[job], job.result()


def kept(before: Finding | None, found: Finding | None, seeds: range) -> Finding | None:
    """What to write down of a fault after those seeds were tried.

    The first seed that is known to show it: what was known stays where it was not tried again.
    """
    if before is None or before.seed in seeds:
        return found
    return min((each for each in (before, found) if each), key=lambda each: each.seed)


def find_and_keep(seeds: range, workers: int | None = None) -> int:
    """Look for all of them, tell of each, and keep it.

    Returns:
        0; 1 if one was not found.
    """
    found = known()
    missed = []
    for name, finding in find_all(seeds, workers):
        stays = kept(found.pop(name, None), finding, seeds)
        if stays is not None:
            found[name] = stays
        known_too = f"; that of seed {stays.seed} is kept" if stays and stays != finding else ""
        if finding is None:
            missed.append(name)
            print(f"{name}: NOT FOUND in {len(seeds)} seeds{known_too}", flush=True)
        else:
            print(f"{name}: seed {finding.seed}, {finding.rule}{known_too}", flush=True)
        keep(found)
    print(f"not found: {', '.join(missed) or 'none'}; `make docs` puts it into the page")
    return 1 if missed else 0
