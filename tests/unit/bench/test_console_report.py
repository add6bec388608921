"""The console's figures as people read them."""

from __future__ import annotations

from bench.console import ConsoleCost
from bench.report import console_text
from bench.stats import summarise


def test_every_figure_has_its_row() -> None:
    small = ConsoleCost(
        nodes=5,
        first_s=1.26,
        shown_ms=summarise([20.0, 30.0, 90.0]),
        cpu_percent=None,
        rss_mb=80.4,
        requests_per_s=2.5,
        requests={"GET kv": 2.5},
        recorded_per_h=(210_000.0, 51_000.0),
    )
    large = ConsoleCost(
        nodes=1000, first_s=3.0, shown_ms=small.shown_ms, cpu_percent=4.0, rss_mb=120.0,
        requests_per_s=3.0, requests={"GET txn": 3.0}, recorded_per_h=(1.0, 1.0),
    )  # fmt: skip
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in console_text((small, large)).splitlines()
        if line.startswith("|")
    ]
    told = {row[0]: row[1:] for row in rows}
    assert told["from its start to the first whole picture, s"] == ["1.3", "3.0"]
    assert told["from a change in Consul to the screen, median, ms"] == ["30", "30"]
    assert told["the same, worst, ms"] == ["90", "90"]
    assert told["CPU while nothing changes, % of a core"] == ["", "4.00"]
    assert told["a recording in .gz, KB an hour"] == ["51", "0"]
    assert told["`GET kv`"] == ["2.50", ""]
