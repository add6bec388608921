"""Previews, steps and outcomes in words. Pure. Names are as they stand in Consul: whoever shows
them makes them fit for a terminal.
"""

from __future__ import annotations

from coord.operations.asks import Ask, Operation
from coord.operations.model import Gap, PhaseName, Preview, Source, Successor
from coord.operations.outcomes import GapSource, Outcome, Step, StepKind
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

STEPS = {
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
"""What each kind of step says."""

_SHOWN_SUCCESSORS = 5


Rows = list[tuple[str, str]]
"""What is told, each under a title; a title that is "" goes on with the one before."""


def what(ask: Ask) -> str:
    """What is asked for, in a sentence."""
    return _WHAT[ask.operation].format(node=ask.node, lasts=duration(ask.for_s))


def preview_lines(plan: Preview) -> list[str]:
    """What would be done, to whom, and what it costs."""
    return [what(plan.ask), *(f"  {title:<12}{text}" for title, text in preview_rows(plan))]


def preview_rows(plan: Preview) -> Rows:
    """To whom it would be done, and what it costs."""
    rows = [("Election", plan.election), ("Leader", _leader(plan))]
    if plan.interrupts:
        known = None if plan.workloads is None else ", ".join(plan.workloads) or "no work"
        rows.append(("Interrupts", known or "its work"))
        if plan.polls_running is not None:
            rows.append(("Open polls", str(plan.polls_running)))
    if plan.interrupts or plan.ask.operation is Operation.DRAIN:
        rows += _successor_rows(plan)
    if plan.gap is not None:
        rows += _gap_rows(plan, plan.gap)
    return rows


def _leader(plan: Preview) -> str:
    leader = plan.leader
    if leader is None:
        return "nobody"
    kind = f" ({leader.node_type})" if leader.node_type else ""
    since = f", since {when(leader.since)}" if leader.since else ""
    return f"{leader.node or 'unknown'}{kind}, term {leader.term}{since}"


def _successor_rows(plan: Preview) -> Rows:
    first = plan.successor
    rows = [("Next", _candidate(first) if first is not None else "nobody can lead now")]
    others = [each for each in plan.successors if each is not first]
    rows += (("", _candidate(each)) for each in others[:_SHOWN_SUCCESSORS])
    if len(others) > _SHOWN_SUCCESSORS:
        rows.append(("", f"and {len(others) - _SHOWN_SUCCESSORS} more"))
    return rows


def _candidate(each: Successor) -> str:
    why = f", cannot lead now: {each.why_not}" if each.why_not else ""
    return f"{each.node} (priority {each.priority}{why})"


def _gap_rows(plan: Preview, gap: Gap) -> Rows:
    parts = ", ".join(f"{p.name.value} {seconds(p.ms)}" for p in gap.phases if p.ms)
    if gap.until_ms is not None and plan.successor is None:
        until = seconds(gap.until_ms)
        rows = [("Gap", f"until somebody can lead, by what is known {until}")]
    else:
        rows = [("Gap", f"about {seconds(gap.expected_ms)} ({parts})")]
        if gap.until_ms is not None:
            rows.append(("", f"it may be {seconds(gap.until_ms)}"))
    if gap.stop_ms is not None:
        rows.append(("", f"before it, up to {seconds(gap.stop_ms)} for the work to stop"))
    guessed = [p.name.value for p in gap.phases if p.source is Source.OWN_SETTINGS]
    if guessed:
        said = "by your own settings, as the nodes do not tell theirs"
        rows.append(("", f"{', '.join(guessed)}: {said}"))
    return rows


def caution_lines(plan: Preview) -> list[str]:
    """What could go wrong, the serious first."""
    return [f"  {'!!' if each.serious else '! '} {each.sentence}" for each in plan.cautions]


def step_line(step: Step) -> str:
    """One step, with when it was seen."""
    return f"{seconds(step.at_ms):>10}  {step_words(step)}"


def step_words(step: Step) -> str:
    """One step: what was seen, and of whom."""
    text = STEPS[step.kind]
    if step.node:
        text += f": {step.node}" + (f", term {step.term}" if step.term else "")
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
