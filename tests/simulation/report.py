"""What many seeds came to, as people read it: in the terminal and in docs/reliability.md. PURE."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields

from bench.report import Row, table
from coord.election.timing import Timing
from tests.simulation.checker import Violation
from tests.simulation.history import Entry
from tests.simulation.plan import Plan
from tests.simulation.probes import PROBES, Probe
from tests.simulation.run import Outcome


def summary(found: Sequence[Outcome], took_s: float) -> str:
    """What many seeds came to, in a few lines."""
    seconds = sum(each.seconds for each in found)
    elections = sum(each.elections for each in found)
    failed = sorted(each.seed for each in found if each.violations)
    recovered = [each.recovered_s for each in found if each.recovered_s is not None]
    lines = [
        f"{len(found)} seed{'' if len(found) == 1 else 's'}, "
        f"{seconds:,.0f} simulated seconds in {took_s:.0f} s "
        f"({seconds / took_s:,.0f} a second), {sum(each.happened for each in found):,} happenings",
        f"{elections:,} elections, {sum(each.stale_refused for each in found):,} messages of an "
        "old term refused",
        "two at work for a moment after a restore under a running fleet, tolerated: "
        f"{sum(each.tolerated for each in found):,}",
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
        ("until somebody leads, s", "worlds", "median", "worst", "worst, of its own promise")
    ]
    shares = [_share(e.recovered_s, e.recovery_limit_s) for e in found if e.recovered_s is not None]
    rows.append(("after all faults ended", *_figures(recovered, shares)))
    for name, probe in PROBES.items():
        of = [e for e in found if e.probe == name and e.probe_s is not None]
        if isinstance(probe, Probe) and of:
            gaps = [e.probe_s for e in of if e.probe_s is not None]
            shares = [_share(e.probe_s, e.probe_limit_s) for e in of]
            rows.append((name.replace("_", " "), *_figures(gaps, shares)))
    return "\n\n".join(
        (
            f"{len(found):,} worlds, each with {seconds:g} s of faults: {simulated:,.0f} simulated "
            f"seconds, {sum(e.happened for e in found):,} happenings, "
            f"{sum(e.elections for e in found):,} elections, "
            f"{sum(e.stale_refused for e in found):,} writes of an old term refused by the "
            f"receiver. Worlds in which a promise was broken: {failed or 'none'}. Two at work "
            "for a moment after a restore under a running fleet, which is tolerated: "
            f"{sum(e.tolerated for e in found):,}.",
            table(rows),
            table(
                [
                    ("outages to be ridden out under the same term", "n", "ridden out"),
                    *((name.replace("_", " "), str(of), str(n)) for name, n, of in _outages(found)),
                ]
            ),
            "What is promised is each world's own: many have longer times than the default "
            "settings, clocks that are off, or work that takes its time to stop. At 100 % a "
            "promise would be broken. "
            f"{simulated / took_s:,.0f} simulated seconds in each real one on {os.cpu_count()} "
            f"cores: `make simulate SEEDS={len(found)} ARGS=--write-docs`.",
        )
    )


def described(plan: Plan) -> Iterator[str]:
    """What a world is like, in lines: for the top of its history."""
    kinds = " ".join(f"{kind}:{weight:g}" for kind, weight in plan.weights.items())
    yield (
        f"seed {plan.seed}: {plan.seconds:g} s of faults, one in {plan.every_s:g} s, "
        f"{plan.on_leader:.0%} of them meant for whoever leads"
    )
    yield f"faults (kind:weight): {kinds}"
    least, most = plan.consul_lease_s
    rates = " ".join(f"{rate:.4f}" for rate in plan.server_rates)
    yield (
        f"Consul: clock rates of its servers {rates}; its leader goes on for {least:g} to "
        f"{most:g} s without a majority"
    )
    for number, timing in enumerate(plan.timings):
        odd = [
            f"{field.name}={getattr(timing, field.name):g}"
            for field in fields(timing)
            if getattr(timing, field.name) != getattr(Timing(), field.name)
        ]
        yield (
            f"core-{number + 1}: clock rate {plan.rates[number]:.4f}, its agent's "
            f"{plan.agent_rates[number]:.4f}; its work takes {plan.stop_s[number]:g} s to stop; "
            f"settings: {' '.join(odd) or 'default'}"
        )
    yield f"{'true time, s':>12}  {'what':<11} {'who':<10} details"


def annotated(history: Iterable[Entry], violations: Sequence[Violation]) -> Iterator[str]:
    """The history in lines, with each violation where it was found."""
    left = sorted(violations, key=lambda each: each.at)
    for entry in history:
        while left and left[0].at < entry.at:
            yield _violation(left.pop(0))
        yield str(entry)
    yield from map(_violation, left)


def _violation(violation: Violation) -> str:
    return f"{violation.at:12.6f}  VIOLATION   {violation.rule}: {violation.detail}"


def _figures(values: Sequence[float], shares: Sequence[float]) -> tuple[str, str, str, str]:
    return (
        str(len(values)),
        f"{statistics.median(values):.2f}",
        f"{max(values):.2f}",
        f"{100 * max(shares):.0f} %",
    )


def _share(seconds: float | None, limit_s: float | None) -> float:
    """How much of what was promised it took."""
    return seconds / limit_s if seconds is not None and limit_s else 0.0


def _outages(found: Sequence[Outcome]) -> list[tuple[str, int, int]]:
    """Of each kind of outage: in how many worlds it was ridden out, of how many."""
    kept = {
        name: [each.kept for each in found if each.probe == name and each.kept is not None]
        for name in PROBES
    }
    return [(name, sum(each), len(each)) for name, each in kept.items() if each]
