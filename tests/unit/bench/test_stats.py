"""What measurements come to, in numbers and in tables."""

from __future__ import annotations

import pytest

from bench.failover import Fault, Run
from bench.report import failover_text, table
from bench.stats import summarise
from coord.election.timing import Timing, budget


def run(fault: Fault, gap_ms: float, *, stale: int = 0, doubles: int = 0) -> Run:
    return Run(
        fault=fault,
        old="core-1",
        new="core-2",
        term=2,
        gap_ms=gap_ms,
        silence_ms=gap_ms + 5,
        phases={"first": gap_ms - 10, "second": 10.0},
        became="ended with 0",
        stale=stale,
        doubles=doubles,
        lost=0,
    )


def test_a_few_measurements_have_no_99th_percentile() -> None:
    found = summarise([3.0, 1.0, 10.0, 2.0])
    assert (found.n, found.median, found.worst, found.best) == (4, 2.5, 10.0, 1.0)
    assert found.p99 is None


@pytest.mark.parametrize(("n", "p99"), [(99, None), (100, 99.0), (101, 100.0), (200, 198.0)])
def test_the_99th_percentile_is_a_measurement(n: int, p99: float | None) -> None:
    assert summarise([float(value) for value in range(n, 0, -1)]).p99 == p99


def test_nothing_cannot_be_summarised() -> None:
    with pytest.raises(ValueError, match="nothing"):
        summarise([])


@pytest.mark.parametrize(("stale", "doubles"), [(1, 0), (0, 1)])
def test_a_run_with_stale_or_double_work_overlapped(stale: int, doubles: int) -> None:
    assert run(Fault.CLEAN, 50, stale=stale, doubles=doubles).overlapped
    assert not run(Fault.CLEAN, 50).overlapped


def test_the_budget_stands_beside_what_was_measured() -> None:
    limits = budget(Timing())
    text = failover_text([run(Fault.SIGKILL, 4000), run(Fault.SIGKILL, 5000)], limits)
    row = next(line for line in text.splitlines() if line.startswith("| SIGKILL"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["SIGKILL", "2", "4500", "n < 100", "5000", "4000", f"{limits.kill * 1000:.0f}"]


def test_every_line_of_a_table_is_as_wide() -> None:
    lines = table([("a", "n"), ("longer", "1234")]).splitlines()
    assert lines == ["| a      |    n |", "| ------ | ---: |", "| longer | 1234 |"]
    assert table([("a", "n"), ("b", "1")]).splitlines()[1] == "| --- | --: |"
