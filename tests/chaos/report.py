"""What all runs came to: the table for people and documents, and JSON. PURE."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.report import Row
from bench.report import table as markdown
from tests.chaos.runs import PollCount, Run

HEAD: Row = (
    "scenario",
    "what is done",
    "runs",
    "gap, median",
    "gap, worst",
    "budget",
    "over budget",
    "overlaps",
    "stale writes tried",
    "refused",
    "polls run",
    "missed",
    "failed",
    "retried",
    "run twice",
    "lost",
)


def table(report: Mapping[str, Any]) -> str:
    """The Markdown table of a report, as `to_json` makes it: one row a scenario, then the sum."""
    runs = [Run.from_dict(run) for run in report["runs"]]
    names = list(dict.fromkeys(run.scenario for run in runs))
    rows = [_row([run for run in runs if run.scenario == name]) for name in names]
    if len(names) > 1:
        rows.append(("all", "", *_row(runs)[2:5], "", *_row(runs)[6:]))
    return markdown([HEAD, *rows])


def _row(runs: Sequence[Run]) -> Row:
    gaps = [run.gap_s for run in runs]
    polls = sum((run.polls for run in runs), PollCount())
    limit_s = runs[0].budget_s
    budgeted = [run for run in runs if run.budget_s is not None]
    return (
        runs[0].scenario,
        runs[0].title,
        str(len(runs)),
        _seconds(statistics.median(gaps)),
        _seconds(max(gaps)),
        "" if limit_s is None else _seconds(limit_s),
        "" if not budgeted else str(sum(run.over_budget for run in budgeted)),
        str(sum(run.overlaps for run in runs)),
        str(sum(run.stale_attempted for run in runs)),
        str(sum(run.stale_refused for run in runs)),
        str(polls.run),
        str(polls.missed),
        str(polls.failed),
        str(polls.retried),
        str(polls.twice),
        str(polls.lost),
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s"


def to_json(seed: int, runs: Sequence[Run], took_s: float) -> dict[str, Any]:
    """Everything, as JSON has it."""
    return {"seed": seed, "took_s": round(took_s, 1), "runs": [run.to_dict() for run in runs]}


def again(run: Run) -> str:
    """The command that does that run again; where it was a repetition, those before it as well."""
    if ":" in run.seed:
        return f'make chaos ARGS="--replay {run.seed}"'
    seed, _, repeat = run.seed.split("-", 1)[0], *run.seed.rsplit("-", 1)
    return f'make chaos ARGS="--scenario {run.scenario} --repeat {int(repeat) + 1} --seed {seed}"'


def verdict(runs: Sequence[Run]) -> str:
    """What is to be said of runs that all held."""
    over = sum(run.over_budget for run in runs)
    late = f"; over budget by what a busy machine may add: {over}" if over else ""
    tried = sum(run.stale_attempted for run in runs)
    stale = f"{tried} stale write{'' if tried == 1 else 's'} tried, all refused"
    if not tried:
        stale = "no stale write tried, so none had to be refused"
    return (
        f"all of it held: {len(runs)} run{'' if len(runs) == 1 else 's'}, never two at work, "
        f"{stale}, no poll lost or run twice, nothing left behind{late}"
    )


def line(run: Run) -> str:
    """One run on one line."""
    led = run.leader if run.new_leader == run.leader else f"{run.leader} -> {run.new_leader}"
    over = ", over its budget" if run.over_budget else ""
    said = [
        f"{led}, {run.terms} new term{'' if run.terms == 1 else 's'}",
        f"gap {_seconds(run.gap_s)}{over}",
        f"stale {run.stale_attempted} tried, {run.stale_refused} refused",
        f"polls {run.polls.run} run, {run.polls.missed} missed, {run.polls.failed} failed, "
        f"{run.polls.retried} retried, {run.polls.twice} run twice, {run.polls.lost} lost",
    ]
    if run.moments_misled:
        said.append(f"discovery named two for a moment, {run.moments_misled} times")
    if run.ended:
        said.append(", ".join(f"{name} ended with {n}" for name, n in run.ended.items()))
    return "; ".join(said)
