"""Previews, steps and outcomes as lines of text. Names are as they stand in Consul."""

from __future__ import annotations

from coord.operations import (
    Gap,
    GapSource,
    Operation,
    Outcome,
    PhaseName,
    Preview,
    Source,
    Step,
    StepKind,
    Successor,
)
from coord.status.words import duration, when

_WHAT = {
    Operation.STEP_DOWN: "Step down: the leader stops its work and hands over.",
    Operation.TRANSFER: "Transfer: the leader stops its work and hands over to {node}.",
    Operation.FORCE_RELEASE: "Force release: the leader's session is destroyed.",
    Operation.PAUSE: "Pause: nobody campaigns for {lasts}; who leads goes on leading.",
    Operation.RESUME: "Resume: the pause ends.",
    Operation.DRAIN: "Drain: {node} does not lead unless nobody else does.",
    Operation.UNDRAIN: "Undrain: {node} may lead again.",
}

_STEPS = {
    StepKind.REQUESTED: "asked",
    StepKind.SESSION_DESTROYED: "session destroyed",
    StepKind.ANSWERED: "answered, work stopping",
    StepKind.RELEASED: "lock given back",
    StepKind.ACQUIRED: "lock taken",
    StepKind.WORKS: "at work",
    StepKind.TOLD: "has seen it",
    StepKind.TAKEN_AWAY: "ended",
    StepKind.LOST_CONTACT: "Consul does not answer",
    StepKind.CONTACT_AGAIN: "Consul answers again",
}

_SHOWN_SUCCESSORS = 5


def preview_lines(plan: Preview) -> list[str]:
    """What would be done, to whom, and what it costs."""
    ask = plan.ask
    lines = [_WHAT[ask.operation].format(node=ask.node, lasts=duration(ask.for_s))]
    lines += _row("Election", plan.election)
    leader = plan.leader
    if leader is None:
        lines += _row("Leader", "nobody")
    else:
        kind = f" ({leader.node_type})" if leader.node_type else ""
        since = f", since {when(leader.since)}" if leader.since else ""
        name = leader.node or "unknown"
        lines += _row("Leader", f"{name}{kind}, term {leader.term}{since}")
    if plan.interrupts:
        lines += _row("Interrupts", ", ".join(plan.workloads) or "its work")
        if plan.polls_running is not None:
            lines += _row("Open polls", str(plan.polls_running))
    if plan.interrupts or ask.operation is Operation.DRAIN:
        lines += _successor_rows(plan)
    if plan.gap is not None:
        lines += _gap_rows(plan, plan.gap)
    return lines


def _row(title: str, text: str) -> list[str]:
    return [f"  {title:<12}{text}"]


def _successor_rows(plan: Preview) -> list[str]:
    first = plan.successor
    lines = _row("Next", _candidate(first) if first is not None else "nobody can lead now")
    others = [each for each in plan.successors if each is not first]
    for each in others[:_SHOWN_SUCCESSORS]:
        lines += _row("", _candidate(each))
    if len(others) > _SHOWN_SUCCESSORS:
        lines += _row("", f"and {len(others) - _SHOWN_SUCCESSORS} more")
    return lines


def _candidate(each: Successor) -> str:
    why = f", cannot lead now: {each.why_not}" if each.why_not else ""
    return f"{each.node} (priority {each.priority}{why})"


def _gap_rows(plan: Preview, gap: Gap) -> list[str]:
    parts = ", ".join(f"{p.name.value} {seconds(p.ms)}" for p in gap.phases if p.ms)
    if gap.until_ms is not None and plan.successor is None:
        lines = _row("Gap", f"until somebody can lead, by what is known {seconds(gap.until_ms)}")
    else:
        lines = _row("Gap", f"about {seconds(gap.expected_ms)} ({parts})")
        if gap.until_ms is not None:
            lines += _row("", f"it may be {seconds(gap.until_ms)}")
    if gap.stop_ms is not None:
        lines += _row("", f"before it, up to {seconds(gap.stop_ms)} for the work to stop")
    guessed = [p.name.value for p in gap.phases if p.source is Source.OWN_SETTINGS]
    if guessed:
        lines += _row(
            "", f"{', '.join(guessed)}: by your own settings, as the nodes do not tell theirs"
        )
    return lines


def caution_lines(plan: Preview) -> list[str]:
    """What could go wrong, the serious first."""
    return [f"  {'!!' if each.serious else '! '} {each.sentence}" for each in plan.cautions]


def step_line(step: Step) -> str:
    """One step, with when it was seen."""
    parts = [f"{seconds(step.at_ms):>10}  {_STEPS[step.kind]}"]
    if step.node:
        parts.append(f"{step.node}" + (f", term {step.term}" if step.term else ""))
    text = ": ".join(parts)
    return f"{text} ({step.detail})" if step.detail else text


def outcome_lines(outcome: Outcome) -> list[str]:
    """What came of it."""
    lines = [f"{outcome.word.value}: {outcome.detail}"]
    if outcome.gap_ms is not None:
        phases = ", ".join(
            f"{name.value} {outcome.phases[name.value]} ms"
            for name in PhaseName
            if name.value in outcome.phases
        )
        measured = (
            f"as the new leader measured: {phases}"
            if outcome.gap_source is GapSource.JOURNAL
            else "as seen from here"
        )
        lines.append(f"  gap {outcome.gap_ms} ms ({measured})")
    lines += [f"  {node}: {why}" for node, why in sorted(outcome.waiting.items())]
    if outcome.hint:
        lines.append(f"  {outcome.hint}")
    if outcome.stands and not outcome.ok:
        lines.append("  what was asked still stands")
    if outcome.recorded:
        lines.append(f"  in the audit as {outcome.request_id}")
    return lines


def seconds(ms: int) -> str:
    """Milliseconds as seconds, to the millisecond; from two minutes on in words."""
    return f"{ms / 1000:.3f} s" if ms < 120_000 else duration(ms / 1000)
