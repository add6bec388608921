"""The results as people read them, in the terminal and in docs/performance.md. PURE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from bench.console import ConsoleCost
from bench.failover import Fault, Run
from bench.idle import Idle, NodeCost
from bench.machine import Machine
from bench.polls import PollCost
from bench.stats import P99_NEEDS, summarise
from coord.election.timing import Budget

Row = tuple[str, ...]

FAULT_WORDS = {
    Fault.CLEAN: "clean end (SIGTERM)",
    Fault.SIGKILL: "SIGKILL",
    Fault.SIGSTOP: "SIGSTOP",
}


def table(rows: Sequence[Row]) -> str:
    """A Markdown table; the first row is its head, the first column its names."""
    widths = [max(3, *(len(row[place]) for row in rows)) for place in range(len(rows[0]))]
    rule = tuple(
        ("-" * width if not n else "-" * (width - 1) + ":") for n, width in enumerate(widths)
    )
    lines = []
    for row in (rows[0], rule, *rows[1:]):
        cells = [
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


# --- failover ------------------------------------------------------------------------------------


def failover_text(runs: Sequence[Run], budget: Budget) -> str:
    """The gaps, what they are made of, and whether two ever worked at once."""
    faults = [fault for fault in Fault if any(run.fault is fault for run in runs)]
    of = {fault: [run for run in runs if run.fault is fault] for fault in faults}
    gaps: list[Row] = [("from the fault to the new leader's work, ms", "n", *_HEAD, "budget")]
    silences: list[Row] = [("from the old leader's last work to the new's, ms", "n", *_HEAD)]
    for fault in faults:
        name = FAULT_WORDS[fault]
        gap = _summary([run.gap_ms for run in of[fault]])
        gaps.append((name, *gap, f"{fault.budget_s(budget) * 1000:.0f}"))
        silences.append((name, *_summary([run.silence_ms for run in of[fault]])))
    parts = [table(gaps), table(silences), _phases(of), _verdict(runs)]
    return "\n\n".join(part for part in parts if part)


_HEAD = ("median", "p99", "worst", "best")


def _summary(values: Sequence[float]) -> Row:
    found = summarise(values)
    p99 = f"n < {P99_NEEDS}" if found.p99 is None else f"{found.p99:.0f}"
    return (str(found.n), f"{found.median:.0f}", p99, f"{found.worst:.0f}", f"{found.best:.0f}")


def _phases(of: dict[Fault, list[Run]]) -> str:
    names = list(dict.fromkeys(name for runs in of.values() for run in runs for name in run.phases))
    if not names:
        return ""
    rows: list[Row] = [("median of each part of the first, ms", *names)]
    for fault, runs in of.items():
        told = [run.phases for run in runs if run.phases]
        medians = [summarise([parts[name] for parts in told]).median for name in names if told]
        rows.append((FAULT_WORDS[fault], *(f"{value:.0f}" for value in medians)))
    return table([row for row in rows if len(row) == len(rows[0])])


def _verdict(runs: Sequence[Run]) -> str:
    overlaps, lost = [run for run in runs if run.overlapped], sum(run.lost for run in runs)
    said = (
        f"Two at work at once: {f'IN {len(overlaps)}' if overlaps else 'in none'} "
        f"of {len(runs)} runs."
    )
    if lost:
        said += f" The witness missed {lost} messages, so it may have missed an overlap."
    return said


# --- idle ----------------------------------------------------------------------------------------


def idle_text(idle: Idle) -> str:
    """What each kind of node costs at rest, and what the fleet writes."""
    rows: list[Row] = [("", *(node.role for node in idle.nodes))]
    figures: dict[str, Callable[[NodeCost], float | None]] = {
        "requests that stay on the agent, /s": lambda node: node.local_per_s,
        "requests that reach the servers, /s": lambda node: node.server_per_s,
        "calls of its agent to the servers, /s": lambda node: node.rpc_per_s,
        "CPU, % of a core": lambda node: node.cpu_percent,
        "resident memory, MB": lambda node: node.rss_mb,
    }
    for name, figure in figures.items():
        rows.append((name, *(_number(figure(node)) for node in idle.nodes)))
    kinds = ", ".join(f"{kind} {rate:.3f}" for kind, rate in idle.raft_kinds.items()) or "none"
    return "\n\n".join(
        (
            table(rows),
            _requests(idle.nodes),
            f"Raft writes of the fleet and Consul together: {idle.raft_per_s:.3f} /s ({kinds}); "
            f"of Consul alone: {idle.raft_alone_per_s:.3f} /s. "
            f"Measured over {idle.seconds:g} s.",
        )
    )


def _requests(nodes: Sequence[NodeCost]) -> str:
    names = sorted({name for node in nodes for name in node.requests})
    rows: list[Row] = [("the requests, /s", *(node.role for node in nodes))]
    for name in names:
        figures = (node.requests.get(name) for node in nodes)
        rows.append((f"`{name}`", *(_number(figure) for figure in figures)))
    return table(rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"


# --- the console ---------------------------------------------------------------------------------


def console_text(costs: Sequence[ConsoleCost]) -> str:
    """What the console costs before fleets of several sizes, and how soon it shows."""
    rows: list[Row] = [("", *(f"{cost.nodes} nodes" for cost in costs))]
    figures: dict[str, Callable[[ConsoleCost], str]] = {
        "from its start to the first whole picture, s": lambda c: f"{c.first_s:.1f}",
        "from a change in Consul to the screen, median, ms": lambda c: f"{c.shown_ms.median:.0f}",
        "the same, worst, ms": lambda c: f"{c.shown_ms.worst:.0f}",
        "CPU while nothing changes, % of a core": lambda c: _number(c.cpu_percent),
        "resident memory, MB": lambda c: _number(c.rss_mb),
        "requests while nothing changes, /s": lambda c: _number(c.requests_per_s),
        "a recording grows by, KB an hour": lambda c: f"{c.recorded_per_h[0] / 1000:.0f}",
        "a recording in .gz, KB an hour": lambda c: f"{c.recorded_per_h[1] / 1000:.0f}",
    }
    for name, figure in figures.items():
        rows.append((name, *(figure(cost) for cost in costs)))
    asked = sorted({name for cost in costs for name in cost.requests})
    more: list[Row] = [("the requests, /s", *(f"{cost.nodes} nodes" for cost in costs))]
    for name in asked:
        more.append((f"`{name}`", *(_number(cost.requests.get(name)) for cost in costs)))
    changes = costs[0].shown_ms.n if costs else 0
    return f"{table(rows)}\n\n{table(more)}\n\nOf {changes} changes each, one a second or so."


# --- polls ---------------------------------------------------------------------------------------


def polls_text(costs: Sequence[PollCost]) -> str:
    """What polling costs and how punctual it is, at rest and across a failover."""
    rows: list[Row] = [("", *(cost.what for cost in costs))]
    figures: dict[str, Callable[[PollCost], str]] = {
        "schedule lag, median, ms": lambda c: f"{c.lag_ms.median:.0f}",
        "schedule lag, p99, ms": lambda c: "" if c.lag_ms.p99 is None else f"{c.lag_ms.p99:.0f}",
        "schedule lag, worst, ms": lambda c: f"{c.lag_ms.worst:.0f}",
        "runs": lambda c: str(c.runs),
        "missed": lambda c: str(c.missed),
        "without an answer": lambda c: str(c.failed),
        "tried again": lambda c: str(c.retried),
        "run twice": lambda c: str(c.twice),
        "raft writes, /s": lambda c: _number(c.raft_per_s),
        "raft writes for each run": lambda c: _number(c.raft_per_s * c.seconds / c.runs),
        "CPU of the leader, % of a core": lambda c: _number(c.leader_percent),
        "CPU of the busiest poller": lambda c: _number(c.poller_percent),
        "CPU of Consul": lambda c: _number(c.consul_percent),
    }
    for name, figure in figures.items():
        rows.append((name, *(figure(cost) for cost in costs)))
    seconds = ", then ".join(f"{cost.seconds:.0f} s" for cost in costs)
    return f"{table(rows)}\n\n{costs[0].schedules:,} schedules, over {seconds}."


# --- all -----------------------------------------------------------------------------------------


def measured(machine: Machine, command: str, load_after: float) -> str:
    """On what and how it was measured."""
    return f"Measured with `{command}` on {machine.line()}; load {load_after:.1f} after."


def to_json(
    machine: Machine,
    command: str,
    budget: Budget,
    runs: Sequence[Run],
    idle: Idle | None,
    console: Sequence[ConsoleCost] = (),
    polls: Sequence[PollCost] = (),
) -> dict[str, Any]:
    """Everything that was measured, as JSON has it."""
    return {
        "machine": asdict(machine),
        "command": command,
        "budget_s": asdict(budget),
        "failover": [asdict(run) | {"fault": run.fault.value} for run in runs],
        "idle": None if idle is None else asdict(idle),
        "console": [asdict(cost) for cost in console],
        "polls": [asdict(cost) for cost in polls],
    }
