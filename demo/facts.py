"""The figures of an act and of the tally, as the narrator shows them."""

from __future__ import annotations

from collections.abc import Sequence

from coord.polling.records import ResultRecord
from demo.judge import TermSeen, WitnessReport
from demo.ledger import Ledger
from demo.outcome import Act
from demo.telling import Narrator


def duration(seconds: float) -> str:
    """Seconds as people read them: milliseconds below one second."""
    return f"{seconds * 1000:.0f} ms" if abs(seconds) < 0.9995 else f"{seconds:.2f} s"


def tell_act(tell: Narrator, act: Act) -> None:
    """What was measured in an act."""
    since = "from the fault" if act.fault else "from when they were up"
    over = "" if act.fault_to_work_s <= act.budget_s else ", exceeded"
    tell.blank()
    tell.fact(
        "first unit of work",
        f"{duration(act.fault_to_work_s)} {since} (budget {duration(act.budget_s)}{over})",
        good=act.fault_to_work_s <= act.limit_s,
    )
    if act.work_to_work_s is not None:
        tell.fact("gap, work to work", duration(act.work_to_work_s))
    if act.phases:
        said = ", ".join(f"{name} {duration(ms / 1000)}" for name, ms in act.phases.items())
        tell.fact("the new leader says", said)
    missed = f" ({act.polls_missed} missed)" if act.polls_missed else ""
    during = f"{act.polls_before} before, {act.polls_during} during{missed}, "
    tell.fact("polls", (during if act.fault else "") + f"{act.polls_after} after")
    tell.fact(
        "two at once",
        f"yes, {act.overlaps} messages" if act.overlaps else "never",
        good=not act.overlaps,
    )


def tell_terms(tell: Narrator, report: WitnessReport) -> None:
    """Who worked, term by term."""
    head = ("term", "leader", "worked", "messages", "gap before it")
    tell.rows(head, [_term_row(seen, report) for seen in report.terms])
    tell.blank()


def tell_polls(tell: Narrator, results: Sequence[ResultRecord]) -> None:
    """What was polled, schedule by schedule."""
    tell.rows(("polled", "runs", "missed", "failed", "now"), [_result_row(r) for r in results])
    tell.blank()


def tell_verdict_of_witness(tell: Narrator, report: WitnessReport, ledger: Ledger) -> None:
    """Whether two ever worked, or wrote, at once."""
    count = report.stale_count + report.double_count
    tell.fact(
        "two at once",
        f"{count} messages show it" if count else f"never, in {report.messages} messages",
        good=not count,
    )
    back = len(ledger.went_back)
    tell.fact(
        "writes in Consul",
        f"{back} of an older term landed" if back else f"{ledger.seen} seen, in order",
        good=not back,
    )
    if report.lost:
        tell.fact("lost on the way", f"{report.lost} messages", good=False)


def _term_row(seen: TermSeen, report: WitnessReport) -> tuple[str, ...]:
    gap = report.gap_to(seen.term)
    return (
        str(seen.term),
        seen.node,
        duration(seen.last_at - seen.first_at),
        str(seen.messages),
        duration(gap.gap_s) if gap else "-",
    )


def _result_row(result: ResultRecord) -> tuple[str, ...]:
    check = result.checks[0] if result.checks else None
    if result.ok:
        now = f"up, {check.latency_ms:.0f} ms" if check else "up"
    else:
        why = result.error or (check.error if check else None)
        now = f"down: {why}" if why else "down"
    failed = str(result.failed + result.timed_out)
    return (result.schedule, str(result.runs), str(result.missed), failed, now)
