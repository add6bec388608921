"""Every interleaving of two and of three candidates to a depth of twelve events: nothing breaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from election_events import FAULTS
from election_plain import briefly, plainly
from election_planted import PLANTED
from election_worlds import WORLDS

from coord.election.machine import Election
from tests.simulation.pure.exhaustive import (
    DEPTH,
    Search,
    line_of,
    main,
    run,
    run_all,
    searches,
    totals,
)


@pytest.mark.timeout(900)
def test_no_interleaving_to_that_depth_breaks_a_promise() -> None:
    results = run_all(searches(), workers=2)
    print("", *map(line_of, results), *totals(results), sep="\n")
    for result in results:
        found = result.found
        assert found.broken is None, [line_of(result), *found.path]
        # All levels are there, and each is what came of the whole of the one before.
        assert len(found.by_depth) == result.search.depth + 1 >= DEPTH - 1
        assert sum(found.by_depth) == found.states
        assert all(found.by_depth)
    for candidates in (2, 3):
        of = [each for each in results if each.search.candidates == candidates]
        assert sum(each.found.changed for each in of) > 1000, "the leader changes in many of them"
        assert {each.search.world for each in of} >= set(WORLDS) - {"first attempt"}


FOUND_BY = {
    "no quarantine": Search("invalidated", 2, DEPTH, 1, ("forget",)),
    "lease from the reply": Search("invalidated", 2, DEPTH, 1, ("late",)),
    "any vacancy": Search("first attempt", 2, DEPTH - 2, 1, ("delete",)),
    "release before stop": Search("confirmed", 2, DEPTH, 1, ("down",)),
    "trust across a deletion": Search("confirmed", 3, DEPTH, 1, ("delete",)),
    "a session for two terms": Search("handed over", 2, DEPTH, 1, ("kill", "expire")),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_the_searches_for_promises_include_the_one_that_finds_it(planted: str) -> None:
    """What finds planted faults must be what is looked through for real ones."""
    finds = FOUND_BY[planted]
    assert any(
        (made.world, made.candidates) == (finds.world, finds.candidates)
        and made.depth >= finds.depth
        and made.faults >= finds.faults
        and set(made.kinds) >= set(finds.kinds)
        for made in searches()
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("planted", PLANTED)
def test_a_fault_planted_into_the_machine_is_found(planted: str) -> None:
    found = run(FOUND_BY[planted], PLANTED[planted]).found
    print(found.broken, *found.path, sep="\n  ")
    assert found.broken is not None
    assert 0 < len(found.path) <= DEPTH, "it is told what led there"


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(
    ("candidates", "depth", "faults", "merge"),
    [
        (2, 4, 0, False),
        (2, 2, 1, False),
        (3, 3, 0, False),
        (2, 6, 0, True),
        (2, 4, 1, True),
        (2, 3, 2, True),
        (3, 4, 0, True),
        (3, 3, 1, True),
    ],
)
def test_the_search_comes_to_what_one_without_short_cuts_comes_to(
    world: str, candidates: int, depth: int, faults: int, merge: bool
) -> None:
    """`merge` takes states of equal keys for one another; without it nothing is left to chance."""
    begin = WORLDS[world]
    plain = plainly(begin(candidates, Election), depth, faults, merge=merge)
    brief = briefly(begin(candidates, Election), depth, faults)
    assert plain == brief
    assert len(plain) > depth


def test_three_candidates_are_searched_with_all_that_befalls_a_leader() -> None:
    kinds = {kind for each in searches() if each.candidates == 3 for kind in each.kinds}
    assert kinds <= set(FAULTS)
    assert {"expire", "freeze", "delete"} <= kinds


def test_the_command_prints_a_table_and_writes_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = tmp_path / "found.json"
    arguments = ["--depth", "4", "--candidates", "3", "--world", "asked", "--json", str(told)]
    assert main(arguments) == 0
    assert "3 candidates: " in capsys.readouterr().out
    [result] = json.loads(told.read_text())
    assert result["search"]["candidates"] == 3
    assert result["found"]["depth"] == 4
    assert result["found"]["broken"] is None
    assert result["found"]["states"] == sum(result["found"]["by_depth"])


def test_a_search_that_goes_less_deep_than_asked_for_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--depth", "4", "--candidates", "2", "--world", "first attempt"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line for line in told if "not 4" in line] == [
        "2 candidates, first attempt, with a fault: 2 events deep, not 4: with so many states it "
        "goes two less"
    ]
