"""What many seeds came to, as people read it: in the terminal and in docs/reliability.md. PURE."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence

from bench.report import Row, table
from coord.election.timing import Timing, budget
from tests.simulation.probes import PROBES, Probe
from tests.simulation.run import Outcome


def summary(found: Sequence[Outcome], took_s: float) -> str:
    """What many seeds came to, in a few lines."""
    seconds = sum(each.seconds for each in found)
    elections = sum(each.elections for each in found)
    failed = sorted(each.seed for each in found if each.violations)
    recovered = [each.recovered_s for each in found if each.recovered_s is not None]
    lines = [
        f"{len(found)} seeds, {seconds:,.0f} simulated seconds in {took_s:.0f} s "
        f"({seconds / took_s:,.0f} a second), {sum(each.happened for each in found):,} happenings",
        f"{elections:,} elections, {sum(each.stale_refused for each in found):,} messages of an "
        "old term refused",
    ]
    if recovered:
        lines.append(
            f"a leader after all faults ended: median {statistics.median(recovered):.2f} s, "
            f"worst {max(recovered):.2f} s"
        )
    for probe in PROBES:
        gaps = [e.probe_s for e in found if e.probe == probe and e.probe_s is not None]
        if gaps:
            lines.append(
                f"{probe}: median {statistics.median(gaps):.2f} s, worst {max(gaps):.2f} s"
            )
    lines += [f"{name}: ridden out in {n} of {of}" for name, n, of in _outages(found)]
    lines.append(f"failed: {failed}" if failed else "no promise was broken")
    return "\n".join(lines)


def document(found: Sequence[Outcome], took_s: float, seconds: float) -> str:
    """What many seeds came to, for docs/reliability.md."""
    simulated = sum(each.seconds for each in found)
    failed = sum(bool(each.violations) for each in found)
    recovered = [each.recovered_s for each in found if each.recovered_s is not None]
    rows: list[Row] = [
        ("worlds of the default settings and others, s", "n", "median", "worst", "promised")
    ]
    limit = budget(Timing())
    rows.append(
        ("to a leader, after all faults ended", *_figures(recovered), f"{limit.recovery:.2f}")
    )
    for name, probe in PROBES.items():
        gaps = [e.probe_s for e in found if e.probe == name and e.probe_s is not None]
        if isinstance(probe, Probe) and gaps:
            figures = _figures(gaps)
            rows.append((name.replace("_", " "), *figures, f"{probe.promised(limit):.2f}"))
    return "\n\n".join(
        (
            f"{len(found):,} worlds, each with {seconds:g} s of faults: {simulated:,.0f} simulated "
            f"seconds, {sum(e.happened for e in found):,} happenings, "
            f"{sum(e.elections for e in found):,} elections, "
            f"{sum(e.stale_refused for e in found):,} writes of an old term refused by the "
            f"receiver. Worlds in which a promise was broken: {failed or 'none'}.",
            table(rows),
            table(
                [
                    ("outages to be ridden out under the same term", "n", "ridden out"),
                    *((name.replace("_", " "), str(of), str(n)) for name, n, of in _outages(found)),
                ]
            ),
            "The promise is that of the default settings; worlds with longer times, and clocks "
            "that are off, are held to their own. "
            f"{simulated / took_s:,.0f} simulated seconds in each real one on {os.cpu_count()} "
            "cores.",
        )
    )


def _figures(values: Sequence[float]) -> tuple[str, str, str]:
    return (str(len(values)), f"{statistics.median(values):.2f}", f"{max(values):.2f}")


def _outages(found: Sequence[Outcome]) -> list[tuple[str, int, int]]:
    """Of each kind of outage: in how many worlds it was ridden out, of how many."""
    kept = {
        name: [each.kept for each in found if each.probe == name and each.kept is not None]
        for name in PROBES
    }
    return [(name, sum(each), len(each)) for name, each in kept.items() if each]
